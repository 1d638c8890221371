"""Balancing tables: nothing, class weights, SMOTE and augmind's sampler beside each other, everything inside the folds.

    python -m benchmarks.resample [--repeats 5] [--sets wine cancer ...] [--ways none SMOTE ...]

scikit-learn's own data, the minority cut down to a tenth of the other classes. Per set and model: mean balanced accuracy in
points over `repeats` x 5-fold stratified cross-validation, the paired difference to SMOTE with its 95 % interval (corrected
resampled t test of Nadeau and Bengio, 2003: folds share training rows), and seconds of resampling a fold. The vae trains for 7 to
12 s a fold on one core, so --repeats 5 takes about half an hour; --ways leaves it out.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
from imblearn.over_sampling import SMOTE
from scipy.stats import t as student
from sklearn.datasets import load_breast_cancer, load_digits, load_wine, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.preprocessing import StandardScaler

import augmind

RATIO, FOLDS = 10, 5
Rows = tuple[np.ndarray, np.ndarray]


def imbalanced(x: np.ndarray, y: np.ndarray, minority: int, rows: int) -> Rows:
    """`rows` rows of class `minority` and at most ten times as many of every other class."""
    order = np.random.default_rng(0).permutation(len(y))
    kept = np.concatenate([order[y[order] == k][: rows if k == minority else RATIO * rows] for k in np.unique(y)])
    return x[kept], y[kept]


SETS: dict[str, Callable[[], Rows]] = {
    "cancer": lambda: imbalanced(*load_breast_cancer(return_X_y=True), minority=0, rows=35),
    "wine": lambda: imbalanced(*load_wine(return_X_y=True), minority=2, rows=7),
    "digits": lambda: imbalanced(*load_digits(return_X_y=True), minority=8, rows=17),
    "blobs": lambda: make_classification(660, n_informative=5, weights=[10 / 11], class_sep=0.8, random_state=0),
}
MODELS = {
    "logistic": lambda weight: LogisticRegression(max_iter=2000, class_weight=weight),
    "forest": lambda weight: RandomForestClassifier(100, class_weight=weight, random_state=0),
}
WAYS: dict[str, Callable[[int], object] | None] = {
    "none": None,
    "class_weight": None,
    "SMOTE": lambda seed: SMOTE(k_neighbors=4, random_state=seed),
    "feature": lambda seed: augmind.Resampler("feature", random_state=seed),
    "vae": lambda seed: augmind.Resampler("vae", random_state=seed),
}


def scores(x: np.ndarray, y: np.ndarray, ways: list[str], repeats: int) -> tuple[dict[tuple[str, str], list[float]], dict[str, list[float]], int]:
    """Points by (model, way), a fold each; seconds of resampling by way; how many folds drew a warning from a sampler."""
    found: dict[tuple[str, str], list[float]] = {(m, w): [] for m in MODELS for w in ways}
    seconds: dict[str, list[float]] = {w: [] for w in ways}
    warned = 0
    for fold, (train, test) in enumerate(RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=repeats, random_state=0).split(x, y)):
        scaler = StandardScaler().fit(x[train])
        rows, held = scaler.transform(x[train]), scaler.transform(x[test])
        for way in ways:
            sampler = WAYS[way]
            began = time.perf_counter()
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                new_x, new_y = sampler(fold).fit_resample(rows, y[train]) if sampler else (rows, y[train])
            warned += bool(said)
            seconds[way].append(time.perf_counter() - began)
            for model, make in MODELS.items():
                fitted = make("balanced" if way == "class_weight" else None).fit(new_x, new_y)
                found[model, way].append(100 * balanced_accuracy_score(y[test], fitted.predict(held)))
    return found, seconds, warned


def interval(d: np.ndarray) -> tuple[float, float]:
    """Mean and half-width at 95 % of differences over folds that share training rows."""
    spread = (d.var(ddof=1) * (1 / len(d) + 1 / (FOLDS - 1))) ** 0.5
    return float(d.mean()), float(student.ppf(0.975, len(d) - 1) * spread)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    args = parser.parse_args()
    ways = ["SMOTE", *(w for w in args.ways if w != "SMOTE")]
    print("| set | model | way | balanced accuracy | against SMOTE | seconds a fold |\n|---|---|---|---|---|---|")
    for name in args.sets:
        x, y = SETS[name]()
        found, seconds, warned = scores(x, y, ways, args.repeats)
        for (model, way), values in found.items():
            mean, half = interval(np.array(values) - np.array(found[model, "SMOTE"]))
            difference = "" if way == "SMOTE" else f"{mean:+.1f} ± {half:.1f}"
            print(f"| {name} | {model} | {way} | {np.mean(values):.1f} | {difference} | {np.mean(seconds[way]):.2f} |", flush=True)
        if warned:
            print(f"\n{name}: {warned} resamplings warned\n", flush=True)


if __name__ == "__main__":
    main()
