"""Sides: does each side of a row that joins several kinds speak for the label, so that they agree?"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.plugin import Screen
from augmind.core.run import Run
from augmind.core.tune import tune
from augmind.core.types import Data, Samples

from ._judges import Judges


@dataclass(kw_only=True)
class Sides(Screen):
    """Judges of label agreement (`Judges`) on the features of each side by itself; the score is that of the side that speaks least for the label.

    Judges of the whole row may be content with one side, where the other shows another class: of what looks like a three and sounds like a seven, one
    side denies the label. The least of s shares is counted s times (Bonferroni), so that at a cut of 0.05 5 % of real rows are lost at most. A side
    that says nothing of the class in real rows rejects nothing.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"continuous", "tokens"})
    sided: ClassVar[bool] = True
    reason: ClassVar[str] = "its sides do not agree"
    lost: float = tune(0.05, 0.05, 0.5, log=True)
    folds: int = 5

    @property
    def cut(self) -> float:
        return self.lost

    def fit(self, data: Data, run: Run) -> "Sides":
        self.require(data.spec)
        self.widths_, train = data.widths, data.train
        assert train.z is not None
        parts = train.z.split(self.widths_, 1)
        self.judges_ = [Judges(self.folds).fit(part, train.y, train.units, data.classes, run.seed_for("sides", i)) for i, part in enumerate(parts)]
        return self

    def score(self, synthetic: Samples, kept: Samples | None = None) -> Float[Tensor, " n"]:
        assert synthetic.z is not None
        parts = synthetic.z.split(self.widths_, 1)
        shares = torch.stack([judges.share(part, synthetic.y) for judges, part in zip(self.judges_, parts, strict=True)])
        return (len(shares) * shares.amin(0)).clamp(max=1.0)
