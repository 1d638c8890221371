"""The hardest test rows, and the confusions in which two arms differ most: from predictions that exist, nothing is trained."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from augmind.figures import Predictions
from augmind.spread import spread
from augmind.verdict import Mode, Pool, pooled

ROWS, SLICES = 12, 6
"""Most rows and most confusions that are told."""
LEAST = 5
"""Test rows of a class below which its confusions are not told."""


def hardest(cells: Sequence[Predictions], pair: Sequence[str], *, mode: Mode, classes: Sequence[str], level: float = 0.95) -> dict[str, Any]:
    """Of two arms: the test rows that both together most often get wrong over seeds, and where they differ; plain JSON.

    rows    id, true class and for each arm the share of seeds that are wrong, the usual answer and its mean probability, and that of the
            true class; the most wrong first, then those whose true class is the least probable
    slices  a class, the class it is taken for, the share of its rows taken so by each arm and the difference (second arm less first) with
            its interval over rows, seeds and folds, the largest first. They are the largest of `compared`: for that, the intervals
            make no allowance.
    """
    pools = [pooled([c for c in cells if c.arm == arm], mode) for arm in pair]
    p = np.stack([np.stack(pool.p, 1) for pool in pools])
    answers, y, ids = p.argmax(3), pools[0].y, pools[0].ids
    wrong, true = (answers != y[:, None]).mean(2), p[:, np.arange(len(y)), :, y].mean(2).T
    order = np.lexsort((ids, true.mean(0), -wrong.mean(0)))
    order = order[wrong.mean(0)[order] > 0]
    rows = []
    for i in order[:ROWS].tolist():
        told = [row_of_arm(arm, answers[a, i], p[a, i], int(y[i]), classes) for a, arm in enumerate(pair)]
        rows.append({"id": int(ids[i]), "class": classes[int(y[i])], "arms": told})
    found, compared = slices(answers, pools[0], classes, level)
    return {"arms": list(pair), "seeds": p.shape[2], "test": len(y), "wrong": len(order), "rows": rows, "slices": found, "compared": compared}


def row_of_arm(arm: str, answers: Int[np.ndarray, " s"], p: Float[np.ndarray, "s k"], true: int, classes: Sequence[str]) -> dict[str, Any]:
    """One row in one arm; of answers that are equally usual, the more probable one."""
    mean = p.mean(0)
    votes = np.bincount(answers, minlength=len(mean))
    usual = int(np.lexsort((-mean, -votes))[0])
    return {"arm": arm, "wrong": float((answers != true).mean()), "answer": classes[usual], "p": float(mean[usual]), "true": float(mean[true])}


def slices(answers: Int[np.ndarray, "2 n s"], pool: Pool, classes: Sequence[str], level: float) -> tuple[list[dict[str, Any]], int]:
    """The confusions in which the arms differ most, and how many confusions there are."""
    out = []
    for k in np.unique(pool.y).tolist():
        own = pool.y == k
        taken = [j for j in np.unique(answers[:, own]).tolist() if j != k] if own.sum() >= LEAST else []
        for j in taken:
            hit = (answers[:, own] == j).astype(float)
            folds, unit = (None if column is None else column[own] for column in (pool.folds, pool.unit))
            d = spread(hit[1] - hit[0], np.zeros(int(own.sum()), dtype=int), folds, level, unit)
            shares = hit.mean((1, 2)).tolist()
            told = {"estimate": d.estimate, "low": max(-1.0, d.low), "high": min(1.0, d.high)}
            out.append({"class": classes[k], "taken": classes[j], "rows": int(own.sum()), "shares": shares, "difference": told})
    told = [s for s in out if s["difference"]["estimate"]]
    return sorted(told, key=lambda s: -abs(s["difference"]["estimate"]))[:SLICES], len(out)
