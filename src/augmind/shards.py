"""Drawing and screening: rows are drawn in blocks, judged, dealt to the seeds, and written as one shard."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn.functional import one_hot

from .core.plugin import Generator, Labeller, Screen
from .core.registry import find, make
from .core.run import Finding
from .core.seeds import row_seeds
from .core.store import read_table, write_json, write_table
from .core.tensors import load_tensors, save_tensors
from .core.types import Data, Samples
from .job import Job
from .nn.neighbours import nearest, polar
from .screens.agreement import Agreement
from .screens.novelty import Novelty

MOST_DRAWN = 12
"""Rows drawn for one that is wanted, at most, before the generator is told to be short."""
SCARCE = 0.1
"""The part of the rows wanted of a class below which it is given up: so few change nothing, and each costs a hundred others."""
LABELS, UNSURE = "agreement", "unsure"
"""The screen that judges labels, and what rows are marked with whose label is believed too little for them to be handed over."""
RIGHT = 0.5
"""How likely the likeliest label of doubtful rows has to be right, in the mean, for networks to be taught what is believed of them: at 0.65, as of
clothes, they gain 2 points by it, at 0.4, as of photographs, they lose 3."""
BLOCK = 2048
"""Rows drawn and screened together."""


def space_of(generator: str) -> str:
    return find("generators", generator.partition("~")[0]).space


def labels_alone(generator: str) -> bool:
    """Whether a generator labels rows that were there, all of which it has at once, instead of drawing new ones."""
    return issubclass(find("generators", generator.partition("~")[0]), Labeller)


def made_by(generators: Collection[str]) -> str:
    """What the rows of these generators are called together: real ones that got a label are no synthetic ones."""
    return "pseudo-labelled" if generators and all(map(labels_alone, generators)) else "synthetic"


def fitted_screens(job: Job, data: Data) -> dict[str, Screen]:
    """The plan's screens that can judge such rows, calibrated on the real rows of a fold."""
    run = job.run("screens")
    suited = [name for name in job.plan.screens if not find("screens", name).refuses(data.spec)]
    return {name: make("screens", job.choice("screens", name, job.plan)).fit(data, run) for name in suited}


@dataclass
class Judged:
    """What the screens said of drawn rows: per row the first screen that rejected it ("" if kept) and all scores given."""

    rows: list[Samples] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)

    def all(self) -> Samples | None:
        """Every row, or None if nothing was drawn."""
        while len(self.rows) > 1:
            self.rows = [a + b for a, b in zip(self.rows[::2], self.rows[1::2], strict=False)] + self.rows[len(self.rows) // 2 * 2 :]
        return self.rows[0] if self.rows else None

    def kept(self) -> Samples | None:
        rows = self.all()
        return None if rows is None else rows.take(torch.tensor([r == "" for r in self.rejected], dtype=torch.bool))


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
    drawn = plugin.sample(y, seeds)
    x = drawn if space_of(generator) == "features" else data.spec.to_store(drawn)
    rows = Samples.synthetic(generator, x, y, seeds)
    if isinstance(plugin, Labeller):
        assert data.pool is not None and data.pool.z is not None
        return grouped(rows.with_features(data.pool.z[seeds]), data.train)
    return grouped(rows.with_features(x if space_of(generator) == "features" else job.codec.embed(x)), data.train)


def grouped(rows: Samples, real: Samples) -> Samples:
    """Synthetic rows with a group each, where real rows have one: that of the nearest real row of the class, in features."""
    if real.group is None:
        return rows
    assert rows.z is not None and real.z is not None
    group, z, seen = torch.full((len(rows),), -1), polar(rows.z), polar(real.z)
    for k in rows.y.unique():
        own, theirs = rows.y == k, real.y == k
        if theirs.any():
            group[own] = real.group[theirs][nearest(z[own], seen[theirs], 1)[1][:, 0]]
    return replace(rows, group=group)


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
    most: int = MOST_DRAWN,
) -> None:
    """Draws, screens and writes one shard: rows.safetensors, table.parquet and facts.json.

    At most `most` rows are drawn for one that is wanted, and no more of a class that is `hopeless`.
    """
    run = job.run(label)
    screens = fitted_screens(job, data)
    judged, got, drawn, believed = Judged(), torch.zeros_like(want), 0, None
    rate = torch.full(want.shape, 0.7)
    tried = torch.zeros_like(want)
    if isinstance(plugin, Labeller):
        rounds, drawn = 0, int(plugin.sure().sum())
        believed = label_all(job, plugin, data, generator, screens, judged)
    for turn in range(rounds):
        missing = (want - got).clamp(min=0) * ~hopeless(got, tried, most)
        ask = torch.minimum((missing / rate.clamp(min=0.1)).ceil().long(), (most * want - tried).clamp(min=0)) * (missing > 0)
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
    rows = judged.all() or no_rows(data, generator)
    write_shard(job, tmp, judged, rows, plugin.notes(rows.y, rows.key), screens, data, want, drawn, generator, count, believed)


def label_all(job: Job, plugin: Labeller, data: Data, generator: str, screens: dict[str, Screen], judged: Judged) -> dict[str, Tensor]:
    """Judges all rows of a labeller, those that it is sure of first, the others marked `UNSURE`; gives what is believed of each, and whether it can
    be taught: no screen rejected it but that of labels, which is asked last."""
    (y, seeds), belief, run = plugin.stock(), plugin.beliefs(), job.run(f"judge {generator}")
    own = [(y == k).nonzero()[:, 0] for k in range(len(data.spec.classes))]
    sure = torch.cat([rows[:n] for rows, n in zip(own, plugin.sure().tolist(), strict=True)])
    others = torch.cat([rows[n:] for rows, n in zip(own, plugin.sure().tolist(), strict=True)])
    screens = dict(sorted(screens.items(), key=lambda item: item[0] == LABELS))
    for block in filter(len, (*sure.split(BLOCK), *others.split(BLOCK))):
        judge(screens, draw_rows(job, plugin, data, y[block], seeds[block], generator), judged)
        run.progress(len(judged.rejected), len(y))
    taught = torch.tensor([why in ("", LABELS) for why in judged.rejected], dtype=torch.bool)
    judged.rejected[len(sure) :] = [UNSURE] * len(others)
    return {"belief": belief[torch.cat([sure, others])], "taught": taught}


def doubt(believed: dict[str, Tensor], keep: Bool[Tensor, " n"]) -> float:
    """How likely the likeliest label of a row that can be taught, but is not kept, is right, in the mean; 1 where there is none."""
    others = believed["belief"][believed["taught"] & ~keep]
    return float(others.max(1).values.double().mean()) if len(others) else 1.0


def hopeless(got: Tensor, tried: Tensor, most: int) -> Tensor:
    """Classes (k,) of which less than `SCARCE` of the rows wanted would pass, were `most` drawn for each: so says the upper end of a 95 % interval
    of the part that passes (the rule of three, for few that did; Hanley and Lippman-Hand, JAMA 249, 1983)."""
    return (got + 3) * most < SCARCE * tried


def deal(y: list[int], keep: list[bool], count: int) -> list[int]:
    """A part 0..count-1 for every kept row, dealt in turn within its class; -1 for the others."""
    turn: dict[int, int] = {}
    out = []
    for label, kept in zip(y, keep, strict=True):
        turn[label] = turn.get(label, -1) + kept
        out.append(turn[label] % count if kept else -1)
    return out


def write_shard(
    job: Job,
    tmp: Path,
    judged: Judged,
    rows: Samples,
    notes: list[str],
    screens: dict[str, Screen],
    data: Data,
    want: Tensor,
    drawn: int,
    generator: str,
    count: int,
    believed: dict[str, Tensor] | None = None,
) -> None:
    """The first rows of each class up to what was wanted are kept; what passed beyond that is marked "surplus".

    `believed` is what networks may learn from beside them (`label_all`).
    """
    left = want.clone()
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
    if isinstance(agreement := screens.get("agreement"), Agreement):
        values["judged"] = agreement.taken_for(rows)
    dealt = deal(rows.y.tolist(), keep.tolist(), count)
    save_tensors(
        tmp / "rows.safetensors", {**values, **(believed or {}), "y": rows.y, "key": rows.key, "z": rows.z, "keep": keep, "part": torch.tensor(dealt)}
    )
    classes, doubtful = job.spec.classes, doubt(believed, keep) if believed else 0.0
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
    if rows.group is not None and data.train.group is not None:
        own = data.train.take(data.train.key >= 0)
        assert own.group is not None
        names = dict(zip(own.group.tolist(), job.group_names(own.key), strict=True))
        table["group"] = [names.get(g, "") for g in rows.group.tolist()]
    if notes:
        table["note"] = notes
    table |= {f"score_{name}": judged.scores.get(name) or [float("nan")] * len(rows) for name in job.plan.screens}
    write_table(tmp / "table.parquet", table)
    counts = {name: judged.rejected.count(name) for name in (*screens, "surplus")}
    kept = rows.take(keep).counts(len(want))
    findings = []
    short = {classes[k]: {"asked": int(want[k]), "got": int(kept[k])} for k in range(len(want)) if kept[k] < want[k]}
    if short:
        listed = ", ".join(f"{name} {s['got']} of {s['asked']}" for name, s in list(short.items())[:5])
        told = f"too few rows passed the screens after {drawn} were drawn"
        told = f"fewer rows than are wanted have a label that is sure, or pass the screens, of {drawn}" if believed else told
        text = f"{generator}: {told} ({listed}{', ...' if len(short) > 5 else ''})"
        none = any(not s["got"] for s in short.values())
        findings.append(asdict(Finding("AM220", "warning" if none else "info", text, short)))
    if believed:
        sure, taught = int(keep.sum()), int(believed["taught"].sum())
        text = f"{generator}: {sure:,} rows are sure enough to be handed over; "
        learns = f"networks that know less than what labels them learn from {taught:,} by what is believed of each"
        left = "the likeliest labels of the others are more often wrong than right, so nothing learns from them"
        findings.append(asdict(Finding("AM235", "info", text + (learns if doubtful > RIGHT else left), {"taught": taught, "doubtful": doubtful})))
    findings += [asdict(found) for screen in screens.values() for found in screen.remarks()]
    asked = {classes[k]: {"asked": int(want[k]), "got": int(kept[k])} for k in range(len(want))}
    told = {"drawn": drawn, "kept": int(keep.sum()), "rejected": counts, "wanted": asked, "findings": findings}
    write_json(tmp / "facts.json", told | ({"doubtful": doubtful} if believed else {}))


def no_rows(data: Data, generator: str) -> Samples:
    """No row of a generator, in the shape of its rows."""
    none = data.train.take([])
    return Samples.synthetic(generator, none.x, none.y, none.key, z=none.z, group=none.group)


def read_shard(
    path: Path,
    generator: str,
    part: int | None = None,
    cuts: dict[str, float] | None = None,
    weigh: str = "",
    soft: float = 0.0,
    *,
    believed: bool = False,
) -> Samples | None:
    """Kept rows of a shard with their features, all or one part; None if the generator was dropped.

    `cuts` are stricter cuts of some screens: rows that score less there are left out as well. `weigh` and `soft`: see `Policy`. Where rows got their
    label from what is `believed` of them, and that is asked for, all of them are given, with soft labels.
    """
    if not (path / "rows.safetensors").exists():
        return None
    stored = load_tensors(path / "rows.safetensors")
    rows = Samples.synthetic(generator, stored.get("x", stored["z"]), stored["y"], stored["key"], z=stored["z"])
    keep = stored["keep"] if part is None else stored["part"] == part
    believed = believed and "belief" in stored
    if believed:
        keep, rows = stored["taught"], replace(rows, soft=stored["belief"])
    for screen, cut in (cuts or {}).items():
        keep = keep & ~(scores_of(path, screen) < cut)
    if weigh or soft:
        mass = stored["belief"] if believed else one_hot(rows.y, stored["judged"].shape[1]).float()
        mass = torch.lerp(mass, stored["judged"], soft)
        weight = scores_of(path, weigh).nan_to_num(1.0).clamp(min=1e-6).float() if weigh else torch.ones(len(rows))
        rows = replace(rows, soft=mass * weight[:, None])
    return rows.take(keep)


def scores_of(path: Path, screen: str) -> Tensor:
    """What a screen said of every row of a shard; nan of those that it was not shown."""
    column = f"score_{screen}"
    return torch.tensor(read_table(path / "table.parquet", [column])[column], dtype=torch.float64)
