"""A class-conditional adversarial generator: DCGAN (arXiv:1511.06434) with a projection critic (arXiv:1802.05637)."""

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, relu, softplus

from augmind.core.feed import cyclic
from augmind.core.loop import autocast, descend
from augmind.core.run import Run
from augmind.core.seeds import seeded
from augmind.core.tune import tune
from augmind.core.types import Data
from augmind.nn.critics import critic
from augmind.nn.diffaugment import POLICIES
from augmind.nn.ema import ema
from augmind.nn.watch import watch

from ._painter import Painted, Painter


def gradient_penalty(score: Float[Tensor, " b"], x: Float[Tensor, "b ..."]) -> Float[Tensor, ""]:
    """R1: mean squared gradient norm of the critic at real rows (arXiv:1801.04406)."""
    (gradient,) = torch.autograd.grad(score.sum(), x, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()


def outline(x: Float[Tensor, "b ..."]) -> Float[Tensor, "b d"]:
    """Rows in which brightness, contrast and texture do not count: grids coarse and standardised row by row, vectors as they are."""
    if x.ndim == 2:
        return x
    coarse = adaptive_avg_pool2d(x, (min(7, x.shape[2]), min(7, x.shape[3]))).flatten(1)
    return (coarse - coarse.mean(1, keepdim=True)) / (coarse.std(1, keepdim=True) + 0.05)


def variety(a: Float[Tensor, "b ..."], b: Float[Tensor, "b ..."]) -> Float[Tensor, ""]:
    """Mean absolute difference of the outlines of two rows of one class."""
    return (outline(a) - outline(b)).abs().mean()


def real_variety(x: Float[Tensor, "n ..."], y: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """The variety of real rows: each is compared with the next one of its class."""
    order = y.argsort(stable=True)
    first, second = order[:-1], order[1:]
    pair = y[first] == y[second]
    return variety(x[first[pair]], x[second[pair]]) if pair.any() else torch.zeros(())


@dataclass(kw_only=True)
class Gan(Painted):
    """Crisp rows; the least stable of the generators when rows are few.

    Non-saturating loss (arXiv:1406.2661), differentiable augmentation of grids (`augment`; arXiv:2006.10738), an R1 penalty of
    weight `r1` on the critic (arXiv:1801.04406; 0: none), spectral normalisation if wished (arXiv:1802.05957), and rows drawn
    from the moving average of the generator's weights. Against mode collapse the generator pays `diversity` for rows of one
    class that are more alike in outline than real rows are (after arXiv:1903.05628, calibrated on the real rows).
    """

    steps: int = tune(1500, 50, 50_000, log=True)
    batch: int = tune(32, 8, 256, log=True)
    lr: float = tune(1e-3, 1e-5, 4e-3, log=True)
    critic_lr: float = tune(1e-3, 1e-5, 4e-3, log=True)
    ema: float = tune(0.995, 0.9, 0.9999)
    augment: str = tune("mild", options=("none", "mild", "full"))
    spectral: bool = tune(False, options=(True, False))
    r1: float = tune(0.1, 0.0, 10.0)
    diversity: float = tune(1.0, 0.0, 10.0)

    def fit(self, data: Data, run: Run) -> "Gan":
        self.require(data.spec)
        device, x, y = run.device, data.spec.to_model(data.train.x), data.train.y
        with seeded(run.seed_for("gan", "weights")):
            painter = self._build(data.spec).to(device)
            judge = critic(data.spec.shape, data.classes, self.width, self.spectral).to(device)
        painter.standard.fit(x)
        average = ema(painter, self.ema)
        self.net_ = cast(Painter, average.module)
        wanted = real_variety(painter.standard(x.to(device)), y.to(device)).clamp(min=1e-6)
        augment = POLICIES[self.augment] if len(data.spec.shape) == 3 else POLICIES["none"]
        adam = torch.optim.Adam(painter.parameters(), lr=self.lr, betas=(0.5, 0.99))
        critic_adam = torch.optim.Adam(judge.parameters(), lr=self.critic_lr, betas=(0.5, 0.99))

        def learn_to_judge(real: Tensor, y: Tensor, fake: Tensor, asked: Tensor) -> dict[str, Tensor]:
            real = augment(real).requires_grad_(self.r1 > 0)
            with autocast(device):
                scores = judge(torch.cat([real, augment(fake)]), torch.cat([y, asked]))
            on_real, on_fake = scores.split([len(y), len(asked)])
            loss = softplus(-on_real).mean() + softplus(on_fake).mean()
            penalty = gradient_penalty(on_real, real) if self.r1 > 0 else torch.zeros(())
            critic_adam.zero_grad()
            (loss + 0.5 * self.r1 * penalty).backward()
            critic_adam.step()
            return {"critic": loss}

        def learn_to_draw(fake: Tensor, y: Tensor) -> dict[str, Tensor]:
            judge.requires_grad_(False)
            with autocast(device):
                scores = judge(augment(fake), y)
            loss = softplus(-scores).mean()
            likeness = relu(1 - variety(*fake.chunk(2)) / wanted)
            adam.zero_grad()
            (loss + self.diversity * likeness).backward()
            adam.step()
            judge.requires_grad_(True)
            return {"generator": loss, "likeness": likeness}

        def step(t: int) -> dict[str, Tensor]:
            painter.train()
            rows = cyclic(len(y), t, self.batch, run.seed, "gan")
            real, label = painter.standard(x[rows].to(device)), y[rows].to(device)
            asked = label[: self.batch // 2].repeat(2)
            with autocast(device):
                fake = painter(torch.randn(len(asked), self.latent).to(device), asked)
            losses = learn_to_judge(real, label, fake.detach(), asked) | learn_to_draw(fake, asked)
            average.update_parameters(painter)
            return losses

        parts = {"painter": painter, "critic": judge, "average": average, "adam": adam, "critic_adam": critic_adam}
        self.curves_ = descend(step, parts, steps=self.steps, run=run, name=self.name(), watch=watch(self.sample, data, run))
        return self
