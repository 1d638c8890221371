"""The page to read second: prepare, features, train, draw. Each is a pure function of the run folder's configuration
and a few names, leaves one finished stage behind, and may be killed and repeated at any time.
"""

from dataclasses import asdict, replace
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .core.errors import Diverged, WrongSpec
from .core.even import evened
from .core.plugin import Generator, Labeller
from .core.registry import make
from .core.store import read_json, write_json
from .core.tensors import load_tensors, save_tensors
from .core.types import Data, Samples
from .cost import training_seconds
from .job import Job, pool_key, write_rows
from .shards import BLOCK, fill, grouped, labels_alone, read_shard, space_of
from .usual import ENOUGH, TRIES

WANTED_ROUNDS = 10


def prepare(folder: str) -> dict[str, Any]:
    """Loads, cleans and splits the dataset; test rows go into a file of their own that only the comparison opens."""
    from .data.clean import clean, drop_rare
    from .data.load import load
    from .data.pool import pool
    from .data.related import related
    from .data.split import split, units

    job = Job(Path(folder))
    c = job.config

    def work(tmp: Path) -> None:
        dataset = clean(load(**job.given, max_bad=c.max_bad, download=c.download))
        dataset = drop_rare(dataset) if c.drop_rare else dataset
        count, together = c.folds or c.preset_values().folds, c.group is not None and not c.across
        parts = split(dataset, folds=count, repeats=c.repeats, test=c.test, seed=c.seed, group_aware=together)
        sealed = set(parts.folds[0].test) if parts.mode != "cv" else set()
        used = sealed | {i for f in parts.folds for i in f.train}
        keys = dataset.samples.key.tolist()
        group = dataset.samples.group
        linked = units([dataset.row(k).kin for k in keys], group.tolist() if together and group is not None else None)
        for name, wanted in (("rows", used - sealed), ("sealed", sealed)):
            mask = torch.tensor([k in wanted for k in keys], dtype=torch.bool)
            part = dataset.samples.take(mask)
            columns = {"x": part.x, "y": part.y, "key": part.key, "unit": linked[mask]}
            save_tensors(tmp / f"{name}.safetensors", columns | ({} if part.group is None else {"group": part.group}))
        write_rows(tmp / "rows.parquet", dataset.rows)
        words = c.text[0] if isinstance(c.text, tuple) else c.text
        more = pool(c.unlabelled, dataset, c.max_bad, words, c.column) if c.unlabelled else None
        if more:
            save_tensors(tmp / "pool.safetensors", {"x": more.x})
            write_json(tmp / "pool.json", {"sources": more.sources})
        lent = related(c.source, dataset, c.max_bad, label=c.label, column=c.column) if c.source else None
        if lent:
            save_tensors(tmp / "source.safetensors", {"x": lent.samples.x, "y": lent.samples.y})
            write_json(tmp / "source.json", {"classes": lent.classes})
        told = (*(more.findings if more else ()), *(lent.findings if lent else ()))
        findings = [asdict(f) for f in (*dataset.findings, *parts.findings, *told)]
        record = {"name": dataset.name, "spec": dataset.spec.to_json(), "codec": dataset.codec.name, "fingerprint": dataset.fingerprint}
        write_json(tmp / "dataset.json", record | {"findings": findings, "split": parts.to_json()})

    job.run("prepare").event("started")
    job.store.stage("prepare", job.prepare_inputs, work)
    counts, aside = job.real.counts(len(job.spec.classes)), [row for row in job.rows if row.status in ("corrupt", "unlabelled")]
    present = counts[counts > 0]
    return {
        "mode": job.split.mode,
        "folds": len(job.split.folds),
        "rows": len(job.real),
        "test_rows": 0 if job.split.mode == "cv" else len(job.split.folds[0].test),
        "classes": list(job.spec.classes),
        "kind": job.spec.kind,
        "pool": len(job.pool_sources),
        "source": 0 if job.source is None else len(job.source),
        "aside": len(aside),
        "loose": sum(row.status == "unlabelled" and not row.label for row in aside),
        "first_aside": f"{aside[0].source}: {aside[0].reason}" if aside else "",
        "rate": job.spec.rate,
        "parts": list(job.spec.parts),
        "sides": [side.to_json() for side in job.spec.sides],
        "shape": list(job.spec.shape),
        "imbalanced": bool(present.max() > 1.5 * present.min()),
    }


def features(folder: str) -> None:
    """Embeds every unsealed row, once, and looks at the health of the data."""
    from .data.health import health
    from .data.pool import strangers

    job = Job(Path(folder))

    def work(tmp: Path) -> None:
        run = job.run("features")
        parts = {"z": job.real.x} | ({"pool": job.pool.x} if job.pool else {}) | ({"source": job.source.x} if job.source else {})
        total, done = sum(map(len, parts.values())), 0
        for name, x in parts.items():
            blocks = []
            for start in range(0, len(x), BLOCK):
                blocks.append(job.codec.embed(x[start : start + BLOCK]))
                done += len(blocks[-1])
                run.progress(done, total)
            save_tensors(tmp / f"{name}.safetensors", {"z": torch.cat(blocks)})
        z = load_tensors(tmp / "z.safetensors")["z"]
        if job.namings:
            x, y = job.codec.encode([native for native, _ in job.namings]), torch.tensor([k for _, k in job.namings])
            save_tensors(tmp / "named.safetensors", {"x": x, "y": y, "z": job.codec.embed(x)})
        report = health(job.dataset(), seed=job.config.seed, features=z)
        if job.pool:
            report = replace(report, findings=(*report.findings, *strangers(load_tensors(tmp / "pool.safetensors")["z"], z)))
        write_json(tmp / "health.json", report.to_json())
        report.draw(tmp / "health.png")

    job.store.stage("features", job.features_inputs, work)


def seen_by(job: Job, fold: str, generator: str) -> Data:
    """The training rows of a fold as this generator models them, with those that got a label where it learns from these too."""
    data = job.data(known(job, fold) if conditioned(job, generator) else job.fold_rows(fold))
    return data.features() if space_of(generator) == "features" else data


def conditioned(job: Job, generator: str) -> bool:
    """Whether a generator learns from rows without labels under the labels that others gave them."""
    return job.plan.conditioned and not labels_alone(generator)


def known(job: Job, fold: str) -> Samples:
    """The training rows of a fold; where generators learn from these too, then those that got a label and passed the screens, whose keys and units
    are -1 and below (`pool_key`)."""
    rows = job.fold_rows(fold)
    for name in filter(labels_alone, job.plan.generators if job.plan.conditioned else ()):
        path = job.need(shard_path(job, fold, name), f"rows labelled by {name} for fold {fold}")
        if (more := read_shard(path, name)) is not None and len(more):
            key = pool_key(more.key)
            rows = replace(rows, unit=rows.units) + grouped(replace(more, key=key, unit=key), rows)
    return rows


def train_inputs(job: Job, fold: str, generator: str) -> dict[str, Any]:
    choice = job.generator(generator)
    needs = job.features_stage.name if space_of(generator) == "features" else ""
    read = {"source": source} if (source := job.plan.sources.get(choice.name)) else {}
    first = {"first": [shard_path(job, fold, g).name for g in job.plan.first]} if spareable(job, generator) else {}
    if conditioned(job, generator):
        first = {"labelled": [shard_path(job, fold, g).name for g in job.plan.generators if labels_alone(g)]}
    return {"prepare": job.prepared.name, "features": needs, "fold": fold, "choice": asdict(choice), "seed": job.config.seed} | read | first


def spareable(job: Job, generator: str) -> bool:
    """Whether a generator is left out of folds in which those that are asked first supply enough."""
    return bool(job.plan.first) and generator not in job.plan.first


def supplied(job: Job, fold: str) -> str:
    """What the generators that are asked first supplied in a fold, in words; empty where that is too little of some class, or none is asked first."""
    facts = [read_json(shard_path(job, fold, g) / "facts.json")["wanted"] for g in job.plan.first]
    short = not facts or not all(facts)
    for name in job.spec.classes:
        want, got = (sum(own.get(name, {}).get(what, 0) for own in facts) for what in ("asked", "got"))
        short = short or got < ENOUGH * want
    kept = sum(told["got"] for own in facts for told in own.values())
    return "" if short else f"{', '.join(job.plan.first)} supplied {kept:,} rows"


def train(folder: str, fold: str, generator: str) -> None:
    """Fits one generator on one fold. One that cannot model the data or stay finite is dropped with the reason; the run goes on."""
    job = Job(Path(folder))
    inputs = train_inputs(job, fold, generator)
    stage = job.store.path(f"train-{generator}", inputs)

    def work(tmp: Path) -> None:
        choice = job.generator(generator)
        plugin: Generator = make("generators", choice)
        allowed = max(60.0, 3 * training_seconds(job.plan, generator)) if job.config.budget else None
        run = job.run(f"train {generator}, fold {fold}", stage, allowed)
        facts: dict[str, Any] = {
            "settings": plugin.settings(),
            "knowledge": job.knowledge(plugin).name,
            "status": "ok",
            "why": "",
            "findings": [],
        }
        if not (job.config.want and fold == job.final) and spareable(job, generator) and (enough := supplied(job, fold)):
            save_tensors(tmp / "state.safetensors", {})
            write_json(tmp / "facts.json", facts | {"status": "not needed", "why": enough})
            return
        try:
            curves = plugin.fit(seen_by(job, fold, generator), run).curves
        except (WrongSpec, Diverged) as error:
            facts |= {"status": "dropped", "why": str(error)}
            save_tensors(tmp / "state.safetensors", {})
        else:
            facts |= {k: v for k, v in asdict(curves).items() if k != "usable"}
            if not curves.usable:
                facts |= {"status": "dropped", "why": curves.findings[-1].text}
            save_tensors(tmp / "state.safetensors", plugin.state())
        write_json(tmp / "facts.json", facts)

    job.store.stage(f"train-{generator}", inputs, work)


def trained(job: Job, fold: str, generator: str) -> tuple[Generator | None, dict[str, Any]]:
    """The fitted generator of a fold, or None if it was dropped or not needed, with the facts of its training."""
    stage = job.need(job.store.path(f"train-{generator}", train_inputs(job, fold, generator)), f"generator {generator} for fold {fold}")
    facts = read_json(stage / "facts.json")
    if facts["status"] != "ok":
        return None, facts
    plugin: Generator = make("generators", job.generator(generator))
    spec = seen_by(job, fold, generator).spec
    return plugin.restore(spec, load_tensors(stage / "state.safetensors")), facts


def wanted(job: Job, fold: str, generator: str) -> Tensor:
    """Rows to keep of each class (k,): for every seed of the comparison its own part, each the plan's ratio in equal shares or evening out."""
    later = spareable(job, generator) or conditioned(job, generator)
    rows_makers = [g for g in job.plan.generators if space_of(g) == "rows" and (spareable(job, g) or conditioned(job, g)) is later]
    shares = len(rows_makers) if generator in rows_makers else 1
    classes, rows, ratio = len(job.spec.classes), job.fold_rows(fold), job.plan.rest[0] if later else job.plan.ratio
    if "class" in job.config.balance:
        return -(-evened(rows.counts(classes), round(ratio * len(rows))) // shares) * parts(job, fold, generator)
    each = max(1, ceil(ratio * len(rows) / classes / shares))
    return torch.full((classes,), each * parts(job, fold, generator))


def parts(job: Job, fold: str, generator: str) -> int:
    """Into how many parts the kept rows of a fold are dealt: one a seed, so that seeds differ in the rows drawn; no rows that were there."""
    return job.plan.seeds if fold in job.folds and not labels_alone(generator) else 1


def draw(folder: str, fold: str, generator: str) -> None:
    """Draws rows of a fold's generator and screens them until each class has what it wants, within a bound."""
    job = Job(Path(folder))

    def work(tmp: Path) -> None:
        plugin, _ = trained(job, fold, generator)
        if plugin is None:
            write_json(tmp / "facts.json", {"drawn": 0, "kept": 0, "rejected": {}, "wanted": {}, "findings": []})
            return
        want = wanted(job, fold, generator)
        if isinstance(plugin, Labeller):
            want = torch.minimum(want, plugin.sure())
        names = ("draw", fold, generator)
        told = {"rounds": job.plan.rounds, "label": f"draw {generator}, fold {fold}", "count": parts(job, fold, generator)}
        told |= {"most": TRIES} if generator in job.plan.first else {}
        fill(job, tmp, plugin, seen_by(job, fold, generator), generator, want, names, **told)
        if remarks := plugin.remarks():
            facts = read_json(tmp / "facts.json")
            write_json(tmp / "facts.json", facts | {"findings": [*facts["findings"], *map(asdict, remarks)]})

    job.store.stage(f"draw-{generator}", draw_inputs(job, fold, generator), work)


def draw_inputs(job: Job, fold: str, generator: str) -> dict[str, Any]:
    inputs = {"train": job.store.path(f"train-{generator}", train_inputs(job, fold, generator)).name, "features": job.features_stage.name}
    return inputs | {
        "want": wanted(job, fold, generator).tolist(),
        "screens": job.screens,
        "rounds": job.plan.rounds,
        "parts": parts(job, fold, generator),
    }


def draw_wanted(folder: str) -> None:
    """The rows that the user asked for by class, drawn with the generators of the fold that is handed over.

    The generator that kept most of what it drew goes first; what it could not supply, the next is asked for. These rows
    pass the same screens; they are no part of the comparison.
    """
    job = Job(Path(folder))
    want = torch.tensor([job.config.want.get(name, 0) for name in job.spec.classes])
    for generator in by_yield(job):
        plugin, _ = trained(job, job.final, generator)
        if plugin is None or isinstance(plugin, Labeller) or not want.sum():
            continue
        data, asked = seen_by(job, job.final, generator), want.clone()

        def work(tmp: Path, plugin: Generator = plugin, data: Data = data, generator: str = generator, asked: Tensor = asked) -> None:
            told = {"rounds": WANTED_ROUNDS, "label": f"rows asked for, {generator}"}
            fill(job, tmp, plugin, data, generator, asked, ("wanted", generator), **told)

        stage = job.store.stage(f"wanted-{generator}", wanted_inputs(job, generator), work)
        rows = read_shard(stage, generator)
        if rows is not None:
            want = want - rows.counts(len(want))


def wanted_inputs(job: Job, generator: str) -> dict[str, Any]:
    return {"draw": draw_inputs(job, job.final, generator), "want": job.config.want, "order": by_yield(job)}


def handover_shards(job: Job) -> list[tuple[str, Path]]:
    """Finished shards of the fold that is handed over, each with what it was drawn for: "comparison", "wanted" or "sample"."""
    found = [shard for g in job.generators() for shard in shards_by_generator(job, g)]
    found += [("sample", job.folder / "stages" / name) for name in job.store.finished() if name.startswith("sample-")]
    return [(purpose, path) for purpose, path in found if (path / "table.parquet").is_file()]


def shards_by_generator(job: Job, generator: str) -> list[tuple[str, Path]]:
    """Shards of one generator in that fold: rows of the "comparison", and those "wanted" by number where any were asked for."""
    found = [("comparison", shard_path(job, job.final, generator)), ("wanted", job.store.path(f"wanted-{generator}", wanted_inputs(job, generator)))]
    return [(purpose, path) for purpose, path in found if (path / "table.parquet").is_file()]


def by_yield(job: Job) -> list[str]:
    """Generators of rows, the one that kept the largest share of its draws first."""
    facts = {g: read_json(shard_path(job, job.final, g) / "facts.json") for g in job.generators("rows")}
    return sorted(facts, key=lambda g: -facts[g]["kept"] / max(1, facts[g]["drawn"]))


def shard_path(job: Job, fold: str, generator: str) -> Path:
    return job.need(job.store.path(f"draw-{generator}", draw_inputs(job, fold, generator)), f"rows of {generator} for fold {fold}")
