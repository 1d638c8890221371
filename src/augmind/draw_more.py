"""More rows at any time: draws on from where earlier draws of the same run ended, through the same screens."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor

from .core.errors import UsageError, unknown
from .core.plugin import Generator, Latent
from .core.store import read_json
from .data.exemplars import exemplars
from .data.export import Bundle, Table, export, written
from .handover import level, shard_table, taken
from .job import Job
from .nn.neighbours import nearest, polar
from .pipeline import by_yield, seen_by, trained
from .shards import fill, labels_alone, space_of
from .steering import Embed, Steered, deviations, mixture, steered, told

ROUNDS = 8
PASSES = 2
"""How often every generator is asked: at first for its share of the rows, then for all that are still missing."""
CHOICE = 8
"""Rows that are drawn for one that is wanted where those most like examples are chosen."""


def draw_more(
    job: Job,
    label: str,
    n: int,
    out: Path,
    generator: str | None = None,
    *,
    like: Sequence[str] = (),
    unlike: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    mix: Mapping[str, float] | None = None,
    along: Mapping[int, float] | None = None,
) -> int:
    """Writes up to `n` screened rows of one class as files into `out`; returns how many.

    The generator that kept most of what it drew for the comparison is asked first. The rows differ from all that the run drew
    before with `sample`, and are the same for the same history. With `like` or `unlike`, files or texts, `CHOICE` times as many are drawn, and those
    kept that are nearest, in features, to one of the first and farthest from all of the others: of both, those whose distances differ most, so
    that what the first have and the others lack decides. `where` takes real rows for the first whose columns hold these values, and for the others
    those in which one holds another value. `mix` gives parts of other classes that rows are decoded with, and `along` how many deviations latents are
    moved along directions of the class, numbered from 1 (`steering`); they are moved towards what the first have and the others lack, too.
    """
    weights, along = mixture(job.spec.classes, label, mix or {}), deviations(along or {})
    having, lacking = examples_of(job, label, where) if where else (None, None)
    toward = examples(job, having, "like", like)
    away = examples(job, lacking, "unlike", unlike)
    attribute = None if toward is None or away is None else polar(toward).mean(0) - polar(away).mean(0)
    n, most = (CHOICE * n, n) if like or unlike or where else (n, n)
    if generator and labels_alone(generator):
        raise UsageError(f"'{generator}' draws no rows, and all that it labelled are handed over", help="give more files without labels to a new run")
    able = (g for g in by_yield(job) if generator in (None, g) and not labels_alone(g))
    usable = wished({g: p for g in able if (p := trained(job, job.final, g)[0]) is not None}, job, label, weights, along, attribute)
    shown = " and ".join([*(f"{c}={v}" for c, v in (where or {}).items()), *(["what examples have and others lack"] if like and unlike else [])])
    for plugin in usable.values():
        if isinstance(plugin, Steered):
            plugin.told = told(job.spec.classes, weights, along, shown if plugin.attribute else "")
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
    if tables and most < n:
        tables = most_like(job, tables, toward, away, most)
    if tables:
        to = "csv" if written(job.codec) else "imagefolder"
        record = read_json(job.folder / "report.json")
        export(Bundle(name=job.about["name"], spec=job.spec, codec=job.codec, splits=level({"": tables}), record=record), out, to)
    return sum(len(t.names) for t in tables)


def wished(
    usable: dict[str, Generator], job: Job, label: str, weights: Tensor, along: Mapping[int, float], attribute: Tensor | None
) -> dict[str, Generator]:
    """Those of the generators that can be steered so, steered; along directions the first one with latents, since each has directions of its own, and
    their page shows those of that one. Raises `UsageError` where none of them can."""
    made: dict[str, Generator] = {}
    refused: list[UsageError] = []
    able = sorted(usable.items(), key=lambda item: not isinstance(item[1], Latent))
    for name, plugin in able[:1] if along else usable.items():
        try:
            made[name] = steered(plugin, features_by(job, name), job.spec.classes.index(label), job.config.seed, weights, along, attribute)
        except UsageError as error:
            refused.append(error)
    if refused and not made:
        raise refused[0]
    return made


def features_by(job: Job, generator: str) -> Embed:
    """Features (n, d) of rows as this generator draws them, in model space or as features."""
    return (lambda x: x) if space_of(generator) == "features" else lambda x: job.codec.embed(job.spec.to_store(x))


def examples(job: Job, rows: Tensor | None, flag: str, given: Sequence[str]) -> Tensor | None:
    """These features (n, d) of real rows with those of the files, or texts, that an option names; None where there are neither."""
    named = [job.codec.embed(exemplars(given, job.spec, job.codec, f"--{flag}"))] if given else []
    parts = [*([] if rows is None else [rows]), *named]
    return torch.cat(parts) if parts else None


def examples_of(job: Job, label: str, where: Mapping[str, str]) -> tuple[Tensor, Tensor]:
    """Features (n, d) of the real rows whose columns hold these values, and of those in which a column holds another one: rows of the class where
    it has both, else of all classes, so that an attribute may come from another class.

    Raises `UsageError` for a column or a value that no row has, and where all rows have it.
    """
    where = {column: str(value) for column, value in where.items()}
    traits = {row.id: row.traits for row in job.rows}
    told = [traits.get(key, {}) for key in job.real.key.tolist()]
    for column, value in where.items():
        columns = sorted({name for row in told for name in row})
        if column not in columns:
            text = f"no column '{column}' is known of the rows of '{job.folder}'"
            none = "its dataset is no table with columns of a few values, or the run is older than these are kept; show examples with --like"
            raise UsageError(text, help=f"give one of {', '.join(columns)}" if columns else none)
        if value not in (kinds := sorted({row[column] for row in told if column in row})):
            raise unknown(f"value of '{column}'", value, kinds)
    has = torch.tensor([all(row.get(c) == v for c, v in where.items()) for row in told])
    lacks = torch.tensor([any(c in row and row[c] != v for c, v in where.items()) for row in told])
    own, z = job.real.y == job.spec.classes.index(label), job.real.z
    assert z is not None
    has, lacks = (has & own, lacks & own) if (has & own).any() and (lacks & own).any() else (has, lacks)
    if not has.any() or not lacks.any():
        wish = " and ".join(f"{c}={v}" for c, v in where.items())
        text = f"{'all' if has.any() else 'no'} rows have {wish}, so it cannot be told from what others have"
        raise UsageError(text, help="leave a part of it out")
    return z[has], z[lacks]


def most_like(job: Job, tables: list[Table], toward: Tensor | None, away: Tensor | None, n: int) -> list[Table]:
    """The `n` rows of all tables whose features are nearest to one of `toward` (m, d), less how near they are to one of `away`."""
    z = polar(torch.cat([job.codec.embed(t.x) for t in tables]))
    far = torch.zeros(len(z))
    for sign, shown in ((1, toward), (-1, away)):
        if shown is not None:
            far = far + sign * nearest(z, polar(shown), 1)[0][:, 0]
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
