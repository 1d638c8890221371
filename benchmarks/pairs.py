"""Pairs of texts with few rows: is one the translation of the other, and which of two reviews is the better one.

    python -m benchmarks.pairs --data FOLDER [--sets translation better] [--per 50] [--seeds 3] [--backbones hash use-multilingual]

FOLDER holds `text/multi30k_en_de` (train.csv, test.csv with en and de) and `text/sst2` (train.csv, test.csv with text and label). A pair of
"translation" is a caption with its own translation or with that of another row, so a model has to relate the sides across languages; one of
"better" is a good and a bad review in either order, so it has to know which side is which. Each cell is `augmind expand --preset quick
--generators feature` with the learners `probe` and `tfidf` on `per` rows a class, tested on 500 other pairs. Finished cells are not
repeated. Expected: about a minute a cell on 2 cores.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import augmind
from augmind.core.store import atomic_write

from .lowdata import ARMS, interval, note

LEARNERS = ("probe", "tfidf")
TESTED = 500


def translations(folder: Path, part: str, n: int, seed: int) -> pd.DataFrame:
    """n captions: those of even places with their own translation, those of odd ones with that of the next odd one."""
    rows = pd.read_csv(folder / "text" / "multi30k_en_de" / f"{part}.csv").drop_duplicates("en").sample(n, random_state=seed)
    other, de = np.arange(n) % 2 == 1, rows["de"].to_numpy(copy=True)
    de[other] = np.roll(de[other], 1)
    return pd.DataFrame({"en": rows["en"], "de": de, "label": np.where(other, "another", "translation")})


def better(folder: Path, part: str, n: int, seed: int) -> pd.DataFrame:
    """n pairs of a good and a bad review, in either order; no review stands in two pairs."""
    rows = pd.read_csv(folder / "text" / "sst2" / f"{part}.csv")
    good, bad = (rows[rows["label"] == label]["text"].drop_duplicates().sample(n, random_state=seed).to_numpy() for label in ("positive", "negative"))
    turned = np.arange(n) % 2 == 1
    sides = {"one": np.where(turned, bad, good), "two": np.where(turned, good, bad)}
    return pd.DataFrame(sides | {"label": np.where(turned, "two", "one")})


SETS = {"translation": (translations, "en,de"), "better": (better, "one,two")}


def run_cell(folder: Path, name: str, per: int, seed: int, backbone: str, out: Path) -> dict[str, dict[str, float]]:
    """Balanced accuracy in points by learner and arm."""
    make, text = SETS[name]
    data = out / f"{name}-{per}-{seed}.csv"
    if not data.exists():
        parts = [make(folder, "train", 2 * per, 1000 + seed).assign(split="train"), make(folder, "test", TESTED, 0).assign(split="test")]
        atomic_write(data, pd.concat(parts).to_csv(index=False).encode())
    options = {"text": text, "label": "label", "split": "split", "backbone": backbone, "preset": "quick", "learner": LEARNERS}
    run = augmind.expand(data, out / f"run-{name}-{per}-{seed}-{backbone}", generators="feature", **options)
    found: dict[str, dict[str, float]] = {learner: {} for learner in LEARNERS}
    note(found, run.record, oracle=False)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--per", type=int, nargs="+", default=[50])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backbones", nargs="+", default=["hash", "use-multilingual"])
    parser.add_argument("--out", type=Path, default=Path(".bench/pairs"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    print("| set | per class | backbone | learner | arm | balanced accuracy |\n|---|---|---|---|---|---|")
    for name, per, backbone in ((n, p, b) for n in args.sets for p in args.per for b in args.backbones):
        cells = [run_cell(args.data, name, per, seed, backbone, args.out) for seed in range(args.seeds)]
        for learner in LEARNERS:
            for arm in (a for a in ARMS if a in cells[0][learner]):
                mean, half = interval(np.array([cell[learner][arm] for cell in cells]))
                print(f"| {name} | {per} | {backbone} | {learner} | {arm} | {mean:.1f} ± {half:.1f} |", flush=True)


if __name__ == "__main__":
    main()
