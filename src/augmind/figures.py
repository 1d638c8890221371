"""Figures of one cell of the comparison: how well the predicted probabilities of some test rows fit their true classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from .core.errors import AugmindError, Diverged

PRIMARY = "balanced_accuracy"
BINS = 15
"""Equal-width bins of the calibration error."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """One cell: what the model of (arm, fold, seed) says of its test rows.

    ids (n,) row ids, each once; y (n,) true classes 0..k-1; p (n, k) probabilities, each row adding up to 1.
    Raises `Diverged` for probabilities that are not finite.
    """

    arm: str
    fold: int
    seed: int
    ids: Int[np.ndarray, " n"]
    y: Int[np.ndarray, " n"]
    p: Float[np.ndarray, "n k"]
    unit: Int[np.ndarray, " n"] | None = None
    """Rows of one number are not independent (one subject, near duplicates); None: all are."""

    def __post_init__(self) -> None:
        where = f"arm '{self.arm}', fold {self.fold}, seed {self.seed}"
        if not np.isfinite(self.p).all():
            raise Diverged(f"{where}: the predicted probabilities are not finite", help="train this learner at a lower rate, or leave it out")
        if len(self.y) == 0 or len(self.ids) != len(self.y) or len(self.p) != len(self.y):
            raise AugmindError(f"{where}: {len(self.ids)} ids, {len(self.y)} true classes and {len(self.p)} predictions do not match")
        if len(np.unique(self.ids)) != len(self.ids):
            raise AugmindError(f"{where}: a test row was predicted twice")
        if self.y.min() < 0 or self.y.max() >= self.p.shape[1]:
            raise AugmindError(f"{where}: true classes {self.y.min()}..{self.y.max()} but {self.p.shape[1]} probabilities a row")
        if self.p.min() < 0 or np.abs(self.p.sum(1) - 1).max() > 0.01:
            raise AugmindError(f"{where}: the probabilities of a row are negative or do not add up to 1")

    @property
    def right(self) -> Float[np.ndarray, " n"]:
        """1.0 where the most probable class is the true one."""
        return (self.p.argmax(1) == self.y).astype(float)


def figures(y: Int[np.ndarray, " n"], p: Float[np.ndarray, "n k"], classes: Sequence[str]) -> dict[str, float]:
    """All figures of some rows; those of one class are named `recall/<class>`, and so `precision/`, `f1/` and `roc_auc/`.

    balanced_accuracy   mean recall of the classes present in `y`: the primary figure
    accuracy            share of rows whose most probable class is true
    recall, precision, macro_f1   means over the classes that are true or predicted anywhere, undefined ratios counting 0
    roc_auc, pr_auc     one class against the rest: mean area under the ROC curve, mean average precision, of the classes present
    ece                 expected calibration error of the most probable class, 15 bins of equal width (arXiv:1706.04599)
    log_loss            mean -log p of the true class, natural logarithm, p clipped at 2.2e-16

    All but ece are scikit-learn's. Recall and ROC-AUC of a class without rows are NaN, its precision and F1 are 0; ROC-AUC
    is NaN where all rows are of one class.
    """
    table = confusion(y, p, classes)
    hits, true, guessed = table.diagonal(), table.sum(1), table.sum(0)
    recall, precision, f1 = ratio(hits, true), ratio(hits, guessed), ratio(2 * hits, true + guessed)
    seen, there = true + guessed > 0, true > 0
    roc, pr = areas(y, p)
    out = {
        PRIMARY: recall[true > 0].mean(),
        "accuracy": hits.sum() / len(y),
        "macro_f1": f1[seen].mean(),
        "recall": recall[seen].mean(),
        "precision": precision[seen].mean(),
        "roc_auc": roc[there].mean(),
        "pr_auc": pr[there].mean(),
        "ece": calibration_error(y, p),
        "log_loss": -np.log(np.clip(p[np.arange(len(y)), y].astype(float), np.finfo(float).eps, 1)).mean(),
    }
    out |= {f"recall/{c}": recall[i] if true[i] else np.nan for i, c in enumerate(classes)}
    out |= {f"precision/{c}": precision[i] for i, c in enumerate(classes)} | {f"f1/{c}": f1[i] for i, c in enumerate(classes)}
    out |= {f"roc_auc/{c}": roc[i] for i, c in enumerate(classes)}
    return {name: float(value) for name, value in out.items()}


def ratio(a: Int[np.ndarray, " k"], b: Int[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    return np.divide(a, b, out=np.zeros(len(a)), where=b > 0)


def confusion(y: Int[np.ndarray, " n"], p: Float[np.ndarray, "n k"], classes: Sequence[str]) -> Int[np.ndarray, "k k"]:
    """Counts of rows by true class (first axis) and most probable class (second axis), in the order of `classes`."""
    k = len(classes)
    return np.bincount(y * k + p.argmax(1), minlength=k * k).reshape(k, k)


def mean_confusion(cells: Sequence[Predictions], classes: Sequence[str]) -> Float[np.ndarray, "k k"]:
    """The confusion of one arm: summed over folds, averaged over seeds and repetitions, so that every row counts once."""
    answers, rows = sum(len(c.ids) for c in cells), len(np.unique(np.concatenate([c.ids for c in cells])))
    return np.sum([confusion(c.y, c.p, classes) for c in cells], axis=0) * (rows / answers)


def confusions(cells: Sequence[Predictions], classes: Sequence[str]) -> dict[str, Any]:
    """The mean confusion of every arm, as JSON: {classes, arms: [{arm, counts}]}."""
    by_arm = {arm: [c for c in cells if c.arm == arm] for arm in dict.fromkeys(c.arm for c in cells)}
    return {"classes": list(classes), "arms": [{"arm": arm, "counts": mean_confusion(own, classes).tolist()} for arm, own in by_arm.items()]}


def areas(y: Int[np.ndarray, " n"], p: Float[np.ndarray, "n k"]) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Of each class against the rest: area under the ROC curve and average precision (scikit-learn's, ties as one threshold).

    Rows are sorted by falling probability, class by class. What counts at a row is what stands before the first and up to
    the last row of its probability. NaN for a class without rows; the ROC also for a class without other rows.
    """
    n, k = p.shape
    order = np.argsort(-p.T, axis=1)
    score, hit = np.take_along_axis(p.T, order, 1), y[order] == np.arange(k)[:, None]
    tp = np.concatenate([np.zeros((k, 1), dtype=int), hit.cumsum(1)], 1)
    changes = np.diff(score, axis=1) != 0
    edge = np.ones((k, 1), dtype=bool)
    place = np.arange(n)
    first = np.maximum.accumulate(np.where(np.concatenate([edge, changes], 1), place, 0), 1)
    last = np.minimum.accumulate(np.where(np.concatenate([changes, edge], 1), place + 1, n)[:, ::-1], 1)[:, ::-1]
    true, hits = tp[:, -1], np.take_along_axis(tp, last, 1)
    misses_before, misses = first - np.take_along_axis(tp, first, 1), last - hits
    beaten = ((n - true)[:, None] - (misses_before + misses) / 2) * hit
    out = np.full((2, k), np.nan)
    np.divide(beaten.sum(1), true * (n - true), out=out[0], where=(true > 0) & (true < n))
    np.divide((hits / last * hit).sum(1), true, out=out[1], where=true > 0)
    return out[0], out[1]


def calibration_error(y: Int[np.ndarray, " n"], p: Float[np.ndarray, "n k"]) -> float:
    """Mean |confidence - accuracy| over bins (i/15, (i+1)/15] of confidence, weighted by their rows (arXiv:1706.04599)."""
    confidence = p.max(1).astype(float)
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gap = np.bincount(bins, confidence - (p.argmax(1) == y), minlength=BINS)
    return float(np.abs(gap).sum() / len(y))


def group_figures(y: Int[np.ndarray, " n"], p: Float[np.ndarray, "n k"], groups: Sequence[str]) -> dict[str, float]:
    """`group/<name>`: balanced accuracy of the rows of each group, over the classes that it has."""
    names = np.asarray(groups)
    right = p.argmax(1) == y
    out = {}
    for name in np.unique(names):
        own = names == name
        out[f"group/{name}"] = float(np.mean([right[own & (y == k)].mean() for k in np.unique(y[own])]))
    return out


def table(cells: Sequence[Predictions], classes: Sequence[str], groups: Mapping[int, str] | None = None) -> list[dict[str, Any]]:
    """One record {arm, fold, seed, metric, value} per cell and figure; `groups` names the group of each row id."""
    out = []
    for cell in cells:
        found = figures(cell.y, cell.p, classes)
        if groups is not None:
            found |= group_figures(cell.y, cell.p, [groups[int(i)] for i in cell.ids])
        out += [{"arm": cell.arm, "fold": cell.fold, "seed": cell.seed, "metric": name, "value": value} for name, value in found.items()]
    return out
