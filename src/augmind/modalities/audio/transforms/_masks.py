"""Runs of bands and of moments that are hidden."""

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor


def hidden(x: Float[Tensor, "b c h w"], masks: int, part: float, rng: Generator) -> Float[Tensor, "b c h w"]:
    """`masks` runs of each axis become the mean of the row; a run may be empty."""
    rows, columns = x.shape[-2:]
    mask = runs(len(x), rows, masks, part, rng)[:, None, :, None] | runs(len(x), columns, masks, part, rng)[:, None, None, :]
    return torch.where(mask, x.mean((1, 2, 3), keepdim=True), x)


def runs(n: int, length: int, masks: int, part: float, rng: Generator) -> Bool[Tensor, "n length"]:
    """Where runs lie on an axis: each of 0 to `part` of its length, anywhere on it."""
    size = torch.rand((n, masks, 1), generator=rng) * part * length
    start = torch.rand((n, masks, 1), generator=rng) * (length - size)
    at = torch.arange(length)
    return ((at >= start.floor()) & (at < start.floor() + size.round())).any(1)
