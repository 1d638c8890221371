"""A small convolutional recurrent network over spectrograms, trained from scratch: what the labelled sounds alone can teach."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from augmind.core.feed import Feed
from augmind.core.loop import autocast, cosine, descend
from augmind.core.run import Run
from augmind.core.seeds import in_chunks, seeded
from augmind.core.tune import tune
from augmind.core.types import Data, Samples, Spec
from augmind.nn.objective import learn
from augmind.nn.starting import Starting, carried
from augmind.nn.transplant import narrowed


@dataclass(kw_only=True)
class Crnn(Starting):
    """Convolutions that halve bands three times, and moments (those of short clips once), then a bidirectional GRU over the moments and its maximum
    over them (after arXiv:1609.04243).

    AdamW for `steps` batches; the rate rises for a third of the way, then falls as a cosine.
    """

    axes: ClassVar[tuple[int, ...]] = (3,)
    waves: ClassVar[bool | None] = True

    steps: int = tune(400, 1, 20_000, log=True)
    batch: int = tune(64, options=(16, 32, 64, 128, 256))
    width: int = tune(32, options=(16, 24, 32, 48, 64))
    dropout: float = tune(0.3, 0.0, 0.8)
    lr: float = tune(2e-3, 1e-4, 1e-2, log=True)
    weight_decay: float = tune(5e-2, 1e-4, 1e-1, log=True)

    def fit(self, feed: Feed, run: Run) -> "Crnn":
        self.require(feed.spec)
        with seeded(run.seed_for("crnn", "start")):
            self._build(feed.spec, feed.outputs)
        if donor := self.donor(feed):
            self.net_.load_state_dict(carried(self.net_.state_dict(), donor, feed.spec))
        return self._train(feed, run)

    def fit_from(self, state: dict[str, Tensor], feed: Feed, run: Run) -> "Crnn":
        """`fit`, starting from the learned state of another learner of these settings."""
        self.require(feed.spec)
        self._build(feed.spec, len(feed.spec.classes))
        self.net_.load_state_dict(state)
        return self._train(feed, run)

    def _build(self, spec: Spec, classes: int) -> None:
        self.spec_, self.net_ = spec, Net(spec, classes, self.width, self.dropout)

    def _train(self, feed: Feed, run: Run) -> "Crnn":
        net, device, seed = self.net_.to(run.device).train(), run.device, run.seed_for("crnn", "batches")
        net.standardise_by(feed.real.x, feed.spec.to_model)
        adamw = torch.optim.AdamW(net.parameters(), lr=self.lr, weight_decay=self.weight_decay, fused=True)

        def judge(x: Tensor) -> Tensor:
            with autocast(device):
                return net(x.to(device))

        def step(t: int) -> dict[str, Tensor]:
            batch = feed.batch(t, self.batch, seed)
            with seeded(run.seed_for("crnn", "dropout", t)):
                return learn(net, judge, adamw, feed, batch, t, self.steps)

        def rate(t: int) -> float:
            return cosine(t, self.steps, warmup=self.steps // 3)

        self.curves_ = descend(step, {"net": net, "adamw": adamw}, steps=self.steps, run=run, name="crnn", rate=rate)
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

    def restore(self, data: Data, state: dict[str, Tensor]) -> "Crnn":
        self._build(data.spec, data.classes)
        self.net_.load_state_dict(state)
        self.net_.eval()
        return self


class Net(nn.Module):
    """Logits of spectrograms that are standardised inside, by one mean and SD."""

    def __init__(self, spec: Spec, classes: int, width: int, dropout: float) -> None:
        super().__init__()
        _, bands, frames = spec.shape
        bands, pool = -(-bands // 2), frames >= 16
        self.body = nn.Sequential(
            *layer(1, width // 2, stride=2),
            *layer(width // 2, width),
            nn.MaxPool2d(2 if pool else (2, 1)),
            *layer(width, 2 * width),
            nn.MaxPool2d(2 if pool else (2, 1)),
            *layer(2 * width, 2 * width),
        )
        self.gru = nn.GRU(2 * width * (bands // 4), 3 * width // 2, bidirectional=True, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * (3 * width // 2), classes)
        self.mean: Tensor
        self.sd: Tensor
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("sd", torch.ones(()))

    def standardise_by(self, x: Shaped[Tensor, "n 1 h w"], to_model: Callable[[Tensor], Tensor], block: int = 256) -> None:
        """Takes the mean and SD from these stored rows, block by block."""
        total, square = 0.0, 0.0
        for rows in x.split(block):
            values = to_model(rows).double()
            total, square = total + float(values.sum()), square + float(values.square().sum())
        mean = total / x.numel()
        self.mean.fill_(mean)
        self.sd.fill_(max(0.0, square / x.numel() - mean**2) ** 0.5 + 1e-3)

    def forward(self, x: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b k"]:
        found = self.body((x - self.mean) / self.sd)
        over_time, _ = self.gru(found.permute(0, 3, 1, 2).flatten(2))
        return self.head(self.dropout(over_time.max(1).values))


def layer(inside: int, outside: int, stride: int = 1) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()
