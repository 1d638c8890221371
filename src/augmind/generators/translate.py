"""Real rows, spoilt and translated back: what a network that learnt to undo the damage makes of it is a new row of the same label."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from augmind.core.errors import WrongSpec
from augmind.core.plugin import Generator
from augmind.core.run import Run
from augmind.core.seeds import in_chunks, row_noise, seeded
from augmind.core.tune import tune
from augmind.core.types import Data, Spec
from augmind.modalities import codec_of_waves
from augmind.nn.degrade import COLOURED, DEGRADATIONS, Degradation, degradation, uniform
from augmind.nn.pix2pix import Lesson, Translator, learn


@dataclass(kw_only=True)
class Translate(Generator):
    """pix2pix (arXiv:1611.07004) on pairs made of the rows themselves.

    A row's seed chooses a real row of its class, how that is spoilt, and which of the possible answers is given. `task` names what is undone:
    `DEGRADATIONS`. `adversarial` weighs the critic of patches against the mean absolute error. Rows stay near the real ones they began as, the
    further the more was taken away, so nobody watches for copies while it learns; the screens for copies judge them like all others.
    """

    axes: ClassVar[tuple[int, ...]] = (3,)

    task: str = tune("inpaint", options=tuple(DEGRADATIONS))
    steps: int = tune(1000, 50, 50_000, log=True)
    batch: int = tune(16, 4, 128, log=True)
    lr: float = tune(1e-3, 1e-5, 4e-3, log=True)
    width: int = tune(24, 8, 128, log=True)
    adversarial: float = tune(0.01, 0.0, 0.1)

    def fit(self, data: Data, run: Run) -> "Translate":
        self.require(data.spec)
        if self.task in COLOURED and data.spec.shape[0] < 3:
            text = f"'{self.task}' needs rows with three channels of colour, and these have {data.spec.shape[0]}"
            raise WrongSpec(text, help="choose another task: --set translate.task=super-resolution")
        with seeded(run.seed_for(self.name(), "weights")):
            self._build(data.spec).to(run.device)
        self.rows_, self.labels_ = data.train.x, data.train.y
        spoil, x = self._spoil(), self.rows_

        def pairs(rows: Tensor) -> tuple[Tensor, Tensor]:
            wanted = data.spec.to_model(x[rows])
            return spoil(wanted, torch.randint(2**31, (len(rows),))), wanted

        lesson = Lesson(steps=self.steps, batch=self.batch, lr=self.lr, adversarial=self.adversarial)
        self.curves_ = learn(self.net_, len(x), pairs, lesson, run, self.name(), self.width)
        return self

    def _build(self, spec: Spec) -> Translator:
        self.spec_ = spec
        channels, height, width = spec.shape
        self.net_ = Translator(channels, channels, height, width, self.width)
        return self.net_

    def _spoil(self) -> Degradation:
        """What is done to rows; of waves the noises are those of their codec, which follows from the spec."""
        return degradation(self.task, self.spec_, codec_of_waves(self.spec_))

    def origins(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
        """Which training row each seed begins from; any, for a class without rows."""
        place, found = uniform(seeds, 1, salt=31)[:, 0], torch.empty(len(y), dtype=torch.long)
        for k in y.unique():
            own = (self.labels_ == k).nonzero()[:, 0]
            own = own if len(own) else torch.arange(len(self.labels_))
            mine = y == k
            found[mine] = own[(place[mine] * len(own)).long().clamp(max=len(own) - 1)]
        return found

    @torch.no_grad()
    def sample(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n ..."]:
        net, spoil = self.net_.eval(), self._spoil()
        device = next(net.parameters()).device

        def draw(at: Tensor, seeds: Tensor) -> Tensor:
            given = spoil(self.spec_.to_model(self.rows_[at]), seeds)
            noise = row_noise(seeds, (1, *self.spec_.shape[1:]), salt=32)
            return net(given.to(device), noise.to(device)).float().cpu()

        x = in_chunks(draw, self.origins(y.cpu(), seeds.cpu()), seeds.cpu())
        return x.clamp(-1, 1) if self.spec_.bounded else x

    def state(self) -> dict[str, Tensor]:
        return {"rows": self.rows_, "labels": self.labels_} | {f"net/{k}": v.cpu() for k, v in self.net_.state_dict().items()}

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Translate":
        self.require(spec)
        self.rows_, self.labels_ = state["rows"], state["labels"]
        self._build(spec).load_state_dict({k[4:]: v for k, v in state.items() if k.startswith("net/")})
        return self
