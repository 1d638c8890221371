"""The page to read second: prepare, features, train, draw. Each is a pure function of the run folder's configuration
and a few names, leaves one finished stage behind, and may be killed and repeated at any time.
"""

from dataclasses import asdict, dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .config import STEP_SECONDS
from .core.errors import Diverged, WrongSpec
from .core.plugin import Generator, Screen
from .core.registry import find, make
from .core.run import Finding
from .core.seeds import row_seeds
from .core.store import load_tensors, read_json, save_tensors, write_json, write_table
from .core.types import Choice, Data, Samples, as_features
from .job import Job, write_rows
from .screens.novelty import Novelty

MOST_DRAWN = 12
"""Rows drawn for one that is wanted, at most, before the generator is told to be short."""
WANTED_ROUNDS = 10
BLOCK = 2048
"""Rows drawn and screened together."""


def prepare(folder: str) -> dict[str, Any]:
    """Loads, cleans and splits the dataset; test rows go into a file of their own that only the comparison opens."""
    from .data.clean import clean, drop_rare
    from .data.load import load
    from .data.split import split, units

    job = Job(Path(folder))
    c = job.config

    def work(tmp: Path) -> None:
        source = {"label": c.label, "column": c.column, "group": c.group, "split": c.split, "size": c.size}
        dataset = clean(load(c.data, **source, max_bad=c.max_bad, download=c.download))
        dataset = drop_rare(dataset) if c.drop_rare else dataset
        count = c.folds or c.preset_values().folds
        parts = split(dataset, folds=count, test=c.test, seed=c.seed, group_aware=c.group is not None)
        sealed = set(parts.folds[0].test) if parts.mode != "cv" else set()
        used = sealed | {i for f in parts.folds for i in f.train}
        keys = dataset.samples.key.tolist()
        group = dataset.samples.group
        together = units([dataset.row(k).kin for k in keys], group.tolist() if c.group and group is not None else None)
        for name, wanted in (("rows", used - sealed), ("sealed", sealed)):
            mask = torch.tensor([k in wanted for k in keys], dtype=torch.bool)
            part = dataset.samples.take(mask)
            columns = {"x": part.x, "y": part.y, "key": part.key, "unit": together[mask]}
            save_tensors(tmp / f"{name}.safetensors", columns | ({} if part.group is None else {"group": part.group}))
        write_rows(tmp / "rows.parquet", dataset.rows)
        findings = [asdict(f) for f in (*dataset.findings, *parts.findings)]
        record = {"name": dataset.name, "spec": dataset.spec.to_json(), "codec": dataset.codec.name, "fingerprint": dataset.fingerprint}
        write_json(tmp / "dataset.json", record | {"findings": findings, "split": parts.to_json()})

    job.run("prepare").event("started")
    job.store.stage("prepare", job.prepare_inputs, work)
    counts = job.real.counts(len(job.spec.classes))
    present = counts[counts > 0]
    return {
        "mode": job.split.mode,
        "folds": len(job.split.folds),
        "rows": len(job.real),
        "test_rows": 0 if job.split.mode == "cv" else len(job.split.folds[0].test),
        "classes": list(job.spec.classes),
        "shape": list(job.spec.shape),
        "imbalanced": bool(present.max() > 1.5 * present.min()),
    }


def features(folder: str) -> None:
    """Embeds every unsealed row, once, and looks at the health of the data."""
    from .data.health import health

    job = Job(Path(folder))

    def work(tmp: Path) -> None:
        run = job.run("features")
        blocks = []
        for start in range(0, len(job.real), BLOCK):
            blocks.append(job.codec.embed(job.real.x[start : start + BLOCK]))
            run.progress(min(start + BLOCK, len(job.real)), len(job.real))
        z = torch.cat(blocks)
        save_tensors(tmp / "z.safetensors", {"z": z})
        report = health(job.dataset(), seed=job.config.seed, features=z)
        write_json(tmp / "health.json", report.to_json())
        report.draw(tmp / "health.png")

    job.store.stage("features", {"prepare": job.prepared.name, "backbone": job.config.backbone}, work)


def space_of(generator: str) -> str:
    return find("generators", generator).space


def seen_by(job: Job, fold: str, generator: str) -> Data:
    """The training rows of a fold as this generator models them."""
    data = job.data(job.fold_rows(fold))
    return data.features() if space_of(generator) == "features" else data


def train_inputs(job: Job, fold: str, generator: str) -> dict[str, Any]:
    choice = job.generator(generator)
    needs = job.features_stage.name if space_of(generator) == "features" else ""
    return {"prepare": job.prepared.name, "features": needs, "fold": fold, "choice": asdict(choice), "seed": job.config.seed}


def train(folder: str, fold: str, generator: str) -> None:
    """Fits one generator on one fold. One that cannot model the data or stay finite is dropped with the reason; the run goes on."""
    job = Job(Path(folder))
    inputs = train_inputs(job, fold, generator)
    stage = job.store.path(f"train-{generator}", inputs)

    def work(tmp: Path) -> None:
        choice = job.generator(generator)
        plugin: Generator = make("generators", choice)
        allowed = max(60.0, 3 * plan_seconds(job, generator)) if job.config.budget else None
        run = job.run(f"train {generator}, fold {fold}", stage, allowed)
        facts: dict[str, Any] = {"settings": plugin.settings(), "knowledge": plugin.knowledge.name, "status": "ok", "why": "", "findings": []}
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


def plan_seconds(job: Job, name: str) -> float:
    """What a training by steps is expected to take on one thread; a guide for the deadline, not part of any result."""
    size = max(1.0, torch.tensor(job.spec.shape).prod().item() / 784)
    return job.plan.steps.get(name, 0) * STEP_SECONDS.get(name, 0.0) * size


def trained(job: Job, fold: str, generator: str) -> tuple[Generator | None, dict[str, Any]]:
    """The fitted generator of a fold, or None if it was dropped, with the facts of its training."""
    stage = job.need(job.store.path(f"train-{generator}", train_inputs(job, fold, generator)), f"generator {generator} for fold {fold}")
    facts = read_json(stage / "facts.json")
    if facts["status"] == "dropped":
        return None, facts
    plugin: Generator = make("generators", job.generator(generator))
    spec = seen_by(job, fold, generator).spec
    return plugin.restore(spec, load_tensors(stage / "state.safetensors")), facts


def wanted(job: Job, fold: str, generator: str) -> Tensor:
    """Rows to keep of each class (k,): for every seed of the comparison its own part, each the plan's ratio in equal shares."""
    rows_makers = [g for g in job.plan.generators if space_of(g) == "rows"]
    shares = len(rows_makers) if generator in rows_makers else 1
    classes = len(job.spec.classes)
    each = max(1, ceil(job.plan.ratio * len(job.fold_rows(fold)) / classes / shares))
    return torch.full((classes,), each * parts(job, fold))


def parts(job: Job, fold: str) -> int:
    """Into how many parts the kept rows of a fold are dealt: one a seed, so that seeds differ in the rows drawn."""
    return job.plan.seeds if fold in job.folds else 1


def fitted_screens(job: Job, data: Data) -> dict[str, Screen]:
    """The plan's screens, calibrated on the real rows of a fold."""
    run = job.run("screens")
    return {name: make("screens", Choice(name=name)).fit(data, run) for name in job.plan.screens}


@dataclass
class Judged:
    """What the screens said of drawn rows: per row the first screen that rejected it ("" if kept) and all scores given."""

    rows: list[Samples] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)

    def all(self) -> Samples:
        out = self.rows[0]
        for more in self.rows[1:]:
            out = out + more
        return out

    def kept(self) -> Samples | None:
        if not self.rows:
            return None
        return self.all().take(torch.tensor([r == "" for r in self.rejected], dtype=torch.bool))


def judge(screens: dict[str, Screen], rows: Samples, judged: Judged) -> None:
    """Passes rows through the screens in order; a row rejected by one is not shown to the next."""
    reasons = [""] * len(rows)
    alive = torch.arange(len(rows))
    kept = judged.kept()
    for name, screen in screens.items():
        scores = screen.score(rows.take(alive), kept) if len(alive) else torch.empty(0)
        column = torch.full((len(rows),), float("nan"))
        column[alive] = scores
        judged.scores.setdefault(name, []).extend(column.tolist())
        for i in alive[scores < screen.cut].tolist():
            reasons[i] = name
        alive = alive[scores >= screen.cut]
    judged.rows.append(rows)
    judged.rejected.extend(reasons)


def draw_rows(job: Job, plugin: Generator, data: Data, y: Tensor, seeds: Tensor, generator: str) -> Samples:
    """Synthetic rows with features, as stored."""
    x = data.spec.to_store(plugin.sample(y, seeds)) if space_of(generator) == "rows" else plugin.sample(y, seeds)
    rows = Samples.synthetic(generator, x, y, seeds)
    return rows.with_features(x if space_of(generator) == "features" else job.codec.embed(x))


def draw(folder: str, fold: str, generator: str) -> None:
    """Draws rows of a fold's generator and screens them until each class has what it wants, within a bound."""
    job = Job(Path(folder))

    def work(tmp: Path) -> None:
        plugin, _ = trained(job, fold, generator)
        if plugin is None:
            write_json(tmp / "facts.json", {"drawn": 0, "kept": 0, "rejected": {}, "wanted": {}, "findings": []})
            return
        want = wanted(job, fold, generator)
        names = ("draw", fold, generator)
        told = {"rounds": job.plan.rounds, "label": f"draw {generator}, fold {fold}", "count": parts(job, fold)}
        fill(job, tmp, plugin, seen_by(job, fold, generator), generator, want, names, **told)

    job.store.stage(f"draw-{generator}", draw_inputs(job, fold, generator), work)


def draw_inputs(job: Job, fold: str, generator: str) -> dict[str, Any]:
    inputs = {"train": job.store.path(f"train-{generator}", train_inputs(job, fold, generator)).name, "features": job.features_stage.name}
    return inputs | {
        "want": wanted(job, fold, generator).tolist(),
        "screens": list(job.plan.screens),
        "rounds": job.plan.rounds,
        "parts": parts(job, fold),
    }


def fill(
    job: Job,
    tmp: Path,
    plugin: Generator,
    data: Data,
    generator: str,
    want: Tensor,
    names: tuple[object, ...],
    *,
    rounds: int,
    label: str,
    count: int = 1,
) -> None:
    """Draws, screens and writes one shard: rows.safetensors, table.parquet and facts.json."""
    run = job.run(label)
    screens = fitted_screens(job, data)
    judged, got, drawn = Judged(), torch.zeros_like(want), 0
    rate = torch.full(want.shape, 0.7)
    tried = torch.zeros_like(want)
    for turn in range(rounds):
        missing = (want - got).clamp(min=0)
        ask = torch.minimum((missing / rate.clamp(min=0.1)).ceil().long(), (MOST_DRAWN * want - tried).clamp(min=0)) * (missing > 0)
        if not ask.sum():
            break
        y = torch.repeat_interleave(torch.arange(len(want)), ask)
        y = y[torch.randperm(len(y), generator=run.rng(*names, "order", turn))]
        seeds = row_seeds(len(y), job.config.seed, *names, turn)
        for start in range(0, len(y), BLOCK):
            block = slice(start, start + BLOCK)
            judge(screens, draw_rows(job, plugin, data, y[block], seeds[block], generator), judged)
            run.progress(start + len(y[block]), len(y), round=turn + 1)
        tried, drawn = tried + ask, drawn + len(y)
        kept = judged.kept()
        got = kept.counts(len(want)) if kept is not None else got
        rate = (got + 1) / (tried + 1)
    write_shard(job, tmp, judged, screens, data, want, drawn, generator, count)


def deal(y: list[int], keep: list[bool], count: int) -> list[int]:
    """A part 0..count-1 for every kept row, dealt in turn within its class; -1 for the others."""
    turn: dict[int, int] = {}
    out = []
    for label, kept in zip(y, keep, strict=True):
        turn[label] = turn.get(label, -1) + kept
        out.append(turn[label] % count if kept else -1)
    return out


def write_shard(
    job: Job, tmp: Path, judged: Judged, screens: dict[str, Screen], data: Data, want: Tensor, drawn: int, generator: str, count: int
) -> None:
    """The first rows of each class up to what was wanted are kept; what passed beyond that is marked "surplus"."""
    rows, left = judged.all(), want.clone()
    for i, (label, why) in enumerate(zip(rows.y.tolist(), judged.rejected, strict=True)):
        if not why and left[label] > 0:
            left[label] -= 1
        elif not why:
            judged.rejected[i] = "surplus"
    novelty = screens["novelty"]
    assert isinstance(novelty, Novelty)
    position, distance = novelty.nearest(rows)
    keep = torch.tensor([r == "" for r in judged.rejected], dtype=torch.bool)
    assert rows.z is not None
    values = {} if space_of(generator) == "features" else {"x": rows.x}
    dealt = deal(rows.y.tolist(), keep.tolist(), count)
    save_tensors(tmp / "rows.safetensors", {**values, "y": rows.y, "key": rows.key, "z": rows.z, "keep": keep, "part": torch.tensor(dealt)})
    classes = job.spec.classes
    table: dict[str, Any] = {
        "generator": [generator] * len(rows),
        "seed": rows.key.tolist(),
        "label": [classes[k] for k in rows.y.tolist()],
        "kept": keep.tolist(),
        "part": dealt,
        "rejected_by": judged.rejected,
        "nearest_row": data.train.key[position].tolist(),
        "nearest_distance": distance.tolist(),
    }
    table |= {f"score_{name}": scores for name, scores in judged.scores.items()}
    write_table(tmp / "table.parquet", table)
    counts = {name: judged.rejected.count(name) for name in (*screens, "surplus")}
    kept = rows.take(keep).counts(len(want))
    findings = []
    short = {classes[k]: {"asked": int(want[k]), "got": int(kept[k])} for k in range(len(want)) if kept[k] < want[k]}
    if short:
        listed = ", ".join(f"{name} {s['got']} of {s['asked']}" for name, s in list(short.items())[:5])
        text = f"{generator}: too few rows passed the screens after {drawn} were drawn ({listed}{', ...' if len(short) > 5 else ''})"
        findings.append(asdict(Finding("AM220", "info", text, short)))
    asked = {classes[k]: {"asked": int(want[k]), "got": int(kept[k])} for k in range(len(want))}
    write_json(tmp / "facts.json", {"drawn": drawn, "kept": int(keep.sum()), "rejected": counts, "wanted": asked, "findings": findings})


def draw_wanted(folder: str) -> None:
    """The rows that the user asked for by class, drawn with the generators of the fold that is handed over.

    The generator that kept most of what it drew goes first; what it could not supply, the next is asked for. These rows
    pass the same screens; they are no part of the comparison.
    """
    job = Job(Path(folder))
    want = torch.tensor([job.config.want.get(name, 0) for name in job.spec.classes])
    for generator in by_yield(job):
        plugin, _ = trained(job, job.final, generator)
        if plugin is None or not want.sum():
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
    """Finished shards of the fold that is handed over, each with what it was drawn for."""
    found = [("comparison", shard_path(job, job.final, g)) for g in job.generators()]
    found += [("wanted", job.store.path(f"wanted-{g}", wanted_inputs(job, g))) for g in job.generators("rows")]
    found += [("sample", job.folder / "stages" / name) for name in job.store.finished() if name.startswith("sample-")]
    return [(purpose, path) for purpose, path in found if (path / "table.parquet").is_file()]


def by_yield(job: Job) -> list[str]:
    """Generators of rows, the one that kept the largest share of its draws first."""
    facts = {g: read_json(shard_path(job, job.final, g) / "facts.json") for g in job.generators("rows")}
    return sorted(facts, key=lambda g: -facts[g]["kept"] / max(1, facts[g]["drawn"]))


def shard_path(job: Job, fold: str, generator: str) -> Path:
    return job.need(job.store.path(f"draw-{generator}", draw_inputs(job, fold, generator)), f"rows of {generator} for fold {fold}")


def read_shard(path: Path, generator: str, part: int | None = None) -> Samples | None:
    """Kept rows of a shard with their features, all or one part; None if the generator was dropped."""
    if not (path / "rows.safetensors").exists():
        return None
    stored = load_tensors(path / "rows.safetensors")
    rows = Samples.synthetic(generator, stored.get("x", stored["z"]), stored["y"], stored["key"], z=stored["z"])
    return rows.take(stored["keep"] if part is None else stored["part"] == part)


def synthetic(job: Job, fold: str, space: str, seed: int) -> Samples | None:
    """The synthetic rows of one seed that a learner of this space can take; None if there are none."""
    out: Samples | None = None
    for generator in job.generators(space):
        rows = read_shard(shard_path(job, fold, generator), generator, seed % parts(job, fold))
        if rows is None or not len(rows):
            continue
        rows = as_features(rows) if space == "features" else rows
        out = rows if out is None else out + rows
    return out
