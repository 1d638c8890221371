"""A planted language: thirty words, each with one translation, so that what is right is known."""

import csv
import random
from pathlib import Path

WORDS = 30
CONSONANTS, VOWELS = "bdfgklmnprstv", "aeiou"


def lexicon() -> dict[str, str]:
    """Word -> its translation."""
    rng, out = random.Random(0), {}
    while len(out) < WORDS:
        word = "".join(rng.choice(letters) for letters in (CONSONANTS, VOWELS) * 2)
        out[word] = word[::-1].upper()
    return out


def sentences(n: int, seed: int = 0, longest: int = 6) -> list[tuple[str, str]]:
    """`n` different texts of three words or more with their translations, word for word."""
    rng, known, out = random.Random(seed), lexicon(), {}
    while len(out) < n:
        said = rng.choices(list(known), k=rng.randint(3, longest))
        out[" ".join(said)] = " ".join(known[w] for w in said)
    return list(out.items())


def table(path: Path, pairs: list[tuple[str, str]], splits: list[str] | None = None) -> Path:
    with path.open("w", newline="", encoding="utf-8") as f:
        sheet = csv.writer(f)
        sheet.writerow(["en", "de", *(["split"] if splits else [])])
        sheet.writerows([*pair, *([splits[i]] if splits else [])] for i, pair in enumerate(pairs))
    return path
