"""The classical arm and the learner that go with real rows that got a label: chosen beside them, on inner folds."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .core.plugin import Learner
from .core.registry import make
from .core.seeds import stable_seed
from .core.store import read_json, write_json
from .core.types import Classical
from .cost import INNER_SPLITS
from .job import Job
from .pipeline import draw_inputs, shard_path
from .shards import RIGHT, labels_alone
from .teaching import balanced_accuracy, candidates, choose_inputs, chosen, classical_of, default_policy, feed, space_of, synthetic, uneven

HEAD = "probe"
"""The learner that stands for the labeller where it is compared with others: a head on features."""
HELD = 5
"""One in so many rows that got a label is held back where the classical arm that goes with them is chosen."""


def labellers(job: Job) -> tuple[str, ...]:
    """Generators whose rows are real ones that got a label. What suits few rows need not suit these beside them, so the classical arm that goes with
    them is chosen with them; not in a search, which does so itself, nor where a related dataset is beside."""
    return () if job.plan.trials or job.plan.source else tuple(g for g in job.plan.generators if labels_alone(g))


def beside_inputs(job: Job, fold: str, learner: str) -> dict[str, Any]:
    draws = [draw_inputs(job, f"{fold}.{i}", g) for i in range(INNER_SPLITS) for g in labellers(job)]
    return {"choose": choose_inputs(job, fold, learner), "draws": draws, "share": job.plan.share, "seed": job.config.seed}


def choose_beside(folder: str, fold: str, learner: str) -> None:
    """Scores the classical arms of `choose` on its first inner splits, beside rows labelled by what is learnt from there.

    An arm is scored by how often its learner gives rows that got a label, and were held back from it, the label that they got: of those there are
    many, and few with a label of a person's. The learner is scored on these few, since one that is like the labeller would agree with it most; and so
    is a head that learns beside the same rows, which is what the labels come from (see `believes`).
    """
    job = Job(Path(folder))

    def work(tmp: Path) -> None:
        balance = chosen(job, fold, learner)[0].balance if uneven(job.fold_rows(fold), len(job.spec.classes)) else "none"
        arms = [replace(arm, balance=balance) for arm in candidates(job, learner)]
        found = {arm.name: score_beside(job, fold, learner, arm) for arm in arms}
        scores, real = ({name: told[i] for name, told in found.items()} for i in (0, 1))
        labeller = score_beside(job, fold, HEAD, Classical(name="none"))[1] if believable(job, learner) else 0.0
        record = {"fold": fold, "learner": learner, "arms": [asdict(arm) for arm in arms], "scores": scores, "real": real, "labeller": labeller}
        write_json(tmp / "choice.json", record)

    job.store.stage("beside", beside_inputs(job, fold, learner), work)


def score_beside(job: Job, fold: str, learner: str, arm: Classical) -> tuple[float, float]:
    """Balanced accuracy on rows that got a label and were held back, and on the validation rows, both pooled over these splits."""
    told: tuple[list[tuple[Tensor, Tensor]], ...] = ([], [])
    rows = job.fold_rows(fold)
    policy = replace(default_policy(job, learner, arm, generators=True), generators=tuple(map(job.generator, labellers(job))))
    for i, (train, val) in enumerate(job.inner_parts(rows, fold)[:INNER_SPLITS]):
        seed = stable_seed(job.config.seed, "choose", fold, i)
        run = replace(job.run(f"choose {learner}, fold {fold}: {arm.name} beside {', '.join(labellers(job))}"), seed=seed)
        given = synthetic(job, f"{fold}.{i}", policy, 0)
        back = given.key % HELD == 0 if given else torch.zeros(0, dtype=torch.bool)
        plugin: Learner = make("learners", policy.learner)
        plugin.fit(feed(job, learner, arm, rows.take(train), given.take(~back) if given else None, policy.share), run)
        for own, part in zip(told, (given.take(back) if given and back.any() else rows.take(val), rows.take(val)), strict=True):
            own.append((plugin.predict(part), part.y))
    agreed, right = (balanced_accuracy(torch.cat([p for p, _ in own]), torch.cat([y for _, y in own])) for own in told)
    return agreed, right


def beside_path(job: Job, fold: str, learner: str) -> Path:
    return job.need(job.store.path("beside", beside_inputs(job, fold, learner)), f"choice of the arm beside them for {learner}, fold {fold}")


def chosen_beside(job: Job, fold: str, learner: str) -> tuple[Classical, float]:
    """The best classical arm of a fold beside such rows, of equal ones that which is better without them, and what its learner scored on validation
    rows. Where the labels are easy to tell, as of spoken words, several arms give all held-back rows theirs."""
    record, without = read_json(beside_path(job, fold, learner) / "choice.json"), chosen(job, fold, learner)[1]
    scores, real = record["scores"], record["real"]
    best = max(record["arms"], key=lambda arm: (scores[arm["name"]], real[arm["name"]], without.get(arm["name"], 0.0)))
    return classical_of(best), real[best["name"]]


def believable(job: Job, learner: str) -> bool:
    """Whether a learner may be taught all rows that got a label by what is believed of them: one of rows that are no texts, for which it is not
    measured, and where neither a ratio nor even classes are asked for, which these would not keep."""
    bound = job.config.ratio is not None or "class" in job.config.balance
    return space_of(learner) == "rows" and job.spec.kind == "continuous" and not bound and bool(labellers(job))


def believes(job: Job, fold: str, learner: str) -> bool:
    """Whether a learner is taught so in a fold: where what is doubtful is more likely right than wrong, and the labeller knows more than the learner,
    both by the validation rows of the same inner splits, the learner under its best classical arm. Else it would learn the labeller's mistakes."""
    if not believable(job, learner) or any(doubtful(job, fold, g) <= RIGHT for g in labellers(job)):
        return False
    return read_json(beside_path(job, fold, learner) / "choice.json").get("labeller", 0.0) > max(chosen(job, fold, learner)[1].values())


def doubtful(job: Job, fold: str, generator: str) -> float:
    """How likely the labels are right that a labeller is not sure of, in the mean, as it believes."""
    return read_json(job.need(shard_path(job, fold, generator), f"rows labelled by {generator} for fold {fold}") / "facts.json").get("doubtful", 0.0)
