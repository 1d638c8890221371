"""The two networks of WaveGAN (Donahue et al. 2019, arXiv:1802.04208): noise to waves, and waves to how real they sound."""

import math
from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from augmind.nn.critics import Critic
from augmind.nn.decoders import ClassNorm

KERNEL, STRIDE = 25, 4
"""Of every convolution: long and one-dimensional where those of grids are 5 x 5 in steps of two."""
FEWEST = 16
"""Moments, about, of the coarsest layer."""
PHASES = 2
"""Moments by which phase shuffle moves the activations of the critic, at most."""


def layers(samples: int) -> int:
    """How many convolutions lie between waves of this length and the coarsest layer."""
    return max(1, round(math.log(samples / FEWEST, STRIDE)))


def coarsest(samples: int) -> int:
    """Moments of the coarsest layer, from which waves of at least this length are made."""
    return -(-samples // STRIDE ** layers(samples))


class Singer(nn.Module):
    """Noise and labels to waves of `samples` samples, in units of `loudness`, the root mean square of the real ones.

    Transposed convolutions, with batch normalisation whose gain and bias are the class's, where the paper has none: short trainings need it.
    """

    loudness: Tensor

    def __init__(self, samples: int, classes: int, width: int, latent: int) -> None:
        super().__init__()
        self.samples, self.base = samples, coarsest(samples)
        sizes = [width * 2**i for i in range(layers(samples) - 1, -1, -1)]
        self.label = nn.Embedding(classes, latent)
        self.start = nn.Linear(2 * latent, sizes[0] * self.base)
        self.norms = nn.ModuleList(ClassNorm(size, classes) for size in sizes)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(a, b, KERNEL, STRIDE, KERNEL // 2 - 1, output_padding=1, bias=False) for a, b in pairwise([*sizes, 1])
        )
        self.register_buffer("loudness", torch.ones(()))

    def forward(self, z: Float[Tensor, "b l"], y: Int[Tensor, " b"]) -> Float[Tensor, "b samples"]:
        h = self.start(torch.cat([z, self.label(y)], 1)).unflatten(1, (-1, self.base))
        for norm, up in zip(self.norms, self.ups, strict=True):
            h = up(torch.relu(norm(h[:, :, None], y)[:, :, 0]))
        return (h[:, 0, : self.samples].float() * self.loudness).tanh() / self.loudness

    def waves(self, z: Float[Tensor, "b l"], y: Int[Tensor, " b"]) -> Float[Tensor, "b samples"]:
        """Between -1 and 1."""
        return self(z, y) * self.loudness


class Listener(Critic):
    """Strided convolutions over waves, phase shuffle after each but the last, and a projection of the class on all that is left."""

    def __init__(self, samples: int, classes: int, width: int) -> None:
        base, count = coarsest(samples), layers(samples)
        sizes = [1, *(width * 2**i for i in range(count))]
        super().__init__(sizes[-1] * base, classes, spectral=False)
        nn.init.normal_(cast(nn.Embedding, self.label).weight, std=(sizes[-1] * base) ** -0.5)
        self.margin = base * STRIDE**count - samples
        self.downs = nn.ModuleList(nn.Conv1d(a, b, KERNEL, STRIDE, KERNEL // 2 - 1) for a, b in pairwise(sizes))

    def forward(self, x: Float[Tensor, "b samples"], y: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        h = pad(x[:, None], (0, self.margin))
        for i, down in enumerate(self.downs):
            h = leaky_relu(down(h), 0.2)
            if i + 1 < len(self.downs):
                h = shifted(h, int(torch.randint(-PHASES, PHASES + 1, ())))
        return self.judge(h.flatten(1), y)


def shifted(x: Float[Tensor, "b c t"], by: int) -> Float[Tensor, "b c t"]:
    """Activations so many moments later, mirrored where something is missing: a critic that cannot count on the phase of a sound does not learn
    the regular noise of transposed convolutions."""
    if by > 0:
        return torch.cat([x[..., 1 : by + 1].flip(-1), x[..., :-by]], -1)
    return torch.cat([x[..., -by:], x[..., by - 1 : -1].flip(-1)], -1) if by else x


def moved(x: Float[Tensor, "b t"], part: float) -> Float[Tensor, "b t"]:
    """Waves up to `part` of their length earlier or later, silence coming in, and half of them upside down."""
    most = round(part * x.shape[1])
    sign = 2 * torch.randint(0, 2, (len(x), 1)) - 1
    at = torch.arange(x.shape[1]) + torch.randint(0, 2 * most + 1, (len(x), 1))
    return pad(x * sign.to(x), (most, most)).gather(1, at.to(x.device))
