"""Rows from a `diffusers` pipeline that was trained elsewhere: real rows varied (SDEdit, arXiv:2108.01073), redrawn in part, or drawn by words."""

import json
import re
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from augmind.core.errors import UsageError, WrongSpec
from augmind.core.loop import Curves
from augmind.core.plugin import Generator
from augmind.core.run import Finding, Run
from augmind.core.seeds import in_chunks, stable_seed, stream
from augmind.core.tune import tune
from augmind.core.types import Data, Knowledge, Spec
from augmind.modalities.image.adapt import Adapter, adapted, word
from augmind.modalities.image.backbones.prepare import to_colour, to_size
from augmind.modalities.image.painting import Manner, Painter, channels_of, fresh, opened
from augmind.modalities.image.pipelines import LABELLED, able, needed
from augmind.nn import weights

OPTIONS = {"task": ("variation", "inpaint", "prompt"), "adapt": ("none", "lora", "inversion"), "memory": ("auto", "low")}
SIDES = range(8, 2049)
MOST = 256
"""Rows of a class that are kept to begin from; of larger classes the seed of the run picks them."""


@dataclass(kw_only=True)
class Pretrained(Generator):
    """A pipeline of `diffusers` that has seen millions of pictures draws new rows of the classes: Stable Diffusion and its turbo forms, SDXL,
    SD3, Flux, and their like, by Hub id (`augmind models pull ID` fetches it, once) or folder. What it knows comes from elsewhere.

    The row's seed picks the real row that one begins with, and all noise. Rows are enlarged to the size that the pipeline works at and made
    smaller again; grey ones are shown to it in three channels, of which the mean is taken. The defaults suit distilled pipelines such as
    stabilityai/sd-turbo; others want more `points` and `guidance` (stable-diffusion-v1-5: 30 and 7.5). A pipeline's own safety checker is kept:
    rows that it blacks out stay black, are counted (AM224), and are left to the screens.

    task      "variation": a real row of the class is turned partly to noise and denoised; "inpaint": a part of it is drawn anew;
              "prompt": from noise alone. Classes without a row are drawn by words. Pipelines without words (DDPM) can only vary
    strength  which part of the way to noise a row goes: 0 leaves it as it is, 1 keeps nothing of it
    part      of a row that is drawn anew ("inpaint")
    guidance  how closely rows follow the words; 1 lets the denoiser speak for itself
    points    steps of the denoiser, of which `strength` of the way takes its part
    say       what the pipeline is asked for, with {} for the class, or for what --describe says of it
    negative  what it shall not show
    side      the longer side that the pipeline works at; 0: its own
    adapt     "lora": low-rank adapters of this `rank` in its attention learn from the rows; "inversion": a new word a class does
              (`peft`, arXiv:2208.01618); with `steps`, `batch`, `lr`
    memory    "low": half precision, attention and decoding in slices, on a GPU one layer there at a time, one row after the other
    """

    axes: ClassVar[tuple[int, ...]] = (3,)
    waves: ClassVar[bool | None] = False
    knowledge: ClassVar[Knowledge] = Knowledge.pretrained

    model: str = ""
    task: str = "variation"
    strength: float = tune(0.5, 0.05, 1.0)
    part: float = tune(0.4, 0.1, 0.9)
    guidance: float = tune(1.0, 1.0, 15.0)
    points: int = tune(4, 1, 100, log=True)
    say: str = "a photo of {}"
    negative: str = ""
    side: int = 0
    adapt: str = "none"
    steps: int = tune(300, 10, 20_000, log=True)
    batch: int = tune(4, 1, 64, log=True)
    rank: int = tune(8, options=(2, 4, 8, 16, 32, 64))
    lr: float = tune(1e-4, 1e-6, 1e-2, log=True)
    memory: str = "auto"
    describe: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in OPTIONS.items():
            if (value := getattr(self, name)) not in known:
                raise UsageError(f"pretrained: {name}={value!r} is not allowed", help=f"{name} may be one of {', '.join(known)}")
        if "{}" not in self.say:
            raise UsageError(f"pretrained: say={self.say!r} is not allowed", help="{} stands for the class: --set pretrained.say='a drawing of {}'")
        if self.side and self.side not in SIDES:
            way = f"it may be {SIDES.start} to {SIDES.stop - 1}, or 0 for the pipeline's own"
            raise UsageError(f"pretrained: side={self.side} is not allowed", help=way)

    @classmethod
    def refuses(cls, spec: Spec) -> str:
        if reason := super().refuses(spec):
            return reason
        if spec.sides or not spec.bounded or spec.shape[0] not in (1, 3):
            return f"'pretrained' takes grids of 1 or 3 channels, grey or in colour, not shape {spec.shape}"
        return ""

    @property
    def low(self) -> bool:
        return self.memory == "low"

    @property
    def manner(self) -> Manner:
        return Manner(strength=self.strength, guidance=self.guidance, points=self.points, negative=self.negative)

    def ready(self) -> None:
        needed(self.model)
        able(self.model, self.task, self.adapt)

    def source(self) -> str:
        return weights.content(needed(self.model))

    def fit(self, data: Data, run: Run) -> "Pretrained":
        self.require(data.spec)
        self.ready()
        meanings = tuple(self.describe.get(name, re.sub(r"[_/\s-]+", " ", name).strip() or name) for name in data.spec.classes)
        self._built(data.spec, meanings, *self._kept(data, run))
        if self.adapt == "none":
            self.curves_ = Curves()
        else:
            opened.cache_clear()
            painter, blank = fresh(self.model), Adapter(kind=self.adapt, rank=self.rank, meanings=meanings, tensors={})
            x, told = data.spec.to_model(data.train.x), {"steps": self.steps, "batch": self.batch, "lr": self.lr, "thrifty": self.low, "run": run}
            grid = painter.grid(data.spec.shape, self.side)
            self.adapter_, self.curves_ = adapted(painter, to_colour(x), data.train.y, self._texts(painter, blank), blank, grid=grid, **told)
        self._check(self._painter())
        return self

    def _kept(self, data: Data, run: Run) -> tuple[UInt8[Tensor, "m c h w"], Int[Tensor, " k"]]:
        """The rows to begin from, class by class, and how many there are of each."""
        places = [(data.train.y == k).nonzero().squeeze(1) for k in range(data.classes)]
        picked = [own[torch.randperm(len(own), generator=run.rng("pretrained", "rows", k))[:MOST].sort().values] for k, own in enumerate(places)]
        return data.train.x[torch.cat(picked)].clone(), torch.tensor([len(own) for own in picked])

    def _built(self, spec: Spec, meanings: tuple[str, ...], rows: Tensor, counts: Tensor) -> None:
        self.spec_, self.meanings_, self.rows_, self.counts_ = spec, meanings, rows, counts
        self.adapter_: Adapter | None = None
        self.black_, self.drawn_ = 0, 0

    def _painter(self) -> Painter:
        return opened(self.model, self.low, self.adapter_)

    def _texts(self, painter: Painter, adapter: Adapter | None) -> tuple[str, ...]:
        """What the pipeline is asked for, by class."""
        if type(painter.pipe).__name__ in LABELLED:
            return self.meanings_
        words = [word(k) for k in range(len(self.meanings_))] if adapter and adapter.kind == "inversion" else self.meanings_
        return tuple(self.say.replace("{}", own) for own in words)

    def _check(self, painter: Painter) -> None:
        """Raises `UsageError` for a task that the pipeline's network is not made for, `WrongSpec` for a class that can be drawn in no way."""
        if type(painter.pipe).__name__ in LABELLED:
            painter.labels(list(self.meanings_))
        takes, has = channels_of(painter.pipe)
        if takes != has and self.task != "inpaint":
            text = f"pretrained.task={self.task}: the network of '{self.model}' takes {takes} channels of rows with {has}, as those for redrawing do"
            raise UsageError(text, help="--set pretrained.task=inpaint, or name another pipeline")
        bare = [name for name, n in zip(self.spec_.classes, self.counts_.tolist(), strict=True) if not n]
        if bare and (takes != has or "prompt" not in painter.ways):
            text = f"'{self.model}' draws no row without one to begin from, and {', '.join(bare[:5])} has none"
            raise WrongSpec(text, help="leave the class out, or name a pipeline that reads words")

    def sample(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n channels height width"]:
        out, begun = torch.empty(len(y), *self.spec_.shape), self.counts_[y] > 0
        if self.task == "prompt":
            begun = torch.zeros_like(begun)
        for rows, draw in ((begun, self._begun), (~begun, self._asked)):
            if rows.any():
                out[rows] = in_chunks(draw, y[rows], seeds[rows], size=self._painter().together)
        self.black_, self.drawn_ = self.black_ + int((out == -1).flatten(1).all(1).sum()), self.drawn_ + len(out)
        return out

    def _begun(self, y: Int[Tensor, " b"], seeds: Int[Tensor, " b"]) -> Float[Tensor, "b channels height width"]:
        """Rows that begin with real ones."""
        painter = self._painter()
        grid = painter.grid(self.spec_.shape, self.side)
        x = to_size(to_colour(self.spec_.to_model(self.rows_[self._places(y, seeds)])), *grid)
        texts, own = self._asked_for(painter, y), [stable_seed("pretrained", seed) for seed in seeds.tolist()]
        if self.task == "variation":
            return self._shrunk(painter.varied(x, texts, own, self.manner))
        mask = torch.stack([hole(grid, self.part, stream("pretrained", "hole", seed)) for seed in seeds.tolist()])
        return self._shrunk(painter.redrawn(x, mask, texts, own, self.manner))

    def _asked(self, y: Int[Tensor, " b"], seeds: Int[Tensor, " b"]) -> Float[Tensor, "b channels height width"]:
        """Rows by words alone."""
        painter, own = self._painter(), [stable_seed("pretrained", seed) for seed in seeds.tolist()]
        return self._shrunk(painter.drawn(self._asked_for(painter, y), own, self.manner, painter.grid(self.spec_.shape, self.side)))

    def _asked_for(self, painter: Painter, y: Int[Tensor, " b"]) -> list[str]:
        texts = self._texts(painter, self.adapter_)
        return [texts[k] for k in y.tolist()]

    def _places(self, y: Int[Tensor, " b"], seeds: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        """For each row which of the real rows it begins with."""
        begins = self.counts_.cumsum(0) - self.counts_
        picked = [torch.randint(int(self.counts_[k]), (), generator=stream("pretrained", "row", s)) for k, s in zip(y, seeds.tolist(), strict=True)]
        return begins[y] + torch.stack(picked)

    def _shrunk(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b channels height width"]:
        """Rows in the size and channels of the dataset."""
        x = to_size(x, *self.spec_.shape[1:])
        return x.mean(1, keepdim=True) if self.spec_.shape[0] == 1 else x

    def remarks(self) -> list[Finding]:
        if not self.black_:
            return []
        text = f"the safety checker of '{self.model}' blacked out {self.black_} of {self.drawn_} rows; what the screens let pass of them is black"
        return [Finding("AM224", "warning", text, {"black": self.black_, "drawn": self.drawn_})]

    def state(self) -> dict[str, Tensor]:
        learnt = self.adapter_.tensors if self.adapter_ else {}
        said = torch.frombuffer(bytearray(json.dumps(self.meanings_).encode()), dtype=torch.uint8)
        return {"meanings": said, "rows": self.rows_, "counts": self.counts_} | {f"adapter/{name}": own for name, own in learnt.items()}

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Pretrained":
        self.require(spec)
        needed(self.model)
        meanings = tuple(json.loads(state["meanings"].numpy().tobytes()))
        self._built(spec, meanings, state["rows"], state["counts"])
        learnt = {name.removeprefix("adapter/"): own for name, own in state.items() if name.startswith("adapter/")}
        if learnt:
            self.adapter_ = Adapter(kind=self.adapt, rank=self.rank, meanings=meanings, tensors=learnt)
        return self


def hole(grid: tuple[int, int], part: float, rng: torch.Generator) -> Float[Tensor, "1 h w"]:
    """A rectangle of ones, this part of the whole, up to half as long again as wide or the other way round, somewhere in it."""
    longer, down, right = (1.5 ** float(2 * u - 1) if i == 0 else float(u) for i, u in enumerate(torch.rand(3, generator=rng)))
    tall = min(1.0, max(part, (part * longer) ** 0.5))
    height, width = max(1, round(grid[0] * tall)), max(1, round(grid[1] * part / tall))
    top, left = round(down * (grid[0] - height)), round(right * (grid[1] - width))
    mask = torch.zeros(1, *grid)
    mask[:, top : top + height, left : left + width] = 1
    return mask
