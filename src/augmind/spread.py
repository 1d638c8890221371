"""How far a mean over test rows and training seeds may be from what fresh rows and fresh trainings would give.

The values are a table of rows x seeds, crossed: every seed's model sees the same test rows, so neither the rows nor the seeds
may be counted as if they were independent of each other. Three variances add up:

    rows    between the row means (averaged over seeds), class by class; holds the row x seed interaction once. Where rows belong
            together (a subject, near duplicates): between the units of a class, if larger, and what units have in common over classes
    seeds   between the seed means, less the share of the interaction that the rows already hold
    folds   cross-validation only: what folds differ beyond their rows, for the trainings that they share

Few seeds or folds say little about their own variance, so each variance brings its own Student quantile and the quantiles are
averaged with the variances as weights (Cochran and Cox 1950). `docs/decisions/0002-verdict-statistics.md` compares the choices.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

BORROWED = 2.0
"""Degrees of freedom that each class borrows from all: three rows of a rare class that agree by chance prove nothing."""
DOUBT = 3.0
"""Rows of disagreement that are added where none was seen, fewer where some were: n rows alike leave up to 3/n unlike ones unseen
(Hanley and Lippman-Hand 1983)."""
TRAINING = 0.25
"""Variance that overlapping trainings of cross-validation share, per variance of the rows; measured 0 to 0.12 (0002)."""
POWER = 0.8


class Component(NamedTuple):
    """A part of the variance and the degrees of freedom that it was estimated with."""

    variance: float
    df: float


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A mean with its interval.

    se            standard error from all components
    df            degrees of freedom of the Student t with the same quantile
    low, high     two-sided interval
    p             two-sided, against a mean of zero
    certifiable   half-width of the interval: a smaller mean cannot be told from zero
    detectable    the true mean that would be told from zero in 80 % of repetitions
    """

    estimate: float
    se: float
    df: float
    low: float
    high: float
    p: float
    certifiable: float
    detectable: float


def spread(
    values: Float[np.ndarray, "n s"],
    strata: Int[np.ndarray, " n"],
    folds: Int[np.ndarray, "n *s"] | None = None,
    level: float = 0.95,
    units: Int[np.ndarray, " n"] | None = None,
) -> Spread:
    """The mean of `values` (range about -1..1) over seeds and, with equal weight for each stratum present, over rows.

    `folds` gives the fold of each row where its training never saw it (cross-validation), else None: one training set. Repeated
    cross-validation has a column of folds for each column of `values`; those of one repetition are averaged and count once.
    Rows of one unit (a subject, near duplicates) are not independent: see `units_parts`.
    """
    estimate, rows, others = parts_of(values, strata, folds, units)
    return combined(estimate, [*rows, *others], level)


def units_needed(
    values: Float[np.ndarray, "n s"],
    strata: Int[np.ndarray, " n"],
    folds: Int[np.ndarray, "n *s"] | None,
    units: Int[np.ndarray, " n"],
    level: float = 0.95,
    most: int = 100,
) -> int | None:
    """How many units like these would put the interval of this mean above zero, None if not even `most`. Seeds and folds stay as they are."""
    estimate, rows, others = parts_of(values, strata, folds, units)
    have = len(np.unique(units))
    for count in range(have + 1, most + 1):
        more = count / have
        scaled = [Component(part.variance / more, part.df * more if i == 0 else count - 1.0) for i, part in enumerate(rows)]
        if combined(estimate, [*scaled, *others], level).low > 0:
            return count
    return None


def parts_of(
    values: Float[np.ndarray, "n s"], strata: Int[np.ndarray, " n"], folds: Int[np.ndarray, "n *s"] | None, units: Int[np.ndarray, " n"] | None
) -> tuple[float, list[Component], list[Component]]:
    """The mean, the parts of its variance that test rows bring, and those that seeds and folds bring."""
    if folds is not None and folds.ndim == 2:
        _, first, of = np.unique(folds, axis=1, return_index=True, return_inverse=True)
        values, folds = np.stack([values[:, of == r].mean(1) for r in range(len(first))], 1), folds[:, first]
    _, stratum, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    weights = 1 / (len(sizes) * sizes[stratum])
    rows = [rows_part(values.mean(1), stratum, sizes)]
    if units is not None and len(np.unique(units)) < len(units):
        rows = units_parts(values.mean(1), stratum, sizes, weights, units, rows[0])
    seeds = seeds_part(values, stratum, sizes, weights)
    others = [seeds]
    if folds is not None:
        others.append(beyond_rows(values, stratum, sizes, weights, folds, sum(part.variance for part in rows), seeds.variance))
        rows = [Component(part.variance * (1 + TRAINING), part.df) for part in rows]
    return float(weights @ values.mean(1)), rows, others


def class_means(x: Float[np.ndarray, "n ..."], stratum: Int[np.ndarray, " n"], sizes: Int[np.ndarray, " k"]) -> Float[np.ndarray, "k ..."]:
    sums = np.zeros((len(sizes), *x.shape[1:]))
    np.add.at(sums, stratum, x)
    return sums / sizes.reshape(-1, *[1] * (x.ndim - 1))


def off_class(x: Float[np.ndarray, " n"], stratum: Int[np.ndarray, " n"], sizes: Int[np.ndarray, " k"]) -> Float[np.ndarray, " n"]:
    """How far each value is from the mean of its class."""
    return x - class_means(x, stratum, sizes)[stratum]


def borrow(squares: Float[np.ndarray, " k"], df: Float[np.ndarray, " k"], pooled: float) -> Float[np.ndarray, " k"]:
    """Variance per class from its sum of squares, drawn towards the pooled one as if `BORROWED` more degrees had shown it."""
    return (squares + BORROWED * pooled) / (df + BORROWED)


def rows_part(mean: Float[np.ndarray, " n"], stratum: Int[np.ndarray, " n"], sizes: Int[np.ndarray, " k"]) -> Component:
    """Sampling of test rows, stratified by class; rows of disagreement that may have been missed are dealt to the classes by size."""
    squares = np.bincount(stratum, off_class(mean, stratum, sizes) ** 2)
    df = sizes - 1.0
    pooled = (squares.sum() + 1) / (df.sum() + 1)
    each = borrow(squares + DOUBT / (1 + squares.sum() / (2 * DOUBT)) * sizes / sizes.sum(), df, pooled) / sizes / len(sizes) ** 2
    return Component(float(each.sum()), float(each.sum() ** 2 / (each**2 / (df + BORROWED)).sum()))


def units_parts(
    mean: Float[np.ndarray, " n"],
    stratum: Int[np.ndarray, " n"],
    sizes: Int[np.ndarray, " k"],
    weights: Float[np.ndarray, " n"],
    units: Int[np.ndarray, " n"],
    rows: Component,
) -> list[Component]:
    """The variance of rows that belong together, in two parts, each with its degrees of freedom.

    The first is between the units of each class, or between rows where that is larger. The second is what units have in common over the
    classes, from the products of a unit's deviations in different classes; a part of the first is added, half of it for two units, a quarter
    for three, since few units show it poorly (simulated, 0002). Units of a single class have no second part.
    """
    cells, cell = np.unique(np.stack([stratum, np.unique(units, return_inverse=True)[1]]), axis=1, return_inverse=True)
    own = np.bincount(cell, weights * off_class(mean, stratum, sizes))
    of_class, unit = np.bincount(cells[0]), cells[1]
    squares = own**2 * (of_class / np.maximum(1, of_class - 1))[cells[0]]
    base = max(rows, Component(float(squares.sum()), max(1.0, float(len(own) - len(sizes)))), key=lambda part: part.variance)
    classes, sums = np.bincount(unit), np.bincount(unit, own)
    crossed = classes > 1
    shared, u = float((sums**2 - np.bincount(unit, own**2))[crossed].sum()), int(crossed.sum())
    if u < 2:
        return [base]
    kept = base.variance * squares[crossed[unit]].sum() / max(squares.sum(), 1e-300)
    return [base, Component(max(0.0, shared * u / (u - 1) + kept / (2 * (u - 1))), u - 1.0)]


def doubt(strata: Int[np.ndarray, " n"]) -> float:
    """The variance of a mean over rows that all agree."""
    _, stratum, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    return rows_part(np.zeros(len(strata)), stratum, sizes).variance


def seeds_part(
    values: Float[np.ndarray, "n s"], stratum: Int[np.ndarray, " n"], sizes: Int[np.ndarray, " k"], weights: Float[np.ndarray, " n"]
) -> Component:
    """Training randomness; (s-1)/s of the interaction is taken off: all of it would leave too little when s = 2."""
    s = values.shape[1]
    if s == 1:
        return Component(0.0, 1.0)
    total = float((weights @ values).var(ddof=1) / s)
    centred = values - values.mean(1, keepdims=True)
    squares = np.bincount(stratum, ((centred - class_means(centred, stratum, sizes)[stratum]) ** 2).sum(1))
    df = (sizes - 1.0) * (s - 1)
    pooled = squares.sum() / max(1.0, df.sum())
    interaction = float((borrow(squares, df, pooled) / sizes).sum() / len(sizes) ** 2 / s)
    return Component(max(0.0, total - (s - 1) / s * interaction), s - 1.0)


def beyond_rows(
    values: Float[np.ndarray, "n s"],
    stratum: Int[np.ndarray, " n"],
    sizes: Int[np.ndarray, " k"],
    weights: Float[np.ndarray, " n"],
    folds: Int[np.ndarray, "n *s"],
    rows: float,
    seeds: float,
) -> Component:
    """What folds show beyond rows and seeds. Repetitions train on much the same rows, so their mean is not taken to know more than one of them."""
    if folds.ndim == 1:
        whole = folds_part(values.mean(1), stratum, sizes, weights, folds)
        return Component(max(0.0, whole.variance - (1 + TRAINING) * rows - seeds), whole.df)
    each = [(folds_part(v, stratum, sizes, weights, f), rows_part(v, stratum, sizes)) for v, f in zip(values.T, folds.T, strict=True)]
    return Component(float(np.mean([max(0.0, w.variance - (1 + TRAINING) * r.variance) for w, r in each])), each[0][0].df)


def folds_part(
    mean: Float[np.ndarray, " n"],
    stratum: Int[np.ndarray, " n"],
    sizes: Int[np.ndarray, " k"],
    weights: Float[np.ndarray, " n"],
    folds: Int[np.ndarray, " n"],
) -> Component:
    """The whole variance as the folds show it: squared sums of each fold's weighted deviations from the class means."""
    _, fold = np.unique(folds, return_inverse=True)
    sums = np.bincount(fold, weights * off_class(mean, stratum, sizes))
    f = len(sums)
    return Component(float((sums**2).sum() * f / (f - 1)), f - 1.0) if f > 1 else Component(0.0, 1.0)


def combined(estimate: float, parts: list[Component], level: float) -> Spread:
    """Interval and p from independent components by the weighted quantile."""
    from scipy.special import stdtr, stdtrit

    parts = [p for p in parts if p.variance > 0]
    variance = sum(p.variance for p in parts)
    tail = (1 + level) / 2
    quantile = float(sum(p.variance * stdtrit(p.df, tail) for p in parts) / variance)
    df = equivalent_df(quantile, tail, [p.df for p in parts])
    se = variance**0.5
    return Spread(
        estimate=estimate,
        se=se,
        df=df,
        low=estimate - quantile * se,
        high=estimate + quantile * se,
        p=float(2 * stdtr(df, -abs(estimate) / se)),
        certifiable=quantile * se,
        detectable=(quantile + float(stdtrit(df, POWER))) * se,
    )


def equivalent_df(quantile: float, tail: float, dfs: list[float]) -> float:
    """The degrees of freedom whose Student t has this quantile; between the least and the most of `dfs`."""
    from scipy.special import stdtrit

    low, high = 1 / max(dfs), 1 / min(dfs)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if stdtrit(1 / middle, tail) < quantile else (low, middle)
    return 2 / (low + high)
