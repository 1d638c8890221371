"""EDA (Wei and Zou 2019, arXiv:1901.11196): one of four small edits of a text."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, UInt8
from torch import Tensor

from augmind.core.plugin import Transform
from augmind.core.tune import tune

from ._edits import by_words, deleted, edited, inserted, replaced, swapped


@dataclass(kw_only=True)
class Eda(Transform):
    """Synonym replacement, insertion of a synonym, swap or deletion, of `part` of the words (one at least).

    Synonyms are those of WordNet 3.0, so words of other languages are swapped and deleted only; in scripts without spaces a
    character counts as a word.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"tokens"})
    axes: ClassVar[tuple[int, ...]] = (1,)

    part: float = tune(0.1, 0.02, 0.5)

    def apply(self, x: UInt8[Tensor, "b length"], y: Float[Tensor, "b k"], seed: int) -> tuple[Tensor, Tensor]:
        edits = (replaced, inserted, swapped, deleted)
        return edited(x, seed, "eda", lambda text, rng: by_words(text, rng, edits, self.part)), y
