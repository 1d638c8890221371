"""A run folder of translations opened for work: what was asked, the plan, the pairs that may be seen."""

import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from augmind.core.errors import AugmindError
from augmind.core.run import Run
from augmind.core.store import read_json, read_table, write_table
from augmind.data.parallel import Pair
from augmind.modalities.text.parallel.translator import Shape
from augmind.modalities.text.parallel.vocabulary import Vocabulary
from augmind.opened import Opened

from .config import Plan, Wish, plan_of

COLUMNS = ("id", "origin", "text", "target", "split", "status", "reason", "unit")


@dataclass(frozen=True)
class Job(Opened):
    """A run of translations opened for work."""

    @cached_property
    def wish(self) -> Wish:
        return Wish(**self.record["config"])

    @cached_property
    def plan(self) -> Plan:
        return plan_of(self.folder)

    def run(self, label: str, stage: Path | None = None, seed: int = 0) -> Run:
        return self.handle(label, stage, seed)

    @property
    def prepare_inputs(self) -> dict[str, Any]:
        options = self.wish.model_dump(include={"text", "target", "split", "max_bad", "test", "seed", "unlabelled"})
        return {"stamp": self.record["stamp"], "tokens": self.wish.setting("translator.tokens"), **options}

    @property
    def prepared(self) -> Path:
        path = self.store.path("prepare", self.prepare_inputs)
        if not self.store.done(path):
            raise AugmindError(f"'{self.folder}' has no prepared pairs yet", help=f"continue it with: augmind resume {self.folder}")
        return path

    @cached_property
    def about(self) -> dict[str, Any]:
        """What `prepare` wrote about the corpus: name, mode, counts, findings, hash of the test rows."""
        return read_json(self.prepared / "corpus.json")

    @cached_property
    def train(self) -> list[Pair]:
        return read_pairs(self.prepared / "train.parquet")

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary.read(self.prepared / "vocabulary.json")

    @cached_property
    def monolingual(self) -> list[str]:
        """Sentences in the language of the translations alone; none unless they were given."""
        return read_table(self.prepared / "monolingual.parquet")["target"]

    @property
    def shape(self) -> Shape:
        values = {name: self.wish.setting(f"translator.{name}") for name in ("width", "depth", "dropout", "rate")}
        return Shape(**values)

    @property
    def learning(self) -> dict[str, Any]:
        """All on which a training depends beside its pairs and its seed."""
        c = self.wish
        return {"prepare": self.prepared.name, "shape": vars(self.shape), "updates": self.plan.updates, "batch": c.setting("translator.batch")}


def open_seal(job: Job) -> list[Pair]:
    """The test rows: read to be translated, after a training, and to be scored. Raises `AugmindError` where they were changed."""
    path = job.prepared / "sealed.parquet"
    if not job.store.intact(path):
        raise AugmindError(f"the sealed rows '{path}' were changed", help=f"make them again with: augmind resume {job.folder}", code="RUN-003")
    return read_pairs(path)


def write_pairs(path: Path, rows: list[Pair]) -> None:
    write_table(path, {name: [getattr(r, name) for r in rows] for name in COLUMNS})


def read_pairs(path: Path) -> list[Pair]:
    columns = read_table(path)
    return [Pair(**dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)]


def spent_since(since: float | None) -> float:
    return time.time() - since if since else 0.0
