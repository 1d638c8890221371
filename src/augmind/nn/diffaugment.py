"""Differentiable augmentation of real and drawn grids alike, so that a critic cannot learn few rows by heart (arXiv:2006.10738)."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad


def brightness(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Adds one number in [-0.5, 0.5] to each row, and scales its contrast by one in [0.5, 1.5]."""
    shift, scale = (torch.rand(2, len(x), 1, 1, 1) - 0.5).to(x)
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (scale + 1) + mean + shift


def saturation(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Scales how far channels are from their mean by a number in [0, 2]; a grid of one channel stays."""
    if x.shape[1] == 1:
        return x
    mean = x.mean(1, keepdim=True)
    return (x - mean) * (2 * torch.rand(len(x), 1, 1, 1)).to(x) + mean


def translation(x: Float[Tensor, "b c h w"], part: float = 0.125) -> Float[Tensor, "b c h w"]:
    """Moves each row by up to `part` of its sides; what moves in is the row's border value."""
    b, _, h, w = x.shape
    down, right = max(1, round(part * h)), max(1, round(part * w))
    padded = pad(x, (right, right, down, down), mode="replicate")
    rows = torch.arange(h)[None, :] + torch.randint(0, 2 * down + 1, (b, 1))
    columns = torch.arange(w)[None, :] + torch.randint(0, 2 * right + 1, (b, 1))
    picked = padded.permute(0, 2, 3, 1)[torch.arange(b)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)


def cutout(x: Float[Tensor, "b c h w"], part: float = 0.4) -> Float[Tensor, "b c h w"]:
    """Sets a rectangle with sides of `part` of the row's to 0."""
    b, _, h, w = x.shape
    tall, wide = max(1, round(part * h)), max(1, round(part * w))
    top = torch.randint(-tall // 2, h - tall // 2, (b, 1))
    left = torch.randint(-wide // 2, w - wide // 2, (b, 1))
    row, column = torch.arange(h)[None], torch.arange(w)[None]
    hit = ((row >= top) & (row < top + tall))[:, :, None] & ((column >= left) & (column < left + wide))[:, None, :]
    return x * ~hit[:, None].to(x.device)


def none(x: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
    return x


def mild(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Saturation and translation: for short trainings, in which the full policy leaves a small critic nothing to hold on to."""
    return translation(saturation(x))


def full(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """The policy of the paper: colour, translation and cutout."""
    return cutout(translation(saturation(brightness(x))))


POLICIES: dict[str, Callable[[Tensor], Tensor]] = {"none": none, "mild": mild, "full": full}
"""Each takes fresh draws per row from torch's global random state on the CPU."""
