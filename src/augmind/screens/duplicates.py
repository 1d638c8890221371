"""Duplicates: does a synthetic row repeat an earlier synthetic one?"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.plugin import Screen
from augmind.core.run import Run
from augmind.core.types import Data, Samples
from augmind.nn.neighbours import nearest, polar, squared_distances

from ._spacing import spacing

BLOCK = 256


@dataclass(kw_only=True)
class Duplicates(Screen):
    """Distance of features (`neighbours.polar`) to the nearest synthetic row that stays: one of `kept`, or an earlier row.

    The score is that distance over the typical distance of a real row of the class to its nearest neighbour, at most 1. A row
    below the cut repeats another; the earlier one stays, so of many copies one is left.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"continuous", "tokens"})
    reason: ClassVar[str] = "repeats another synthetic row"
    least: float = 0.4

    @property
    def cut(self) -> float:
        return self.least

    def fit(self, data: Data, run: Run) -> "Duplicates":
        assert data.train.z is not None
        self.spacing_ = spacing(polar(data.train.z), data.train.y, data.classes, 1)
        return self

    def score(self, synthetic: Samples, kept: Samples | None = None) -> Float[Tensor, " n"]:
        assert synthetic.z is not None
        z, scale = polar(synthetic.z), self.spacing_[synthetic.y]
        staying = z[:0] if kept is None or kept.z is None else polar(kept.z)
        out = torch.empty(len(z))
        for start in range(0, len(z), BLOCK):
            rows, unit = z[start : start + BLOCK], scale[start : start + BLOCK]
            before = nearest(rows, staying, 1)[0][:, 0] if len(staying) else torch.full((len(rows),), torch.inf)
            score, stays = _first_come(squared_distances(rows, rows).sqrt() / unit[:, None], before / unit, self.cut)
            out[start : start + BLOCK] = score
            staying = torch.cat([staying, rows[stays]])
        return out.clamp(max=1.0)


def _first_come(apart: Float[Tensor, "n n"], before: Float[Tensor, " n"], cut: float) -> tuple[Tensor, Tensor]:
    """Each row's distance to the nearest row that stays among those before it, and which rows stay, taken in order."""
    score, stays = before.clone(), torch.zeros(len(before), dtype=torch.bool)
    for i in range(len(before)):
        if stays[:i].any():
            score[i] = torch.minimum(score[i], apart[i, :i][stays[:i]].min())
        stays[i] = score[i] >= cut
    return score, stays
