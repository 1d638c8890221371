"""Random shifts with reflected borders, and the mirror: the classical augmentation of small pictures (arXiv:1512.03385)."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from augmind.core.plugin import Transform
from augmind.core.seeds import stream
from augmind.core.tune import tune

from ._geometry import shift_and_mirror


@dataclass(kw_only=True)
class FlipCrop(Transform):
    """A crop out of the picture padded by `pad` of its side, by reflection; mirrored half of the time where `mirror`."""

    axes: ClassVar[tuple[int, ...]] = (3,)
    waves: ClassVar[bool | None] = False

    pad: float = tune(1 / 9, 0.03, 0.25)
    mirror: bool = tune(True, options=(True, False))

    def apply(self, x: Float[Tensor, "b c h w"], y: Float[Tensor, "b k"], seed: int) -> tuple[Tensor, Tensor]:
        return shift_and_mirror(x, self.pad, self.mirror, stream("flip_crop", seed)), y
