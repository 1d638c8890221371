"""How far apart the real rows of a class lie."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from augmind.nn.neighbours import nearest


def spacing(z: Float[Tensor, "n d"], y: Int[Tensor, " n"], classes: int, k: int) -> Float[Tensor, " c"]:
    """Per class, the median distance of a real row to its k-th nearest of the same class.

    A class of k rows or fewer takes the typical class's; where all are so small, the median over all rows counts.
    """
    out = torch.full((classes,), torch.nan)
    for c in range(classes):
        own = z[y == c]
        if len(own) > k:
            out[c] = nearest(own, own, k, skip_self=True)[0][:, -1].median()
    if out.isnan().all():
        out[:] = nearest(z, z, min(k, len(z) - 1), skip_self=True)[0][:, -1].median() if len(z) > 1 else 1.0
    return torch.where(out.isnan(), out.nanmedian(), out).clamp(min=1e-6)
