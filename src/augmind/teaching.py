"""What a learner is taught from: transformed copies of rows, the classical arms and the choice among them, synthetic rows."""

from dataclasses import asdict, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from .config import within
from .core.feed import Feed
from .core.plugin import Learner, Space, Transfer
from .core.registry import find, make, names
from .core.run import Run
from .core.seeds import stable_seed
from .core.store import read_json, write_json
from .core.tensors import load_tensors, save_tensors
from .core.types import Choice, Classical, Knowledge, Policy, Samples, as_features
from .cost import INNER_ARMS, INNER_SPLITS, LENDING
from .job import Job
from .pipeline import parts, shard_path, supplied
from .shards import read_shard

BALANCES = ("weights", "oversample", "logit_adjustment")
"""Treatments of imbalance; a learner that takes all rows at once sees no difference between the first two."""


def space_of(learner: str) -> Space:
    return find("learners", learner).space


# Transformed copies for learners of feature space


def views(folder: str, transform: dict[str, Any]) -> None:
    """Features of `plan.views` copies of every unsealed row under a transform, a `Choice` as JSON; shared by all folds, arms and seeds."""
    job, choice = Job(Path(folder)), Choice(**transform)

    def work(tmp: Path) -> None:
        run, out = job.run(f"views {choice}"), []
        plugin = make("transforms", made_of(job, choice))
        x = job.real.x
        dummy = torch.zeros(len(x), 1)
        for copy in range(job.plan.views):
            blocks = []
            for start in range(0, len(x), 256):
                rows = job.spec.to_model(x[start : start + 256])
                moved, _ = plugin.apply(rows, dummy[start : start + 256], stable_seed(job.config.seed, "view", choice.name, copy, start))
                blocks.append(job.codec.embed(job.spec.to_store(moved)))
            out.append(torch.cat(blocks))
            run.progress(copy + 1, job.plan.views)
        save_tensors(tmp / "z.safetensors", {"z": torch.stack(out)})

    job.store.stage("views", view_inputs(job, choice), work)


def copied(arm: Classical) -> Choice:
    """The transform of the copies that learners of feature space see in this arm: by its defaults, so that arms share them, unless it is settled."""
    return arm.transform if find("transforms", arm.transform.name).settled else Choice(name=arm.transform.name)


def made_of(job: Job, transform: Choice) -> Choice:
    """A transform with all that is known of it: what was asked for, what it reads, and its own settings."""
    known = job.transform(transform.name)
    return Choice(name=known.name, settings=known.settings | transform.settings)


def view_inputs(job: Job, transform: Choice) -> dict[str, Any]:
    settings = made_of(job, transform).settings
    about = {"settings": settings} if settings else {}
    return {"features": job.features_stage.name, "transform": transform.name, "views": job.plan.views, "seed": job.config.seed} | about


def view_rows(job: Job, rows: Samples, transform: Choice) -> Samples | None:
    """The transformed copies of these rows: all first copies, then all second ones, and so on."""
    if transform.name == "none":
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
        return list(job.classical("features"))
    short = job.config.preset == "quick" or (job.config.preset == "balanced" and find("learners", learner).knowledge is not Knowledge.rows)
    return list(job.classical("rows"))[: INNER_ARMS if short else None]


def needed_views(job: Job) -> list[Choice]:
    """Transforms whose copies some learner of feature space will ask for; in a search, all that this data can take."""
    learners = [n for n in job.plan.learners if space_of(n) == "features"]
    found = {str(t): t for n in learners for c in candidates(job, n) if (t := copied(c)).name != "none"}
    if job.plan.trials and learners:
        able = (t for t in names("transforms") if not find("transforms", t).refuses(job.spec) and not find("transforms", t).needs)
        found |= {t: Choice(name=t) for t in able if t != "none"}
    return [found[name] for name in sorted(found)]


def views_used(job: Job, policy: Policy) -> str:
    """The stage of transformed copies that a policy takes its views from; empty if it needs none."""
    transform = copied(policy.classical)
    if space_of(policy.learner.name) == "rows" or transform.name == "none":
        return ""
    return job.store.path("views", view_inputs(job, transform)).name


# What one arm is taught


def feed(job: Job, learner: str, classical: Classical, real: Samples, extra: Samples | None, share: float | None = None) -> Feed:
    """What a learner is taught from: real rows, their classical augmentation, synthetic rows as `share` of every batch."""
    copies, named = None, job.named if classical.names != "none" else None
    if classical.names == "alone" and named is not None:
        real, named, classical = named, None, Classical(name=classical.name, balance=classical.balance)
    if space_of(learner) == "features":
        copies, real = view_rows(job, real, copied(classical)), as_features(real)
        copies, named = (as_features(rows) if rows else None for rows in (copies, named))
    return Feed(
        real=real,
        spec=job.spec,
        codec=job.codec,
        transform=make("transforms", classical.transform),
        mixing=make("mixing", classical.mixing),
        balance=classical.balance,
        synthetic=extra,
        share=job.plan.share if share is None else share,
        views=copies,
        named=named,
    )


def default_policy(job: Job, learner: str, classical: Classical, generators: bool, fold: str = "") -> Policy:
    """A classical arm, with or without the rows of every planned generator that this learner can take; with a `fold`, of those that work there."""
    asked = job.plan.first if generators and fold else ()
    enough = bool(asked and supplied(job, fold))
    makers = tuple(job.generator(g) for g in job.generators(space_of(learner)) if not enough or g in asked) if generators else ()
    share = job.plan.rest[1] if asked and not enough else job.plan.share
    return Policy(
        learner=job.learner(learner),
        classical=classical,
        generators=makers,
        screens=tuple(Choice(name=n) for n in job.plan.screens) if makers else (),
        ratio=job.plan.ratio if makers else 0.0,
        share=share if makers else 0.0,
    )


def shards_of(job: Job, fold: str, policy: Policy) -> dict[str, Path]:
    """The finished shards that a policy draws on, by generator key."""
    return {key: shard_path(job, fold, key) for key in map(job.key_of, policy.generators)}


def synthetic(job: Job, fold: str, policy: Policy, seed: int, part: float = 1.0) -> Samples | None:
    """The synthetic rows of one seed under a policy; None if there are none.

    Of each class and generator the first `policy.ratio` / `plan.ratio` of the kept rows that also pass the policy's own cuts, and a
    `part` of these. With `policy.believed` all rows that got a label, with what is believed of each as a soft label.
    """
    space, found = space_of(policy.learner.name), list[Samples]()
    cuts = {c.name: make("screens", c).cut for c in policy.screens if c.settings}
    for key, path in shards_of(job, fold, policy).items():
        rows = read_shard(path, key, seed % parts(job, fold, key), cuts, policy.weigh, policy.soft, believed=policy.believed)
        if rows is None or not len(rows):
            continue
        rows = rows.take(first_of_each(rows.y, part * policy.ratio / job.plan.ratio))
        found.append(as_features(rows) if space == "features" else rows)
    if any(rows.soft is not None for rows in found):
        found = [rows if rows.soft is not None else replace(rows, soft=one_hot(rows.y, len(job.spec.classes)).float()) for rows in found]
    out = reduce(add, found) if found else None
    return out if out is None or out.soft is None else replace(out, soft=out.soft * (len(out) / out.soft.sum().clamp(min=1e-12)))


def first_of_each(y: Tensor, part: float) -> Tensor:
    """A mask of the first `part` of the rows of every class, one row at least."""
    keep = torch.zeros(len(y), dtype=torch.bool)
    for k in y.unique():
        rows = (y == k).nonzero()[:, 0]
        keep[rows[: max(1, round(part * len(rows)))]] = True
    return keep


def taught(job: Job, fold: str, policy: Policy, real: Samples, seed: int, run: Run, steps: float = 1.0, rows: float = 1.0) -> Learner:
    """The learner of a policy, trained on these real rows and, in the part `rows`, the policy's synthetic ones, for a part of its `steps`."""
    name = policy.learner.name
    extra = synthetic(job, fold, policy, seed, rows) if policy.generators else None
    learner: Learner = make("learners", policy.learner)
    if steps < 1:
        learner = replace(learner, steps=max(1, round(steps * job.plan.steps[name])))
    transfer: Transfer = make("transfers", policy.transfer)
    given = feed(job, name, policy.classical, real, extra, policy.share)
    return transfer.train(learner, lent(job, fold, name, given) if policy.source else given, run)


# What a related dataset lends


def lent(job: Job, fold: str, learner: str, given: Feed) -> Feed:
    """What a learner is taught from with the related dataset beside, and, where it is trained by steps, what it has learnt from that."""
    if space_of(learner) == "features":
        return replace(given, source=as_features(job.source) if job.source else None)
    path = job.need(lent_by(job, fold, learner), f"{learner} taught on the related dataset")
    return replace(given, source=job.source, begun=load_tensors(path / "model.safetensors"))


def lent_by(job: Job, fold: str, learner: str) -> Path:
    """The stage of a learner taught on the related dataset under the classical arm of a fold, or of the one that an inner fold is part of."""
    return job.store.path("lend", lend_inputs(job, fold.partition(".")[0], learner))


def lent_inputs(job: Job, fold: str, policy: Policy) -> dict[str, str]:
    """What a training by steps with a related dataset depends on beside the policy."""
    return {"lent": lent_by(job, fold, policy.learner.name).name} if policy.source and space_of(policy.learner.name) == "rows" else {}


def lend_inputs(job: Job, fold: str, learner: str) -> dict[str, Any]:
    arm = chosen(job, fold, learner)[0]
    parts = {"learner": asdict(lender(job, learner)), "transform": asdict(arm.transform), "mixing": asdict(arm.mixing)}
    return {"prepare": job.prepared.name, "seed": job.config.seed, **parts}


def lender(job: Job, learner: str) -> Choice:
    """A learner with as many steps as it learns the related dataset for."""
    choice = job.learner(learner)
    return replace(choice, settings={**choice.settings, "steps": within(learner, round(LENDING * job.plan.steps[learner]))})


def lend(folder: str, fold: str, learner: str) -> None:
    """Teaches a learner the classes of the related dataset; no seed of the comparison takes part, and folds of one classical arm share it."""
    job = Job(Path(folder))
    inputs = lend_inputs(job, fold, learner)
    stage = job.store.path("lend", inputs)

    def work(tmp: Path) -> None:
        assert job.source is not None
        arm, rows, spec = chosen(job, fold, learner)[0], job.source, replace(job.spec, classes=job.source_classes)
        rows = replace(rows, y=rows.y - len(job.spec.classes))
        parts = {"transform": make("transforms", arm.transform), "mixing": make("mixing", arm.mixing)}
        model: Learner = make("learners", lender(job, learner))
        model.fit(Feed(real=rows, spec=spec, codec=job.codec, **parts), job.run(f"lend {learner}, fold {fold}", stage))
        save_tensors(tmp / "model.safetensors", model.state())

    job.store.stage("lend", inputs, work)


def weigh_inputs(job: Job, fold: str, learner: str) -> dict[str, Any]:
    by = {"lent": lent_by(job, fold, learner).name} if space_of(learner) == "rows" else {}
    return {"features": job.features_stage.name, "chosen": choice_path(job, fold, learner).name, "seed": job.config.seed} | by


def weigh(folder: str, fold: str, learner: str) -> None:
    """Scores the best classical arm with what the related dataset lends on inner folds of a fold's training rows, as `choose` did without."""
    job = Job(Path(folder))

    def work(tmp: Path) -> None:
        rows = job.fold_rows(fold)
        score = inner_score(job, fold, learner, chosen(job, fold, learner)[0], rows, tried_on(job, fold, learner, rows), source=True)
        write_json(tmp / "weight.json", {"fold": fold, "learner": learner, "score": score})

    job.store.stage("weigh", weigh_inputs(job, fold, learner), work)


def weighed(job: Job, fold: str, learner: str) -> float:
    """What `weigh` found."""
    path = job.need(job.store.path("weigh", weigh_inputs(job, fold, learner)), f"score of {learner} with the related dataset, fold {fold}")
    return read_json(path / "weight.json")["score"]


# The choice of the best classical arm


def balanced_accuracy(p: Tensor, y: Tensor) -> float:
    """Mean recall over the classes present in `y`."""
    right = (p.argmax(1) == y).double()
    return float(torch.stack([right[y == k].mean() for k in y.unique()]).mean())


def choose_inputs(job: Job, fold: str, learner: str) -> dict[str, Any]:
    arms = [c.name for c in candidates(job, learner)]
    return {"features": job.features_stage.name, "fold": fold, "learner": asdict(job.learner(learner)), "arms": arms, "views": job.plan.views,
            "inner": job.plan.inner_folds, "seed": job.config.seed}  # fmt: skip


def choose(folder: str, fold: str, learner: str) -> None:
    """Scores the classical arms on inner folds of a fold's training rows and keeps the best; on imbalanced data then its balance."""
    job = Job(Path(folder))

    def work(tmp: Path) -> None:
        rows, arms = job.fold_rows(fold), candidates(job, learner)
        parts = tried_on(job, fold, learner, rows)
        scores = {arm.name: inner_score(job, fold, learner, arm, rows, parts) for arm in arms}
        best = max(arms, key=lambda arm: scores[arm.name])
        if uneven(rows, len(job.spec.classes)):
            ways = BALANCES if space_of(learner) == "rows" else [b for b in BALANCES if b != "oversample"]
            balanced = [replace(best, name=f"{best.name}+{b}", balance=b) for b in ways]
            scores |= {arm.name: inner_score(job, fold, learner, arm, rows, parts) for arm in balanced}
            best = max([best, *balanced], key=lambda arm: scores[arm.name])
        write_json(tmp / "choice.json", {"fold": fold, "learner": learner, "classical": asdict(best), "scores": scores})

    job.store.stage("choose", choose_inputs(job, fold, learner), work)


def uneven(rows: Samples, classes: int) -> bool:
    """Whether the largest class has more than one and a half times as many rows as the smallest that has any."""
    counts = rows.counts(classes)
    return bool(counts.max() > 1.5 * counts[counts > 0].min())


def tried_on(job: Job, fold: str, learner: str, rows: Samples) -> list[tuple[Tensor, Tensor]]:
    """The inner splits of a fold's training rows on which the arms of a learner are scored; of one that trains by steps the first ones."""
    return job.inner_parts(rows, fold)[: INNER_SPLITS if space_of(learner) == "rows" else None]


def inner_score(job: Job, fold: str, learner: str, arm: Classical, rows: Samples, parts: list[tuple[Tensor, Tensor]], source: bool = False) -> float:
    """Balanced accuracy of a classical arm on the pooled inner validation rows; with what a related `source` lends where that is said."""
    p, y = [], []
    for i, (train, val) in enumerate(parts):
        run = replace(job.run(f"choose {learner}, fold {fold}: {arm.name}"), seed=stable_seed(job.config.seed, "choose", fold, i))
        plugin: Learner = make("learners", job.learner(learner))
        given = feed(job, learner, arm, rows.take(train), None)
        plugin.fit(lent(job, fold, learner, given) if source else given, run)
        p.append(plugin.predict(rows.take(val)))
        y.append(rows.y[val])
    return balanced_accuracy(torch.cat(p), torch.cat(y))


def choice_path(job: Job, fold: str, learner: str) -> Path:
    return job.need(job.store.path("choose", choose_inputs(job, fold, learner)), f"choice of the classical arm for {learner}, fold {fold}")


def chosen(job: Job, fold: str, learner: str) -> tuple[Classical, dict[str, float]]:
    """The best classical arm of a fold with the inner scores of all."""
    return read_choice(choice_path(job, fold, learner))


def read_choice(stage: Path) -> tuple[Classical, dict[str, float]]:
    record = read_json(stage / "choice.json")
    return classical_of(record["classical"]), record["scores"]


def classical_of(told: dict[str, Any]) -> Classical:
    """A classical arm from JSON."""
    return Classical(**{**told, "transform": Choice(**told["transform"]), "mixing": Choice(**told["mixing"])})
