"""Diversity: is the place of a synthetic row already crowded with synthetic rows?"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.plugin import Screen
from augmind.core.run import Run
from augmind.core.types import Data, Samples
from augmind.nn.neighbours import blocks, polar, squared_distances

from ._spacing import spacing

BLOCK = 256


@dataclass(kw_only=True)
class Diversity(Screen):
    """The share of real rows among the rows of its class around a synthetic row, the two sets brought to equal size.

    Around: nearer, in features (`neighbours.polar`), than a real row of the class typically is to its nearest neighbour. Only
    synthetic rows that stay count, those of `kept` and earlier ones; one real row is always granted. About 0.5 where the
    generator draws as often as reality does, less where it draws too often: at the cut of one third, a place is full when it holds
    twice its due. So a generator that repeats itself is thinned and a good one is left alone.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"continuous", "tokens"})
    reason: ClassVar[str] = "adds nothing to the rows before it"
    least: float = 1 / 3

    @property
    def cut(self) -> float:
        return self.least

    def fit(self, data: Data, run: Run) -> "Diversity":
        assert data.train.z is not None
        self.z_, self.y_ = polar(data.train.z), data.train.y
        self.radius_ = spacing(self.z_, self.y_, data.classes, 1)
        return self

    def score(self, synthetic: Samples, kept: Samples | None = None) -> Float[Tensor, " n"]:
        assert synthetic.z is not None
        z, out = polar(synthetic.z), torch.empty(len(synthetic))
        for c in synthetic.y.unique().tolist():
            asked, real = synthetic.y == c, self.z_[self.y_ == c]
            staying = z[:0] if kept is None or kept.z is None else polar(kept.z[kept.y == c])
            out[asked] = self._fill(z[asked], real, staying, self.radius_[c].square())
        return out

    def _fill(self, z: Float[Tensor, "n d"], real: Float[Tensor, "r d"], staying: Float[Tensor, "s d"], radius: Tensor) -> Float[Tensor, " n"]:
        """Scores of the rows of one class, in order."""
        due = max(1.0, (len(z) + len(staying)) / max(1, len(real))) * (_within(z, real, radius) + 1)
        out = torch.empty(len(z))
        for start in range(0, len(z), BLOCK):
            rows = z[start : start + BLOCK]
            taken, near = _within(rows, staying, radius), (squared_distances(rows, rows) < radius).float()
            stays = torch.zeros(len(rows))
            for i in range(len(rows)):
                share = due[start + i] / (due[start + i] + taken[i] + near[i, :i] @ stays[:i])
                out[start + i] = share
                stays[i] = share >= self.cut
            staying = torch.cat([staying, rows[stays > 0]])
        return out


def _within(z: Float[Tensor, "n d"], others: Float[Tensor, "m d"], radius: Tensor) -> Float[Tensor, " n"]:
    """How many of `others` lie within the squared radius of each row."""
    out = torch.zeros(len(z))
    for part in blocks(len(z), len(others)):
        out[part] = (squared_distances(z[part], others) < radius).sum(1).float()
    return out
