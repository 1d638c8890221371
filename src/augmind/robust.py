"""Robustness: what the arms' models make of test rows that were corrupted in common ways.

The codec says which corruptions there are (`corruptions`: name -> function of rows in model space, severity and row seeds);
a codec without any has nothing to tell. What severities mean it
may say in words (`severities`). Models are those of seed 0, as `teach` kept them: nothing is trained here, and the
sealed rows have been opened before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .core.plugin import Learner
from .core.registry import find, make
from .core.seeds import row_seeds, stable_seed, stream
from .core.tensors import load_tensors, save_tensors
from .core.types import Samples
from .job import Job
from .spread import spread

SEVERITIES = (1, 2, 3)
ROWS = 500
"""Test rows, all folds together, that are corrupted; every one passes through every corruption and severity."""


def corruptions(job: Job) -> Mapping[str, Any]:
    """The codec's corruptions; empty where it has none."""
    return getattr(job.codec, "corruptions", {})


def some(rows: Samples, most: int, seed: int) -> Samples:
    """At most so many rows, the classes in turn, the same ones for the same seed."""
    order = torch.randperm(len(rows), generator=stream("robust", seed))
    turn = torch.empty(len(rows), dtype=torch.long)
    for k in rows.y.unique():
        own = order[rows.y[order] == k]
        turn[own] = torch.arange(len(own))
    return rows.take(order[turn[order].argsort(stable=True)][:most].sort().values)


def model_path(job: Job, fold: str, learner: str, arm: str) -> Path:
    from .compare import teach_inputs

    return job.need(job.store.path("teach", teach_inputs(job, fold, learner, arm, 0)), f"{arm} with {learner}, fold {fold}, seed 0")


def robust_inputs(job: Job, fold: str, learner: str, arms: Sequence[str]) -> dict[str, Any]:
    taught = {arm: model_path(job, fold, learner, arm).name for arm in arms}
    return {"taught": taught, "corruptions": list(corruptions(job)), "severities": SEVERITIES, "rows": ROWS, "seed": job.config.seed}


def restored(job: Job, fold: str, learner: str, arm: str) -> Learner:
    """The model that `teach` kept."""
    from .compare import policy_of

    plugin: Learner = make("learners", policy_of(job, fold, learner, arm).learner)
    return plugin.restore(job.data(job.fold_rows(fold).take([])), load_tensors(model_path(job, fold, learner, arm) / "model.safetensors"))


def tested_corrupted(job: Job) -> bool:
    """Whether the run judges its models on corrupted test rows too."""
    return job.config.preset != "quick" and bool(corruptions(job))


def robust(folder: str, fold: str, learner: str, arms: list[str]) -> None:
    """Which corrupted test rows of a fold every arm's model answers rightly: `robust.safetensors`, column 0 the rows as they are."""
    from .compare import test_rows

    job = Job(Path(folder))

    def work(tmp: Path) -> None:
        known, features = corruptions(job), find("learners", learner).space == "features"
        rows = some(test_rows(job, fold, with_features=features), max(1, ROWS // len(job.folds)), stable_seed(job.config.seed, fold))
        models = {arm: restored(job, fold, learner, arm) for arm in arms}
        answers = {arm: [right(model, rows)] for arm, model in models.items()}
        run = job.run(f"robustness, {learner}, fold {fold}")
        for i, (name, corrupt) in enumerate(known.items()):
            for severity in SEVERITIES:
                x = job.spec.to_store(corrupt(job.spec.to_model(rows.x), severity, row_seeds(len(rows), job.config.seed, fold, name)))
                hurt = replace(rows, x=x, z=job.codec.embed(x) if features else None)
                for arm, model in models.items():
                    answers[arm].append(right(model, hurt))
            run.progress(i + 1, len(known))
        columns = {f"right/{arm}": torch.stack(found, 1) for arm, found in answers.items()}
        save_tensors(tmp / "robust.safetensors", {"y": rows.y, "ids": rows.key, "unit": rows.units, **columns})

    job.store.stage("robust", robust_inputs(job, fold, learner, arms), work)


def right(model: Learner, rows: Samples) -> Tensor:
    """1 where the most probable class is the true one."""
    return (model.predict(rows).argmax(1) == rows.y).to(torch.uint8)


def robust_record(job: Job, learner: str | Mapping[str, str], arms: Sequence[str]) -> dict[str, Any] | None:
    """Balanced accuracy of every arm by corruption and severity, folds pooled; None for a codec without corruptions.

    `learner` is one name, or the learner of every fold. `drop` is what all corruptions cost on average, `gain` how the mean
    over corrupted rows compares with the arm "classical"; both are paired over rows, with intervals over rows alone.
    """
    names = list(corruptions(job))
    if not names:
        return None
    learners = {fold: learner if isinstance(learner, str) else learner[fold] for fold in job.folds}
    parts = []
    for fold, name in learners.items():
        path = job.store.path("robust", robust_inputs(job, fold, name, arms))
        parts.append(load_tensors(job.need(path, f"robustness of {name}, fold {fold}") / "robust.safetensors"))
    y, unit = (np.concatenate([p[k].numpy() for p in parts]) for k in ("y", "unit"))
    fold = np.repeat(np.arange(len(parts)), [len(p["y"]) for p in parts]) if job.split.mode == "cv" else None
    answers = {arm: np.concatenate([p[f"right/{arm}"].numpy() for p in parts]).astype(float) for arm in arms}
    told = [arm_record(arm, answers, y, unit, fold, names) for arm in arms]
    severities = list(getattr(job.codec, "severities", SEVERITIES))
    return {"corruptions": names, "severities": severities, "rows": len(y), "arms": told}


def arm_record(
    arm: str,
    answers: Mapping[str, Float[np.ndarray, "n m"]],
    y: Int[np.ndarray, " n"],
    unit: np.ndarray,
    fold: np.ndarray | None,
    names: Sequence[str],
) -> dict[str, Any]:
    """One arm's cells, its mean drop and its gain on corrupted rows over "classical"."""
    own = answers[arm]
    by_class = np.stack([own[y == k].mean(0) for k in np.unique(y)]).mean(0)
    cells = {name: by_class[1:].reshape(len(names), -1)[i].tolist() for i, name in enumerate(names)}
    drop = paired(own[:, 0] - own[:, 1:].mean(1), y, unit, fold)
    base = answers.get("classical")
    gain = None if base is None or arm == "classical" else paired(own[:, 1:].mean(1) - base[:, 1:].mean(1), y, unit, fold)
    return {"arm": arm, "clean": float(by_class[0]), "corrupted": float(by_class[1:].mean()), "cells": cells, "drop": drop, "gain": gain}


def paired(values: Float[np.ndarray, " n"], y: Int[np.ndarray, " n"], unit: np.ndarray, fold: np.ndarray | None) -> dict[str, float]:
    found = spread(values[:, None], y, fold, units=unit)
    return {"estimate": found.estimate, "low": found.low, "high": found.high}
