"""RandAugment (arXiv:1909.13719): a few random operations of one strength a picture, after the usual crop and mirror."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.plugin import Transform
from augmind.core.seeds import stream
from augmind.core.tune import tune

from ._geometry import shift_and_mirror
from ._operations import perturb


@dataclass(kw_only=True)
class RandAugment(Transform):
    """`operations` in a row, each at `magnitude` of 30."""

    axes: ClassVar[tuple[int, ...]] = (3,)
    waves: ClassVar[bool | None] = False

    operations: int = tune(2, options=(1, 2, 3))
    magnitude: float = tune(9.0, 1.0, 30.0)
    pad: float = tune(1 / 9, 0.0, 0.25)
    mirror: bool = tune(True, options=(True, False))

    def apply(self, x: Float[Tensor, "b c h w"], y: Float[Tensor, "b k"], seed: int) -> tuple[Tensor, Tensor]:
        rng = stream("randaugment", seed)
        x = shift_and_mirror(x, self.pad, self.mirror, rng)
        for _ in range(self.operations):
            x = perturb(x, torch.full((len(x),), self.magnitude / 30), rng)
        return x, y
