"""Late fusion: a linear head on the features of each side, and the weighted sum of what they say (Kittler et al. 1998, IEEE TPAMI 20(3))."""

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.feed import Feed
from augmind.core.folds import inner_folds
from augmind.core.plugin import Learner, Space
from augmind.core.run import Run
from augmind.core.types import Data, Joint, Knowledge, Samples, as_features
from augmind.nn.heads import Head, choose_penalty, fit_head

SHARES = tuple(i / 8 for i in range(9))
"""Weights of the first side that are tried; those of the others share the rest."""
FOLDS = 5


@dataclass(kw_only=True)
class LateFusion(Learner):
    """log p(y | row) = sum of w_s log p_s(y | side s), normalised: the product rule with weights.

    Each head is the one that `probe` fits, on its side alone, so a side that fails at a row can be outvoted; `probe` on all features is early fusion.
    The weight of the first side is the one of `SHARES` with the best cross-entropy on real rows that the heads have not seen (folds part no unit);
    the others share the rest alike. It learns from no pairs of a consistency term.
    """

    axes: ClassVar[tuple[int, ...]] = (1,)
    sided: ClassVar[bool] = True
    space: ClassVar[Space] = "features"
    knowledge: ClassVar[Knowledge] = Knowledge.pretrained
    compares: ClassVar[bool] = False

    def fit(self, feed: Feed, run: Run) -> "LateFusion":
        self.require(feed.spec)
        self.widths_ = cast(Joint, feed.codec).widths
        real, (rows, w) = as_features(feed.real), feed.features_table(run.seed_for("mixing"))
        weight, classes = feed.class_weight[real.y], len(feed.spec.classes)
        self.heads_, penalties = list[Head](), list[float]()
        for i, (own, taught) in enumerate(zip(self._parted(real.x), self._parted(rows.x), strict=True)):
            head = Head.over(own, classes)
            penalties.append(choose_penalty(head.standardise(own), real.y, real.units, weight, feed.log_prior, classes, run.seed_for("fusion", i)))
            self.heads_.append(fit_head(head, taught, rows.y, w, penalties[i], feed.log_prior).eval())
        self.share_ = self._share(real, weight, penalties, feed.log_prior, run.seed_for("shares"))
        return self

    def _parted(self, z: Float[Tensor, "n d"]) -> tuple[Tensor, ...]:
        return z.split(self.widths_, 1)

    def _share(self, real: Samples, weight: Tensor, penalties: list[float], log_prior: Tensor | None, seed: int) -> float:
        """The weight of the first side; one half where rows are too few to tell."""
        if len(real.units.unique()) < 2:
            return 0.5
        classes, parts = len(self.heads_[0].linear.bias), self._parted(real.x)
        said = torch.zeros(len(parts), len(real), classes)
        for train, held in inner_folds(real.y, real.units, FOLDS, seed):
            for i, part in enumerate(parts):
                head = fit_head(Head.over(part[train], classes), part[train], real.y[train], weight[train], penalties[i], log_prior)
                with torch.no_grad():
                    said[i, held] = head(part[held]).log_softmax(1)
        even = 1 / torch.bincount(real.y, minlength=classes)[real.y]
        losses = [-(even * fused(said, share).gather(1, real.y[:, None])[:, 0]).sum() for share in SHARES]
        return SHARES[int(torch.stack(losses).argmin())]

    def predict(self, samples: Samples) -> Float[Tensor, "n k"]:
        with torch.no_grad():
            said = torch.stack([head(part).log_softmax(1) for head, part in zip(self.heads_, self._parted(as_features(samples).x), strict=True)])
        return fused(said, self.share_).exp()

    def state(self) -> dict[str, Tensor]:
        own = {f"{i}/{k}": v for i, head in enumerate(self.heads_) for k, v in head.state_dict().items()}
        return own | {"share": torch.tensor(self.share_, dtype=torch.float64), "widths": torch.tensor(self.widths_)}

    def restore(self, data: Data, state: dict[str, Tensor]) -> "LateFusion":
        self.widths_, self.share_, self.heads_ = tuple(state["widths"].tolist()), float(state["share"]), []
        for i in range(len(self.widths_)):
            own = {k.partition("/")[2]: v for k, v in state.items() if k.startswith(f"{i}/")}
            head = Head(own["mean"], own["sd"], data.classes)
            head.load_state_dict(own)
            self.heads_.append(head.eval())
        return self


def fused(said: Float[Tensor, "s n k"], share: float) -> Float[Tensor, "n k"]:
    """Log probabilities of the sides as one, the first with this weight."""
    rest = (1 - share) / (len(said) - 1)
    weights = torch.tensor([share, *[rest] * (len(said) - 1)])
    return (said * weights[:, None, None]).sum(0).log_softmax(1)
