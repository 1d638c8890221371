"""EDA's own experiment: 500 labelled texts, a network over words from scratch, with and without EDA, at equal steps.

    python -m benchmarks.eda --data FOLDER [--sets sst2 subj] [--rows 500] [--seeds 5] [--steps 400] [--arm eda] [--vectors minilm] [--tested 400]

FOLDER holds `text/sst2` and `text/subj` (train.csv and test.csv with text and label). Published (Wei and Zou 2019,
arXiv:1901.11196): over five sets and two networks, recurrent and convolutional, with pretrained word vectors, 500 rows give 76.9
without and 79.9 with EDA; there the augmented arm sees more rows and trains longer. Here every arm takes the same number of steps. A
linear head on frozen all-MiniLM-L6-v2 (`--backbone hash` where it is not there) and TF-IDF stand beside. With `--vectors` the networks
are trained once more from word vectors that were learnt elsewhere, and a line says what these add. Prints accuracy on the whole test
set (or `--tested` rows of it) with its 95 % t interval over data seeds, and the paired difference. Expected: about 15 seconds a cell of
a network on 1 core.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from augmind.core.feed import Feed
from augmind.core.registry import make, names
from augmind.core.run import Run
from augmind.core.types import Choice, Samples, Spec, as_features
from augmind.modalities.text.codec import TextCodec
from augmind.modalities.text.read import length_for

from .lowdata import interval

LEARNERS = {
    "cnn": Choice(name="textcnn"),
    "lstm": Choice(name="textcnn", settings={"cell": "lstm"}),
    "tfidf": Choice(name="tfidf"),
    "probe": Choice(name="probe"),
}
FROM = " from vectors"
"""How the networks that begin with word vectors are called."""
COPIES = 4
"""Copies by EDA of every row, for learners that take all rows at once."""


def accuracy(codec: TextCodec, train: Samples, test: Samples, learner: Choice, arm: str, seed: int) -> float:
    """Points on the test rows."""
    mixing = arm if arm in names("mixing") else "none"
    transform = arm if mixing == "none" else "none"
    choice, views = make("transforms", Choice(name=transform)), None
    features = learner.name == "probe"
    if features and transform != "none":
        moved = [choice.apply(train.x, torch.zeros(len(train), 1), seed * 100 + i)[0] for i in range(COPIES)]
        views = as_features(Samples.real(torch.cat(moved), train.y.repeat(COPIES), z=torch.cat([codec.embed(x) for x in moved])))
    real, tested = (as_features(s) if features else s for s in (train, test))
    feed = Feed(real=real, spec=codec.spec, codec=codec, transform=choice, mixing=make("mixing", Choice(name=mixing)), views=views)
    with tempfile.TemporaryDirectory() as folder:
        model = make("learners", learner).fit(feed, Run(folder=Path(folder), seed=seed))
    return 100 * float((model.predict(tested).argmax(1) == test.y).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["sst2", "subj"])
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--backbone", default="minilm")
    parser.add_argument("--learners", nargs="+", default=list(LEARNERS), choices=list(LEARNERS))
    parser.add_argument("--arm", default="eda")
    parser.add_argument("--vectors", default="", help="a file of word vectors, or a model with embeddings of words")
    parser.add_argument("--tested", type=int, help="test rows, drawn once (default: all)")
    args = parser.parse_args()
    learners = {name: LEARNERS[name] for name in args.learners}
    if args.vectors:
        networks = {name: choice for name, choice in learners.items() if choice.name == "textcnn"}
        more = {f"{name}{FROM}": Choice(name="textcnn", settings={**choice.settings, "vectors": args.vectors}) for name, choice in networks.items()}
        learners |= more
    print(f"| set | learner | without | with {args.arm} | difference |\n|---|---|---|---|---|")
    for name in args.sets:
        train, test = (pd.read_csv(args.data / "text" / name / f"{part}.csv") for part in ("train", "test"))
        test = test.sample(args.tested, random_state=0) if args.tested else test
        classes = tuple(sorted(train.label.unique()))
        length = length_for([*train.text, *test.text])
        codec = TextCodec(Spec(kind="tokens", shape=(length,), classes=classes, bounded=False), args.backbone)

        def rows(
            table: pd.DataFrame, codec: TextCodec = codec, classes: tuple[str, ...] = classes, embed: bool = "probe" in args.learners
        ) -> Samples:
            x, y = codec.encode(list(table.text)), torch.tensor([classes.index(k) for k in table.label])
            return Samples.real(x, y, z=codec.embed(x) if embed else None)

        tested = rows(test)
        found = {learner: np.zeros((2, args.seeds)) for learner in learners}
        for seed in range(args.seeds):
            drawn = rows(train.groupby("label", group_keys=False).sample(args.rows // len(classes), random_state=seed))
            for learner, choice in learners.items():
                if choice.name == "textcnn":
                    choice = Choice(name=choice.name, settings={**choice.settings, "steps": args.steps})
                for i, arm in enumerate(("none", args.arm)):
                    found[learner][i, seed] = accuracy(codec, drawn, tested, choice, arm, seed)
        for learner, values in found.items():
            cells = [f"{m:.1f} ± {h:.1f}" for m, h in (interval(values[0]), interval(values[1]))]
            m, h = interval(values[1] - values[0])
            print(f"| {name} | {learner} | {cells[0]} | {cells[1]} | {m:+.1f} ± {h:.1f} |", flush=True)
        for learner in (n for n in found if f"{n}{FROM}" in found):
            cells = [f"{m:+.1f} ± {h:.1f}" for m, h in map(interval, found[f"{learner}{FROM}"] - found[learner])]
            print(f"| {name} | {learner}, what vectors add | {cells[0]} | {cells[1]} | |", flush=True)


if __name__ == "__main__":
    main()
