"""Common corruptions of pictures (after arXiv:1903.12261, as far as small pictures allow), in plain torch and Pillow.

Every corruption takes rows in model space, a severity 1, 2 or 3 and a seed for each row, and gives rows in model space; a
row's result depends on the row, the severity and its seed alone. Transparency is left as it is.
"""

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

from augmind.core.seeds import row_noise

Corruption = Callable[[Tensor, int, Tensor], Tensor]
SEVERITIES = (1, 2, 3)
NOISE = (0.06, 0.12, 0.2)
"""Standard deviation of Gaussian noise, in 0..1."""
PHOTONS = (100.0, 40.0, 15.0)
"""Expected count at full brightness."""
RADIUS = (0.03, 0.055, 0.09)
"""Of the blurring disc, per side."""
LIGHT = (0.12, 0.24, 0.38)
CONTRAST = (0.6, 0.4, 0.2)
SHRUNK = (0.6, 0.42, 0.27)
"""Side of the coarse picture, per side."""
QUALITY = (60, 30, 12)
HAZE = (0.3, 0.5, 0.7)
"""Part of the light that comes from the haze."""


def on_colours(work: Callable[[Tensor, int, Tensor], Tensor]) -> Corruption:
    """`work` on the colour channels as 0..1, the result clipped and put back beside the alpha channel."""

    def corrupt(x: Float[Tensor, "n c h w"], severity: int, seeds: Int[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
        colours = 3 if x.shape[1] > 3 else x.shape[1]
        out = work((x[:, :colours] + 1) / 2, severity - 1, seeds).clamp(0, 1) * 2 - 1
        return torch.cat([out, x[:, colours:]], 1)

    return corrupt


def gaussian_noise(x: Tensor, level: int, seeds: Tensor) -> Tensor:
    return x + NOISE[level] * row_noise(seeds, tuple(x.shape[1:]), salt=1)


def shot_noise(x: Tensor, level: int, seeds: Tensor) -> Tensor:
    """Photons counted: Poisson with the brightness as its mean."""
    if not len(x):
        return x
    rows = [torch.poisson(row * PHOTONS[level], torch.Generator().manual_seed(seed)) for row, seed in zip(x, seeds.tolist(), strict=True)]
    return torch.stack(rows) / PHOTONS[level]


def defocus(x: Tensor, level: int, _: Tensor) -> Tensor:
    """The mean over a disc, its edge weighted by how much of a pixel it covers."""
    radius = max(0.6, RADIUS[level] * min(x.shape[-2:]))
    reach = int(radius + 0.999)
    side = torch.arange(-reach, reach + 1, dtype=x.dtype)
    disc = (radius + 0.5 - (side[:, None] ** 2 + side**2).sqrt()).clamp(0, 1)
    kernel = (disc / disc.sum()).expand(x.shape[1], 1, -1, -1)
    return conv2d(pad(x, [reach] * 4, mode="replicate"), kernel, groups=x.shape[1])


def brightness(x: Tensor, level: int, _: Tensor) -> Tensor:
    return x + LIGHT[level]


def contrast(x: Tensor, level: int, _: Tensor) -> Tensor:
    mean = x.mean((2, 3), keepdim=True)
    return mean + (x - mean) * CONTRAST[level]


def pixelate(x: Tensor, level: int, _: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    coarse = [max(1, round(SHRUNK[level] * side)) for side in (height, width)]
    return interpolate(interpolate(x, coarse, mode="area"), (height, width), mode="nearest-exact")


def jpeg(x: Tensor, level: int, _: Tensor) -> Tensor:
    """Through a JPEG file of low quality."""
    import numpy as np
    from PIL import Image

    out = torch.empty_like(x)
    for i, row in enumerate((x * 255).round().to(torch.uint8)):
        file = io.BytesIO()
        Image.fromarray(row.permute(1, 2, 0).squeeze(-1).contiguous().numpy()).save(file, "JPEG", quality=QUALITY[level])
        pixels = torch.from_numpy(np.array(Image.open(file)))
        out[i] = (pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)).to(x.dtype) / 255
    return out


def haze(x: Tensor, level: int, seeds: Tensor) -> Tensor:
    """A bright veil of uneven thickness: smooth noise of two scales, drawn for each row."""
    veil = torch.zeros(len(x), 1, *x.shape[-2:])
    for salt, side in ((2, 2), (3, 4)):
        veil += interpolate(row_noise(seeds, (1, side, side), salt=salt), x.shape[-2:], mode="bicubic") / side
    thickness = HAZE[level] * (1 + 0.4 * veil).clamp(0.4, 1.3)
    return x * (1 - thickness) + 0.85 * thickness


CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType(
    {f.__name__: on_colours(f) for f in (gaussian_noise, shot_noise, defocus, brightness, contrast, pixelate, jpeg, haze)}
)
