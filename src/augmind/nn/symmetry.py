"""Random mirrorings and cyclic shifts of grids, with what was done as a condition vector.

They only reorder cells, so white noise stays white, and a network that is told the condition need not reproduce them: with
the condition zero it draws unmoved grids ("non-leaking" augmentation, arXiv:2206.00364).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

CONDITIONS = 3
"""Length of the condition: shift down and right as a part of the longest shift, and whether it was mirrored."""
REACH = 1 / 8
"""Longest shift, as a part of a side."""


@dataclass(frozen=True)
class Symmetry:
    """For each grid of a batch: which row and which column of it goes where, and the condition that says so."""

    rows: Int[Tensor, "B H"]
    columns: Int[Tensor, "B W"]
    condition: Float[Tensor, "B 3"]

    @classmethod
    def draw(cls, batch: int, height: int, width: int, chance: float) -> "Symmetry":
        """Shifts with this chance and mirrors (last axis) with half of it, from torch's global random state."""
        reach = torch.tensor([max(1, round(REACH * height)), max(1, round(REACH * width))])
        moved, mirrored = torch.rand(batch, 1) < chance, torch.rand(batch, 1) < chance / 2
        shift = ((torch.rand(batch, 2) * 2 - 1) * reach).round().long() * moved
        rows = (torch.arange(height) - shift[:, :1]) % height
        columns = (torch.arange(width) - shift[:, 1:]) % width
        columns = torch.where(mirrored, width - 1 - columns, columns)
        return cls(rows, columns, torch.cat([shift / reach, mirrored.float()], 1))

    def to(self, device: torch.device) -> "Symmetry":
        return Symmetry(self.rows.to(device), self.columns.to(device), self.condition.to(device))

    def __call__(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        batch = torch.arange(len(x), device=x.device)[:, None, None]
        return x[batch, :, self.rows[:, :, None], self.columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
