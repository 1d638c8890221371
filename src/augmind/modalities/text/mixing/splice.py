"""Splicing: the first half of a text before the second half of another one of its class (instance crossover, Luque 2019, arXiv:1909.11241)."""

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from augmind.core.plugin import Transform
from augmind.core.seeds import stable_seed
from augmind.core.tune import tune
from augmind.core.types import Spec
from augmind.modalities.text.rows import rows_of, texts_of
from augmind.modalities.text.words import word

SENTENCE = re.compile(r"[.!?…]+[\"'”’)]*\s+|[。！？]+[”’」）]*\s*")
CLAUSE = re.compile(r"[,;:]\s+|[，；：、]\s*|\s+(?=(?:and|but|or|because|while)\s)")


@dataclass(kw_only=True)
class Splice(Transform):
    """Texts are cut where a sentence ends, else a clause, else between words, as near to their middle as there is such a place.

    The partner is a row of the same class of the batch, so labels stay; a row alone in its class stays as it is, and so does a row with
    probability 1 - `probability`. What does not fit into a row is cut off.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"tokens"})
    axes: ClassVar[tuple[int, ...]] = (1,)

    probability: float = tune(0.5, 0.1, 1.0)

    @classmethod
    def refuses(cls, spec: Spec) -> str:
        return super().refuses(spec) or (f"'{cls.name()}' takes single texts, not pairs, whose sides belong together" if spec.parts else "")

    def apply(self, x: UInt8[Tensor, "b length"], y: Float[Tensor, "b k"], seed: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng(stable_seed("splice", seed))
        texts, other = texts_of(x), partners(y.argmax(1).numpy(), rng)
        mixed = (rng.random(len(texts)) < self.probability) & (other != np.arange(len(texts)))
        spliced = [t[: middle(t)] + texts[j][middle(texts[j]) :] if m else t for t, j, m in zip(texts, other.tolist(), mixed.tolist(), strict=True)]
        return rows_of(spliced, x.shape[1]), y


def partners(classes: Int[np.ndarray, " b"], rng: np.random.Generator) -> Int[np.ndarray, " b"]:
    """For every row another one of its class, each taken once; itself where it is alone."""
    other = np.arange(len(classes))
    for k in np.unique(classes):
        rows = rng.permutation((classes == k).nonzero()[0])
        other[rows] = np.roll(rows, 1)
    return other


def middle(text: str) -> int:
    """Where a text is cut; its end where there is no such place."""
    length = len(text.rstrip())
    starts = [m.start() for m in word().finditer(text)][1:]
    for places in ([m.end() for m in SENTENCE.finditer(text)], [m.end() for m in CLAUSE.finditer(text)], starts):
        if inside := [at for at in places if 0 < at < length]:
            return min(inside, key=lambda at: abs(2 * at - length))
    return len(text)
