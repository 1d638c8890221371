"""How likely a language model finds a row, per token, beside the real rows (perplexity; Jelinek et al. 1977)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.plugin import Screen
from augmind.core.run import Run
from augmind.core.tune import tune
from augmind.core.types import Data, Samples
from augmind.modalities.text.fewshot import line_of
from augmind.modalities.text.language import language
from augmind.nn.weights import content, needed

LONGEST = 96
"""Tokens of a row that are looked at."""
BEFORE = "\n"
"""What a row comes after: the end of another line."""


@dataclass(kw_only=True)
class Fluency(Screen):
    """The score is the share of the real rows, and of the row itself, that `model` finds no likelier per token; below `lost` a row is rejected.

    `model` is "smollm2" (`augmind models pull smollm2`), a folder or .gguf file, or a Hub id, and reads the language of the rows. Of
    fewer real rows than 1 / `lost` none is so unlikely that the cut is reached. Rows that the same model wrote are likely to it, whatever
    they say. `content` is a hash of the model's files.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"tokens"})
    axes: ClassVar[tuple[int, ...]] = (1,)
    reason: ClassVar[str] = "is no fluent text beside the real rows"
    needs: ClassVar[str] = "model"

    model: str = ""
    lost: float = tune(0.05, 0.0, 0.5)
    content: str = ""

    def ready(self) -> None:
        needed(self.model, "language model")

    def source(self) -> str:
        return content(needed(self.model, "language model"))

    def fit(self, data: Data, run: Run) -> "Fluency":
        self.require(data.spec)
        self.codec_, self.parts_ = data.codec, data.spec.parts
        self.real_ = self._fluent(data.train).sort().values
        return self

    def _fluent(self, rows: Samples) -> Float[Tensor, " n"]:
        """Mean log probability of a token of each row."""
        own = language(self.model)
        total, tokens = own.chances(own.tokens(BEFORE), [line_of(t, self.parts_) for t in self.codec_.decode(rows.x)], LONGEST)
        return total / tokens

    def score(self, synthetic: Samples, kept: Samples | None = None) -> Float[Tensor, " n"]:
        if not len(synthetic):
            return torch.empty(0)
        return (1 + torch.searchsorted(self.real_, self._fluent(synthetic), right=True)) / (1 + len(self.real_))

    @property
    def cut(self) -> float:
        return self.lost
