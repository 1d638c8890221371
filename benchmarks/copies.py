"""Near duplicates of texts: how many edited copies are found, and how long that takes, by words shared (MinHash) and by weighted counts.

    python -m benchmarks.copies --data FOLDER

FOLDER holds `text/sst2/train.csv` and `text/subj/train.csv` with a column `text`. Of 10,000 rows a tenth are copies, edited in one of
seven ways. "Other rows" are those without a planted copy that are paired with another: the two sets share sentences, so most are right.
"""

import argparse
import csv
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from augmind.data.minhash import alike, folded
from augmind.data.neighbours import WORDS, Neighbours, by_words, components
from augmind.modalities.text.words import joined, pieces, words

ROWS, MANY = 10_000, 100_000
Pairs = list[tuple[int, int]]


def real_rows(folder: Path) -> list[str]:
    """Different texts of eight words or more, in the order of the files."""
    found: dict[tuple[str, ...], str] = {}
    for name in ("sst2", "subj"):
        with (folder / "text" / name / "train.csv").open(encoding="utf-8", newline="") as f:
            for row in csv.DictReader(f):
                found.setdefault(folded(row["text"]), row["text"])
    return [text for key, text in found.items() if len(key) >= 8]


def edits(vocabulary: list[str], rng: random.Random) -> dict[str, Callable[[str], str]]:
    def changed(text: str, n: int) -> str:
        own, gaps = pieces(text)
        for i in rng.sample(range(len(own)), n):
            own[i] = rng.choice(vocabulary)
        return joined(own, gaps)

    def shorter(text: str) -> str:
        own, gaps = pieces(text)
        return joined(own[: len(own) * 3 // 4], gaps)

    def swapped(text: str) -> str:
        own, gaps = pieces(text)
        i, j = rng.sample(range(len(own)), 2)
        own[i], own[j] = own[j], own[i]
        return joined(own, gaps)

    return {
        "case and signs": lambda t: t.upper().replace(" ", "  ").replace(",", ";") + " !",
        "one word": lambda t: changed(t, 1),
        "two words": lambda t: changed(t, 2),
        "two words swapped": swapped,
        "a quarter cut off": shorter,
        "a quarter added": lambda t: " ".join([t, *rng.sample(vocabulary, max(1, len(words(t)) // 4))]),
    }


def planted(real: list[str], rng: random.Random) -> tuple[list[str], dict[str, Pairs]]:
    """Rows with copies at their end, and the pairs (row, copy) of each way."""
    rows = real[: ROWS * 9 // 10]
    vocabulary = sorted({w for t in rows for w in words(t)})
    ways, pairs, out = edits(vocabulary, rng), {}, list(rows)
    for name, edit in ways.items():
        for i in rng.sample(range(len(rows)), 150):
            pairs.setdefault(name, []).append((i, len(out)))
            out.append(edit(rows[i]))
    for i in rng.sample(range(len(rows)), (ROWS - len(out)) // 30):
        for _ in range(30):
            pairs.setdefault("thirty copies of a row, one word each", []).append((i, len(out)))
            out.append(ways["one word"](rows[i]))
    return out, pairs


def told(name: str, seconds: float, found: Pairs, pairs: dict[str, Pairs], rows: int) -> None:
    cluster, _ = components(rows, found)
    first = min(copy for some in pairs.values() for _, copy in some)
    others = {row for i, j in found if j < first for row in (i, j)}
    shares = ", ".join(f"{way} {np.mean([cluster[a] == cluster[b] for a, b in some]):.1%}" for way, some in pairs.items())
    print(f"{name}: {seconds:.1f} s; {shares}; other rows {len(others) / first:.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    real, rng = real_rows(parser.parse_args().data), random.Random(0)
    rows, pairs = planted(real, rng)
    start = time.perf_counter()
    shared = [(i, j) for i, j, _ in alike(rows)]
    told("words shared", time.perf_counter() - start, shared, pairs, len(rows))
    start = time.perf_counter()
    index, distance = by_words(rows, np.arange(len(rows)))
    near = Neighbours(index=index, distance=distance, flat=torch.zeros(len(rows), dtype=torch.bool))
    counted = [(i, j) for i, j, _ in near.pairs(WORDS)]
    told("weighted counts", time.perf_counter() - start, counted, pairs, len(rows))
    vocabulary = [w for t in real for w in words(t)]
    many = [" ".join(rng.sample(vocabulary, rng.randint(8, 30))) for _ in range(MANY)]
    start = time.perf_counter()
    alike(many)
    print(f"words shared, {MANY:,} rows: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
