"""More rows at any time: draws on from where earlier draws of the same run ended, through the same screens."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor

from .core.errors import UsageError
from .core.plugin import Generator
from .core.store import read_json
from .data.exemplars import exemplars
from .data.export import Bundle, Table, export, written
from .handover import level, shard_table, taken
from .job import Job
from .nn.neighbours import nearest, polar
from .pipeline import by_yield, seen_by, trained
from .shards import fill, labels_alone

ROUNDS = 8
PASSES = 2
"""How often every generator is asked: at first for its share of the rows, then for all that are still missing."""
CHOICE = 8
"""Rows that are drawn for one that is wanted where those most like examples are chosen."""


def draw_more(job: Job, label: str, n: int, out: Path, generator: str | None = None, like: Sequence[str] = (), unlike: Sequence[str] = ()) -> int:
    """Writes up to `n` screened rows of one class as files into `out`; returns how many.

    The generator that kept most of what it drew for the comparison is asked first. The rows differ from all that the run drew
    before with `sample`, and are the same for the same history. With `like` or `unlike`, files or texts, `CHOICE` times as many are drawn, and those
    kept that are nearest, in features, to one of the first and farthest from all of the others: of both, those whose distances differ most, so
    that what the first have and the others lack decides.
    """
    toward, away = (exemplars(some, job.spec, job.codec, f"--{flag}") if some else None for flag, some in (("like", like), ("unlike", unlike)))
    n, most = (CHOICE * n, n) if like or unlike else (n, n)
    if generator and labels_alone(generator):
        raise UsageError(f"'{generator}' draws no rows, and all that it labelled are handed over", help="give more files without labels to a new run")
    able = (g for g in by_yield(job) if generator in (None, g) and not labels_alone(g))
    usable = {g: p for g in able if (p := trained(job, job.final, g)[0]) is not None}
    if not usable:
        text = f"'{job.folder}' has no generator that draws rows{f' by the name {generator}' if generator else ''}, or it was not needed"
        raise UsageError(text, help="see its findings in the report, or begin a run with another generator")
    tables: list[Table] = []
    for turn in range(PASSES):
        for i, (name, plugin) in enumerate(usable.items()):
            left = n - sum(len(t.names) for t in tables)
            if left:
                tables.append(drawn(job, name, plugin, label, left if turn else -(-left // (len(usable) - i))))
    tables = [t for t in tables if t.names]
    if tables and (like or unlike):
        tables = most_like(job, tables, toward, away, most)
    if tables:
        to = "csv" if written(job.codec) else "imagefolder"
        record = read_json(job.folder / "report.json")
        export(Bundle(name=job.about["name"], spec=job.spec, codec=job.codec, splits=level({"": tables}), record=record), out, to)
    return sum(len(t.names) for t in tables)


def most_like(job: Job, tables: list[Table], toward: Tensor | None, away: Tensor | None, n: int) -> list[Table]:
    """The `n` rows of all tables whose features are nearest to those of a row of `toward`, less how near they are to one of `away`."""
    z = polar(torch.cat([job.codec.embed(t.x) for t in tables]))
    far = torch.zeros(len(z))
    for sign, examples in ((1, toward), (-1, away)):
        if examples is not None:
            far = far + sign * nearest(z, polar(job.codec.embed(examples)), 1)[0][:, 0]
    best = set(far.argsort(stable=True)[:n].tolist())
    starts = [0, *accumulate(len(t.names) for t in tables)]
    kept = [taken(t, [i for i in range(len(t.names)) if start + i in best]) for t, start in zip(tables, starts, strict=False)]
    return [t for t in kept if t.names]


def drawn(job: Job, name: str, plugin: Generator, label: str, n: int) -> Table:
    """Up to `n` new rows of one class by one generator."""
    data, before = seen_by(job, job.final, name), draws_before(job)
    want = torch.zeros(len(job.spec.classes), dtype=torch.long)
    want[job.spec.classes.index(label)] = n

    def work(tmp: Path) -> None:
        fill(job, tmp, plugin, data, name, want, ("sample", name, label, before), rounds=ROUNDS, label=f"sample {name}")

    return shard_table(job, job.store.stage("sample", {"train": name, "label": label, "n": n, "draw": before}, work), name)


def draws_before(job: Job) -> int:
    """How many draws `sample` has made in this run folder."""
    return sum(name.startswith("sample-") for name in job.store.finished())
