"""The share of real rows that lie on the manifold of the synthetic ones: diversity (improved recall, arXiv:1904.06991), in [0, 1]."""

from dataclasses import dataclass
from typing import ClassVar

from ._manifold import Manifold


@dataclass(kw_only=True)
class Recall(Manifold):
    """The share of real rows that lie on the manifold of the synthetic ones: diversity (improved recall, arXiv:1904.06991), in [0, 1]."""

    label: ClassVar[str] = "recall"
    limits: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def part(self, figures: dict[str, float]) -> float:
        return figures["recall"]
