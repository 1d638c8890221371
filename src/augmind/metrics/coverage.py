"""The share of real rows with a synthetic row in their ball: diversity (arXiv:2002.09797), in [0, 1]."""

from dataclasses import dataclass
from typing import ClassVar

from ._manifold import Manifold


@dataclass(kw_only=True)
class Coverage(Manifold):
    """The share of real rows with a synthetic row in their ball: diversity (arXiv:2002.09797), in [0, 1]."""

    label: ClassVar[str] = "coverage"
    limits: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def part(self, figures: dict[str, float]) -> float:
        return figures["coverage"]
