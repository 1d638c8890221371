"""A class-conditional adversarial generator: DCGAN (arXiv:1511.06434) with a projection critic (arXiv:1802.05637)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import softplus

from augmind.core.feed import cyclic
from augmind.core.loop import autocast, descend
from augmind.core.plugin import Generator
from augmind.core.run import Run
from augmind.core.seeds import in_chunks, row_noise, seeded
from augmind.core.tune import tune
from augmind.core.types import Data, Spec
from augmind.nn.critics import critic
from augmind.nn.decoders import decoder
from augmind.nn.diffaugment import diffaugment
from augmind.nn.ema import ema
from augmind.nn.standard import Standard
from augmind.nn.watch import watch


class Painter(nn.Module):
    """Noise and labels to rows at the network's scale, with that scale beside it."""

    def __init__(self, spec: Spec, width: int, latent: int) -> None:
        super().__init__()
        self.standard = Standard(spec)
        self.decoder = decoder(spec.shape, latent, len(spec.classes), width, spec.bounded)

    def forward(self, z: Float[Tensor, "b l"], y: Int[Tensor, " b"]) -> Float[Tensor, "b ..."]:
        return self.decoder(z, y)


def gradient_penalty(score: Float[Tensor, " b"], x: Float[Tensor, "b ..."]) -> Float[Tensor, ""]:
    """R1: mean squared gradient norm of the critic at real rows (arXiv:1801.04406)."""
    (gradient,) = torch.autograd.grad(score.sum(), x, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()


@dataclass(kw_only=True)
class Gan(Generator):
    """Sharp rows; the least stable of the generators when rows are few.

    Non-saturating loss (arXiv:1406.2661), a faster critic (arXiv:1706.08500), differentiable augmentation of grids
    (arXiv:2006.10738), spectral normalisation (arXiv:1802.05957), an R1 penalty of weight `r1` (arXiv:1801.04406; 0: none),
    and rows drawn from the moving average of the generator's weights.
    """

    steps: int = tune(1500, 50.0, 50_000.0, log=True)
    batch: int = tune(64, 8.0, 256.0, log=True)
    lr: float = tune(2e-4, 1e-5, 2e-3, log=True)
    critic_lr: float = tune(4e-4, 1e-5, 4e-3, log=True)
    width: int = tune(32, 8.0, 128.0, log=True)
    latent: int = tune(32, 4.0, 128.0, log=True)
    ema: float = tune(0.995, 0.9, 0.9999)
    augment: bool = tune(True, options=(True, False))
    spectral: bool = tune(True, options=(True, False))
    r1: float = tune(0.0, 0.0, 10.0)

    def fit(self, data: Data, run: Run) -> "Gan":
        self.require(data.spec)
        device, x, y = run.device, data.spec.to_model(data.train.x), data.train.y
        with seeded(run.seed_for("gan", "weights")):
            painter = self._build(data.spec).to(device)
            judge = critic(data.spec.shape, data.classes, self.width, self.spectral).to(device, memory_format=torch.channels_last)
        painter.standard.fit(x)
        average = ema(painter, self.ema)
        self.net_ = average.module
        augment = diffaugment if self.augment and len(data.spec.shape) == 3 else torch.nn.Identity()
        adam = torch.optim.Adam(painter.parameters(), lr=self.lr, betas=(0.5, 0.99))
        critic_adam = torch.optim.Adam(judge.parameters(), lr=self.critic_lr, betas=(0.5, 0.99))

        def learn_to_judge(real: Tensor, fake: Tensor, y: Tensor) -> dict[str, Tensor]:
            real = augment(real).requires_grad_(self.r1 > 0)
            with autocast(device):
                scores = judge(torch.cat([real, augment(fake)]), torch.cat([y, y]))
            on_real, on_fake = scores.chunk(2)
            loss = softplus(-on_real).mean() + softplus(on_fake).mean()
            penalty = gradient_penalty(on_real, real) if self.r1 > 0 else torch.zeros(())
            critic_adam.zero_grad()
            (loss + 0.5 * self.r1 * penalty).backward()
            critic_adam.step()
            return {"critic": loss, "accuracy": (scores.detach().sign().chunk(2)[0] - scores.detach().sign().chunk(2)[1]).mean() / 4 + 0.5}

        def learn_to_draw(fake: Tensor, y: Tensor) -> dict[str, Tensor]:
            judge.requires_grad_(False)
            with autocast(device):
                scores = judge(augment(fake), y)
            loss = softplus(-scores).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            judge.requires_grad_(True)
            return {"generator": loss}

        def step(t: int) -> dict[str, Tensor]:
            painter.train()
            rows = cyclic(len(y), t, self.batch, run.seed, "gan")
            real, label = painter.standard(x[rows].to(device)), y[rows].to(device)
            with autocast(device):
                fake = painter(torch.randn(self.batch, self.latent).to(device), label)
            losses = learn_to_judge(real, fake.detach(), label) | learn_to_draw(fake, label)
            average.update_parameters(painter)
            return losses

        parts = {"painter": painter, "critic": judge, "average": average, "adam": adam, "critic_adam": critic_adam}
        self.curves_ = descend(step, parts, steps=self.steps, run=run, name=self.name(), watch=watch(self.sample, data, run))
        return self

    def _build(self, spec: Spec) -> Painter:
        self.spec_ = spec
        self.net_ = Painter(spec, self.width, self.latent).to(memory_format=torch.channels_last)
        return self.net_

    @torch.no_grad()
    def sample(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n ..."]:
        net = self.net_.eval()
        device = next(net.parameters()).device

        def draw(z: Tensor, y: Tensor) -> Tensor:
            return net.standard.undo(net(z.to(device), y.to(device))).cpu()

        return in_chunks(draw, row_noise(seeds.cpu(), (self.latent,)), y.cpu())

    def state(self) -> dict[str, Tensor]:
        return dict(self.net_.state_dict())

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Gan":
        self.require(spec)
        self._build(spec).load_state_dict(state)
        return self
