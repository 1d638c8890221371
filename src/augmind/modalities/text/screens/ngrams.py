"""Runs of words that were copied from a training row (Carlini et al. 2021, arXiv:2012.07805)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.plugin import Screen
from augmind.core.run import Run
from augmind.core.tune import tune
from augmind.core.types import Data, Samples
from augmind.modalities.text.sides import sides_of
from augmind.modalities.text.words import words


@dataclass(kw_only=True)
class Ngrams(Screen):
    """The score is one less the share of a row's words that are the longest run it has in common with a training row.

    Runs of fewer than `least` words are anybody's and count as none. A row passes if its longest run is at most the share `most` of it. Of a pair
    the side counts that has copied most.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"tokens"})
    axes: ClassVar[tuple[int, ...]] = (1,)
    reason: ClassVar[str] = "copies a run of words from a training row"

    least: int = tune(5, 2, 20)
    most: float = tune(0.5, 0.1, 1.0)

    def fit(self, data: Data, run: Run) -> "Ngrams":
        self.require(data.spec)
        self.codec_ = data.codec
        self.seen_: dict[tuple[str, ...], list[tuple[int, int]]] = {}
        self.rows_ = [[w.lower() for w in words(t)] for row in data.codec.decode(data.train.x) for t in sides_of(row)]
        for i, row in enumerate(self.rows_):
            for j in range(len(row) - self.least + 1):
                self.seen_.setdefault(tuple(row[j : j + self.least]), []).append((i, j))
        return self

    def score(self, synthetic: Samples, kept: Samples | None = None) -> Float[Tensor, " n"]:
        return torch.tensor([1 - max(map(self._copied, sides_of(row))) for row in self.codec_.decode(synthetic.x)])

    def _copied(self, text: str) -> float:
        """Share of the words of a text that are its longest run in common with a training text."""
        own, longest = [w.lower() for w in words(text)], 0
        for at in range(len(own) - self.least + 1):
            for i, j in self.seen_.get(tuple(own[at : at + self.least]), ()):
                row, n = self.rows_[i], self.least
                while at + n < len(own) and j + n < len(row) and own[at + n] == row[j + n]:
                    n += 1
                longest = max(longest, n)
        return longest / len(own) if own else 0.0

    @property
    def cut(self) -> float:
        return 1 - self.most
