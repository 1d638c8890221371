"""How sure a metric's value is, given that both sets are samples."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.plugin import Metric
from augmind.core.run import Finding
from augmind.core.seeds import stream

NORMAL = 1.959964
LARGEST = 1000
"""Rows of the larger set in a subsample of large sets."""
ENOUGH = 50
"""Rows of the smaller set in a subsample, where it has twice as many."""


class Interval(NamedTuple):
    """A value with a 95 % interval; NaN where there are too few rows."""

    value: float
    low: float
    high: float


def bootstrap(
    metrics: Mapping[str, Metric], real: Float[Tensor, "n d"], synthetic: Float[Tensor, "m d"], *, resamples: int = 40, seed: int = 0
) -> tuple[dict[str, Interval], list[Finding]]:
    """Each metric's value with a 95 % interval, and what to beware of: AM501 too few rows, AM502 biased by few rows, AM503 no interval.

    Rows drawn with replacement would put copies at distance zero, which shrinks neighbour radii and covariances. So a share f
    of each set's rows is drawn without replacement, and the spread of the metric over such subsamples is scaled by
    sqrt(f / (1 - f)): exact for averages, asymptotically right for smooth statistics (Politis and Romano, 1994). f is 1/2, or
    less for sets above 2,000 rows. The interval is value +- 1.96 spreads within the metric's limits. It tells the sampling
    error at this number of rows, not the bias that few rows cause. A metric needs twice its least number of rows for it.
    """
    values = {name: metric.measure(real, synthetic) for name, metric in metrics.items()}
    drawn: dict[str, list[float]] = {name: [] for name, value in values.items() if not math.isnan(value)}
    share = _share(len(real), len(synthetic))
    for r in range(resamples if drawn else 0):
        some, other = _part(real, share, seed, "real", r), _part(synthetic, share, seed, "synthetic", r)
        for name, so_far in drawn.items():
            so_far.append(metrics[name].measure(some, other))
    scale = math.sqrt(share / (1 - share))
    intervals = {name: _interval(metric, values[name], drawn.get(name, []), scale) for name, metric in metrics.items()}
    return intervals, _remarks(intervals, real, synthetic)


def _share(n: int, m: int) -> float:
    """The part of each set in a subsample: at most a half, and enough rows of the smaller set."""
    return min(0.5, max(LARGEST / max(n, m), ENOUGH / max(1, min(n, m))))


def _part(rows: Tensor, share: float, *names: object) -> Tensor:
    return rows[torch.randperm(len(rows), generator=stream("subsample", *names))[: round(share * len(rows))]]


def _interval(metric: Metric, value: float, drawn: list[float], scale: float) -> Interval:
    if len(drawn) < 2:
        return Interval(value, math.nan, math.nan)
    spread = float(torch.tensor(drawn, dtype=torch.float64).std())
    if math.isnan(spread):
        return Interval(value, math.nan, math.nan)
    low, high = metric.limits
    return Interval(value, max(low, value - NORMAL * scale * spread), min(high, value + NORMAL * scale * spread))


def _remarks(intervals: Mapping[str, Interval], real: Tensor, synthetic: Tensor) -> list[Finding]:
    counts = {"real": len(real), "synthetic": len(synthetic)}
    unknown = [name for name, found in intervals.items() if math.isnan(found.value)]
    findings = []
    if unknown:
        text = f"too few rows for {', '.join(unknown)}: {len(real)} real and {len(synthetic)} synthetic"
        findings.append(Finding("AM501", "warning", text, counts | {"metrics": unknown}))
    bare = [name for name, found in intervals.items() if math.isnan(found.low) and name not in unknown]
    if bare:
        text = f"too few rows for an interval of {', '.join(bare)}: {len(real)} real and {len(synthetic)} synthetic; twice its least number is needed"
        findings.append(Finding("AM503", "info", text, counts | {"metrics": bare}))
    fewest, features = min(counts.values()), real.shape[1]
    if "frechet" in intervals and "frechet" not in unknown and fewest <= features:
        text = f"the Frechet distance is biased upwards with {fewest} rows for {features} features: compare it between sets of equal size only"
        findings.append(Finding("AM502", "info", text, counts | {"features": features}))
    return findings
