"""Fairness: figures of a group are those of its rows alone, a planted gap is found, nulls rarely widen one."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

import augmind
from augmind.core.errors import DataError, UsageError
from augmind.core.seeds import stable_seed
from augmind.fairness import LEAST, by_group, compared, fairness, gap, widening
from augmind.figures import Predictions, figures
from augmind.job import Job
from augmind.verdict import interval

CLASSES = ("no", "yes")


def rng(*names):
    return np.random.default_rng(stable_seed("test fairness", *names))


def planted(accuracies, *, sizes=(("north", 200), ("south", 200)), seeds=3, folds=1, name="planted"):
    """Arms whose accuracy in each group is given; the difficulty of a row is common to all arms and seeds."""
    from scipy.stats import norm

    draw = rng(name)
    n = sum(size for _, size in sizes)
    where = np.repeat([g for g, _ in sizes], [size for _, size in sizes])
    y, hard, fold = np.arange(n) % 2, draw.normal(size=n), np.arange(n) // 2 % folds
    out = []
    for arm, level in accuracies.items():
        limit = norm.ppf(np.vectorize(level.get)(where)) * 1.25**0.5
        for seed in range(seeds):
            right = hard + draw.normal(size=n) * 0.5 < limit
            sure = draw.uniform(0.5, 1, size=n)
            p = np.where((right == (y == 1))[:, None], np.stack([1 - sure, sure], 1), np.stack([sure, 1 - sure], 1))
            out += [Predictions(arm=arm, fold=f, seed=seed, ids=np.flatnonzero(fold == f), y=y[fold == f], p=p[fold == f]) for f in range(folds)]
    return out, dict(enumerate(where.tolist()))


def told(found, arm):
    return next(a for a in found["arms"] if a["arm"] == arm)


EVEN = {"north": 0.8, "south": 0.8}
SKEWED = {"north": 0.95, "south": 0.6}


def test_figures_of_a_group_are_those_of_its_rows_alone():
    cells, group = planted({"real": SKEWED, "classical": EVEN}, folds=2)
    found = fairness(cells, group, mode="cv", classes=CLASSES, recommended="classical")
    own = by_group([c for c in cells if c.arm == "real"], group)["south"]
    south = next(g for g in told(found, "real")["groups"] if g["group"] == "south")
    assert south["rows"] == 200
    for name in ("balanced_accuracy", "ece"):
        assert tuple(south[name].values()) == interval(own, name, mode="cv", classes=CLASSES)
        by_seed = []
        for seed in range(3):
            mine = [c for c in cells if (c.arm, c.seed) == ("real", seed)]
            at = [np.array([group[int(i)] == "south" for i in c.ids]) for c in mine]
            y, p = (np.concatenate([getattr(c, k)[a] for c, a in zip(mine, at, strict=True)]) for k in ("y", "p"))
            by_seed.append(figures(y, p, CLASSES)[name])
        assert south[name]["mean"] == pytest.approx(np.mean(by_seed))
    assert south["recall"].keys() == set(CLASSES) and all(r["low"] < r["mean"] < r["high"] for r in south["recall"].values())


def test_a_planted_gap_is_measured_and_its_widening_is_a_finding():
    cells, group = planted({"real": EVEN, "classical": EVEN, "synthetic+classical": SKEWED})
    found = fairness(cells, group, mode="holdout", classes=CLASSES, recommended="synthetic+classical")
    g = told(found, "synthetic+classical")["gap"]
    assert (g["best"], g["worst"]) == ("north", "south") and g["value"] == pytest.approx(0.35, abs=0.06)
    assert told(found, "classical")["gap"]["value"] < 0.12
    w = told(found, "synthetic+classical")["widening"]
    assert 0 < w["low"] < w["estimate"] < w["high"] and w["than"] == "classical"
    assert told(found, "real")["widening"] is None and told(found, "classical")["widening"]["than"] == "real"
    warning = next(f for f in found["findings"] if f["code"] == "AM301")
    assert "widens the gap between north and south by +" in warning["text"] and warning["level"] == "warning"


def test_a_gap_that_was_there_before_or_is_not_recommended_is_no_finding():
    cells, group = planted({"real": SKEWED, "classical": SKEWED, "synthetic+classical": SKEWED})
    assert not fairness(cells, group, mode="holdout", classes=CLASSES, recommended="synthetic+classical")["findings"]
    cells, group = planted({"real": EVEN, "classical": EVEN, "synthetic+classical": SKEWED})
    assert not fairness(cells, group, mode="holdout", classes=CLASSES, recommended="classical")["findings"]


def test_small_groups_are_told_but_take_no_part_in_a_gap():
    sizes = (("north", 100), ("south", 100), ("isle", LEAST - 2))
    cells, group = planted({"real": EVEN | {"isle": 0.3}, "classical": EVEN | {"isle": 0.99}}, sizes=sizes)
    found = fairness(cells, group, mode="holdout", classes=CLASSES, recommended="classical")
    assert [g["group"] for g in told(found, "real")["groups"]] == ["north", "south", "isle"]
    assert "isle" not in (told(found, "real")["gap"]["best"], told(found, "real")["gap"]["worst"])
    assert [f["code"] for f in found["findings"]] == ["AM302"] and "isle" in found["findings"][0]["text"]
    alone, group = planted({"real": EVEN}, sizes=(("north", 100), ("south", 4)))
    found = fairness(alone, group, mode="holdout", classes=CLASSES, recommended="real")
    assert found["arms"][0]["gap"] is None


def test_rows_without_a_group_and_absent_classes_are_let_by():
    cells, group = planted({"real": EVEN, "classical": EVEN})
    one = {i: ("north" if i % 2 else "") for i in group}
    found = fairness(cells, one, mode="holdout", classes=CLASSES, recommended="classical")
    (only,) = told(found, "real")["groups"]
    assert only["rows"] == 200 and list(only["recall"]) == ["yes"]


def test_the_gap_of_equal_groups_is_what_luck_shows():
    sizes = tuple((f"site {i}", 60) for i in range(6))
    values, luck = [], []
    for i in range(30):
        cells, group = planted({"real": dict.fromkeys(dict(sizes), 0.8)}, sizes=sizes, name=f"luck {i}")
        found = gap(compared("real", by_group(cells, group), "holdout", 0.95))
        values.append(found.value)
        luck.append(found.chance)
    assert np.mean(values) == pytest.approx(np.mean(luck), rel=0.15) and np.mean(luck) > 0.08


def test_units_within_a_group_widen_the_interval():
    cells, group = planted({"real": EVEN, "classical": EVEN, "synthetic+classical": SKEWED}, sizes=(("north", 400), ("south", 400)))
    unit = {i: i // 8 for i in group}
    clumped = []
    for c in cells:
        first = np.array([unit[int(i)] * 8 + (int(i) % 2) for i in c.ids])
        clumped.append(dataclasses.replace(c, p=c.p[first]))
    found = [told(fairness(clumped, group, mode="holdout", classes=CLASSES, recommended="real", unit=u), "synthetic+classical") for u in (None, unit)]
    width = [f["widening"]["high"] - f["widening"]["low"] for f in found]
    assert width[1] > 1.25 * width[0]


@pytest.mark.parametrize("levels", [(0.8, 0.8), (0.9, 0.7), (0.9, 0.8, 0.7, 0.85)])
def test_equal_arms_rarely_widen_a_gap(levels):
    hits = 0
    for i in range(100):
        sizes = tuple((f"g{k}", (40, 120)[k % 2]) for k in range(len(levels)))
        same = {f"g{k}": level for k, level in enumerate(levels)}
        cells, group = planted({"classical": same, "searched": same}, sizes=sizes, name=f"null {levels} {i}")
        parts = {arm: by_group([c for c in cells if c.arm == arm], group) for arm in ("classical", "searched")}
        arms = [compared(arm, parts[arm], "holdout", 0.95) for arm in ("searched", "classical")]
        hits += widening(*arms).low > 0
    assert hits <= 6


def test_an_attribute_may_stand_on_both_sides_of_a_split_and_a_subject_may_not(tmp_path):
    for i in range(24):
        Image.fromarray(rng("rows", i).integers(0, 255, (12, 12), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    lines = ["path,label,sex", *(f"{i}.png,{'ab'[i // 12]},{'fm'[i % 2]}" for i in range(24))]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    few = {"preset": "quick", "jobs": 0, "generators": (), "learner": ("probe",), "group": "sex", "folds": 2, "until": "plan"}
    with pytest.raises(DataError) as caught:
        augmind.expand(tmp_path / "rows.csv", tmp_path / "no", **few)
    assert "--across" in caught.value.help
    augmind.expand(tmp_path / "rows.csv", tmp_path / "run", **few, across=True)
    job = Job(tmp_path / "run")
    group = {r.id: r.group for r in job.rows}
    assert all({group[i] for i in part} == {"f", "m"} for fold in job.split.folds for part in (fold.train, fold.test))
    with pytest.raises(UsageError, match="--group"):
        augmind.expand(tmp_path / "rows.csv", tmp_path / "x", preset="quick", across=True)
