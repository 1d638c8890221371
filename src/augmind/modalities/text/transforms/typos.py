"""Typing errors: letters that a hand on a keyboard misses, doubles, drops or exchanges."""

import unicodedata
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, UInt8
from torch import Tensor

from augmind.core.plugin import Transform
from augmind.core.tune import tune
from augmind.modalities.text.words import MARKS

from ._edits import Rng, edited

ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
BESIDE = {
    c: "".join(row[k] for row in ROWS[max(0, r - 1) : r + 2] for k in (i - 1, i, i + 1) if 0 <= k < len(row) and row[k] != c)
    for r, own in enumerate(ROWS)
    for i, c in enumerate(own)
}
"""Letter -> the letters around it on a QWERTY keyboard."""


@dataclass(kw_only=True)
class Typos(Transform):
    """In `part` of the letters: a neighbour on the keyboard, the letter twice, none, or the next one first.

    Letters without a key of their own are doubled, dropped and exchanged only. Digits and all else stay.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"tokens"})
    axes: ClassVar[tuple[int, ...]] = (1,)

    part: float = tune(0.03, 0.005, 0.2)

    def apply(self, x: UInt8[Tensor, "b length"], y: Float[Tensor, "b k"], seed: int) -> tuple[Tensor, Tensor]:
        return edited(x, seed, "typos", lambda text, rng: mistyped(text, self.part, rng)), y


def marked(letters: list[str], i: int) -> bool:
    """Whether a vowel sign or an accent hangs on this letter or the next one, which must not lose it."""
    return any(part[:1] and unicodedata.category(part[0]) in MARKS for part in letters[i + 1 : i + 3])


def mistyped(text: str, part: float, rng: Rng) -> str:
    """A text with errors in about `part` of its letters."""
    letters = list(text)
    for i in (rng.random(len(letters)) < part).nonzero()[0].tolist():
        if not letters[i].isalpha() or len(letters[i]) != 1 or marked(letters, i):
            continue
        kind, c = int(rng.integers(4)), letters[i]
        near = BESIDE.get(c.lower(), "")
        if kind == 0 and near:
            new = near[int(rng.integers(len(near)))]
            letters[i] = new.upper() if c.isupper() else new
        elif kind == 1:
            letters[i] = c + c
        elif kind == 2:
            letters[i] = ""
        elif i + 1 < len(letters) and letters[i + 1].isalpha() and len(letters[i + 1]) == 1:
            letters[i], letters[i + 1] = letters[i + 1], c
    return "".join(letters)
