"""The watchman of a training: has the generator collapsed, or does it repeat its training rows?

Both questions are asked of one small fixed draw and answered relative to the real rows, at their own scale: grids are
averaged down to at most `SIDE` x `SIDE` and standardised row by row (so brightness and contrast do not count), vectors are
standardised by the training rows. An under-trained, blurry generator is neither collapsed nor a copyist.

    AM211   mode collapse: the rows of a class are too alike, too few are distinct, or all classes look the same
    AM212   memorisation: far more rows lie next to one training row than held-out real rows do
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from augmind.core.run import Finding, Run
from augmind.core.seeds import row_seeds, stream
from augmind.core.types import Data

SIDE = 12
CLASSES, ROWS = 12, 96
"""At most so many classes and rows are drawn in one look."""
DRAWS = 40
"""Subsamples of real rows by which the limits are calibrated."""
ALIKE = 0.2
"""A spread below this part of the real rows' is a collapse; lower where the real rows' own spread varies much."""
COPY = 0.35
"""A row is a copy if its relative distance is below this part of the 5 % quantile of real rows."""


class Spread(NamedTuple):
    """How varied labelled rows are. `pairs`: mean distance within a class; `nearest`: mean distance to the nearest row of the
    same class; `apart`: mean squared distance between classes beyond that within them (0 if classes are alike)."""

    pairs: float
    nearest: float
    apart: float


MEANING = {
    "pairs": "the rows of one class are nearly the same: their mean distance is {:.0%} of that of real rows",
    "nearest": "only a few rows are distinct: the distance to the nearest one of the same class is {:.0%} of that of real rows",
    "apart": "all classes look alike: what sets them apart is {:.0%} of that of real rows",
}


def spread(z: Float[Tensor, "n d"], y: Int[Tensor, " n"]) -> Spread:
    """The spread of rows of which each class has at least two; medians over classes, so one odd class does not decide."""
    distance, same = torch.cdist(z, z), y[:, None] == y[None]
    other = same & ~torch.eye(len(y), dtype=torch.bool)
    counts = same.sum(1).float()
    first = (same.int().cumsum(1).diagonal() == 1).nonzero().squeeze(1)
    share = same[first] / counts[first, None]
    pairs = share @ (distance * other).sum(1) / (counts[first] - 1)
    nearest = share @ distance.masked_fill(~other, torch.inf).amin(1)
    squared = distance.square()
    apart = squared[~same].mean() - squared[other].mean() if len(first) > 1 else torch.zeros(())
    return Spread(pairs.median().item(), nearest.median().item(), apart.item())


@dataclass(frozen=True)
class Limits:
    """What real rows show: their mean spread, and below which part of it a generator has collapsed (0: cannot be told)."""

    real: Spread
    limit: Spread

    @classmethod
    def of(cls, z: Float[Tensor, "n d"], y: Int[Tensor, " n"], rows: int, rng: torch.Generator) -> "Limits":
        """Calibrates on subsamples of up to `rows` real rows a class; half of the worst of them bounds the limit."""
        drawn = []
        for _ in range(DRAWS):
            picked = []
            for k in y.unique():
                own = (y == k).nonzero().squeeze(1)
                picked.append(own[torch.randperm(len(own), generator=rng)[: max(2, round(0.63 * min(len(own), rows)))]])
            subset = torch.cat(picked)
            drawn.append(spread(z[subset], y[subset]))
        mean = torch.tensor(drawn).mean(0)
        low = torch.tensor(drawn).amin(0)
        limit = torch.where(mean > 0, (0.5 * low / mean).clamp(0, ALIKE), 0.0)
        return cls(Spread(*mean.tolist()), Spread(*limit.tolist()))

    def broken(self, seen: Spread) -> dict[str, float]:
        """The parts of the spread that are below their limits, relative to real rows."""
        ratios = {f: s / max(r, 1e-12) for f, s, r in zip(Spread._fields, seen, self.real, strict=True)}
        return {f: ratio for f, ratio in ratios.items() if ratio < getattr(self.limit, f)}


def novelty(z: Float[Tensor, "q d"], near: Float[Tensor, "v n d"], own: Int[Tensor, " q"] | None = None) -> Float[Tensor, " q"]:
    """Distance to the nearest reference row over the mean distance to the next five: 1 for a stranger, 0 for a copy.

    near  reference rows in several variants; a row is as near as the nearest of its variants
    own   positions of the query rows among the reference rows, to be left out of account
    """
    distance = torch.stack([torch.cdist(z, variant) for variant in near]).amin(0)
    if own is not None:
        distance[torch.arange(len(own)), own] = torch.inf
    first = distance.topk(min(6, near.shape[1] - (own is not None)), largest=False).values
    return first[:, 0] / first[:, 1:].mean(1).clamp(min=1e-12)


def binomial_bound(n: int, p: float, risk: float = 1e-3) -> int:
    """The least c with P(Binomial(n, p) > c) <= risk."""
    from scipy.stats import binom

    return int(binom.isf(risk, n, p))


@dataclass
class Watchman:
    """Looks at a fixed draw of `sample(y, seeds)` whenever it is called with a step; see `watch`."""

    sample: Callable[[Tensor, Tensor], Tensor]
    data: Data
    run: Run

    def __call__(self, step: int) -> Finding | None:
        if len(self.labels) == 0:
            return None
        with torch.no_grad():
            x = self.data.spec.to_store(self.sample(self.labels, self.seeds).cpu())
            return self.memorised(x, step) or self.collapsed(x, step)

    def collapsed(self, x: Tensor, step: int) -> Finding | None:
        """AM211 if a spread of stored rows `x`, drawn for `labels`, is below its limit and features do not contradict."""
        broken = self.limits.broken(spread(self.scaled(x), self.labels))
        if broken and self.feature_limits:
            again = self.feature_limits.broken(spread(self.data.codec.embed(x).float(), self.labels))
            broken = {f: r for f, r in broken.items() if f in again or not getattr(self.feature_limits.limit, f)}
        if not broken:
            return None
        worst = min(broken, key=lambda f: broken[f])
        said = MEANING[worst].format(max(0.0, broken[worst]))
        return self.finding("AM211", f"mode collapse at step {step}: {said}", {"step": step, **broken})

    def memorised(self, x: Tensor, step: int) -> Finding | None:
        """AM212 if more of the stored rows `x` are copies than chance allows."""
        if self.near.shape[1] < 4:
            return None
        copies = int((novelty(self.scaled(x), self.near) < self.copy_limit).sum())
        if copies <= binomial_bound(len(x), 0.02):
            return None
        said = f"memorisation at step {step}: {copies} of {len(x)} drawn rows are next to one training row"
        return self.finding("AM212", said, {"step": step, "copies": copies, "rows": len(x)})

    def finding(self, code: str, said: str, about: dict[str, Any]) -> Finding:
        return Finding(code, "problem", f"{self.run.label}: {said}" if self.run.label else said, about)

    @cached_property
    def chosen(self) -> Tensor:
        """The largest classes with at least two rows."""
        counts = self.data.train.counts(self.data.classes)
        order = counts.argsort(descending=True, stable=True)[:CLASSES]
        return order[counts[order] >= 2]

    @cached_property
    def per_class(self) -> int:
        return min(16, ROWS // max(1, len(self.chosen)))

    @cached_property
    def labels(self) -> Tensor:
        return self.chosen.repeat_interleave(self.per_class)

    @cached_property
    def seeds(self) -> Tensor:
        return row_seeds(len(self.labels), self.run.seed, "watch")

    @cached_property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Centre and scale of vectors; of grids the scale alone is used, as a floor for the contrast of a row."""
        x = self.pooled(self.data.train.x)
        if len(self.data.spec.shape) == 1:
            return x.mean(0), x.std(0).clamp(min=1e-6)
        return torch.zeros(()), x.std(1).median().clamp(min=1e-6)

    def pooled(self, x: Tensor) -> Tensor:
        """Stored rows in model space, small and flat."""
        if len(self.data.spec.shape) == 1:
            return x.float()
        height, width = self.data.spec.shape[1:]
        side = (min(SIDE, height), min(SIDE, width))
        return torch.cat([adaptive_avg_pool2d(self.data.spec.to_model(part), side).flatten(1) for part in x.split(1024)])

    def scaled(self, x: Tensor) -> Tensor:
        """Stored rows at the scale where distances are taken."""
        (centre, scale), rows = self.moments, self.pooled(x)
        if len(self.data.spec.shape) == 1:
            return (rows - centre) / scale
        return (rows - rows.mean(1, keepdim=True)) / rows.std(1, keepdim=True).clamp(min=0.1 * scale)

    @cached_property
    def near(self) -> Tensor:
        """Training rows and their variants (v, n, d)."""
        x = self.data.train.x
        return torch.stack([self.scaled(v) for v in (self.data.codec.variants(x) if x.ndim > 2 else [x])])

    @cached_property
    def copy_limit(self) -> float:
        rows = torch.randperm(self.near.shape[1], generator=stream(self.run.seed, "watch rows"))[:256]
        return COPY * novelty(self.near[0][rows], self.near, own=rows).quantile(0.05).item()

    def calibrated(self, z: Tensor) -> Limits:
        seen = torch.isin(self.data.train.y, self.chosen)
        return Limits.of(z[seen], self.data.train.y[seen], self.per_class, stream(self.run.seed, "watch limits"))

    @cached_property
    def limits(self) -> Limits:
        return self.calibrated(self.near[0])

    @cached_property
    def feature_limits(self) -> Limits | None:
        """The same by features, or None where rows are vectors already or carry no features."""
        if len(self.data.spec.shape) == 1 or self.data.train.z is None:
            return None
        return self.calibrated(self.data.train.z.float())


def watch(sample: Callable[[Tensor, Tensor], Tensor], data: Data, run: Run) -> Watchman:
    """A watchman for `core.loop.descend(watch=...)`: watchman(step) gives a `Finding`, or None while all is well.

    sample  (y (n,), seeds (n,)) -> rows (n, *shape) in model space from the network's present state; called without
            gradients, it may put networks into eval mode, so a training step must put them back.
    """
    return Watchman(sample, data, run)
