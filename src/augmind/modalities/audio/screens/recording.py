"""What shows at a glance that a row is no recording like the real ones: silent, too loud or soft, cut off, or on another floor of noise."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from augmind.core.plugin import Screen
from augmind.core.run import Run
from augmind.core.tune import tune
from augmind.core.types import Data, Samples
from augmind.modalities.audio.mel import FLOOR

QUIET = 0.1
"""Of the columns the part whose power is the floor of noise: a tenth is softer."""
SILENT = 1
"""Bytes up to which a cell holds nothing."""
SHARES = 0.1
"""By how much shares of silence and of cells at full scale may lie beyond those of real rows."""


@dataclass(kw_only=True)
class Recording(Screen):
    """Scores are 0 or 1. A row passes with sound in it whose mean level, loudest column and floor of noise lie no more than `slack` decibels beyond
    those of real rows, and whose shares of silent columns and of cells at full scale no more than `SHARES`.

    The floor is the level that a tenth of the columns with any sound do not reach. The limits are wide on purpose: a recording from elsewhere shall
    pass, what no microphone gives shall not.
    """

    axes: ClassVar[tuple[int, ...]] = (3,)
    waves: ClassVar[bool | None] = True
    reason: ClassVar[str] = "no recording like the real ones (silent, too loud or soft, cut off, another floor of noise)"

    slack: float = tune(10.0, 3.0, 30.0)

    @property
    def cut(self) -> float:
        return 0.5

    def fit(self, data: Data, run: Run) -> "Recording":
        self.require(data.spec)
        known = measures(data.train.x)
        room = torch.tensor([self.slack] * 3 + [SHARES] * 2)
        self.least_, self.most_ = known.amin(0) - room, known.amax(0) + room
        return self

    def score(self, synthetic: Samples, kept: Samples | None = None) -> Float[Tensor, " n"]:
        if not len(synthetic):
            return torch.empty(0)
        found = measures(synthetic.x)
        within = (found >= self.least_) & (found <= self.most_)
        return (within.all(1) & (synthetic.x > SILENT).flatten(1).any(1)).float()


def measures(x: Shaped[Tensor, "n c bands columns"]) -> Float[Tensor, "n 5"]:
    """Of stored spectrograms in decibels mean level, loudest column and floor of noise; shares of silent columns and of cells at full scale."""
    decibels = FLOOR * (1 - x.float().flatten(1, 2) / 255)
    power = torch.where(x.flatten(1, 2) > SILENT, 10 ** (decibels / 10), 0.0)
    columns = power.mean(1)
    silent = columns <= 0
    levels = 10 * columns.clamp(min=10 ** (FLOOR / 10)).log10()
    floor = levels.masked_fill(silent, torch.nan).nanquantile(QUIET, dim=1).nan_to_num(FLOOR)
    mean = 10 * columns.mean(1).clamp(min=10 ** (FLOOR / 10)).log10()
    return torch.stack([mean, levels.amax(1), floor, silent.float().mean(1), (x >= 255).float().flatten(1).mean(1)], 1)
