"""Arms x folds x seeds, with the same learner, equal steps and paired seeds; the only opener of the sealed test rows.

What an arm does was decided on inner folds of the training rows (`teaching.choose`, or a search); `teach` then trains it and
predicts the test rows of its fold once.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from .beside import believes, chosen_beside, labellers
from .config import Plan
from .core.errors import AugmindError
from .core.seeds import stable_seed
from .core.store import read_json
from .core.tensors import load_tensors, save_tensors
from .core.types import Classical, Policy, Samples
from .job import Job
from .pipeline import shard_path
from .search.winner import SOURCE, classical_trials, found, search_record
from .shards import labels_alone, made_by
from .teaching import chosen, default_policy, lent_inputs, shards_of, space_of, taught, weighed

ARMS = ("real", "classical", "synthetic", "synthetic+classical")
SOURCED = ("real", "classical", SOURCE, f"synthetic+{SOURCE}")
"""The arms where there is a related dataset: the best classical one with what that lends, nothing being drawn, and synthetic rows on top."""
POOL = "pool"
POOLED = ("real", "classical", POOL, f"synthetic+{POOL}")
"""The arms where generators learn from rows that got a label: these beside the real ones, nothing being drawn, and drawn rows on top."""
SEARCHED = "searched"
"""The arm of the policy that a search found."""


def primary(job: Job) -> str:
    """The arm that the verdict is about."""
    return SEARCHED if job.plan.trials else arms(job)[-1] if twin(job.plan) else "synthetic+classical"


def twin(plan: Plan) -> str:
    """The arm that knows what synthetic rows know and draws nothing: with the related dataset, or with rows that got a label; empty for none."""
    return SOURCE if plan.source else POOL if plan.conditioned else ""


NAMES = {
    "real": "real rows alone",
    "classical": "best classical",
    "synthetic": "synthetic",
    "synthetic+classical": "synthetic + classical",
    SOURCE: "classical + related dataset",
    f"synthetic+{SOURCE}": "synthetic + classical + related dataset",
    POOL: "classical + pseudo-labelled rows",
    f"synthetic+{POOL}": "synthetic + classical + pseudo-labelled rows",
    SEARCHED: "policy found by search",
}
"""Of the arms, in full."""


def in_full(arm: str, made: str = "synthetic") -> str:
    """What an arm is called where its added rows are called `made`."""
    return NAMES[arm].replace("synthetic", made)


def arms(job: Job) -> tuple[str, ...]:
    """The arms of a run: without generators there is nothing synthetic to compare."""
    return unsearched(job.plan) + ((SEARCHED,) if job.plan.trials else ())


def unsearched(plan: Plan) -> tuple[str, ...]:
    """The arms of a plan that no search finds."""
    return tuple(arm for arm in {SOURCE: SOURCED, POOL: POOLED, "": ARMS}[twin(plan)] if plan.generators or "synthetic" not in arm)


def given_labels(job: Job, arm: str) -> bool:
    """Whether an arm learns from rows that got a label, the classical arm being chosen beside these."""
    return ("synthetic" in arm or arm == POOL) and bool(labellers(job))


def arms_with_rows(job: Job, learner: Callable[[str], str]) -> tuple[str, ...]:
    """The arms that there is something to say of: without a kept row in any fold for its learner, none with synthetic rows."""
    if any(kept(job, fold, g) for fold in job.folds for g in job.generators(space_of(learner(fold))) if judged(job, g)):
        return arms(job)
    return tuple(arm for arm in arms(job) if "synthetic" not in arm)


def judged(job: Job, generator: str) -> bool:
    """Whether the verdict is about the rows of a generator: not about those of the arm that draws nothing."""
    return not (job.plan.conditioned and labels_alone(generator))


def kept(job: Job, fold: str, generator: str) -> int:
    """How many rows of a generator passed the screens."""
    return read_json(shard_path(job, fold, generator) / "facts.json")["kept"]


def best_learner(job: Job, fold: str, arm: str = "classical") -> str:
    """The learner whose best classical arm scored highest on the inner folds of this fold's training rows; for an arm with a related dataset, the one
    for which it did with what that lends, and for one with rows that got a label, beside these."""
    if given_labels(job, arm):
        return max(job.plan.learners, key=lambda n: chosen_beside(job, fold, n)[1])
    if SOURCE in arm:
        return max(job.plan.learners, key=lambda n: search_record(job, fold, n)[SOURCE]["value"] if job.plan.trials else weighed(job, fold, n))
    return max(job.plan.learners, key=lambda n: max(inner_scores(job, fold, n).values()))


def inner_scores(job: Job, fold: str, learner: str) -> dict[str, float]:
    """What the classical arms scored on the inner folds, by name; in a search, what its policies without synthetic rows did."""
    if job.plan.trials:
        return {t["name"] or f"trial {t['number']}": t["value"] for t in classical_trials(job, fold, learner)}
    return chosen(job, fold, learner)[1]


def added(job: Job) -> str:
    """What the rows that the verdict is about are to be called."""
    used = {c.name for fold in job.folds for c in policy_of(job, fold, best_learner(job, fold, primary(job)), primary(job)).generators}
    return "synthetic" if job.plan.conditioned else made_by(used)


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


def policy_of(job: Job, fold: str, learner: str, arm: str) -> Policy:
    """What an arm does in a fold."""
    if arm == SEARCHED:
        return found(job, fold, learner)["winner"]
    classical = Classical(name="none")
    if arm not in ("real", "synthetic"):
        if job.plan.trials:
            best: Policy = found(job, fold, learner)[SOURCE if SOURCE in arm else "classical"]
            return joined(best, default_policy(job, learner, best.classical, True)) if "synthetic" in arm else best
        classical = (chosen_beside if given_labels(job, arm) else chosen)(job, fold, learner)[0]
    policy = default_policy(job, learner, classical, generators="synthetic" in arm or arm == POOL, fold=fold)
    only = {"generators": tuple(g for g in policy.generators if labels_alone(g.name))} if arm == POOL else {}
    return replace(policy, source=SOURCE in arm, believed=given_labels(job, arm) and believes(job, fold, learner), **only)


def joined(classical: Policy, default: Policy) -> Policy:
    """The default generators on top of the best classical policy, its way of transfer and what it borrows kept."""
    return replace(default, classical=classical.classical, transfer=classical.transfer, source=classical.source)


def teach_inputs(job: Job, fold: str, learner: str, arm: str, seed: int) -> dict[str, Any]:
    policy = policy_of(job, fold, learner, arm)
    shards = sorted(path.name for path in shards_of(job, fold, policy).values())
    about = {"features": job.features_stage.name, "fold": fold, "policy": policy.to_json(), "shards": shards, "seed": seed, "views": job.plan.views}
    return about | lent_inputs(job, fold, policy)


def teach(folder: str, fold: str, learner: str, arm: str, seed: int) -> None:
    """Trains one arm on a fold's training rows and predicts its test rows."""
    job = Job(Path(folder))

    def work(tmp: Path) -> None:
        run = replace(job.run(f"{arm}, {learner}, fold {fold}, seed {seed}"), seed=stable_seed(job.config.seed, "teach", fold, seed))
        model = taught(job, fold, policy_of(job, fold, learner, arm), job.fold_rows(fold), seed, run)
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
