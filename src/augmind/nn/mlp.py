"""A small conditional residual network over vectors, for generators that refine noise step by step."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import silu

from .labels import Labels
from .unet import fourier, zeroed


class Mlp(nn.Module):
    """A field over vectors: (several inputs side by side, time, class) to one vector. `classes` counts the null class."""

    def __init__(self, inputs: int, outputs: int, *, hidden: int, classes: int, depth: int = 3) -> None:
        super().__init__()
        self.hidden = hidden
        self.time = nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.label = Labels(classes, hidden)
        self.first = nn.Linear(inputs, hidden)
        self.norms = nn.ModuleList([nn.LayerNorm(hidden) for _ in range(depth)])
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(2 * hidden, hidden), nn.SiLU(), nn.Linear(hidden, hidden)) for _ in range(depth)])
        self.last = zeroed(nn.Linear(hidden, outputs))

    def forward(self, x: Float[Tensor, "B I"], t: Float[Tensor, " B"], y: Int[Tensor, " B"] | Float[Tensor, "B k"]) -> Float[Tensor, "B O"]:
        e = silu(self.time(fourier(t, self.hidden)) + self.label(y))
        h = self.first(x)
        for norm, block in zip(self.norms, self.blocks, strict=True):
            h = h + block(torch.cat([norm(h), e], dim=1))
        return self.last(h)
