"""Generative adversarial nets as they were published (Goodfellow et al. 2014, arXiv:1406.2661), on the networks of DCGAN."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from augmind.core.feed import cyclic
from augmind.core.loop import autocast, descend
from augmind.core.run import Run
from augmind.core.seeds import seeded
from augmind.core.tune import tune
from augmind.core.types import Data
from augmind.nn.critics import critic
from augmind.nn.watch import watch

from ._painter import Painted


def critic_loss(real: Float[Tensor, " b"], fake: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """-E[log D(x)] - E[log(1 - D(G(z)))] from the logits of D."""
    return softplus(-real).mean() + softplus(fake).mean()


def minimax(fake: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """E[log(1 - D(G(z)))], what the generator lowers in the game of value zero; its slope vanishes where the critic is sure."""
    return -softplus(fake).mean()


def non_saturating(fake: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """-E[log D(G(z))], the paper's own remedy."""
    return softplus(-fake).mean()


LOSSES = {"non-saturating": non_saturating, "minimax": minimax}


@dataclass(kw_only=True)
class VanillaGan(Painted):
    """The plain game: no penalty, no average of weights, no augmentation of what the critic sees. For comparisons; with few rows `gan` is better.

    `loss` is what the generator lowers; `critic_steps` is the paper's k.
    """

    steps: int = tune(1500, 50, 50_000, log=True)
    batch: int = tune(32, 8, 256, log=True)
    lr: float = tune(2e-4, 1e-5, 4e-3, log=True)
    critic_steps: int = tune(1, 1, 5)
    loss: str = tune("non-saturating", options=tuple(LOSSES))

    def fit(self, data: Data, run: Run) -> "VanillaGan":
        self.require(data.spec)
        device, x, y = run.device, data.spec.to_model(data.train.x), data.train.y
        with seeded(run.seed_for(self.name(), "weights")):
            painter = self._build(data.spec).to(device)
            judge = critic(data.spec.shape, data.classes, self.width, False).to(device)
        painter.standard.fit(x)
        adam, critic_adam = (torch.optim.Adam(net.parameters(), lr=self.lr, betas=(0.5, 0.999)) for net in (painter, judge))

        def learn_to_judge(t: int) -> tuple[Tensor, Tensor, Tensor]:
            rows = cyclic(len(y), t, self.batch, run.seed, self.name())
            real, label = painter.standard(x[rows].to(device)), y[rows].to(device)
            noise = torch.randn(len(rows), self.latent).to(device)
            with autocast(device):
                fake = painter(noise, label)
                judged = critic_loss(judge(real, label), judge(fake.detach(), label))
            critic_adam.zero_grad()
            judged.backward()
            critic_adam.step()
            return label, fake, judged

        def step(t: int) -> dict[str, Tensor]:
            painter.train()
            *_, (label, fake, judged) = (learn_to_judge(t * self.critic_steps + k) for k in range(self.critic_steps))
            judge.requires_grad_(False)
            with autocast(device):
                lost = LOSSES[self.loss](judge(fake, label))
            adam.zero_grad()
            lost.backward()
            adam.step()
            judge.requires_grad_(True)
            return {"critic": judged, "generator": lost}

        parts = {"painter": painter, "critic": judge, "adam": adam, "critic_adam": critic_adam}
        self.curves_ = descend(step, parts, steps=self.steps, run=run, name=self.name(), watch=watch(self.sample, data, run))
        return self
