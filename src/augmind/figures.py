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
    """All figures of some rows; of several classes one figure is named `recall/<class>`, `precision/<class>`, `f1/<class>`.

    balanced_accuracy   mean recall of the classes present in `y`: the primary figure
    accuracy            share of rows whose most probable class is true
    recall, macro_f1    means over the classes that are true or predicted anywhere, undefined ratios counting 0 (scikit-learn)
    ece                 expected calibration error of the most probable class, 15 bins of equal width (arXiv:1706.04599)
    log_loss            mean -log p of the true class, natural logarithm, p clipped at 2.2e-16

    The recall of a class without rows is NaN; its precision and F1 are 0 as in scikit-learn.
    """
    k = p.shape[1]
    guess = p.argmax(1)
    table = np.bincount(y * k + guess, minlength=k * k).reshape(k, k)
    hits, true, guessed = table.diagonal(), table.sum(1), table.sum(0)
    recall, precision, f1 = ratio(hits, true), ratio(hits, guessed), ratio(2 * hits, true + guessed)
    seen = true + guessed > 0
    out = {
        PRIMARY: recall[true > 0].mean(),
        "accuracy": hits.sum() / len(y),
        "macro_f1": f1[seen].mean(),
        "recall": recall[seen].mean(),
        "ece": calibration_error(y, p),
        "log_loss": -np.log(np.clip(p[np.arange(len(y)), y].astype(float), np.finfo(float).eps, 1)).mean(),
    }
    out |= {f"recall/{c}": recall[i] if true[i] else np.nan for i, c in enumerate(classes)}
    out |= {f"precision/{c}": precision[i] for i, c in enumerate(classes)} | {f"f1/{c}": f1[i] for i, c in enumerate(classes)}
    return {name: float(value) for name, value in out.items()}


def ratio(a: Int[np.ndarray, " k"], b: Int[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    return np.divide(a, b, out=np.zeros(len(a)), where=b > 0)


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
