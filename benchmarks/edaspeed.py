"""EDA beside its peers: sentences a second on one thread, in one process.

    python -m benchmarks.edaspeed [--rows 10000] [--peer-rows 1000] [--texts FILE] [--peers nlpaug textattack]

augmind's `eda` edits `--rows` sentences; nlpaug and TextAttack the first `--peer-rows` of them (they are far slower, and their times are
scaled). FILE is a table with a column text; without it sentences are made of words that WordNet knows. Peers are no part of this project, and
those that are not installed are left out, with the reason:

    pip install nlpaug textattack

So are operations whose data NLTK does not find: synonyms want its corpus `wordnet`, nlpaug's a tagger too, TextAttack its `stopwords`
(`python -m nltk.downloader wordnet stopwords averaged_perceptron_tagger_eng`, or a folder named by NLTK_DATA). TextAttack's
`EasyDataAugmenter` makes a copy by each of the four operations in one call, where augmind's `eda` draws one of them, so all times are
for a copy. Best of `--repeats` rounds after a warm-up. Prints a table with ratios. Expected: 2 minutes, nearly all of it the peers'.
"""

import argparse
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from augmind.core.seeds import stable_seed
from augmind.core.types import Spec
from augmind.modalities.text.codec import TextCodec
from augmind.modalities.text.read import length_for
from augmind.modalities.text.synonyms import table
from augmind.modalities.text.transforms._edits import FUNCTION_WORDS, by_words, deleted, inserted, replaced, swapped
from augmind.modalities.text.transforms.eda import Eda

PART = 0.1
"""Share of the words that an edit changes."""
Work = Callable[[list[str]], int]
"""Edits these sentences and says how many copies it has made."""


def made(n: int) -> list[str]:
    """Sentences of 8 to 24 words, every third one a function word."""
    rng, known, little = np.random.default_rng(0), sorted(table()), FUNCTION_WORDS.split()
    return [
        " ".join(little[rng.integers(len(little))] if i % 3 == 2 else known[rng.integers(len(known))] for i in range(rng.integers(8, 25)))
        for _ in range(n)
    ]


def own() -> dict[str, Work]:
    """What augmind does: the transform on stored rows, as a training calls it, and each operation on texts."""

    def transform(texts: list[str]) -> int:
        codec = TextCodec(Spec(kind="tokens", shape=(length_for(texts),), classes=(), bounded=False))
        x = codec.encode(texts)
        return len(Eda(part=PART).apply(x, torch.zeros(len(texts), 1), 0)[0])

    def one(edit: Callable) -> Work:
        rng = np.random.default_rng(stable_seed("edaspeed"))
        return lambda texts: len([by_words(t, rng, (edit,), PART) for t in texts])

    edits = {"synonyms": replaced, "insertion": inserted, "swap": swapped, "deletion": deleted}
    return {"eda": transform, **{name: one(edit) for name, edit in edits.items()}}


def of_nlpaug() -> dict[str, Callable[[], Work]]:
    import nlpaug.augmenter.word as naw

    def each(augmenter: naw.WordAugmenter) -> Work:
        return lambda texts: len([augmenter.augment(t) for t in texts])

    return {
        "synonyms": lambda: each(naw.SynonymAug(aug_src="wordnet", aug_p=PART)),
        "swap": lambda: each(naw.RandomWordAug(action="swap", aug_p=PART)),
        "deletion": lambda: each(naw.RandomWordAug(action="delete", aug_p=PART)),
    }


def of_textattack() -> dict[str, Callable[[], Work]]:
    from textattack.augmentation import Augmenter, EasyDataAugmenter
    from textattack.transformations import WordDeletion, WordInnerSwapRandom, WordInsertionRandomSynonym, WordSwapWordNet

    def each(augmenter: Augmenter | EasyDataAugmenter) -> Work:
        return lambda texts: sum(len(augmenter.augment(t)) for t in texts)

    kinds = {"synonyms": WordSwapWordNet, "insertion": WordInsertionRandomSynonym, "swap": WordInnerSwapRandom, "deletion": WordDeletion}
    one = {name: lambda kind=kind: each(Augmenter(transformation=kind(), pct_words_to_swap=PART)) for name, kind in kinds.items()}
    return {"eda": lambda: each(EasyDataAugmenter(pct_words_to_swap=PART, transformations_per_example=1)), **one}


PEERS = {"nlpaug": of_nlpaug, "textattack": of_textattack}


def peers(wanted: list[str]) -> dict[str, dict[str, Work]]:
    """The operations of peers that run here; what is left out is printed."""
    found: dict[str, dict[str, Work]] = {}
    for name in wanted:
        try:
            ways = PEERS[name]()
        except (ImportError, LookupError) as error:
            print(f"{name} is left out: {told(error)} (pip install {name})")
            continue
        found[name] = {}
        for operation, build in ways.items():
            try:
                work = build()
                work(["the good dog runs over the green hill"])
            except LookupError as error:
                print(f"{operation} of {name} is left out: {told(error)}")
            else:
                found[name][operation] = work
    return found


def told(error: Exception) -> str:
    """What is missing, in a line."""
    resource = re.search(r"Resource\W+(?:\[93m)?(\w+)", str(error))
    return f"NLTK does not find {resource[1]}" if resource else str(error).strip().splitlines()[0]


def seconds(work: Work, texts: list[str], repeats: int) -> float:
    """Seconds a copy, the best of some rounds."""
    work(texts[:20])
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        copies = work(texts)
        best = min(best, (time.perf_counter() - start) / max(1, copies))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--peer-rows", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    read = pd.read_csv(args.texts).text.dropna().astype(str).tolist() if args.texts else made(args.rows)
    texts = (read * -(-args.rows // len(read)))[: args.rows]
    mine = {name: seconds(work, texts, args.repeats) for name, work in own().items()}
    print(
        f"{len(texts):,} sentences of {np.mean([len(t.split()) for t in texts]):.1f} words; peers edit {min(args.peer_rows, len(texts)):,} of them\n"
    )
    others = {peer: {k: seconds(w, texts[: args.peer_rows], args.repeats) for k, w in works.items()} for peer, works in peers(args.peers).items()}
    print(
        f"| operation | augmind, s for {args.rows:,} | {' | '.join(f'{p}, s | times augmind' for p in others)} |\n|{'---|' * (2 + 2 * len(others))}"
    )
    for name, each in mine.items():
        cells = [f"{o[name] * args.rows:.1f} | {o[name] / each:.1f}" if name in o else " | " for o in others.values()]
        print(f"| {name} | {each * args.rows:.2f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
