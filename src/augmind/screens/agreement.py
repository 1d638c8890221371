"""Label agreement: would classifiers that learnt from real rows give a synthetic row the label it claims?"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from augmind.core.plugin import Screen
from augmind.core.run import Run
from augmind.core.types import Data, Samples
from augmind.nn.neighbours import nearest, standardise

from . import _logistic
from ._conformal import Conformal

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)


@dataclass(kw_only=True)
class Agreement(Screen):
    """Cross-fitted logistic regression on standardised features.

    Real rows are dealt into `folds`; fold f's judge learns from all others, classes weighted alike, with the L2 penalty that
    predicts held-out rows best. A synthetic row is judged by the judge that did not see the fold of its nearest real row, so no
    judge confirms a row by its own source. The score is the share of held-out real rows whose label their judge finds no more
    probable (`Conformal`): at a cut of 0.05, 5 % of correctly labelled real rows would be lost, however hard the task.
    Rows of a class with a single real row cannot be judged and score 1.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"continuous", "tokens"})
    reason: ClassVar[str] = "looks like another class"
    lost: float = 0.05
    folds: int = 5

    @property
    def cut(self) -> float:
        return self.lost

    def fit(self, data: Data, run: Run) -> "Agreement":
        assert data.train.z is not None
        self.reference_, y = data.train.z, data.train.y
        z = standardise(self.reference_, self.reference_)
        self.fold_ = _dealt(y, self.folds, run.rng("agreement"))
        counts = data.train.counts(data.classes)
        self.assessable_ = counts > 1
        balance = (1.0 / counts.clamp(min=1))[y]
        seen = (self.fold_[None] != torch.arange(self.folds)[:, None]).float() * balance
        models = _logistic.fit(z, y, data.classes, seen.repeat(len(PENALTIES), 1), torch.tensor(PENALTIES).repeat_interleave(self.folds)).unflatten(
            0, (len(PENALTIES), self.folds)
        )
        judged = self.assessable_[y]
        held_out = torch.stack([_judged(m, z, y, self.fold_) for m in models])
        best = int((held_out * balance)[:, judged].sum(1).argmax())
        self.judges_ = models[best]
        self.calibration_ = Conformal(held_out[best][judged], y[judged])
        return self

    def score(self, synthetic: Samples, kept: Samples | None = None) -> Float[Tensor, " n"]:
        assert synthetic.z is not None
        z = standardise(synthetic.z, self.reference_)
        source = nearest(z, standardise(self.reference_, self.reference_), 1)[1][:, 0]
        log_p = _judged(self.judges_, z, synthetic.y, self.fold_[source])
        return torch.where(self.assessable_[synthetic.y], self.calibration_.class_share(log_p, synthetic.y), 1.0)


def _judged(judges: Float[Tensor, "f e k"], z: Float[Tensor, "n d"], y: Int[Tensor, " n"], fold: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Log probability of each row's label under the judge of its fold."""
    out = z.new_empty(len(z))
    for f, judge in enumerate(judges):
        rows = fold == f
        out[rows] = _logistic.log_probabilities(judge, z[rows])[torch.arange(int(rows.sum())), y[rows]]
    return out


def _dealt(y: Int[Tensor, " n"], folds: int, rng: torch.Generator) -> Int[Tensor, " n"]:
    """A fold for each row, every class spread evenly."""
    fold = torch.empty_like(y)
    order = torch.randperm(len(y), generator=rng)
    order = order[y[order].argsort(stable=True)]
    fold[order] = torch.arange(len(y)) % folds
    return fold
