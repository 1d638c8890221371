"""An opened `diffusers` pipeline that varies rows, redraws a part of them, or draws them by words, every row by random numbers of its own."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from augmind.core.errors import UsageError, WrongSpec, first_line
from augmind.core.loop import has_bfloat16
from augmind.core.seeds import seeded

from .pipelines import LABELLED, UNCONDITIONAL, WAY, WHAT, classes, halved, hushed, needed, tasks

SIDE = 512
"""The side at which a pipeline works that does not say which."""
TOGETHER = {"cpu": 2, "cuda": 8}
"""Rows that are drawn at once. Blocks of one size make a row the same whatever is drawn beside it."""
ERRORS = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError, OverflowError)
"""What the libraries raise for files that are damaged or do not fit together."""


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How rows are drawn: how far from the row that one begins with (0 to 1), how closely by its words, in how many steps, and what is not wanted."""

    strength: float = 0.5
    guidance: float = 1.0
    points: int = 4
    negative: str = ""

    @property
    def steps(self) -> int:
        """Steps of the whole way, of which `strength` is the part that is gone; at least one step is."""
        return max(self.points, ceil(1 / self.strength))


@dataclass(frozen=True, kw_only=True, eq=False)
class Painter:
    """A pipeline on the device that it works on. `ways` has the form of it that does each task that it can be asked for; all share their weights."""

    name: str
    pipe: Any
    ways: dict[str, Any]
    device: torch.device
    together: int

    @property
    def denoiser(self) -> nn.Module:
        return denoiser(self.pipe)

    def grid(self, shape: tuple[int, ...], side: int) -> tuple[int, int]:
        """The height and width at which rows of this shape are drawn: the longer is `side`, or the pipeline's own where that is 0."""
        step, (height, width) = step_of(self.pipe), shape[1:]
        scale = (side or side_of(self.pipe)) / max(height, width)
        return max(step, round(height * scale / step) * step), max(step, round(width * scale / step) * step)

    def varied(self, x: Float[Tensor, "n 3 h w"], texts: list[str], seeds: Sequence[int], manner: Manner) -> Float[Tensor, "n 3 h w"]:
        """Rows partly turned to noise and denoised again (SDEdit, arXiv:2108.01073), towards what the texts say where the pipeline reads any."""
        if type(self.pipe).__name__ in UNCONDITIONAL:
            return self._renoised(x, seeds, manner)
        return self._called("variation", texts, seeds, manner, (x.shape[2], x.shape[3]), image=(x + 1) / 2)

    def redrawn(
        self, x: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"], texts: list[str], seeds: Sequence[int], manner: Manner
    ) -> Float[Tensor, "n 3 h w"]:
        """Rows of which the part under the mask is drawn anew, and the rest stays as it was."""
        new = self._called("inpaint", texts, seeds, manner, (x.shape[2], x.shape[3]), image=(x + 1) / 2, mask_image=mask)
        return torch.where(mask > 0.5, new, x)

    def drawn(self, texts: list[str], seeds: Sequence[int], manner: Manner, grid: tuple[int, int]) -> Float[Tensor, "n 3 h w"]:
        """Rows that show what the texts say. Raises as `labels`."""
        more = {"class_labels": self.labels(texts)} if type(self.pipe).__name__ in LABELLED else {}
        return self._called("prompt", texts, seeds, manner, grid, **more)

    def labels(self, names: list[str]) -> list[int]:
        """What a pipeline that was trained on classes calls these. Raises `WrongSpec` for a name that is none of them."""
        try:
            return self.pipe.get_label_ids(names)
        except ValueError as error:
            way = "--describe CLASS=NAME says what it calls a class"
            raise WrongSpec(f"'{self.name}' was not trained on it: {first_line(error)}", help=way) from error

    @torch.no_grad()
    def _called(self, task: str, texts: list[str], seeds: Sequence[int], manner: Manner, grid: tuple[int, int], **more: Any) -> Tensor:
        """The pipeline called with what its form for this task takes of all this; rows in [-1, 1]."""
        way = self.ways[task]
        given: dict[str, Any] = {
            "prompt": texts,
            "negative_prompt": [manner.negative] * len(texts) if manner.negative else None,
            "height": grid[0],
            "width": grid[1],
            "num_inference_steps": manner.points if task == "prompt" else manner.steps,
            "strength": manner.strength,
            "guidance_scale": manner.guidance,
            "generator": generators(seeds),
            "output_type": "pt",
        } | more
        known = inspect.signature(type(way).__call__).parameters
        try:
            with hushed(), seeded(0):
                images = way(**{name: value for name, value in given.items() if name in known}).images
        except ERRORS as error:
            raise self._wrong(first_line(error)) from error
        return self._rows(images)

    @torch.no_grad()
    def _renoised(self, x: Float[Tensor, "n 3 h w"], seeds: Sequence[int], manner: Manner) -> Float[Tensor, "n 3 h w"]:
        scheduler, own, net = self.pipe.scheduler, generators(seeds), self.pipe.unet
        given = {"generator": own} if "generator" in inspect.signature(scheduler.step).parameters else {}
        with hushed(), seeded(0):
            scheduler.set_timesteps(manner.steps)
            times = scheduler.timesteps[-max(1, int(manner.steps * manner.strength)) :]
            noise = torch.cat([torch.randn((1, *x.shape[1:]), generator=g) for g in own])
            x = scheduler.add_noise(x.to(self.device, net.dtype), noise.to(self.device, net.dtype), times[:1].repeat(len(x)))
            for t in times:
                x = scheduler.step(net(scheduler.scale_model_input(x, t), t).sample, t, x, **given).prev_sample
        return self._rows((x + 1) / 2)

    def _rows(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        x = images.float().cpu() * 2 - 1
        if not torch.isfinite(x).all():
            raise self._wrong("what it drew is not finite")
        return x.clamp(-1, 1)

    def _wrong(self, why: str) -> UsageError:
        way = "try pretrained.memory=low, another pretrained.side or another pipeline"
        return UsageError(f"the {WHAT} '{self.name}' cannot draw: {why}", help=way)


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One a row, on the processor: the same numbers on every device."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def denoiser(pipe: Any) -> Any:
    return getattr(pipe, "transformer", None) or pipe.unet


def side_of(pipe: Any) -> int:
    """The side that the rows had which a pipeline was trained on."""
    size = getattr(denoiser(pipe).config, "sample_size", None) or getattr(pipe, "default_sample_size", None)
    return (max(size) if isinstance(size, list | tuple) else size) * scale_of(pipe) if size else SIDE


def scale_of(pipe: Any) -> int:
    """How many times as long the sides of a row are as those of its latents."""
    vae = getattr(pipe, "vae", None)
    if vae is None:
        return 1
    return getattr(pipe, "vae_scale_factor", None) or 2 ** (len(vae.config.block_out_channels) - 1)


def step_of(pipe: Any) -> int:
    """What the sides of a row are multiples of, so that the network can halve them or cut them to patches."""
    about = denoiser(pipe).config
    halvings = 2 ** (len(about.down_block_types) - 1) if "down_block_types" in about else about.get("patch_size") or 1
    known = getattr(getattr(pipe, "image_processor", None), "config", {}).get("vae_scale_factor", 1)
    return max(scale_of(pipe) * halvings, known)


def channels_of(pipe: Any) -> tuple[int, int]:
    """How many channels a denoiser takes, and how many rows have as it sees them."""
    vae, net = getattr(pipe, "vae", None), denoiser(pipe)
    own = vae.config.latent_channels if vae is not None else 3
    return net.config.in_channels, own * (4 if hasattr(pipe, "_pack_latents") else 1)


def placed(low: bool) -> tuple[torch.device, torch.dtype]:
    """Where a pipeline works and in which precision: half of it on a GPU, and on a processor that can where memory is low."""
    if torch.cuda.is_available():
        return torch.device("cuda"), torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    cpu = torch.device("cpu")
    return cpu, torch.bfloat16 if low and has_bfloat16(cpu) else torch.float32


def fresh(name: str, low: bool = False, change: Callable[[Any], object] | None = None) -> Painter:
    """A pipeline ready to draw; `change` is called with it before it is moved to its device.

    `low`: attention and decoding in slices and tiles, and on a GPU one layer there at a time. Raises as `loaded`.
    """
    device, dtype = placed(low)
    pipe, ways = loaded(name, dtype)
    if change:
        change(pipe)
    if low:
        thrifty(pipe, device)
    else:
        pipe.to(device)
    return Painter(name=name, pipe=pipe, ways=ways, device=device, together=1 if low else TOGETHER[device.type])


opened = lru_cache(maxsize=1)(fresh)
"""`fresh`, of which the last one is kept for the next call."""


def thrifty(pipe: Any, device: torch.device) -> None:
    """Less memory, more time."""
    with hushed():
        pipe.enable_attention_slicing()
        if (vae := getattr(pipe, "vae", None)) is not None and hasattr(vae, "enable_slicing"):
            vae.enable_slicing()
            vae.enable_tiling()
        if device.type == "cuda":
            pipe.enable_sequential_cpu_offload(device=device)


def loaded(name: str, dtype: torch.dtype) -> tuple[Any, dict[str, Any]]:
    """A pipeline on the processor, and its form for every task.

    Raises `UsageError` for files that are damaged, lack weights or do not fit together, and as `classes`.
    """
    from safetensors import SafetensorError

    path = needed(name)
    kind, parts = classes(name)
    try:
        with hushed(), seeded(0):
            from diffusers.pipelines.pipeline_utils import DiffusionPipeline

            nets: dict[str, Any] = {part: None for part, own in parts.items() if own is None}
            nets |= {part: _net(path / part, own, dtype) for part, own in parts.items() if own and issubclass(own, nn.Module)}
            pipe = DiffusionPipeline.from_pretrained(path, **nets, local_files_only=True, trust_remote_code=False)
            pipe.set_progress_bar_config(disable=True)
            return pipe, {task: _form(task, pipe) for task in tasks(kind)}
    except (*ERRORS, SafetensorError) as error:
        raise UsageError(f"'{name}' cannot be opened as a {WHAT}: {first_line(error)}", help=WAY) from error


def _net(folder: Path, kind: Any, dtype: torch.dtype) -> nn.Module:
    """A network of a pipeline in eval mode. Raises `ValueError` where its files lack weights, which would be drawn at random."""
    given = {"variant": "fp16"} if halved(folder) else {}
    net, told = kind.from_pretrained(folder, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True, **given)
    if lacking := sorted({*told["missing_keys"], *(str(key) for key, *_ in told["mismatched_keys"])}):
        raise ValueError(f"'{folder.name}' lacks {len(lacking)} of its weights, such as {lacking[0]}")
    return net.eval().requires_grad_(False)


def _form(task: str, pipe: Any) -> Any:
    """The form of a pipeline that does this task."""
    import diffusers

    if type(pipe).__name__ in (*UNCONDITIONAL, *LABELLED):
        return pipe
    kinds = {"variation": "AutoPipelineForImage2Image", "inpaint": "AutoPipelineForInpainting", "prompt": "AutoPipelineForText2Image"}
    way = getattr(diffusers, kinds[task]).from_pipe(pipe)
    way.set_progress_bar_config(disable=True)
    return way
