"""More rows at any time: draws on from where earlier draws of the same run ended, through the same screens."""

from pathlib import Path

import torch

from .core.errors import UsageError
from .core.store import read_json
from .data.export import Bundle, export
from .handover import shard_table
from .job import Job
from .pipeline import seen_by, trained
from .shards import fill

ROUNDS = 8


def draw_more(job: Job, label: str, n: int, out: Path, generator: str | None = None) -> int:
    """Writes up to `n` screened rows of one class as files into `out`; returns how many.

    The rows differ from all that the run drew before with `sample`, and are the same for the same history.
    """
    usable = {g: p for g in job.generators("rows") if generator in (None, g) and (p := trained(job, job.final, g)[0]) is not None}
    if not usable:
        raise UsageError(f"'{job.folder}' has no usable generator", help="see the findings in its report")
    counter, left, tables = draws_before(job), n, []
    for i, (name, plugin) in enumerate(usable.items()):
        want = torch.zeros(len(job.spec.classes), dtype=torch.long)
        want[job.spec.classes.index(label)] = -(-left // (len(usable) - i))
        data = seen_by(job, job.final, name)
        inputs = {"train": name, "label": label, "n": int(want.sum()), "draw": counter + i}
        names = ("sample", name, label, counter + i)

        def work(tmp: Path, plugin=plugin, data=data, name=name, want=want, names=names) -> None:
            fill(job, tmp, plugin, data, name, want, names, rounds=ROUNDS, label=f"sample {name}")

        stage = job.store.stage("sample", inputs, work)
        left -= read_json(stage / "facts.json")["kept"]
        tables.append(shard_table(job, stage, name))
    tables = [t for t in tables if len(t.x)]
    if tables:
        record = read_json(job.folder / "report.json")
        export(Bundle(name=job.about["name"], spec=job.spec, codec=job.codec, splits={"": tables}, record=record), out, "imagefolder")
    return n - left


def draws_before(job: Job) -> int:
    """How many draws `sample` has made in this run folder."""
    return sum(name.startswith("sample-") for name in job.store.finished())
