"""The whole job for pairs: a run folder opened, the graph of work, what is done when it has ended."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from augmind import __version__
from augmind.conduct import begin, ignore, refuse_other, spent, withdrawn, worked_on
from augmind.config import recorded
from augmind.core.pool import Item, Workers
from augmind.core.store import digest, disk_errors, write_json
from augmind.data.stamp import stamp
from augmind.job import Job as ClassJob
from augmind.modalities.text.parallel.augment import NOISES, source
from augmind.modalities.text.parallel.score import needed
from augmind.nn.weights import changed

from .config import Plan, Wish, make_plan
from .job import Job

Until = Literal["plan", "report"]


def open_folder(wish: Wish, out: Path) -> Job:
    """A new or continued run folder; until work has begun, settings may be corrected.

    Raises `UsageError` where it belongs to another dataset or other settings, `DataError` where the data changed since the work began.
    """
    at = Path(wish.data).expanduser()
    data = str(at.resolve()) if at.exists() else wish.data
    record = {"config": wish.model_dump(mode="json", exclude={"jobs"}), "data": data, "augmind": __version__}
    record["stamp"] = digest(stamp(wish.data), stamp(wish.unlabelled) if wish.unlabelled else "")
    record["config"]["data"], path = data, out / "config.json"
    if wish.unlabelled and (pool := Path(wish.unlabelled).expanduser()).exists():
        record["config"]["unlabelled"] = str(pool.resolve())
    if path.is_file():
        old = recorded(out)
        begun = worked_on(ClassJob(out))
        defaults = {k: f.get_default(call_default_factory=True) for k, f in Wish.model_fields.items()}
        refuse_other(out, old, record if begun else {**record, "config": old["config"], "stamp": old["stamp"]}, defaults)
        if not begun:
            (out / "parallel.json").unlink(missing_ok=True)
            write_json(path, record | {"started": old["started"]})
        return Job(out)
    begin(out, wish.data)
    write_json(path, record | {"started": datetime.now(UTC).isoformat(timespec="seconds")})
    return Job(out)


def planned(job: Job, wish: Wish, facts: dict[str, Any]) -> Plan:
    """The plan of a run folder, made once. Raises `UsageError` for models that changed since."""
    files = {maker: source(model, maker) for maker, model in wish.models.items()}
    if (job.folder / "parallel.json").is_file():
        if others := [maker for maker in files if files[maker] != job.plan.sources.get(maker)]:
            raise changed(f"the model of '{others[0]}'")
        return job.plan
    plan = make_plan(wish, mode=facts["mode"], rows=facts["rows"], test_rows=facts["test_rows"], sources=files)
    write_json(job.folder / "parallel.json", plan.to_json())
    return plan


def work(job: Job, since: float | None) -> list[Item]:
    """Everything after the plan, with what each piece waits for."""
    root, plan = {"folder": str(job.folder)}, job.plan
    at = "augmind.parallel.stages:"
    out = [Item(name="screens", function=f"{at}calibrate", args=root)]
    out += [Item(name=f"try {noise}", function=f"{at}attempt", args={**root, "noise": noise}) for noise in NOISES]
    tried = tuple(i.name for i in out)
    for seed in range(plan.seeds):
        own = {**root, "seed": seed}
        turned = () if "backtranslation" in plan.sources else (f"reverse {seed}",)
        before = {"noise": tried, "backtranslation": ("screens", *turned)}
        out += [Item(name=name, function=f"{at}reverse", args=own) for name in turned]
        for maker in job.wish.makers:
            after = before.get(maker, ("screens",))
            out.append(Item(name=f"make {maker} {seed}", function=f"{at}make", args={**own, "maker": maker}, after=after))
        for arm, makers in job.wish.arms.items():
            after = tuple(f"make {maker} {seed}" for maker in makers)
            out.append(Item(name=f"learn {arm} {seed}", function=f"{at}learn", args={**own, "arm": arm}, after=after))
    last = tuple(i.name for i in out)
    return [*out, Item(name="verdict and report", function="augmind.parallel.record:conclude", args={**root, "since": since}, after=last)]


def expand(
    wish: Wish,
    out: Path,
    *,
    until: Until = "report",
    watch: Callable[[Item, str], None] = ignore,
    on_plan: Callable[[Plan], None] = ignore,
) -> Job:
    """Does the whole job in a run folder, or what is left of it, `until` the plan or the report."""
    needed()
    for maker, model in wish.models.items():
        source(model, maker)
    begun, new = time.time(), not (out / "config.json").is_file()
    job = open_folder(wish, out)
    with withdrawn(out, new), job.store.lock():
        conducted(job, wish, until, watch, on_plan, begun)
    return Job(job.folder)


def conducted(job: Job, wish: Wish, until: Until, watch: Callable[[Item, str], None], on_plan: Callable[[Plan], None], begun: float) -> None:
    """The job in a folder that has been opened; it may be interrupted at any moment."""

    def tell(item: Item, state: str) -> None:
        job.run(item.name).event(state)
        watch(item, state)

    job.store.sweep()
    for file in job.store.heal():
        job.run("check").event("damaged", file=file)
    log = job.folder / "log.txt"
    with disk_errors(log), Workers(wish.jobs, log) as workers:
        first = Item(name="read, clean and split", function="augmind.parallel.stages:prepare", args={"folder": str(job.folder)})
        facts = workers.run([first], tell)[first.name]
        on_plan(planned(job, wish, facts))
        if until == "plan":
            return
        try:
            workers.run(work(Job(job.folder), begun), tell)
        finally:
            spent(job.folder, time.time() - begun)
