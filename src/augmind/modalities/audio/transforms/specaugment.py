"""SpecAugment (arXiv:1904.08779): bands and moments of a spectrogram hidden."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from augmind.core.plugin import Transform
from augmind.core.seeds import stream
from augmind.core.tune import tune

from ._masks import hidden


@dataclass(kw_only=True)
class SpecAugment(Transform):
    """`masks` runs of bands and as many of moments become the row's mean, each of at most `part` of the side."""

    axes: ClassVar[tuple[int, ...]] = (3,)
    waves: ClassVar[bool | None] = True

    masks: int = tune(2, 1, 4)
    part: float = tune(0.2, 0.05, 0.5)

    def apply(self, x: Float[Tensor, "b c h w"], y: Float[Tensor, "b k"], seed: int) -> tuple[Tensor, Tensor]:
        return hidden(x, self.masks, self.part, stream("specaugment", seed)), y
