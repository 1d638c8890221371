"""What one policy is worth on one inner split: a memoised piece of work, so that no policy is ever scored twice."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from augmind.core.errors import AugmindError
from augmind.core.seeds import stable_seed
from augmind.core.store import load_tensors, read_json, save_tensors, write_json
from augmind.core.types import Policy
from augmind.job import Job
from augmind.pipeline import draw_inputs
from augmind.teaching import space_of, taught, views_used

CHEAP = 0.25
"""Part of the learner's steps at the lowest fidelity."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One fidelity of a score: an inner split, and the part of the learner's steps."""

    split: int
    steps: float = 1.0


def rungs(job: Job, learner: str) -> list[Rung]:
    """What a trial goes through, cheapest first; a learner that trains by steps shows a quarter of its training before."""
    whole = [Rung(split=i) for i in range(job.plan.splits)]
    by_steps = space_of(learner) == "rows" and learner in job.plan.steps
    return [Rung(split=0, steps=CHEAP), *whole] if by_steps else whole


def inner(fold: str, rung: Rung) -> str:
    """The name of the rows that are learnt from."""
    return f"{fold}.{rung.split}"


def score_inputs(job: Job, fold: str, policy: Policy, rung: Rung) -> dict[str, Any]:
    """What a score depends on. Two policies that do the same have one score."""
    draws = [draw_inputs(job, inner(fold, rung), job.key_of(g)) for g in policy.generators]
    return {"features": job.features_stage.name, "fold": inner(fold, rung), "policy": {**policy.to_json(), "classical": bare(policy)},
            "draws": draws, "steps": rung.steps, "views": views_used(job, policy), "seed": job.config.seed}  # fmt: skip


def bare(policy: Policy) -> dict[str, Any]:
    """A classical arm without the name that it goes by."""
    return {k: v for k, v in policy.to_json()["classical"].items() if k != "name"}


def score(folder: str, fold: str, policy: dict[str, Any], split: int, steps: float) -> None:
    """Trains a policy on the inner training part and predicts the inner validation part. A policy that cannot be trained says why."""
    job, made, rung = Job(Path(folder)), Policy.from_json(policy), Rung(split=split, steps=steps)

    def work(tmp: Path) -> None:
        rows = job.fold_rows(fold)
        val = rows.take(job.inner_parts(rows, fold)[split][1])
        seed = stable_seed(job.config.seed, "score", fold, split)
        run = replace(job.run(f"{made.learner.name}, inner split {inner(fold, rung)}"), seed=seed)
        try:
            model = taught(job, inner(fold, rung), made, job.fold_rows(inner(fold, rung)), 0, run, steps)
            save_tensors(tmp / "guess.safetensors", {"y": val.y, "key": val.key, "guess": model.predict(val).argmax(1)})
            why = ""
        except AugmindError as error:
            why = str(error)
        write_json(tmp / "score.json", {"failed": why})

    job.store.stage("score", score_inputs(job, fold, made, rung), work)


@dataclass(frozen=True)
class Scored:
    """Predictions of one policy on one rung; `failed` says why there are none."""

    failed: str
    y: Any = None
    right: Any = None


def scored(job: Job, fold: str, policy: Policy, rung: Rung) -> Scored:
    path = job.need(job.store.path("score", score_inputs(job, fold, policy, rung)), f"score of a policy in {inner(fold, rung)}")
    failed = read_json(path / "score.json")["failed"]
    if failed:
        return Scored(failed)
    found = load_tensors(path / "guess.safetensors")
    return Scored("", found["y"], (found["guess"] == found["y"]).double())
