"""WaveGAN: sounds made sample by sample (Donahue et al. 2019, arXiv:1802.04208), for each class."""

from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from augmind.core.feed import cyclic
from augmind.core.loop import autocast, descend
from augmind.core.plugin import Generator
from augmind.core.run import Run
from augmind.core.seeds import in_chunks, row_noise, seeded
from augmind.core.tune import tune
from augmind.core.types import Data, Spec
from augmind.modalities.audio.adversaries import Listener, Singer, moved
from augmind.modalities.audio.codec import AudioCodec
from augmind.modalities.audio.mel import HOP_SECONDS, shades
from augmind.nn.ema import ema
from augmind.nn.watch import watch

LONGEST = 2.0
"""Seconds of a clip, at most: beyond them the networks hear no more than parts of it."""
SELDOM = 8
"""The penalty of the critic is taken in every so many steps, and weighs as many times as much (arXiv:1912.04958)."""
SILENCE = 1e-4
"""Root mean square below which rows are taken to be silent."""


@dataclass(kw_only=True)
class Wavegan(Generator):
    """Waves of clips of up to 2 seconds, learnt from the rows alone; of the generators the hungriest for rows and steps.

    Rows become waves once (`AudioCodec.decode`), and what is drawn becomes a spectrogram again at the loudness and place where it was drawn. The
    networks and phase shuffle are those of the paper. The loss is that of `gan`, non-saturating (arXiv:1406.2661) with an R1 penalty of weight `r1`
    (arXiv:1801.04406; 0: none) and one step of the critic for each of the generator's, where the paper has a Wasserstein loss and five. For both
    sides of the critic waves are moved by up to `shift` of their length and turned upside down (arXiv:2006.10738). Rows are drawn from the moving
    average of the weights. The paper's `width` is 64, which wants a graphics processor.
    """

    axes: ClassVar[tuple[int, ...]] = (3,)
    waves: ClassVar[bool | None] = True

    steps: int = tune(2000, 50, 200_000, log=True)
    batch: int = tune(16, 8, 256, log=True)
    lr: float = tune(1e-3, 1e-5, 4e-3, log=True)
    critic_lr: float = tune(2e-3, 1e-5, 4e-3, log=True)
    width: int = tune(16, 8, 64, log=True)
    latent: int = tune(32, 4, 128, log=True)
    ema: float = tune(0.995, 0.9, 0.9999)
    r1: float = tune(0.05, 0.0, 10.0)
    shift: float = tune(0.05, 0.0, 0.25)

    @classmethod
    def refuses(cls, spec: Spec) -> str:
        if reason := super().refuses(spec):
            return reason
        if (seconds := spec.shape[2] * HOP_SECONDS) > LONGEST:
            return f"'{cls.name()}' makes clips of at most {LONGEST:g} seconds, not of {seconds:g}"
        return ""

    def fit(self, data: Data, run: Run) -> "Wavegan":
        self.require(data.spec)
        device, y = run.device, data.train.y
        with seeded(run.seed_for("wavegan", "weights")):
            singer = self._build(data.spec).to(device)
            listener = Listener(self.codec_.mel.samples, data.classes, self.width).to(device)
        x = torch.from_numpy(np.stack(self.codec_.decode(data.train.x)))
        singer.loudness.copy_(x.square().mean().sqrt().clamp(min=SILENCE))
        x = x / singer.loudness.cpu()
        average = ema(singer, self.ema)
        self.net_ = cast(Singer, average.module)
        adam = torch.optim.Adam(singer.parameters(), lr=self.lr, betas=(0.5, 0.99))
        critic_adam = torch.optim.Adam(listener.parameters(), lr=self.critic_lr, betas=(0.5, 0.99))

        def learn_to_judge(real: Tensor, y: Tensor, fake: Tensor, weight: float) -> dict[str, Tensor]:
            real = moved(real, self.shift).requires_grad_(weight > 0)
            with autocast(device):
                scores = listener(torch.cat([real, moved(fake, self.shift)]), y.repeat(2))
            on_real, on_fake = scores.chunk(2)
            loss = softplus(-on_real).mean() + softplus(on_fake).mean()
            critic_adam.zero_grad()
            (loss + 0.5 * weight * steepness(on_real, real) if weight else loss).backward()
            critic_adam.step()
            return {"critic": loss}

        def learn_to_sound(fake: Tensor, y: Tensor) -> dict[str, Tensor]:
            listener.requires_grad_(False)
            with autocast(device):
                scores = listener(moved(fake, self.shift), y)
            loss = softplus(-scores).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            listener.requires_grad_(True)
            return {"generator": loss}

        def step(t: int) -> dict[str, Tensor]:
            singer.train()
            rows = cyclic(len(y), t, self.batch, run.seed, "wavegan")
            real, label = x[rows].to(device), y[rows].to(device)
            with autocast(device):
                fake = singer(torch.randn(len(label), self.latent).to(device), label)
            weight = 0.0 if t % SELDOM else SELDOM * self.r1
            losses = learn_to_judge(real, label, fake.detach(), weight) | learn_to_sound(fake, label)
            average.update_parameters(singer)
            return losses

        parts = {"singer": singer, "listener": listener, "average": average, "adam": adam, "critic_adam": critic_adam}
        self.curves_ = descend(step, parts, steps=self.steps, run=run, name=self.name(), watch=watch(self.sample, data, run))
        return self

    def _build(self, spec: Spec) -> Singer:
        self.spec_, self.codec_ = spec, AudioCodec(spec)
        self.net_: Singer = Singer(self.codec_.mel.samples, len(spec.classes), self.width, self.latent)
        return self.net_

    @torch.no_grad()
    def sample(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n 1 bands frames"]:
        net, mel = self.net_.eval(), self.codec_.mel
        device = net.loudness.device

        def draw(z: Tensor, y: Tensor) -> Tensor:
            return shades(mel.power(net.waves(z.to(device), y.to(device)).cpu()))[:, None]

        return self.spec_.to_model(in_chunks(draw, row_noise(seeds.cpu(), (self.latent,)), y.cpu()))

    def state(self) -> dict[str, Tensor]:
        return {k: v.cpu() for k, v in self.net_.state_dict().items()}

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Wavegan":
        self.require(spec)
        self._build(spec).load_state_dict(state)
        return self


def steepness(score: Float[Tensor, " b"], x: Float[Tensor, "b t"]) -> Float[Tensor, ""]:
    """R1: mean squared norm of the critic's gradient at real waves (arXiv:1801.04406)."""
    (gradient,) = torch.autograd.grad(score.sum(), x, create_graph=True)
    return gradient.square().sum(1).mean()
