"""What is taken away from rows, so that a network learns to give it back: pairs that need no labels and no second dataset.

Each degradation is a pure function of rows in model space (b, c, h, w) and their seeds, row by row.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, conv2d, interpolate, pad

from augmind.core.seeds import row_noise
from augmind.core.types import Spec

Degradation = Callable[[Float[Tensor, "b c h w"], Int[Tensor, " b"]], Float[Tensor, "b c h w"]]

FACTOR = 4
"""By how much `super-resolution` makes sides shorter; by half of that where fewer than `LEAST` cells would be left."""
LEAST = 6
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""
NOISE = (0.1, 0.5)
"""Deviation of the noise that `denoise` adds, least and most; rows have values from -1 to 1."""
HOLE = (0.3, 0.6)
"""Sides of the rectangle that `inpaint` hides, as parts of the row's own."""
GREY = 0.0
GAMMA, CONTRAST, MOST_SATURATED = 0.7, (0.5, 1.0), 1.5
"""What `style` draws: the logarithm of gamma from -0.7 to 0.7, contrast, saturation from 0."""
EDGE = 3.0
"""By how much gradients are magnified, before what is above one is cut off."""


def uniform(seeds: Int[Tensor, " b"], n: int, salt: int) -> Float[Tensor, "b n"]:
    """`n` numbers in 0..1 for each seed."""
    return torch.special.ndtr(row_noise(seeds.cpu(), (n,), salt=salt))


def factor_of(height: int, width: int) -> int:
    return FACTOR if min(height, width) >= FACTOR * LEAST else FACTOR // 2


def coarse(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c i j"]:
    """The row with shorter sides: means of blocks."""
    height, width = x.shape[2:]
    factor = factor_of(height, width)
    return adaptive_avg_pool2d(x, (-(-height // factor), -(-width // factor)))


def blurred(x: Float[Tensor, "b c h w"], _: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
    """Made coarse, and brought back to its size by cubic interpolation."""
    return interpolate(coarse(x), size=x.shape[2:], mode="bicubic", antialias=False).clamp(-1, 1)


def blocky(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Made coarse, every cell repeated: what `super-resolution` starts from, with nothing done to it."""
    return interpolate(coarse(x), size=x.shape[2:], mode="nearest")


def grey(x: Float[Tensor, "b c h w"], _: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
    """Brightness in all three channels; a fourth stays."""
    brightness = torch.einsum("bchw,c->bhw", x[:, :3], x.new_tensor(LUMA))[:, None].expand(-1, 3, -1, -1)
    return torch.cat([brightness, x[:, 3:]], 1)


def noisy(x: Float[Tensor, "b c h w"], seeds: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
    low, high = NOISE
    size = low + (high - low) * uniform(seeds, 1, salt=21)
    return (x + size[:, :, None, None].to(x) * row_noise(seeds.cpu(), tuple(x.shape[1:]), salt=22).to(x)).clamp(-1, 1)


def holed(x: Float[Tensor, "b c h w"], seeds: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
    """A rectangle hidden, anywhere inside."""
    low, high = HOLE
    own = uniform(seeds, 4, salt=23).to(x)
    sides = low + (high - low) * own[:, :2]
    begin = own[:, 2:] * (1 - sides)
    inside = [
        (at >= begin[:, i : i + 1]) & (at < (begin + sides)[:, i : i + 1])
        for i, at in enumerate(torch.linspace(0, 1, n, device=x.device)[None] for n in x.shape[2:])
    ]
    return torch.where((inside[0][:, :, None] & inside[1][:, None, :])[:, None], GREY, x)


def edges(x: Float[Tensor, "b c h w"], _: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
    """How steep brightness is (Sobel), from -1 where it is even to 1, in every channel."""
    sobel = x.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    even = pad(x.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    steep = conv2d(even, torch.stack([sobel, sobel.T])[:, None]).square().sum(1, keepdim=True).sqrt()
    return (2 * (EDGE * steep).clamp(max=1) - 1).expand_as(x)


def restyled(x: Float[Tensor, "b c h w"], seeds: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
    """Another look of what is to be seen, drawn for each row: hue turned about the axis of greys, saturation, gamma, contrast and softness.

    A network that undoes it has to know the rows' own look, and to care little for the one that it is given (after arXiv:1809.05375), so that rows of
    another look come out in that of those it learnt from. Of rows of one channel colours are left out; a fourth channel stays.
    """
    own = uniform(seeds, 5, salt=25).to(x)[:, :, None, None, None]
    look, rest = x[:, :3], x[:, 3:]
    if look.shape[1] == 3:
        look = saturated(turned(look, 2 * torch.pi * own[:, 0, 0, 0, 0]), MOST_SATURATED * own[:, 1])
    bright = ((look.clamp(-1, 1) + 1) / 2).pow((GAMMA * (2 * own[:, 2] - 1)).exp())
    low, high = CONTRAST
    look = (2 * bright - 1) * (low + (high - low) * own[:, 3])
    look = torch.lerp(look, blurred(look, seeds), own[:, 4])
    return torch.cat([look, rest], 1).clamp(-1, 1)


def turned(x: Float[Tensor, "b 3 h w"], angle: Float[Tensor, " b"]) -> Float[Tensor, "b 3 h w"]:
    """Colours turned about the axis of greys (Rodrigues' formula)."""
    cross = x.new_tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / 3**0.5
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    turn = cosine * torch.eye(3).to(x) + sine * cross + (1 - cosine) / 3
    return torch.einsum("bij,bjhw->bihw", turn, x)


def saturated(x: Float[Tensor, "b 3 h w"], part: Float[Tensor, "b 1 1 1"]) -> Float[Tensor, "b 3 h w"]:
    """Colours at `part` of their distance from grey."""
    level = x.mean(1, keepdim=True)
    return level + part * (x - level)


DEGRADATIONS: dict[str, Degradation] = {
    "super-resolution": blurred,
    "colourise": grey,
    "denoise": noisy,
    "inpaint": holed,
    "edges": edges,
    "style": restyled,
}
"""By the name of the task that undoes it."""
SEVERITIES = 3
"""How strong the corruptions of a codec come."""


def degradation(task: str, spec: Spec, codec: Any) -> Degradation:
    """What is done to rows: of waves, whose noise adds powers and not decibels, `denoise` adds the codec's own noises."""
    own: Mapping[str, Any] = getattr(codec, "corruptions", {})
    return corrupted(own) if task == "denoise" and spec.rate and own else DEGRADATIONS[task]


def corrupted(own: Mapping[str, Callable[[Tensor, int, Tensor], Tensor]]) -> Degradation:
    """One of these corruptions for each row, weak or strong."""

    def spoilt(x: Float[Tensor, "b c h w"], seeds: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        kind, severity = (uniform(seeds, 2, salt=24) * torch.tensor([len(own), SEVERITIES]) * 0.999999).long().unbind(1)
        out = x.clone()
        for k, corruption in enumerate(own.values()):
            for s in range(SEVERITIES):
                rows = ((kind == k) & (severity == s)).nonzero()[:, 0]
                if len(rows):
                    out[rows] = corruption(x[rows], s + 1, seeds.cpu()[rows]).to(x)
        return out

    return spoilt


COLOURED = ("colourise",)
"""Tasks of rows with three channels or more."""
