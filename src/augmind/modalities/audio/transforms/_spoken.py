"""How something is said, and what it passes through on its way: contours of tempo, pitch and energy, and the bands that a channel lets through."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

TURNS = 3
"""Half waves that a contour is made of, at most."""


def contours(n: int, frames: int, rng: Generator) -> Float[Tensor, "n frames"]:
    """Smooth curves over a clip, each of mean zero and at most one in size: waves of up to `TURNS` half turns, the slow ones larger."""
    at = torch.linspace(0, 1, frames)
    turns = torch.arange(1, TURNS + 1)
    size = (torch.rand((n, TURNS), generator=rng) * 2 - 1) / turns
    phase = torch.rand((n, TURNS), generator=rng)
    found = (size[:, :, None] * torch.cos(torch.pi * (turns[:, None] * at + 2 * phase[:, :, None]))).sum(1)
    found = found - found.mean(1, keepdim=True)
    return found / found.abs().amax(1, keepdim=True).clamp(min=1.0)


def warped(slower: Float[Tensor, "n frames"]) -> Float[Tensor, "n frames"]:
    """Where, in -1..1, each moment of a clip comes from whose tempo follows a contour of logarithms; beginning and end stay where they are."""
    passed = slower.exp().cumsum(1)
    passed = passed - passed[:, :1]
    return 2 * passed / passed[:, -1:].clamp(min=1e-6) - 1


def let_through(bands: int, low: Float[Tensor, " n"], high: Float[Tensor, " n"], falls: float) -> Float[Tensor, "n bands"]:
    """Decibels, at most 0, of a channel that passes the bands from `low` to `high` (0..1) and falls beyond by `falls` over the length of all."""
    at = torch.linspace(0, 1, bands)
    outside = (low[:, None] - at).clamp(min=0) + (at - high[:, None]).clamp(min=0)
    return -falls * outside


def audible(power: Float[Tensor, "n c h w"], depth: Float[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
    """What a lossy codec keeps: bands less than `depth` decibels below the loudest of their moment; infinity keeps all."""
    least = power.amax(2, keepdim=True) * 10 ** (-depth / 10)[:, None, None, None]
    return torch.where(power >= least, power, 0.0)
