"""A linear probe: multinomial logistic regression on pretrained features, fitted to the optimum in seconds."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from augmind.core.feed import Feed
from augmind.core.plugin import Learner, Space
from augmind.core.run import Run
from augmind.core.tune import tune
from augmind.core.types import Data, Knowledge, Samples, as_features
from augmind.nn.calibrated import Calibrated
from augmind.nn.gaussian import ClassGaussian
from augmind.nn.heads import Head, choose_penalty, fit_head
from augmind.nn.isda import Clouds

BORROWED = 1.0
"""Weight of the differences that a related dataset lends."""
RANK = 128
"""Directions in which the Gaussians that rows may stand for have variances of their own."""


@dataclass(kw_only=True)
class Probe(Learner):
    """Rows must carry their features `z`. `penalty` 0: chosen by cross-validation on the real rows alone.

    Consistency is a convex penalty here: weight * mean ||W (z - z')||^2 over the pairs of the feed, the mean square of the
    differences of their logits, whatever `loss` says. It bounds both: KL(p || p') <= ||difference||^2 / 4. All is minimised at
    once, so nothing needs a ramp or a stopped gradient.

    A related dataset lends how rows of one class vary, as the covariance of linear discriminant analysis would: the same penalty, with the
    differences of its rows from the means of their classes.

    Rows that stand for Gaussians (`Feed.spread`) cost the bound of `nn.isda`; the Gaussians are fitted to the real rows as the head sees them.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"continuous", "tokens"})
    axes: ClassVar[tuple[int, ...]] = (1, 2, 3)
    space: ClassVar[Space] = "features"
    borrows: ClassVar[bool] = True
    spreads: ClassVar[bool] = True
    knowledge: ClassVar[Knowledge] = Knowledge.pretrained
    ignores: ClassVar[frozenset[str]] = frozenset({"loss", "ramp"})

    penalty: float = tune(0.0, 0.0, 1.0)

    def fit(self, feed: Feed, run: Run) -> "Probe":
        self.require(feed.spec)
        classes = len(feed.spec.classes)
        real, (rows, w) = as_features(feed.real), feed.features_table(run.seed_for("mixing"))
        head, prior = Head.over(real.x, classes), None if feed.log_prior is None else feed.log_prior[:classes]
        self.penalty_ = self.penalty or choose_penalty(
            head.standardise(real.x), real.y, real.units, feed.class_weight[real.y], prior, classes, run.seed_for("probe")
        )
        apart, weight = together(
            (differences(feed), feed.consistency.weight if feed.consistency else 0.0),
            (deviations(as_features(feed.source)) if feed.source is not None else None, BORROWED),
        )
        clouds = None
        if feed.spread is not None:
            rows, w, clouds = spread(feed, head, rows, w)
        self.head_ = fit_head(head, rows.x, rows.y, w, self.penalty_, prior, apart, weight, clouds).eval()
        return self

    def predict(self, samples: Samples) -> Float[Tensor, "n k"]:
        with torch.no_grad():
            return self.head_(as_features(samples).x).softmax(1)

    def state(self) -> dict[str, Tensor]:
        return self.head_.state_dict() | {"penalty": torch.tensor(self.penalty_, dtype=torch.float64)}

    def restore(self, data: Data, state: dict[str, Tensor]) -> "Probe":
        tensors = dict(state)
        self.penalty_ = float(tensors.pop("penalty"))
        self.head_ = Head(tensors["mean"], tensors["sd"], data.classes).eval()
        self.head_.load_state_dict(tensors)
        return self


def spread(feed: Feed, head: Head, rows: Samples, w: Float[Tensor, " n"]) -> tuple[Samples, Float[Tensor, " m"], Clouds]:
    """Rows with weights and the Gaussians that they stand for, as `Feed.spread` says; the means of classes after them where it asks for these."""
    told, classes = feed.spread, len(feed.spec.classes)
    assert told is not None
    real = as_features(feed.real)
    known = real if feed.source is None else real + as_features(feed.source)
    kind = Calibrated.fit if told.covariance == "calibrated" else shared
    gaussian = kind(head.standardise(known.x), known.y, classes, RANK)
    if told.around == "rows":
        return rows, w, Clouds(gaussian=gaussian, strength=torch.full((len(rows),), told.strength))
    counts = real.counts(classes)
    present = (counts > 0).nonzero()[:, 0]
    means = torch.stack([real.x[real.y == k].mean(0) for k in present.tolist()])
    each = w.sum() * told.share / (1 - told.share) * feed.class_weight[present] * counts[present] / len(real)
    strength = torch.cat([torch.zeros(len(rows)), torch.full((len(present),), told.strength)])
    rows, w = rows + Samples.real(means, present, z=means), torch.cat([w, each])
    return rows, w * (len(w) / w.sum()), Clouds(gaussian=gaussian, strength=strength)


def shared(x: Float[Tensor, "n d"], y: Int[Tensor, " n"], classes: int, rank: int) -> Calibrated:
    return Calibrated.shared(ClassGaussian.fit(x, y, classes, rank))


def differences(feed: Feed) -> Float[Tensor, "m d"] | None:
    """Of the features of each pair that consistency joins."""
    pairs = feed.pairs()
    return None if pairs is None else as_features(pairs[0]).x - as_features(pairs[1]).x


def together(*penalties: tuple[Float[Tensor, "_ d"] | None, float]) -> tuple[Float[Tensor, "n d"] | None, float]:
    """Rows and a weight whose mean square costs what those of all `penalties` that have rows cost together."""
    there = [(rows, weight) for rows, weight in penalties if rows is not None and len(rows)]
    if len(there) < 2:
        return there[0] if there else (None, 0.0)
    many = sum(len(rows) for rows, _ in there)
    return torch.cat([rows * (weight * many / len(rows)) ** 0.5 for rows, weight in there]), 1.0


def deviations(rows: Samples) -> Float[Tensor, "n d"]:
    """Of each row from the mean of its class."""
    counts = rows.counts(int(rows.y.max()) + 1).clamp(min=1)
    means = torch.zeros(len(counts), rows.x.shape[1]).index_add_(0, rows.y, rows.x) / counts[:, None]
    return rows.x - means[rows.y]
