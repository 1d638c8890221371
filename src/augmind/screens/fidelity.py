"""Fidelity: does a synthetic row lie where the real rows of its class lie?"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from augmind.core.plugin import Screen
from augmind.core.run import Run
from augmind.core.tune import tune
from augmind.core.types import Data, Samples
from augmind.nn.neighbours import nearest, polar

from ._conformal import Conformal


@dataclass(kw_only=True)
class Fidelity(Screen):
    """Relative distance of features (`neighbours.polar`), on average, to the `k` nearest real rows of the row's class.

    The score is the share of real rows that lie no nearer to the others of their class (`Conformal`): at a cut of 0.03, 3 % of
    good rows would be lost. A class with k rows or fewer is measured against the rows of all classes.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"continuous", "tokens"})
    reason: ClassVar[str] = "is unlike the real rows"
    lost: float = tune(0.03, 0.03, 0.5, log=True)
    k: int = 3

    @property
    def cut(self) -> float:
        return self.lost

    def fit(self, data: Data, run: Run) -> "Fidelity":
        assert data.train.z is not None
        self.z_, self.y_ = polar(data.train.z), data.train.y
        self.alone_ = data.train.counts(data.classes) <= self.k
        self.calibration_ = Conformal(self._nearness(self.z_, self.y_, itself=1), self.y_)
        return self

    def score(self, synthetic: Samples, kept: Samples | None = None) -> Float[Tensor, " n"]:
        assert synthetic.z is not None
        nearness = self._nearness(polar(synthetic.z), synthetic.y, itself=0)
        return self.calibration_.class_share(nearness, synthetic.y)

    def _nearness(self, z: Float[Tensor, "n d"], y: Int[Tensor, " n"], itself: int) -> Float[Tensor, " n"]:
        """Minus the log distance to the nearest real rows, leaving out the first `itself` of them: the row itself among real rows."""
        out = torch.zeros(len(z))
        for c in y.unique().tolist():
            asked, pool = y == c, self.z_ if self.alone_[c] else self.z_[self.y_ == c]
            k = min(self.k, len(pool) - itself)
            if k > 0:
                out[asked] = -nearest(z[asked], pool, k + itself)[0][:, itself:].mean(1).clamp(min=1e-12).log()
        return out
