"""What leaves a run: real and synthetic rows with the provenance of each, the recipe and the verdict."""

from typing import Any

import torch

from .compare import open_seal
from .core.errors import NothingLeft, UsageError, unknown
from .core.store import read_json, read_table
from .core.tensors import load_tensors
from .core.types import Samples
from .data.export import Bundle, Table
from .job import Job
from .pipeline import shards_by_generator
from .shards import labels_alone

CHOICES = ("all", "real", "synthetic")


def handed_over(job: Job, which: str = "all") -> Bundle:
    """The rows of a finished run. Raises `UsageError` for an unknown choice and `NothingLeft` where no row was kept."""
    if which not in CHOICES:
        raise unknown("choice of rows", which, CHOICES)
    report = job.folder / "report.json"
    if not report.is_file():
        raise UsageError(f"'{job.folder}' is not finished", help=f"continue it with: augmind resume {job.folder}")
    record = read_json(report)
    parts: list[Table] = []
    if which != "synthetic":
        parts.append(real_table(job, job.fold_rows(job.final)))
    if which != "real":
        for generator in job.generators("rows"):
            parts += synthetic_tables(job, generator)
    splits = {"train": parts}
    if which == "all" and job.split.mode != "cv":
        splits["test"] = [real_table(job, open_seal(job))]
    if not any(len(t.x) for t in parts):
        raise NothingLeft(f"'{job.folder}' holds no synthetic row that passed the screens", help="export with --rows real, or see the report")
    return Bundle(name=job.about["name"], spec=job.spec, codec=job.codec, splits=splits, record=record)


def real_table(job: Job, rows: Samples) -> Table:
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
    return Table(x=rows.x, names=[f"real-{k:06d}" for k in keys], columns=columns)


def synthetic_tables(job: Job, generator: str) -> list[Table]:
    """Kept rows of one generator: those of the comparison, but for classes asked for by number the rows drawn for that."""
    found = [shard_table(job, path, generator) for _, path in shards_by_generator(job, generator)]
    kept = [without(found[0], set(job.config.want)), *found[1:]] if found else []
    return [t for t in kept if len(t.names)]


def without(table: Table, labels: set[str]) -> Table:
    """The rows whose label is not among these."""
    at = [i for i, label in enumerate(table.columns["label"]) if label not in labels]
    return Table(x=table.x[at], names=[table.names[i] for i in at], columns={k: [v[i] for i in at] for k, v in table.columns.items()})


def shard_table(job: Job, path: Any, generator: str) -> Table:
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
    columns |= {f"score_{name}": [table[f"score_{name}"][i] for i in at] for name in job.plan.screens}
    return Table(x=stored["x"][keep], names=[f"{generator}-{table['seed'][i]}" for i in at], columns=columns)
