"""What a person may ask for, and the plan that it becomes: one set of names for Python, the command line and `config.json`."""

import os
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .core.errors import UsageError, unknown
from .core.registry import find, names
from .core.store import damaged_file, read_json
from .core.tune import ranges
from .core.types import SIDES, Spec
from .cost import estimate
from .presets import PRESETS, Preset, seconds
from .tracking import checked
from .usual import ASKED, GENERATORS, OWN_SCREENS, READY, SCREENS, amounts, check_pool, fitting, of_sides, other_settings, usual_generators

BALANCED = ("class", "group")


def several(names: Any) -> Any:
    """ "vae,gan" as ("vae", "gan"); anything else as it is."""
    return tuple(part.strip() for part in names.split(",") if part.strip()) if isinstance(names, str) else names


def by_comma(settings: Any) -> Any:
    """Settings of plug-ins that are lists of words, given as "a,b", as lists; all else as it is."""
    if not isinstance(settings, dict):
        return settings
    return {k: list(several(v)) if isinstance(v, str | tuple) and takes_words(str(k)) else v for k, v in settings.items()}


M = TypeVar("M", bound=BaseModel)
Names = Annotated[tuple[str, ...], BeforeValidator(several)]
Settings = Annotated[dict[str, Any], BeforeValidator(by_comma)]
SETTABLE = ("generators", "learners", "screens", "transforms")
"""Kinds of plug-in that `--set` is about."""


def kind_of(name: str) -> str | None:
    """The kind of the plug-in with this name that `--set` can be about; None where there is none."""
    return next((k for k in SETTABLE if name in names(k)), None)


def takes_words(key: str) -> bool:
    """Whether the setting "plugin.field" is a list of words."""
    name, _, field_name = key.partition(".")
    return (kind := kind_of(name)) is not None and any(f.name == field_name and f.type == list[str] for f in fields(find(kind, name)))


def plugin_of(key: str) -> None:
    """Looks for the setting "plugin.field". Raises `UsageError` where there is none such."""
    name, _, field_name = key.partition(".")
    kind = kind_of(name)
    if kind is None:
        raise unknown("plug-in in --set", name, [n for k in SETTABLE for n in names(k)])
    if kind == "transforms" and not find(kind, name).needs:
        raise UsageError(f"--set {key}: transforms like '{name}' are used as they are", help="a search (--search) tries their settings")
    if field_name == "steps":
        raise UsageError(f"--set {key}: steps have an option of their own", help=f"write --steps {name}=NUMBER")
    known = [f.name for f in fields(find(kind, name)) if f.name not in ("start", "labels", "content")]
    if field_name not in known:
        raise unknown(f"setting of {name}", field_name, known)


class Config(BaseModel):
    """Everything that decides a run. `jobs`, `track` and `budget` aside, equal configurations give equal results."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    label: str | None = None
    column: str | None = None
    beside: str | None = None
    unlabelled: str | None = None
    source: str | None = None
    text: str | tuple[str, ...] | None = None
    group: str | None = None
    split: str | None = None
    size: int | None = Field(None, ge=SIDES.start, le=SIDES.stop - 1)
    chunk: float | None = Field(None, gt=0)
    max_bad: float = Field(0.2, ge=0, le=1)
    drop_rare: bool = False
    across: bool = False
    download: bool = False
    preset: Literal["quick", "balanced", "thorough"] = "balanced"
    seed: int = Field(0, ge=0, lt=2**31)
    generators: Names = GENERATORS
    learner: Names | None = None
    backbone: str | None = None
    start: str | None = None
    labels: str | None = None
    say: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    describe: dict[str, Annotated[str, Field(min_length=1, max_length=200)]] = Field(default_factory=dict)
    want: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    ratio: float | None = Field(None, gt=0, le=20)
    balance: Names = ()
    share: float | None = Field(None, gt=0, le=0.9)
    folds: int | None = Field(None, ge=2, le=20)
    repeats: int = Field(1, ge=1, le=20)
    seeds: int | None = Field(None, ge=1, le=50)
    test: float | None = Field(None, gt=0, lt=1)
    margin: float = Field(0.0, ge=0, lt=1)
    steps: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    set: Settings = Field(default_factory=dict)
    explain: bool = True
    search: bool = False
    trials: int | None = Field(None, ge=1, le=10_000)
    sampler: Literal["tpe", "gp", "random"] = "tpe"
    storage: str | None = None
    warm: tuple[str, ...] = ()
    track: Names = ("tensorboard",)
    budget: Annotated[float | None, BeforeValidator(seconds)] = Field(None, gt=0)
    jobs: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=0)

    @property
    def says(self) -> str | None:
        """The column of what is said in rows; None where `say` is a frame around a word or was not given."""
        return None if self.say is None or "{}" in self.say else self.say

    def preset_values(self) -> Preset:
        return PRESETS[self.preset]


def validated(model: type[M], given: dict[str, Any]) -> M:
    """The options as `model` reads them. Raises `UsageError` in one sentence for the first that is not allowed."""
    try:
        return model(**given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{where}={first.get('input')!r} is not allowed: {first['msg'].lower()}", help=f"see --help for '{where}'") from error


def config(**options: Any) -> Config:
    """A checked configuration. Raises `UsageError` in one sentence for a wrong option."""
    given = {k: v for k, v in options.items() if v is not None}
    for name in given:
        if name not in Config.model_fields:
            raise unknown("option", name, Config.model_fields)
    made = validated(Config, given)
    for name in ("trials", "sampler", "storage", "warm"):
        if not made.search and getattr(made, name) != Config.model_fields[name].default:
            raise UsageError(f"--{name} is about a search, and none was asked for", help="add --search, or leave it out")
    address = urlsplit(made.storage or "")
    secrets = [address.password or "", *parse_qs(address.query).get("password", [])]
    if any(secret and not secret.startswith("$") for secret in secrets):
        text = "--storage holds a password, which would stand in the run folder for all to read"
        raise UsageError(text, help="put it into the environment and write its name: 'postgresql://me:$NAME@host/studies'")
    if made.storage and made.budget:
        text = "--budget makes another plan on every machine, and runs that share a --storage need the same"
        raise UsageError(text, help="leave one of them out; --trials and --steps say how much work is done")
    if made.labels and not made.start:
        raise UsageError("--labels says how the classes of --start are called here, and there is no --start", help="add --start RUN, or leave it out")
    checked(made.track)
    for name in made.balance:
        if name not in BALANCED:
            raise unknown("thing to balance", name, BALANCED)
    if made.across and not made.group:
        raise UsageError("--across is about the groups of --group, and none is named", help="add --group COLUMN, or leave it out")
    for key, value in made.set.items():
        plugin_of(key)
        if made.say is not None and key.endswith(".say"):
            raise UsageError(f"--say {made.say} and --set {key} both tell what is said", help="leave one of them out")
        if key.endswith(".key") and str(value) not in os.environ:  # perhaps a key itself, which shall stand nowhere
            text = f"--set {key} names no environment variable that is set"
            raise UsageError(text, help=f"a key belongs into the environment: export NAME=..., then --set {key}=NAME")
    if "group" in made.balance and not made.group:
        raise UsageError("--balance group needs to know the groups, and no column of them is named", help="add --group COLUMN, or --balance class")
    for name in made.steps:
        if name not in PRESETS["quick"].steps:
            raise unknown("plug-in with steps", name, PRESETS["quick"].steps)
        if within(name, made.steps[name]) != made.steps[name]:
            allowed = ranges(find("generators" if name in names("generators") else "learners", name))["steps"]
            raise UsageError(f"--steps {name}={made.steps[name]} is not allowed", help=f"{name} takes {allowed} steps")
    for kind, chosen in (("generators", made.generators), ("learners", made.learner or ())):
        for name in chosen:
            if name not in names(kind):
                raise unknown(kind.rstrip("s"), name, names(kind))
    return made


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be done, in numbers: written to `plan.json` before the work and never changed by a resumed run."""

    mode: str
    folds: int
    seeds: int
    rows: int
    test_rows: int
    classes: int
    shape: tuple[int, ...]
    learners: tuple[str, ...]
    generators: tuple[str, ...]
    screens: tuple[str, ...]
    steps: dict[str, int]
    settings: dict[str, dict[str, Any]]
    inner_folds: int
    views: int
    rounds: int
    ratio: float
    share: float
    estimates: dict[str, float]
    notes: tuple[str, ...] = ()
    trials: int = 0
    """Policies that a search tries for each fold and learner; 0: no search."""
    splits: int = 0
    """Inner splits that a policy is scored on."""
    sampler: str = "tpe"
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Other settings of generators that a search may choose, by key ("vae~1")."""
    earlier: tuple[dict[str, Any], ...] = ()
    """Policies that won in earlier runs, tried first."""
    sources: dict[str, str] = field(default_factory=dict)
    """Hashes of what plug-ins read beside their settings, such as a pretrained model, by plug-in."""
    starts: dict[str, str] = field(default_factory=dict)
    """Saved models that learners begin from, by learner."""
    first: tuple[str, ...] = ()
    """Generators that are asked for all rows; in a fold where they supply enough of them (`usual.ENOUGH`), no other is trained."""
    rest: tuple[float, float] = (0.0, 0.0)
    """`ratio` and `share` of all other generators: in the other folds, or, where they are conditioned, beside the rows that got a label."""
    source: int = 0
    """Rows of a related dataset that learners borrow from."""
    conditioned: bool = False
    """Whether generators learn from rows without labels too, under the labels that these got; nothing drawn by them is in the arm "pool"."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, r: dict[str, Any]) -> "Plan":
        tuples = ("shape", "learners", "generators", "screens", "notes", "earlier", "first", "rest")
        values: dict[str, Any] = {k: tuple(v) if k in tuples else v for k, v in r.items()}
        return cls(**values)


def recorded(folder: Path) -> dict[str, Any]:
    """What a run was begun with, `config.json`: data, stamp, config, augmind, started.

    Raises `UsageError` for a folder that is no run and `AugmindError` for a damaged file.
    """
    path, way = folder / "config.json", "without it the run cannot go on: put it back, or start again with another --out"
    if not path.is_file():
        raise UsageError(f"'{folder}' is not a run folder: it holds no config.json", help="give the folder that `augmind expand --out` made")
    record = read_json(path, way)
    if not isinstance(record, dict) or not isinstance(record.get("config"), dict) or not {"data", "stamp", "augmind", "started"} <= record.keys():
        raise damaged_file(path, ValueError("parts of it are missing"), way)
    return record


def plan_of(folder: Path) -> Plan:
    """What will be done in a run folder, `plan.json`. Raises `UsageError` where there is none yet and `AugmindError` for a damaged file."""
    path, way = folder / "plan.json", f"delete that file and make it again with: augmind resume {folder}"
    if not path.is_file():
        raise UsageError(f"'{folder}' has no plan yet", help="run `augmind expand` on it again")
    try:
        return Plan.from_json(read_json(path, way))
    except (TypeError, AttributeError) as error:
        raise damaged_file(path, ValueError("parts of it are missing"), way) from error


def make_plan(
    config: Config,
    *,
    mode: str,
    folds: int,
    rows: int,
    test_rows: int,
    classes: int,
    shape: tuple[int, ...],
    imbalanced: bool,
    kind: Literal["continuous", "tokens"] = "continuous",
    rate: int = 0,
    parts: tuple[str, ...] = (),
    sides: tuple[Spec, ...] = (),
    trainable: bool = True,
    advice: str = "",
    pool: int = 0,
    source: int = 0,
    earlier: tuple[dict[str, Any], ...] = (),
) -> Plan:
    """The plan for a dataset of this size; a budget scales the numbers of steps, never the rules of the comparison."""
    preset, notes = config.preset_values(), list[str]()
    spec = Spec(kind=kind, shape=shape, classes=(), rate=rate, parts=parts if sides else (), sides=sides)
    if config.search and sides:
        raise UsageError("a search does not yet know the transforms of rows that join several kinds", help="leave --search out")
    learners = config.learner or tuple(n for n in fitting("learners", preset.learners, spec) if trainable or not trains_backbone(n))
    if untrainable := [n for n in learners if trains_backbone(n) and not trainable]:
        text = f"the learner '{untrainable[0]}' trains a backbone, and this one has nothing to train"
        ways = "name an encoder: --backbone minilm (augmind models pull minilm), a folder or a Hub id"
        raise UsageError(text, help=advice or ways)
    generators = usual_generators(spec, notes, asked_of(config), pool) if config.generators == GENERATORS else config.generators
    check_pool(generators, pool)
    knowing = tuple(g for g in generators if g in READY)
    first = knowing if config.generators == GENERATORS and not config.search and knowing != generators else ()
    much = amounts(preset, (config.ratio, config.share), generators, first, pool=pool / max(1, rows), plain=not (config.search or source))
    if pool and not first and knowing != generators and not much["conditioned"]:
        notes.append(f"{'in a search' if config.search else 'beside a related dataset'} generators do not learn from the rows of --unlabelled")
    if first:
        others = ", ".join(g for g in generators if g not in first)
        notes.append(f"'{', '.join(first)}' is asked first; {others} are trained where it supplies too few rows that pass the screens")
    if config.learner is None and config.preset == "quick" and folds == 1 and rows <= 2000:
        learners = fitting("learners", ("probe", "late_fusion", "cnn", "crnn", "tfidf"), spec)
    elif config.learner is None and config.preset == "quick" and (nets := fitting("learners", ("cnn", "crnn"), spec)):
        notes.append(f"the quick preset compares heads on features only; add --learner probe,{nets[0]} for a network from scratch too")
    if advice and config.backbone is None:
        notes.append(advice)
    if config.generators == GENERATORS and (more := fitting("generators", ASKED, spec)):
        notes.append(f"rows can also come from a pretrained model: --generators {','.join((*more, *generators))} (augmind models list shows some)")
    whole = any(find("generators", g).space == "rows" for g in generators)
    own = tuple(n for n in OWN_SCREENS if whole and not find("screens", n).refuses(spec))
    usual = tuple(n for n in SCREENS if spec.sides or not find("screens", n).sided)
    following = of_sides(spec, notes) if "apart" in generators else {}
    following |= {"mix": {"ratio": much["ratio"]}} if "group" in config.balance else {}
    plan = Plan(
        mode=mode,
        folds=folds,
        seeds=config.seeds or preset.seeds,
        rows=rows,
        test_rows=test_rows,
        classes=classes,
        shape=shape,
        learners=learners,
        generators=generators,
        screens=(*own, *usual, *(asked_screens(config) if whole else ()), *(("mix",) if "group" in config.balance else ())),
        steps={**preset.steps, **config.steps},
        settings=settings_of(preset, config, following),
        inner_folds=preset.inner_folds,
        views=max(1, min(preset.views, 4000 // max(1, rows))),
        rounds=preset.rounds,
        estimates={},
        trials=(config.trials or preset.trials) if config.search else 0,
        splits=min(preset.splits, preset.inner_folds) if config.search else 0,
        sampler=config.sampler,
        variants=other_settings(generators, config.seed, preset) if config.search else {},
        earlier=earlier,
        first=first,
        source=source,
        **much,
    )
    cost = estimate(plan, imbalanced=imbalanced, jobs=config.jobs)
    if config.budget:
        fixed = cost["fixed_seconds"]
        factor = min(20.0, max(0.02, (config.budget * 0.9 - fixed) / max(1.0, cost["seconds"] - fixed)))
        trials = plan.trials if config.trials else round(plan.trials * min(1.0, factor))
        plan = replace(
            plan, steps={k: within(k, round(v * factor)) for k, v in plan.steps.items()} | config.steps, trials=max(trials, bool(plan.trials))
        )
        notes.append(f"steps scaled by {factor:.2f} to fit the budget of {config.budget:g} s")
        cost = estimate(plan, imbalanced=imbalanced, jobs=config.jobs)
        if cost["seconds"] > config.budget * 1.1:
            notes.append(f"the budget of {config.budget:g} s is too small for this comparison; expect about {cost['seconds']:.0f} s")
    return replace(plan, estimates=cost, notes=tuple(notes))


def settings_of(preset: Preset, config: Config, more: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Settings by plug-in: the preset's, then those that follow from others, then what was asked for."""
    base, asked = {**preset.settings, **more}, asked_of(config)
    return {name: base.get(name, {}) | asked.get(name, {}) for name in {**base, **asked}}


def asked_of(config: Config) -> dict[str, dict[str, Any]]:
    """Settings by plug-in that a person gave (`--set`)."""
    out: dict[str, dict[str, Any]] = {}
    for key, value in config.set.items():
        name, _, field_name = key.partition(".")
        out.setdefault(name, {})[field_name] = value
    return out


def trains_backbone(learner: str) -> bool:
    return "backbone" in {f.name for f in fields(find("learners", learner))}


def asked_transforms(config: Config) -> tuple[str, ...]:
    """Transforms that take part since a setting of theirs was given."""
    return tuple(n for n in asked_of(config) if n in names("transforms"))


def asked_screens(config: Config) -> tuple[str, ...]:
    """Screens that take part since a setting of theirs was given; they come last, for they read the rows with a model."""
    return tuple(n for n in asked_of(config) if n in names("screens") and find("screens", n).needs)


def within(name: str, steps: int) -> int:
    """The allowed number of steps nearest to this one."""
    plugin = find("generators" if name in names("generators") else "learners", name)
    allowed = ranges(plugin)["steps"]
    return int(min(max(steps, allowed.low or 1), allowed.high or steps))
