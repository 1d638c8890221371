"""What shows at a glance that a row is no text like the real ones: empty, repeating itself, far too long or short, in another script or language."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.plugin import Screen
from augmind.core.run import Run
from augmind.core.tune import tune
from augmind.core.types import Data, Samples
from augmind.modalities.text.tongue import language_of
from augmind.modalities.text.words import script, words

SLACK = 1.5
"""How many times as long as the longest, or as short as the shortest real row a row may be."""


@dataclass(kw_only=True)
class Form(Screen):
    """Scores are 0 or 1. A row passes with words, not more than `SLACK` times beyond the lengths of real rows, in a script and a language
    that real rows are written in, and with a share of different words of at least `different`, or as small as some real row has.

    Where no language can be said, of the row or of any real row, none is asked for."""

    kinds: ClassVar[frozenset[str]] = frozenset({"tokens"})
    axes: ClassVar[tuple[int, ...]] = (1,)
    reason: ClassVar[str] = "no text like the real ones (empty, repeating, too long or short, another script or language)"

    different: float = tune(0.5, 0.0, 1.0)

    def fit(self, data: Data, run: Run) -> "Form":
        self.require(data.spec)
        self.codec_ = data.codec
        texts = data.codec.decode(data.train.x)
        sizes = [len(words(t)) for t in texts]
        self.least_, self.most_ = min(sizes) / SLACK, max(sizes) * SLACK
        self.scripts_, self.languages_ = {script(t) for t in texts}, {language_of(t) for t in texts} - {None}
        self.variety_ = min(self.different, min(map(variety, texts)))
        return self

    def score(self, synthetic: Samples, kept: Samples | None = None) -> Float[Tensor, " n"]:
        return torch.tensor([float(self._passes(t)) for t in self.codec_.decode(synthetic.x)])

    def _passes(self, text: str) -> bool:
        n = len(words(text))
        formed = n > 0 and self.least_ <= n <= self.most_ and script(text) in self.scripts_ and variety(text) >= self.variety_
        return formed and (not self.languages_ or (said := language_of(text)) is None or said in self.languages_)

    @property
    def cut(self) -> float:
        return 0.5


def variety(text: str) -> float:
    """Share of the words that are different; 1 without any."""
    found = [w.lower() for w in words(text)]
    return len(set(found)) / len(found) if found else 1.0
