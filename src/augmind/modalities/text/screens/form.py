"""What shows at a glance that a row is no text, or pair, like the real ones: empty, repeating, too long or short, in another script or language."""

from collections.abc import Sequence
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
from augmind.modalities.text.tongue import language_of
from augmind.modalities.text.words import script, words

SLACK = 1.5
"""How many times as long as the longest, or as short as the shortest real row a row may be."""


@dataclass(kw_only=True)
class Form(Screen):
    """Scores are 0 or 1. A row passes with words, not more than `SLACK` times beyond the lengths of real rows, in a script and a language
    that real rows are written in, and with a share of different words of at least `different`, or as small as some real row has. Of a pair
    each side must pass by the measure of the real rows' own, and neither may lack.

    Where no language can be said, of the row or of any real row, none is asked for."""

    kinds: ClassVar[frozenset[str]] = frozenset({"tokens"})
    axes: ClassVar[tuple[int, ...]] = (1,)
    reason: ClassVar[str] = "no text like the real ones (empty, repeating, too long or short, another script or language, a side missing)"

    different: float = tune(0.5, 0.0, 1.0)

    def fit(self, data: Data, run: Run) -> "Form":
        self.require(data.spec)
        self.codec_ = data.codec
        rows = [sides_of(row) for row in data.codec.decode(data.train.x)]
        self.sides_ = [Bounds.of(texts, self.different) for texts in zip(*rows, strict=True)]
        return self

    def score(self, synthetic: Samples, kept: Samples | None = None) -> Float[Tensor, " n"]:
        return torch.tensor([float(self._passes(sides_of(row))) for row in self.codec_.decode(synthetic.x)])

    def _passes(self, sides: list[str]) -> bool:
        return len(sides) == len(self.sides_) and all(bounds.hold(text) for bounds, text in zip(self.sides_, sides, strict=True))

    @property
    def cut(self) -> float:
        return 0.5


@dataclass(frozen=True)
class Bounds:
    """Least and most words, scripts, languages (none where none can be said), and the least share of different words."""

    least: float
    most: float
    scripts: frozenset[str]
    languages: frozenset[str]
    variety: float

    @classmethod
    def of(cls, texts: Sequence[str], different: float) -> "Bounds":
        """What holds for all of these, with the slack."""
        sizes, languages = [len(words(t)) for t in texts], frozenset(said for t in texts if (said := language_of(t)))
        least_variety = min(different, min(map(variety, texts)))
        return cls(min(sizes) / SLACK, max(sizes) * SLACK, frozenset(map(script, texts)), languages, least_variety)

    def hold(self, text: str) -> bool:
        n = len(words(text))
        formed = n > 0 and self.least <= n <= self.most and script(text) in self.scripts and variety(text) >= self.variety
        return formed and (not self.languages or (said := language_of(text)) is None or said in self.languages)


def variety(text: str) -> float:
    """Share of the words that are different; 1 without any."""
    found = [w.lower() for w in words(text)]
    return len(set(found)) / len(found) if found else 1.0
