"""Every side of a row by a transform of its own kind."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from augmind.core.errors import UsageError
from augmind.core.plugin import Transform
from augmind.core.registry import make
from augmind.core.seeds import stable_seed
from augmind.core.sides import joined
from augmind.core.types import Choice


@dataclass(kw_only=True)
class Each(Transform):
    """The first transform of `by` is done to the first side, the second to the second, each with its own defaults; "none" leaves a side alone.

    `sides` are the shapes of the sides, by name, as `core.sides.shapes_of` gives them. Labels stay. Sides are drawn for independently.
    """

    axes: ClassVar[tuple[int, ...]] = (1,)
    sided: ClassVar[bool] = True
    settled: ClassVar[bool] = True
    needs: ClassVar[str] = "by"

    by: list[str] = field(default_factory=list)
    sides: dict[str, list[int]] = field(default_factory=dict)

    def apply(self, x: Float[Tensor, "b d"], y: Float[Tensor, "b k"], seed: int) -> tuple[Tensor, Tensor]:
        """Raises `UsageError` where there are not as many transforms as sides."""
        if len(self.by) != len(self.sides) or not self.sides:
            names = ", ".join(self.sides) or "none"
            raise UsageError(f"each: by={','.join(self.by)} is not allowed", help=f"name a transform for every side, in this order: {names}")
        sizes = [math.prod(shape) for shape in self.sides.values()]
        parts = []
        for part, (side, shape), name in zip(x.split(sizes, 1), self.sides.items(), self.by, strict=True):
            moved, _ = make("transforms", Choice(name=name)).apply(part.unflatten(1, shape), y, stable_seed(seed, "each", side))
            parts.append(moved)
        return joined(parts), y
