"""Of several judges together, the likeliest class of a row must be its label: for generators whose labels are often wrong."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.folds import inner_folds
from augmind.core.plugin import Screen
from augmind.core.run import Run
from augmind.core.tune import tune
from augmind.core.types import Data, Samples
from augmind.nn.heads import Head, choose_penalty, fit_head


@dataclass(kw_only=True)
class Likeliest(Screen):
    """Linear heads on features, each taught by all but one of `folds` parts of the real rows and by rows that say what the classes mean
    (`Codec.named`, with `describe`), vote with their mean probabilities (bagging of cross-fitted judges; Breiman 1996).

    The score is half of one plus the lead of the label over the best other class, so above 0.5 the label is the likeliest; the cut
    asks for a lead of `margin`. Weak judges lose many good rows as well: the report says how many real rows they would reject.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"tokens"})
    axes: ClassVar[tuple[int, ...]] = (1,)
    reason: ClassVar[str] = "another class is likelier"

    margin: float = tune(0.05, 0.0, 0.9)
    folds: int = tune(5, 2, 10)
    describe: dict[str, str] = field(default_factory=dict)

    def fit(self, data: Data, run: Run) -> "Likeliest":
        self.require(data.spec)
        assert data.train.z is not None
        z, y, unit = data.train.z, data.train.y, data.train.units
        named = data.codec.named([self.describe.get(c, c) for c in data.spec.classes])
        said = data.codec.embed(data.codec.encode([text for text, _ in named])) if named else z[:0]
        meant = torch.tensor([k for _, k in named], dtype=torch.long)
        head = Head.over(z, data.classes)
        even = 1 / data.train.counts(data.classes).clamp(min=1).float()
        even = even / (even[y].mean() or 1)
        penalty = choose_penalty(head.standardise(z), y, unit, even[y], None, data.classes, run.seed_for("likeliest"))
        parts = inner_folds(y, unit, self.folds, run.seed_for("likeliest", "folds")) if len(unit.unique()) > 1 else [(torch.arange(len(y)), None)]
        self.judges_ = []
        for train, _ in parts:
            rows, labels = torch.cat([z[train], said]), torch.cat([y[train], meant])
            self.judges_.append(fit_head(Head.over(z, data.classes), rows, labels, even[labels], penalty).eval())
        return self

    @torch.no_grad()
    def score(self, synthetic: Samples, kept: Samples | None = None) -> Float[Tensor, " n"]:
        assert synthetic.z is not None
        if not len(synthetic):
            return torch.empty(0)
        p = torch.stack([judge(synthetic.z).softmax(1) for judge in self.judges_]).mean(0)
        own = p.gather(1, synthetic.y[:, None])[:, 0]
        best = p.scatter(1, synthetic.y[:, None], -1.0).max(1).values.clamp(min=0)
        return (1 + own - best) / 2

    @property
    def cut(self) -> float:
        return (1 + self.margin) / 2
