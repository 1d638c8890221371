"""The whole job: which pieces of work there are, what each waits for, and what is done when they have ended."""

import contextlib
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from . import __version__
from .beside import labellers
from .compare import POOL, SEARCHED, SOURCE, arms, policy_of
from .config import Config, Plan, recorded
from .core.errors import DataError, UsageError
from .core.pool import Item, Workers
from .core.store import disk_errors, make_folder, read_json, write_json
from .cost import INNER_SPLITS
from .data.sources import printable
from .data.stamp import stamp_of_all
from .explain import waits_for
from .job import Job
from .pipeline import conditioned, spareable
from .planning import planned, preflight, ready
from .robust import tested_corrupted
from .teaching import needed_views, space_of, uneven
from .tracking import Tracking

Watch = Callable[[Item, str], None]
Until = Literal["plan", "search", "report"]


def open_folder(config: Config, out: Path) -> Job:
    """A new or continued run folder; until work has begun, settings may be corrected and rows added.

    Raises `UsageError` if the folder belongs to another dataset or configuration, `DataError` if the data changed since the work began.
    """
    path, config = out / "config.json", from_runs(config)
    data = placed(config.data)
    record = {"config": config.model_dump(mode="json", exclude={"jobs", "track", "storage"}), "data": data, "augmind": __version__}
    record["track"] = config.track
    record["config"]["data"] = data
    for option, other in (("beside", config.beside), ("unlabelled", config.unlabelled), ("source", config.source)):
        if other and not Path(other).expanduser().exists():
            raise DataError(f"there is no file or folder '{printable(other)}', which --{option} names", help="check the path")
        if other:
            record["config"][option] = placed(other)
    record["stamp"] = stamp_of_all(config.data, config.column, config.beside, config.unlabelled, config.source)
    if path.is_file() and worked_on(Job(out)):
        refuse_other(out, recorded(out), record)
        return Job(out)
    if path.is_file():
        old = recorded(out)
        refuse_other(out, old, {**record, "config": old["config"], "stamp": old["stamp"]})
        (out / "plan.json").unlink(missing_ok=True)
        write_json(path, record | {"started": old["started"]})
        return Job(out)
    begin(out, config.data, *(other for other in (config.unlabelled, config.source) if other))
    write_json(path, record | {"started": datetime.now(UTC).isoformat(timespec="seconds")})
    return Job(out)


def begin(out: Path, *read: str) -> None:
    """Makes a new folder to work in. Raises `UsageError` for one that lies inside data that are read, and for one that holds something else."""
    for data in read:
        source = Path(data).expanduser()
        if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
            raise UsageError(f"'{out}' lies inside the dataset '{data}', which would change as the run goes on", help="give an --out elsewhere")
    if out.exists() and (not out.is_dir() or any(p.name != "events.jsonl" for p in out.iterdir())):
        raise UsageError(f"'{out}' exists and is not a run folder", help="give another --out, or an empty folder")
    make_folder(out)


def worked_on(job: Job) -> bool:
    """Whether anything beyond the plan has been finished; until then settings may still be corrected."""
    return any(not name.startswith("prepare-") for name in job.store.finished())


def refuse_other(out: Path, old: dict[str, Any], new: dict[str, Any], defaults: dict[str, Any] | None = None, resume: str = "augmind resume") -> None:
    """A folder goes on only with the data and the settings that it was begun with; `defaults` are those of its kind of settings, `resume` the verb
    that goes on with these."""
    if old["data"] != new["data"]:
        raise UsageError(f"'{out}' belongs to another dataset: {old['data']}", help="give another --out")
    if old["stamp"] != new["stamp"]:
        raise DataError(f"the files of {old['data']} changed since '{out}' was begun", help="give another --out", code="DATA-020")
    if old["augmind"] != new["augmind"]:
        text = f"'{out}' was begun with augmind {old['augmind']}; this is {new['augmind']}"
        raise UsageError(text, help=f"give another --out, or install augmind {old['augmind']} to continue it")
    if defaults is None:
        defaults = Config.model_validate({"data": old["data"]}).model_dump(mode="json")
    a, b = defaults | old["config"], new["config"]
    changed = [f"{k}: {a.get(k)} then, {b[k]} now" for k in b if a.get(k) != b[k]]
    if changed:
        way = f"give another --out, or continue it with: {resume} {out}" if resume else "give another --out"
        raise UsageError(f"'{out}' was begun with other settings ({'; '.join(changed)})", help=way)


def from_runs(config: Config) -> Config:
    """A run that `source` names stands for its dataset. Raises `UsageError` for a run in the place of other data."""
    for option in ("data", "beside", "unlabelled", "source"):
        folder = Path(getattr(config, option) or "").expanduser()
        if not ((folder / "config.json").is_file() and (folder / "stages").is_dir()):
            continue
        own = recorded(folder)["data"]
        if option == "source":
            return config.model_copy(update={"source": own})
        place = "DATA" if option == "data" else f"--{option}"
        text = f"'{printable(str(folder))}', which stands for {place}, is a run and no dataset"
        raise UsageError(text, help=f"give a dataset (its own was '{printable(own)}'), or go on with it: augmind resume {folder}")
    return config


def placed(data: str) -> str:
    """Where data lie, whatever folder the run goes on from; a name that is no path as it is."""
    path = Path(data).expanduser()
    return str(path.resolve()) if path.exists() else data


def preparations(job: Job) -> list[Item]:
    """Everything that needs no choice: features, generators, synthetic rows, their figures; slow ones early."""
    plan, root = job.plan, {"folder": str(job.folder)}
    folds = job.folds if job.final in job.folds else (*job.folds, job.final)
    out = [Item(name="features", function="augmind.pipeline:features", args=root)]
    if plan.trials:
        inner = [f"{fold}.{i}" for fold in job.folds for i in range(plan.splits)]
        out += imagined(job, [(fold, g) for fold in inner for g in (*plan.generators, *plan.variants)])
    out += imagined(job, [(f"{fold}.{i}", g) for fold in job.folds for i in range(INNER_SPLITS) for g in labellers(job)])
    out += imagined(job, [(fold, g) for fold in folds for g in plan.generators])
    out += [
        Item(name=f"views {t}", function="augmind.teaching:views", args={**root, "transform": asdict(t)}, after=("features",))
        for t in needed_views(job)
    ]
    if job.config.want:
        drawn = tuple(f"draw {g} {job.final}" for g in plan.generators)
        out.append(Item(name="rows asked for", function="augmind.pipeline:draw_wanted", args=root, after=drawn))
    for g in plan.generators:
        done = (f"draw {g} {job.final}",)
        out.append(Item(name=f"quality {g}", function="augmind.appraise:quality", args={**root, "generator": g}, after=done))
    out.append(Item(name="calibrate screens", function="augmind.appraise:calibrate", args=root, after=("features",)))
    return out


def imagined(job: Job, wanted: list[tuple[str, str]]) -> list[Item]:
    """Training and drawing for each (fold, generator), the longest trainings first."""
    out, steps = [], job.plan.steps
    for fold, g in sorted(wanted, key=lambda w: -steps.get(w[1].partition("~")[0], 0)):
        where = {"folder": str(job.folder), "fold": fold, "generator": g}
        waits = (spareable(job, g) and job.plan.first) or (conditioned(job, g) and labellers(job)) or ()
        first = tuple(f"draw {one} {fold}" for one in waits)
        out.append(Item(name=f"train {g} {fold}", function="augmind.pipeline:train", args=where, after=("features", *first)))
        out.append(Item(name=f"draw {g} {fold}", function="augmind.pipeline:draw", args=where, after=(f"train {g} {fold}",)))
    return out


def choices(job: Job) -> list[Item]:
    """The choice of the classical arm in every fold, and what is learnt from a related dataset under it; a search makes it itself."""
    root, views = {"folder": str(job.folder)}, tuple(f"views {t}" for t in needed_views(job))
    out = []
    for fold in job.folds:
        for learner in job.plan.learners:
            copies = views if space_of(learner) == "features" else ()
            args = {**root, "fold": fold, "learner": learner}
            out.append(Item(name=f"choose {learner} {fold}", function="augmind.teaching:choose", args=args, after=("features", *copies)))
            if job.plan.source and space_of(learner) == "rows":
                out.append(Item(name=f"lend {learner} {fold}", function="augmind.teaching:lend", args=args, after=(f"choose {learner} {fold}",)))
            if labels := labellers(job):
                drawn = tuple(f"draw {g} {fold}.{i}" for g in labels for i in range(INNER_SPLITS))
                after = (*drawn, *((f"choose {learner} {fold}",) if uneven(job.fold_rows(fold), len(job.spec.classes)) else copies))
                out.append(Item(name=f"beside {learner} {fold}", function="augmind.beside:choose_beside", args=args, after=after))
            if job.plan.source:
                after = tuple(n for n in (f"choose {learner} {fold}", f"lend {learner} {fold}") if n in {i.name for i in out})
                out.append(Item(name=f"weigh {learner} {fold}", function="augmind.teaching:weigh", args=args, after=after))
    return out


def borrowed(job: Job) -> list[Item]:
    """What of `choices` a search begins with: learners that are trained by steps are taught on the related dataset, under the arm chosen for that."""
    cells = [f"{n} {f}" for f in job.folds for n in job.plan.learners if job.plan.source and space_of(n) == "rows"]
    return [item for item in choices(job) if item.name in {f"{what} {cell}" for cell in cells for what in ("choose", "lend")}]


def comparison(job: Job, before: tuple[str, ...], since: float | None, searched: list[Item]) -> list[Item]:
    """Every arm, fold, learner and seed, the report last. `before` names items of the same graph that are waited for.

    `searched` holds the work for generators in other settings that a search chose.
    """
    plan, root = job.plan, {"folder": str(job.folder)}
    out = [replace(i, after=tuple(a for a in i.after if a != "features")) for i in searched]
    ready = tuple(i.name for i in searched)
    if plan.mode != "cv":
        opened = tuple(n for n in before if n.startswith(("choose ", "beside ")))
        out.append(Item(name="sealed rows", function="augmind.compare:sealed_features", args=root, after=opened))
        ready = (*ready, "sealed rows")
    for fold in job.folds:
        drawn = tuple(n for n in before if n.startswith("draw ") and n.endswith(f" {fold}"))
        for learner in plan.learners:
            choice = tuple(n for n in before if n in (f"choose {learner} {fold}", f"beside {learner} {fold}"))
            for arm in arms(job):
                lent = tuple(n for n in before if n == f"lend {learner} {fold}" and SOURCE in arm)
                after = (*choice, *lent, *ready, *(drawn if "synthetic" in arm or arm == POOL else ()))
                for seed in range(plan.seeds):
                    args = {**root, "fold": fold, "learner": learner, "arm": arm, "seed": seed}
                    out.append(Item(name=f"teach {arm} {learner} {fold} {seed}", function="augmind.compare:teach", args=args, after=after))
    settled = tuple(n for n in before if (n.startswith("choose ") and n.endswith(" 0")) or n.startswith("views "))
    if job.config.explain:
        out.append(Item(name="learning curve", function="augmind.growth:curve", args=root, after=settled))
    if tested_corrupted(job):
        for fold, learner in [(f, n) for f in job.folds for n in plan.learners]:
            taught = tuple(f"teach {arm} {learner} {fold} 0" for arm in arms(job))
            args = {**root, "fold": fold, "learner": learner, "arms": list(arms(job))}
            out.append(Item(name=f"robust {learner} {fold}", function="augmind.robust:robust", args=args, after=taught))
    shown = waits_for(job, (*before, *(i.name for i in out)))
    if job.config.explain:
        out.append(Item(name="explanation", function="augmind.explain:explain", args=root, after=shown))
    last = (*before, *(i.name for i in out))
    out.append(Item(name="verdict and report", function="augmind.record:conclude", args={**root, "since": since}, after=last))
    return out


def foreseen(job: Job) -> list[Item]:
    """The work that is known when the plan is made, for the display; a search adds its own as it goes."""
    first = [*preparations(job), *([*borrowed(job), *tries(job)] if job.plan.trials else choices(job))]
    return [*first, *comparison(job, tuple(i.name for i in first), None, [])]


def tries(job: Job) -> list[Item]:
    """As many scores as a search can take at most, by name."""
    from .search.score import rungs

    cells = [(n, f, t, r) for n in job.plan.learners for f in job.folds for t in range(job.plan.trials) for r in range(len(rungs(job, n)))]
    return [Item(name=f"try {n} {f} {t} {r}", function="augmind.search.score:score", args={"learner": n}) for n, f, t, r in cells]


def chosen_variants(job: Job) -> list[tuple[str, str]]:
    """Generators in other settings that some winner uses, with the fold that it won in."""
    found: set[tuple[str, str]] = set()
    for fold in job.folds:
        for learner in job.plan.learners:
            keys = map(job.key_of, policy_of(job, fold, learner, SEARCHED).generators)
            found |= {(fold, key) for key in keys if key in job.plan.variants}
    return sorted(found)


def search(job: Job, workers: Workers, tell: Watch, storage: str | None) -> None:
    """All searches side by side, a batch of each at a time, so that every worker is busy; with a storage, those of other runs too."""
    from .search.study import Search
    from .search.together import Together
    from .search.winner import search_inputs

    left = [(f, n) for f in job.folds for n in job.plan.learners]
    left = [(f, n) for f, n in left if not job.store.done(job.store.path("search", search_inputs(job, f, n)))]
    searches = [Search(job, fold, learner) for fold, learner in left]
    together = Together(job, workers, storage) if storage and searches else None
    run = together.run if together else workers.run
    while live := [s for s in searches if s.open]:
        run([item for s in live for item in s.pieces()], tell)
        for s in live:
            s.learn()
    for s in searches:
        s.conclude()
        if together:
            together.publish_study(s.book)


def ignore(*_: object) -> None:
    """Listens to nothing."""


def expand(config: Config, out: Path, *, until: Until = "report", watch: Watch = ignore, on_plan: Callable[[Plan], None] = ignore) -> Job:
    """Does the whole job in a run folder, or what is left of it, `until` the plan, the end of the search or the report."""
    begun, new = time.time(), not (out / "config.json").is_file()
    if not (out / "report.json").is_file():
        ready(config)
    job = open_folder(config, out)
    with withdrawn(out, new):
        return conducted(job, config, until, watch, on_plan, begun)


@contextlib.contextmanager
def withdrawn(out: Path, new: bool) -> Iterator[None]:
    """Takes a new run folder away again where its dataset is refused: there is nothing to go on with."""
    try:
        yield
    except DataError:
        if new:
            shutil.rmtree(out, ignore_errors=True)
        raise


def conducted(job: Job, config: Config, until: Until, watch: Watch, on_plan: Callable[[Plan], None], begun: float) -> Job:
    """The job in a folder that has been opened; it may be interrupted at any moment."""

    def tell(item: Item, state: str) -> None:
        job.run(item.name).event(state)
        watch(item, state)

    def lost(name: str, why: str) -> None:
        tell(Item(name=f"tracker {name}", function="", args={}), f"lost: {why}")

    with job.store.lock(), Tracking(job.folder, config.track, job.record["config"], lost):
        job.store.sweep()
        for file in job.store.heal():
            job.run("check").event("damaged", file=file)
        log = job.folder / "log.txt"
        with disk_errors(log), Workers(config.jobs, log, online=config.download) as workers:
            first = Item(name="load, clean and split", function="augmind.pipeline:prepare", args={"folder": str(job.folder)})
            facts = workers.run([first], tell)[first.name]
            plan = planned(job, config, facts)
            on_plan(plan)
            preflight(job, plan)
            if until == "plan":
                return job
            try:
                work(Job(job.folder), config, workers, tell, until, begun)
            finally:
                spent(job.folder, time.time() - begun)
    return Job(job.folder)


def work(job: Job, config: Config, workers: Workers, tell: Watch, until: Until, begun: float) -> None:
    """Everything after the plan. A search stands between what it needs and the comparison of what it found."""
    if not job.plan.trials:
        first = [*preparations(job), *choices(job)]
        workers.run([*first, *comparison(job, tuple(i.name for i in first), begun, [])], tell)
        return
    workers.run([*preparations(job), *borrowed(job)], tell)
    job = Job(job.folder)
    search(job, workers, tell, config.storage)
    if until == "report":
        workers.run(comparison(job, (), begun, imagined(job, chosen_variants(job))), tell)


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
