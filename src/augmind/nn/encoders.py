"""Rows to feature vectors: the lower half of an autoencoder."""

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad


def halvings(shape: tuple[int, ...]) -> int:
    """How often a grid (channels, height, width) is halved until its longer side is about 7."""
    return max(1, round(math.log2(max(shape[1:]) / 7)))


def base(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width after all halvings, of the grid padded to a multiple."""
    step = 2 ** halvings(shape)
    return math.ceil(shape[1] / step), math.ceil(shape[2] / step)


class GridEncoder(nn.Module):
    """Strided convolutions (arXiv:1511.06434) over a grid (C, H, W) of any size; `features` says how many numbers come out."""

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.shape, levels = shape, halvings(shape)
        (h, w), step = base(shape), 2**levels
        self.margin = (0, w * step - shape[2], 0, h * step - shape[1])
        sizes = [shape[0], *(width * 2**i for i in range(levels))]
        layers = []
        for before, after in pairwise(sizes):
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.SiLU()]
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.features = sizes[-1] * h * w

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        return self.body(pad(x, self.margin, mode="replicate").contiguous(memory_format=torch.channels_last))


class VectorEncoder(nn.Module):
    """Two hidden layers over a vector (d,)."""

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.features = 4 * width
        self.body = nn.Sequential(nn.Linear(shape[0], self.features), nn.SiLU(), nn.Linear(self.features, self.features), nn.SiLU())

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b e"]:
        return self.body(x)


def encoder(shape: tuple[int, ...], width: int) -> GridEncoder | VectorEncoder:
    """The encoder for rows of this shape."""
    return (VectorEncoder if len(shape) == 1 else GridEncoder)(shape, width)
