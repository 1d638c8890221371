"""Pairs of texts with few rows: what it is worth that learners know the two sides, beside both sides as one text.

    python -m benchmarks.pairs --data FOLDER [--sets translation better] [--per 50] [--seeds 5] [--backbones hash use-multilingual minilm]

FOLDER holds `text/multi30k_en_de` (train.csv, test.csv with en and de) and `text/sst2` (train.csv, test.csv with text and label). A pair of
"translation" is a caption with its own translation or with that of another row, so a model has to relate the sides across languages; one of
"better" is a good and a bad review in either order, so it has to know which side is which. `probe` on the features of each backbone and
`tfidf` learn from `per` real rows a class and are tested on 500 other pairs: accuracy in points, mean ± half the 95 % interval over data
seeds. Expected: half a minute for a set and seed.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from augmind.core.feed import Feed
from augmind.core.registry import make
from augmind.core.run import Run
from augmind.core.types import Choice, Data, Samples, Spec
from augmind.modalities.text.codec import TextCodec
from augmind.modalities.text.sides import as_row

from .lowdata import interval

TESTED = 500
LENGTH = 1024
NONE = make("transforms", Choice(name="none"))


def translations(folder: Path, part: str, n: int, seed: int) -> tuple[list[tuple[str, str]], torch.Tensor]:
    """n captions: those of even places with their own translation, those of odd ones with that of the next odd one."""
    rows = pd.read_csv(folder / "text" / "multi30k_en_de" / f"{part}.csv").drop_duplicates("en").sample(n, random_state=seed)
    other, de = np.arange(n) % 2 == 1, rows["de"].to_numpy(copy=True)
    de[other] = np.roll(de[other], 1)
    return list(zip(rows["en"], de, strict=True)), torch.from_numpy(other).long()


def better(folder: Path, part: str, n: int, seed: int) -> tuple[list[tuple[str, str]], torch.Tensor]:
    """n pairs of a good and a bad review, in either order; no review stands in two pairs."""
    rows = pd.read_csv(folder / "text" / "sst2" / f"{part}.csv")
    good, bad = (rows[rows["label"] == label]["text"].drop_duplicates().sample(n, random_state=seed) for label in ("positive", "negative"))
    return [(a, b) if i % 2 else (b, a) for i, (a, b) in enumerate(zip(good, bad, strict=True))], torch.arange(n) % 2


SETS = {"translation": translations, "better": better}


def data_of(folder: Path, name: str, per: int, seed: int, backbone: str, paired: bool) -> Data:
    """Training rows and, as `val`, the rows that are tested on; `paired` or with both sides as one text."""
    spec = Spec(kind="tokens", shape=(LENGTH,), classes=("a", "b"), bounded=False, parts=("one", "two") if paired else ())
    codec, parts = TextCodec(spec, backbone), []
    for part, n, draw in (("train", 2 * per, 1000 + seed), ("test", TESTED, 0)):
        rows, y = SETS[name](folder, part, n, draw)
        x = codec.encode([as_row(row) if paired else " ".join(row) for row in rows])
        parts.append(Samples.real(x, y).with_features(codec.embed(x)))
    return Data(train=parts[0], val=parts[1], spec=spec, codec=codec)


def score(learner: str, data: Data, folder: Path) -> float:
    """Accuracy in points on the tested rows."""
    feed = Feed(real=data.train, spec=data.spec, codec=data.codec, transform=NONE, mixing=NONE)
    fitted = make("learners", Choice(name=learner)).fit(feed, Run(folder=folder))
    return 100 * (fitted.predict(data.val).argmax(1) == data.val.y).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--per", type=int, nargs="+", default=[50])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--backbones", nargs="+", default=["hash", "use-multilingual"])
    args = parser.parse_args()
    print("| set | per class | learner | one text | pair | difference |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, per, backbone in ((n, p, b) for n in args.sets for p in args.per for b in args.backbones):
            seen = [[data_of(args.data, name, per, s, backbone, paired) for paired in (False, True)] for s in range(args.seeds)]
            for learner in ("probe", "tfidf") if backbone == "hash" else ("probe",):
                found = np.array([[score(learner, data, Path(folder)) for data in both] for both in seen])
                told = [f"{m:.1f} ± {h:.1f}" for m, h in map(interval, found.T)]
                m, h = interval(found[:, 1] - found[:, 0])
                what = f"{learner} ({backbone})" if learner == "probe" else learner
                print(f"| {name} | {per} | {what} | {' | '.join(told)} | {m:+.1f} ± {h:.1f} |", flush=True)


if __name__ == "__main__":
    main()
