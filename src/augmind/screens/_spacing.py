"""How far apart the real rows of a class lie."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from augmind.nn.neighbours import nearest


def spacing(z: Float[Tensor, "n d"], y: Int[Tensor, " n"], classes: int, k: int) -> Float[Tensor, " c"]:
    """Per class, the median distance of a real row to its k-th nearest of the same class; the typical class's where there are too few.

    0 where no class has two rows.
    """
    out = torch.full((classes,), torch.nan)
    for c in range(classes):
        own = z[y == c]
        if len(own) > k:
            out[c] = nearest(own, own, k, skip_self=True)[0][:, -1].median()
    return torch.where(out.isnan(), out.nanmedian().nan_to_num(0.0), out)
