"""A run folder opened for work: its configuration, its plan, its stages, and the rows that a fold may see."""

import dataclasses
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .config import Config, Plan, asked_of, asked_transforms, plan_of
from .core.errors import AugmindError
from .core.folds import inner_folds
from .core.plugin import Generator, Learner, Space
from .core.registry import find
from .core.run import Finding, Run
from .core.seeds import stable_seed
from .core.sides import shapes_of
from .core.store import read_json, read_table, write_table
from .core.tensors import load_tensors
from .core.types import REAL, Choice, Classical, Codec, Data, Knowledge, Samples, Spec
from .data.dataset import Dataset, Row
from .data.split import Split
from .modalities import codec_of
from .opened import Opened


@dataclass(frozen=True)
class Job(Opened):
    """A run of classes opened for work."""

    @cached_property
    def config(self) -> Config:
        return Config(**self.record["config"])

    @cached_property
    def plan(self) -> Plan:
        return plan_of(self.folder)

    def run(self, label: str, stage: Path | None = None, seconds: float | None = None) -> Run:
        return self.handle(label, stage, self.config.seed, seconds)

    # Stages and what they are made from

    @cached_property
    def prepare_inputs(self) -> dict[str, Any]:
        c = self.config
        options = c.model_dump(include={"label", "column", "text", "group", "split", "size", "max_bad", "drop_rare", "across", "test", "seed"})
        rarer = {"beside": c.beside, "chunk": c.chunk, "says": c.says, "unlabelled": c.unlabelled, "source": c.source}
        options |= {name: value for name, value in rarer.items() if value}
        return {"stamp": self.record["stamp"], "folds": c.folds or c.preset_values().folds, "repeats": c.repeats, **options}

    @property
    def given(self) -> dict[str, Any]:
        """What `load` is asked for."""
        c = self.config
        named = {"label": c.label, "column": c.column, "text": c.text, "group": c.group, "split": c.split, "says": c.says}
        return {"source": c.data, **named, "size": c.size, "beside": c.beside, "chunk": c.chunk}

    @property
    def prepared(self) -> Path:
        return self.store.path("prepare", self.prepare_inputs)

    def need(self, path: Path, what: str) -> Path:
        """A finished stage. Raises `AugmindError` when it is not there yet."""
        if not self.store.done(path):
            raise AugmindError(f"'{self.folder}' has no {what} yet", help=f"continue it with: augmind resume {self.folder}")
        return path

    # The dataset

    @cached_property
    def about(self) -> dict[str, Any]:
        """What `prepare` wrote about the dataset: name, spec, codec, split, findings."""
        return read_json(self.need(self.prepared, "prepared data") / "dataset.json")

    @cached_property
    def spec(self) -> Spec:
        return Spec.from_json(self.about["spec"])

    @cached_property
    def codec(self) -> Codec:
        return codec_of(self.about["codec"], self.spec, self.config.backbone)

    @cached_property
    def split(self) -> Split:
        return Split.from_json(self.about["split"])

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every raw row, good or bad."""
        return read_rows(self.prepared / "rows.parquet")

    def group_names(self, keys: Tensor) -> list[str]:
        """What the column of groups says of these rows."""
        names = {row.id: row.group for row in self.rows}
        return [names[k] for k in keys.tolist()]

    @cached_property
    def real(self) -> Samples:
        """All rows that are not sealed, with their features where those are finished."""
        stored = load_tensors(self.need(self.prepared, "prepared data") / "rows.safetensors")
        samples = Samples.real(stored["x"], stored["y"], stored["key"], group=stored.get("group"), unit=stored["unit"])
        features = self.features_stage
        if self.store.done(features):
            samples = samples.with_features(load_tensors(features / "z.safetensors")["z"])
        return samples

    @cached_property
    def pool(self) -> Samples | None:
        """The rows without labels, with their features where those are finished; None where there are none."""
        if not self.config.unlabelled:
            return None
        x, features = load_tensors(self.prepared / "pool.safetensors")["x"], self.features_stage
        z = load_tensors(features / "pool.safetensors")["z"] if self.store.done(features) else None
        return Samples.real(x, torch.full((len(x),), -1), z=z)

    @cached_property
    def pool_sources(self) -> tuple[str, ...]:
        """Where the rows without labels came from, by key."""
        return tuple(read_json(self.prepared / "pool.json")["sources"]) if self.config.unlabelled else ()

    def source_of(self, key: int) -> str:
        """Where the row of this key came from, of the dataset or, by `pool_key`, of those without labels; empty for no such row."""
        if 0 <= (place := int(pool_key(torch.tensor(key)))) < len(self.pool_sources):
            return self.pool_sources[place]
        return next((row.source for row in self.rows if row.id == key), "")

    @cached_property
    def source(self) -> Samples | None:
        """The rows of the related dataset as `Data` has them, with their features where those are finished; None where there are none."""
        if not self.config.source:
            return None
        stored, features = load_tensors(self.prepared / "source.safetensors"), self.features_stage
        z = load_tensors(features / "source.safetensors")["z"] if self.store.done(features) else None
        return Samples.real(stored["x"], stored["y"] + len(self.spec.classes), z=z)

    @cached_property
    def source_classes(self) -> tuple[str, ...]:
        """The names of the related dataset's own classes."""
        return tuple(read_json(self.prepared / "source.json")["classes"]) if self.config.source else ()

    @property
    def features_stage(self) -> Path:
        return self.store.path("features", self.features_inputs)

    @property
    def features_inputs(self) -> dict[str, Any]:
        told = {"describe": self.config.describe} if self.config.describe else {}
        return {"prepare": self.prepared.name, "backbone": self.config.backbone} | told

    @cached_property
    def namings(self) -> list[tuple[Any, int]]:
        """Rows made of the class names, as natives with their classes; none where words are no rows, or the names no words."""
        return self.codec.named([self.config.describe.get(name, name) for name in self.spec.classes])

    @cached_property
    def named(self) -> Samples | None:
        """`namings` as rows with their features; None where there are none."""
        if not self.namings:
            return None
        stored = load_tensors(self.need(self.features_stage, "features") / "named.safetensors")
        key = -1 - torch.arange(len(stored["y"]))
        return Samples.real(stored["x"], stored["y"], key, unit=key, z=stored["z"])

    def classical(self, space: Space) -> tuple[Classical, ...]:
        """The candidate classical arms of this data for learners of rows or of features: those whose parts take these."""
        first, *rest = (c for c in self.codec.classical if (c.names == "none" or self.namings) and not self._refused(c, space))
        own = [Classical(name=name, transform=self.transform(name)) for name in asked_transforms(self.config)]
        return (first, *own, *rest)

    def _refused(self, arm: Classical, space: Space) -> bool:
        """Whether a part of this arm cannot take such rows. Features are mixed where rows themselves cannot be."""
        if arm.transform.name != "none" and find("transforms", arm.transform.name).refuses(self.spec):
            return True
        if arm.mixing.name == "none":
            return False
        mixing, vectors = find("mixing", arm.mixing.name), dataclasses.replace(self.spec, kind="continuous", shape=(1,), bounded=False, parts=())
        return bool(mixing.refuses(self.spec)) if space == "rows" else not mixing.refuses(self.spec) or bool(mixing.refuses(vectors))

    @property
    def screens(self) -> list[str]:
        """The planned screens; one that reads a model with a hash of that."""
        return [f"{name} {source}" if (source := self.plan.sources.get(name)) else name for name in self.plan.screens]

    @property
    def folds(self) -> tuple[str, ...]:
        return tuple(str(i) for i in range(len(self.split.folds)))

    @property
    def final(self) -> str:
        """The fold whose synthetic rows are handed over: all rows that are not sealed."""
        return "all" if self.split.mode == "cv" else "0"

    def fold_rows(self, fold: str) -> Samples:
        """The training rows of a fold: "0", "1", ...; "all"; or "0.1", what choices in fold 0 learn from in its inner split 1."""
        if fold == "all":
            return self.real
        outer, _, inner = fold.partition(".")
        rows = self.pick(self.split.folds[int(outer)].train)
        return rows.take(self.inner_parts(rows, outer)[int(inner)][0]) if inner else rows

    def inner_parts(self, rows: Samples, fold: str) -> list[tuple[Tensor, Tensor]]:
        """(training, validation) positions among the training rows of a fold, for every choice that is made in it."""
        return inner_folds(rows.y, rows.units, self.plan.inner_folds, stable_seed(self.config.seed, "inner", fold) % 2**31)

    def pick(self, ids: tuple[int, ...] | list[int]) -> Samples:
        where = {int(k): i for i, k in enumerate(self.real.key)}
        return self.real.take([where[i] for i in ids])

    def data(self, train: Samples, val: Samples | None = None) -> Data:
        val = train.take([]) if val is None else val
        beside: dict[str, Any] = {"pool": self.pool, "source": self.source, "says": self.said(train)}
        return Data(train=train, val=val, spec=self.spec, codec=self.codec, **beside)

    def said(self, rows: Samples) -> tuple[tuple[str, ...], ...]:
        """What the real ones of these rows say, class by class, each text once; empty where no column tells it."""
        if not self.config.says:
            return ()
        at, real = {row.id: row.says for row in self.rows}, rows.maker == REAL
        spoken = [(k, at[key]) for k, key in zip(rows.y[real].tolist(), rows.key[real].tolist(), strict=True)]
        return tuple(tuple(dict.fromkeys(text for own, text in spoken if own == k and text)) for k in range(len(self.spec.classes)))

    def dataset(self) -> Dataset:
        """The unsealed part as `load` and `clean` left it."""
        findings = tuple(Finding(**f) for f in self.about["findings"])
        about = self.about
        return Dataset(
            name=about["name"],
            samples=self.real,
            spec=self.spec,
            codec=self.codec,
            rows=self.rows,
            fingerprint=about["fingerprint"],
            findings=findings,
        )

    # Choices of the plan

    def generator(self, key: str) -> Choice:
        """A planned generator by its key: its name, or "name~1" for the first of its other settings that a search may choose."""
        choice = self.choice("generators", key.partition("~")[0], self.plan)
        return Choice(name=choice.name, settings={**choice.settings, **self.plan.variants.get(key, {})})

    def key_of(self, generator: Choice) -> str:
        """The inverse of `generator`. Raises `AugmindError` for one that is not in the plan."""
        for key in (*self.plan.generators, *self.plan.variants):
            if self.generator(key) == generator:
                return key
        raise AugmindError(f"the plan of '{self.folder}' has no generator {generator}")

    def transform(self, name: str) -> Choice:
        """A transform with the settings that were asked for, and a hash of what it reads beside them."""
        read = {"content": self.plan.sources[name]} if name in self.plan.sources else {}
        sides = {"sides": shapes_of(self.spec)} if find("transforms", name).sided else {}
        return Choice(name=name, settings=asked_of(self.config).get(name, {}) | read | sides)

    def learner(self, name: str) -> Choice:
        choice = self.choice("learners", name, self.plan)
        if "backbone" in find("learners", name).__dataclass_fields__ and self.config.backbone != Config.model_fields["backbone"].default:
            choice = Choice(name=name, settings={**choice.settings, "backbone": self.config.backbone})
        if name in self.plan.sources:
            choice = Choice(name=name, settings={**choice.settings, "content": self.plan.sources[name]})
        if name in self.plan.starts:
            told = {"labels": self.config.labels} if self.config.labels else {}
            choice = Choice(name=name, settings={**choice.settings, "start": self.plan.starts[name], **told})
        return choice

    def choice(self, kind: str, name: str, plan: Plan) -> Choice:
        """A plug-in with the settings that a plan gives it."""
        settings = dict(plan.settings.get(name, {}))
        if "steps" in find(kind, name).__dataclass_fields__ and name in plan.steps:
            settings["steps"] = plan.steps[name]
        told = {"describe": self.config.describe, "say": "" if self.config.says else self.config.say}
        settings |= {k: v for k, v in told.items() if v and k in find(kind, name).__dataclass_fields__}
        if kind == "screens" and name in plan.sources:
            settings["content"] = plan.sources[name]
        return Choice(name=name, settings=settings)

    def knowledge(self, plugin: Generator | Learner) -> Knowledge:
        """Where what a plug-in knows comes from; in a space of features that no model was trained for, from the rows alone."""
        if self.config.source and isinstance(plugin, Generator) and plugin.borrows:
            return Knowledge.source
        own = plugin.known if isinstance(plugin, Generator) else plugin.knowledge
        return Knowledge.rows if own is Knowledge.pretrained and plugin.space == "features" and not self.codec.pretrained else own

    def generators(self, space: str | None = None) -> tuple[str, ...]:
        """Planned generators; with `space`, those whose rows a learner of that space can take."""
        own = {n: find("generators", n).space for n in self.plan.generators}
        return tuple(n for n in own if space in (None, "features") or own[n] == space)


def pool_key(key: Tensor) -> Tensor:
    """Places in the pool as keys of rows, none of which a row of the dataset has; its own inverse."""
    return -1 - key


TOLD = ("about", "traits")
"""Fields of a row that are written as JSON."""


def write_rows(path: Path, rows: tuple[Row, ...]) -> None:
    columns: dict[str, Any] = {f.name: [getattr(r, f.name) for r in rows] for f in dataclasses.fields(Row)}
    columns |= {name: [json.dumps(a, default=str) for a in columns[name]] for name in TOLD}
    write_table(path, columns)


def read_rows(path: Path) -> tuple[Row, ...]:
    columns = read_table(path)
    columns |= {name: [json.loads(a) for a in columns[name]] for name in TOLD if name in columns}
    return tuple(Row(**dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True))
