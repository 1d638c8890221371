"""What is asked for, held against the data and this machine: refused in one sentence, or a plan."""

import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .config import Config, Plan, asked_of, asked_screens, asked_transforms, make_plan
from .core.errors import MachineError, UsageError, first_line, unknown
from .core.plugin import Generator, Plugin, Screen
from .core.registry import find, make, names
from .core.store import atomic_write, write_json
from .core.types import Choice, Codec, Spec
from .cost import LENDING
from .donor import chosen_on, donors, seen_before
from .job import Job
from .nn.weights import changed, content, located, needed_backbone
from .shards import MOST_DRAWN, labels_alone
from .usual import READY

LOOSE = 20
"""Rows of a dataset without a label from which on a plan says what they are good for."""


def ready(config: Config) -> None:
    """Refuses a run whose backbone, generators, transforms or learners lack something on this machine, before any work. Raises `MachineError`."""
    needed_backbone(config.backbone or "", config.download)
    for name in config.generators:
        make("generators", Choice(name=name, settings=asked_of(config).get(name, {}))).ready()
    for name in asked_transforms(config):
        make("transforms", Choice(name=name, settings=asked_of(config)[name])).ready()
    for name in asked_screens(config):
        make("screens", Choice(name=name, settings=asked_of(config)[name])).ready()
    for name, settings in asked_of(config).items():
        if name in names("learners"):
            make("learners", Choice(name=name, settings=settings)).ready()


def planned(job: Job, config: Config, facts: dict[str, Any]) -> Plan:
    """The plan of a run folder, made once. Raises `UsageError` for wishes that do not fit the data, and for files that changed since the plan."""
    if config.storage:
        reached(config.storage)
    if (job.folder / "plan.json").is_file():
        unchanged(job)
        return job.plan
    for option, named in (("want", config.want), ("describe", config.describe)):
        for name in named:
            if name not in facts["classes"]:
                raise unknown(f"class in --{option}", name, facts["classes"])
    keys = ("mode", "folds", "rows", "test_rows", "imbalanced", "kind", "rate")
    known = {k: facts[k] for k in keys} | {"classes": len(facts["classes"]), "shape": tuple(facts["shape"]), "trainable": job.codec.trainable}
    known |= {"pool": facts["pool"], "source": facts["source"]}
    known["advice"] = getattr(job.codec, "advice", "")
    known |= {"parts": tuple(facts["parts"]), "sides": tuple(Spec.from_json(side) for side in facts["sides"])}
    plan = make_plan(config, earlier=earlier_policies(job, config.warm), **known)
    if config.describe and not job.namings and not ((job.spec.parts or job.spec.kind == "continuous") and any(described(config, plan))):
        what = "is about texts" if facts["kind"] != "tokens" else "leaves classes without words of their own that fit into a row"
        what = "is about single texts, or pairs that a language model writes" if job.spec.parts else what
        text = f"--describe {what}, so it would change nothing"
        raise UsageError(text, help=f"leave it out, or say in letters, of every class, what it means: {', '.join(facts['classes'][:6])}")
    if config.say and not any("say" in find("generators", name).__dataclass_fields__ for name in plan.generators):
        way = "leave it out, or add a generator that does: --generators tts, or pretrained"
        raise UsageError(f"--say '{config.say}' is about what is spoken, and no generator of this run takes words", help=way)
    if any(seen_before(folder, set()) is None for folder in config.warm):
        plan = replace(plan, notes=(*plan.notes, "nobody can tell on which rows a policy of --warm was chosen; if on test rows, gains are too good"))
    if config.source:
        plan = borrowing(job, config, plan)
    if config.start:
        plan = begun_from(job, config, plan)
    parts = (*plan.generators, *plan.learners, *plan.screens, *asked_transforms(config))
    for key in config.set:
        if (name := key.partition(".")[0]) not in parts:
            if name in READY:
                make("generators", Choice(name=name, settings=asked_of(config)[name])).ready()
            text = f"--set {key} is about '{name}', which is no part of this run"
            if name in asked_screens(config):
                raise UsageError(text, help="it judges rows that a generator writes, and none here does: add --generators lm or llm")
            raise UsageError(text, help=f"its parts are {', '.join(parts)}; leave the setting out, or add {name}")
    made = reading(job, config, plan)
    generators = [p for p in made.values() if isinstance(p, Generator)]
    notes = tuple(f"training rows are sent to {place}, for '{name}'" for name, p in made.items() if (place := p.sent_to()))
    rows = round(plan.ratio * plan.rows * plan.seeds * plan.folds / max(1, sum(g.space == "rows" for g in generators)))
    drawn = [bill for p in made.values() if isinstance(p, Generator | Screen) and (bill := p.bill(job.data(job.real), rows))]
    bills = tuple(f"{bill}; up to {MOST_DRAWN} times as much where the screens reject most rows" for bill in drawn)
    plan = replace(plan, sources=sources(made, job.codec), notes=(*lost(facts, config), *plan.notes, *notes, *bills, *unserved(plan)))
    write_json(job.folder / "plan.json", plan.to_json())
    return plan


def lost(facts: dict[str, Any], config: Config) -> list[str]:
    """A note for rows that were set aside, and one for what those without a label are good for."""
    if not (n := facts["aside"]):
        return []
    told = f"{n:,} rows were set aside, the first" if n > 1 else "one row was set aside"
    notes = [f"{told}: {facts['first_aside']} (augmind inspect lists them)"]
    if facts["loose"] >= LOOSE and not config.unlabelled and not facts["parts"] and may_be_loose(config, facts["kind"]):
        way = f"--unlabelled {shlex.quote(config.data)}"
        notes.append(f"{facts['loose']:,} of them have no label: {way} would label those that can be told, and learn from them too")
    return notes


def may_be_loose(config: Config, kind: str) -> bool:
    """Whether the dataset itself can be read as rows without labels: texts, a folder or archive of files, a table of files by its usual columns."""
    from .data.archive import is_archive
    from .data.listing import TABLES

    path = Path(config.data).expanduser()
    if kind == "tokens" or is_archive(path):
        return path.exists()
    if path.is_dir():
        return not any(path.glob("*.arrow"))
    return path.suffix.lower() in TABLES and path.is_file() and config.column is None


def unserved(plan: Plan) -> list[str]:
    """A note for learners of rows where every generator draws features."""
    left = [name for name in plan.learners if find("learners", name).space == "rows"]
    makers = [name for name in plan.generators if not (plan.conditioned and labels_alone(name))]
    if not left or not makers or any(find("generators", name).space == "rows" for name in makers):
        return []
    named = ", ".join(f"'{name}'" for name in left)
    what = ", ".join(f"'{name}'" for name in makers)
    return [f"{named} cannot learn from what {what} draws, which is features and no rows: add a generator of rows, or the learner probe"]


def reading(job: Job, config: Config, plan: Plan) -> dict[str, Plugin]:
    """The parts of a run that may read files beside the data, such as weights.

    Raises `UsageError` for settings of any part that are not allowed, `WrongSpec` for parts asked for that cannot take its rows.
    """
    made: dict[str, Plugin] = {name: make("generators", job.choice("generators", name, plan)) for name in plan.generators}
    made |= {name: make("learners", job.choice("learners", name, plan)) for name in plan.learners}
    screens: dict[str, Plugin] = {name: make("screens", job.choice("screens", name, plan)) for name in plan.screens}
    asked: dict[str, Plugin] = {name: make("transforms", Choice(name=name, settings=asked_of(config)[name])) for name in asked_transforms(config)}
    asked |= {name: screens[name] for name in asked_screens(config) if name in screens}
    for plugin in asked.values():
        plugin.require(job.spec)
    return made | asked


def sources(made: dict[str, Plugin], codec: Codec) -> dict[str, str]:
    """A hash of what each of these reads, and of the backbones where they are on this machine; nothing for those that read nothing."""
    found = {name: source for name, p in made.items() if (source := p.source())}
    sides = getattr(codec, "codecs", ())
    read = {f"backbone of {own.name}": own.reads() for own in sides} if sides else {"backbone": codec.reads()}
    return found | {name: content(place) for name, backbone in read.items() if backbone and (place := located(backbone))}


def unchanged(job: Job) -> None:
    """Raises `UsageError` where models or files that a run reads are not what they were when it was planned."""
    planned = job.plan.sources
    found = sources(reading(job, job.config, job.plan), job.codec) if planned else {}
    if others := sorted(name for name in planned if found.get(name) != planned[name]):
        raise changed(f"what '{others[0]}' reads")


def described(config: Config, plan: Plan) -> Iterator[bool]:
    """Of the generators, and the screens that were asked for, whether each is told what classes mean."""
    asked = [("generators", name) for name in plan.generators] + [("screens", name) for name in asked_screens(config)]
    return ("describe" in find(kind, name).__dataclass_fields__ for kind, name in asked)


def begun_from(job: Job, config: Config, plan: Plan) -> Plan:
    """The plan with the models that learners begin from, copied into the run folder, where they stay as they are.

    Raises `UsageError` where no learner of the plan can begin from what was given, or where what was given knows test rows.
    """
    learners, start = plan.learners, config.start or ""
    able = tuple(n for n in learners if "start" in find("learners", n).__dataclass_fields__)
    if not able:
        raise UsageError(f"--start: none of the learners {', '.join(learners)} can begin from a saved model", help="use --learner cnn or finetune")
    found = donors(start, able)
    tested = {job.rows[i].digest for fold in job.split.folds for i in fold.test}
    known = seen_before(start, tested)
    if known:
        text = f"--start '{start}' has seen {known} of the {len(tested)} test rows of this run, so every figure would be false"
        raise UsageError(text, help="start from a run on other rows")
    unsure = "nobody can tell whether the model of --start has seen test rows of this run; if it has, every figure is too good"
    out: dict[str, str] = {}
    for name, file in found.items():
        copy = job.folder / "start" / f"{name}.safetensors"
        atomic_write(copy, Path(file).read_bytes())
        out[name] = str(copy.resolve())
    return replace(plan, starts=out, notes=plan.notes if known == 0 else (*plan.notes, unsure))


def borrowing(job: Job, config: Config, plan: Plan) -> Plan:
    """The plan with a note of what a related dataset costs. Raises `UsageError` for wishes that do not go with one."""
    if config.start:
        raise UsageError("--start and --source both say where learners begin", help="leave one of them out")
    if unable := [name for name in plan.learners if not find("learners", name).borrows]:
        able = ", ".join(name for name in names("learners") if find("learners", name).borrows and not find("learners", name).refuses(job.spec))
        raise UsageError(f"'{unable[0]}' learns nothing from a related dataset", help=f"name learners that do: --learner {able}")
    trained = [name for name in plan.learners if name in plan.steps]
    told = [f"{', '.join(trained)} {learn(trained)} the related dataset first, for {LENDING:g} times the steps of an arm"] if trained else []
    if drawing := [name for name in plan.generators if name in plan.steps and find("generators", name).borrows]:
        told.append(f"{', '.join(drawing)} {learn(drawing)} the related dataset first, for as many steps as the dataset itself")
    return replace(plan, notes=(*plan.notes, *told))


def learn(names: Sequence[str]) -> str:
    """The verb that goes with these."""
    return "learns" if len(names) == 1 else "learn"


def reached(storage: str) -> None:
    """Opens the storage of a study. Raises `UsageError` where that cannot be, `MachineError` without the driver."""
    from sqlalchemy.exc import SQLAlchemyError

    from .search.book import shared

    try:
        shared(storage)
    except ImportError as error:
        causes = (error, error.__cause__, error.__context__)
        missing = next((name for cause in causes if (name := getattr(cause, "name", None))), "of this database's driver")
        raise MachineError(f"--storage needs the package '{missing}', which is not installed", help=f"pip install {missing}") from error
    except (SQLAlchemyError, ValueError) as error:
        text = f"--storage cannot be opened: {first_line(getattr(error, 'orig', None) or type(error).__name__)}"
        raise UsageError(text, help="give a database URL such as sqlite:///study.db, or leave --storage out") from error


def earlier_policies(job: Job, folders: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
    """The best policies that the searches of these runs found, or, of runs without a search, what they recommend.

    A search has seen no sealed row of its run; a recommendation was decided on them. Raises `UsageError` for a folder without any, for
    one that this version cannot make, and for choices on rows that are tested here.
    """
    from .policy import buildable, read
    from .search.winner import leaders

    out: list[dict[str, Any]] = []
    for folder in folders:
        path, searched = Path(folder) / "policy.json", leaders(Path(folder))
        if not searched and not path.is_file():
            text = f"--warm '{folder}' holds neither a finished search nor a policy.json"
            raise UsageError(text, help="give the folder of a finished search or run")
        told = [(p, f"a search of '{folder}'") for p in searched] or [(read(path), f"'{path}'")]
        out += [buildable(record, where).to_json() for record, where in told]
        tested = {job.rows[i].digest for fold in job.split.folds for i in fold.test}
        if known := (chosen_on if searched else seen_before)(folder, tested):
            text = f"the policy of --warm '{folder}' was chosen on {known} of the {len(tested)} test rows of this run, so its gain would be false"
            raise UsageError(text, help="start from a run on other rows, or give both runs the same test split")
    return tuple(out)


def preflight(job: Job, plan: Plan) -> None:
    """Refuses a run that the disk cannot hold."""
    free, need = shutil.disk_usage(job.folder).free / 1e6, plan.estimates["disk_mb"]
    if free < need:
        raise MachineError(f"the run needs about {need:.0f} MB and '{job.folder}' has {free:.0f} MB free", help="free some space", code="ENV-002")
