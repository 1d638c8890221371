"""How many real balls hold a synthetic row, over k, on average: fidelity that outliers do not inflate (arXiv:2002.09797), 1 for equal sets."""

import math
from dataclasses import dataclass
from typing import ClassVar

from ._manifold import Manifold


@dataclass(kw_only=True)
class Density(Manifold):
    """How many real balls hold a synthetic row, over k, on average: fidelity that outliers do not inflate (arXiv:2002.09797), 1 for equal sets."""

    label: ClassVar[str] = "density"
    limits: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def part(self, figures: dict[str, float]) -> float:
        return figures["density"]
