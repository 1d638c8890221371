"""Error rates and power of the verdict's test, on simulated and on trained comparisons.

    python -m benchmarks.nulls             all parts, about 16 minutes on one busy core
    python -m benchmarks.nulls real        one part: coverage, holdout, cv, methods, real, once, shared, power, arms, units, groups,
                                           growth or searched

"use it" is the share of comparisons whose 95 % interval lies above zero; under a null it may not exceed 5 % and aims at 2.5 %.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from scipy.stats import binomtest, norm, t

from augmind.core.seeds import stable_seed
from augmind.core.types import Choice, Classical, Policy
from augmind.fairness import Widening, by_group, compared, widening
from augmind.figures import Predictions
from augmind.growth import fit_law, further, worth
from augmind.search.winner import Trial, winner
from augmind.spread import Spread, spread

BALANCED = (1, 1, 1)
IMBALANCED = (50, 30, 12, 5, 3)


def rng(*names: object) -> np.random.Generator:
    return np.random.default_rng(stable_seed("nulls", *names))


def labels(n: int, prior: tuple[int, ...]) -> np.ndarray:
    """`n` classes in these proportions, at least two rows each."""
    counts = np.maximum(2, np.round(np.array(prior) / sum(prior) * n)).astype(int)
    counts[0] += n - counts.sum()
    return np.repeat(np.arange(len(counts)), counts)


def folds_of(y: np.ndarray, folds: int) -> np.ndarray:
    """Stratified folds."""
    out = np.empty(len(y), dtype=int)
    for k in np.unique(y):
        rows = np.flatnonzero(y == k)
        out[rows] = (np.arange(len(rows)) + k) % folds
    return out


def latent(
    draw: np.random.Generator,
    y: np.ndarray,
    seeds: int,
    *,
    gain: float = 0.0,
    base: float = 1.0,
    luck: float = 0.06,
    shared: float = 0.0,
    folds: np.ndarray | None = None,
) -> np.ndarray:
    """Paired differences of correctness (n, seeds) of two arms that are equally good but for `gain`, from a probit model.

    A row is answered rightly where a normal score is above 0: class level (rarer classes are harder), difficulty of the row (SD 1),
    row x arm (0.5), row x arm x seed (0.5), luck of the seed for both arms and for each (SD `luck`), and with `folds` luck of
    every fold's training and an effect of its training rows (SD about `shared`) that other folds share as far as they share rows.
    """
    n, k = len(y), y.max() + 1
    level = base - 0.6 * np.arange(k) / max(1, k - 1)
    both = level[y][:, None] + draw.normal(size=(n, 1)) + draw.normal(size=(1, seeds)) * luck
    right = []
    for arm in (gain, 0.0):
        score = both + arm + draw.normal(size=(n, 1)) * 0.5 + draw.normal(size=(n, seeds)) * 0.5 + draw.normal(size=(1, seeds)) * luck
        if folds is not None:
            f = folds.max() + 1
            rows = draw.normal(size=f) * shared * (f - 1) ** 0.5
            score = score + ((rows.sum() - rows) / (f - 1))[folds][:, None] + (draw.normal(size=(f, seeds)) * luck)[folds]
        right.append(score > 0)
    return right[0].astype(float) - right[1]


def share(hits: int, of: int) -> str:
    low, high = binomtest(hits, of).proportion_ci(method="wilson")
    return f"{100 * hits / of:5.1f} % ({100 * low:.1f}..{100 * high:.1f})"


def tally(found: list[Spread]) -> str:
    """Share of intervals above zero, SD of the estimates beside the mean standard error, and the median half-width, in points."""
    estimate = np.array([s.estimate for s in found])
    hits = sum(s.low > 0 for s in found)
    se, half = 100 * np.sqrt(np.mean([s.se**2 for s in found])), 100 * np.median([s.certifiable for s in found])
    return f"use it {share(hits, len(found))}   SD {100 * estimate.std():5.2f}  se {se:5.2f}  certifiable {half:5.1f}"


def holdout(replicates: int = 1000) -> Iterator[str]:
    yield "Simulated nulls, one test set"
    for luck in (0.0, 0.06, 0.2):
        for seeds in (2, 3, 5, 10):
            for n, prior in ((60, BALANCED), (1000, BALANCED), (60, IMBALANCED), (600, IMBALANCED)):
                draw, y = rng("holdout", luck, seeds, n, prior), labels(n, prior)
                found = [spread(latent(draw, y, seeds, luck=luck), y) for _ in range(replicates)]
                yield f"  luck {luck:4.2f}  seeds {seeds:2d}  rows {n:4d}  classes {len(prior)}   {tally(found)}"


def coverage(replicates: int = 2000) -> Iterator[str]:
    yield "Intervals where hardly a row is wrong, one test set: how often they hold the truth, and a loss of that size is called smaller"
    for n, k, right in ((24, 3, 0.95), (45, 3, 0.97), (100, 10, 0.99), (60, 3, 0.98), (300, 3, 0.98), (60, 3, 0.8), (200, 10, 0.9)):
        draw, y = rng("coverage", n, k, right), np.sort(np.arange(n) % k)
        held = smaller = gains = 0
        for _ in range(replicates):
            u = draw.random((n, 1))
            accuracy, gain = spread((u < right).astype(float), y), spread((u >= right).astype(float), y)
            held += accuracy.low <= right <= accuracy.high
            gains += gain.low <= 1 - right <= gain.high
            smaller += -gain.high > right - 1
        told = "   ".join(f"{what} {share(hits, replicates)}" for what, hits in (("accuracy", held), ("gain", gains), ("false 'no worse'", smaller)))
        yield f"  rows {n:4d}  classes {k:2d}  accuracy {right:.2f}   {told}"


def cv(replicates: int = 1000) -> Iterator[str]:
    yield "Simulated nulls, cross-validation (shared: SD of what trainings share, as a part of the SD from the choice of rows)"
    for f in (3, 5):
        for seeds in (1, 2, 3, 5):
            for n, prior, scale in ((60, BALANCED, 0.12), (200, BALANCED, 0.065), (600, IMBALANCED, 0.065)):
                for ratio in (0.0, 0.5, 1.0):
                    draw, y = rng("cv", f, seeds, n, ratio), labels(n, prior)
                    folds = folds_of(y, f)
                    found = [spread(latent(draw, y, seeds, folds=folds, shared=ratio * scale), y, folds) for _ in range(replicates)]
                    yield f"  folds {f}  seeds {seeds}  rows {n:4d}  classes {len(prior)}  shared {ratio:.1f}   {tally(found)}"


# Other tests, for the decision record


def seed_t(d: np.ndarray, w: np.ndarray) -> bool:
    """Student t over the seed means: the test rows are taken as given."""
    each = w @ d
    return bool(each.mean() > t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / len(each) ** 0.5)


def corrected_t(d: np.ndarray, w: np.ndarray) -> bool:
    """The same with Nadeau and Bengio's correction for test sets a quarter as large as the training set."""
    each = w @ d
    return bool(each.mean() > t.ppf(0.975, len(each) - 1) * each.std(ddof=1) * (1 / len(each) + 0.25) ** 0.5)


def mcnemar(d: np.ndarray, _: np.ndarray) -> bool:
    """McNemar's normal test on the first seed alone."""
    plus, minus = (d[:, 0] > 0).sum(), (d[:, 0] < 0).sum()
    return bool(plus - minus > norm.ppf(0.975) * max(1, plus + minus) ** 0.5)


def mcnemar_all(d: np.ndarray, w: np.ndarray) -> bool:
    """McNemar's test on rows x seeds as if all were independent."""
    return mcnemar(d.reshape(-1, 1), w)


def rows_only(d: np.ndarray, w: np.ndarray) -> bool:
    """Normal interval from the rows alone: what a bootstrap of the test rows gives."""
    mean = d.mean(1)
    return bool(w @ mean > norm.ppf(0.975) * (w**2 @ (mean - w @ mean) ** 2) ** 0.5)


def pigeonhole(d: np.ndarray, w: np.ndarray, draws: int = 200) -> bool:
    """Percentile interval of a bootstrap that draws rows and seeds independently (Owen 2007)."""
    draw = rng("pigeonhole", float(d.sum()))
    n, s = d.shape
    rows = draw.multinomial(n, np.full(n, 1 / n), size=draws) * w * n
    columns = draw.multinomial(s, np.full(s, 1 / s), size=draws) / s
    values = ((rows @ d) * columns).sum(1) / rows.sum(1)
    return bool(np.quantile(values, 0.025) > 0)


def satterthwaite(d: np.ndarray, w: np.ndarray) -> bool:
    """The crossed mixed model by moments: rows + max(0, seeds - interaction), Satterthwaite's degrees of freedom."""
    n, s = d.shape
    mean = d.mean(1)
    rows, total = mean.var(ddof=1) / n, (w @ d).var(ddof=1) / s
    residual = d - mean[:, None] - d.mean(0) + d.mean()
    both = (residual**2).sum() / ((n - 1) * (s - 1)) / (n * s)
    variance = rows + max(0.0, total - both) or 1e-12
    df = variance**2 / (rows**2 / (n - 1) + total**2 / (s - 1))
    return bool(mean.mean() > t.ppf(0.975, max(1.0, df)) * variance**0.5)


def chosen(d: np.ndarray, _: np.ndarray) -> bool:
    """The verdict's test."""
    return spread(d, np.zeros(len(d), dtype=int)).low > 0


TESTS: tuple[Callable[[np.ndarray, np.ndarray], bool], ...] = (
    chosen,
    satterthwaite,
    pigeonhole,
    rows_only,
    seed_t,
    corrected_t,
    mcnemar,
    mcnemar_all,
)


def methods(replicates: int = 1000) -> Iterator[str]:
    yield "Tests beside each other: one class of 300 rows, gain 0 (error) and 3 points (power); share of 'use it' in %"
    yield f"  {'':28s}" + "".join(f"{test.__name__:>14s}" for test in TESTS)
    y = np.zeros(300, dtype=int)
    w = np.full(300, 1 / 300)
    for luck in (0.0, 0.06, 0.2):
        for seeds in (2, 3, 5, 10):
            for gain in (0.0, 0.125):
                draw = rng("methods", luck, seeds, gain)
                tables = [latent(draw, y, seeds, luck=luck, gain=gain) for _ in range(replicates)]
                cells = [f"{100 * np.mean([test(d, w) for d in tables]):14.1f}" for test in TESTS]
                yield f"  luck {luck:4.2f}  seeds {seeds:2d}  gain {100 * np.mean(tables):+4.1f} " + "".join(cells)


# Trained learners

CENTRES = np.random.default_rng(stable_seed("nulls", "centres")).normal(size=(3, 8))


def blobs(draw: np.random.Generator, n: int, apart: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Three overlapping Gaussian classes in eight dimensions."""
    y = np.arange(n) % len(CENTRES)
    return draw.normal(size=(n, CENTRES.shape[1])) + apart * CENTRES[y], y


def answers(learner: str, x: np.ndarray, y: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Classes by the nearest class mean, by the vote of the three nearest rows, or by scikit-learn's logistic regression."""
    if learner == "centroids":
        centres = np.stack([x[y == k].mean(0) for k in range(len(CENTRES))])
        return ((centres**2).sum(1) - 2 * test @ centres.T).argmin(1)
    if learner == "logistic":
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(tol=1e-3).fit(x, y).predict(test)
    distance = (x**2).sum(1) - 2 * test @ x.T
    near = y[np.argpartition(distance, 3, axis=1)[:, :3]]
    return np.where(near[:, 1] == near[:, 2], near[:, 1], near[:, 0])


def extra(draw: np.random.Generator, kind: str, x: np.ndarray, y: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that an arm adds to its training rows."""
    pick = draw.integers(len(y), size=n)
    if kind == "noise":
        return draw.normal(size=(n, x.shape[1])) * x.std(0) + x.mean(0), draw.integers(len(CENTRES), size=n)
    if kind == "jitter":
        return x[pick] + draw.normal(size=(n, x.shape[1])) * 0.5, y[pick]
    if kind == "fresh":
        return blobs(draw, n)
    return (x[pick], y[pick]) if kind == "duplicates" else (x[:0], y[:0])


def trained(
    draw: np.random.Generator, learner: str, ours: str, theirs: str, *, n: int = 60, test: int = 200, seeds: int = 3, folds: int = 0, added: int = 30
) -> Spread:
    """One comparison of two arms of a trained learner; the added rows are drawn afresh for every seed and fold."""
    x, y = blobs(draw, n)
    tx, ty = blobs(draw, test)
    where = folds_of(y, folds) if folds else None
    d = np.zeros((n if folds else test, seeds))
    for fold in range(folds or 1):
        kept, asked = (where != fold, where == fold) if where is not None else (slice(None), slice(None))
        sx, sy = (x[asked], y[asked]) if where is not None else (tx, ty)
        for seed in range(seeds):
            right = []
            for kind in (ours, theirs):
                more = extra(draw, kind, x[kept], y[kept], added)
                right.append(answers(learner, np.concatenate([x[kept], more[0]]), np.concatenate([y[kept], more[1]]), sx) == sy)
            d[asked, seed] = right[0].astype(float) - right[1]
    return spread(d, y if folds else ty, where)


def real(replicates: int = 200) -> Iterator[str]:
    yield "Trained nulls: 60 training rows, 30 added; the first arm adds what the second does not, or both add the same kind afresh"
    for learner in ("logistic", "centroids", "neighbours"):
        for ours, theirs in (("duplicates", "none"), ("noise", "none"), ("duplicates", "duplicates"), ("jitter", "jitter")):
            for folds, seeds in ((0, 3), (3, 2)):
                draw = rng("real", learner, ours, theirs, folds)
                found = [trained(draw, learner, ours, theirs, folds=folds, seeds=seeds) for _ in range(replicates)]
                design = f"cv {folds} folds x {seeds} seeds" if folds else f"200 test rows, {seeds} seeds"
                yield f"  {learner:10s} {ours:>10s} against {theirs:10s} {design:24s} {tally(found)}"


def once(replicates: int = 400) -> Iterator[str]:
    """Nulls of the method (both arms add the same kind of rows) that are no nulls of the rows: one draw may be lucky for good."""
    yield "Added rows drawn once for all seeds, or afresh for every seed; 60 training rows, 30 added, 3 seeds"
    for learner, kind in (("centroids", "jitter"), ("centroids", "noise"), ("neighbours", "jitter")):
        for test in (200, 1000):
            for afresh in (True, False):
                draw, found, gains = rng("once", learner, kind, test), [], []
                for _ in range(replicates):
                    x, y = blobs(draw, 60)
                    tx, ty = blobs(draw, test + 5000)
                    pairs = [[extra(draw, kind, x, y, 30) for _ in range(2)] for _ in range(3 if afresh else 1)]
                    right = [[answers(learner, np.r_[x, mx], np.r_[y, my], tx) == ty for mx, my in pair] for pair in pairs]
                    d = np.stack([1.0 * ours - theirs for ours, theirs in right], 1).repeat(1 if afresh else 3, axis=1)
                    found.append(spread(d[:test], ty[:test]))
                    gains.append(d[test:].mean())
                harm = sum(s.low > 0 and gain <= 0 for s, gain in zip(found, gains, strict=True))
                when = "every seed" if afresh else "once"
                told = f"{tally(found)}   without gain on 5,000 more rows {share(harm, replicates)}"
                yield f"  {learner:10s} {kind:7s} drawn {when:10s}  test rows {test:4d}   {told}"


def shared(replicates: int = 60) -> Iterator[str]:
    """Variance over training sets of the true gain, per variance that 100 test rows would give at 100 training rows: `TRAINING`."""
    yield "What trainings on the same rows share: variance over training sets / variance from the choice of as many test rows"
    for learner in ("logistic", "centroids", "neighbours"):
        for kind in ("duplicates", "noise", "jitter"):
            draw, seeds, n = rng("shared", learner, kind), 4, 100
            tx, ty = blobs(draw, 3000)
            means, luck, rows = [], [], []
            for _ in range(replicates):
                x, y = blobs(draw, n)
                plain = answers(learner, x, y, tx) == ty
                more = [extra(draw, kind, x, y, n // 2) for _ in range(seeds)]
                d = np.stack([(answers(learner, np.r_[x, mx], np.r_[y, my], tx) == ty) * 1.0 - plain for mx, my in more], 1)
                means.append(d.mean())
                luck.append(d.mean(0).var(ddof=1) / seeds)
                rows.append(d.mean(1).var() / len(d))
            between = np.var(means, ddof=1) - np.mean(luck) - np.mean(rows)
            yield f"  {learner:10s} {kind:10s}  SD {100 * max(0.0, between) ** 0.5:4.2f} points  ratio {between / (np.mean(rows) * 3000 / n):5.2f}"


def power(replicates: int = 400) -> Iterator[str]:
    yield "Power: share of 'use it' where the gain is real"
    for luck in (0.0, 0.02, 0.06):
        for seeds in (3, 5, 10):
            for n, gain in ((1000, 0.114), (1000, 0.195), (300, 0.195)):
                draw, y = rng("power", luck, seeds, n, gain), labels(n, BALANCED)
                found = [spread(latent(draw, y, seeds, luck=luck, gain=gain), y) for _ in range(replicates)]
                yield f"  simulated  luck {luck:.2f}  seeds {seeds:2d}  rows {n:4d}   {mean_gain(found)}   {tally(found)}"
    for learner, n, added, folds in (
        ("logistic", 40, 40, 0),
        ("logistic", 20, 300, 0),
        ("centroids", 20, 300, 0),
        ("neighbours", 20, 300, 0),
        ("logistic", 200, 800, 3),
    ):
        draw = rng("fresh", learner, n, added, folds)
        found = [trained(draw, learner, "fresh", "none", n=n, test=1000, seeds=5, folds=folds, added=added) for _ in range(replicates // 4)]
        design = f"cv of {n} rows" if folds else "1000 test rows"
        yield f"  {learner:10s} {n} rows + {added} fresh real ones, 5 seeds, {design:15s} {mean_gain(found)}   {tally(found)}"


def mean_gain(found: list[Spread]) -> str:
    return f"gain {100 * np.mean([s.estimate for s in found]):+.1f}"


def arms(replicates: int = 400) -> Iterator[str]:
    """The verdict needs a gain over both rivals: its error where all three arms are equal, its power where one is better."""
    yield "Both rivals at once: 1,000 rows, 5 seeds; gains of the synthetic arm over classical and over real"
    y = labels(1000, BALANCED)
    for over_classical, over_real in ((0.0, 0.0), (0.0, 0.114), (0.114, 0.0), (0.114, 0.114), (0.114, 0.195)):
        draw, hits, first = rng("arms", over_classical, over_real), 0, 0
        for _ in range(replicates):
            both = 1 + draw.normal(size=(1000, 1)) + draw.normal(size=(1, 5)) * 0.02
            score = [both + draw.normal(size=(1000, 1)) * 0.5 + draw.normal(size=(1000, 5)) * 0.5 + draw.normal(size=(1, 5)) * 0.02 for _ in range(3)]
            ours = (score[0] > 0) * 1.0
            lows = [spread(ours - (s - g > 0), y).low > 0 for s, g in ((score[1], over_classical), (score[2], over_real))]
            hits, first = hits + all(lows), first + lows[0]
        told = f"use it {share(hits, replicates)}   over classical alone {share(first, replicates)}"
        yield f"  latent gains {over_classical:.2f}, {over_real:.2f}   {told}"


def subjects(draw: np.random.Generator, count: int, classes: int, rows: int, own: float, within: float, seeds: int = 3) -> tuple[np.ndarray, ...]:
    """Differences (n, seeds), classes and subjects of arms that are equally good: each subject has a liking for an arm of SD `own`, and one of
    SD `within` in each class (probit); `rows` of a subject and class in the mean."""
    subject, y = (a.ravel() for a in np.meshgrid(np.arange(count), np.arange(classes), indexing="ij"))
    times = draw.integers(1, 2 * rows, len(y))
    subject, y = subject.repeat(times), y.repeat(times)
    both = 0.8 + draw.normal(size=(len(y), 1)) + draw.normal(size=(count, 1))[subject] * 0.5
    right = []
    for _ in range(2):
        likes = (draw.normal(size=count) * own)[subject] + (draw.normal(size=(count, classes)) * within)[subject, y]
        noise = draw.normal(size=(len(y), 1)) * 0.5 + draw.normal(size=(len(y), seeds)) * 0.5 + draw.normal(size=(1, seeds)) * 0.06
        right.append(both + likes[:, None] + noise > 0)
    return right[0].astype(float) - right[1], y, subject


def units(replicates: int = 1500) -> Iterator[str]:
    yield "Rows of one subject, nulls: SD of a subject's liking for an arm, over all classes and within each; 15 rows of a subject and class, 3 seeds"
    for count in (2, 3, 4, 6, 10):
        for classes in (2, 5, 10):
            for own, within in ((0.0, 0.0), (0.0, 0.3), (0.15, 0.15), (0.3, 0.0), (0.3, 0.3)):
                draw = rng("units", count, classes, own, within)
                tables = [subjects(draw, count, classes, 15, own, within) for _ in range(replicates)]
                found = [spread(d, y, units=subject) for d, y, subject in tables]
                yield f"  subjects {count:2d}  classes {classes:2d}  liking {own:.2f}, {within:.2f}   {tally(found)}"


def groups(replicates: int = 300) -> Iterator[str]:
    """The finding that an arm widens the gap between groups: its error where both arms are equal in every group, its power."""
    yield "Widening of a gap: share of intervals above zero; levels of the groups (probit), 3 seeds, luck of a seed 0.06"
    for levels in ((1.0, 1.0), (1.5, 0.5), (1.0,) * 6, (1.5, 1.2, 1.0, 0.8, 0.6, 0.5)):
        for rows, folds in ((25, 0), (100, 0), (400, 0), (100, 3)):
            for harm in (0.0, 0.4):
                draw = rng("groups", levels, rows, folds, harm)
                found = [widened(draw, levels, rows, harm, folds) for _ in range(replicates)]
                hits, size = sum(w.low > 0 for w in found), 100 * np.mean([w.estimate for w in found])
                told = f"{len(levels)} groups of {rows:3d} rows, levels {levels[0]} to {levels[-1]}, {f'{folds} folds' if folds else 'one test set'}"
                yield f"  {told:60s}  last group worse by {harm:.1f}: gap {size:+5.1f} points   widened {share(hits, replicates)}"


def widened(draw: np.random.Generator, levels: tuple[float, ...], rows: int, harm: float, folds: int) -> Widening:
    """One comparison; the arm under suspicion answers the last group worse by `harm` on the probit scale."""
    n = rows * len(levels)
    where, y, seeds = np.arange(n) // rows, np.arange(n) % 3, 3
    both = np.array(levels)[where][:, None] + draw.normal(size=(n, 1)) + draw.normal(size=(1, seeds)) * 0.06
    found = []
    for name, less in (("synthetic+classical", harm), ("classical", 0.0)):
        score = both + draw.normal(size=(n, 1)) * 0.5 + draw.normal(size=(n, seeds)) * 0.5 + draw.normal(size=(1, seeds)) * 0.06
        right = score - less * (where == len(levels) - 1)[:, None] > 0
        p = np.eye(3)[np.where(right, y[:, None], (y[:, None] + 1) % 3)]
        part = folds_of(y, folds) if folds else np.zeros(n, dtype=int)
        cells = [
            Predictions(arm=name, fold=f, seed=s, ids=np.flatnonzero(part == f), y=y[part == f], p=p[part == f, s])
            for f in range(folds or 1)
            for s in range(seeds)
        ]
        group = {i: f"group {g}" for i, g in enumerate(where.tolist())}
        found.append(compared(name, by_group(cells, group), "cv" if folds else "holdout", 0.95))
    wider = widening(*found)
    assert wider is not None
    return wider


def growth(replicates: int = 200) -> Iterator[str]:
    """How often the interval of "this gain equals so many more real rows" holds the true number."""
    yield "Worth of a gain in real rows: error = 2 n ** -b at 100, 200, 400 rows, 3 seeds; gain of 2 points, standard error 0.5"
    for exponent in (0.2, 0.4, 0.6):
        truth = fit_law(np.array([100.0, 200, 400]), 2 * np.array([100.0, 200, 400]) ** -exponent)
        rows = further(truth, 400, 0.02)
        for noise in (0.03, 0.1):
            draw, held, silent, said = rng("growth", exponent, noise), 0, 0, []
            for _ in range(replicates):
                points = [
                    {"rows": n, "seed": s, "error": float(truth.error(n) * np.exp(noise * draw.normal()))} for s in range(3) for n in (100, 200, 400)
                ]
                found = worth(points, 400, float(max(1e-4, 0.02 + 0.005 * draw.normal())), 0.005)
                silent += found.rows is None
                if found.rows is not None:
                    said.append(found.rows)
                    held += (found.low or 0.0) <= rows <= (found.high or np.inf)
            told = f"held {share(held, len(said))}  median {np.median(said):5.0f}" if said else "never told"
            yield f"  exponent {exponent}  noise {noise:4.2f}  true {rows:5.0f} rows   {told}   not told {100 * silent / replicates:.0f} %"


def searched(replicates: int = 1000) -> Iterator[str]:
    """A whole search: 24 policies scored on inner folds, the winner and the best classical policy on 1,000 sealed rows, 5 seeds."""
    yield "Searches: policies of equal worth (gain 0), and synthetic rows that gain; half of the policies use them"
    names = ("none", "flip", "crop", "mixup")
    bare = Policy(learner=Choice(name="probe"), classical=Classical(name="none"))
    kinds = [bare if i < len(names) or i % 2 == 0 else replace(bare, generators=(Choice(name="vae"),)) for i in range(24)]
    for inner, gain, luck in ((60, 0.0, 0.02), (60, 0.0, 0.06), (300, 0.0, 0.02), (300, 0.0, 0.06), (300, 0.11, 0.02), (300, 0.22, 0.02)):
        draw, y, ty = rng("searched", inner, gain, luck), labels(inner, BALANCED), labels(1000, BALANCED)
        used = wrong = 0
        optimism, gains = [], []
        for _ in range(replicates):
            both = 1 + draw.normal(size=(inner, 1))
            quality = np.array([gain * bool(k.generators) for k in kinds]) + draw.normal(size=len(kinds)) * luck
            right = both + quality + draw.normal(size=(inner, len(kinds))) * 0.7 > 0
            tensors = [torch.from_numpy(r.astype(float)) for r in right.T]
            about = [{"number": i, "name": "".join(names[i : i + 1]), "policy": k, "plain": i < len(names)} for i, k in enumerate(kinds)]
            told = {"params": {}, "y": torch.from_numpy(y)}
            trials = [Trial(value=float(r.mean()), right=r, **a, **told) for a, r in zip(about, tensors, strict=True)]
            won = winner(trials)
            optimism.append(won.value - norm.cdf((1 + gain * bool(won.policy.generators)) / (1 + 0.5) ** 0.5))
            if not won.policy.generators:
                continue
            used += 1
            d = latent(draw, ty, 5, gain=gain, luck=luck)
            rivals = [spread(d, ty), spread(latent(draw, ty, 5, gain=gain, luck=luck), ty)]
            gains.append(d.mean())
            wrong += all(s.low > 0 for s in rivals)
        points = 100 * float(np.mean(gains)) if gains else float("nan")
        won = f"synthetic rows won {100 * used / replicates:5.1f} %   use it {share(wrong, replicates)}   optimism {100 * np.mean(optimism):+.1f}"
        yield f"  inner rows {inner:3d}  luck {luck:4.2f}  true gain {points:+4.1f} points   {won}"


PARTS = {f.__name__: f for f in (coverage, holdout, cv, methods, real, once, shared, power, arms, units, groups, growth, searched)}


def main() -> None:
    for name in sys.argv[1:] or PARTS:
        started = time.monotonic()
        for line in PARTS[name]():
            print(line, flush=True)
        print(f"  {time.monotonic() - started:.0f} s\n", flush=True)


if __name__ == "__main__":
    main()
