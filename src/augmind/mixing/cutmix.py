"""CutMix (arXiv:1905.04899): a box of one grid is pasted into another; the label follows the area."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Beta

from augmind.core.plugin import Transform
from augmind.core.seeds import seeded
from augmind.core.tune import tune


@dataclass(kw_only=True)
class Cutmix(Transform):
    """The box covers 1 - lambda of the grid before it is cut at the border, lambda ~ Beta(alpha, alpha) for each row.

    The label's weight is the area that remains, exactly. A row is mixed with probability `probability`, else it stays as it is.
    """

    axes: ClassVar[tuple[int, ...]] = (3,)

    alpha: float = tune(1.0, 0.1, 2.0, log=True)
    probability: float = tune(0.5, 0.1, 1.0)

    def apply(self, x: Float[Tensor, "b c h w"], y: Float[Tensor, "b k"], seed: int) -> tuple[Tensor, Tensor]:
        n, height, width = len(x), *x.shape[2:]
        with seeded(seed):
            other = torch.randperm(n)
            side = (1 - Beta(self.alpha, self.alpha, validate_args=False).sample((n,))).sqrt()
            side = torch.where(torch.rand(n) < self.probability, side, 0.0)
            rows, columns = span(side, torch.rand(n), height), span(side, torch.rand(n), width)
        box = rows[:, :, None] & columns[:, None, :]
        keep = 1 - box.float().mean((1, 2))
        return torch.where(box[:, None], x[other], x), torch.lerp(y[other], y, keep[:, None])


def span(side: Float[Tensor, " b"], centre: Float[Tensor, " b"], length: int) -> Bool[Tensor, "b length"]:
    """Places 0..length-1 that lie within `side` (a fraction of the length) around `centre`."""
    half, middle = (side * length / 2)[:, None], (centre * length)[:, None]
    place = torch.arange(length) + 0.5
    return (place - middle).abs() < half
