"""Waves from spectrograms by a network that has heard many voices: HiFi-GAN (Kong et al. 2020, arXiv:2010.05646; MIT)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from augmind.core.errors import AugmindError, DataError, MachineError, first_line
from augmind.core.store import write_json
from augmind.core.tensors import load_tensors, save_tensors
from augmind.nn.weights import located

from .mel import MOMENTUM, ROUNDS, TINY, Mel, power_of
from .read import resampled

NAME = "hifigan"
RATE, WINDOW, HOP, BANDS, HIGHEST = 22_050, 1024, 256, 80, 8000.0
"""What the network was trained on: samples a second, points of the transform, samples between columns, bands, and where the highest ends."""
QUIETEST = 1e-5
"""Magnitude that stands for silence there."""
RATES, KERNELS, REACHES = (8, 8, 2, 2), (3, 7, 11), (1, 3, 5)
"""What the published UNIVERSAL_V1 is made of: steps of the rate, widths of the filters, and how far these are spread."""
SLOPE = 0.1
EDGE = 4
"""Columns of silence before and after a sound, whose waves are cut off again."""
PASSES, FARTHEST = 8, 20.0
"""How often band powers are brought to those of the row, and by how many decibels at most each time."""
SMOOTH = 0.7
"""How far magnitudes go from those of the network to the smooth ones of the least squares, on a scale of decibels."""


class Block(nn.Module):
    """Filters of one width, ever more spread, each with a way around it."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        around = [kernel // 2 * reach for reach in REACHES]
        spread = zip(REACHES, around, strict=True)
        self.convs1 = nn.ModuleList(nn.Conv1d(channels, channels, kernel, dilation=reach, padding=pad) for reach, pad in spread)
        self.convs2 = nn.ModuleList(nn.Conv1d(channels, channels, kernel, padding=kernel // 2) for _ in REACHES)

    def forward(self, x: Float[Tensor, "n c t"]) -> Float[Tensor, "n c t"]:
        for first, second in zip(self.convs1, self.convs2, strict=True):
            x = x + second(leaky_relu(first(leaky_relu(x, SLOPE)), SLOPE))
        return x


class Generator(nn.Module):
    """The generator of HiFi-GAN: 256 samples for each column of natural logarithms of magnitudes in `BANDS` bands."""

    def __init__(self, channels: int = 512) -> None:
        super().__init__()
        self.conv_pre = nn.Conv1d(BANDS, channels, 7, padding=3)
        sizes = [channels >> i for i in range(len(RATES) + 1)]
        steps = zip(sizes, sizes[1:], RATES, strict=False)
        self.ups = nn.ModuleList(nn.ConvTranspose1d(a, b, 2 * rate, rate, padding=rate // 2) for a, b, rate in steps)
        self.resblocks = nn.ModuleList(Block(size, kernel) for size in sizes[1:] for kernel in KERNELS)
        self.conv_post = nn.Conv1d(sizes[-1], 1, 7, padding=3)

    def forward(self, x: Float[Tensor, "n 80 columns"]) -> Float[Tensor, "n samples"]:
        x = self.conv_pre(x)
        for i, up in enumerate(self.ups):
            x = up(leaky_relu(x, SLOPE))
            blocks = [self.resblocks[i * len(KERNELS) + k](x) for k in range(len(KERNELS))]
            x = torch.stack(blocks).mean(0)
        return self.conv_post(leaky_relu(x)).tanh()[:, 0]


@dataclass(frozen=True)
class Vocoder:
    """Stored rows of `mel` as waves by `generator`.

    What the rows leave open, Griffin-Lim guesses first: the network hears that wave, and says it again in a voice. Then the power in the bands of
    the row is put right, and Griffin-Lim goes on from the network's phases, with magnitudes between its own and those of `Mel.magnitude`.
    """

    mel: Mel
    generator: Generator

    def decode(self, x: UInt8[Tensor, "n 1 bands frames"]) -> Float[Tensor, "n samples"]:
        """Waves at `mel.rate`. Rows become waves one by one, so each depends on itself alone, to the last bit."""
        if not len(x):
            return torch.empty(0, self.mel.samples)
        with torch.no_grad():
            return torch.cat([self._decoded(row) for row in x.split(1)])

    def _decoded(self, row: UInt8[Tensor, "1 1 bands frames"]) -> Float[Tensor, "1 samples"]:
        power = power_of(row[:, 0])
        return self.settled(self.matched(self.said(self.mel.decode(row)), power), power)

    def said(self, wave: Float[Tensor, "1 samples"]) -> Float[Tensor, "1 samples"]:
        """The network's wave of another wave at the rate of the rows, as loud as it comes."""
        long = self.generator(heard(wave, self.mel.rate))[0, EDGE * HOP : -EDGE * HOP].numpy()
        found = torch.from_numpy(resampled(long, RATE, self.mel.rate))[: self.mel.samples]
        return pad(found, (0, self.mel.samples - len(found)))[None]

    def matched(self, waves: Float[Tensor, "n samples"], power: Float[Tensor, "n bands frames"]) -> Float[Tensor, "n samples"]:
        """The waves, with the power in each band at each moment brought to what the row says."""
        filters = self.mel.filters
        share = filters / filters.sum(0).clamp(min=TINY)
        for _ in range(PASSES):
            columns = self.mel.columns(waves)
            found = filters @ columns.abs().square()
            decibels = (10 * (power.clamp(min=TINY) / found.clamp(min=TINY)).log10()).clamp(-FARTHEST, FARTHEST)
            waves = self.mel.wave(columns * 10 ** (share.T @ decibels / 20))
        return waves

    def settled(self, waves: Float[Tensor, "n samples"], power: Float[Tensor, "n bands frames"]) -> Float[Tensor, "n samples"]:
        """Fast Griffin-Lim from the phases of these waves."""
        whole = self.mel.columns(waves)
        size = self.mel.magnitude(power) ** SMOOTH * whole.abs() ** (1 - SMOOTH)
        last = torch.zeros_like(whole)
        for _ in range(ROUNDS):
            whole = size * whole / whole.abs().clamp(min=TINY)
            found = self.mel.columns(self.mel.wave(whole))
            whole, last = found + MOMENTUM * (found - last), found
        return self.mel.wave(size * whole / whole.abs().clamp(min=TINY))


def heard(wave: Float[Tensor, "1 samples"], rate: int) -> Float[Tensor, "1 80 columns"]:
    """What the network is given: natural logarithms of magnitudes in its bands, `EDGE` columns more on either side. A column stands in the middle
    of the 256 samples that are made of it."""
    long = resampled(wave[0].numpy(), rate, RATE)
    columns = -(-len(long) // HOP) + 2 * EDGE
    before = (WINDOW - HOP) // 2 + EDGE * HOP
    padded = torch.from_numpy(np.pad(long, (before, (columns - 1) * HOP + WINDOW - before - len(long))))
    found = torch.stft(padded, WINDOW, HOP, window=torch.hann_window(WINDOW), center=False, return_complex=True).abs()
    return (filters() @ found).clamp(min=QUIETEST).log()[None]


@cache
def filters() -> Float[Tensor, "80 513"]:
    """Triangles of one area on Slaney's mel scale."""
    from transformers.audio_utils import mel_filter_bank

    made = mel_filter_bank(WINDOW // 2 + 1, BANDS, 0.0, HIGHEST, RATE, norm="slaney", mel_scale="slaney")
    return torch.from_numpy(made.T.copy()).float()


def installed(mel: Mel) -> Vocoder | None:
    """The vocoder for rows of `mel`, where `augmind models pull hifigan` has put it; None without it, and for rates above its own.

    Raises `MachineError` where its weights are damaged.
    """
    folder = located(NAME) if mel.rate <= RATE else None
    return Vocoder(mel, loaded(folder)) if folder else None


@cache
def loaded(folder: Path) -> Generator:
    """One frozen instance a process. Raises `MachineError` for weights that are damaged."""
    try:
        found = load_tensors(folder / "model.safetensors")
        generator = Generator(len(found["conv_pre.bias"]))
        generator.load_state_dict(found)
    except (AugmindError, RuntimeError, KeyError) as error:
        text = f"the weights of the vocoder '{NAME}' cannot be read: {first_line(error)}"
        raise MachineError(text, help=f"delete '{folder}', and get them again with: augmind models pull {NAME}", code="ENV-004") from error
    return generator.eval().requires_grad_(False)


def safetensors_of(source: Path, folder: Path) -> None:
    """Writes the generator of a checkpoint of torch as `folder`/model.safetensors, its norms multiplied in; only tensors are read of it.

    Raises `DataError` for a file that holds anything else, or another network.
    """
    try:
        found = torch.load(source, weights_only=True, map_location="cpu")["generator"]
        folded = dict(without_norms(found))
        Generator(len(folded["conv_pre.bias"])).load_state_dict(folded)
    except Exception as error:  # torch tells pickled code by an error of the module pickle
        text = f"'{source.name}' is no checkpoint of the generator of HiFi-GAN: {first_line(error)}"
        raise DataError(text, help="nothing in it was run, and nothing of it is used") from error
    folder.mkdir(parents=True)
    save_tensors(folder / "model.safetensors", folded)
    about = {"rate": RATE, "window": WINDOW, "hop": HOP, "bands": BANDS, "highest_hertz": HIGHEST}
    write_json(folder / "config.json", {"architecture": "hifigan_v1", "channels": len(folded["conv_pre.bias"]), **about})


def without_norms(found: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Weights from their lengths `weight_g` and directions `weight_v` (Salimans and Kingma 2016); others as they are."""
    for name, value in found.items():
        stem, _, part = name.rpartition("_")
        if part == "v":
            length = value.flatten(1).norm(dim=1)
            yield stem, value * (found[f"{stem}_g"].flatten() / length).view(-1, *[1] * (value.ndim - 1))
        elif part != "g":
            yield name, value
