"""mixup (arXiv:1710.09412): convex combinations of two rows and of their labels."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Beta

from augmind.core.plugin import Transform
from augmind.core.seeds import seeded
from augmind.core.tune import tune


@dataclass(kw_only=True)
class Mixup(Transform):
    """x = lambda x_i + (1 - lambda) x_j and y likewise, lambda ~ Beta(alpha, alpha) for each row, j from a permutation of the batch.

    A row is mixed with probability `probability`, else it stays as it is.
    """

    alpha: float = tune(1.0, 0.1, 2.0, log=True)
    probability: float = tune(0.5, 0.1, 1.0)

    def apply(self, x: Float[Tensor, "b ..."], y: Float[Tensor, "b k"], seed: int) -> tuple[Tensor, Tensor]:
        n = len(x)
        with seeded(seed):
            other = torch.randperm(n)
            keep = Beta(self.alpha, self.alpha, validate_args=False).sample((n,))
            keep = torch.where(torch.rand(n) < self.probability, keep, 1.0)
        wide = keep.view(-1, *[1] * (x.ndim - 1))
        return torch.lerp(x[other], x, wide), torch.lerp(y[other], y, keep[:, None])
