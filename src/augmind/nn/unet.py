"""A small conditional U-Net over grids of any size, for generators that refine noise step by step.

Shapes: `B` batch, `C H W` grid, `E` embedding. Layout stays (B, C, H, W) contiguous: group normalisation is slower in channels-last.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, pixel_shuffle, pixel_unshuffle, scaled_dot_product_attention, silu

from .labels import Labels

GROUPS = 8
FINEST = 16
"""Largest side that convolutions see; larger grids are folded into channels first."""


def fold_factor(height: int, width: int) -> int:
    """Power of two by which a grid is folded (space to depth) so that neither side exceeds `FINEST` much."""
    return 2 ** max(0, math.ceil(math.log2(max(height, width) / FINEST)))


def fourier(t: Float[Tensor, " B"], size: int) -> Float[Tensor, "B size"]:
    """Sines and cosines of t in [0, 1] at geometrically spaced frequencies (arXiv:1706.03762)."""
    frequencies = torch.exp(torch.linspace(math.log(1.0), math.log(200.0), size // 2, device=t.device))
    angles = t[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def zeroed(layer: nn.Module) -> nn.Module:
    """The layer with all weights zero, so that what it ends starts as nothing."""
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    return layer


class Residual(nn.Module):
    """Two convolutions whose second normalisation is scaled and shifted by the embedding; starts as the identity."""

    def __init__(self, before: int, after: int, embedding: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(GROUPS, before), nn.GroupNorm(GROUPS, after)
        self.conv1, self.conv2 = nn.Conv2d(before, after, 3, padding=1), zeroed(nn.Conv2d(after, after, 3, padding=1))
        self.modulate = nn.Linear(embedding, 2 * after)
        self.skip = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Float[Tensor, "B C H W"], e: Float[Tensor, "B E"]) -> Float[Tensor, "B D H W"]:
        h = self.conv1(silu(self.norm1(x)))
        scale, shift = self.modulate(e)[:, :, None, None].chunk(2, dim=1)
        return self.skip(x) + self.conv2(silu(torch.addcmul(shift, self.norm2(h), 1 + scale)))


class Attention(nn.Module):
    """Self-attention over the cells of a grid, with a residual connection; starts as the identity."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w).transpose(3, 4).unbind(1)
        mixed = scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(b, c, h, w)
        return x + self.out(mixed)


class UNet(nn.Module):
    """A field over grids: (several grids as channels, time, class, condition) to one grid.

    Two resolutions, attention at the lower one. `classes` counts the null class of classifier-free guidance;
    `conditions` is the length of the condition vector, which is all zero by default. Sides are padded inside to fit and
    cropped again.
    """

    def __init__(self, inputs: int, outputs: int, height: int, width: int, *, hidden: int, classes: int, conditions: int) -> None:
        super().__init__()
        self.fold = fold_factor(height, width)
        unit = 2 * self.fold
        self.margin = (-width % unit, -height % unit)
        deep, embedding = 2 * hidden, 4 * hidden
        self.time = nn.Sequential(nn.Linear(2 * hidden, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.label = Labels(classes, embedding)
        self.condition = nn.Linear(conditions, embedding, bias=False)
        self.first = nn.Conv2d(inputs * self.fold**2, hidden, 3, padding=1)
        self.down = nn.ModuleList([Residual(hidden, hidden, embedding), Residual(hidden, hidden, embedding)])
        self.widen = nn.Conv2d(hidden, deep, 3, stride=2, padding=1)
        self.middle = nn.ModuleList([Residual(deep, deep, embedding), Residual(deep, deep, embedding)])
        self.attend = Attention(deep, heads=max(1, deep // 32))
        self.narrow = nn.Conv2d(deep, hidden, 3, padding=1)
        self.up = nn.ModuleList([Residual(2 * hidden, hidden, embedding), Residual(2 * hidden, hidden, embedding)])
        self.norm = nn.GroupNorm(GROUPS, hidden)
        self.last = zeroed(nn.Conv2d(hidden, outputs * self.fold**2, 3, padding=1))
        self.hidden = hidden

    def forward(
        self,
        x: Float[Tensor, "B I H W"],
        t: Float[Tensor, " B"],
        y: Int[Tensor, " B"] | Float[Tensor, "B k"],
        condition: Float[Tensor, "B A"] | None = None,
    ) -> Float[Tensor, "B O H W"]:
        height, width = x.shape[2:]
        e = self.time(fourier(t, 2 * self.hidden)) + self.label(y)
        if condition is not None:
            e = e + self.condition(condition)
        e = silu(e)
        h = self.first(pixel_unshuffle(pad(x, (0, self.margin[0], 0, self.margin[1]), mode="replicate"), self.fold))
        skips = [h := block(h, e) for block in self.down]
        h = self.widen(h)
        h = self.middle[1](self.attend(self.middle[0](h, e)), e)
        h = interpolate(self.narrow(h), scale_factor=2.0, mode="nearest")
        for block in self.up:
            h = block(torch.cat([h, skips.pop()], dim=1), e)
        out = pixel_shuffle(self.last(silu(self.norm(h))), self.fold)
        return out[:, :, :height, :width]
