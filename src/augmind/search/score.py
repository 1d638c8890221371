"""What one policy is worth on one inner split: a memoised piece of work, so that no policy is ever scored twice."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from augmind.core.errors import Diverged, NothingLeft, WrongSpec
from augmind.core.seeds import stable_seed, stream
from augmind.core.store import digest, read_json, write_json
from augmind.core.tensors import load_tensors, save_tensors
from augmind.core.types import Policy, Samples
from augmind.job import Job
from augmind.pipeline import draw_inputs
from augmind.teaching import first_of_each, lent_inputs, space_of, taught, views_used

CHEAP = 0.25
"""Part of the learner's steps, or of the rows, at the lowest fidelity."""
MANY = 2000
"""From so many rows on, a learner that is fitted at once is first shown a part of them."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One fidelity of a score: an inner split, and the parts of the learner's steps and of the real rows that it learns from."""

    split: int
    steps: float = 1.0
    rows: float = 1.0

    @property
    def whole(self) -> bool:
        return self.steps == self.rows == 1


def rungs(job: Job, learner: str) -> list[Rung]:
    """What a trial goes through, cheapest first.

    A learner that trains by steps shows a quarter of its training before, another one, where there are many rows, what it
    learns from a quarter of them.
    """
    whole = [Rung(split=i) for i in range(job.plan.splits)]
    if space_of(learner) == "rows" and learner in job.plan.steps:
        return [Rung(split=0, steps=CHEAP), *whole]
    return [Rung(split=0, rows=CHEAP), *whole] if job.plan.rows >= MANY else whole


def inner(fold: str, rung: Rung) -> str:
    """The name of the rows that are learnt from."""
    return f"{fold}.{rung.split}"


def score_inputs(job: Job, fold: str, policy: Policy, rung: Rung) -> dict[str, Any]:
    """What a score depends on. Two policies that do the same have one score."""
    draws = [draw_inputs(job, inner(fold, rung), job.key_of(g)) for g in policy.generators]
    return {"features": job.features_stage.name, "fold": inner(fold, rung), "policy": {**policy.to_json(), "classical": bare(policy)},
            "draws": draws, "steps": rung.steps, "rows": rung.rows, "views": views_used(job, policy), "seed": job.config.seed,
            **lent_inputs(job, fold, policy)}  # fmt: skip


def same(policy: Policy) -> str:
    """A hash that policies share which do the same, whatever their classical arm is called."""
    return digest({**policy.to_json(), "classical": bare(policy)})


def bare(policy: Policy) -> dict[str, Any]:
    """A classical arm without the name that it goes by."""
    return {k: v for k, v in policy.to_json()["classical"].items() if k != "name"}


def learnt_from(job: Job, fold: str, rung: Rung) -> Samples:
    """The real rows that a score is learnt from: at a lower fidelity as large a part of every class, drawn at random."""
    rows = job.fold_rows(inner(fold, rung))
    if rung.rows == 1:
        return rows
    rows = rows.take(torch.randperm(len(rows), generator=stream(job.config.seed, "fewer rows", fold)))
    return rows.take(first_of_each(rows.y, rung.rows))


def score(folder: str, fold: str, policy: dict[str, Any], split: int, steps: float, rows: float) -> None:
    """Trains a policy on the inner training part and predicts the inner validation part. A policy that cannot be trained says why.

    Only what lies in the policy itself counts as its failure; what this machine lacks is an error like any other.
    """
    job, made, rung = Job(Path(folder)), Policy.from_json(policy), Rung(split=split, steps=steps, rows=rows)

    def work(tmp: Path) -> None:
        val = validation(job, fold, split)
        seed = stable_seed(job.config.seed, "score", fold, split)
        run = replace(job.run(f"{made.learner.name}, inner split {inner(fold, rung)}"), seed=seed)
        try:
            model = taught(job, inner(fold, rung), made, learnt_from(job, fold, rung), 0, run, steps, rows)
            write_score(tmp, val, model.predict(val).argmax(1))
        except (WrongSpec, Diverged, NothingLeft) as error:
            write_score(tmp, val, None, str(error))

    job.store.stage("score", score_inputs(job, fold, made, rung), work)


def validation(job: Job, fold: str, split: int) -> Samples:
    """The rows that a score is measured on."""
    rows = job.fold_rows(fold)
    return rows.take(job.inner_parts(rows, fold)[split][1])


def write_score(folder: Path, val: Samples, guess: Tensor | None, failed: str = "") -> None:
    """A score as files: the predicted classes of the validation rows, or why there are none."""
    if guess is not None:
        save_tensors(folder / "guess.safetensors", {"y": val.y, "key": val.key, "guess": guess})
    write_json(folder / "score.json", {"failed": failed})


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
