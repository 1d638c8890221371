"""What every picture backbone does to its input: three colour channels at one size."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

MEAN, SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet statistics, for models that do not say theirs."""


def to_colour(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 h w"]:
    """Grey, RGB or RGBA in [-1, 1] to RGB: grey is repeated, transparency shows white."""
    channels = x.shape[1]
    if channels == 1:
        return x.expand(-1, 3, -1, -1)
    if channels == 4:
        alpha = (x[:, 3:] + 1) / 2
        return x[:, :3] * alpha + (1 - alpha)
    return x


def to_size(x: Float[Tensor, "n c h w"], height: int, width: int) -> Float[Tensor, "n c height width"]:
    """Bicubic resizing, with a low-pass filter where it makes the picture smaller; values stay in [-1, 1]."""
    if x.shape[-2:] == (height, width):
        return x
    smaller = height < x.shape[-2] or width < x.shape[-1]
    return interpolate(x.float(), size=(height, width), mode="bicubic", antialias=smaller).clamp(-1.0, 1.0)


def to_statistics(x: Float[Tensor, "n c h w"], mean: tuple[float, ...], sd: tuple[float, ...]) -> Float[Tensor, "n c h w"]:
    """[-1, 1] to 0..1, then standardised per channel, as most published models expect."""
    shape = (1, -1, 1, 1)
    return ((x + 1) / 2 - torch.tensor(mean, device=x.device).view(shape)) / torch.tensor(sd, device=x.device).view(shape)
