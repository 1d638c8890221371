"""How varied texts are, and how much of them stands in other texts."""

from collections.abc import Iterable, Iterator, Sequence

from .words import words

NOVEL = 4
"""Words of a run that is looked for among the training rows."""


def grams(text: str, n: int) -> Iterator[tuple[str, ...]]:
    """The runs of n words of a text, in order."""
    found = [w.lower() for w in words(text)]
    return zip(*(found[i:] for i in range(n)), strict=False)


def distinct(texts: Iterable[str], n: int) -> float | None:
    """Distinct-n: different runs of n words per run, 0..1 (Li et al. 2016, arXiv:1510.03055). It falls with their number. None without runs."""
    found = [g for text in texts for g in grams(text, n)]
    return len(set(found)) / len(found) if found else None


def novel(texts: Iterable[str], known: Sequence[str], n: int = NOVEL) -> float | None:
    """Share of the runs of n words that stand in none of the `known` texts, 0..1. None without runs."""
    old = {g for text in known for g in grams(text, n)}
    found = [g for text in texts for g in grams(text, n)]
    return sum(g not in old for g in found) / len(found) if found else None
