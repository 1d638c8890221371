"""Translation of rows as a tool: a network that learns to undo a degradation, or to turn rows of one folder into those of another.

What it is worth is told on rows that it never saw, beside the rows as they are given and, where something is made larger, cubic interpolation.
"""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from . import __version__
from .conduct import begin, placed, refuse_other
from .core.errors import DataError, UsageError, unknown
from .core.run import Run
from .core.seeds import in_chunks, row_seeds, seeded
from .core.store import atomic_write, digest, file_digest, locked, make_folder, read_json, write_json
from .core.tensors import load_tensors, save_tensors, tensor_meta
from .core.types import Codec, Spec
from .data.clean import clean
from .data.dataset import Dataset
from .data.export import into_folder
from .data.load import unlabelled
from .data.split import split, units
from .data.stamp import stamp
from .nn.degrade import COLOURED, DEGRADATIONS, blocky, degradation
from .nn.pix2pix import Lesson, Translator, learn
from .report.translated import measures, sheet

HELD_OUT, LEAST, FEWEST = 0.2, 10, 2
"""Part of the rows that figures are made of, and how many rows there have to be in all and in this part."""
GIVEN, CUBIC, TRANSLATED, TRUE = "as given", "bicubic", "translated", "true"
BLOCK = 64
"""Rows that are worked on together."""


class Request(BaseModel):
    """What a translator is to learn from, and how: equal requests give equal results. Stands in `request.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    task: str
    steps: int = Field(2000, ge=50, le=1_000_000)
    batch: int = Field(16, ge=4, le=128)
    width: int = Field(24, ge=8, le=128)
    lr: float = Field(1e-3, ge=1e-5, le=4e-3)
    adversarial: float = Field(0.01, ge=0, le=0.1)
    test: float = Field(HELD_OUT, ge=0.05, le=0.5)
    size: int | None = None
    group: str | None = None
    seed: int = Field(0, ge=0, lt=2**31)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Rows as given and as wanted, stored, one by one; `names` are those of their files. `given` is None where a degradation makes them."""

    spec: Spec
    codec: Codec
    given: UInt8[Tensor, "n i h w"] | None
    wanted: UInt8[Tensor, "n o h w"]
    names: list[str]
    held_out: Int[Tensor, " m"]
    learnt: Int[Tensor, " l"]
    left_out: list[str]
    """Files that could not be read, each with the reason."""

    def of(self, rows: Int[Tensor, " b"], task: str, seeds: Int[Tensor, " b"]) -> tuple[Float[Tensor, "b i h w"], Float[Tensor, "b o h w"]]:
        """What is given and what is wanted, in model space."""
        wanted = self.spec.to_model(self.wanted[rows])
        return (degradation(task, self.spec, self.codec)(wanted, seeds) if self.given is None else self.spec.to_model(self.given[rows])), wanted


def gathered(asked: Request) -> Pairs:
    """The pairs of a request. Raises `UsageError` for a task that is none, `DataError` for rows that it cannot be done with."""
    own = asked.task in DEGRADATIONS
    if not own and not Path(asked.task).expanduser().exists():
        raise unknown("task, and no folder either,", asked.task, DEGRADATIONS)
    source = unlabelled(asked.data, size=asked.size, group=asked.group)
    if len(source.spec.shape) != 3:
        raise DataError(
            f"rows of '{source.name}' are no grids, and only these are translated", help="give a folder of files such as PNG, JPEG or WAV"
        )
    if own and asked.task in COLOURED and source.spec.shape[0] < 3:
        raise DataError(f"'{asked.task}' needs rows with colour to learn from, and those of '{source.name}' have none", help="give coloured rows")
    given, wanted = (None, clean(source)) if own else matched(source, asked.task, asked.group)
    if len(wanted.samples) * min(asked.test, 1 - asked.test) < FEWEST or len(wanted.samples) < LEAST:
        text = f"{len(wanted.samples)} different rows are too few to learn from and to test on"
        raise DataError(text, help=f"give {max(LEAST, round(FEWEST / asked.test))} or more")
    found = split(wanted, folds=2, test=asked.test, seed=asked.seed, group_aware=asked.group is not None)
    place = {int(k): i for i, k in enumerate(wanted.samples.key)}
    learnt, held = (torch.tensor([place[i] for i in ids if i in place]) for ids in (found.folds[0].train, found.folds[0].test))
    names = names_of(wanted)
    return Pairs(
        spec=wanted.spec,
        codec=wanted.codec,
        given=given,
        wanted=wanted.samples.x,
        names=names,
        held_out=held,
        learnt=learnt,
        left_out=left_out(source),
    )


def left_out(dataset: Dataset) -> list[str]:
    """Files that could not be read, each with the reason."""
    return [f"{row.source}: {row.reason}" for row in dataset.rows if row.status == "corrupt"]


def names_of(dataset: Dataset) -> list[str]:
    """The path of every row without its ending; with it, where two rows would have one name."""
    sources = [Path(dataset.row(int(k)).source) for k in dataset.samples.key]
    often = Counter(str(source.with_suffix("")) for source in sources)
    return [name if often[name := str(s.with_suffix(""))] == 1 else f"{name}-{s.suffix[1:]}" for s in sources]


def matched(source: Dataset, folder: str, group: str | None = None) -> tuple[UInt8[Tensor, "n i h w"], Dataset]:
    """Rows of one folder for those of the same names in another, which keep what links either side. Raises `DataError` where none match."""
    target = unlabelled(folder, like=source.spec, group=group)
    mine, theirs = ({name: i for i, name in enumerate(names_of(one))} for one in (source, target))
    both = {mine[name]: i for name, i in theirs.items() if name in mine}
    if not both:
        text = f"no file of '{target.name}' has the name of one of '{source.name}'"
        raise DataError(text, help="give two folders in which the files of a pair have the same name, such as a/1.png and b/1.png")
    keep = torch.zeros(len(target.samples), dtype=torch.bool)
    keep[list(both.values())] = True
    kept, own = replace(target, samples=target.samples.take(keep)), kin_of(source)
    linked = units([own[i] for i in both], kin_of(kept))
    rows = list(kept.rows)
    for key, unit in zip(kept.samples.key.tolist(), linked.tolist(), strict=True):
        rows[key] = replace(rows[key], kin=unit)
    return source.samples.x[list(both)], replace(kept, rows=tuple(rows))


def kin_of(dataset: Dataset) -> list[int]:
    """What links each row with those that are its exact or near duplicates; all rows stay."""
    found = clean(dataset)
    return [found.row(int(k)).kin for k in dataset.samples.key]


def translate(asked: Request, out: Path, run: Callable[[Path], Run] | None = None) -> dict[str, Any]:
    """Learns to translate, and leaves the translator, its figures, a sheet and the held-out rows translated in a folder.

    The same call goes on after an interruption; a finished one is left as it is. Raises `UsageError` for a folder that holds another one, and
    `DataError` where the files changed since.
    """
    read = [asked.data, *([] if asked.task in DEGRADATIONS else [asked.task])]
    data, task = placed(asked.data), asked.task if asked.task in DEGRADATIONS else placed(asked.task)
    record = {"config": asked.model_dump(mode="json") | {"data": data, "task": task}, "data": data, "augmind": __version__}
    record["stamp"], path, figures = digest(*map(stamp, read)), out / "request.json", out / "figures.json"
    begun = path.is_file()
    if begun:
        defaults = {k: f.get_default() for k, f in Request.model_fields.items()}
        refuse_other(out, read_json(path), record, defaults, resume="")
        if figures.is_file():
            return read_json(figures)
    pairs = gathered(asked)
    if not begun:
        begin(out, *read)
        write_json(path, record)
    with locked(out):
        net = taught(pairs, asked, (run or plain)(out))
        about = {"spec": pairs.spec.to_json(), "codec": pairs.codec.name, "task": asked.task, "width": asked.width, "inputs": net.inputs}
        save_tensors(out / "translator.safetensors", {k: v.cpu() for k, v in net.state_dict().items()}, about)
        found = judged(net, pairs, asked.task, asked.seed)
        shown, answers = found.pop("shown"), found.pop("answers")
        atomic_write(out / "sheet.png", shown)
        put(out / "held-out", [pairs.names[i] for i in pairs.held_out.tolist()], pairs.codec, answers)
        shutil.rmtree(out / "checkpoint", ignore_errors=True)
        write_json(figures, found | {"task": asked.task, "learnt": len(pairs.learnt), "steps": asked.steps, "left_out": pairs.left_out})
    return read_json(figures)


@dataclass(frozen=True, kw_only=True)
class Told(Run):
    """A run whose progress somebody is told."""

    tell: Callable[..., None]

    def progress(self, done: int, total: int, **fields: Any) -> None:
        super().progress(done, total, **fields)
        self.tell(done, total, **fields)


def plain(folder: Path) -> Run:
    return Run(folder=folder, label="translate", checkpoints=folder / "checkpoint")


def taught(pairs: Pairs, asked: Request, run: Run) -> Translator:
    inputs = pairs.wanted.shape[1] if pairs.given is None else pairs.given.shape[1]
    run = replace(run, seed=asked.seed)
    with seeded(run.seed_for("translate", "weights")):
        net = Translator(inputs, *pairs.spec.shape, hidden=asked.width).to(run.device)

    def drawn(rows: Tensor) -> tuple[Tensor, Tensor]:
        return pairs.of(pairs.learnt[rows], asked.task, torch.randint(2**31, (len(rows),)))

    lesson = Lesson(steps=asked.steps, batch=asked.batch, lr=asked.lr, adversarial=asked.adversarial)
    learn(net, len(pairs.learnt), drawn, lesson, run, "translate", asked.width)
    return net.eval()


@torch.no_grad()
def answered(net: Translator, given: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h w"]:
    device = next(net.parameters()).device
    return in_chunks(lambda x: net(x.to(device)).float().cpu().clamp(-1, 1), given, size=32)


# Figures


def judged(net: Translator, pairs: Pairs, task: str, seed: int) -> dict[str, Any]:
    """PSNR, SSIM and the distance of features by arm, on held-out rows; the gain over the best of the others; the sheet and the answers."""
    rows, seeds, parts = pairs.held_out, row_seeds(len(pairs.held_out), "held out", seed), list[dict[str, Tensor]]()
    for own, drawn in zip(rows.split(BLOCK), seeds.split(BLOCK), strict=True):
        given, wanted = pairs.of(own, task, drawn)
        arms = {GIVEN: given}
        if task == "super-resolution" and pairs.given is None:
            arms = {GIVEN: blocky(wanted), CUBIC: given}
        parts.append({name: pairs.spec.to_store(x) for name, x in {**arms, TRANSLATED: answered(net, given), TRUE: wanted}.items()})
    columns = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    truth = columns[TRUE]
    stored = {name: x for name, x in columns.items() if name != TRUE and x.shape == truth.shape}
    z = pairs.codec.embed(truth)
    by_arm = {name: measures(x, truth, pairs.codec.embed(x), z) for name, x in stored.items()}
    told = {name: {figure: summary(v) for figure, v in figures.items()} for name, figures in by_arm.items()}
    out: dict[str, Any] = {"rows": len(rows), "arms": told, "gains": {}, "answers": stored[TRANSLATED]}
    if others := [name for name in stored if name != TRANSLATED]:
        best = max(others, key=lambda name: float(by_arm[name]["psnr"].mean()))
        out["against"] = best
        out["gains"] = {figure: summary(v - by_arm[best][figure]) for figure, v in by_arm[TRANSLATED].items()}
    return out | {"sentence": sentence(out, task if pairs.given is None else Path(task).name), "shown": sheet(columns, pairs.codec)}


def summary(values: Float[Tensor, " n"]) -> dict[str, float]:
    """Mean with its 95 % t interval over rows."""
    from scipy.stats import t

    n, mean = len(values), float(values.double().mean())
    half = float(t.ppf(0.975, n - 1)) * float(values.double().std()) / n**0.5 if n > 1 else float("nan")
    return {"mean": mean, "low": mean - half, "high": mean + half}


def sentence(found: dict[str, Any], task: str) -> str:
    """What was found, in one line."""
    own, rows = found["arms"][TRANSLATED]["psnr"], found["rows"]
    if not found["gains"]:
        return f"{task}: {own['mean']:.1f} dB ({own['low']:.1f} to {own['high']:.1f}) on {rows} held-out rows"
    gain = found["gains"]["psnr"]
    verdict = "better" if gain["low"] > 0 else "worse" if gain["high"] < 0 else "not proven to be better"
    sure = f"{gain['mean']:+.2f} dB ({gain['low']:+.2f} to {gain['high']:+.2f})"
    return f"{task}: {verdict} than {found['against']} by PSNR, {own['mean']:.1f} dB, {sure} on {rows} held-out rows"


# Files


def put(folder: Path, names: list[str], codec: Codec, x: UInt8[Tensor, "n c h w"]) -> None:
    """Writes rows as files, marked as synthetic, under the names of the rows that they were made of."""
    for at in range(0, len(x), BLOCK):
        some = x[at : at + BLOCK]
        for name, data in zip(names[at : at + BLOCK], codec.files(some, [True] * len(some)), strict=True):
            path = folder / f"{name}{codec.suffix}"
            make_folder(path.parent)
            atomic_write(path, data)


def apply(translator: Path, data: str, out: Path) -> dict[str, Any]:
    """Translates the files of a folder into a new one, all or nothing, with a translator that was learnt before; how many, and which not."""
    file = translator / "translator.safetensors"
    if not file.is_file():
        raise UsageError(f"'{translator}' holds no translator", help="give a folder that `augmind translate` has finished")
    about = tensor_meta(file)
    spec = Spec.from_json(about["spec"])
    rows = unlabelled(data, like=spec)
    if rows.codec.name != about["codec"] or rows.spec.shape[1:] != spec.shape[1:] or rows.spec.rate != spec.rate:
        raise DataError(f"'{rows.name}' holds rows of another kind than the translator learnt", help="give files of the kind that it learnt from")
    x = rows.samples.x
    if x.shape[1] == 1 and about["inputs"] == 3:
        x = x.expand(-1, 3, -1, -1)
    if x.shape[1] != about["inputs"]:
        raise DataError(f"'{rows.name}' has rows of {x.shape[1]} channels, and the translator takes {about['inputs']}", help="convert them first")
    net = Translator(about["inputs"], *spec.shape, hidden=about["width"])
    net.load_state_dict(load_tensors(file))
    net.eval()
    names, codec = names_of(rows), replace(rows.codec, spec=spec)  # pyright: ignore[reportArgumentType, reportCallIssue]

    def fill(tmp: Path) -> None:
        for at in range(0, len(x), BLOCK):
            answer = answered(net, spec.to_model(x[at : at + BLOCK]))
            put(tmp, names[at : at + BLOCK], codec, spec.to_store(answer))
        write_json(tmp / "translated.json", {"translator": file_digest(file), "task": about["task"]} | told)

    told: dict[str, Any] = {"rows": len(x), "left_out": left_out(rows)}
    into_folder(out, fill)
    return told
