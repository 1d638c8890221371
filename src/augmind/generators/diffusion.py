"""A class-conditional diffusion generator: rectified flow (arXiv:2209.03003) that learns what a Gaussian cannot say."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import AdamW

from augmind.core.loop import autocast, cosine, descend
from augmind.core.plugin import Latent
from augmind.core.run import Run
from augmind.core.seeds import in_chunks, row_noise, seeded
from augmind.core.tune import tune
from augmind.core.types import Data, Spec
from augmind.nn.ema import ema
from augmind.nn.flow import SOLVERS, Field, between, logit_normal
from augmind.nn.gaussian import ClassGaussian
from augmind.nn.lessons import Lessons
from augmind.nn.mlp import Mlp
from augmind.nn.symmetry import CONDITIONS, Symmetry
from augmind.nn.unet import UNet
from augmind.nn.watch import watch

RANK, LEAST = 256, 64
"""Directions of the Gaussian prior: what it leaves out is white noise that the network has to learn away. Large rows have fewer, down to `LEAST`."""
MOST = 2**22
"""Numbers that the basis of the prior may hold, where `LEAST` directions need no more."""
EARLY = -0.7
"""Mean of the logit of training times: rows of a small network profit from times nearer to the data."""
LOOK_POINTS = 6
"""Steps of first order for the rows that are drawn only to watch the training."""


def directions(values: int) -> int:
    """How many directions the prior of rows of so many values may have."""
    return max(LEAST, min(RANK, MOST // values))


@dataclass(kw_only=True)
class Diffusion(Latent):
    """The most faithful of the generators that learn from the rows alone, and the slowest to draw from.

    A Gaussian around each class mean is fitted first and its exact denoiser is what the network (a U-Net for grids, an MLP
    for vectors) corrects: with the posterior's deviation s(t) known in closed form, the network's target
    (x_0 - denoised) / s(t) has unit variance at every time (preconditioning in the sense of arXiv:2206.00364; Gaussian
    structure of denoisers: arXiv:2412.09726). So a training of a few hundred steps already draws rows of the right class.

    `drop` and `guidance` are those of classifier-free guidance (arXiv:2207.12598): above 1 the classes become purer and the
    rows less varied. Training times are logit-normal (arXiv:2403.03206). `augment` is the chance of a shift of a grid; the
    network is told of it, so drawn rows are not shifted. `points` are the solver's steps.
    """

    borrows: ClassVar[bool] = True

    steps: int = tune(1000, 50, 50_000, log=True)
    batch: int = tune(64, 8, 512, log=True)
    lr: float = tune(2e-3, 1e-4, 1e-2, log=True)
    width: int = tune(32, options=(16, 32, 48, 64, 96, 128))
    ema: float = tune(0.995, 0.9, 0.9999)
    drop: float = tune(0.1, 0.0, 0.3)
    augment: float = tune(0.5, 0.0, 1.0)
    guidance: float = tune(1.0, 1.0, 4.0)
    solver: str = tune("heun", options=tuple(SOLVERS))
    points: int = tune(6, 2, 64, log=True)

    def fit(self, data: Data, run: Run) -> "Diffusion":
        self.require(data.spec)
        lessons = Lessons(data=data, steps=self.steps)
        y, classes = lessons.rows.y, len(lessons.spec.classes)
        some = lessons.some()
        x = self._standardise(lessons.x(some))
        self.prior_ = ClassGaussian.fit(x.flatten(1), y[some], classes, directions(x[0].numel())).to(run.device)
        with seeded(run.seed_for(self.name(), "weights")):
            net = self._build(lessons.spec).to(run.device)
        average = ema(net, self.ema)
        adam = AdamW(net.parameters(), lr=self.lr, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
        self.net_ = average.module
        rarity = lessons.rows.counts(classes)[y].float().rsqrt()

        def step(t: int) -> dict[str, Tensor]:
            lessons.initialise(t, net)
            rows = lessons.picked(t, self.batch, rarity)
            loss = self._loss(net, self._scaled(lessons.x(rows)), y[rows])
            adam.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            adam.step()
            average.update_parameters(net)
            return {"loss": loss}

        def look(y: Tensor, seeds: Tensor) -> Tensor:
            y, seeds = y.cpu(), seeds.cpu()
            return self._solved(row_noise(seeds, self.spec_.shape), y, "euler", LOOK_POINTS)

        went = descend(
            step,
            {"net": net, "average": average, "adam": adam},
            steps=lessons.total,
            run=run,
            name=self.name(),
            rate=lambda t: cosine(lessons.at(t), self.steps),
            watch=watch(look, data, run),
            watch_at=lessons.looks,
        )
        self.curves_ = lessons.checked(went)
        if lessons.source is not None:
            self.net_ = lessons.narrowed(self._build(data.spec).to(run.device), self.net_.state_dict())
            mean = self.prior_.mean
            self.prior_ = replace(self.prior_, mean=torch.cat([mean[: data.classes], mean[-1:]]))
        return self

    def _standardise(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """Rows of mean 0 and deviation 1 (grids as a whole, vectors value by value), and remembers how."""
        over = tuple(range(x.ndim)) if x.ndim > 2 else (0,)
        self.centre_ = x.mean(over)
        scale = x.std(over, correction=0)
        self.scale_ = torch.where(scale > 1e-6, scale, 1.0)
        return self._scaled(x)

    def _scaled(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        return (x - self.centre_) / self.scale_

    def _build(self, spec: Spec) -> nn.Module:
        self.spec_, classes = spec, len(spec.classes) + 1
        if len(spec.shape) == 1:
            return Mlp(2 * spec.shape[0], spec.shape[0], hidden=4 * self.width, classes=classes)
        channels, height, width = spec.shape
        return UNet(2 * channels, channels, height, width, hidden=self.width, classes=classes, conditions=CONDITIONS)

    def _loss(self, net: nn.Module, x: Float[Tensor, "b ..."], y: Int[Tensor, " b"]) -> Float[Tensor, ""]:
        """Mean squared error of what the network says the Gaussian denoiser misses, in units of its deviation."""
        device, null = self.prior_.mean.device, len(self.spec_.classes)
        t, noise = logit_normal(len(x), EARLY), torch.randn(x.shape)
        y = torch.where(torch.rand(len(x)) < self.drop, null, y).to(device)
        x, noise, t = x.to(device), noise.to(device), t.to(device)
        given, target = self._given(between(x, noise, t), x, t, y)
        more: tuple[Tensor, ...] = ()
        if x.ndim == 4:
            height, width = x.shape[2:]
            moved = Symmetry.draw(len(x), height, width, self.augment).to(device)
            given, target, more = moved(given), moved(target), (moved.condition,)
        with autocast(device):
            said = net(given, t, y, *more)
        return (said.float() - target).square().mean()

    def _given(self, noisy: Tensor, x: Tensor, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """What the network sees of noisy rows (the rows at unit scale beside their Gaussian denoising) and shall say of `x`."""
        each = (-1, *[1] * (noisy.ndim - 1))
        denoised = self.prior_.denoise(noisy.flatten(1), t, y).view_as(noisy)
        unit = ((1 - t).square() + t.square()).rsqrt().reshape(each)
        return torch.cat([noisy * unit, denoised], 1), (x - denoised) / self.prior_.doubt(t).reshape(each)

    def _velocity(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """dx/dt = (x - E[x_0 | x]) / t of the learned flow."""
        each = (-1, *[1] * (x.ndim - 1))
        given, _ = self._given(x, x, t, y)
        denoised = given[:, x.shape[1] :]
        return (x - denoised - self.prior_.doubt(t).reshape(each) * self.net_(given, t, y)) / t.reshape(each)

    def _field(self, y: Int[Tensor, " b"] | Float[Tensor, "b k"]) -> Field:
        """The velocity for these labels, guided away from that of no label."""
        if self.guidance == 1:
            return lambda x, t: self._velocity(x, t, y)
        null = torch.full((len(y),), len(self.spec_.classes), device=y.device)
        return lambda x, t: torch.lerp(self._velocity(x, t, null), self._velocity(x, t, y), self.guidance)

    @torch.no_grad()
    def _solved(self, noise: Float[Tensor, "n ..."], y: Int[Tensor, " n"] | Float[Tensor, "n k"], solver: str, points: int) -> Float[Tensor, "n ..."]:
        """Rows at the end of the paths that begin at this noise."""
        device = self.prior_.mean.device

        def block(noise: Tensor, y: Tensor) -> Tensor:
            return SOLVERS[solver](self._field(y.to(device)), noise.to(device), points).cpu()

        x = in_chunks(block, noise, y) * self.scale_ + self.centre_
        return x.clamp(-1, 1) if self.spec_.bounded else x

    def latents(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n l"]:
        return row_noise(seeds, self.spec_.shape).flatten(1)

    def decode(self, z: Float[Tensor, "n l"], y: Int[Tensor, " n"] | Float[Tensor, "n k"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n ..."]:
        return self._solved(z.view(-1, *self.spec_.shape), y, self.solver, self.points)

    def sample(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n ..."]:
        return in_chunks(super().sample, y.cpu(), seeds.cpu())  # so that the noise of large rows is not all there at once

    def state(self) -> dict[str, Tensor]:
        own = {"centre": self.centre_, "scale": self.scale_} | {f"prior/{k}": v for k, v in self.prior_.state().items()}
        return own | {f"net/{k}": v.cpu() for k, v in self.net_.state_dict().items()}

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Diffusion":
        self.require(spec)
        self.centre_, self.scale_ = state["centre"], state["scale"]
        self.prior_ = ClassGaussian(**{k[6:]: v for k, v in state.items() if k.startswith("prior/")})
        self.net_ = self._build(spec)
        self.net_.load_state_dict({k[4:]: v for k, v in state.items() if k.startswith("net/")})
        return self
