"""Which texts have nearly the same words, whatever their case, signs and spaces: MinHash and buckets, in seconds for 100,000 rows."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any
from zlib import crc32

import numpy as np
from jaxtyping import Int, UInt32

from augmind.modalities.text.words import words

JACCARD = 0.6
"""Least share of words and pairs of words that two near duplicates have in common."""
BANDS, DEEP = 32, 4
"""Rows that agree in all `DEEP` values of one of the bands are compared: 99 % of pairs at `JACCARD`, 5 % of pairs at 0.2."""
AHEAD = 3
"""Rows of a bucket that a row is compared with: a bucket of many rows is a chain, not all their pairs."""
SURE = 0.15
"""By how much the estimate of 128 values may lie below `JACCARD` (three and a half standard errors) for a pair to be counted out exactly."""
BLOCK = 4096
REMEMBERED = 4096
"""Rows whose words and pairs of words are kept while pairs are counted out."""

Words = tuple[str, ...]


def folded(text: str) -> Words:
    """The words of a text without their case; a character of a script without spaces is a word."""
    return tuple(words(text.casefold()))


def alike(texts: Sequence[str], least: float = JACCARD) -> list[tuple[int, int, float]]:
    """Pairs i < j and the Jaccard similarity of their words and pairs of words, `least` to 1, the most alike first.

    1 means the same words in the same order; of many such rows each is paired with the first one alone. Broder 1997 (MinHash),
    Indyk and Motwani 1998 (buckets); a pair that no bucket holds is missed, no pair is reported falsely. Texts without words are in none.
    """
    documents, first = [folded(t) for t in texts], {}
    same = [(first.setdefault(d, i), i, 1.0) for i, d in enumerate(documents) if d]
    rows = list(first.values())
    told = lru_cache(REMEMBERED)(lambda i: shingles(documents[i]))
    pairs = candidates([documents[i] for i in rows], least).tolist()
    near = [(rows[a], rows[b], jaccard(told(rows[a]), told(rows[b]))) for a, b in pairs]
    found = [(i, j, s) for i, j, s in same if i != j] + [(min(i, j), max(i, j), min(s, 1 - 1e-6)) for i, j, s in near if s >= least]
    return sorted(found, key=lambda pair: (-pair[2], pair[0], pair[1]))


def shingles(document: Words) -> frozenset[str | tuple[str, str]]:
    """The words and pairs of words of a text."""
    return frozenset((*document, *pairwise(document)))


def jaccard(a: frozenset[Any], b: frozenset[Any]) -> float:
    """Share of what either has that both have, 0..1."""
    both = len(a & b)
    return both / (len(a) + len(b) - both)


def candidates(documents: list[Words], least: float) -> Int[np.ndarray, "n 2"]:
    """Pairs of rows that share a bucket and whose signatures agree about enough."""
    if len(documents) < 2:
        return np.empty((0, 2), dtype=np.int64)
    marks = np.concatenate([signatures(documents[i : i + BLOCK]) for i in range(0, len(documents), BLOCK)])
    pairs = []
    for band in np.split(marks, BANDS, axis=1):
        bucket = mixed(band @ np.arange(3, 2 * DEEP + 3, 2, dtype=np.uint32))
        order = np.argsort(bucket, kind="stable")
        for step in range(1, AHEAD + 1):
            at = (bucket[order[step:]] == bucket[order[:-step]]).nonzero()[0]
            pairs.append(np.stack([order[at], order[at + step]], 1))
    found = np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)
    agree = [(marks[part[:, 0]] == marks[part[:, 1]]).mean(1) for part in np.array_split(found, 1 + len(found) // BLOCK)]
    return found[np.concatenate(agree) >= least - SURE]


def signatures(documents: list[Words]) -> UInt32[np.ndarray, "n 128"]:
    """The least value of each of 128 hash functions over the words and pairs of words of every row; no row is empty."""
    start = np.cumsum([0, *map(len, documents[:-1])])
    word = mixed(np.array([crc32(w.encode()) for d in documents for w in d], dtype=np.uint32))
    pair = mixed(word * np.uint32(5) + np.roll(word, -1))
    last = np.append(start[1:], len(word)) - 1
    pair[last] = word[last]
    rng = np.random.default_rng(0)
    scale, shift = rng.integers(0, 2**31, BANDS * DEEP, dtype=np.uint32) * 2 + 1, rng.integers(0, 2**32, BANDS * DEEP, dtype=np.uint32)
    return np.stack([np.minimum(*(np.minimum.reduceat(v * a + b, start) for v in (word, pair))) for a, b in zip(scale, shift, strict=True)], 1)


def mixed(h: UInt32[np.ndarray, " n"]) -> UInt32[np.ndarray, " n"]:
    """The finaliser of MurmurHash3: every bit depends on every bit."""
    h = (h ^ (h >> 16)) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> 13)) * np.uint32(0xC2B2AE35)
    return h ^ (h >> 16)
