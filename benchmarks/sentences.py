"""Texts with few rows: what rows written by a language model add, beside an oracle with five times more real rows.

    python -m benchmarks.sentences --data FOLDER [--sets sst2 subj emotion waimai] [--per 10 20] [--seeds 5]
                                   [--ratio 2] [--share 0.25] [--trainings 3] [--learners probe tfidf]

FOLDER holds `text/sst2`, `text/subj`, `text/tweeteval_emotion`, `text/zh_waimai` (train.csv and test.csv with text and label). Each
cell is `augmind expand --preset quick --generators lm` with the learners `probe` (all-MiniLM-L6-v2; hashed features for Chinese) and
`tfidf`, on rows drawn with its own data seed, tested on 500 rows that no cell learns from; the classical arm is the best of none, EDA,
typos and rows made of class names on inner folds. The oracle is that arm on five times more rows. An arm of which the screens left
no row counts as the classical one, which is what it amounts to. Needs `augmind models pull smollm2` and `minilm`. Finished cells are
not repeated. Expected: about 2 minutes a cell on 2 cores.
"""

import argparse
from pathlib import Path

import pandas as pd

import augmind
from augmind.core.store import atomic_write, write_json

from .lowdata import ARMS, MORE, markdown, note, rows_of

SETS = {
    "sst2": ("sst2", "minilm", {"negative": "a bad movie review", "positive": "a good movie review"}),
    "subj": ("subj", "minilm", {"subjective": "an opinion on a movie", "objective": "a description of a movie's plot"}),
    "emotion": (
        "tweeteval_emotion",
        "minilm",
        {"anger": "an angry tweet", "joy": "a joyful tweet", "optimism": "an optimistic tweet", "sadness": "a sad tweet"},
    ),
    "waimai": ("zh_waimai", "hash", {"negative": "差评", "positive": "好评"}),
}
"""Folder, backbone, and what the classes mean."""
TESTED = 500
LEARNERS = ("probe", "tfidf")


def cell_data(folder: Path, per: int, seed: int, out: Path) -> Path:
    """`per` training rows of each class, drawn with a seed, and the fixed test rows, as one table."""
    if not out.exists():
        train, test = (pd.read_csv(folder / f"{part}.csv") for part in ("train", "test"))
        drawn = train.groupby("label", group_keys=False).sample(per, random_state=1000 + seed).assign(split="train")
        tested = test.sample(min(TESTED, len(test)), random_state=0).assign(split="test")
        atomic_write(out, pd.concat([drawn, tested]).to_csv(index=False).encode())
    return out


def run_cell(
    folder: Path, name: str, per: int, seed: int, out: Path, given: dict, learners: tuple[str, ...] = LEARNERS
) -> dict[str, dict[str, float]]:
    """Balanced accuracy in points by learner and arm, the oracle among them."""
    _, backbone, describe = SETS[name]
    found: dict[str, dict[str, float]] = {learner: {} for learner in learners}
    for more in (1, MORE):
        data = cell_data(folder, per * more, seed, out / f"{name}-{per * more}-{seed}.csv")
        options = {
            "text": "text",
            "label": "label",
            "split": "split",
            "backbone": backbone,
            "describe": describe,
            "preset": "quick",
            "learner": learners,
        }
        options |= {"generators": ()} if more > 1 else {"generators": ("lm",), **given}
        run = augmind.expand(data, out / f"run-{name}-{per}x{more}-{seed}", **options)
        note(found, run.record, oracle=more > 1)
    for arms in found.values():
        for arm in ARMS:
            arms.setdefault(arm, arms["classical"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--per", type=int, nargs="+", default=[10, 20])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ratio", type=float, default=2.0, help="synthetic rows per real row")
    parser.add_argument("--share", type=float, default=0.25, help="part of every batch that is synthetic")
    parser.add_argument("--trainings", type=int, default=3, help="trainings a cell, each with rows of its own")
    parser.add_argument("--learners", nargs="+", default=list(LEARNERS), help="downstream models, such as textcnn")
    parser.add_argument("--out", type=Path, default=Path(".bench/sentences"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, object]] = []
    print(
        "| set | per class | learner | arm | balanced accuracy | against best classical | share of the oracle's gap |\n|---|---|---|---|---|---|---|"
    )
    for name in args.sets:
        for per in args.per:
            folder = args.data / "text" / SETS[name][0]
            cells = [
                run_cell(folder, name, per, seed, args.out, {"ratio": args.ratio, "share": args.share, "seeds": args.trainings}, tuple(args.learners))
                for seed in range(args.seeds)
            ]
            for learner in args.learners:
                new = rows_of(name, per, learner, cells)
                lines += new
                for line in new:
                    print(markdown(line), flush=True)
    write_json(args.out / "sentences.json", {"seeds": args.seeds, "rows": lines})


if __name__ == "__main__":
    main()
