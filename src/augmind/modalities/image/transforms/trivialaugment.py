"""TrivialAugment (arXiv:2103.10158): one random operation of random strength a picture, after the usual crop and mirror."""

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
class TrivialAugment(Transform):
    """Nothing to tune but the crop and whether mirror images keep their label."""

    axes: ClassVar[tuple[int, ...]] = (3,)
    waves: ClassVar[bool | None] = False

    pad: float = tune(1 / 9, 0.0, 0.25)
    mirror: bool = tune(True, options=(True, False))

    def apply(self, x: Float[Tensor, "b c h w"], y: Float[Tensor, "b k"], seed: int) -> tuple[Tensor, Tensor]:
        rng = stream("trivialaugment", seed)
        x = shift_and_mirror(x, self.pad, self.mirror, rng)
        return perturb(x, torch.randint(31, (len(x),), generator=rng) / 30, rng), y
