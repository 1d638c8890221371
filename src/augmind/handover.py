"""What leaves a run: real and synthetic rows with the provenance of each, the recipe and the verdict."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from .compare import open_seal
from .core.errors import DataError, NothingLeft, UsageError, unknown
from .core.store import read_json, read_table
from .core.tensors import load_tensors
from .core.types import Samples
from .data.export import Bundle, Table
from .data.load import content, load, opened, opened_loose, unlabelled
from .data.originals import Original, originals
from .data.sources import Columns
from .job import Job
from .pipeline import shards_by_generator
from .shards import labels_alone

CHOICES = ("all", "real", "synthetic")


@dataclass(frozen=True)
class Given:
    """The files of the rows of a dataset and of those that had no labels, by source."""

    rows: Mapping[str, tuple[Original, ...]] = field(default_factory=dict)
    pool: Mapping[str, tuple[Original, ...]] = field(default_factory=dict)


NONE = Given()
POOL = "\0"
"""Before the sources of rows without labels, which may be called as labelled ones are."""


@contextmanager
def given(job: Job) -> Iterator[Given]:
    """The files that the run was given, until it is left. Raises `UsageError` for rows that are no files, `DataError` for files that changed."""
    c = job.config
    if job.spec.kind == "tokens":
        raise UsageError("--originals is about files, and these rows are texts", help="leave it out: texts are handed over as they are")
    unchanged(job)
    columns = Columns(label=c.label, file=c.column, group=c.group, split=c.split, says=c.says)
    with ExitStack() as stack:
        formats = {row.source: str(row.about.get("format", "")) for row in job.rows if "piece" not in row.about}
        rows = stack.enter_context(originals(opened(c.data, columns, beside=c.beside), formats))
        pool = (
            stack.enter_context(originals(opened_loose(c.unlabelled, column=c.column), dict.fromkeys(job.pool_sources, ""))) if c.unlabelled else {}
        )
        if not rows and not pool:
            text = "--originals is about rows that are files, and these are arrays or parts of files"
            raise UsageError(text, help="leave it out: they are handed over as they are stored")
        yield Given(rows, pool)


def unchanged(job: Job) -> None:
    """Reads the files of a run anew. Raises `DataError` for one that is gone, or that does not hold what the run was given."""
    now = {row.source: row.digest for row in load(**job.given, max_bad=1.0).rows}
    was = {row.source: row.digest for row in job.rows if row.status == "ok"}
    if job.pool is not None and job.config.unlabelled:
        now |= {
            f"{POOL}{row.source}": row.digest for row in unlabelled(job.config.unlabelled, like=job.spec, max_bad=1.0, column=job.config.column).rows
        }
        was |= {f"{POOL}{source}": content(x) for source, x in zip(job.pool_sources, job.pool.x, strict=True)}
    if other := [source for source, digest in was.items() if now.get(source) != digest]:
        text = f"{len(other)} of the {len(was)} files of the run are gone or changed since it was begun: '{other[0].removeprefix(POOL)}'"
        raise DataError(text, help="put them back as they were, or export without --originals", code="DATA-020")


def handed_over(job: Job, which: str = "all", files: Given = NONE) -> Bundle:
    """The rows of a finished run; real ones as `files`, if given. Raises `UsageError` for an unknown choice, `NothingLeft` where none was kept."""
    if which not in CHOICES:
        raise unknown("choice of rows", which, CHOICES)
    report = job.folder / "report.json"
    if not report.is_file():
        raise UsageError(f"'{job.folder}' is not finished", help=f"continue it with: augmind resume {job.folder}")
    record = read_json(report)
    parts: list[Table] = []
    if which != "synthetic":
        parts.append(real_table(job, job.fold_rows(job.final), files))
    if which != "real":
        for generator in job.generators("rows"):
            parts += synthetic_tables(job, generator, files)
    splits = {"train": parts}
    if which == "all" and job.split.mode != "cv":
        splits["test"] = [real_table(job, open_seal(job), files)]
    if not any(len(t.x) for t in parts):
        raise NothingLeft(f"'{job.folder}' holds no synthetic row that passed the screens", help="export with --rows real, or see the report")
    return Bundle(name=job.about["name"], spec=job.spec, codec=job.codec, splits=level(splits), record=record)


def level(splits: Mapping[str, list[Table]]) -> dict[str, list[Table]]:
    """The tables with the columns of all of them, empty where a table had none."""
    names = list(dict.fromkeys(name for tables in splits.values() for t in tables for name in t.columns))
    return {split: [replace(t, columns={n: t.columns.get(n, [None] * len(t.names)) for n in names}) for t in own] for split, own in splits.items()}


def real_table(job: Job, rows: Samples, files: Given = NONE) -> Table:
    """Rows of the dataset with the file that each came from."""
    keys = rows.key.tolist()
    columns: dict[str, list[Any]] = {
        "label": [job.spec.classes[k] for k in rows.y.tolist()],
        "synthetic": [False] * len(keys),
        "generator": [None] * len(keys),
        "seed": [None] * len(keys),
        "source": [job.rows[k].source for k in keys],
    }
    if job.config.group:
        columns["group"] = [job.rows[k].group for k in keys]
    columns |= {f"score_{name}": [None] * len(keys) for name in job.plan.screens}
    return Table(x=rows.x, names=[f"real-{k:06d}" for k in keys], columns=columns, originals=files.rows)


def synthetic_tables(job: Job, generator: str, files: Given = NONE) -> list[Table]:
    """Kept rows of one generator: those of the comparison, but for classes asked for by number the rows drawn for that."""
    found = [shard_table(job, path, generator, files) for _, path in shards_by_generator(job, generator)]
    counted = set[str]() if labels_alone(generator) else set(job.config.want)
    kept = [without(found[0], counted), *found[1:]] if found else []
    return [t for t in kept if len(t.names)]


def without(table: Table, labels: set[str]) -> Table:
    """The rows whose label is not among these."""
    return taken(table, [i for i, label in enumerate(table.columns["label"]) if label not in labels])


def taken(table: Table, at: list[int]) -> Table:
    """The rows at these positions."""
    columns = {k: [v[i] for i in at] for k, v in table.columns.items()}
    return replace(table, x=table.x[at], names=[table.names[i] for i in at], columns=columns)


def shard_table(job: Job, path: Any, generator: str, files: Given = NONE) -> Table:
    """Kept rows of a shard with their seeds and scores: one part, as every seed of the comparison had. Rows that were there and got a label are no
    synthetic ones: their `generator` says who labelled them."""
    table, stored = read_table(path / "table.parquet"), load_tensors(path / "rows.safetensors")
    keep = stored["part"] == 0
    at = torch.nonzero(keep).flatten().tolist()
    columns: dict[str, list[Any]] = {
        "label": [table["label"][i] for i in at],
        "synthetic": [not labels_alone(generator)] * len(at),
        "generator": [generator] * len(at),
        "seed": [table["seed"][i] for i in at],
        "source": [job.pool_sources[table["seed"][i]] if labels_alone(generator) else None for i in at],
    }
    if job.config.group:
        columns["group"] = [table["group"][i] if "group" in table else "" for i in at]
    columns |= {"note": [table["note"][i] for i in at]} if "note" in table else {}
    columns |= {f"score_{name}": [table[f"score_{name}"][i] for i in at] for name in job.plan.screens}
    own = files.pool if labels_alone(generator) else {}
    return Table(x=stored["x"][keep], names=[f"{generator}-{table['seed'][i]}" for i in at], columns=columns, originals=own)
