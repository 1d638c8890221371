"""Rows as tokens: a generator and a critic made of attention, for grids of any size and for vectors. Shapes: `B` batch, `T` tokens, `D` width."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad, silu

from .attention import HEAD, Block, Modulated
from .critics import Critic, bounded_slope
from .labels import Labels

TOKENS = 80
"""At most so many patches a grid is cut into."""
PIECES = 8
"""Tokens of a vector."""


def width_of(width: int) -> int:
    """The width of tokens: about twice that of a network's thinnest layer, in whole heads."""
    return HEAD * max(1, round(2 * width / HEAD))


def patch(shape: tuple[int, ...]) -> int:
    """The side of a grid's patches: the least power of two, two at least, that gives no more than `TOKENS` of them."""
    side = 2
    while math.prod(math.ceil(s / side) for s in shape[1:]) > TOKENS:
        side *= 2
    return side


def layout(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of patches."""
    side = patch(shape)
    return math.ceil(shape[1] / side), math.ceil(shape[2] / side)


def tokens(shape: tuple[int, ...]) -> int:
    return PIECES if len(shape) == 1 else math.prod(layout(shape))


class Cut(nn.Module):
    """Rows to tokens: of grids patches that overlap by half (arXiv:2107.04589), of vectors projections."""

    def __init__(self, shape: tuple[int, ...], width: int, spectral: bool) -> None:
        super().__init__()
        if len(shape) == 1:
            self.margin, self.layer = (0, 0), nn.Sequential(nn.Linear(shape[0], PIECES * width), nn.Unflatten(1, (width, PIECES)))
        else:
            side, (down, across) = patch(shape), layout(shape)
            self.margin = (0, across * side - shape[2], 0, down * side - shape[1])
            self.layer = nn.Sequential(nn.Conv2d(shape[0], width, 2 * side, side, side // 2), nn.Flatten(2))
        self.layer[0] = bounded_slope(self.layer[0], spectral)

    def forward(self, x: Float[Tensor, "B ..."]) -> Float[Tensor, "B T D"]:
        return self.layer(pad(x, self.margin, mode="replicate") if any(self.margin) else x).mT


class Join(nn.Module):
    """Tokens to rows, by the same overlap."""

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.shape = shape
        if len(shape) == 1:
            self.layer = nn.Sequential(nn.Flatten(1), nn.Linear(PIECES * width, shape[0]))
        else:
            side = patch(shape)
            self.layer = nn.Sequential(nn.Unflatten(2, layout(shape)), nn.ConvTranspose2d(width, shape[0], 2 * side, side, side // 2))

    def forward(self, h: Float[Tensor, "B T D"]) -> Float[Tensor, "B ..."]:
        x = self.layer(h.mT)
        return x if x.ndim == 2 else x[:, :, : self.shape[1], : self.shape[2]]


class TokenDecoder(nn.Module):
    """Noise and labels to rows: tokens begin as places plus a projection of both, and both steer every normalisation."""

    def __init__(self, shape: tuple[int, ...], latent: int, classes: int, width: int, depth: int, bounded: bool, spectral: bool) -> None:
        super().__init__()
        width, count = width_of(width), tokens(shape)
        self.bounded = bounded and len(shape) == 3
        self.label = Labels(classes, latent)
        self.style = nn.Sequential(nn.Linear(2 * latent, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.start = nn.Sequential(nn.Linear(width, count * width), nn.Unflatten(1, (count, width)))
        self.places = nn.Parameter(0.02 * torch.randn(count, width))
        self.blocks = nn.ModuleList(Block(width, spectral) for _ in range(depth))
        self.norms = nn.ModuleList(Modulated(width, width) for _ in range(2 * depth + 1))
        self.join = Join(shape, width)

    def forward(self, z: Float[Tensor, "B L"], y: Int[Tensor, " B"] | Float[Tensor, "B k"]) -> Float[Tensor, "B ..."]:
        style = self.style(torch.cat([z, self.label(y)], 1))
        h = self.start(style) + self.places
        for i, block in enumerate(self.blocks):
            h = block(h, self.norms[2 * i], self.norms[2 * i + 1], style)
        x = self.join(self.norms[-1](h, style)).float()
        return x.tanh() if self.bounded else x


class TokenCritic(Critic):
    """Rows and labels to scores. `blocks` may be those of a `TokenDecoder`."""

    def __init__(self, shape: tuple[int, ...], classes: int, width: int, depth: int, spectral: bool, blocks: nn.ModuleList | None = None) -> None:
        width = width_of(width)
        super().__init__(width, classes, spectral)
        self.cut = Cut(shape, width, spectral)
        self.places = nn.Parameter(0.02 * torch.randn(tokens(shape), width))
        self.blocks = blocks if blocks is not None else nn.ModuleList(Block(width, spectral) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * depth + 1))

    def forward(self, x: Float[Tensor, "B ..."], y: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
        h = self.cut(x) + self.places
        for i, block in enumerate(self.blocks):
            h = block(h, self.norms[2 * i], self.norms[2 * i + 1])
        return self.judge(silu(self.norms[-1](h)).mean(1), y)
