"""Few spoken words of two speakers: what speech synthesis adds, beside an oracle with clips of two speakers more.

    python -m benchmarks.sounds --data FOLDER [--per 10 20] [--seeds 5] [--trainings 1] [--learners crnn probe] [--steps 300] [--jobs 2]

FOLDER holds `audio/fsdd.zip` (spoken digits, files named DIGIT_SPEAKER_TAKE.wav). A data seed chooses two speakers to learn from, `per`
clips a digit of both together, two more for the oracle, which also learns from four times as many clips of theirs, and tests on the last
two. Each cell is `augmind expand --preset quick --generators tts --group speaker`, the classical arm the best of no transform, `wave`,
SpecAugment and both on inner folds whose speakers differ. `probe` is a linear head on the speech embedding (`--backbone`). A second table tells
what the models make of test clips in noise. Needs `augmind models pull espeak-ng` and `speech`. Finished cells are not repeated.
Expected: about 10 minutes a cell on 2 cores with `crnn`.
"""

import argparse
import csv
import io
import random
import zipfile
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.stats import t as student

import augmind
from augmind.core.store import atomic_write, write_json
from augmind.job import Job
from augmind.robust import robust, robust_record

from .lowdata import ARMS, interval, markdown, note, rows_of

TESTED, MORE = 50, 4
"""Clips a digit of each speaker that is tested on, and clips of the oracle's further speakers for one of the others."""


def unpacked(archive: Path, out: Path) -> Path:
    """The clips in one folder."""
    folder = out / "clips"
    if not folder.is_dir():
        folder.mkdir(parents=True)
        with zipfile.ZipFile(archive) as z:
            for member in z.namelist():
                if member.endswith(".wav"):
                    (folder / Path(member).name).write_bytes(z.read(member))
    return folder


def parted(speakers: list[str], seed: int) -> tuple[tuple[str, ...], list[str], list[str]]:
    """Two speakers to learn from, two more for the oracle, and the others, who are tested on."""
    rng = random.Random(seed)
    ours = rng.choice(list(combinations(speakers, 2)))
    left = [s for s in speakers if s not in ours]
    rng.shuffle(left)
    return ours, left[:2], left[2:]


def cell_data(clips: Path, per: int, seed: int, oracle: bool, out: Path) -> Path:
    """A table of clips with their words, speakers and splits."""
    files = {f.name: f.stem.split("_")[:2] for f in sorted(clips.glob("*.wav"))}
    speakers = sorted({speaker for _, speaker in files.values()})
    ours, more, tested = parted(speakers, seed)
    takes = dict.fromkeys(ours, ("train", per // 2)) | dict.fromkeys(tested, ("test", TESTED))
    takes |= dict.fromkeys(more, ("train", MORE * per // 2)) if oracle else {}
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["path", "label", "speaker", "split"])
    for digit in sorted({d for d, _ in files.values()}):
        for speaker in speakers:
            mine = [name for name, of in files.items() if of == [digit, speaker]]
            random.Random(f"{seed} {digit} {speaker}").shuffle(mine)
            split, count = takes.get(speaker, ("", 0))
            table.writerows([f"clips/{name}", digit, speaker, split] for name in mine[:count])
    path = out / f"fsdd-{per}-{seed}{'-oracle' * oracle}.csv"
    atomic_write(path, text.getvalue().encode())
    return path


def in_noise(folder: Path, learner: str) -> dict[str, list[float]]:
    """Balanced accuracy in points of every arm's model, mean over kinds of noise: as the clips are, then by ratio of signal to noise."""
    job = Job(folder)
    arms = [arm for arm in ARMS if (arm in ("real", "classical") or job.plan.generators)]
    for fold in job.folds:
        robust(str(folder), fold, learner, arms)
    told = robust_record(job, learner, arms)
    assert told is not None
    return {a["arm"]: [100 * a["clean"], *(100 * float(np.mean(column)) for column in zip(*a["cells"].values(), strict=True))] for a in told["arms"]}


def run_cell(clips: Path, per: int, seed: int, out: Path, learners: tuple[str, ...], options: dict, noisy: dict) -> dict[str, dict[str, float]]:
    """Balanced accuracy in points by learner and arm, the oracle among them; figures in noise are put into `noisy`."""
    found: dict[str, dict[str, float]] = {learner: {} for learner in learners}
    for oracle in (False, True):
        data = cell_data(clips, per, seed, oracle, out)
        given = {"label": "label", "split": "split", "group": "speaker", "preset": "quick", "learner": learners, "column": "path", **options}
        given["generators"] = () if oracle else ("tts",)
        run = augmind.expand(data, out / f"run-{data.stem}-{'-'.join(learners)}", **given)
        note(found, run.record, oracle=oracle)
        if not oracle:
            for learner in learners:
                noisy.setdefault((per, learner), []).append(in_noise(run.folder, learner))
    for arms in found.values():
        for arm in ARMS:
            arms.setdefault(arm, arms["classical"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--per", type=int, nargs="+", default=[10, 20])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ratio", type=float, default=4.0, help="synthetic rows per real row")
    parser.add_argument("--share", type=float, default=0.5, help="part of every batch that is synthetic")
    parser.add_argument("--trainings", type=int, default=1, help="trainings a cell")
    parser.add_argument("--learners", nargs="+", default=["crnn", "probe"])
    parser.add_argument("--backbone", default="speech")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(".bench/sounds"))
    args = parser.parse_args()
    clips = unpacked(args.data / "audio" / "fsdd.zip", args.out)
    options = {"ratio": args.ratio, "share": args.share, "seeds": args.trainings, "jobs": args.jobs}
    options |= {"backbone": args.backbone} | ({"steps": {"crnn": args.steps}} if "crnn" in args.learners else {})
    lines: list[dict[str, object]] = []
    noisy: dict[tuple[int, str], list[dict[str, list[float]]]] = {}
    print(
        "| set | per class | learner | arm | balanced accuracy | against best classical | share of the oracle's gap |\n|---|---|---|---|---|---|---|"
    )
    for per in args.per:
        cells = [run_cell(clips, per, seed, args.out, tuple(args.learners), options, noisy) for seed in range(args.seeds)]
        for learner in args.learners:
            lines += (new := rows_of("fsdd", per, learner, cells))
            for line in new:
                print(markdown(line), flush=True)
            middle, low, high = (100 * v for v in share(cells, learner))
            print(f"of what the oracle adds to the classical arm, synthetic + classical adds {middle:.0f} % ({low:.0f} to {high:.0f})", flush=True)
    print("\n| per class | learner | arm | clean | 20 dB | 10 dB | 0 dB |\n|---|---|---|---|---|---|---|")
    for (per, learner), found in noisy.items():
        for arm in found[0]:
            told = [interval(np.array([cell[arm][i] for cell in found])) for i in range(4)]
            print(f"| {per} | {learner} | {arm} | " + " | ".join(f"{mean:.1f} ± {half:.1f}" for mean, half in told) + " |")
    write_json(args.out / "sounds.json", {"seeds": args.seeds, "rows": lines, "noise": {f"{p} {n}": v for (p, n), v in noisy.items()}})


def share(cells: list[dict[str, dict[str, float]]], learner: str) -> tuple[float, float, float]:
    """Of the points that the oracle has over the best classical arm, the part that synthetic rows under that arm have; its 95 % interval over
    data seeds by Fieller's theorem, which knows that the oracle's lead varies too (infinite where that lead is not proven)."""
    got, lead = (np.array([c[learner][arm] - c[learner]["classical"] for c in cells]) for arm in ("synthetic+classical", "oracle"))
    n, middle = len(cells), float(got.mean() / lead.mean())
    if n < 2:
        return middle, float("-inf"), float("inf")
    t2 = float(student.ppf(0.975, n - 1)) ** 2 / n
    (a, b), (_, c) = np.cov(got, lead)
    square, linear, rest = lead.mean() ** 2 - t2 * c, got.mean() * lead.mean() - t2 * b, got.mean() ** 2 - t2 * a
    root = linear**2 - square * rest
    if square <= 0 or root < 0:
        return middle, float("-inf"), float("inf")
    return middle, float((linear - root**0.5) / square), float((linear + root**0.5) / square)


if __name__ == "__main__":
    main()
