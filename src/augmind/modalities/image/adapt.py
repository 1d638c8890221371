"""A `diffusers` pipeline bent to the user's rows: low-rank adapters in its attention (LoRA, arXiv:2106.09685) or a new word a class (textual
inversion, arXiv:2208.01618). The pipeline itself stays as it is; what is learnt are a few small tensors."""

import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from inspect import signature, unwrap
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.optim import AdamW

from augmind.core.errors import UsageError
from augmind.core.loop import Curves, autocast, cosine, descend
from augmind.core.run import Run
from augmind.core.seeds import seeded
from augmind.nn.lora import ADAPTER, fits, put_into

from .backbones.prepare import to_size
from .painting import Painter, channels_of, denoiser
from .pipelines import hushed

ATTENTION = re.compile(r"(to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)$")
"""The projections of attention in the networks of diffusers."""
FASTER = 10.0
"""Words learn at so many times the rate of adapters."""
WORD = "<augmind-{}>"
LEGACY_END = 2
"""An end of texts in the settings of old encoders that stands for the token of the highest number; a new word would be taken for it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Adapter:
    """What was learnt of rows: called with a pipeline, it is put into it.

    `kind` is "lora" or "inversion", `meanings` say in words what each class is.
    """

    kind: str
    rank: int
    meanings: tuple[str, ...]
    tensors: dict[str, Tensor]

    def __call__(self, pipe: Any) -> None:
        with seeded(0), torch.no_grad():
            for name, own in learnable(pipe, self.kind, self.rank, self.meanings).items():
                own.copy_(self.tensors[name])


def word(k: int) -> str:
    """The word that stands for class `k` after textual inversion."""
    return WORD.format(k)


def learnable(pipe: Any, kind: str, rank: int, meanings: Sequence[str]) -> dict[str, nn.Parameter]:
    """Changes a pipeline so that it can learn, at first to no effect, and gives what is to be learnt, by name. Raises `UsageError` where
    nothing fits.

    Initial values of adapters come from torch's global random state, those of words from the words that say what the class is.
    """
    if kind == "lora":
        net = denoiser(pipe)
        names = [name for name, part in net.named_modules() if fits(part) and ATTENTION.search(name)]
        if not names:
            raise UsageError(f"pretrained.adapt=lora: '{type(net).__name__}' has no attention that an adapter fits", help="leave it out")
        put_into(net, rank, names)
        own = {name: parameter for name, parameter in net.named_parameters() if ADAPTER in name}
    else:
        readers = [name for name in ("text_encoder", "text_encoder_2", "text_encoder_3") if getattr(pipe, name, None) is not None]
        own = {name: _new_words(getattr(pipe, name), getattr(pipe, name.replace("text_encoder", "tokenizer")), meanings) for name in readers}
    for parameter in own.values():
        parameter.data = parameter.data.float()
        parameter.requires_grad_(True)
    return own


class Words(nn.Module):
    """An embedding of tokens that knows some more, from the number `first` on."""

    def __init__(self, known: nn.Embedding, first: int, more: Float[Tensor, "k d"]) -> None:
        super().__init__()
        self.known, self.first, self.more = known, first, nn.Parameter(more)

    @property
    def weight(self) -> Tensor:
        return self.known.weight

    def forward(self, ids: Int[Tensor, "..."]) -> Float[Tensor, "... d"]:
        new, most = ids >= self.first, len(self.known.weight) - 1
        learnt = self.more[(ids - self.first).clamp(0, len(self.more) - 1)]
        return torch.where(new[..., None], learnt.to(self.known.weight.dtype), self.known(ids.clamp(max=most)))


def _new_words(reader: Any, tokenizer: Any, meanings: Sequence[str]) -> nn.Parameter:
    """Teaches a reader of texts one word a class, which at first mean what the mean of the words for the class does."""
    known, first = reader.get_input_embeddings(), len(tokenizer)
    ids = [tokenizer(meaning, add_special_tokens=False).input_ids or [0] for meaning in meanings]
    words = Words(known, first, torch.stack([known.weight[own].mean(0) for own in ids]).detach().clone())
    tokenizer.add_tokens([word(k) for k in range(len(meanings))])
    reader.set_input_embeddings(words)
    for part in reader.modules():
        if getattr(part, "eos_token_id", None) == LEGACY_END:
            part.eos_token_id = tokenizer.eos_token_id
    return words.more


class Reached(Exception):
    """The denoiser of a pipeline was reached, with these arguments by name."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__("the denoiser was reached")
        self.given = given


def conditions(pipe: Any, captions: list[str], grid: tuple[int, int]) -> dict[str, Any]:
    """All that a pipeline tells its denoiser for rows with these captions, noise and time included: its own call, left where the denoiser begins.

    So every kind of pipeline says by itself how it reads texts and what else its denoiser wants. Gradients reach what reads the texts.
    """
    net = denoiser(pipe)

    def leave(_: nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        raise Reached(dict(signature(net.forward).bind(*args, **given).arguments))

    call, handle = unwrap(type(pipe).__call__), net.register_forward_pre_hook(leave, with_kwargs=True)
    given = {"prompt": captions, "batch_size": len(captions), "height": grid[0], "width": grid[1], "guidance_scale": 1.0, "num_inference_steps": 4}
    known = signature(call).parameters
    try:
        with hushed():
            call(pipe, **{name: value for name, value in given.items() if name in known})
    except Reached as reached:
        return reached.given
    finally:
        handle.remove()
    raise UsageError(f"a {type(pipe).__name__} never asks its denoiser", help="leave pretrained.adapt out")


def latents_of(pipe: Any, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c i j"]:
    """Rows as the denoiser sees them without noise."""
    if (vae := getattr(pipe, "vae", None)) is None:
        return x
    drawn = vae.encode(x.to(vae.dtype)).latent_dist.sample(torch.default_generator).float()
    return (drawn - (getattr(vae.config, "shift_factor", None) or 0.0)) * vae.config.scaling_factor


Noised = tuple[Tensor, Tensor, Tensor]
"""Noisy latents, their time as the denoiser is told it, and what it shall say of them."""


def noising(pipe: Any) -> Callable[[Tensor, Tensor], Noised]:
    """A function that puts noise on latents as the pipeline was trained with; it is shown the time that the denoiser is told where all is noise."""
    scheduler = pipe.scheduler
    if hasattr(scheduler, "scale_noise"):
        shift = 1.0 if scheduler.config.get("use_dynamic_shifting") else scheduler.config.shift
        return lambda latents, end: flowed(latents, end.float().max().item() / float(scheduler.sigmas[0]), shift)
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    own: Any = DDPMScheduler.from_config(scheduler.config)
    return lambda latents, _: diffused(latents, own)


def flowed(latents: Float[Tensor, "b ..."], end: float, shift: float) -> Noised:
    """A straight way from rows to noise (arXiv:2209.03003), times 0 to `end` being logit-normal before they are shifted (arXiv:2403.03206)."""
    noise = torch.randn(latents.shape).to(latents.device)
    part = torch.sigmoid(torch.randn(len(latents)))
    part = (shift * part / (1 + (shift - 1) * part)).to(latents.device)
    t = part.reshape(-1, *[1] * (latents.ndim - 1))
    return (1 - t) * latents + t * noise, part * end, noise - latents


def diffused(latents: Float[Tensor, "b ..."], scheduler: Any) -> Noised:
    """The noise of arXiv:2006.11239, at times that are all as likely."""
    noise, about = torch.randn(latents.shape).to(latents.device), scheduler.config
    times = torch.randint(about.num_train_timesteps, (len(latents),)).to(latents.device)
    noisy = scheduler.add_noise(latents, noise, times)
    wanted = {"epsilon": noise, "sample": latents}.get(about.prediction_type)
    return noisy, times, scheduler.get_velocity(latents, noise, times) if wanted is None else wanted


def adapted(
    painter: Painter,
    x: Float[Tensor, "n 3 h w"],
    y: Int[Tensor, " n"],
    captions: tuple[str, ...],
    adapter: Adapter,
    *,
    grid: tuple[int, int],
    steps: int,
    batch: int,
    lr: float,
    thrifty: bool,
    run: Run,
) -> tuple[Adapter, Curves]:
    """An adapter that learnt to take the noise from these rows, of which class `k` is called `captions[k]`, with how its training went.

    Raises `UsageError` for a pipeline that cannot learn so, `Diverged` as `descend`.
    """
    pipe, device = painter.ways.get("prompt", painter.pipe), painter.device
    net: Any = denoiser(pipe)
    takes, has = channels_of(pipe)
    if takes != has:
        raise UsageError(f"pretrained.adapt: the network of '{painter.name}' takes {takes} channels of rows with {has}", help="leave it out")
    with seeded(run.seed_for("pretrained", "weights")):
        own = learnable(pipe, adapter.kind, adapter.rank, adapter.meanings)
    pipe.to(device)
    if thrifty:
        net.enable_gradient_checkpointing()
    parameters = list(own.values())
    adam = AdamW(parameters, lr=lr * (FASTER if adapter.kind == "inversion" else 1.0), weight_decay=0.01 if adapter.kind == "lora" else 0.0)
    rarity, noised, reads = torch.bincount(y, minlength=len(captions))[y].float().rsqrt(), noising(pipe), adapter.kind == "inversion"

    def step(_: int) -> dict[str, Tensor]:
        rows = torch.multinomial(rarity, batch, replacement=True)
        with autocast(device), nullcontext() if reads else torch.no_grad():
            given = conditions(pipe, [captions[k] for k in y[rows].tolist()], grid)
        with autocast(device), torch.no_grad():
            latents = latents_of(pipe, to_size(x[rows], *grid).to(device))
            noisy, given["timestep"], wanted = noised(latents, given["timestep"])
        noisy, wanted = (packed(pipe, v) for v in (noisy, wanted))
        given[next(iter(given))] = noisy.to(net.dtype)
        with autocast(device):
            said = net(**given | {"return_dict": False})[0]
        loss = mse_loss(said[:, : wanted.shape[1]].float(), wanted)
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
        return {"loss": loss}

    parts = {"adapter": nn.ParameterList(parameters), "adam": adam}
    with hushed():
        curves = descend(step, parts, steps=steps, run=run, name="pretrained", rate=lambda t: cosine(t, steps))
    tensors = {name: parameter.detach().float().cpu().clone() for name, parameter in own.items()}
    return Adapter(kind=adapter.kind, rank=adapter.rank, meanings=adapter.meanings, tensors=tensors), curves


def packed(pipe: Any, latents: Float[Tensor, "b c i j"]) -> Float[Tensor, "b ..."]:
    """Latents as a denoiser of patches wants them in a row; others as they are."""
    return pipe._pack_latents(latents, *latents.shape) if hasattr(pipe, "_pack_latents") else latents
