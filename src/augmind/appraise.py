"""How good the synthetic rows are (fidelity and diversity figures with intervals) and how often the screens wrong a real row."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .core.folds import inner_folds
from .core.registry import make
from .core.seeds import stable_seed, stream
from .core.store import read_json, write_json
from .core.types import Choice, Samples
from .job import Job
from .pipeline import draw_inputs, shard_path
from .shards import Judged, fitted_screens, judge, read_shard, space_of

METRICS = ("frechet", "kid", "precision", "recall", "density", "coverage")
SHOWN, BEYOND = 250, 0.15
"""Rows a side on the map of a generator, and how far it goes beyond the real rows, as a part of their range."""
LEAST_VARIANCE = 1e-12
"""Of the features of the real rows together: with less there are no axes."""
MOST_ROWS = 2000
"""Rows a side that the quality figures are computed on; more change little and cost much."""


def some(z: Tensor, seed: int) -> Tensor:
    """At most `MOST_ROWS` rows, the same ones for the same seed."""
    return z[torch.randperm(len(z), generator=stream("appraise", seed))[:MOST_ROWS]]


def on_axes(real: Samples, rows: Samples, seed: int) -> dict[str, Any]:
    """Real and synthetic rows on the first two principal axes of the real rows' features, `SHOWN` a side at most.

    (x, y, class) of each, 0 to 1 over the range of the real rows and a little beyond; and what share of the variance each axis has. Empty for too few
    rows or features, and for real rows that all have the same.
    """
    from sklearn.decomposition import PCA

    assert real.z is not None and rows.z is not None
    if min(real.z.shape) < 3 or not len(rows) or float((z := some(real.z, seed).double()).var(0).sum()) < LEAST_VARIANCE:
        return {}
    axes = PCA(2, svd_solver="arpack", random_state=0).fit(z.numpy())
    shown = [s.take(torch.randperm(len(s), generator=stream("map", seed))[:SHOWN]) for s in (real, rows)]
    placed = [torch.from_numpy(axes.transform(s.z.double().numpy())) for s in shown if s.z is not None]
    low, high = placed[0].min(0).values, placed[0].max(0).values
    room = (high - low).clamp(min=1e-12) * BEYOND
    unit = [((p - low + room) / (high - low + 2 * room).clamp(min=1e-12)).clamp(0, 1) for p in placed]
    told = [[[round(x, 3), round(y, 3), k] for (x, y), k in zip(u.tolist(), s.y.tolist(), strict=True)] for u, s in zip(unit, shown, strict=True)]
    return {"share": [round(float(v), 4) for v in axes.explained_variance_ratio_], "real": told[0], "rows": told[1]}


def quality(folder: str, generator: str) -> None:
    """Distance, fidelity and diversity of one generator's kept rows against the training rows, with bootstrap intervals."""
    from .metrics import bootstrap

    job = Job(Path(folder))

    def work(tmp: Path) -> None:
        rows = read_shard(shard_path(job, job.final, generator), generator)
        figures: dict[str, Any] = {}
        places: dict[str, Any] = {}
        told: list[dict[str, Any]] = []
        if rows is not None and len(rows):
            seed = stable_seed(job.config.seed, "quality", generator)
            real = job.fold_rows(job.final)
            assert real.z is not None and rows.z is not None
            plugins = {name: make("metrics", Choice(name=name)) for name in METRICS}
            intervals, findings = bootstrap(plugins, some(real.z, seed), some(rows.z, seed), seed=seed)
            figures = {name: interval._asdict() for name, interval in intervals.items()}
            if space_of(generator) == "rows":
                figures |= {name: {"value": value} for name, value in job.codec.figures(some(rows.x, seed), real.x).items()}
            places = on_axes(real, rows, seed)
            told = [asdict(replace(f, text=f"{generator}: {f.text}")) for f in findings]
        write_json(tmp / "quality.json", {"figures": figures, "findings": told, "map": places})

    job.store.stage("quality", quality_inputs(job, generator), work)


def quality_inputs(job: Job, generator: str) -> dict[str, Any]:
    return {"draw": draw_inputs(job, job.final, generator), "generator": generator, "metrics": METRICS}


def calibrate(folder: str) -> None:
    """Each screen's false alarms: the share of real rows it rejects when it was calibrated on other real rows."""
    from scipy.stats import binomtest

    job = Job(Path(folder))

    def work(tmp: Path) -> None:
        rows = job.fold_rows(job.final)
        train, held = inner_folds(rows.y, rows.units, 3, stable_seed(job.config.seed, "calibrate") % 2**31)[0]
        screens = fitted_screens(job, job.data(rows.take(train)))
        as_synthetic = rows.take(held)
        as_synthetic = Samples.synthetic("held-out real rows", as_synthetic.x, as_synthetic.y, as_synthetic.key, z=as_synthetic.z)
        record: dict[str, Any] = {}
        for name, screen in screens.items():
            judged = Judged()
            if screen.calibrated:
                judge({name: screen}, as_synthetic, judged)
            wrong, n = sum(r != "" for r in judged.rejected), len(judged.rejected)
            interval = binomtest(wrong, n).proportion_ci(0.95, method="wilson") if n else None
            low, high = (interval.low, interval.high) if interval else (None, None)
            record[name] = {"reason": screen.reason, "cut": screen.cut, "rows": n, "value": wrong / n if n else None, "low": low, "high": high}
        write_json(tmp / "screens.json", record)

    job.store.stage("calibrate", calibrate_inputs(job), work)


def calibrate_inputs(job: Job) -> dict[str, Any]:
    return {"features": job.features_stage.name, "screens": job.screens, "seed": job.config.seed}


def quality_of(job: Job, generator: str) -> dict[str, Any]:
    return read_json(job.need(job.store.path("quality", quality_inputs(job, generator)), f"quality of {generator}") / "quality.json")


def calibration(job: Job) -> dict[str, Any]:
    return read_json(job.need(job.store.path("calibrate", calibrate_inputs(job)), "calibration of the screens") / "screens.json")
