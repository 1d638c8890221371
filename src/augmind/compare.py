"""Arms x folds x seeds, with the same learner, equal steps and paired seeds; the only opener of the sealed test rows.

The best classical arm is chosen on inner folds of the training rows (`choose`); `teach` then trains one arm and predicts the
test rows of its fold once.
"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .config import INNER_ARMS, INNER_SPLITS
from .core.errors import AugmindError
from .core.feed import Feed
from .core.folds import inner_folds
from .core.plugin import Learner, Transfer
from .core.registry import find, make
from .core.seeds import stable_seed
from .core.store import load_tensors, read_json, save_tensors, write_json
from .core.types import Choice, Classical, Knowledge, Samples, as_features
from .job import Job
from .pipeline import synthetic

ARMS = ("real", "classical", "synthetic", "synthetic+classical")
PRIMARY = "synthetic+classical"
BALANCES = ("weights", "oversample", "logit_adjustment")
"""Treatments of imbalance; a learner that takes all rows at once sees no difference between the first two."""


def arms(job: Job) -> tuple[str, ...]:
    """The arms of a run: without generators there is nothing synthetic to compare."""
    return ARMS if job.plan.generators else ARMS[:2]


def space_of(learner: str) -> str:
    return find("learners", learner).space


# Transformed copies for learners of feature space


def views(folder: str, transform: str) -> None:
    """Features of `plan.views` transformed copies of every unsealed row, shared by all folds, arms and seeds."""
    job = Job(Path(folder))

    def work(tmp: Path) -> None:
        run, out = job.run(f"views {transform}"), []
        plugin = make("transforms", Choice(name=transform))
        x = job.real.x
        dummy = torch.zeros(len(x), 1)
        for copy in range(job.plan.views):
            blocks = []
            for start in range(0, len(x), 256):
                rows = job.spec.to_model(x[start : start + 256])
                moved, _ = plugin.apply(rows, dummy[start : start + 256], stable_seed(job.config.seed, "view", transform, copy, start))
                blocks.append(job.codec.embed(job.spec.to_store(moved)))
            out.append(torch.cat(blocks))
            run.progress(copy + 1, job.plan.views)
        save_tensors(tmp / "z.safetensors", {"z": torch.stack(out)})

    job.store.stage("views", view_inputs(job, transform), work)


def view_inputs(job: Job, transform: str) -> dict[str, Any]:
    return {"features": job.features_stage.name, "transform": transform, "views": job.plan.views, "seed": job.config.seed}


def view_rows(job: Job, rows: Samples, transform: str) -> Samples | None:
    """The transformed copies of these rows: all first copies, then all second ones, and so on."""
    if transform == "none":
        return None
    z = load_tensors(job.need(job.store.path("views", view_inputs(job, transform)), f"views {transform}") / "z.safetensors")["z"]
    where = {int(k): i for i, k in enumerate(job.real.key)}
    at = torch.tensor([where[int(k)] for k in rows.key])
    out: Samples | None = None
    for copy in z:
        more = rows.with_features(copy[at])
        out = more if out is None else out + more
    return out


# Classical arms and their choice


def candidates(job: Job, learner: str) -> list[Classical]:
    """Classical arms that this learner can take; the quick preset, and balanced with a costly learner, try a short list."""
    if space_of(learner) == "features":
        return [c for c in job.codec.classical if c.mixing.name == "none"]
    short = job.config.preset == "quick" or (job.config.preset == "balanced" and find("learners", learner).knowledge is not Knowledge.rows)
    return list(job.codec.classical)[: INNER_ARMS if short else None]


def needed_views(job: Job) -> list[str]:
    """Transforms whose copies some learner of feature space will ask for."""
    names = {c.transform.name for n in job.plan.learners if space_of(n) == "features" for c in candidates(job, n)}
    return sorted(names - {"none"})


def feed(job: Job, learner: str, classical: Classical, real: Samples, extra: Samples | None) -> Feed:
    """What a learner is taught from in one arm."""
    copies = None
    if space_of(learner) == "features":
        copies, real = view_rows(job, real, classical.transform.name), as_features(real)
        copies = as_features(copies) if copies else None
    return Feed(
        real=real,
        spec=job.spec,
        codec=job.codec,
        transform=make("transforms", classical.transform),
        mixing=make("mixing", classical.mixing),
        balance=classical.balance,
        synthetic=extra,
        share=job.plan.share,
        views=copies,
    )


def balanced_accuracy(p: Tensor, y: Tensor) -> float:
    """Mean recall over the classes present in `y`."""
    right = (p.argmax(1) == y).double()
    return float(torch.stack([right[y == k].mean() for k in y.unique()]).mean())


def choose_inputs(job: Job, fold: str, learner: str) -> dict[str, Any]:
    names = [c.name for c in candidates(job, learner)]
    return {"features": job.features_stage.name, "fold": fold, "learner": asdict(job.learner(learner)), "arms": names, "views": job.plan.views,
            "inner": job.plan.inner_folds, "seed": job.config.seed}  # fmt: skip


def choose(folder: str, fold: str, learner: str) -> None:
    """Scores the classical arms on inner folds of a fold's training rows and keeps the best; on imbalanced data then its balance."""
    job = Job(Path(folder))

    def work(tmp: Path) -> None:
        rows = job.fold_rows(fold)
        parts = inner_folds(rows.y, rows.units, job.plan.inner_folds, stable_seed(job.config.seed, "inner", fold) % 2**31)
        if space_of(learner) == "rows":
            parts = parts[:INNER_SPLITS]
        arms = candidates(job, learner)
        scores = {arm.name: inner_score(job, fold, learner, arm, rows, parts) for arm in arms}
        best = max(arms, key=lambda arm: scores[arm.name])
        counts = rows.counts(len(job.spec.classes))
        if counts.max() > 1.5 * counts[counts > 0].min():
            names = BALANCES if space_of(learner) == "rows" else [b for b in BALANCES if b != "oversample"]
            balanced = [replace(best, name=f"{best.name}+{b}", balance=b) for b in names]
            scores |= {arm.name: inner_score(job, fold, learner, arm, rows, parts) for arm in balanced}
            best = max([best, *balanced], key=lambda arm: scores[arm.name])
        write_json(tmp / "choice.json", {"fold": fold, "learner": learner, "classical": asdict(best), "scores": scores})

    job.store.stage("choose", choose_inputs(job, fold, learner), work)


def inner_score(job: Job, fold: str, learner: str, arm: Classical, rows: Samples, parts: list[tuple[Tensor, Tensor]]) -> float:
    """Balanced accuracy of a classical arm on the pooled inner validation rows."""
    p, y = [], []
    for i, (train, val) in enumerate(parts):
        run = replace(job.run(f"choose {learner}, fold {fold}: {arm.name}"), seed=stable_seed(job.config.seed, "choose", fold, i))
        plugin: Learner = make("learners", job.learner(learner))
        plugin.fit(feed(job, learner, arm, rows.take(train), None), run)
        p.append(plugin.predict(rows.take(val)))
        y.append(rows.y[val])
    return balanced_accuracy(torch.cat(p), torch.cat(y))


def choice_path(job: Job, fold: str, learner: str) -> Path:
    return job.need(job.store.path("choose", choose_inputs(job, fold, learner)), f"choice of the classical arm for {learner}, fold {fold}")


def chosen(job: Job, fold: str, learner: str) -> tuple[Classical, dict[str, float]]:
    """The best classical arm of a fold with the inner scores of all."""
    record = read_json(choice_path(job, fold, learner) / "choice.json")
    c = record["classical"]
    return Classical(**{**c, "transform": Choice(**c["transform"]), "mixing": Choice(**c["mixing"])}), record["scores"]


# The sealed rows


def sealed_features(folder: str) -> None:
    """Embeds the sealed test rows, for learners of feature space."""
    job = Job(Path(folder))

    def work(tmp: Path) -> None:
        job.run("sealed rows").event("opened", rows=len(job.split.folds[0].test))
        save_tensors(tmp / "z.safetensors", {"z": job.codec.embed(open_seal(job).x)})

    job.store.stage("sealed", sealed_inputs(job), work)


def sealed_inputs(job: Job) -> dict[str, Any]:
    return {"prepare": job.prepared.name, "backbone": job.config.backbone}


def open_seal(job: Job) -> Samples:
    """The sealed test rows. Raises `AugmindError` if they are not those that were sealed."""
    file = job.prepared / "sealed.safetensors"
    if not job.store.intact(file):
        raise AugmindError(f"the sealed test rows of '{job.folder}' were changed", help="start again with another --out", code="RUN-003")
    stored = load_tensors(file)
    return Samples.real(stored["x"], stored["y"], stored["key"], group=stored.get("group"), unit=stored["unit"])


def test_rows(job: Job, fold: str, with_features: bool) -> Samples:
    """The rows that a fold is judged on; with cross-validation, rows that its training never saw."""
    if job.split.mode == "cv":
        return job.pick(job.split.folds[int(fold)].test)
    samples = open_seal(job)
    if not with_features:
        return samples
    return samples.with_features(load_tensors(job.store.path("sealed", sealed_inputs(job)) / "z.safetensors")["z"])


# One cell of the comparison


def teach_inputs(job: Job, fold: str, learner: str, arm: str, seed: int) -> dict[str, Any]:
    inputs: dict[str, Any] = {"choice": choice_path(job, fold, learner).name, "arm": arm, "seed": seed, "share": job.plan.share}
    if "synthetic" in arm:
        from .pipeline import shard_path

        inputs["shards"] = [shard_path(job, fold, g).name for g in job.generators(space_of(learner))]
    return inputs


def teach(folder: str, fold: str, learner: str, arm: str, seed: int) -> None:
    """Trains one arm on a fold's training rows and predicts its test rows."""
    job = Job(Path(folder))

    def work(tmp: Path) -> None:
        classical, _ = chosen(job, fold, learner)
        if "classical" not in arm:
            classical = Classical(name="none")
        real = job.fold_rows(fold)
        extra = synthetic(job, fold, space_of(learner), seed) if "synthetic" in arm else None
        run = replace(job.run(f"{arm}, {learner}, fold {fold}, seed {seed}"), seed=stable_seed(job.config.seed, "teach", fold, seed))
        transfer: Transfer = make("transfers", Choice(name="mix"))
        model = transfer.train(make("learners", job.learner(learner)), feed(job, learner, classical, real, extra), run)
        test = test_rows(job, fold, with_features=space_of(learner) == "features")
        save_tensors(tmp / "predictions.safetensors", {"ids": test.key, "y": test.y, "unit": test.units, "p": model.predict(test)})
        if seed == 0:
            meta = {"learner": asdict(job.learner(learner)), "spec": job.spec.to_json(), "arm": arm, "fold": fold}
            save_tensors(tmp / "model.safetensors", model.state(), meta)

    job.store.stage("teach", teach_inputs(job, fold, learner, arm, seed), work)


def predictions(job: Job, fold: str, learner: str, arm: str, seed: int) -> dict[str, Tensor]:
    """ids (n,), y (n,), unit (n,) and p (n, k) of one cell."""
    path = job.need(job.store.path("teach", teach_inputs(job, fold, learner, arm, seed)), f"{arm} with {learner}, fold {fold}, seed {seed}")
    return load_tensors(path / "predictions.safetensors")
