"""Other sounds in the background: rows of the batch, quieter than the row whose label stays."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.plugin import Transform
from augmind.core.seeds import stream
from augmind.core.tune import tune
from augmind.modalities.audio.transforms._levels import as_rows, levels


@dataclass(kw_only=True)
class Background(Transform):
    """Each row, with `probability`, has another one of the batch `nearest` to `furthest` decibels below it, begun anywhere and repeated to its end.

    Powers are added, which is the mean of what waves would give. A row that is alone, or silent, stays as it is.
    """

    axes: ClassVar[tuple[int, ...]] = (3,)
    waves: ClassVar[bool | None] = True

    probability: float = tune(0.5, 0.1, 1.0)
    nearest: float = tune(5.0, 0.0, 10.0)
    furthest: float = tune(20.0, 10.0, 40.0)

    def apply(self, x: Float[Tensor, "b c h w"], y: Float[Tensor, "b k"], seed: int) -> tuple[Tensor, Tensor]:
        n, frames, rng = len(x), x.shape[-1], stream("background", seed)
        if n < 2:
            return x, y
        order, other = torch.randperm(n, generator=rng), torch.empty(n, dtype=torch.long)
        other[order] = order.roll(1)
        begin = torch.randint(0, frames, (n, 1), generator=rng)
        below = self.nearest + (self.furthest - self.nearest) * torch.rand(n, generator=rng)
        chosen = torch.rand(n, generator=rng) < self.probability
        power = levels(x)
        behind = power[other].gather(3, ((begin + torch.arange(frames)) % frames)[:, None, None, :].expand_as(power))
        size = power.mean((1, 2, 3)) / behind.mean((1, 2, 3)).clamp(min=1e-12) * 10 ** (-below / 10)
        mixed = as_rows(power + size[:, None, None, None] * behind)
        return torch.where(chosen[:, None, None, None], mixed, x), y
