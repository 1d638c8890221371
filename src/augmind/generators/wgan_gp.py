"""Wasserstein GAN with a gradient penalty (arXiv:1704.00028), on the networks of DCGAN."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.feed import cyclic
from augmind.core.loop import autocast, descend
from augmind.core.run import Run
from augmind.core.seeds import seeded
from augmind.core.tune import tune
from augmind.core.types import Data
from augmind.nn.critics import critic
from augmind.nn.watch import watch

from ._painter import Painted


def slope_penalty(judge: Callable[[Tensor], Tensor], real: Float[Tensor, "b ..."], fake: Float[Tensor, "b ..."]) -> Float[Tensor, ""]:
    """E[(|gradient of the critic| - 1)^2] at random places between real and drawn rows."""
    place = torch.rand(len(real), *[1] * (real.ndim - 1)).to(real)
    between = torch.lerp(real, fake, place).requires_grad_()
    (gradient,) = torch.autograd.grad(judge(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


@dataclass(kw_only=True)
class WganGp(Painted):
    """The critic estimates a distance instead of a chance, so its loss says how far the generator is; slow, since it takes several steps for one.

    `penalty` is the paper's lambda, `critic_steps` its n_critic. The critic has no normalisation over the batch, as the paper asks for.
    """

    steps: int = tune(1000, 50, 50_000, log=True)
    batch: int = tune(32, 8, 256, log=True)
    lr: float = tune(4e-4, 1e-5, 4e-3, log=True)
    critic_steps: int = tune(3, 1, 10)
    penalty: float = tune(10.0, 0.1, 100.0, log=True)

    def fit(self, data: Data, run: Run) -> "WganGp":
        self.require(data.spec)
        device, x, y = run.device, data.spec.to_model(data.train.x), data.train.y
        with seeded(run.seed_for(self.name(), "weights")):
            painter = self._build(data.spec).to(device)
            judge = critic(data.spec.shape, data.classes, self.width, False).to(device)
        painter.standard.fit(x)
        adam, critic_adam = (torch.optim.Adam(net.parameters(), lr=self.lr, betas=(0.0, 0.9)) for net in (painter, judge))

        def learn_to_judge(t: int) -> tuple[Tensor, Tensor]:
            rows = cyclic(len(y), t, self.batch, run.seed, self.name())
            real, label = painter.standard(x[rows].to(device)), y[rows].to(device)
            noise = torch.randn(len(rows), self.latent).to(device)
            with torch.no_grad(), autocast(device):
                fake = painter(noise, label).float()
            distance = judge(real, label).mean() - judge(fake, label).mean()
            loss = -distance + self.penalty * slope_penalty(lambda rows: judge(rows, label), real, fake)
            critic_adam.zero_grad()
            loss.backward()
            critic_adam.step()
            return label, distance

        def step(t: int) -> dict[str, Tensor]:
            painter.train()
            *_, (label, distance) = (learn_to_judge(t * self.critic_steps + k) for k in range(self.critic_steps))
            judge.requires_grad_(False)
            with autocast(device):
                lost = -judge(painter(torch.randn(len(label), self.latent).to(device), label), label).mean()
            adam.zero_grad()
            lost.backward()
            adam.step()
            judge.requires_grad_(True)
            return {"distance": distance, "generator": lost}

        parts = {"painter": painter, "critic": judge, "adam": adam, "critic_adam": critic_adam}
        self.curves_ = descend(step, parts, steps=self.steps, run=run, name=self.name(), watch=watch(self.sample, data, run))
        return self
