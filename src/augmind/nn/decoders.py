"""Latent vectors and labels, or mixtures of classes, to rows: the upper half of an autoencoder, and the generator of a GAN."""

from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .encoders import base, halvings
from .labels import Labels


class ClassNorm(nn.Module):
    """Batch normalisation whose gain and bias are chosen by the class (arXiv:1707.00683)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = Labels(classes, channels)
        self.bias = Labels(classes, channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, x: Float[Tensor, "b c h w"], y: Int[Tensor, " b"] | Float[Tensor, "b k"]) -> Float[Tensor, "b c h w"]:
        return self.norm(x) * self.gain(y)[:, :, None, None].to(x.dtype) + self.bias(y)[:, :, None, None].to(x.dtype)


class GridDecoder(nn.Module):
    """Transposed convolutions (arXiv:1511.06434) up to a grid (C, H, W) of any size; `bounded` grids end in tanh."""

    def __init__(self, shape: tuple[int, ...], latent: int, classes: int, width: int, bounded: bool) -> None:
        super().__init__()
        levels = halvings(shape)
        self.shape, self.base, self.bounded = shape, base(shape), bounded
        sizes = [width * 2**i for i in range(levels - 1, -1, -1)] + [max(8, width // 2)]
        self.label = Labels(classes, latent)
        self.start = nn.Linear(2 * latent, sizes[0] * self.base[0] * self.base[1])
        self.norms = nn.ModuleList(ClassNorm(size, classes) for size in sizes)
        self.ups = nn.ModuleList(nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False) for a, b in pairwise(sizes))
        self.end = nn.Conv2d(sizes[-1], shape[0], 3, 1, 1)

    def forward(self, z: Float[Tensor, "b l"], y: Int[Tensor, " b"] | Float[Tensor, "b k"]) -> Float[Tensor, "b c h w"]:
        h = self.start(torch.cat([z, self.label(y)], 1)).unflatten(1, (-1, *self.base))
        h = h.contiguous(memory_format=torch.channels_last)
        for norm, up in zip(self.norms, self.ups, strict=False):
            h = up(torch.relu(norm(h, y)))
        x = self.end(torch.relu(self.norms[-1](h, y)))[:, :, : self.shape[1], : self.shape[2]].float()
        return x.tanh() if self.bounded else x


class VectorDecoder(nn.Module):
    """Two hidden layers to a vector (d,)."""

    def __init__(self, shape: tuple[int, ...], latent: int, classes: int, width: int) -> None:
        super().__init__()
        hidden = 4 * width
        self.label = Labels(classes, latent)
        self.body = nn.Sequential(
            nn.Linear(2 * latent, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, shape[0])
        )  # fmt: skip

    def forward(self, z: Float[Tensor, "b l"], y: Int[Tensor, " b"] | Float[Tensor, "b k"]) -> Float[Tensor, "b d"]:
        return self.body(torch.cat([z, self.label(y)], 1)).float()


def decoder(shape: tuple[int, ...], latent: int, classes: int, width: int, bounded: bool) -> GridDecoder | VectorDecoder:
    """The class-conditional decoder for rows of this shape."""
    if len(shape) == 1:
        return VectorDecoder(shape, latent, classes, width)
    return GridDecoder(shape, latent, classes, width, bounded)
