"""A small residual network trained from scratch: what the labelled rows alone can teach."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.feed import Feed
from augmind.core.loop import autocast, cosine, descend
from augmind.core.run import Run
from augmind.core.seeds import in_chunks, seeded
from augmind.core.tune import tune
from augmind.core.types import Data, Samples, Spec
from augmind.nn.objective import learn
from augmind.nn.resnet import Resnet
from augmind.nn.starting import Starting, carried
from augmind.nn.transplant import narrowed


@dataclass(kw_only=True)
class Cnn(Starting):
    """AdamW (arXiv:1711.05101) for `steps` batches; the rate rises for a third of the way, then falls as a cosine."""

    axes: ClassVar[tuple[int, ...]] = (3,)
    waves: ClassVar[bool | None] = False

    steps: int = tune(400, 1, 20_000, log=True)
    batch: int = tune(64, options=(16, 32, 64, 128, 256))
    width: int = tune(24, options=(16, 24, 32, 48, 64))
    lr: float = tune(2e-3, 1e-4, 1e-2, log=True)
    weight_decay: float = tune(5e-2, 1e-4, 1e-1, log=True)

    def fit(self, feed: Feed, run: Run) -> "Cnn":
        self.require(feed.spec)
        with seeded(run.seed_for("cnn", "start")):
            self._build(feed.spec, feed.outputs)
        if donor := self.donor(feed):
            self.net_.load_state_dict(carried(self.net_.state_dict(), donor, feed.spec))
        return self._train(feed, run)

    def fit_from(self, state: dict[str, Tensor], feed: Feed, run: Run) -> "Cnn":
        """`fit`, starting from the learned state of another learner of these settings."""
        self.require(feed.spec)
        self._build(feed.spec, len(feed.spec.classes))
        self.net_.load_state_dict(state)
        return self._train(feed, run)

    def _build(self, spec: Spec, classes: int) -> None:
        self.spec_ = spec
        self.net_ = Resnet(spec.shape, classes, self.width)

    def _train(self, feed: Feed, run: Run) -> "Cnn":
        net, device, seed = self.net_.to(run.device).train(), run.device, run.seed_for("cnn", "batches")
        net.standardise_by(feed.real.x, feed.spec.to_model)
        adamw = torch.optim.AdamW(net.parameters(), lr=self.lr, weight_decay=self.weight_decay, fused=True)

        def judge(x: Tensor) -> Tensor:
            with autocast(device):
                return net(x.to(device))

        def step(t: int) -> dict[str, Tensor]:
            return learn(net, judge, adamw, feed, feed.batch(t, self.batch, seed), t, self.steps)

        def rate(t: int) -> float:
            return cosine(t, self.steps, warmup=self.steps // 3)

        self.curves_ = descend(step, {"net": net, "adamw": adamw}, steps=self.steps, run=run, name="cnn", rate=rate)
        net.head = narrowed(net.head, len(feed.spec.classes))
        net.eval()
        return self

    def predict(self, samples: Samples) -> Float[Tensor, "n k"]:
        device = self.net_.mean.device

        def block(x: Tensor) -> Tensor:
            with autocast(device):
                return self.net_(self.spec_.to_model(x).to(device)).float().softmax(1).cpu()

        with torch.no_grad():
            return in_chunks(block, samples.x, size=128)

    def state(self) -> dict[str, Tensor]:
        return self.net_.state_dict()

    def restore(self, data: Data, state: dict[str, Tensor]) -> "Cnn":
        self._build(data.spec, data.classes)
        self.net_.load_state_dict(state)
        self.net_.eval()
        return self
