"""The conclusion of a comparison: whether the synthetic rows earn their place, by how much, and how sure that is.

Estimates are paired: both arms answered the same rows after trainings with the same seeds. `docs/decisions/0002-verdict-statistics.md`
gives the reasons for the test and its simulated error rates and power.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from .core.errors import AugmindError, UsageError
from .core.run import Finding
from .figures import Predictions, figures
from .spread import TRAINING, Component, Spread, combined, doubt, spread, units_needed

__all__ = ["Difference", "Predictions", "Verdict", "difference", "differences", "interval", "intervals", "verdict"]

Mode = Literal["given", "holdout", "cv"]
PRIMARY = "synthetic+classical"
"""The arm that the verdict is about unless another is named; it is fixed before any result is known."""
TWINS = {"source": "the related dataset without synthetic rows", "pool": "the pseudo-labelled rows without synthetic ones"}
RIVALS = TWINS | {"classical": "the best classical arm", "real": "the real rows alone"}
BLOCKS = 20
"""Blocks of rows left out in turn by the jackknife."""
FEW_ROWS, FEW_OF_A_CLASS = 30, 5
FEW_UNITS, LIKELY = 20, 0.2
"""Groups of test rows up to which the verdict says what they gained, and p below which an unproven gain is called likely."""
UNBOUNDED = ("ece", "log_loss")
"""Figures that no count of wrong rows bounds."""


@dataclass(frozen=True, kw_only=True)
class Difference(Spread):
    """Balanced accuracy of one arm less that of another, in -1..1, with the two-sided p of the same test as the interval.

    `p_holm` is p corrected (Holm 1979) for the differences that are shown with it; see `differences`.
    """

    rows: int
    seeds: int
    p_holm: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What to do and why; `gain`, `interval`, `p` and `certifiable` are those of the comparison with `against`.

    arm          the recommended arm
    differences  all comparisons by "<arm> vs <arm>"
    """

    use_synthetic: bool
    arm: str
    sentence: str
    gain: float
    interval: tuple[float, float]
    against: str
    p: float
    certifiable: float
    level: float
    margin: float
    differences: dict[str, Difference]
    findings: tuple[Finding, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """The cells of one arm as a table: each row once, one column per seed and, in repeated cross-validation, per repetition.

    `folds` is None for one training set, and has a column for each of `p` where cross-validation was repeated.
    """

    cells: frozenset[tuple[int, int]]
    ids: Int[np.ndarray, " n"]
    y: Int[np.ndarray, " n"]
    folds: Int[np.ndarray, "n *s"] | None
    unit: Int[np.ndarray, " n"] | None
    p: list[Float[np.ndarray, "n k"]]

    @property
    def right(self) -> Float[np.ndarray, "n s"]:
        return np.stack([p.argmax(1) == self.y for p in self.p], 1).astype(float)


def pooled(cells: Sequence[Predictions], mode: Mode) -> Pool:
    """Joins the folds of every seed. Raises `AugmindError` unless every seed of the arm answers the same rows, each once."""
    if not cells:
        raise AugmindError("there are no predictions to compare", help="train at least one seed of every arm")
    arm = cells[0].arm
    keys = frozenset((c.fold, c.seed) for c in cells)
    if len(keys) != len(cells) or (mode != "cv" and len({c.fold for c in cells}) > 1):
        raise AugmindError(f"arm '{arm}' has {len(cells)} cells for {len(keys)} folds and seeds; mode '{mode}' needs one each")
    columns, folds, units, repeat = [], [], [], repetitions(cells)
    for seed, r in sorted({(c.seed, repeat[c.fold]) for c in cells}):
        parts = [c for c in cells if c.seed == seed and repeat[c.fold] == r]
        ids = np.concatenate([c.ids for c in parts])
        order = np.argsort(ids)
        together = [c.unit for c in parts if c.unit is not None]
        units.append(np.concatenate(together)[order] if len(together) == len(parts) else None)
        columns.append((ids[order], np.concatenate([c.y for c in parts])[order], np.concatenate([c.p for c in parts])[order]))
        folds.append(np.concatenate([np.full(len(c.ids), c.fold) for c in parts])[order])
    ids, y, _ = columns[0]
    if len(np.unique(ids)) < len(ids) or any(not (np.array_equal(i, ids) and np.array_equal(t, y)) for i, t, _ in columns):
        raise AugmindError(f"arm '{arm}': its seeds answered different test rows", help="every seed must answer every test row once")
    first = folds[: len(set(repeat.values()))]
    if any(not np.array_equal(f, first[i % len(first)]) for i, f in enumerate(folds)):
        raise AugmindError(f"arm '{arm}': its seeds use different folds", help="keep the same folds for every seed")
    where = None if mode != "cv" else folds[0] if len(first) == 1 else np.stack(folds, 1)
    return Pool(cells=keys, ids=ids, y=y, folds=where, unit=units[0], p=[p for _, _, p in columns])


def repetitions(cells: Sequence[Predictions]) -> dict[int, int]:
    """The repetition of cross-validation that each fold belongs to: how often earlier folds have tested its rows."""
    times, out = Counter[int](), {}
    tested = {c.fold: c.ids.tolist() for c in cells}
    for fold in sorted(tested):
        out[fold] = times[tested[fold][0]] if tested[fold] else 0
        times.update(tested[fold])
    return out


def difference(a: Sequence[Predictions], b: Sequence[Predictions], *, mode: Mode, level: float = 0.95) -> Difference:
    """Gain in balanced accuracy of arm `a` over arm `b`, paired over rows and seeds; folds are pooled before the mean.

    With a single seed and one training set the interval covers the test rows alone.
    """
    if not 0 < level < 1:
        raise UsageError(f"the level of an interval is {level}", help="give a number between 0 and 1, for example 0.95")
    one, two = pooled(a, mode), pooled(b, mode)
    if one.cells != two.cells or not (np.array_equal(one.ids, two.ids) and np.array_equal(one.y, two.y)):
        raise AugmindError(f"arms '{a[0].arm}' and '{b[0].arm}' were not judged on the same rows, folds and seeds")
    found = spread(one.right - two.right, one.y, one.folds, level, one.unit)
    limits = {"low": max(-1.0, found.low)} | {name: min(1.0, getattr(found, name)) for name in ("high", "certifiable", "detectable")}
    return Difference(**vars(found) | limits, rows=len(one.y), seeds=len({s for _, s in one.cells}), p_holm=found.p)


def interval(
    cells: Sequence[Predictions], figure: str = "balanced_accuracy", *, mode: Mode, classes: Sequence[str], level: float = 0.95
) -> tuple[float, float, float]:
    """`intervals` of one figure."""
    return intervals(cells, (figure,), mode=mode, classes=classes, level=level)[figure]


def intervals(
    cells: Sequence[Predictions], names: Sequence[str], *, mode: Mode, classes: Sequence[str], level: float = 0.95
) -> dict[str, tuple[float, float, float]]:
    """Mean over seeds, lower and upper end of figures of one arm, folds pooled; of every name that `figures` gives.

    Shares of rows use the same variances as `difference`; the others one jackknife over blocks of rows.
    """
    pool = pooled(cells, mode)
    shares = {"balanced_accuracy": pool.y, "accuracy": np.zeros_like(pool.y)}
    if len(np.unique(pool.y)) == len(classes):
        shares["recall"] = pool.y
    of_class = {f"recall/{c}": pool.y == k for k, c in enumerate(classes) if (pool.y == k).any()}
    rough = jackknife(pool, [n for n in names if n not in shares and n not in of_class], classes, level)
    out = {}
    for name in names:
        if name in rough:
            out[name] = rough[name]
            continue
        own = of_class.get(name, slice(None))
        folds, unit = (None if column is None else column[own] for column in (pool.folds, pool.unit))
        found = spread(pool.right[own], shares.get(name, pool.y)[own], folds, level, unit)
        out[name] = found.estimate, max(0.0, found.low), min(1.0, found.high)
    return out


def jackknife(pool: Pool, names: Sequence[str], classes: Sequence[str], level: float) -> dict[str, tuple[float, float, float]]:
    """The same for figures that are no means over rows: `BLOCKS` blocks of rows, alike in their classes, are left out in turn."""
    if not names:
        return {}
    seeds, n = len(pool.p), len(pool.y)
    by_seed = np.array([values(pool, s, names, classes) for s in range(seeds)])
    luck = by_seed.var(0, ddof=1) / seeds if seeds > 1 else np.zeros(len(names))
    blocks = min(BLOCKS, n)
    rows = np.zeros(len(names))
    if blocks > 1:
        place = np.empty(n, dtype=int)
        place[np.lexsort((pool.ids, pool.y))] = np.arange(n) % blocks
        without = [np.mean([values(pool, s, names, classes, place != j) for s in range(seeds)], 0) for j in range(blocks)]
        least = [0.0 if name in UNBOUNDED else doubt(pool.y) for name in names]
        rows = np.maximum((blocks - 1) * np.var(without, 0), least) * (1.0 if pool.folds is None else 1 + TRAINING)
    out = {}
    for name, estimate, parts in zip(names, by_seed.mean(0).tolist(), zip(luck.tolist(), rows.tolist(), strict=True), strict=True):
        there = [Component(v, df) for v, df in zip(parts, (seeds - 1.0, blocks - 1.0), strict=True) if v > 0]
        if np.isnan(estimate) or not there:
            out[name] = estimate, estimate, estimate
            continue
        found = combined(estimate, there, level)
        out[name] = estimate, max(0.0, found.low), found.high if name == "log_loss" else min(1.0, found.high)
    return out


def values(pool: Pool, seed: int, names: Sequence[str], classes: Sequence[str], keep: Bool[np.ndarray, " n"] | slice = slice(None)) -> list[float]:
    found = figures(pool.y[keep], pool.p[seed][keep], classes)
    for name in names:
        if name not in found:
            raise UsageError(f"unknown figure '{name}'", help=f"known: {', '.join(found)}")
    return [found[name] for name in names]


def holm(differences: Mapping[str, Difference]) -> dict[str, Difference]:
    """The same differences with p corrected for being one of them: the i-th smallest of m times m - i + 1, never falling (Holm 1979)."""
    out, worst = {}, 0.0
    for i, (name, d) in enumerate(sorted(differences.items(), key=lambda item: item[1].p)):
        worst = max(worst, min(1.0, (len(differences) - i) * d.p))
        out[name] = dataclasses.replace(d, p_holm=worst)
    return {name: out[name] for name in differences}


def differences(cells: Sequence[Predictions], *, mode: Mode, primary: str = PRIMARY, level: float = 0.95) -> dict[str, Difference]:
    """Every arm against every rival that is there, by "<arm> vs <rival>", the primary arm first.

    Two families for Holm's correction: the primary arm's differences, and all that are shown beside them.
    """
    by_arm = arms_of(cells)
    rivals = [arm for arm in RIVALS if arm in by_arm and arm != primary]
    order = sorted(by_arm, key=lambda arm: (arm != primary, arm in RIVALS))
    pairs = [(a, b) for a in order for i, b in enumerate(rivals) if a not in rivals[i:]]
    found = {(a, b): difference(by_arm[a], by_arm[b], mode=mode, level=level) for a, b in pairs}
    main, beside = ({f"{a} vs {b}": d for (a, b), d in found.items() if (a == primary) is own} for own in (True, False))
    return holm(main) | holm(beside)


def arms_of(cells: Sequence[Predictions]) -> dict[str, list[Predictions]]:
    """The cells by arm, in their order."""
    return {arm: [c for c in cells if c.arm == arm] for arm in dict.fromkeys(c.arm for c in cells)}


def verdict(
    cells: Sequence[Predictions],
    *,
    mode: Mode,
    margin: float = 0.0,
    level: float = 0.95,
    classes: Sequence[str],
    primary: str = PRIMARY,
    notes: Mapping[str, Any] | None = None,
    made: str = "synthetic",
) -> Verdict:
    """Recommends the `primary` arm only if its gain over each of `RIVALS` that is there excludes zero.

    All must hold, each at the full level: whichever rival is the best one, a false recommendation has at most the error of
    one test (intersection-union). `margin` (in 0..1) lets an arm pass whose loss is shown to be smaller than that. Otherwise
    the recommended arm is "classical", or "real" where the interval shows that "classical" does harm. One seed on one training set never
    recommends synthetic rows. All other arms are exploratory: their p are Holm-corrected and cannot change the verdict.

    `primary` must be fixed before the test rows are opened; `made` is what its added rows are called.
    Raises `UsageError` for a rival as the primary arm.
    """
    if not 0 <= margin < 1:
        raise UsageError(f"the margin is {margin}", help="give balanced accuracy that may be lost, for example 0.01 for one point")
    if primary in ("classical", "real"):
        raise UsageError(f"the primary arm is '{primary}', which is what it would be compared with", help="name an arm with synthetic rows")
    by_arm = arms_of(cells)
    rivals = [arm for arm in RIVALS if arm in by_arm and arm != primary]
    plain = next((arm for arm in rivals if arm not in TWINS), "")
    if not plain:
        raise UsageError("the comparison has no arm without synthetic rows", help=f"add one of: {', '.join(RIVALS)}")
    shown = differences(cells, mode=mode, primary=primary, level=level)
    main = {rival: shown[f"{primary} vs {rival}"] for rival in rivals} if primary in by_arm else {}
    exploratory = {name: d for name, d in shown.items() if name.endswith(f" vs {plain}") and name.partition(" vs ")[0] not in (primary, *RIVALS)}
    settled: dict[str, Any] = {"level": level, "margin": margin, "differences": shown, "notes": dict(notes or {})}
    told = arm_findings(by_arm, primary, main, exploratory, level)
    settled["findings"] = (*row_findings(by_arm[plain], mode, classes), *told)
    if not main:
        sentence, nan = f"Do not use {made} data here: no {made} rows were left to compare.", float("nan")
        unknown: dict[str, Any] = {"gain": nan, "interval": (nan, nan), "p": nan, "certifiable": nan}
        return Verdict(use_synthetic=False, arm=fallback(shown, plain), sentence=sentence, against=RIVALS[rivals[0]], **unknown, **settled)
    failed = [rival for rival, d in main.items() if d.low <= -margin]
    against = (failed or rivals)[0]
    decisive = main[against]
    single = decisive.seeds == 1 and mode != "cv"
    use = not failed and not single
    sentence = sentence_of(decisive, RIVALS[against], use=use, single=single, margin=margin, level=level, folds=folds_of(cells, mode), made=made)
    if not use and decisive.p < LIKELY and (likely := unit_findings(by_arm[primary], by_arm[against], mode, level)):
        settled["findings"] += tuple(likely)
        sentence = likely_of(decisive, RIVALS[against], likely[0].about, level, made)
    return Verdict(
        use_synthetic=use,
        arm=primary if use else fallback(shown, plain),
        sentence=sentence,
        gain=decisive.estimate,
        interval=(decisive.low, decisive.high),
        against=RIVALS[against],
        p=decisive.p,
        certifiable=decisive.certifiable,
        **settled,
    )


def fallback(shown: Mapping[str, Difference], first: str = "classical") -> str:
    """The recommended arm without synthetic rows: `first`, or "real" where the interval of "classical" shows that it does harm."""
    harm = shown.get("classical vs real")
    return "real" if harm and harm.high < 0 else first


def folds_of(cells: Sequence[Predictions], mode: Mode) -> str:
    if mode != "cv":
        return ""
    repeat = repetitions(cells)
    folds, repeats = len(repeat), 1 + max(repeat.values())
    return f"{folds // repeats} folds{f' {repeats} times' * (repeats > 1)}, "


def points(x: float) -> str:
    """A share as signed points with one decimal, never a negative zero."""
    return f"{round(100 * x, 1) + 0.0:+.1f}"


def sentence_of(d: Difference, rival: str, *, use: bool, single: bool, margin: float, level: float, folds: str, made: str) -> str:
    """The verdict in one plain sentence."""
    sure = f"{100 * level:g}% interval {points(d.low)} to {points(d.high)}"
    size = f"{d.seeds} seed{'s' * (d.seeds > 1)}, {folds}{d.rows:,} test row{'s' * (d.rows > 1)}"
    least = f"this test set could certify no gain below {100 * d.certifiable:.1f} points"
    if use and d.low > 0:
        return f"Use the {made} rows: {points(d.estimate)} points of balanced accuracy over {rival} ({sure}; {size}); {least}."
    if use:
        within = f"no worse than {rival} by the {100 * margin:.1f} points that were allowed"
        return f"Use the {made} rows: {points(d.estimate)} points of balanced accuracy, {within} ({sure}; {size}); {least}."
    why = "it does harm" if d.high < 0 else "no gain is proven"
    start = f"Do not use {made} data here, {why}: {points(d.estimate)} points against {rival}"
    if single:
        alone = f"{sure} for the test rows alone, which could certify no gain below {100 * d.certifiable:.1f} points"
        return f"{start} ({alone}), but one seed cannot tell a gain from a lucky training; repeat with 3 seeds or more."
    return f"{start} ({sure}); {least}."


def likely_of(d: Difference, rival: str, groups: Mapping[str, Any], level: float, made: str) -> str:
    """The verdict where few groups of rows cannot prove a gain that most of them have."""
    sure = f"{100 * level:g}% interval {points(d.low)} to {points(d.high)}"
    enough = f"; {groups['needed']} groups that vary as these do would prove it" if groups["needed"] else ""
    start = f"No gain of {made} data is proven here, but one is likely: {points(d.estimate)} points against {rival} ({sure})"
    return f"{start}, above zero in {groups['above']} of the {groups['groups']} groups that were tested{enough}."


def row_findings(cells: Sequence[Predictions], mode: Mode, classes: Sequence[str]) -> list[Finding]:
    """What the test rows cannot show: AM601 one seed, AM602 a class without rows, AM603 too few rows."""
    pool, out = pooled(cells, mode), []
    if len(pool.p) == 1 and mode != "cv":
        said = "one seed: the intervals cover the choice of test rows, not the luck of a training, so no gain can be certified"
        out.append(Finding("AM601", "warning", said, {"seeds": 1}))
    counts = dict(zip(classes, np.bincount(pool.y, minlength=len(classes)).tolist(), strict=True))
    absent = [c for c, n in counts.items() if n == 0]
    if absent:
        said = f"no test row of {', '.join(absent)}: balanced accuracy is the mean over the other classes"
        out.append(Finding("AM602", "warning", said, {"classes": absent}))
    few = {c: n for c, n in counts.items() if 0 < n < FEW_OF_A_CLASS}
    if few or len(pool.y) < FEW_ROWS:
        which = f", of which {', '.join(f'{n} of {c}' for c, n in few.items())}" if few else ""
        said = f"few test rows: {len(pool.y)} in all{which}; intervals are wide and only large gains can be certified"
        out.append(Finding("AM603", "warning", said, {"rows": len(pool.y), "classes": few}))
    return out


def unit_findings(a: Sequence[Predictions], b: Sequence[Predictions], mode: Mode, level: float) -> list[Finding]:
    """AM606: a gain that few groups of rows, such as speakers or patients, cannot prove, and how many might."""
    one, two = pooled(a, mode), pooled(b, mode)
    if one.unit is None:
        return []
    right = one.right - two.right
    means, parts = right.mean(1), [one.unit == u for u in np.unique(one.unit)]
    gains = [float(np.mean([means[at & (one.y == k)].mean() for k in np.unique(one.y[at])])) for at in parts if len(np.unique(one.y[at])) > 1]
    if not 1 < len(gains) <= FEW_UNITS or len(gains) < len(parts) or np.mean(gains) <= 0:
        return []
    above = sum(g > 0 for g in gains)
    if above <= len(gains) / 2:
        return []
    enough = units_needed(right, one.y, one.folds, one.unit, level)
    where = f"above zero in {above} of the {len(gains)} groups that were tested ({points(min(gains))} to {points(max(gains))} points)"
    said = f"a gain is likely but not proven: {where}" + (f"; {enough} groups that vary as these do would prove it" if enough else "")
    return [Finding("AM606", "info", said, {"groups": len(gains), "above": above, "gains": gains, "needed": enough})]


def arm_findings(
    by_arm: Mapping[str, Sequence[Predictions]],
    primary: str,
    main: Mapping[str, Difference],
    exploratory: Mapping[str, Difference],
    level: float,
) -> list[Finding]:
    """What the arms show beside the verdict: AM604 the same answers everywhere, AM605 an exploratory gain."""
    out = []
    for rival in main:
        pairs = [(a, b) for a in by_arm[primary] for b in by_arm[rival] if (a.fold, a.seed) == (b.fold, b.seed)]
        if all(a == b for a, b in ((dict(zip(c.ids.tolist(), c.p.argmax(1).tolist(), strict=True)) for c in pair) for pair in pairs)):
            said = f"the recipe with the added rows and {RIVALS[rival]} give every test row the same class"
            out.append(Finding("AM604", "info", said, {"arms": [primary, rival]}))
    for name, d in exploratory.items():
        if d.estimate > 0 and d.p_holm < 1 - level:
            said = f"exploratory: {name} {points(d.estimate)} points (Holm-corrected p {d.p_holm:.2g}); confirm it on fresh rows before relying on it"
            out.append(Finding("AM605", "info", said, {"comparison": name, "estimate": d.estimate, "p_holm": d.p_holm}))
    return out
