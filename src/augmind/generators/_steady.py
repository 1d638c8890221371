"""The adversarial game of few rows: what `gan` and `transformer_gan` share beyond their networks."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from augmind.core.loop import autocast, descend
from augmind.core.run import Run
from augmind.core.seeds import seeded
from augmind.core.tune import tune
from augmind.core.types import Data, Spec
from augmind.nn.adversarial import gradient_penalty, real_variety, variety
from augmind.nn.diffaugment import POLICIES
from augmind.nn.ema import ema
from augmind.nn.lessons import Lessons
from augmind.nn.watch import watch

from ._painter import Painted, Painter


@dataclass(kw_only=True)
class Steady(Painted):
    """A painter and a critic that take turns, kept from learning few rows by heart.

    Non-saturating loss (arXiv:1406.2661), differentiable augmentation of grids (`augment`; arXiv:2006.10738), an R1 penalty of
    weight `r1` on the critic (arXiv:1801.04406; 0: none), spectral normalisation if wished (arXiv:1802.05957), and rows drawn
    from the moving average of the generator's weights. Against mode collapse the generator pays `diversity` for rows of one
    class that are more alike in outline than real rows are (after arXiv:1903.05628, calibrated on the real rows).
    Parameters that both networks have are the critic's to train.
    """

    borrows: ClassVar[bool] = True
    seldom: ClassVar[int] = 1
    """The penalty of the critic is taken in every so many steps, and weighs as many times as much (arXiv:1912.04958)."""

    steps: int = tune(1500, 50, 50_000, log=True)
    batch: int = tune(32, 8, 256, log=True)
    lr: float = tune(1e-3, 1e-5, 4e-3, log=True)
    critic_lr: float = tune(1e-3, 1e-5, 4e-3, log=True)
    ema: float = tune(0.995, 0.9, 0.9999)
    augment: str = tune("mild", options=("none", "mild", "full"))
    spectral: bool = tune(False, options=(True, False))
    r1: float = tune(0.1, 0.0, 10.0)
    diversity: float = tune(1.0, 0.0, 10.0)

    @abstractmethod
    def _critic(self, spec: Spec, painter: Painter) -> nn.Module:
        """The critic, (rows, labels) to scores (b,), that plays against this painter."""

    def fit(self, data: Data, run: Run) -> "Steady":
        self.require(data.spec)
        device, lessons = run.device, Lessons(data=data, steps=self.steps)
        with seeded(run.seed_for(self.name(), "weights")):
            painter = self._build(lessons.spec).to(device)
            judge = self._critic(lessons.spec, painter).to(device)
        painter.standard.fit(lessons.x(lessons.some()))
        average = ema(painter, self.ema)
        self.net_ = cast(Painter, average.module)
        x, y = data.spec.to_model(data.train.x), lessons.rows.y
        wanted = real_variety(painter.standard(x.to(device)), data.train.y.to(device)).clamp(min=1e-6)
        augment = POLICIES[self.augment] if len(data.spec.shape) == 3 else POLICIES["none"]
        of_critic = {id(p) for p in judge.parameters()}
        own = [p for p in painter.parameters() if id(p) not in of_critic]
        shared = len(own) < len(list(painter.parameters()))
        adam = torch.optim.Adam(own, lr=self.lr, betas=(0.5, 0.99))
        critic_adam = torch.optim.Adam(judge.parameters(), lr=self.critic_lr, betas=(0.5, 0.99))

        def drawn(asked: Tensor) -> Tensor:
            with autocast(device):
                return painter(torch.randn(len(asked), self.latent).to(device), asked)

        def learn_to_judge(real: Tensor, y: Tensor, fake: Tensor, asked: Tensor, weight: float) -> dict[str, Tensor]:
            real = augment(real).requires_grad_(weight > 0)
            with autocast(device):
                scores = judge(torch.cat([real, augment(fake)]), torch.cat([y, asked]))
            on_real, on_fake = scores.split([len(y), len(asked)])
            loss = softplus(-on_real).mean() + softplus(on_fake).mean()
            penalty = gradient_penalty(on_real, real) if weight > 0 else torch.zeros(())
            critic_adam.zero_grad()
            (loss + 0.5 * weight * penalty).backward()
            critic_adam.step()
            return {"critic": loss}

        def learn_to_draw(fake: Tensor, y: Tensor) -> dict[str, Tensor]:
            with autocast(device):
                scores = judge(augment(fake), y)
            loss = softplus(-scores).mean()
            likeness = relu(1 - variety(*fake.chunk(2)) / wanted)
            adam.zero_grad()
            (loss + self.diversity * likeness).backward()
            adam.step()
            return {"generator": loss, "likeness": likeness}

        def step(t: int) -> dict[str, Tensor]:
            painter.train()
            lessons.initialise(t, painter, judge)
            rows = lessons.batch(t, self.batch, run.seed, self.name())
            real, label = painter.standard(lessons.x(rows).to(device)), y[rows].to(device)
            asked = label[: self.batch // 2].repeat(2)
            fake = drawn(asked)
            weight = 0.0 if t % self.seldom else self.seldom * self.r1
            losses = learn_to_judge(real, label, fake.detach(), asked, weight)
            judge.requires_grad_(False)
            losses |= learn_to_draw(drawn(asked) if shared else fake, asked)
            judge.requires_grad_(True)
            average.update_parameters(painter)
            return losses

        parts = {"painter": painter, "critic": judge, "average": average, "adam": adam, "critic_adam": critic_adam}
        watchman = watch(self.sample, data, run)
        went = descend(step, parts, steps=lessons.total, run=run, name=self.name(), watch=watchman, watch_at=lessons.looks)
        self.curves_ = lessons.checked(went)
        if lessons.source is not None:
            lessons.narrowed(self._build(data.spec).to(device), average.module.state_dict())
        return self
