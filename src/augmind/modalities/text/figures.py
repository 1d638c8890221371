"""How varied texts are, how alike they are to each other, and how much of them stands in other texts."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from .words import words

NOVEL = 4
"""Words of a run that is looked for among the training rows."""
LONGEST = 4
"""Words of the longest runs that BLEU counts."""


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


def self_bleu(texts: Iterable[str]) -> float | None:
    """Mean BLEU of every text against all others, 0..1: high where texts repeat each other (Zhu et al. 2018, arXiv:1802.01886).

    It rises with their number. BLEU of a sentence is that of sacrebleu (Post 2018, arXiv:1804.08771) on lower-case words: runs of up to
    four words, as many as the text has, none in common counts as 1/2, 1/4, ... of one. Texts without words are left out; None for under two.
    """
    rows = [r for t in texts if (r := [Counter(grams(t, n)) for n in range(1, LONGEST + 1)])[0]]
    if len(rows) < 2:
        return None
    lengths = [sum(r[0].values()) for r in rows]
    most, ordered = [most_often(row[n] for row in rows) for n in range(LONGEST)], sorted(lengths)
    return sum(bleu(row, i, most, closest(ordered, length)) for i, (row, length) in enumerate(zip(rows, lengths, strict=True))) / len(rows)


Most = dict[tuple[str, ...], tuple[int, int, int]]
"""Run of words -> (the most often that it stands in one text, that text, the most often in any other)."""


def most_often(rows: Iterable[Counter[tuple[str, ...]]]) -> Most:
    found: Most = {}
    for i, row in enumerate(rows):
        for gram, n in row.items():
            first, where, second = found.get(gram, (0, -1, 0))
            found[gram] = (n, i, first) if n > first else (first, where, max(second, n))
    return found


def bleu(row: list[Counter[tuple[str, ...]]], own: int, most: list[Most], reference: int) -> float:
    """BLEU of the text at place `own`, given its runs of each length, against all others; `reference` is the length it is held against."""
    logs, missed = [], 0
    for found, known in zip(row, most, strict=True):
        if not found:
            break
        right = sum(min(n, second if where == own else first) for gram, n in found.items() for first, where, second in [known[gram]])
        missed += right == 0
        logs.append(math.log((right or 0.5**missed) / found.total()))
    if missed == len(logs):
        return 0.0
    return math.exp(min(0.0, 1 - reference / row[0].total()) + sum(logs) / len(logs))


def closest(ordered: list[int], length: int) -> int:
    """The length nearest to this one, the shorter of two, once this one is taken away."""
    at = bisect_left(ordered, length)
    return min(ordered[max(0, at - 1) : at] + ordered[at + 1 : at + 2], key=lambda n: (abs(n - length), n))
