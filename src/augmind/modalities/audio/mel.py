"""Waves as pictures and back: log-mel spectrograms of bytes, and their inverse by non-negative least squares and fast Griffin-Lim."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from augmind.core.errors import WrongSpec
from augmind.core.seeds import stream

HOP_SECONDS, WINDOW_SECONDS = 0.01, 0.025
"""From one column to the next, and at least under the window of a column."""
LOWEST = 20.0
"""Hertz where the lowest band begins."""
FLOOR = -80.0
"""Decibels that 0 stands for; 255 is 0 dB, the power of a sine of full scale in the middle of a band."""
STEPS, ROUNDS, MOMENTUM = 60, 32, 0.99
"""Updates of the least squares, rounds of Griffin-Lim, and how far each goes beyond the last."""
TINY = 1e-10


@dataclass(frozen=True, kw_only=True)
class Mel:
    """The spectrogram of waves of `rate` samples a second: `bands` rows, the lowest first, and `frames` columns of 10 ms."""

    rate: int
    bands: int
    frames: int

    def __post_init__(self) -> None:
        if self.rate < 2000 or self.bands < 8 or self.frames < 8 or self.bands > self.window // 4:
            way = "give 2,000 samples a second or more, 8 columns or more, and 8 bands or more, no more than the window can tell apart"
            raise WrongSpec(f"no spectrogram has {self.bands} bands and {self.frames} columns at {self.rate} samples a second", help=way)

    @property
    def hop(self) -> int:
        return max(1, round(HOP_SECONDS * self.rate))

    @property
    def window(self) -> int:
        """Samples under the window of a column, a power of two."""
        return 1 << (round(WINDOW_SECONDS * self.rate) - 1).bit_length()

    @property
    def samples(self) -> int:
        return self.frames * self.hop

    @cached_property
    def filters(self) -> Float[Tensor, "bands bins"]:
        """Triangles on Slaney's mel scale, one at their tops."""
        from transformers.audio_utils import mel_filter_bank

        made = mel_filter_bank(self.window // 2 + 1, self.bands, LOWEST, self.rate / 2, self.rate, norm=None, mel_scale="slaney")
        return torch.from_numpy(made.T.copy()).float()

    @cached_property
    def taper(self) -> Float[Tensor, " window"]:
        return torch.hann_window(self.window)

    def columns(self, waves: Float[Tensor, "n samples"]) -> Tensor:
        """Short-time Fourier transform, (n, bins, frames) complex; a sine of full scale has magnitude one at its peak."""
        found = torch.stft(waves, self.window, self.hop, window=self.taper, pad_mode="constant", return_complex=True)
        return found[..., : self.frames] / (self.taper.sum() / 2)

    def power(self, waves: Float[Tensor, "n samples"]) -> Float[Tensor, "n bands frames"]:
        """Power in each band; waves are `samples` long, values from -1 to 1."""
        return self.filters @ self.columns(waves).abs().square()

    def encode(self, waves: Float[Tensor, "n samples"]) -> UInt8[Tensor, "n 1 bands frames"]:
        """Decibels as bytes, in steps of a third of a decibel."""
        return stored(self.power(waves))[:, None]

    def decode(self, x: UInt8[Tensor, "n 1 bands frames"]) -> Float[Tensor, "n samples"]:
        """Waves with about these spectrograms (Griffin and Lim 1984, in the fast form of Perraudin et al. 2013); each depends on its row alone."""
        size = self.magnitude(power_of(x[:, 0]))
        angle = torch.rand(size.shape[1:], generator=stream("phase"), dtype=torch.float32) * 2 * torch.pi
        whole = size * torch.polar(torch.ones_like(angle), angle)
        last = torch.zeros_like(whole)
        for _ in range(ROUNDS):
            found = self.columns(self.wave(whole))
            ahead = found + MOMENTUM * (found - last)
            whole, last = size * ahead / ahead.abs().clamp(min=TINY), found
        return self.wave(whole)

    def wave(self, columns: Tensor) -> Float[Tensor, "n samples"]:
        """Inverse of `columns`."""
        whole = torch.nn.functional.pad(columns, (0, 1)) * (self.taper.sum() / 2)
        return torch.istft(whole, self.window, self.hop, window=self.taper, length=self.samples)

    def magnitude(self, power: Float[Tensor, "n bands frames"]) -> Float[Tensor, "n bins frames"]:
        """Magnitudes of which `filters` make this power: non-negative least squares by multiplicative updates (Lee and Seung 2001)."""
        up = self.filters.T @ power
        gram = self.filters.T @ self.filters
        found = up / self.filters.sum(0)[:, None].clamp(min=1.0)
        for _ in range(STEPS):
            found = found * up / (gram @ found).clamp(min=TINY)
        return found.clamp(min=0).sqrt()


def stored(power: Float[Tensor, "..."]) -> UInt8[Tensor, "..."]:
    """Power as bytes: 0 for `FLOOR` decibels and less, 255 for 0 and more."""
    return shades(power).round().to(torch.uint8)


def shades(power: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """What `stored` rounds."""
    decibels = 10 * power.clamp(min=TINY).log10()
    return ((decibels / -FLOOR + 1) * 255).clamp(0, 255)


def power_of(x: UInt8[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Inverse of `stored`; the floor is silence."""
    power = 10 ** ((x.float() / 255 - 1) * -FLOOR / 10)
    return torch.where(x == 0, 0.0, power)
