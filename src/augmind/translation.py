"""Translation of rows as a tool: a network that learns to undo a degradation, or to turn rows of one folder into those of another.

What it is worth is told on rows that it never saw, beside the rows as they are given and, where something is made larger, cubic interpolation.
"""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from .core.errors import DataError, UsageError, unknown
from .core.run import Run
from .core.seeds import in_chunks, row_seeds, seeded
from .core.store import atomic_write, file_digest, make_folder, read_json, write_json
from .core.tensors import load_tensors, save_tensors, tensor_meta
from .core.types import Codec, Spec
from .data.clean import clean
from .data.dataset import Dataset
from .data.load import unlabelled
from .data.split import split
from .nn.degrade import COLOURED, DEGRADATIONS, blocky
from .nn.pix2pix import Lesson, Translator, learn
from .report.translated import measures, sheet

HELD_OUT, LEAST = 0.2, 10
"""Part of the rows that figures are made of, and how many rows there have to be in all."""
GIVEN, CUBIC, TRANSLATED = "as given", "bicubic", "translated"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a translator is to learn from; stands in `request.json`."""

    data: str
    task: str
    steps: int = 2000
    batch: int = 16
    width: int = 24
    lr: float = 1e-3
    adversarial: float = 0.01
    test: float = HELD_OUT
    size: int | None = None
    seed: int = 0


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

    def of(self, rows: Int[Tensor, " b"], task: str, seeds: Int[Tensor, " b"]) -> tuple[Float[Tensor, "b i h w"], Float[Tensor, "b o h w"]]:
        """What is given and what is wanted, in model space."""
        wanted = self.spec.to_model(self.wanted[rows])
        return (DEGRADATIONS[task](wanted, seeds) if self.given is None else self.spec.to_model(self.given[rows])), wanted


def gathered(asked: Request) -> Pairs:
    """The pairs of a request. Raises `UsageError` for a task that is none, `DataError` for rows that it cannot be done with."""
    own = asked.task in DEGRADATIONS
    if not own and not Path(asked.task).expanduser().exists():
        raise unknown("task, and no folder either,", asked.task, DEGRADATIONS)
    source = clean(unlabelled(asked.data, size=asked.size))
    if len(source.spec.shape) != 3:
        raise DataError(
            f"rows of '{source.name}' are no grids, and only these are translated", help="give a folder of files such as PNG, JPEG or WAV"
        )
    if own and asked.task in COLOURED and source.spec.shape[0] < 3:
        raise DataError(f"'{asked.task}' needs rows with colour to learn from, and those of '{source.name}' have none", help="give coloured rows")
    given, wanted, names = (None, source, names_of(source)) if own else matched(source, asked.task)
    found = split(wanted, folds=2, test=asked.test, seed=asked.seed)
    if len(wanted.samples) < LEAST:
        raise DataError(f"{len(wanted.samples)} pairs are too few to learn from and to test on", help=f"give {LEAST} or more")
    place = {int(k): i for i, k in enumerate(wanted.samples.key)}
    learnt, held = (torch.tensor([place[i] for i in ids if i in place]) for ids in (found.folds[0].train, found.folds[0].test))
    return Pairs(spec=wanted.spec, codec=wanted.codec, given=given, wanted=wanted.samples.x, names=names, held_out=held, learnt=learnt)


def names_of(dataset: Dataset) -> list[str]:
    return [str(Path(dataset.row(int(k)).source).with_suffix("")) for k in dataset.samples.key]


def matched(source: Dataset, folder: str) -> tuple[Tensor, Dataset, list[str]]:
    """Rows of one folder with those of the same names in another. Raises `DataError` where none match."""
    target = unlabelled(folder, size=tuple(source.spec.shape[1:]))  # pyright: ignore[reportArgumentType]
    mine, theirs = ({name: i for i, name in enumerate(names_of(one))} for one in (source, target))
    both = [name for name in theirs if name in mine]
    if not both:
        text = f"no file of '{target.name}' has the name of one of '{source.name}'"
        raise DataError(text, help="give two folders in which the files of a pair have the same name, such as a/1.png and b/1.png")
    keep = torch.zeros(len(target.samples), dtype=torch.bool)
    keep[[theirs[name] for name in both]] = True
    kept = replace(target, samples=target.samples.take(keep))
    names = names_of(kept)
    return source.samples.x[[mine[name] for name in names]], kept, names


def translate(asked: Request, out: Path, run: Callable[[Path], Run] | None = None) -> dict[str, Any]:
    """Learns to translate, and leaves the translator, its figures, a sheet and the held-out rows translated in a folder.

    The same call goes on after an interruption; a finished one is left as it is. Raises `UsageError` for a folder that holds another one.
    """
    record, figures = asdict(asked) | {"data": str(Path(asked.data).expanduser().resolve())}, out / "figures.json"
    if (out / "request.json").is_file():
        before = read_json(out / "request.json")
        if changed := [f"{k}: {before.get(k)} then, {v} now" for k, v in record.items() if before.get(k) != v]:
            raise UsageError(f"'{out}' was begun with other settings ({'; '.join(changed)})", help="give another --out")
        if figures.is_file():
            return read_json(figures)
    elif out.exists() and any(out.iterdir()):
        raise UsageError(f"'{out}' is not empty", help="give a new folder with --out")
    pairs = gathered(asked)
    make_folder(out)
    write_json(out / "request.json", record)
    where = (run or plain)(out)
    net = taught(pairs, asked, where)
    about = {"spec": pairs.spec.to_json(), "codec": pairs.codec.name, "task": asked.task if pairs.given is None else "", "width": asked.width}
    save_tensors(out / "translator.safetensors", {k: v.cpu() for k, v in net.state_dict().items()}, about | {"inputs": net.inputs})
    found = judged(net, pairs, asked.task, asked.seed)
    shown, answers = found.pop("shown"), found.pop("answers")
    atomic_write(out / "sheet.png", shown)
    put(out / "held-out", [pairs.names[i] for i in pairs.held_out.tolist()], pairs.codec, answers)
    shutil.rmtree(out / "checkpoint", ignore_errors=True)
    write_json(figures, found | {"task": asked.task, "learnt": len(pairs.learnt), "steps": asked.steps})
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
    rows = pairs.held_out
    given, wanted = pairs.of(rows, task, row_seeds(len(rows), "held out", seed))
    answer = answered(net, given)
    arms = {GIVEN: given} if given.shape == wanted.shape else {}
    if task == "super-resolution" and pairs.given is None:
        arms = {GIVEN: blocky(wanted), CUBIC: given}
    stored = {name: pairs.spec.to_store(x) for name, x in {**arms, TRANSLATED: answer, "truth": wanted}.items()}
    truth = stored.pop("truth")
    by_arm = {name: measures(x, truth, pairs.codec) for name, x in stored.items()}
    told = {name: {figure: summary(v) for figure, v in figures.items()} for name, figures in by_arm.items()}
    out: dict[str, Any] = {"rows": len(rows), "arms": told, "gains": {}, "answers": stored[TRANSLATED]}
    if arms:
        best = max(arms, key=lambda name: float(by_arm[name]["psnr"].mean()))
        out["against"] = best
        out["gains"] = {figure: summary(v - by_arm[best][figure]) for figure, v in by_arm[TRANSLATED].items()}
    columns = {GIVEN: pairs.spec.to_store(given), **stored, "true": truth}
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
    for name, data in zip(names, codec.files(x, [True] * len(x)), strict=True):
        path = folder / f"{name}{codec.suffix}"
        make_folder(path.parent)
        atomic_write(path, data)


def apply(translator: Path, data: str, out: Path) -> int:
    """Translates the files of a folder with a translator that was learnt before; returns how many. `out` must be new."""
    file = translator / "translator.safetensors"
    if not file.is_file():
        raise UsageError(f"'{translator}' holds no translator", help="give a folder that `augmind translate` has finished")
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"'{out}' is not empty", help="give a new folder with --out")
    about = tensor_meta(file)
    spec = Spec.from_json(about["spec"])
    rows = unlabelled(data, size=tuple(spec.shape[1:]))  # pyright: ignore[reportArgumentType]
    if rows.codec.name != about["codec"] or rows.spec.shape[1:] != spec.shape[1:]:
        raise DataError(f"'{rows.name}' holds rows of shape {rows.spec.shape}, and the translator learnt {spec.shape}", help="give rows of that kind")
    x = rows.samples.x
    if x.shape[1] == 1 and about["inputs"] > 1:
        x = x.expand(-1, about["inputs"], -1, -1)
    if x.shape[1] != about["inputs"]:
        raise DataError(f"'{rows.name}' has rows of {x.shape[1]} channels, and the translator takes {about['inputs']}", help="convert them first")
    net = Translator(about["inputs"], *spec.shape, hidden=about["width"])
    net.load_state_dict(load_tensors(file))
    answer = spec.to_store(answered(net.eval(), spec.to_model(x)))
    codec = replace(rows.codec, spec=spec)  # pyright: ignore[reportArgumentType, reportCallIssue]
    put(out, names_of(rows), codec, answer)
    write_json(out / "translated.json", {"translator": file_digest(file), "rows": len(answer), "task": about["task"]})
    return len(answer)
