"""The verdict: closed-form intervals, scikit-learn and torchmetrics as oracles, error rates on nulls, power on planted gains."""

import dataclasses
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from augmind.core.errors import AugmindError, Diverged, UsageError
from augmind.core.seeds import stable_seed
from augmind.figures import Predictions, areas, confusion, confusions, figures, group_figures, mean_confusion, table
from augmind.spread import Component, combined, spread, units_needed
from augmind.verdict import difference, differences, holm, interval, intervals, verdict

NULLS = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "nulls.py"))
labels, folds_of, latent, trained, likings = (NULLS[name] for name in ("labels", "folds_of", "latent", "trained", "subjects"))
CLASSES = ("cat", "dog", "owl")


def rng(*names):
    return np.random.default_rng(stable_seed("test verdict", *names))


def scores(draw, y, right, k=3):
    """Probabilities whose most probable class is true exactly where `right`."""
    p = draw.dirichlet(np.ones(k), size=len(y))
    guess = np.where(right, y, (y + 1) % k)
    top = p.argmax(1)
    rows = np.arange(len(y))
    p[rows, guess], p[rows, top] = p[rows, top].copy(), p[rows, guess].copy()
    return p


def cells(accuracies, *, n=300, seeds=5, folds=1, k=3, name="cells"):
    """Independent arms of given accuracy; the difficulty of a row is common to all arms and seeds."""
    draw = rng(name, n, seeds, folds)
    y = np.arange(n) % k
    fold = folds_of(y, folds)
    hard = draw.normal(size=n)
    out = []
    for arm, accuracy in accuracies.items():
        for seed in range(seeds):
            right = (hard + draw.normal(size=n) * 0.5) < stats.norm.ppf(accuracy) * 1.25**0.5
            p = scores(draw, y, right, k)
            out += [
                Predictions(arm=arm, fold=f, seed=seed, ids=np.flatnonzero(fold == f) + 100, y=y[fold == f], p=p[fold == f]) for f in range(folds)
            ]
    return out


def of(found, arm):
    return [c for c in found if c.arm == arm]


# Figures


def test_figures_agree_with_scikit_learn_and_torchmetrics():
    from sklearn import metrics
    from torchmetrics.functional.classification import multiclass_calibration_error

    draw = rng("figures")
    y = draw.integers(3, size=400)
    p = scores(draw, y, draw.random(400) < 0.7)
    guess, found = p.argmax(1), figures(y, p, CLASSES)
    expected = {
        "balanced_accuracy": metrics.balanced_accuracy_score(y, guess),
        "accuracy": metrics.accuracy_score(y, guess),
        "macro_f1": metrics.f1_score(y, guess, average="macro"),
        "recall": metrics.recall_score(y, guess, average="macro"),
        "precision": metrics.precision_score(y, guess, average="macro"),
        "roc_auc": metrics.roc_auc_score(y, p, multi_class="ovr", average="macro"),
        "pr_auc": metrics.average_precision_score(np.eye(3)[y], p, average="macro"),
        "log_loss": metrics.log_loss(y, p),
        "ece": float(multiclass_calibration_error(torch.tensor(p), torch.tensor(y), 3, n_bins=15)),
    }
    for name, score in (("recall", metrics.recall_score), ("precision", metrics.precision_score), ("f1", metrics.f1_score)):
        expected |= {f"{name}/{c}": v for c, v in zip(CLASSES, score(y, guess, average=None), strict=True)}
    expected |= {f"roc_auc/{c}": metrics.roc_auc_score(y == k, p[:, k]) for k, c in enumerate(CLASSES)}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name


def test_classes_without_rows_follow_scikit_learn():
    from sklearn import metrics

    y = np.array([0, 0, 0, 1])
    p = np.eye(4)[[0, 0, 2, 1]]
    found = figures(y, p, ("a", "b", "c", "d"))
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["recall"] == pytest.approx(metrics.recall_score(y, p.argmax(1), average="macro", zero_division=0))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(y, p.argmax(1), average="macro", zero_division=0))
    assert found["precision"] == pytest.approx(metrics.precision_score(y, p.argmax(1), average="macro", zero_division=0))
    assert np.isnan(found["recall/d"]) and found["precision/d"] == 0 and np.isnan(found["roc_auc/c"])
    assert found["roc_auc"] == pytest.approx(np.mean([metrics.roc_auc_score(y == c, p[:, c]) for c in (0, 1)]))
    one = figures(y[:3], p[:3], ("a", "b", "c", "d"))
    assert np.isnan(one["roc_auc"]) and one["pr_auc"] == 1


@pytest.mark.parametrize("digits", [1, 2, 16])
def test_areas_count_ties_as_scikit_learn_does(digits):
    from sklearn import metrics

    draw = rng("areas", digits)
    y = draw.choice(6, p=[0.4, 0.3, 0.2, 0.1, 0, 0], size=300)
    p = draw.dirichlet(np.ones(6) / 2, size=300).round(digits).astype(np.float32)
    roc, pr = areas(y, p)
    for k in range(4):
        assert roc[k] == pytest.approx(metrics.roc_auc_score(y == k, p[:, k]))
        assert pr[k] == pytest.approx(metrics.average_precision_score(y == k, p[:, k]))
    assert np.isnan([*roc[4:], *pr[4:]]).all()


def test_confusion_adds_folds_and_averages_seeds():
    from sklearn import metrics

    found = of(cells({"a": 0.7}, folds=3, seeds=2), "a")
    by_seed = []
    for seed in range(2):
        own = [c for c in found if c.seed == seed]
        by_seed.append(metrics.confusion_matrix(np.concatenate([c.y for c in own]), np.concatenate([c.p.argmax(1) for c in own])))
    assert np.array_equal(mean_confusion(found, CLASSES), np.mean(by_seed, 0))
    assert confusion(np.array([0, 2]), np.eye(3)[[1, 2]], CLASSES).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_groups_and_cells_become_records():
    y, p = np.array([0, 0, 1, 1]), np.eye(2)[[0, 1, 1, 1]]
    assert group_figures(y, p, ["a", "b", "a", "b"]) == {"group/a": 1.0, "group/b": 0.5}
    cell = Predictions(arm="real", fold=0, seed=3, ids=np.array([7, 8, 9, 10]), y=y, p=p)
    records = table([cell], ("x", "y"), {7: "a", 8: "b", 9: "a", 10: "b"})
    assert {"arm": "real", "fold": 0, "seed": 3, "metric": "group/b", "value": 0.5} in records
    assert {r["metric"]: r["value"] for r in records}["accuracy"] == 0.75


def test_unusable_predictions_are_refused():
    good = {"arm": "real", "fold": 0, "seed": 0, "ids": np.arange(3), "y": np.array([0, 1, 1]), "p": np.full((3, 2), 0.5)}
    Predictions(**good)
    with pytest.raises(Diverged, match="arm 'real', fold 0, seed 0"):
        Predictions(**good | {"p": np.full((3, 2), np.nan)})
    for bad in ({"ids": np.array([1, 1, 2])}, {"y": np.array([0, 1, 2])}, {"p": np.full((3, 2), 0.8)}):
        with pytest.raises(AugmindError, match="arm 'real'"):
            Predictions(**good | bad)


# The interval


def test_one_component_is_student_t():
    found = combined(0.2, [Component(0.01, 4.0)], 0.95)
    low, high = stats.t.interval(0.95, 4, loc=0.2, scale=0.1)
    assert (found.low, found.high, found.df) == pytest.approx((low, high, 4))
    assert found.p == pytest.approx(2 * stats.t.sf(2, 4))


def test_interval_excludes_zero_exactly_when_p_is_below_the_level():
    for estimate in (0.02, 0.05, 0.08, 0.1, 0.15, 0.3):
        for level in (0.9, 0.95, 0.99):
            found = combined(estimate, [Component(0.001, 90.0), Component(0.0004, 2.0)], level)
            assert (found.low > 0) == (found.p < 1 - level)
            assert 2 < found.df < 90


def test_without_luck_of_seeds_the_interval_is_that_of_the_rows():
    draw = rng("rows")
    one = draw.choice([-1.0, 0.0, 1.0], p=[0.1, 0.7, 0.2], size=2000)
    found = spread(np.repeat(one[:, None], 5, 1), np.zeros(2000, dtype=int))
    assert found.se == pytest.approx(one.std(ddof=1) / 2000**0.5, rel=0.01)
    assert found.estimate == pytest.approx(one.mean())


def test_when_seeds_decide_the_interval_is_that_of_the_seed_means():
    means = np.array([-0.3, 0.1, 0.4, 0.25])
    values = np.repeat(means[None], 4000, 0) + rng("seeds").normal(size=(4000, 4)) * 0.01
    found = spread(values, np.zeros(4000, dtype=int))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 3, loc=means.mean(), scale=stats.sem(means)), abs=0.01)


def test_each_class_has_the_same_weight():
    y = np.repeat([0, 1], [90, 10])
    found = spread((y == 1).astype(float)[:, None] * np.ones((1, 3)), y)
    assert found.estimate == 0.5


@pytest.mark.parametrize(("rows", "classes", "right"), [(24, 3, 0.95), (45, 3, 0.97), (100, 10, 0.99), (60, 3, 0.8)])
def test_intervals_cover_the_truth_also_where_hardly_a_row_is_wrong(rows, classes, right):
    """Accuracy of one arm, and the gain of an arm that is never worse: with few disagreements a sample often shows none."""
    y, draw = np.sort(np.arange(rows) % classes), rng("cover", rows)
    answers = [draw.random((rows, 1)) for _ in range(800)]
    accuracies = [spread((u < right).astype(float), y) for u in answers]
    gains = [spread((u > right).astype(float), y) for u in answers]
    assert np.mean([s.low <= right <= s.high for s in accuracies]) >= 0.9
    assert np.mean([s.low <= 1 - right <= s.high for s in gains]) >= 0.9
    losses = [dataclasses.replace(s, low=-s.high, high=-s.low) for s in gains]
    assert np.mean([s.low > right - 1 for s in losses]) <= 0.05, "no loss is called smaller than it is"


def repeated_folds(y, folds, repeats, draw):
    """Folds of every row in each repetition (n, repeats)."""
    out = np.empty((len(y), repeats), dtype=int)
    for r in range(repeats):
        for k in np.unique(y):
            rows = draw.permutation(np.flatnonzero(y == k))
            out[rows, r] = np.arange(len(rows)) % folds + r * folds
    return out


def test_repetitions_with_the_same_folds_count_once():
    y = labels(90, (1, 1, 1))
    values, folds = latent(rng("repeat"), y, 4), folds_of(y, 3)
    once = spread(values.mean(1, keepdims=True), y, folds[:, None])
    assert spread(values, y, np.repeat(folds[:, None], 4, 1)) == once
    assert once == spread(values.mean(1, keepdims=True), y, folds)


@pytest.mark.parametrize(("folds", "repeats", "seeds"), [(3, 2, 1), (5, 5, 1), (3, 3, 2)])
def test_false_recommendations_in_repeated_cross_validation_are_rare(folds, repeats, seeds):
    found = []
    for n, prior in ((60, (1, 1, 1)), (200, (1, 1, 1)), (100, (50, 30, 12, 5, 3))):
        y, draw = labels(n, prior), rng("repeated", n, folds)
        for _ in range(100):
            where = repeated_folds(y, folds, repeats, draw)
            values, each = latent(draw, y, repeats * seeds, luck=0.06), np.tile(where, (1, seeds))
            luck = draw.normal(size=(folds * repeats, 1)) * 0.02
            found.append(spread(values + luck[each][:, :, 0], y, each))
    assert rate(found) <= 0.05


def test_repeated_cross_validation_narrows_the_interval_when_trainings_vary():
    def half(repeats):
        y, draw = labels(150, (1, 1, 1)), rng("narrow")
        return np.median([spread(latent(draw, y, repeats, luck=0.2), y, repeated_folds(y, 3, repeats, draw)).certifiable for _ in range(40)])

    assert half(10) < 0.9 * half(2)


def test_repetitions_are_told_and_every_row_counts_once_in_each():
    own = cells({"real": 0.6, "classical": 0.6, "synthetic+classical": 0.95}, n=90, folds=3, seeds=2)
    again = [dataclasses.replace(c, fold=c.fold + 3, p=np.roll(c.p, 1, 0), ids=np.roll(c.ids, 1), y=np.roll(c.y, 1)) for c in own]
    v = verdict([*own, *again], mode="cv", classes=CLASSES)
    assert "; 2 seeds, 3 folds 2 times, 90 test rows)" in v.sentence
    assert v.gain == pytest.approx(verdict(own, mode="cv", classes=CLASSES).gain)
    assert np.sum(confusions([*own, *again], CLASSES)["arms"][0]["counts"]) == pytest.approx(90)


def test_rows_that_all_agree_leave_what_the_rule_of_three_allows():
    found = spread(np.zeros((300, 1)), np.arange(300) % 3)
    assert found.estimate == 0 and 0.01 < found.certifiable < 0.015
    certified = spread(np.ones((45, 1)), np.arange(45) % 3)
    assert certified.low < 0.95


def test_more_rows_and_more_seeds_certify_smaller_gains():
    def certifiable(n, seeds):
        y = labels(n, (1, 1, 1))
        return np.median([spread(latent(rng(n, seeds, i), y, seeds), y).certifiable for i in range(20)])

    assert certifiable(200, 5) > certifiable(800, 5) > certifiable(3200, 5)
    assert certifiable(800, 2) > certifiable(800, 3) > certifiable(800, 10)


# Error rates and power


def rate(found):
    return np.mean([s.low > 0 for s in found])


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("luck", [0.0, 0.06, 0.2])
def test_false_recommendations_on_one_test_set_are_rare(seeds, luck):
    found = []
    for n, prior, count in ((60, (1, 1, 1), 150), (1000, (1, 1, 1), 60), (100, (50, 30, 12, 5, 3), 150)):
        y, draw = labels(n, prior), rng("null", seeds, luck, n)
        found += [spread(latent(draw, y, seeds, luck=luck), y) for _ in range(count)]
    assert rate(found) <= 0.05


@pytest.mark.parametrize("folds", [3, 5])
@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_false_recommendations_in_cross_validation_are_rare(folds, seeds):
    found = []
    for n, prior, shared in ((60, (1, 1, 1), 0.06), (200, (1, 1, 1), 0.032), (300, (50, 30, 12, 5, 3), 0.032)):
        y, draw = labels(n, prior), rng("cv null", folds, seeds, n)
        where = folds_of(y, folds)
        found += [spread(latent(draw, y, seeds, folds=where, shared=shared), y, where) for _ in range(130)]
    assert rate(found) <= 0.05


@pytest.mark.parametrize("learner", ["centroids", "neighbours"])
def test_false_recommendations_of_trained_learners_are_rare(learner):
    draw = rng("trained", learner)
    arms = (("duplicates", "none"), ("noise", "none"), ("jitter", "jitter"), ("duplicates", "duplicates"))
    assert rate([trained(draw, learner, ours, theirs) for ours, theirs in arms for _ in range(50)]) <= 0.05


def test_three_points_are_found_with_a_thousand_rows_and_five_seeds():
    y, draw = labels(1000, (1, 1, 1)), rng("power")
    found = [spread(latent(draw, y, 5, gain=0.114, luck=0.01), y) for _ in range(200)]
    assert np.mean([s.estimate for s in found]) == pytest.approx(0.03, abs=0.003)
    assert rate(found) >= 0.75
    assert np.median([s.detectable for s in found]) == pytest.approx(0.03, abs=0.004)


def test_fresh_real_rows_are_found_to_help():
    draw = rng("fresh")
    found = [trained(draw, "centroids", "fresh", "none", n=15, test=1000, seeds=5, added=300) for _ in range(50)]
    assert rate(found) >= 0.8


# Comparing arms


def test_difference_pools_folds_and_matches_balanced_accuracy():
    from sklearn.metrics import balanced_accuracy_score

    found = cells({"a": 0.8, "b": 0.7}, folds=3, seeds=2)
    by_seed = []
    for seed in range(2):
        score = []
        for arm in "ab":
            own = [c for c in of(found, arm) if c.seed == seed]
            score.append(balanced_accuracy_score(np.concatenate([c.y for c in own]), np.concatenate([c.p.argmax(1) for c in own])))
        by_seed.append(score[0] - score[1])
    d = difference(of(found, "a"), of(found, "b"), mode="cv")
    assert d.estimate == pytest.approx(np.mean(by_seed))
    assert (d.rows, d.seeds) == (300, 2)
    reverse = difference(of(found, "b"), of(found, "a"), mode="cv")
    assert (reverse.estimate, reverse.low, reverse.p) == pytest.approx((-d.estimate, -d.high, d.p))


def test_the_order_of_cells_and_rows_does_not_matter():
    found = cells({"a": 0.8, "b": 0.7}, folds=3)
    mixed = []
    for c in found[::-1]:
        order = rng("order", c.fold).permutation(len(c.ids))
        mixed.append(dataclasses.replace(c, ids=c.ids[order], y=c.y[order], p=c.p[order]))
    assert difference(of(mixed, "a"), of(mixed, "b"), mode="cv") == difference(of(found, "a"), of(found, "b"), mode="cv")


def test_arms_that_are_not_paired_are_refused():
    found = cells({"a": 0.8, "b": 0.7}, seeds=3)
    for bad in (of(found, "b")[:2], of(cells({"b": 0.7}, n=200, seeds=3), "b"), [*of(found, "b"), of(found, "b")[0]], []):
        with pytest.raises(AugmindError):
            difference(of(found, "a"), bad, mode="holdout")
    with pytest.raises(AugmindError, match="mode 'holdout'"):
        difference(of(cells({"a": 0.8}, folds=2), "a"), of(cells({"a": 0.8}, folds=2), "a"), mode="holdout")


def test_holm_is_statsmodels_textbook_example():
    base = difference(of(cells({"a": 0.8, "b": 0.7}), "a"), of(cells({"a": 0.8, "b": 0.7}), "b"), mode="holdout")
    given = {name: dataclasses.replace(base, p=p) for name, p in {"w": 0.04, "x": 0.01, "y": 0.03, "z": 0.005}.items()}
    assert {k: d.p_holm for k, d in holm(given).items()} == pytest.approx({"w": 0.06, "x": 0.03, "y": 0.06, "z": 0.02})


def test_differences_are_corrected_in_two_families():
    """By hand: the smallest of m p times m, the next times m - 1, never falling, never above 1; the primary's two stand alone."""
    found = cells({"real": 0.7, "classical": 0.73, "policy": 0.78, "synthetic": 0.75, "twin": 0.7})
    shown = differences(found, mode="holdout", primary="policy")
    assert list(shown)[:2] == ["policy vs classical", "policy vs real"] and len(shown) == 7
    for family in (list(shown)[:2], list(shown)[2:]):
        worst, m = 0.0, len(family)
        for i, name in enumerate(sorted(family, key=lambda name: shown[name].p)):
            worst = max(worst, min(1.0, shown[name].p * (m - i)))
            assert shown[name].p_holm == pytest.approx(worst)
    for name, d in shown.items():
        a, _, b = name.partition(" vs ")
        alone = difference(of(found, a), of(found, b), mode="holdout")
        assert dataclasses.replace(d, p_holm=d.p) == alone and (d.low > 0 or d.high < 0) == (d.p < 0.05)


# Intervals of one arm


@pytest.mark.parametrize(
    "figure",
    [
        "balanced_accuracy",
        "accuracy",
        "recall",
        "macro_f1",
        "precision",
        "roc_auc",
        "pr_auc",
        "ece",
        "log_loss",
        "recall/dog",
        "f1/owl",
        "roc_auc/cat",
    ],
)
def test_intervals_of_one_arm_cover_its_figure(figure):
    many = cells({"a": 0.75}, n=30000, seeds=2, name="truth")
    truth = np.mean([figures(c.y, c.p, CLASSES)[figure] for c in many])
    hit = 0
    for i in range(20):
        own = cells({"a": 0.75}, n=240, seeds=2, name=f"cover {i}")
        mean, low, high = interval(own, figure, mode="holdout", classes=CLASSES)
        assert mean == pytest.approx(np.mean([figures(c.y, c.p, CLASSES)[figure] for c in own])) and low < mean < high
        hit += low <= truth <= high or figure == "ece"
    assert hit >= 17


def test_a_perfect_arm_still_has_an_interval_and_names_are_checked():
    own = cells({"a": 1 - 1e-12}, n=30, seeds=2)
    mean, low, high = interval(own, "recall/cat", mode="holdout", classes=CLASSES)
    assert (mean, high) == pytest.approx((1, 1)) and low < 0.95
    mean, low, high = interval(own, "macro_f1", mode="holdout", classes=CLASSES)
    assert (mean, high) == (1, 1) and 0.8 < low < 0.95
    with pytest.raises(UsageError, match="'macro_f2'"):
        interval(own, "macro_f2", mode="holdout", classes=CLASSES)


def test_intervals_of_many_figures_are_those_of_each():
    own = cells({"a": 0.75}, n=90, seeds=3)
    names = ("ece", "recall/owl", "balanced_accuracy", "roc_auc")
    found = intervals(own, names, mode="holdout", classes=CLASSES)
    assert list(found) == list(names)
    assert found == {name: interval(own, name, mode="holdout", classes=CLASSES) for name in names}


# The verdict


def decide(accuracies, *, mode="holdout", margin=0.0, primary="synthetic+classical", **shape):
    return verdict(cells(accuracies, **shape), mode=mode, margin=margin, classes=CLASSES, primary=primary)


def test_a_clear_gain_recommends_the_synthetic_rows():
    v = decide({"real": 0.7, "classical": 0.75, "synthetic": 0.72, "synthetic+classical": 0.9}, n=1000)
    assert v.use_synthetic and v.arm == "synthetic+classical" and v.against == "the best classical arm"
    assert v.interval[0] > 0 and v.p < 0.05
    assert v.sentence.startswith(
        f"Use the synthetic rows: +{100 * v.gain:.1f} points of balanced accuracy over the best classical arm (95% interval +"
    )
    assert v.sentence.endswith(f"; 5 seeds, 1,000 test rows); this test set could certify no gain below {100 * v.certifiable:.1f} points.")
    first, second, *rest = v.differences
    assert (first, second) == ("synthetic+classical vs classical", "synthetic+classical vs real")
    assert set(rest) == {"synthetic vs classical", "synthetic vs real", "classical vs real"}


def test_no_gain_recommends_the_best_arm_without_synthetic_rows():
    v = decide({"real": 0.7, "classical": 0.8, "synthetic+classical": 0.8})
    assert not v.use_synthetic and v.arm == "classical"
    assert v.sentence.startswith("Do not use synthetic data here, ") and v.sentence.endswith(f"no gain below {100 * v.certifiable:.1f} points.")
    assert decide({"real": 0.85, "classical": 0.7, "synthetic+classical": 0.7}).arm == "real"


def test_beating_a_bad_classical_arm_is_not_enough():
    v = decide({"real": 0.85, "classical": 0.6, "synthetic+classical": 0.85}, n=900)
    assert v.differences["synthetic+classical vs classical"].low > 0
    assert not v.use_synthetic and v.arm == "real" and v.against == "the real rows alone"


def test_a_margin_lets_an_equal_arm_pass_but_not_a_worse_one():
    equal = {"real": 0.8, "classical": 0.8, "synthetic+classical": 0.8}
    assert not decide(equal, n=3000).use_synthetic
    v = decide(equal, n=3000, margin=0.05)
    assert v.use_synthetic and "by the 5.0 points that were allowed" in v.sentence
    assert not decide(equal | {"synthetic+classical": 0.7}, n=3000, margin=0.05).use_synthetic
    with pytest.raises(UsageError, match="the margin is"):
        decide(equal, margin=-0.1)


def test_one_seed_never_recommends_on_one_test_set_but_folds_may():
    gain = {"real": 0.6, "classical": 0.6, "synthetic+classical": 0.95}
    v = decide(gain, seeds=1)
    assert not v.use_synthetic and "one seed" in v.sentence and v.arm == "classical" and "AM601" in {f.code for f in v.findings}
    assert decide(gain, seeds=1, folds=5, mode="cv").use_synthetic


def test_identical_predictions_are_no_gain_with_a_finite_interval():
    own = of(cells({"a": 0.8}), "a")
    arms = ("real", "classical", "synthetic+classical")
    v = verdict([dataclasses.replace(c, arm=arm) for arm in arms for c in own], mode="holdout", classes=CLASSES)
    assert not v.use_synthetic and v.gain == 0 and v.p == 1 and v.arm == "classical"
    assert v.interval[0] < 0 < v.interval[1] and 0 < v.certifiable < 0.02
    assert [f.code for f in v.findings] == ["AM604", "AM604"] and "+0.0 points" in v.sentence


def test_few_rows_and_absent_classes_become_findings():
    tiny = cells({"real": 0.5, "classical": 0.5, "synthetic+classical": 0.99}, n=4, seeds=2, k=3)
    v = verdict(tiny, mode="given", classes=(*CLASSES,))
    assert not v.use_synthetic and v.interval[0] >= -1 and v.interval[1] <= 1 and "AM603" in {f.code for f in v.findings}
    two = [dataclasses.replace(c, p=np.concatenate([c.p, np.zeros((len(c.p), 1))], 1)) for c in tiny]
    found = {f.code: f for f in verdict(two, mode="given", classes=(*CLASSES, "yak")).findings}
    assert found["AM602"].about == {"classes": ["yak"]}


def test_two_classes_and_cross_validation_read_well():
    found = cells({"real": 0.6, "classical": 0.6, "synthetic+classical": 0.95}, k=2, folds=3, seeds=2, n=400)
    v = verdict(found, mode="cv", classes=("no", "yes"))
    assert v.use_synthetic and "; 2 seeds, 3 folds, 400 test rows); this test set" in v.sentence


def test_exploratory_arms_are_reported_but_do_not_decide():
    v = decide({"real": 0.6, "classical": 0.6, "synthetic+classical": 0.6, "synthetic": 0.9, "twin": 0.6}, n=900)
    assert not v.use_synthetic and v.arm in ("real", "classical")
    assert [f.about["comparison"] for f in v.findings if f.code == "AM605"] == ["synthetic vs classical"]


def test_any_arm_may_be_the_primary_one_but_no_rival():
    arms = {"real": 0.7, "classical": 0.75, "synthetic+classical": 0.75, "searched": 0.9}
    v = decide(arms, n=1000, primary="searched")
    assert v.use_synthetic and v.arm == "searched" and v.against == "the best classical arm"
    assert list(v.differences)[:2] == ["searched vs classical", "searched vs real"]
    assert not decide(arms, n=1000).use_synthetic
    with pytest.raises(UsageError, match="the primary arm is 'real'"):
        decide(arms, primary="real")


def test_missing_arms_are_told():
    v = decide({"real": 0.7, "classical": 0.8})
    assert not v.use_synthetic and v.arm == "classical" and "no synthetic rows were left" in v.sentence and np.isnan(v.gain)
    assert decide({"real": 0.6, "synthetic+classical": 0.95}).against == "the real rows alone"
    with pytest.raises(UsageError, match="without synthetic rows"):
        decide({"synthetic+classical": 0.9})


def subjects(draw, per, count=40, seeds=3):
    """Arms without any gain on one test set of `count` subjects with `per` rows each, whose liking for an arm is their own."""
    n = per * count
    subject, y = np.arange(n) // per, draw.permutation(np.arange(n) % 2)
    found = []
    for arm in ("real", "classical", "synthetic+classical"):
        taste = draw.normal(size=count)[subject]
        for seed in range(seeds):
            right = draw.normal(size=n) * 0.7 + taste + 0.5 > 0
            unit = subject if per > 1 else None
            found.append(Predictions(arm=arm, fold=0, seed=seed, ids=np.arange(n), y=y, p=scores(draw, y, right, 2), unit=unit))
    return found


@pytest.mark.parametrize("per", [1, 8])
def test_the_whole_verdict_rarely_says_yes_where_there_is_no_gain_also_with_subjects(per):
    """300 nulls through `verdict` itself; rows of one subject are not independent."""
    draw = rng("subjects", per)
    yes = sum(verdict(subjects(draw, per), mode="given", classes=("a", "b")).use_synthetic for _ in range(300))
    assert yes <= 0.05 * 300


def test_rows_of_one_unit_widen_the_interval_and_units_of_one_row_do_not():
    draw = rng("units")
    found = subjects(draw, 8)
    alone = [dataclasses.replace(c, unit=None) for c in found]
    single = [dataclasses.replace(c, unit=np.arange(len(c.ids))) for c in found]
    a, b, c = (difference(of(x, "synthetic+classical"), of(x, "classical"), mode="given") for x in (found, alone, single))
    assert a.se > 1.3 * b.se and c == b


@pytest.mark.parametrize(("count", "classes", "own", "within"), [(2, 10, 0.3, 0.3), (3, 5, 0.3, 0.0), (4, 10, 0.3, 0.3)])
def test_few_subjects_with_likings_of_their_own_rarely_say_yes(count, classes, own, within):
    draw = rng("few subjects", count, classes)
    tables = [likings(draw, count, classes, 15, own, within) for _ in range(400)]
    assert sum(spread(d, y, units=subject).low > 0 for d, y, subject in tables) <= 0.05 * 400
    assert sum(spread(d, y).low > 0 for d, y, _ in tables) > 0.1 * 400


def test_what_subjects_have_in_common_is_the_t_test_over_them_where_it_is_all_there_is():
    """Every row of a subject gains the same: the interval is about that of Student's t over the subjects' gains."""
    gains = np.array([0.1, 0.3, 0.2, 0.4, 0.15])
    subject, y = np.repeat(np.arange(5), 200), np.tile(np.arange(20), 50)
    found = spread(gains[subject][:, None], y, units=subject)
    low, high = stats.t.interval(0.95, 4, gains.mean(), stats.sem(gains))
    assert found.estimate == pytest.approx(gains.mean()) and found.low == pytest.approx(low, abs=0.02) and found.high == pytest.approx(high, abs=0.02)
    assert low > 0 and units_needed(gains[subject][:, None], y, None, subject) == 6


def speakers(gains, draw, classes=4, rows=20):
    """Predictions of three arms on as many speakers, the last arm better by these gains."""
    subject, y = np.repeat(np.arange(len(gains)), classes * rows), np.tile(np.arange(classes), len(gains) * rows)
    found = []
    for arm, of in (("real", 0.0), ("classical", 0.0), ("synthetic+classical", np.array(gains)[subject])):
        for seed in range(3):
            right = draw.random(len(y)) < 0.5 + of
            found.append(Predictions(arm=arm, fold=0, seed=seed, ids=np.arange(len(y)), y=y, p=scores(draw, y, right, classes), unit=subject))
    return found


def test_a_gain_in_most_groups_that_few_of_them_cannot_prove_is_told():
    found = speakers((0.05, 0.35, 0.1, 0.45), rng("speakers"))
    v = verdict(found, mode="given", classes=tuple("abcd"))
    (told,) = [f for f in v.findings if f.code == "AM606"]
    assert not v.use_synthetic and told.about["groups"] == told.about["above"] == 4 and 5 <= told.about["needed"] <= 12
    assert "above zero in 4 of the 4 groups" in told.text and v.sentence.startswith("No gain of synthetic data is proven here, but one is likely")
    even = verdict(speakers((0.2, 0.22, 0.19, 0.21), rng("even")), mode="given", classes=tuple("abcd"))
    none = verdict(speakers((-0.2, 0.25, -0.1, 0.1), rng("none")), mode="given", classes=tuple("abcd"))
    assert even.use_synthetic and not none.use_synthetic and not [f for v in (even, none) for f in v.findings if f.code == "AM606"]
