"""The whole job: which pieces of work there are, what each waits for, and what is done when they have ended."""

import os
import platform
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import __version__
from .config import Config, Plan, make_plan
from .core.errors import DataError, MachineError, UsageError, unknown
from .core.pool import Item, Workers
from .core.registry import make
from .core.store import disk_errors, make_folder, read_json, write_json
from .data.stamp import stamp
from .job import Job

Watch = Callable[[Item, str], None]


def open_folder(config: Config, out: Path) -> Job:
    """A new or continued run folder. Raises `UsageError` if the folder belongs to another dataset or configuration."""
    path = out / "config.json"
    source = Path(config.data).expanduser()
    data = str(source.resolve()) if source.exists() else config.data
    record = {"config": config.model_dump(mode="json", exclude={"jobs"}), "data": data, "stamp": stamp(config.data), "augmind": __version__}
    record["config"]["data"] = data
    if path.is_file() and worked_on(Job(out)):
        refuse_other(out, read_json(path), record)
        return Job(out)
    if path.is_file():
        refuse_other(out, read_json(path), {**record, "config": read_json(path)["config"]})
        (out / "plan.json").unlink(missing_ok=True)
        write_json(path, record | {"started": read_json(path)["started"]})
        return Job(out)
    if out.exists() and (not out.is_dir() or any(p.name != "events.jsonl" for p in out.iterdir())):
        raise UsageError(f"'{out}' exists and is not a run folder", help="give another --out, or an empty folder")
    make_folder(out)
    write_json(path, record | {"started": datetime.now(UTC).isoformat(timespec="seconds")})
    return Job(out)


def worked_on(job: Job) -> bool:
    """Whether anything beyond the plan has been finished; until then settings may still be corrected."""
    return any(not name.startswith("prepare-") for name in job.store.finished())


def refuse_other(out: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """A run folder goes on only with the data and the settings that it was begun with."""
    if old["data"] != new["data"]:
        raise UsageError(f"'{out}' belongs to another dataset: {old['data']}", help="give another --out")
    if old["stamp"] != new["stamp"]:
        raise DataError(f"the files of {old['data']} changed since '{out}' was begun", help="give another --out", code="DATA-020")
    if old["augmind"] != new["augmind"]:
        text = f"'{out}' was begun with augmind {old['augmind']}; this is {new['augmind']}"
        raise UsageError(text, help=f"give another --out, or install augmind {old['augmind']} to continue it")
    a, b = old["config"], new["config"]
    changed = [f"{k}: {a.get(k)} then, {b.get(k)} now" for k in b if a.get(k) != b.get(k)]
    if changed:
        raise UsageError(
            f"'{out}' was begun with other settings ({'; '.join(changed)})", help=f"give another --out, or continue it with: augmind resume {out}"
        )


def planned(job: Job, config: Config, facts: dict[str, Any]) -> Plan:
    """The plan of a run folder, made once. Raises `UsageError` for wishes that do not fit the data."""
    if (job.folder / "plan.json").is_file():
        return job.plan
    for name in config.want:
        if name not in facts["classes"]:
            raise unknown("class in --want", name, facts["classes"])
    keys = ("mode", "folds", "rows", "test_rows", "imbalanced")
    plan = make_plan(config, classes=len(facts["classes"]), shape=tuple(facts["shape"]), **{k: facts[k] for k in keys})
    for kind, chosen in (("generators", plan.generators), ("learners", plan.learners)):
        for name in chosen:
            make(kind, job.choice(kind, name, plan))
    write_json(job.folder / "plan.json", plan.to_json())
    return plan


def preflight(job: Job, plan: Plan) -> None:
    """Refuses a run that the disk cannot hold."""
    free, need = shutil.disk_usage(job.folder).free / 1e6, plan.estimates["disk_mb"]
    if free < need:
        raise MachineError(f"the run needs about {need:.0f} MB and '{job.folder}' has {free:.0f} MB free", help="free some space", code="ENV-002")


def items(job: Job, since: float | None = None) -> list[Item]:
    """Every piece of work after the plan, in an order that reaches the slow ones early."""
    from .compare import arms, needed_views, space_of

    plan, root = job.plan, {"folder": str(job.folder)}
    folds = job.folds if job.final in job.folds else (*job.folds, job.final)
    out = [Item(name="features", function="augmind.pipeline:features", args=root)]
    for fold in folds:
        for g in sorted(plan.generators, key=lambda g: -plan.steps.get(g, 0)):
            where = {**root, "fold": fold, "generator": g}
            out.append(Item(name=f"train {g} {fold}", function="augmind.pipeline:train", args=where, after=("features",)))
            out.append(Item(name=f"draw {g} {fold}", function="augmind.pipeline:draw", args=where, after=(f"train {g} {fold}",)))
    transforms = needed_views(job)
    out += [Item(name=f"views {t}", function="augmind.compare:views", args={**root, "transform": t}, after=("features",)) for t in transforms]
    choices = tuple(f"choose {learner} {fold}" for fold in job.folds for learner in plan.learners)
    sealed: tuple[str, ...] = ()
    if plan.mode != "cv":
        sealed = ("sealed rows",)
        out.append(Item(name="sealed rows", function="augmind.compare:sealed_features", args=root, after=choices))
    for fold in job.folds:
        for learner in plan.learners:
            copies = tuple(f"views {t}" for t in transforms) if space_of(learner) == "features" else ()
            where = {**root, "fold": fold, "learner": learner}
            choose = f"choose {learner} {fold}"
            out.append(Item(name=choose, function="augmind.compare:choose", args=where, after=("features", *copies)))
            drawn = tuple(f"draw {g} {fold}" for g in plan.generators)
            for arm in arms(job):
                after = (choose, *sealed, *(drawn if "synthetic" in arm else ()))
                for seed in range(plan.seeds):
                    args = {**where, "arm": arm, "seed": seed}
                    out.append(Item(name=f"teach {arm} {learner} {fold} {seed}", function="augmind.compare:teach", args=args, after=after))
    if job.config.want:
        drawn = tuple(f"draw {g} {job.final}" for g in plan.generators)
        out.append(Item(name="rows asked for", function="augmind.pipeline:draw_wanted", args=root, after=drawn))
    for g in plan.generators:
        done = (f"draw {g} {job.final}",)
        out.append(Item(name=f"quality {g}", function="augmind.appraise:quality", args={**root, "generator": g}, after=done))
    out.append(Item(name="calibrate screens", function="augmind.appraise:calibrate", args=root, after=("features",)))
    last = tuple(i.name for i in out)
    out.append(Item(name="verdict and report", function="augmind.record:conclude", args={**root, "since": since}, after=last))
    return out


def ignore(*_: object) -> None:
    """Listens to nothing."""


def expand(config: Config, out: Path, *, dry_run: bool = False, watch: Watch = ignore, on_plan: Callable[[Plan], None] = ignore) -> Job:
    """Does the whole job in a run folder, or what is left of it; with `dry_run` it stops at the plan."""
    begun = time.time()
    job = open_folder(config, out)

    def tell(item: Item, state: str) -> None:
        job.run(item.name).event(state)
        watch(item, state)

    with job.store.lock():
        job.store.sweep()
        for file in job.store.heal():
            job.run("check").event("damaged", file=file)
        log = job.folder / "log.txt"
        with disk_errors(log), Workers(config.jobs, log) as workers:
            first = Item(name="load, clean and split", function="augmind.pipeline:prepare", args={"folder": str(job.folder)})
            facts = workers.run([first], tell)[first.name]
            plan = planned(job, config, facts)
            on_plan(plan)
            preflight(job, plan)
            if dry_run:
                return job
            try:
                workers.run(items(job, begun), tell)
            finally:
                spent(job.folder, time.time() - begun)
    return Job(job.folder)


def spent(folder: Path, seconds: float) -> None:
    """Adds the wall time of this visit to the run's own account, which no result depends on."""
    write_json(folder / "time.json", {"seconds": round(time_before(folder) + seconds, 1)})


def time_before(folder: Path) -> float:
    """Wall seconds of all earlier visits."""
    path = folder / "time.json"
    return read_json(path)["seconds"] if path.is_file() else 0.0


def versions() -> dict[str, str]:
    """What the run was made with."""
    from importlib.metadata import version

    names = ("torch", "numpy", "scikit-learn", "transformers", "datasets", "pillow")
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return {"augmind": __version__, "python": platform.python_version(), **{n: version(n) for n in names}, "platform": machine}
