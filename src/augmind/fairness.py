"""Fairness: how every arm does in every group of test rows, and whether augmentation widens the gap between groups.

A group is a value of the column that `--group` names. The groups are taken as given; the rows of a group, and the units
within it, are what could have come out otherwise.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from .core.run import Finding
from .core.seeds import stable_seed
from .core.store import read_table
from .figures import Predictions
from .job import Job
from .spread import Spread, spread
from .verdict import Mode, Pool, arms_of, intervals, points, pooled

LEAST = 20
"""Test rows below which a group takes no part in a gap."""
MOST = 30
"""Most groups that are told, those with the most test rows."""
DRAWS = 4000


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Balanced accuracy of the best group less that of the worst; `chance` is what luck alone shows on average among equal groups."""

    value: float
    best: str
    worst: str
    chance: float


@dataclass(frozen=True, kw_only=True)
class Widening:
    """The gap of one arm less that of the arm `than`, with its interval; `best` and `worst` are the groups of the first arm's gap."""

    estimate: float
    low: float
    high: float
    best: str
    worst: str
    than: str


def by_group(cells: Sequence[Predictions], group: Mapping[int, str], unit: Mapping[int, int] | None = None) -> dict[str, list[Predictions]]:
    """The cells of one arm, cut to the rows of each group, the largest group first; rows without a name are left out.

    `unit` replaces the units of the rows: within a group, rows are not held together by being of that group.
    """
    named = [(c, np.array([group.get(int(i), "") for i in c.ids])) for c in cells]
    sizes = Counter(name for _, names in named for name in names.tolist() if name)
    out = {}
    for name, _ in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        cut = [(c, names == name) for c, names in named]
        out[name] = [replace(c, ids=c.ids[at], y=c.y[at], p=c.p[at], unit=units_of(c.ids[at], unit)) for c, at in cut if at.any()]
    return out


def units_of(ids: np.ndarray, unit: Mapping[int, int] | None) -> np.ndarray | None:
    return None if unit is None else np.array([unit[int(i)] for i in ids])


@dataclass(frozen=True, kw_only=True, eq=False)
class Arm:
    """One arm's answers in every group that is large enough for a gap."""

    name: str
    groups: dict[str, Pool]
    found: dict[str, Spread]

    @property
    def gap(self) -> tuple[float, str, str]:
        best, worst = (pick(self.found, key=lambda g: self.found[g].estimate) for pick in (max, min))
        return self.found[best].estimate - self.found[worst].estimate, best, worst


def compared(name: str, groups: Mapping[str, list[Predictions]], mode: Mode, level: float) -> Arm:
    pools = {g: pool for g, own in groups.items() if len((pool := pooled(own, mode)).y) >= LEAST}
    found = {g: spread(p.right, p.y, p.folds, level, p.unit) for g, p in pools.items()}
    return Arm(name=name, groups=pools, found=found)


def gap(arm: Arm) -> Gap | None:
    """None with fewer than two groups of `LEAST` rows."""
    if len(arm.found) < 2:
        return None
    se = np.array([s.se for s in arm.found.values()])
    draw = np.random.default_rng(stable_seed("fairness", arm.name))
    luck = np.ptp(draw.normal(size=(DRAWS, len(se))) * se, axis=1).mean()
    value, best, worst = arm.gap
    return Gap(value=value, best=best, worst=worst, chance=float(luck))


def widening(arm: Arm, than: Arm, level: float = 0.95) -> Widening | None:
    """The verdict's test of a contrast: both arms in the best and the worst group of each, class by class, rows paired.

    The choice of the four groups is taken as given; near ties, where it could have been another, the interval is too wide
    rather than too narrow, because the range of like figures varies less than the difference of two of them.
    """
    if len(arm.found) < 2:
        return None
    (value, best, worst), (theirs, top, bottom) = arm.gap, than.gap
    involved = list(dict.fromkeys((best, worst, top, bottom)))
    pools = [arm.groups[g] for g in involved]
    strata = np.concatenate([len(p.p[0].T) * i + p.y for i, p in enumerate(pools)])
    total = len(np.unique(strata))
    contrast = []
    for g, p in zip(involved, pools, strict=True):
        signed = (float(g == best) - (g == worst)) * p.right - (float(g == top) - (g == bottom)) * than.groups[g].right
        contrast.append(signed * total / len(np.unique(p.y)) / len(involved))
    found = spread(np.concatenate(contrast), strata, joined([p.folds for p in pools]), level, joined([p.unit for p in pools]))
    low, high = len(involved) * found.low, len(involved) * found.high
    return Widening(estimate=value - theirs, low=max(-1.0, low), high=min(1.0, high), best=best, worst=worst, than=than.name)


def joined(columns: Sequence[np.ndarray | None]) -> np.ndarray | None:
    there = [c for c in columns if c is not None]
    return np.concatenate(there) if there else None


def fairness(
    cells: Sequence[Predictions],
    group: Mapping[int, str],
    *,
    mode: Mode,
    classes: Sequence[str],
    recommended: str,
    unit: Mapping[int, int] | None = None,
    level: float = 0.95,
) -> dict[str, Any]:
    """Figures of every arm and group with intervals, gaps, what each arm widens them by, and findings; plain JSON.

    `group` names the group of each row id, `unit` the rows that belong together within a group. Classical arms are compared
    with "real", all others with "classical". AM301: the recommended arm widens the gap; AM302: groups too small for a gap.
    """
    parts = {arm: by_group(own, group, unit) for arm, own in arms_of(cells).items()}
    arms = {name: compared(name, groups, mode, level) for name, groups in parts.items()}
    told = []
    for name, groups in parts.items():
        than = arms.get("real" if name == "classical" else "classical") if name != "real" else None
        wider = widening(arms[name], than, level) if than is not None else None
        rows = [group_figures(g, own, mode, classes, level) for g, own in list(groups.items())[:MOST]]
        found = gap(arms[name])
        told.append({"arm": name, "groups": rows, "gap": found and asdict(found), "widening": wider and asdict(wider)})
    sizes = {g: len({int(i) for c in own for i in c.ids}) for g, own in next(iter(parts.values())).items()}
    findings = [asdict(f) for f in (*widened(told, recommended), *small(sizes))]
    return {"arms": told, "least": LEAST, "level": level, "more": max(0, len(sizes) - MOST), "findings": findings}


def group_figures(name: str, own: list[Predictions], mode: Mode, classes: Sequence[str], level: float) -> dict[str, Any]:
    """Rows, balanced accuracy over the classes that the group has, calibration error and the recall of each class."""
    there = np.bincount(pooled(own, mode).y, minlength=len(classes))
    recalls = {c: f"recall/{c}" for c, n in zip(classes, there.tolist(), strict=True) if n}
    found = intervals(own, ("balanced_accuracy", "ece", *recalls.values()), mode=mode, classes=classes, level=level)
    ends = {k: dict(zip(("mean", "low", "high"), v, strict=True)) for k, v in found.items()}
    recall = {c: ends[k] for c, k in recalls.items()}
    return {"group": name, "rows": int(there.sum()), "balanced_accuracy": ends["balanced_accuracy"], "ece": ends["ece"], "recall": recall}


def widened(arms: list[dict[str, Any]], recommended: str) -> list[Finding]:
    """AM301 where the recommended arm has a wider gap than the arm it is compared with, beyond the interval."""
    w = next((a["widening"] for a in arms if a["arm"] == recommended), None)
    if w is None or w["low"] <= 0:
        return []
    said = (
        f"'{recommended}' widens the gap between {w['best']} and {w['worst']} by {points(w['estimate'])} points of balanced accuracy "
        f"against '{w['than']}' (interval {points(w['low'])} to {points(w['high'])})"
    )
    return [Finding("AM301", "warning", said, {"arm": recommended, **w})]


def small(sizes: Mapping[str, int]) -> list[Finding]:
    """AM302: groups that no gap counts."""
    few = {g: n for g, n in sizes.items() if n < LEAST}
    if not few:
        return []
    which = ", ".join(list(few)[:5]) + (", ..." if len(few) > 5 else "")
    said = f"{len(few)} of {len(sizes)} groups have fewer than {LEAST} test rows ({which}): no gap counts them"
    return [Finding("AM302", "info", said, {"groups": few})]


# The groups of a run


def fairness_record(job: Job, cells: Sequence[Predictions], recommended: str) -> dict[str, Any] | None:
    """`fairness` of a run, with the rows of every group; None where no group column was named."""
    group = {row.id: row.group for row in job.rows}
    if not job.config.group or not any(group.values()):
        return None
    unit = {row.id: row.kin if row.kin >= 0 else -1 - row.id for row in job.rows}
    found = fairness(cells, group, mode=job.split.mode, classes=job.spec.classes, recommended=recommended, unit=unit)
    if not found["arms"][0]["groups"]:
        return None
    return found | {"column": job.config.group, "counts": counts(job, group, [g["group"] for g in found["arms"][0]["groups"]])}


def counts(job: Job, group: Mapping[int, str], shown: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of every group: to learn from, to test on, and synthetic ones by the group of the real row of their class that each is nearest to."""
    from .pipeline import shard_path

    train = Counter(group[int(k)] for k in job.real.key)
    test = Counter(group[i] for i in {i for fold in job.split.folds for i in fold.test})
    made: Counter[str] = Counter()
    for generator in job.generators():
        path = shard_path(job, job.final, generator) / "table.parquet"
        if path.is_file():
            table = read_table(path)
            made.update(g for g, part in zip(table["group"], table["part"], strict=True) if part == 0)
    names = dict.fromkeys((*shown, *(g for g, _ in train.most_common(MOST))))
    return [{"group": g, "real": train[g], "test": test[g], "synthetic": made[g]} for g in names if g][:MOST]
