"""Noises that sounds are heard in, at known ratios of signal to noise (as Aurora-2 does; Hirsch and Pearce 2000).

Noises are drawn as waves, a row's from its seed alone, and added to the row's spectrogram as powers: what comes out is the mean of what the
spectrogram of the mixed waves would be.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from augmind.core.seeds import row_noise
from augmind.core.types import Spec

from .mel import FLOOR, Mel, power_of, stored

RATIOS = (20, 10, 0)
"""Decibels by which a sound is above the noise, by severity."""
ACTIVE = 40.0
"""Columns so many decibels below the loudest are silence, and no part of what noise is measured against."""
KNEE, FALL = 500.0, 9.0
"""Hertz above which speech falls, and by how many decibels an octave (after Byrne et al. 1994)."""
SYLLABLES = 4.0
"""Hertz at which many voices rise and fall."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """One kind of noise: `octave` decibels by which it falls an octave above `knee` hertz, and how deep (0..1) it rises and falls with syllables."""

    spec: Spec
    mel: Mel
    octave: float = 0.0
    knee: float = 50.0
    depth: float = 0.0

    def __call__(self, x: Float[Tensor, "n 1 bands frames"], severity: int, seeds: Int[Tensor, " n"]) -> Float[Tensor, "n 1 bands frames"]:
        """Rows in model space, in noise of severity 1, 2 or 3."""
        if not len(x):
            return x
        power = power_of(self.spec.to_store(x)[:, 0])
        noise = self.mel.power(self.waves(seeds))
        size = active(power) / noise.mean((1, 2)).clamp(min=1e-12) * 10 ** (-RATIOS[severity - 1] / 10)
        return self.spec.to_model(stored(power + size[:, None, None] * noise)[:, None])

    def waves(self, seeds: Int[Tensor, " n"]) -> Float[Tensor, "n samples"]:
        white = row_noise(seeds, (self.mel.samples,), salt=4)
        hertz = torch.fft.rfftfreq(self.mel.samples, 1 / self.mel.rate)
        gain = 10 ** (-self.octave / 20 * (hertz.clamp(min=self.knee) / self.knee).log2())
        wave = torch.fft.irfft(torch.fft.rfft(white) * gain, self.mel.samples)
        if not self.depth:
            return wave
        phase = row_noise(seeds, (1,), salt=5) * torch.pi
        at = 2 * torch.pi * SYLLABLES * torch.arange(self.mel.samples) / self.mel.rate
        return wave * (1 + self.depth * torch.sin(at + phase))


def active(power: Float[Tensor, "n bands frames"]) -> Float[Tensor, " n"]:
    """Mean power of the columns that are not silent; that of the floor where all are."""
    columns = power.mean(1)
    heard = columns > columns.amax(1, keepdim=True) * 10 ** (-ACTIVE / 10)
    mean = (columns * heard).sum(1) / heard.sum(1).clamp(min=1)
    return mean.clamp(min=10 ** (FLOOR / 10))


def noises(spec: Spec, mel: Mel) -> Mapping[str, Noise]:
    """Every corruption by name."""
    return {
        "white_noise": Noise(spec=spec, mel=mel),
        "pink_noise": Noise(spec=spec, mel=mel, octave=3.0),
        "many_voices": Noise(spec=spec, mel=mel, octave=FALL, knee=KNEE, depth=0.6),
    }
