"""What adversarial generators share: noise and labels to rows (by a DCGAN, arXiv:1511.06434), how these are drawn and kept, the plain game."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from augmind.core.feed import cyclic
from augmind.core.loop import autocast, descend
from augmind.core.plugin import Latent
from augmind.core.run import Run
from augmind.core.seeds import in_chunks, row_noise, seeded
from augmind.core.tune import tune
from augmind.core.types import Data, Spec
from augmind.nn.critics import critic
from augmind.nn.decoders import decoder
from augmind.nn.standard import Standard
from augmind.nn.watch import watch


class Painter(nn.Module):
    """Noise and labels to rows at the network's scale, by a decoder, with that scale beside it."""

    def __init__(self, spec: Spec, decoder: nn.Module) -> None:
        super().__init__()
        self.standard = Standard(spec)
        self.decoder = decoder

    def forward(self, z: Float[Tensor, "b l"], y: Int[Tensor, " b"] | Float[Tensor, "b k"]) -> Float[Tensor, "b ..."]:
        return self.decoder(z, y)


WHOLE = 4.0
"""`truncation` from which on noise stays as it is drawn."""


def truncated(z: Float[Tensor, "n l"], limit: float) -> Float[Tensor, "n l"]:
    """Standard normal noise as noise of that density within -limit..limit, each value by its quantile."""
    below = torch.special.ndtr(torch.tensor(-limit, dtype=torch.float64))
    return torch.special.ndtri(below + torch.special.ndtr(z.double()) * (1 - 2 * below)).clamp(-limit, limit).to(z.dtype)


@dataclass(kw_only=True)
class Painted(Latent):
    """A generator whose rows a `Painter` makes; `fit` leaves it in `net_`.

    `truncation` is how far from zero the noise may be that rows are drawn from (the truncation trick; arXiv:1809.11096): less makes them more
    typical, and more alike. The training knows nothing of it.
    """

    width: int = tune(32, 8, 128, log=True)
    latent: int = tune(32, 4, 128, log=True)
    truncation: float = tune(WHOLE, 0.3, WHOLE, log=True)

    def _build(self, spec: Spec) -> Painter:
        self.spec_ = spec
        self.net_: Painter = Painter(spec, self._decoder(spec))
        return self.net_

    def _decoder(self, spec: Spec) -> nn.Module:
        """The network (noise, labels) to rows."""
        return decoder(spec.shape, self.latent, len(spec.classes), self.width, spec.bounded)

    def latents(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n l"]:
        z = row_noise(seeds, (self.latent,))
        return z if self.truncation >= WHOLE else truncated(z, self.truncation)

    @torch.no_grad()
    def decode(self, z: Float[Tensor, "n l"], y: Int[Tensor, " n"] | Float[Tensor, "n k"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n ..."]:
        net = self.net_.eval()
        device = next(net.parameters()).device

        def draw(z: Tensor, y: Tensor) -> Tensor:
            return net.standard.undo(net(z.to(device), y.to(device))).cpu()

        return in_chunks(draw, z, y)

    def state(self) -> dict[str, Tensor]:
        return dict(self.net_.state_dict())

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Painted":
        self.require(spec)
        self._build(spec).load_state_dict(state)
        return self


Scores = Callable[[Tensor], Tensor]
"""A critic that knows the labels: rows (b, ...) to how real they look (b,)."""


@dataclass(kw_only=True)
class Played(Painted):
    """A painter and a critic that take turns, `critic_steps` for one, each by a loss of its own; nothing else is done to either."""

    betas: ClassVar[tuple[float, float]]
    """Of Adam, for both."""

    steps: int = tune(1500, 50, 50_000, log=True)
    batch: int = tune(32, 8, 256, log=True)
    lr: float = tune(2e-4, 1e-5, 4e-3, log=True)
    critic_steps: int = tune(1, 1, 10)

    @abstractmethod
    def judged(self, scores: Scores, real: Float[Tensor, "b ..."], fake: Float[Tensor, "b ..."]) -> dict[str, Float[Tensor, ""]]:
        """What the critic lowers, first, and what else is to be seen of its training."""

    @abstractmethod
    def painted(self, scores: Float[Tensor, " b"]) -> Float[Tensor, ""]:
        """What the painter lowers, from the critic's scores of its rows."""

    def fit(self, data: Data, run: Run) -> "Played":
        self.require(data.spec)
        device, x, y = run.device, data.spec.to_model(data.train.x), data.train.y
        with seeded(run.seed_for(self.name(), "weights")):
            painter = self._build(data.spec).to(device)
            judge = critic(data.spec.shape, data.classes, self.width, False).to(device)
        painter.standard.fit(x)
        adam, critic_adam = (torch.optim.Adam(net.parameters(), lr=self.lr, betas=self.betas) for net in (painter, judge))

        def drawn(label: Tensor) -> Tensor:
            with autocast(device):
                return painter(torch.randn(len(label), self.latent).to(device), label).float()

        def learn_to_judge(t: int) -> tuple[Tensor, dict[str, Tensor]]:
            rows = cyclic(len(y), t, self.batch, run.seed, self.name())
            real, label = painter.standard(x[rows].to(device)), y[rows].to(device)
            with torch.no_grad():
                fake = drawn(label)
            losses = self.judged(lambda rows: judge(rows, label), real, fake)
            critic_adam.zero_grad()
            next(iter(losses.values())).backward()
            critic_adam.step()
            return label, losses

        def step(t: int) -> dict[str, Tensor]:
            painter.train()
            *_, (label, losses) = (learn_to_judge(t * self.critic_steps + k) for k in range(self.critic_steps))
            judge.requires_grad_(False)
            fake = drawn(label)
            with autocast(device):
                lost = self.painted(judge(fake, label))
            adam.zero_grad()
            lost.backward()
            adam.step()
            judge.requires_grad_(True)
            return losses | {"generator": lost}

        parts = {"painter": painter, "critic": judge, "adam": adam, "critic_adam": critic_adam}
        self.curves_ = descend(step, parts, steps=self.steps, run=run, name=self.name(), watch=watch(self.sample, data, run))
        return self
