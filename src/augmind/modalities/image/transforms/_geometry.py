"""Pictures moved, mirrored, turned and sheared, each row by its own amount; what comes from outside is the reflection of the inside."""

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample


def shift_and_mirror(x: Float[Tensor, "b c h w"], pad: float, mirror: bool, rng: Generator) -> Float[Tensor, "b c h w"]:
    """Shifts by whole pixels, up to `pad` of the side, and mirrors every second row or so."""
    n, _, height, width = x.shape
    down, right = (torch.randint(-most, most + 1, (n, 1), generator=rng) for most in (round(pad * height), round(pad * width)))
    rows = reflect(torch.arange(height) + down, height)
    columns = reflect(torch.arange(width) + right, width)
    if mirror:
        columns = torch.where(torch.rand((n, 1), generator=rng) < 0.5, columns.flip(1), columns)
    index = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)
    return x.flatten(2).gather(2, index[:, None].expand(-1, x.shape[1], -1)).view_as(x)


def reflect(place: Int[Tensor, "..."], length: int) -> Int[Tensor, "..."]:
    """Places outside 0..length-1 mirrored at the ends, which are not repeated."""
    period = max(1, 2 * (length - 1))
    place = place.remainder(period)
    return torch.where(place < length, place, period - place)


def affine(x: Float[Tensor, "b c h w"], matrix: Float[Tensor, "b 2 3"]) -> Float[Tensor, "b c h w"]:
    """Bilinear resampling: the value at p is taken from `matrix` (p, 1), p in -1..1 along width and height."""
    grid = affine_grid(matrix, list(x.shape), align_corners=False)
    return grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
