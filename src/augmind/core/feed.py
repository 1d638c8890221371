"""What a learner is taught from: real rows, their classical augmentation, and a bounded share of synthetic rows.

Batch t is a pure function of (feed, seed, t), so a resumed training needs to remember nothing but t.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from .plugin import Transform
from .seeds import stable_seed, stream
from .types import Codec, Samples, Spec


@dataclass(frozen=True, kw_only=True)
class Batch:
    """x (b, *shape) in model space, y (b, k) soft labels, w (b,) weights of mean about 1."""

    x: Tensor
    y: Float[Tensor, "b k"]
    w: Float[Tensor, " b"]


@dataclass(frozen=True, kw_only=True)
class Feed:
    """`share` of every batch is synthetic when there are synthetic rows.

    `views` are classically transformed copies of the real rows with features, for learners of feature space, which take
    everything at once (`table`); the others ask for batches and get transforms afresh at every step.
    """

    real: Samples
    spec: Spec
    codec: Codec
    transform: Transform
    mixing: Transform
    balance: str = "none"
    synthetic: Samples | None = None
    share: float = 0.25
    views: Samples | None = None

    @cached_property
    def counts(self) -> Tensor:
        return self.real.counts(len(self.spec.classes))

    @cached_property
    def log_prior(self) -> Tensor | None:
        """Log class frequencies of what is taught, synthetic share included, where the arm asks for logit adjustment (arXiv:2007.07314)."""
        if self.balance != "logit_adjustment":
            return None
        prior = self.counts.clamp(min=1).float() / self.counts.sum()
        if self.synthetic is not None and len(self.synthetic):
            drawn = self.synthetic.counts(len(self.counts)).float()
            prior = (1 - self.share) * prior + self.share * drawn / drawn.sum()
        return prior.log()

    @cached_property
    def class_weight(self) -> Tensor:
        """Weight per class: inversely proportional to its count under `weights`, else 1; averages 1 over real rows."""
        present = self.counts > 0
        if self.balance != "weights":
            return torch.ones(len(self.counts))
        return torch.where(present, self.counts.sum() / (present.sum() * self.counts.clamp(min=1)), 1.0)

    def _real_positions(self, t: int, size: int, seed: int) -> Tensor:
        n = len(self.real)
        if self.balance == "oversample":
            p = 1.0 / self.counts[self.real.y].float()
            return torch.multinomial(p, size, replacement=True, generator=stream(seed, "oversample", t))
        return cyclic(n, t, size, seed, "real")

    def batch(self, t: int, size: int, seed: int) -> Batch:
        """The t-th batch of `size` rows: real rows in shuffled epochs, then a fixed number of synthetic ones."""
        classes = len(self.spec.classes)
        extra = round(self.share * size) if self.synthetic is not None and len(self.synthetic) else 0
        rows = self._real_positions(t, size - extra, seed)
        x, y = self.real.x[rows], self.real.y[rows]
        if extra and self.synthetic is not None:
            more = cyclic(len(self.synthetic), t, extra, seed, "synthetic")
            x, y = torch.cat([x, self.synthetic.x[more]]), torch.cat([y, self.synthetic.y[more]])
        w = self.class_weight[y]
        soft = one_hot(y, classes).float()
        out, soft = self.transform.apply(self.spec.to_model(x), soft, stable_seed(seed, "transform", t))
        out, soft = self.mixing.apply(out, soft, stable_seed(seed, "mixing", t))
        return Batch(x=out, y=soft, w=w)

    def table(self) -> tuple[Samples, Tensor]:
        """All rows at once with weights: real rows and their views weigh 1 each in total, synthetic rows `share` of the whole."""
        rows, w = self.real, self.class_weight[self.real.y]
        if self.balance == "oversample":
            w = len(rows) / (len(self.counts) * self.counts[rows.y].float())
        if self.views is not None and len(self.views):
            copies = 1 + len(self.views) // len(self.real)
            rows, w = rows + self.views, torch.cat([w, *[w] * (copies - 1)]) / copies
        if self.synthetic is not None and len(self.synthetic):
            each = self.class_weight[self.synthetic.y]
            each = each * (w.sum() * self.share / (1 - self.share) / each.sum())
            rows, w = rows + self.synthetic, torch.cat([w, each])
        return rows, w * (len(w) / w.sum())


def cyclic(n: int, t: int, size: int, *names: object) -> Tensor:
    """Positions of the t-th batch when n rows are passed through in freshly shuffled epochs."""
    start = t * size
    epochs = range(start // n, (start + size - 1) // n + 1)
    order = torch.cat([torch.randperm(n, generator=stream(*names, e)) for e in epochs])
    return order[start - epochs[0] * n :][:size]
