"""Which policy wins a search: the best on inner folds, unless a simpler one is within noise of it."""

from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from augmind.core.seeds import stable_seed
from augmind.core.store import read_json
from augmind.core.types import Policy
from augmind.job import Job
from augmind.teaching import needed_views, view_inputs

SOURCE = "source"
ROLES = ("winner", "classical", SOURCE, "best")
"""Policies that the record of a search names: "classical", the best without synthetic rows and related dataset; "source", the best with that."""
LEADERS = 3
"""Policies that a later search takes over from an earlier one, besides a winner."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A finished trial: `value` is the balanced accuracy on the inner validation rows, `right` (n,) says which were right.

    `name` is set for the policies that every search begins with ("none", "flip", "the default policy", ...). `plain` says that the
    policy is one of these, whoever proposed it; winners of earlier runs do not count, for they were tuned.
    """

    number: int
    name: str
    policy: Policy
    params: dict[str, Any]
    plain: bool
    value: float
    right: Tensor
    y: Tensor

    @property
    def level(self) -> tuple[bool, bool, bool]:
        """How simple its kind of policy is, the smallest first: without synthetic rows, without a related dataset, as every search begins with it."""
        return bool(self.policy.generators), self.policy.source, not self.plain


def balanced(right: Tensor, y: Tensor) -> float:
    """Mean over classes of the share that is right."""
    return float(torch.stack([right[y == k].mean() for k in y.unique()]).mean())


def lead(a: Trial, b: Trial) -> tuple[float, float]:
    """By how much a is better than b on the same rows, and the standard error of that: rows paired, stratified by class.

    One row's worth of disagreement is added to the error, so that two policies that differ in a row or two are within noise.
    """
    d, classes = a.right - b.right, a.y.unique()
    variance = sum(float(d[a.y == k].var(correction=1)) / int((a.y == k).sum()) for k in classes if int((a.y == k).sum()) > 1)
    return balanced(d, a.y), (variance / len(classes) ** 2 + len(d) ** -2) ** 0.5


def winner(trials: list[Trial]) -> Trial:
    """The one-standard-error rule (Breiman et al. 1984): of the simplest kind within one standard error of the best, the best.

    Raises `ValueError` where there is no finished trial.
    """
    best = strongest(trials)

    def within_noise(t: Trial) -> bool:
        ahead, error = lead(best, t)
        return ahead <= error

    close = [t for t in trials if t is best or within_noise(t)]
    least = min(t.level for t in close)
    return strongest([t for t in close if t.level == least])


def strongest(trials: list[Trial]) -> Trial:
    """The highest value; of equals the earliest."""
    return max(trials, key=lambda t: (t.value, -t.number))


def search_inputs(job: Job, fold: str, learner: str) -> dict[str, Any]:
    """What the outcome of a search depends on."""
    plan = job.plan
    about = {"trials": plan.trials, "splits": plan.splits, "sampler": plan.sampler, "variants": plan.variants, "generators": plan.generators}
    views = [view_inputs(job, t) for t in needed_views(job)]
    about |= {"learner": asdict(job.learner(learner)), "steps": plan.steps, "ratio": plan.ratio, "seed": job.config.seed, "earlier": plan.earlier}
    return about | {"features": job.features_stage.name, "fold": fold, "views": views}


def search_record(job: Job, fold: str, learner: str) -> dict[str, Any]:
    """What the search of one fold and learner found, as JSON."""
    path = job.need(job.store.path("search", search_inputs(job, fold, learner)), f"search for {learner} in fold {fold}")
    return read_json(path / "search.json")


def leaders(folder: Path) -> list[dict[str, Any]]:
    """What the searches of a run found, as JSON: their winners, then the policies of highest value, the best of every search in turn."""
    records = [read_json(file) for file in sorted((folder / "stages").glob("search-*/search.json"))]
    ranked = [sorted((t for t in r["trials"] if t["state"] == "complete"), key=lambda t: (-t["value"], t["number"])) for r in records]
    turns = [r["winner"]["policy"] for r in records]
    turns += [t["policy"] for trials in zip_longest(*(r[:LEADERS] for r in ranked)) for t in trials if t is not None]
    return [p for i, p in enumerate(turns) if p not in turns[:i]][: LEADERS + 1]


def found(job: Job, fold: str, learner: str) -> dict[str, Policy]:
    """The policies of one fold and learner, by `ROLES`."""
    record = search_record(job, fold, learner)
    return {role: Policy.from_json(record[role]["policy"]) for role in ROLES if role in record}


def classical_trials(job: Job, fold: str, learner: str) -> list[dict[str, Any]]:
    """Finished trials of a search that use no synthetic rows and no related dataset."""
    trials = search_record(job, fold, learner)["trials"]
    return [t for t in trials if t["state"] == "complete" and not t["policy"]["generators"] and not t["policy"].get("source")]


def study_seed(job: Job, fold: str, learner: str, number: int, attempt: int) -> int:
    """A trial is proposed by a sampler of its own seed, so that a repeated search asks for the same."""
    return stable_seed(job.config.seed, "search", fold, learner, number, attempt) % 2**31
