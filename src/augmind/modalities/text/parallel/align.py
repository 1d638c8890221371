"""Which words translate which: IBM model 1 (Brown et al. 1993, Computational Linguistics 19), learnt from pairs by expectation maximisation."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from augmind.core.store import read_json, read_table, write_json, write_table
from augmind.modalities.text.words import words

ROUNDS = 8
FAINT = 1e-3
"""Words that another makes less likely than this part of how frequent they are anyway are as good as impossible beside it: half of the table."""
BACKGROUND = 0.1
"""Part of the probability of a word that comes from how frequent it is, whatever it translates."""


def spoken(text: str) -> list[str]:
    """The words in lower case, or the letters of a text without words."""
    return words(text.lower()) or list(text)


@dataclass(frozen=True)
class Model1:
    """p(word of the other language | word); `chance` is how frequent words of the other language are. The word None translates nothing."""

    table: dict[tuple[str | None, str], float]
    chance: dict[str, float]

    @cached_property
    def rare(self) -> float:
        """How frequent the rarest word is."""
        return min(self.chance.values(), default=1.0)

    def score(self, text: str, other: str) -> float:
        """Mean over the words of `other` of the log of how much likelier each is beside this text than anywhere."""
        given, said = [None, *spoken(text)], spoken(other)
        if not said:
            return math.log(BACKGROUND)
        known, total = self.table.get, 0.0
        for word in said:
            p = sum([known((g, word), 0.0) for g in given]) / len(given)
            total += math.log(BACKGROUND + (1 - BACKGROUND) * p / self.chance.get(word, self.rare))
        return total / len(said)


def learnt(texts: Sequence[str], others: Sequence[str]) -> Model1:
    """The model of these pairs."""
    names: dict[tuple[str | None, str], int] = {}
    heads: dict[str | None, int] = {None: 0}
    counts: dict[str, int] = {}
    pair, place = list[int](), list[int]()
    places = 0
    for text, other in zip(texts, others, strict=True):
        given = [None, *spoken(text)]
        for g in given:
            heads.setdefault(g, len(heads))
        for word in spoken(other):
            counts[word] = counts.get(word, 0) + 1
            pair += [names.setdefault((g, word), len(names)) for g in given]
            place += [places] * len(given)
            places += 1
    link, at = np.array(pair, dtype=np.int64), np.array(place, dtype=np.int64)
    head = np.array([heads[g] for g, _ in names], dtype=np.int64)
    p = 1 / np.bincount(head, minlength=len(heads))[head]
    for _ in range(ROUNDS):
        p = maximised(p, link, at, head)
    total = sum(counts.values())
    chance = {word: n / total for word, n in counts.items()}
    return Model1({link: q for link, q in zip(names, p.tolist(), strict=True) if q >= FAINT * chance[link[1]]}, chance)


def maximised(p: Float[np.ndarray, " k"], link: np.ndarray, at: np.ndarray, head: np.ndarray) -> Float[np.ndarray, " k"]:
    """One round: every word of the other language is dealt to the words that may have given it, then counted."""
    weight = p[link]
    weight = weight / np.bincount(at, weight)[at]
    counts = np.bincount(link, weight, minlength=len(p))
    return counts / np.bincount(head, counts)[head]


@dataclass(frozen=True)
class Alignment:
    """Model 1 in both directions."""

    there: Model1
    back: Model1

    def score(self, text: str, target: str) -> float:
        """Mean of both directions; about 0 for texts that have nothing to do with each other, higher for translations."""
        return (self.there.score(text, target) + self.back.score(target, text)) / 2

    def write(self, folder: Path) -> None:
        """The tables of both directions, for `opened`."""
        for name, model in (("there", self.there), ("back", self.back)):
            given, said = zip(*model.table, strict=True)
            write_table(folder / f"{name}.parquet", {"given": given, "word": said, "p": list(model.table.values())})
            write_json(folder / f"{name}.json", model.chance)


@dataclass(frozen=True)
class Filed:
    """Models that were written into `model-0`, `model-1` ... of a folder; each is read when its turn comes, and not kept."""

    folder: Path
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Alignment]:
        return (opened(self.folder / f"model-{k}") for k in range(self.count))


def opened(folder: Path) -> Alignment:
    """The model that was written into this folder."""
    found = []
    for name in ("there", "back"):
        table = read_table(folder / f"{name}.parquet")
        links = zip(table["given"], table["word"], strict=True)
        found.append(Model1(dict(zip(links, table["p"], strict=True)), read_json(folder / f"{name}.json")))
    return Alignment(*found)


def aligned(texts: Sequence[str], targets: Sequence[str]) -> Alignment:
    return Alignment(learnt(texts, targets), learnt(targets, texts))
