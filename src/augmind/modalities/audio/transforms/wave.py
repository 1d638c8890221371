"""What happens to a sound on its way to a microphone, done to spectrograms in batches: speed, pitch, place, loudness, tone, echo, noise; and, where
asked for, how it is said and what it passes through."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import grid_sample

from augmind.core.plugin import Transform
from augmind.core.seeds import stream
from augmind.core.tune import tune
from augmind.modalities.audio.mel import HOP_SECONDS

from ._levels import DEPTH, as_rows, levels
from ._masks import hidden
from ._spoken import audible, contours, let_through, warped

SPEED, PITCH, PLACE = math.log(1.25), math.log(1.15), 0.2
"""Furthest speed and pitch, as logarithms of factors, and the part of the clip that it moves by, at strength one."""
LOUDER, TONE = 10.0, 8.0
"""Decibels, of all bands and of each wave of the tone."""
QUIETEST, LOUDEST = 30.0, 5.0
"""Decibels by which noise lies below the sound, at the least and at the most."""
ECHO = (0.05, 0.4)
"""Seconds in which an echo falls by 60 dB."""
MELS = 40
"""Where the highest band lies: the 35th mel of sounds of 8 kHz, the 45th of 16 kHz."""
TEMPO, MELODY, STRESS = math.log(1.3), math.log(1.12), 6.0
"""Furthest that contours of tempo and pitch go, as logarithms of factors, and that of energy in decibels, at `prosody` one."""
NARROW, FALLS = 0.3, 120.0
"""Part of the bands that a channel takes off at each end, at most, and how fast it falls there: decibels from one end of the bands to the other."""
CODED = (15.0, 45.0)
"""Decibels below the loudest band of a moment under which a codec keeps nothing."""
COLOUR = 12.0
"""Decibels by which noise falls from the lowest band to the highest, at most."""


@dataclass(kw_only=True)
class Wave(Transform):
    """Each change is made to a row with `probability`, by amounts drawn up to `strength`; `masks` as in SpecAugment follow.

    Speed, pitch (vocal tract length perturbation, VTLP, Jaitly and Hinton 2013: all frequencies by one factor) and place are one resampling; echoes
    and noise are added as powers, so they are the mean of what waves would give.

    prosody  strength of contours of tempo, pitch and energy over a clip, as another way to say it has (0: none)
    channel  strength of narrow bands, as telephones have, and of what lossy codecs leave out (0: none)
    """

    axes: ClassVar[tuple[int, ...]] = (3,)
    waves: ClassVar[bool | None] = True

    probability: float = tune(0.5, 0.1, 1.0)
    strength: float = tune(1.0, 0.2, 1.5)
    masks: int = tune(0, 0, 4)
    prosody: float = tune(0.0, 0.0, 1.5)
    channel: float = tune(0.0, 0.0, 1.0)

    def apply(self, x: Float[Tensor, "b c h w"], y: Float[Tensor, "b k"], seed: int) -> tuple[Tensor, Tensor]:
        rng = stream("wave", seed)
        x = self._moved(x, rng)
        x = self._said(x, rng) if self.prosody else x
        x = x + (self._drawn(x, LOUDER, rng)[:, None, None, None] + self._toned(x, rng)) / DEPTH
        power = self._noisy(self._echoed(levels(x), rng), rng)
        power = self._passed(power, rng) if self.channel else power
        x = as_rows(power)
        return (hidden(x, self.masks, 0.2, rng) if self.masks else x), y

    def _drawn(self, x: Tensor, most: float, rng: Generator) -> Float[Tensor, " b"]:
        """An amount for each row in -most..most times the strength; zero where the row is left alone."""
        amount = (torch.rand(len(x), generator=rng) * 2 - 1) * most * self.strength
        return torch.where(torch.rand(len(x), generator=rng) < self.probability, amount, 0.0)

    def _moved(self, x: Float[Tensor, "b c h w"], rng: Generator) -> Float[Tensor, "b c h w"]:
        speed, pitch, place = self._drawn(x, SPEED, rng).exp(), self._drawn(x, PITCH, rng).exp(), self._drawn(x, 2 * PLACE, rng)
        along = torch.linspace(-1, 1, x.shape[-1])[None] * speed[:, None] + place[:, None]
        across = bands_at(x.shape[-2], pitch)
        grid = torch.stack(torch.broadcast_tensors(along[:, None, :], across[:, :, None]), -1)
        return grid_sample(x + 1, grid, padding_mode="zeros", align_corners=True) - 1

    def _said(self, x: Float[Tensor, "b c h w"], rng: Generator) -> Float[Tensor, "b c h w"]:
        """Another tempo, melody and stress at every moment, of whole length as before."""
        n, _, bands, frames = x.shape
        chosen = (torch.rand((3, n, 1), generator=rng) < self.probability) * self.prosody
        tempo, melody, stress = (contours(n, frames, rng) * own * most for own, most in zip(chosen, (TEMPO, MELODY, STRESS), strict=True))
        across = bands_at(bands, melody.flatten().exp()).view(n, frames, bands).transpose(1, 2)
        grid = torch.stack(torch.broadcast_tensors(warped(tempo)[:, None, :], across), -1)
        said = grid_sample(x + 1, grid, padding_mode="border", align_corners=True) - 1
        return said + torch.where(said > -1, (stress / DEPTH)[:, None, None, :], 0.0)

    def _passed(self, power: Float[Tensor, "b c h w"], rng: Generator) -> Float[Tensor, "b c h w"]:
        """Through a channel of narrow bands, and through a codec."""
        n = len(power)
        low, high = NARROW * self.channel * torch.rand((2, n), generator=rng)
        narrow, coded = torch.rand((2, n), generator=rng) < self.probability
        loss = torch.where(narrow[:, None], let_through(power.shape[2], low, 1 - high, FALLS), 0.0)
        depth = CODED[1] - (CODED[1] - CODED[0]) * self.channel * torch.rand(n, generator=rng)
        return audible(power * 10 ** (loss / 10)[:, None, :, None], torch.where(coded, depth, math.inf))

    def _toned(self, x: Tensor, rng: Generator) -> Float[Tensor, "b 1 h 1"]:
        """Three slow waves over the bands, as microphones and rooms have."""
        at = torch.linspace(0, 1, x.shape[-2])
        found = torch.zeros(len(x), len(at))
        for turns in (0.5, 1.0, 1.5):
            phase = torch.rand((len(x), 1), generator=rng)
            found += self._drawn(x, TONE / 2, rng)[:, None] * torch.cos(2 * math.pi * (turns * at + phase))
        return found[:, None, :, None]

    def _echoed(self, power: Float[Tensor, "b c h w"], rng: Generator) -> Float[Tensor, "b c h w"]:
        """Every moment rings on, falling by 60 dB in a time of the row's own; half of the power is the sound itself."""
        low, high = ECHO
        seconds = low + (high - low) * torch.rand(len(power), generator=rng) * min(1.0, self.strength)
        rings = torch.rand(len(power), generator=rng) < self.probability
        at = torch.arange(power.shape[-1])
        since = at[:, None] - at
        tail = torch.where(since > 0, 10 ** (-6 * since.clamp(min=0) * HOP_SECONDS / seconds[:, None, None]), 0.0)
        tail = tail / tail.sum(1, keepdim=True).clamp(min=1.0)
        heard = power + torch.einsum("bchs,bts->bcht", power, tail)
        return torch.where(rings[:, None, None, None], heard, power)

    def _noisy(self, power: Float[Tensor, "b c h w"], rng: Generator) -> Float[Tensor, "b c h w"]:
        n, _, bands, _ = power.shape
        below = QUIETEST - (QUIETEST - LOUDEST) * torch.rand(n, generator=rng) * min(1.0, self.strength)
        falls = COLOUR * torch.rand((n, 1), generator=rng) * torch.linspace(0, 1, bands)
        colour = 10 ** (-falls / 10)
        hiss = -torch.rand(power.shape, generator=rng).clamp(min=1e-9).log()
        size = power.mean((1, 2, 3)) * 10 ** (-below / 10)
        size = torch.where(torch.rand(n, generator=rng) < self.probability, size, 0.0)
        return power + size[:, None, None, None] * (colour / colour.mean(1, keepdim=True))[:, None, :, None] * hiss


def bands_at(bands: int, factor: Float[Tensor, " b"]) -> Float[Tensor, "b bands"]:
    """Where, in -1..1 over the bands, lies what a factor of all frequencies moves into each band.

    The bands are equal steps of Slaney's mel scale, which is linear up to 1 kHz, its 15th mel, and then logarithmic, 27 mels for a factor of 6.4.
    The last band counts as the `MELS`-th, whatever the rate: at 8 and 16 kHz that is an eighth off.
    """
    at = torch.linspace(0, 1, bands)
    knee, top = 15 / MELS, (MELS - 15) * math.log(6.4) / 27
    hertz = torch.where(at < knee, at / knee, ((at - knee) / (1 - knee) * top).exp())
    asked = hertz / factor[:, None]
    found = torch.where(asked < 1, asked * knee, knee + (1 - knee) * asked.clamp(min=1).log() / top)
    return found * 2 - 1
