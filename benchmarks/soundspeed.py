"""Classical augmentation of sounds: augmind's `wave` in batches of spectrograms beside audiomentations, called one clip at a time.

    python -m benchmarks.soundspeed --data FOLDER [--clips 512] [--rounds 5]

FOLDER holds `audio/fsdd.zip`. Both make the same kinds of changes: speed, pitch, place, loudness, tone, noise, masks; audiomentations to waves,
each with probability 0.5, of which spectrograms are then made, since learners here take those. Needs `pip install audiomentations`. Prints
milliseconds a clip on one thread, the median of the rounds, taken in turn in one run. Expected: a minute.
"""

import argparse
import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
import torch

from augmind.core.registry import make
from augmind.core.types import Choice, Spec
from augmind.modalities.audio.codec import AudioCodec
from augmind.modalities.audio.read import fitted, levelled, trimmed

RATE, BATCH = 8000, 64


def peer(samples: int) -> Callable[[np.ndarray], np.ndarray]:
    try:
        import audiomentations as am
    except ImportError:
        raise SystemExit("audiomentations is not installed, with which this is compared: pip install audiomentations") from None

    changes = am.Compose(
        [
            am.TimeStretch(min_rate=0.8, max_rate=1.25, leave_length_unchanged=True, p=0.5),
            am.PitchShift(min_semitones=-2.5, max_semitones=2.5, p=0.5),
            am.Shift(min_shift=-0.2, max_shift=0.2, p=0.5),
            am.Gain(min_gain_db=-10, max_gain_db=10, p=0.5),
            am.SevenBandParametricEQ(min_gain_db=-8, max_gain_db=8, p=0.5),
            am.AddGaussianSNR(min_snr_db=5, max_snr_db=30, p=0.5),
            am.TimeMask(min_band_part=0.0, max_band_part=0.2, p=0.5),
        ]
    )
    return lambda wave: changes(samples=wave, sample_rate=RATE)[:samples]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    codec = AudioCodec(Spec(kind="continuous", shape=(1, 40, 64), classes=("a", "b"), bounded=True, rate=RATE))
    with zipfile.ZipFile(args.data / "audio" / "fsdd.zip") as z:
        names = [n for n in z.namelist() if n.endswith(".wav")][:: max(1, 3000 // args.clips)][: args.clips]
        waves = [fitted(levelled(trimmed(soundfile.read(io.BytesIO(z.read(n)), dtype="float32")[0], RATE)), codec.mel.samples) for n in names]
    waves = [w.astype(np.float32) for w in waves]
    x = codec.spec.to_model(codec.mel.encode(torch.from_numpy(np.stack(waves))))
    wave, other = make("transforms", Choice(name="wave", settings={"masks": 2})), peer(codec.mel.samples)

    def ours() -> None:
        for i, rows in enumerate(x.split(BATCH)):
            wave.apply(rows, torch.zeros(len(rows), 1), i)

    def theirs() -> None:
        for w in waves:
            other(w)

    def then_encoded() -> None:
        changed = np.stack([fitted(other(w), codec.mel.samples) for w in waves]).astype(np.float32)
        for rows in torch.from_numpy(changed).split(BATCH):
            codec.mel.encode(rows)

    told: dict[str, list[float]] = {"augmind, spectrograms": [], "audiomentations, waves": [], "audiomentations, then spectrograms": []}
    for _ in range(args.rounds):
        for name, work in zip(told, (ours, theirs, then_encoded), strict=True):
            began = time.perf_counter()
            work()
            told[name].append(1000 * (time.perf_counter() - began) / len(waves))
    base = median(told["augmind, spectrograms"])
    print("| what | ms a clip | ratio |\n|---|---|---|")
    for name, values in told.items():
        print(f"| {name} | {median(values):.2f} | {median(values) / base:.1f} |")


if __name__ == "__main__":
    main()
