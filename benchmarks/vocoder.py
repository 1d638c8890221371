"""What spectrograms lose on the way back to waves: Griffin-Lim beside HiFi-GAN, on spoken digits.

    python -m benchmarks.vocoder --data FOLDER [--clips 30] [--rows 8000x40 8000x64 16000x64] [--parts]

FOLDER holds `audio/fsdd.zip` (spoken digits at 8 kHz, files named DIGIT_SPEAKER_TAKE.wav); the clips are spread evenly over it. Each is
trimmed, brought to the rate of the rows and to one loudness, and fitted to `--frames` columns, as `expand` does; then it becomes a stored
row, and a wave again. Printed are the log-spectral distance (`distances.spectral_distance`) and the mel distance to the wave that the row
was made of, in decibels, what the first is above that of Griffin-Lim on the same clips, and milliseconds a clip. "The same
without the network" is the control: what `Vocoder` does after the network, done to the wave of Griffin-Lim. `--parts` adds the network
without that, and what it says where it is given the true wave, as if rows lost nothing. Needs `augmind models pull hifigan`. Expected: about
2 minutes on one core, 4 with `--parts`.
"""

import argparse
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from augmind.modalities.audio.distances import mel_distance, spectral_distance
from augmind.modalities.audio.mel import Mel, power_of
from augmind.modalities.audio.read import fitted, levelled, read, resampled
from augmind.modalities.audio.vocoder import NAME, installed
from augmind.nn.weights import needed


def clips(archive: Path, count: int, mel: Mel) -> Tensor:
    """Waves as rows are made of them, (count, samples)."""
    with zipfile.ZipFile(archive) as z:
        names = sorted(n for n in z.namelist() if n.endswith(".wav"))
        chosen = [names[i * len(names) // count] for i in range(count)]
        sounds = [read(z.read(name)) for name in chosen]
    waves = [fitted(levelled(resampled(s.wave, s.rate, mel.rate)), mel.samples) for s in sounds]
    return torch.from_numpy(np.stack(waves)).float()


def ways(mel: Mel, true: Tensor, parts: bool) -> dict[str, Callable[[int], Tensor]]:
    """Ways to the wave of the i-th clip, (1, samples), by what they are called."""
    x, made = mel.encode(true), installed(mel)
    if made is None:
        raise SystemExit(f"HiFi-GAN makes no sounds of {mel.rate} samples a second")
    power = power_of(x[:, 0])
    whole: dict[str, Callable[[int], Tensor]] = {
        "Griffin-Lim": lambda i: mel.decode(x[i : i + 1]),
        "Griffin-Lim, then the same without the network": lambda i: made.settled(
            made.matched(mel.decode(x[i : i + 1]), power[i : i + 1]), power[i : i + 1]
        ),
        "HiFi-GAN": lambda i: made.decode(x[i : i + 1]),
    }
    parted: dict[str, Callable[[int], Tensor]] = {
        "the network alone": lambda i: made.said(mel.decode(x[i : i + 1])),
        "the network alone, bands put right": lambda i: made.matched(made.said(mel.decode(x[i : i + 1])), power[i : i + 1]),
        "the network alone, given the true wave": lambda i: made.said(true[i : i + 1]),
    }
    return whole | (parted if parts else {})


def mean(values: Tensor, sign: str = "") -> str:
    """The mean with its standard error."""
    return f"{float(values.mean()):{sign}.2f} ± {float(values.std() / len(values) ** 0.5):.2f}"


def table(rows: str, mel: Mel, true: Tensor, parts: bool) -> None:
    """Prints a line a way."""
    base = None
    for name, way in ways(mel, true, parts).items():
        way(0)
        start = time.perf_counter()
        waves = torch.cat([way(i) for i in range(len(true))]).clamp(-1, 1)
        took = 1000 * (time.perf_counter() - start) / len(true)
        found = spectral_distance(mel, waves, true)
        base = found if base is None else base
        told = [mean(found), mean(found - base, "+"), mean(mel_distance(mel, waves, true)), f"{took:.0f}"]
        print(f"| {rows} | {name} | {' | '.join(told)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--rows", nargs="+", default=["8000x40", "8000x64", "16000x64"], help="rate x bands")
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--frames", type=int, default=64)
    args = parser.parse_args()
    needed(NAME, "vocoder")
    torch.set_num_threads(1)
    print("| rows | way | log-spectral distance, dB | above Griffin-Lim | mel distance, dB | ms a clip |\n|---|---|---|---|---|---|")
    for told in args.rows:
        rate, bands = map(int, told.split("x"))
        mel = Mel(rate=rate, bands=bands, frames=args.frames)
        true = clips(args.data / "audio" / "fsdd.zip", args.clips, mel)
        with torch.no_grad():
            table(f"{rate:,} Hz, {bands} bands", mel, true, args.parts)


if __name__ == "__main__":
    main()
