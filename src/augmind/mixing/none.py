"""No mixing: every row stands alone."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from augmind.core.plugin import Transform


@dataclass(kw_only=True)
class Unmixed(Transform):
    """Rows as they are."""

    kinds: ClassVar[frozenset[str]] = frozenset({"continuous", "tokens"})
    axes: ClassVar[tuple[int, ...]] = (1, 2, 3)

    def apply(self, x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        return x, y
