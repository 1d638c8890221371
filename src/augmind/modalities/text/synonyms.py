"""Synonyms of English words, from WordNet 3.0 (see tables/WORDNET.txt for its licence)."""

import gzip
from functools import cache
from pathlib import Path

FILE = Path(__file__).parent / "tables" / "synonyms.txt.gz"


@cache
def table() -> dict[str, tuple[str, ...]]:
    """Word -> words that share a meaning with it, sorted, itself left out; single words in lower case."""
    found: dict[str, set[str]] = {}
    for line in gzip.decompress(FILE.read_bytes()).decode().splitlines():
        meaning = line.split(" ")
        for word in meaning:
            found.setdefault(word, set()).update(meaning)
    return {word: tuple(sorted(others - {word})) for word, others in found.items()}


def synonyms(word: str) -> tuple[str, ...]:
    """The synonyms of a word in any case, in its case; none for a word that is not known."""
    found = table().get(word.lower(), ())
    if word.isupper() and len(word) > 1:
        return tuple(w.upper() for w in found)
    return tuple(w.capitalize() for w in found) if word[:1].isupper() else found
