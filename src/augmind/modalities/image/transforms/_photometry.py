"""Colours and tones of pictures in 0..1, each row by its own amount; the same answers as PIL's operations of these names."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d

Pictures = Float[Tensor, "b c h w"]
Amounts = Float[Tensor, " b"]
LUMA = (0.299, 0.587, 0.114)


def blend(base: Pictures, x: Pictures, amount: Amounts) -> Pictures:
    """`base` at amount 0, `x` at 1, beyond it above 1."""
    return torch.lerp(base, x, amount[:, None, None, None]).clamp_(0, 1)


def grey(x: Pictures) -> Float[Tensor, "b 1 h w"]:
    if x.shape[1] == 1:
        return x
    return (x * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def colour(x: Pictures, amount: Amounts) -> Pictures:
    return blend(grey(x).expand_as(x), x, amount)


def contrast(x: Pictures, amount: Amounts) -> Pictures:
    return blend(grey(x).mean((1, 2, 3), keepdim=True).expand_as(x), x, amount)


def brightness(x: Pictures, amount: Amounts) -> Pictures:
    return (x * amount[:, None, None, None]).clamp_(0, 1)


def sharpness(x: Pictures, amount: Amounts) -> Pictures:
    """Blends with a smoothed picture; the border stays as it is."""
    channels = x.shape[1]
    kernel = torch.ones(3, 3)
    kernel[1, 1] = 5.0
    smooth = x.clone()
    smooth[:, :, 1:-1, 1:-1] = conv2d(x, (kernel / 13).expand(channels, 1, 3, 3), groups=channels)
    return blend(smooth, x, amount)


def posterize(x: Pictures, bits: Amounts) -> Pictures:
    """Keeps this many of a byte's upper bits."""
    step = torch.exp2(8 - bits.round())[:, None, None, None]
    return ((x * 255).round() / step).floor() * step / 255


def solarize(x: Pictures, threshold: Amounts) -> Pictures:
    """Inverts what is as bright as the threshold or brighter."""
    return torch.where(x >= threshold[:, None, None, None], 1 - x, x)


def autocontrast(x: Pictures, amount: Amounts) -> Pictures:  # noqa: ARG001
    """Stretches each channel to the full range; a flat channel stays as it is."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return torch.where(high > low, (x - low) / (high - low).clamp(min=1 / 255), x)


def equalize(x: Pictures, amount: Amounts) -> Pictures:  # noqa: ARG001
    """Spreads each channel's values evenly over 0..255, by PIL's integer rule."""
    value = (x * 255).round().long().flatten(2)
    histogram = torch.zeros((*value.shape[:2], 256), dtype=torch.long).scatter_add_(2, value, torch.ones_like(value))
    last = histogram.gather(2, value.amax(2, keepdim=True))
    step = (value.shape[2] - last) // 255
    before = histogram.cumsum(2) - histogram
    table = ((before + step // 2) // step.clamp(min=1)).clamp(max=255)
    return torch.where(step > 0, table.gather(2, value), value).view_as(x).float() / 255
