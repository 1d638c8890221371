"""Spoken digit strings: the word error rate of a small network trained by CTC, with and without synthesised strings.

    python -m benchmarks.strings --data FOLDER [--per 10] [--seeds 5] [--steps 600]

FOLDER holds `audio/fsdd.zip` (spoken digits, files named DIGIT_SPEAKER_TAKE.wav). A seed chooses two speakers to learn from, with `per` clips a digit
of both together; strings of three to five clips of one speaker, a tenth of a second apart at most, are learnt from and, of the four other
speakers, tested on. Synthesised strings are spoken by espeak-ng as a whole (`augmind models pull espeak-ng`), half of every batch. All arms
learn for as many steps; the error is that of the last one. Needs `pip install jiwer`. Expected: 8 minutes a seed on 2 cores.
"""

import argparse
import random
import tempfile
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import jiwer
import numpy as np
import soundfile
import torch
from torch import Tensor, nn
from torch.nn.functional import ctc_loss, log_softmax

from augmind.core.loop import cosine
from augmind.core.registry import make
from augmind.core.run import Run
from augmind.core.types import Choice, Data, Samples, Spec
from augmind.modalities.audio.codec import AudioCodec
from augmind.modalities.audio.read import trimmed

from .lowdata import interval
from .sounds import unpacked

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATE, BANDS, FRAMES = 8000, 40, 400
LEARNT, SPOKEN, TESTED, BATCH = 300, 600, 100, 32
"""Strings of real clips and of synthesis to learn from, strings a tested speaker, and strings a batch."""
ARMS = ("real", "classical", "synthetic+classical")

String = tuple[int, ...]


class Listener(nn.Module):
    """Log-mel columns to log-probabilities of ten words and nothing, one for every other column."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv1d(BANDS, width, 5, 1, 2), nn.BatchNorm1d(width), nn.ReLU()),
            *(nn.Conv1d(width, width, 5, 2, 2), nn.BatchNorm1d(width), nn.ReLU()),
        )
        self.gru = nn.GRU(width, width, bidirectional=True, batch_first=True)
        self.head = nn.Linear(2 * width, len(WORDS) + 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 1, bands, frames) in model space to (b, frames / 2, 11)."""
        found, _ = self.gru(self.body(x[:, 0]).transpose(1, 2))
        return log_softmax(self.head(found), -1)


def joined(clips: dict[int, list[np.ndarray]], rng: random.Random) -> tuple[String, np.ndarray]:
    """Three to five clips of one speaker, with pauses."""
    said = tuple(rng.choice(sorted(clips)) for _ in range(rng.randint(3, 5)))
    parts = [part for k in said for part in (rng.choice(clips[k]), np.zeros(rng.randint(0, RATE // 10), np.float32))]
    return said, np.concatenate(parts[:-1])


def strings(clips: dict[str, dict[int, list[np.ndarray]]], count: int, rng: random.Random, codec: AudioCodec) -> tuple[Tensor, list[String]]:
    """So many strings, the speakers in turn, as stored rows."""
    made = [joined(clips[speaker], rng) for i in range(count) for speaker in [sorted(clips)[i % len(clips)]]]
    return codec.encode([wave for _, wave in made]), [said for said, _ in made]


def spoken(count: int, seed: int, rng: random.Random, codec: AudioCodec) -> tuple[Tensor, list[String]]:
    """Strings said by espeak-ng, each in a voice of its own."""
    said = [tuple(rng.randrange(10) for _ in range(rng.randint(3, 5))) for _ in range(count)]
    texts = tuple(dict.fromkeys(" ".join(WORDS[k] for k in s) for s in said))
    spec = Spec(kind="continuous", shape=codec.spec.shape, classes=texts, bounded=True, rate=RATE)
    none = Samples.real(torch.zeros(0, *spec.shape, dtype=torch.uint8), torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long))
    data = Data(train=none, val=none, spec=spec, codec=AudioCodec(spec))
    with tempfile.TemporaryDirectory() as folder:
        tts = make("generators", Choice(name="tts")).fit(data, Run(folder=Path(folder), seed=seed))
    y = torch.tensor([texts.index(" ".join(WORDS[k] for k in s)) for s in said])
    return spec.to_store(tts.sample(y, torch.arange(count) + 10_000 * seed)), said


def taught(arm: str, real: tuple[Tensor, list[String]], drawn: tuple[Tensor, list[String]], spec: Spec, steps: int, seed: int) -> Listener:
    torch.manual_seed(seed)
    net, rng = Listener().train(), torch.Generator().manual_seed(seed)
    adamw = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
    wave = make("transforms", Choice(name="wave", settings={"masks": 2}))
    for t in range(steps):
        half = BATCH // 2 if arm.startswith("synthetic") else 0
        parts = [(real, BATCH - half), (drawn, half)]
        rows = [torch.randint(len(x), (n,), generator=rng).tolist() for (x, _), n in parts]
        x = torch.cat([x[own] for ((x, _), _), own in zip(parts, rows, strict=True)])
        said = [s[i] for ((_, s), _), own in zip(parts, rows, strict=True) for i in own]
        seen = spec.to_model(x)
        if arm != "real":
            seen, _ = wave.apply(seen, torch.zeros(len(x), 1), seed * steps + t)
        for group in adamw.param_groups:
            group["lr"] = 3e-3 * cosine(t, steps, warmup=steps // 10)
        p = net(seen).transpose(0, 1)
        lengths = torch.tensor([len(s) for s in said])
        loss = ctc_loss(p, torch.tensor([k + 1 for s in said for k in s]), torch.full((len(said),), len(p)), lengths)
        adamw.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adamw.step()
    return net.eval()


def error_rate(net: Listener, tested: tuple[Tensor, list[String]], spec: Spec) -> float:
    """Words wrong, missing or too many, in per cent of the words said."""
    with torch.inference_mode():
        best = torch.cat([net(spec.to_model(x)).argmax(-1) for x in tested[0].split(64)])
    return 100 * jiwer.wer([text(s) for s in tested[1]], [text(read(row)) for row in best.tolist()])


def read(row: Sequence[int]) -> String:
    """Repetitions are one, and nothing is nothing."""
    return tuple(k - 1 for k, before in zip(row, [0, *row], strict=False) if k and k != before)


def text(said: String) -> str:
    return " ".join(WORDS[k] for k in said)


def cell(files: dict[str, tuple[int, str]], waves: dict[str, np.ndarray], per: int, seed: int, steps: int) -> dict[str, float]:
    """Word error rate by arm."""
    speakers = sorted({speaker for _, speaker in files.values()})
    rng = random.Random(seed)
    ours = rng.choice(list(combinations(speakers, 2)))
    clips = {s: {d: [waves[n] for n, of in files.items() if of == (d, s)] for d in range(10)} for s in speakers}
    learnt = {s: {d: rng.sample(own, per // 2) for d, own in clips[s].items()} for s in ours}
    codec = AudioCodec(Spec(kind="continuous", shape=(1, BANDS, FRAMES), classes=WORDS, bounded=True, rate=RATE))
    real, drawn = strings(learnt, LEARNT, rng, codec), spoken(SPOKEN, seed, rng, codec)
    others = {s: own for s, own in clips.items() if s not in ours}
    tested = strings(others, TESTED * len(others), rng, codec)
    return {arm: error_rate(taught(arm, real, drawn, codec.spec, steps, seed), tested, codec.spec) for arm in ARMS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--per", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--out", type=Path, default=Path(".bench/sounds"))
    args = parser.parse_args()
    folder = unpacked(args.data / "audio" / "fsdd.zip", args.out)
    files = {f.name: (int(f.stem.split("_")[0]), f.stem.split("_")[1]) for f in sorted(folder.glob("*.wav"))}
    waves = {}
    for name in files:
        wave, rate = soundfile.read(folder / name, dtype="float32")
        waves[name] = trimmed(wave, rate)
    cells = []
    for seed in range(args.seeds):
        cells.append(cell(files, waves, args.per, seed, args.steps))
        print(seed, {arm: round(v, 1) for arm, v in cells[-1].items()}, flush=True)
    print("| arm | word error rate, % | against classical |\n|---|---|---|")
    for arm in ARMS:
        own = np.array([c[arm] for c in cells])
        mean, half = interval(own)
        d, d_half = interval(own - np.array([c["classical"] for c in cells]))
        print(f"| {arm} | {mean:.1f} ± {half:.1f} | {d:+.1f} ± {d_half:.1f} |")


if __name__ == "__main__":
    main()
