"""A real row plus what sets two rows of another class apart: delta-encoders, for classes of few rows."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from augmind.core.feed import cyclic
from augmind.core.loop import cosine, descend
from augmind.core.plugin import Generator, Space
from augmind.core.run import Run
from augmind.core.seeds import in_chunks, row_noise, seeded
from augmind.core.tune import tune
from augmind.core.types import Data, Knowledge, Spec
from augmind.nn.analogy import REMEMBERED, DeltaEncoder, paired
from augmind.nn.standard import Standard


@dataclass(kw_only=True)
class Delta(Generator):
    """Differences within populated classes, given to the rows of rare ones (delta-encoder, arXiv:1806.04734; the idea is that of arXiv:1606.02819).

    An autoencoder of `latent` values learns to say how a row differs from another of its class, and to add that to the other one; the loss is their
    mean absolute distance. A drawn row is a real row of its class plus a difference of two rows of another one, each class lending in proportion to
    its rows. Its own differences are used where no other class has any. A class without rows begins from the mean of all. Rows lie near real ones by
    design, so no watchman looks for copies in the training: the screens look at every row.
    """

    axes: ClassVar[tuple[int, ...]] = (1,)
    space: ClassVar[Space] = "features"
    knowledge: ClassVar[Knowledge] = Knowledge.pretrained

    steps: int = tune(600, 50, 20_000, log=True)
    batch: int = tune(64, 8, 512, log=True)
    lr: float = tune(1e-3, 1e-4, 1e-2, log=True)
    width: int = tune(256, 32, 2048, log=True)
    latent: int = tune(16, 2, 128, log=True)

    def fit(self, data: Data, run: Run) -> "Delta":
        self.require(data.spec)
        with seeded(run.seed_for("delta", "weights")):
            net = self._build(data.spec).to(run.device)
        x, y = data.spec.to_model(data.train.x), data.train.y
        x = self.standard_.fit(x)(x)
        rows, anchors, of = paired(y, data.classes, run.rng("delta", "pairs"))
        adam = torch.optim.AdamW(net.parameters(), lr=self.lr, weight_decay=1e-3)

        def step(t: int) -> dict[str, Tensor]:
            net.train()
            at = cyclic(len(rows), t, self.batch, run.seed, "delta")
            row, anchor = x[rows[at]].to(run.device), x[anchors[at]].to(run.device)
            loss = l1_loss(net(net.code(row, anchor), anchor), row)
            adam.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            adam.step()
            return {"absolute distance": loss}

        parts = {"net": net, "adam": adam}
        self.curves_ = descend(step, parts, steps=self.steps, run=run, name=self.name(), rate=lambda t: cosine(t, self.steps))
        net.cpu().eval()
        with torch.no_grad():
            self.codes_ = in_chunks(net.code, x[rows], x[anchors])
        kept = torch.cat([(y == k).nonzero()[:, 0][:REMEMBERED] for k in range(data.classes)])
        self.anchors_ = torch.cat([x[kept], x.mean(0, keepdim=True)])
        self.lent_, self.starts_ = (begun(v, data.classes) for v in (of, y[kept]))
        return self

    def _build(self, spec: Spec) -> DeltaEncoder:
        self.spec_, self.standard_ = spec, Standard(spec)
        self.net_ = DeltaEncoder(spec.shape[0], self.width, self.latent)
        return self.net_

    def picked(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        """For each row the positions of its anchor and of the difference that is added to it, functions of (y[i], seeds[i])."""
        a, b = (torch.special.ndtr(row_noise(seeds, (2,))) * 0.999999).unbind(1)
        count, own = self.starts_.diff()[y], self.lent_.diff()[y]
        anchor = torch.where(count > 0, self.starts_[y] + (a * count).long(), len(self.anchors_) - 1)
        other = len(self.codes_) - own
        at = (b * torch.where(other > 0, other, own)).long()
        return anchor, torch.where((other > 0) & (at >= self.lent_[y]), at + own, at)

    @torch.no_grad()
    def sample(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
        def draw(y: Tensor, seeds: Tensor) -> Tensor:
            anchor, code = self.picked(y, seeds)
            return self.standard_.undo(self.net_(self.codes_[code], self.anchors_[anchor]))

        return in_chunks(draw, y.cpu(), seeds.cpu())

    def state(self) -> dict[str, Tensor]:
        kept = {f"net/{k}": v for k, v in self.net_.state_dict().items() if k.startswith("decoder")}
        kept |= {f"standard/{k}": v for k, v in self.standard_.state_dict().items()}
        return kept | {"codes": self.codes_, "anchors": self.anchors_, "lent": self.lent_, "starts": self.starts_}

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Delta":
        self.require(spec)
        self._build(spec).eval()
        for name, part in (("net/", self.net_), ("standard/", self.standard_)):
            part.load_state_dict({k.removeprefix(name): v for k, v in state.items() if k.startswith(name)}, strict=name != "net/")
        self.codes_, self.anchors_, self.lent_, self.starts_ = (state[k] for k in ("codes", "anchors", "lent", "starts"))
        return self


def begun(y: Int[Tensor, " n"], classes: int) -> Int[Tensor, " k1"]:
    """Where each class begins in labels sorted by class, and where the last one ends (classes + 1)."""
    return torch.cat([torch.zeros(1, dtype=torch.long), torch.bincount(y, minlength=classes).cumsum(0)])
