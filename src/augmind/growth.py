"""The learning curve: what more real rows would bring, and how many of them a gain is worth.

The classical arm is trained on a quarter, a half and all of the training part of inner folds and judged on their validation
part; the sealed rows play no role. Errors of learning fall about as a power of the number of rows (arXiv:1712.00409).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from .core.folds import assign
from .core.seeds import stable_seed
from .core.store import read_json, write_json
from .core.types import Samples
from .figures import PRIMARY, figures
from .job import Job

PARTS = (0.25, 0.5, 1.0)
SEEDS = 3
STEEPEST = 2.0
"""Bounds of the exponent are 0 and this."""
FLOOR = 1e-3
"""Errors below this count as this: a logarithm needs an error."""
FARTHEST = 10.0
"""How many times the rows at hand a law of three sizes may be believed to reach."""
FLAT = 0.02
"""An exponent at or below this promises nothing: doubling the rows would take less than 1.4 % off the error."""
DRAWS = 2000
NEAR = 1.1
"""Sizes that differ by a factor of at most this are one."""


@dataclass(frozen=True, kw_only=True)
class Law:
    """err = scale * rows ** -exponent."""

    scale: float
    exponent: float

    def error(self, rows: float | int) -> float:
        return self.scale * rows**-self.exponent

    def rows(self, error: float) -> float:
        """Rows at which the error is this small."""
        return (self.scale / error) ** (1 / self.exponent)


def fit_law(rows: Float[np.ndarray, " n"], errors: Float[np.ndarray, " n"]) -> Law:
    """Least squares in logarithms, the exponent in 0..`STEEPEST`; flat where all sizes are one."""
    x, y = np.log(rows), np.log(np.maximum(errors, FLOOR))
    x0, y0 = x.mean(), y.mean()
    spread = ((x - x0) ** 2).sum()
    exponent = float(np.clip(-((x - x0) * (y - y0)).sum() / spread, 0.0, STEEPEST)) if spread > 0 else 0.0
    return Law(scale=float(np.exp(y0 + exponent * x0)), exponent=exponent)


@dataclass(frozen=True, kw_only=True)
class Worth:
    """A gain as a number of further real rows. `rows` is None where it cannot be told; an end that is None lies beyond `most`.

    told    the sentence
    most    the most rows that the law is believed for
    """

    rows: float | None
    low: float | None
    high: float | None
    most: float
    told: str


def worth(points: Sequence[dict[str, Any]], n: int, gain: float, se: float, level: float = 0.95) -> Worth:
    """How many real rows beside `n` would lower the error by `gain` (balanced accuracy, 0..1, standard error `se`).

    `points` are {rows, seed, error}. The interval is a bootstrap over the seeds of the curve and over the gain itself, so it
    is no narrower than what the gain is known to.
    """
    most = FARTHEST * n
    unknown: dict[str, Any] = {"rows": None, "low": None, "high": None, "most": most}
    if not gain > 0:
        return Worth(**unknown, told="The synthetic rows brought no gain that could be told in real rows.")
    law = law_of(points)
    if one_size(points):
        return Worth(**unknown, told="It cannot be told how many real rows the gain is worth: there are too few groups of rows to learn from fewer.")
    if law.exponent <= FLAT:
        return Worth(**unknown, told="It cannot be told how many real rows the gain is worth: within these rows, more of them lowered no error.")
    draw = np.random.default_rng(stable_seed("growth", n, gain))
    seeds = sorted({p["seed"] for p in points})
    found = [further(law_of(points, draw.choice(seeds, len(seeds)).tolist()), n, gain + se * float(draw.normal())) for _ in range(DRAWS)]
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf").tolist()
    rows = further(law, n, gain)
    if not np.isfinite(rows) or rows > most or low > most:
        return Worth(**unknown, told=f"The gain is worth more real rows than can be told from {n}: beyond {most:,.0f} the learning curve is a guess.")
    low = max(0.0, low)
    ends = f"{low:,.0f} to {high:,.0f}" if high <= most else f"{low:,.0f} to more than {most:,.0f}"
    told = f"The gain equals about {rows:,.0f} more real rows ({100 * level:g} % interval {ends}) beside the {n:,} that there are."
    return Worth(rows=rows, low=low, high=high if high <= most else None, most=most, told=told)


def one_size(points: Sequence[dict[str, Any]]) -> bool:
    """Whether all trainings had about as many rows, so that they say nothing of more."""
    sizes = [p["rows"] for p in points]
    return max(sizes) <= NEAR * min(sizes)


def law_of(points: Sequence[dict[str, Any]], seeds: Sequence[int] | None = None) -> Law:
    """The law of all points, or of a sample of seeds, each as often as it was drawn."""
    chosen = [p for s in seeds for p in points if p["seed"] == s] if seeds is not None else points
    return fit_law(np.array([p["rows"] for p in chosen], dtype=float), np.array([p["error"] for p in chosen], dtype=float))


def further(law: Law, n: int, gain: float) -> float:
    """Rows beside `n` that lower the law's error by `gain`; infinite where no number does, negative for a loss."""
    error = law.error(n)
    if gain >= error - FLOOR or law.exponent <= FLAT:
        return float("inf")
    return law.rows(error - gain) - n


# The curve of a run


def curve_inputs(job: Job, fold: str = "0") -> dict[str, Any]:
    from .compare import best_learner, policy_of

    policy = policy_of(job, fold, best_learner(job, fold), "classical").to_json()
    return {"features": job.features_stage.name, "fold": fold, "policy": policy, "views": job.plan.views, "inner": job.plan.inner_folds,
            "parts": PARTS, "seeds": SEEDS, "seed": job.config.seed}  # fmt: skip


def curve(folder: str) -> None:
    """Errors of the best learner's classical arm in fold 0 by number of real rows, on inner validation rows: `curve.json`."""
    from .compare import best_learner

    job = Job(Path(folder))

    def work(tmp: Path) -> None:
        learner, rows, points = best_learner(job, "0"), job.fold_rows("0"), []
        splits = job.inner_parts(rows, "0")
        run = job.run(f"learning curve, {learner}")
        for seed in range(SEEDS):
            train, val = splits[seed % len(splits)]
            sizes = {int(keep.sum()): keep for keep in nested(rows.take(train), seed)}
            for n, keep in sizes.items():
                points.append({"rows": n, "seed": seed, "error": error_on(job, learner, rows.take(train).take(keep), rows.take(val), seed)})
                run.progress(len(points), SEEDS * len(PARTS))
        write_json(tmp / "curve.json", {"learner": learner, "fold": "0", "validation": len(splits[0][1]), "points": points})

    job.store.stage("curve", curve_inputs(job), work)


def nested(rows: Samples, seed: int) -> list[Bool[Tensor, " n"]]:
    """Masks of a quarter, a half and all rows, each inside the next, alike in their classes, no unit parted.

    A class that a smaller part would lose keeps its first unit; with few units, parts may be alike.
    """
    quarter = assign(rows.y, rows.units, [0.25] * 4, stable_seed("growth", seed))
    masks = [quarter < round(4 * part) for part in PARTS]
    for mask in masks:
        for k in rows.y.unique():
            own = rows.y == k
            if not (mask & own).any():
                mask |= rows.units == rows.units[own][0]
    return [masks[0], masks[0] | masks[1], masks[2]]


def error_on(job: Job, learner: str, train: Samples, val: Samples, seed: int) -> float:
    """1 - balanced accuracy of the classical arm after training on these rows; all sizes of a seed train with the same one."""
    from .compare import policy_of
    from .teaching import taught

    run = replace(job.run(f"learning curve, {learner}, {len(train)} rows"), seed=stable_seed(job.config.seed, "growth", seed))
    plugin = taught(job, "0", policy_of(job, "0", learner, "classical"), train, seed, run)
    return 1 - figures(val.y.numpy(), plugin.predict(val).double().numpy(), job.spec.classes)[PRIMARY]


def growth_record(job: Job, gain: float | None, se: float | None) -> dict[str, Any]:
    """The curve with its law, what doubling the rows would bring, and what the gain over "classical" is worth in rows."""
    found = read_json(job.need(job.store.path("curve", curve_inputs(job)), "learning curve") / "curve.json")
    points, n = found["points"], len(job.fold_rows("0"))
    law = law_of(points)
    seeds = sorted({p["seed"] for p in points})
    draw = np.random.default_rng(stable_seed("growth", "doubling"))
    laws = [law, *(law_of(points, draw.choice(seeds, len(seeds)).tolist()) for _ in range(DRAWS))]
    doubling = np.array([w.error(n) - w.error(2 * n) for w in laws])
    low, high = np.quantile(doubling[1:], [0.025, 0.975]).tolist()
    told = {"rows": n, "law": asdict(law), "doubling": {"mean": float(doubling[0]), "low": low, "high": high}}
    told |= dict.fromkeys(("law", "doubling")) if one_size(points) else {}
    value = None if gain is None or se is None or not np.isfinite([gain, se]).all() else asdict(worth(points, n, gain, se))
    return found | told | {"gain": gain, "worth": value}
