"""Horizontal mirror: half of the pictures, at random."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.plugin import Transform
from augmind.core.seeds import stream
from augmind.core.tune import tune


@dataclass(kw_only=True)
class Flip(Transform):
    """Mirrors a picture with probability `probability`. Wrong for digits and letters; the comparison finds that out."""

    axes: ClassVar[tuple[int, ...]] = (3,)
    waves: ClassVar[bool | None] = False

    probability: float = tune(0.5, 0.1, 1.0)

    def apply(self, x: Float[Tensor, "b c h w"], y: Float[Tensor, "b k"], seed: int) -> tuple[Tensor, Tensor]:
        mirrored = torch.rand(len(x), generator=stream("flip", seed)) < self.probability
        return torch.where(mirrored[:, None, None, None], x.flip(-1), x), y
