"""A small residual network (arXiv:1512.03385) for grids, to be trained from scratch in a minute."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn.functional import relu


class Block(nn.Module):
    """Two convolutions beside a projection; halves the sides."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.first = norm_conv(inside, outside, stride=2)
        self.second = norm_conv(outside, outside)
        self.shortcut = norm_conv(inside, outside, size=1, stride=2)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        return relu(self.second(relu(self.first(x))) + self.shortcut(x))


class Resnet(nn.Module):
    """Logits of grids that are standardised inside, by the mean and SD of each channel (see `standardise_by`).

    A stem of `width` channels, two blocks of 2 and 4 times as many, the mean over places. Grids of more than about
    40 x 40 pass through further halving convolutions first, so that a step costs about the same.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, width: int) -> None:
        super().__init__()
        channels, height, w = shape
        halvings = max(0, math.floor(math.log2(math.sqrt(height * w) / 28)))
        stem = [norm_conv(channels, width, stride=2 if halvings else 1), nn.ReLU()]
        for _ in range(halvings - 1):
            stem += [norm_conv(width, width, stride=2), nn.ReLU()]
        self.stem = nn.Sequential(*stem)
        self.blocks = nn.Sequential(Block(width, 2 * width), Block(2 * width, 4 * width))
        self.head = nn.Linear(4 * width, classes)
        self.mean: Tensor
        self.sd: Tensor
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("sd", torch.ones(channels, 1, 1))

    def standardise_by(self, x: Shaped[Tensor, "n c h w"], to_model: Callable[[Tensor], Tensor], block: int = 256) -> None:
        """Takes the mean and SD of each channel from these stored rows, block by block."""
        total, square, count = 0.0, 0.0, x.numel() / x.shape[1]
        for rows in x.split(block):
            values = to_model(rows).double()
            total, square = total + values.sum((0, 2, 3)), square + values.square().sum((0, 2, 3))
        mean = torch.as_tensor(total / count)
        sd = (torch.as_tensor(square / count) - mean.square()).clamp(min=0).sqrt()
        self.mean.copy_(mean.view(-1, 1, 1))
        self.sd.copy_((sd + 1e-3).view(-1, 1, 1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        x = ((x - self.mean) / self.sd).contiguous(memory_format=torch.channels_last)
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


def norm_conv(inside: int, outside: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, size, stride, size // 2, bias=False), nn.BatchNorm2d(outside))
