"""What a learner is taught from: real rows, their classical augmentation, and a bounded share of synthetic rows.

Batch t is a pure function of (feed, seed, t), so a resumed training needs to remember nothing but t.
"""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot, pad

from .plugin import Transform
from .seeds import stable_seed, stream
from .types import Codec, Samples, Spec, as_features

LENT = 0.5
"""The part of every batch that comes from a related dataset where there is one."""
ROUNDS = 4
"""How many times over a table of features is mixed."""
LEAST = 0.01
"""Parts of a soft label below this are left out of a table, where each part is a row of its own."""


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """A second term of the objective: E[L(f(T(x)), y)] + weight * E[distance(f(T(x)), f(partner of x))].

    weight   of the distance beside the supervised loss
    loss     the distance of two predictions (see `nn.consistency`)
    ramp     part of the steps over which the weight rises to its full size; 0: full at once
    partner  "transform": the row as it is, before any transform. "synthetic": for a real row the synthetic row of its
             class nearest to it in features; the row as it is where its class has none, and for a synthetic row
    """

    weight: float
    loss: Literal["kl", "mse"] = "kl"
    ramp: float = 0.3
    partner: Literal["transform", "synthetic"] = "transform"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The synthetic part of a batch over a training of `steps`: a straight line through `Feed.share` at its middle.

    "falling" goes from twice the share to none, "rising" the other way; where the share is above one half, the line is as steep
    as a full batch allows. Over the whole training as many synthetic rows are seen as with a fixed share.
    """

    course: Literal["falling", "rising"]
    steps: int

    def share(self, t: int, middle: float) -> float:
        """The synthetic part of the t-th batch."""
        swing = min(middle, 1 - middle) * (1 - 2 * min(1.0, t / max(1, self.steps - 1)))
        return middle + (swing if self.course == "falling" else -swing)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Rows stand for Gaussians of the covariance of their class, and are not sampled: an upper bound of what infinitely many draws would cost.

    strength    of the covariance
    covariance  "shared" by all classes, or "calibrated": each class its own as far as its rows carry it (see `nn.calibrated`)
    around      "rows": every row that is taught is the centre of one (arXiv:1909.12220). "means": real rows stay what they are, and the mean of
                each class stands for what a Gaussian around it would draw, as often as the class has rows, all of them `share` of the whole
    """

    strength: float
    covariance: Literal["shared", "calibrated"] = "shared"
    around: Literal["rows", "means"] = "rows"
    share: float = 0.25


@dataclass(frozen=True, kw_only=True)
class Batch:
    """x (b, *shape) in model space, y (b, k) soft labels, w (b,) weights of mean about 1.

    Where the feed asks for consistency, row i of `view` and of `anchor` (both like x) show the same example twice: transformed,
    but not mixed, and as its partner. A mixed row has no example of its own, so mixing leaves them alone; `view` is `x` itself
    where nothing was mixed. Both are None without consistency, and where they would be equal.
    """

    x: Tensor
    y: Float[Tensor, "b k"]
    w: Float[Tensor, " b"]
    view: Tensor | None = None
    anchor: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Feed:
    """`share` of every batch is synthetic when there are synthetic rows; under a `schedule`, on average.

    `views` are classically transformed copies of the real rows with features, for learners of feature space, which take
    everything at once (`table`); the others ask for batches and get transforms afresh at every step. `named` rows, made of the class
    names, are learnt like real ones, but no choice is made on them.

    `source` holds rows of a related dataset (see `Data`): `LENT` of every batch, its classes being further ones; `share` is of what is left then.
    `begun` is the state of a learner of the same settings that learnt from these rows alone.
    """

    real: Samples
    spec: Spec
    codec: Codec
    transform: Transform
    mixing: Transform
    balance: str = "none"
    synthetic: Samples | None = None
    share: float = 0.25
    schedule: Schedule | None = None
    views: Samples | None = None
    named: Samples | None = None
    consistency: Consistency | None = None
    spread: Spread | None = None
    source: Samples | None = None
    begun: dict[str, Tensor] | None = None

    @property
    def outputs(self) -> int:
        """How many classes batches have: those of the dataset, then those of the source."""
        return len(self.spec.classes) if self.source is None else int(self.source.y.max()) + 1

    @cached_property
    def pool(self) -> Samples:
        """The rows that batches draw from beside the synthetic ones: real and named."""
        return self.real if self.named is None else self.real + self.named

    @cached_property
    def counts(self) -> Tensor:
        return self.real.counts(self.outputs)

    @cached_property
    def log_prior(self) -> Tensor | None:
        """Log class frequencies of what is taught, synthetic share included, where the arm asks for logit adjustment (arXiv:2007.07314)."""
        if self.balance != "logit_adjustment":
            return None
        prior = self.counts.clamp(min=1).float() / self.counts.sum()
        if self.synthetic is not None and len(self.synthetic):
            drawn = masses(self.synthetic, slice(None), self.outputs).sum(0)
            prior = (1 - self.share) * prior + self.share * drawn / drawn.sum()
        if self.source is not None:
            prior = (1 - LENT) * prior + LENT * self.source.counts(self.outputs) / len(self.source)
        return prior.log()

    @cached_property
    def class_weight(self) -> Tensor:
        """Weight per class: inversely proportional to its count under `weights`, else 1; averages 1 over real rows."""
        present = self.counts > 0
        if self.balance != "weights":
            return torch.ones(len(self.counts))
        return torch.where(present, self.counts.sum() / (present.sum() * self.counts.clamp(min=1)), 1.0)

    def _real_positions(self, t: int, start: int, size: int, seed: int) -> Tensor:
        if self.balance == "oversample":
            p = 1.0 / self.counts[self.pool.y].clamp(min=1).float()
            return torch.multinomial(p, size, replacement=True, generator=stream(seed, "oversample", t))
        return passing(len(self.pool), start, size, seed, "real")

    def _synthetic_part(self, t: int, size: int) -> tuple[int, int]:
        """How many synthetic rows all batches before the t-th had, and how many it has; at least one row of a batch is real."""
        if self.synthetic is None or not len(self.synthetic):
            return 0, 0
        if self.schedule is None:
            each = round(self.share * size)
            return t * each, each
        until = cumulated(self.schedule, self.share, size)
        return until[t], until[t + 1] - until[t]

    @cached_property
    def nearest(self) -> Int[Tensor, " n"]:
        """For every row of the pool the position of the synthetic row of its class nearest in features; -1 where its class has none."""
        out = torch.full((len(self.pool),), -1)
        if self.synthetic is not None and len(self.synthetic):
            z, others = (self.codec.embed(s.x) if s.z is None else s.z for s in (self.pool, self.synthetic))
            for k in self.synthetic.y.unique():
                mine, theirs = (self.pool.y == k).nonzero().squeeze(1), (self.synthetic.y == k).nonzero().squeeze(1)
                out[mine] = theirs[torch.cdist(z[mine], others[theirs]).argmin(1)]
        return out

    def batch(self, t: int, size: int, seed: int) -> Batch:
        """The t-th batch of `size` rows: real and named rows in shuffled epochs, then the synthetic ones, then those of the source."""
        lent = 0 if self.source is None else round(LENT * size)
        size -= lent
        before, extra = self._synthetic_part(t, size)
        rows = self._real_positions(t, t * size - before, size - extra, seed)
        x, y, mass = self.pool.x[rows], self.pool.y[rows], masses(self.pool, rows, self.outputs)
        if extra and self.synthetic is not None:
            more = passing(len(self.synthetic), before, extra, seed, "synthetic")
            x, y = torch.cat([x, self.synthetic.x[more]]), torch.cat([y, self.synthetic.y[more]])
            mass = torch.cat([mass, masses(self.synthetic, more, self.outputs)])
        if self.source is not None:
            more = passing(len(self.source), t * lent, lent, seed, "source")
            x, y = torch.cat([x, self.source.x[more]]), torch.cat([y, self.source.y[more]])
            mass = torch.cat([mass, masses(self.source, more, self.outputs)])
        weight = mass.sum(1)
        plain, soft, w = self.spec.to_model(x), mass / weight[:, None], self.class_weight[y] * weight
        view, soft = self.transform.apply(plain, soft, stable_seed(seed, "transform", t))
        out, soft = self.mixing.apply(view, soft, stable_seed(seed, "mixing", t))
        anchor = self._anchor(plain, rows)
        if anchor is None or torch.equal(anchor, view):
            return Batch(x=out, y=soft, w=w)
        return Batch(x=out, y=soft, w=w, view=out if torch.equal(out, view) else view, anchor=anchor)

    def _anchor(self, plain: Tensor, rows: Tensor) -> Tensor | None:
        """The partners of a batch, whose first rows are these real ones, in model space."""
        if self.consistency is None or self.consistency.partner == "transform" or self.synthetic is None or not len(self.synthetic):
            return None if self.consistency is None else plain
        near = self.nearest[rows]
        has = (near >= 0).nonzero().squeeze(1)
        return plain.index_copy(0, has, self.spec.to_model(self.synthetic.x[near[has]]))

    def pairs(self) -> tuple[Samples, Samples] | None:
        """All pairs that consistency joins, for learners that take everything at once; None without any.

        Partner "transform": a transformed copy in `views` and its row. Partner "synthetic": a real row and its nearest
        synthetic row.
        """
        if self.consistency is None:
            return None
        if self.consistency.partner == "synthetic":
            has = (self.nearest[: len(self.real)] >= 0).nonzero().squeeze(1)
            return (self.real.take(has), self.synthetic.take(self.nearest[has])) if self.synthetic is not None and len(has) else None
        if self.views is None or not len(self.views):
            return None
        return self.views, self.real.take(torch.arange(len(self.views)) % len(self.real))

    def _even(self, y: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Weights of rows of these classes in a table, where oversampling is a weight as well."""
        if self.balance == "oversample":
            return len(self.real) / (len(self.counts) * self.counts[y].clamp(min=1).float())
        return self.class_weight[y]

    def table(self) -> tuple[Samples, Tensor]:
        """All rows at once with weights: real rows with their views, and named rows, weigh 1 each, synthetic rows `share` of the whole.

        A row of a soft label stands there once for each class of it.
        """
        rows, w = self.real, self._even(self.real.y)
        if self.views is not None and len(self.views):
            copies = 1 + len(self.views) // len(self.real)
            rows, w = rows + self.views, torch.cat([w, *[w] * (copies - 1)]) / copies
        if self.named is not None:
            rows, w = rows + self.named, torch.cat([w, self._even(self.named.y)])
        if self.synthetic is not None and len(self.synthetic):
            extra, each = parted(self.synthetic)
            each = each * self.class_weight[extra.y]
            each = each * (w.sum() * self.share / (1 - self.share) / each.sum())
            rows, w = rows + extra, torch.cat([w, each])
        return rows, w * (len(w) / w.sum())

    def features_table(self, seed: int) -> tuple[Samples, Tensor]:
        """`table` of rows whose values are their features, mixed `ROUNDS` times where something mixes them.

        A row of two labels stands there twice, which is the cross-entropy with a soft label; each label brings the weight of the row it comes from.
        """
        rows, w = self.table()
        rows = as_features(rows)
        if self.mixing.name() == "none":
            return rows, w
        weighed, found = one_hot(rows.y, len(self.spec.classes)) * w[:, None], list[tuple[Tensor, ...]]()
        for i in range(ROUNDS):
            x, y = self.mixing.apply(rows.x, weighed, stable_seed(seed, "mixing", i))
            at, label = y.nonzero(as_tuple=True)
            found.append((at, label, x[at], y[at, label] / ROUNDS))
        at, label, x, weight = (torch.cat(parts) for parts in zip(*found, strict=True))
        return replace(rows.take(at), x=x, z=x, y=label), weight


def masses(rows: Samples, at: Tensor | slice, classes: int) -> Float[Tensor, "m k"]:
    """How much of each class these rows count for: one of their own, or what `Samples.soft` says."""
    if rows.soft is None:
        return one_hot(rows.y[at], classes).float()
    return pad(rows.soft[at], (0, classes - rows.soft.shape[1]))


def parted(rows: Samples) -> tuple[Samples, Float[Tensor, " m"]]:
    """Rows of one label each, with weights: those of a soft label once for each class of it."""
    if rows.soft is None:
        return rows, torch.ones(len(rows))
    at, label = (rows.soft > LEAST * rows.soft.sum(1, keepdim=True)).nonzero(as_tuple=True)
    return replace(rows.take(at), y=label, soft=None), rows.soft[at, label]


@lru_cache
def cumulated(schedule: Schedule, middle: float, size: int) -> tuple[int, ...]:
    """How many synthetic rows the batches before the t-th have, for every t."""
    return (0, *accumulate(min(size - 1, round(schedule.share(t, middle) * size)) for t in range(schedule.steps)))


def cyclic(n: int, t: int, size: int, *names: object) -> Tensor:
    """Positions of the t-th batch when n rows are passed through in freshly shuffled epochs."""
    return passing(n, t * size, size, *names)


def passing(n: int, start: int, size: int, *names: object) -> Tensor:
    """`size` positions, the first of them the `start`-th, when n rows are passed through in freshly shuffled epochs."""
    epochs = range(start // n, (start + size - 1) // n + 1)
    order = torch.cat([torch.randperm(n, generator=stream(*names, e)) for e in epochs])
    return order[start - epochs[0] * n :][:size]
