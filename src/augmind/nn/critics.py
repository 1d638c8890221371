"""Rows and labels to one number: how real does it look? Projection of the class on the features (arXiv:1802.05637)."""

from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad
from torch.nn.utils.parametrizations import spectral_norm

from .encoders import base, halvings


def bounded_slope(layer: nn.Module, spectral: bool) -> nn.Module:
    """The layer, under spectral normalisation (arXiv:1802.05957) if so wished."""
    return spectral_norm(layer) if spectral else layer


class Critic(nn.Module):
    """What both critics end in: a plain score, plus the inner product of features and the class's vector."""

    def __init__(self, features: int, classes: int, spectral: bool) -> None:
        super().__init__()
        self.score = bounded_slope(nn.Linear(features, 1), spectral)
        self.label = bounded_slope(nn.Embedding(classes, features), spectral)

    def judge(self, h: Float[Tensor, "b d"], y: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        return (self.score(h).squeeze(1) + (self.label(y) * h).sum(1)).float()


class GridCritic(Critic):
    """Strided convolutions over a grid (C, H, W) of any size."""

    def __init__(self, shape: tuple[int, ...], classes: int, width: int, spectral: bool) -> None:
        levels = halvings(shape)
        sizes = [shape[0], *(width * 2**i for i in range(levels))]
        super().__init__(sizes[-1] * 4, classes, spectral)
        (h, w), step = base(shape), 2**levels
        self.margin = (0, w * step - shape[2], 0, h * step - shape[1])
        self.downs = nn.ModuleList(bounded_slope(nn.Conv2d(a, b, 4, 2, 1), spectral) for a, b in pairwise(sizes))
        self.last = bounded_slope(nn.Conv2d(sizes[-1], 4 * sizes[-1], 3, 2, 1), spectral)

    def forward(self, x: Float[Tensor, "b c h w"], y: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        h = pad(x, self.margin, mode="replicate").contiguous(memory_format=torch.channels_last)
        for down in self.downs:
            h = leaky_relu(down(h), 0.2)
        return self.judge(leaky_relu(self.last(h), 0.2).sum((2, 3)), y)


class VectorCritic(Critic):
    """Two hidden layers over a vector (d,)."""

    def __init__(self, shape: tuple[int, ...], classes: int, width: int, spectral: bool) -> None:
        hidden = 4 * width
        super().__init__(hidden, classes, spectral)
        self.first = bounded_slope(nn.Linear(shape[0], hidden), spectral)
        self.second = bounded_slope(nn.Linear(hidden, hidden), spectral)

    def forward(self, x: Float[Tensor, "b d"], y: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        return self.judge(leaky_relu(self.second(leaky_relu(self.first(x), 0.2)), 0.2), y)


def critic(shape: tuple[int, ...], classes: int, width: int, spectral: bool) -> GridCritic | VectorCritic:
    """The class-conditional critic for rows of this shape."""
    return (VectorCritic if len(shape) == 1 else GridCritic)(shape, classes, width, spectral)
