"""Edits of the words of a text, drawn by a generator of random numbers."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from augmind.core.seeds import stable_seed
from augmind.modalities.text.nearby import Nearby
from augmind.modalities.text.rows import rows_of, texts_of
from augmind.modalities.text.sides import at_one_side
from augmind.modalities.text.synonyms import synonyms
from augmind.modalities.text.words import joined, pieces

Rng = np.random.Generator
Edit = Callable[[list[str], list[str], int, Rng], tuple[list[str], list[str]]]
"""(words, gaps, how many, rng) to new words and gaps; see `words.pieces`."""
FUNCTION_WORDS = """a an and are as at be but by for from had has have he her his i in is it its me my no nor not of on or our she so that
the their them they this to was we were will with you your"""
STOP = frozenset(FUNCTION_WORDS.split())
"""Words that EDA leaves alone when it looks for synonyms, and words whose loss may turn a meaning round ("not")."""


def edited(x: UInt8[Tensor, "n length"], seed: int, name: str, edit: Callable[[str, Rng], str]) -> UInt8[Tensor, "n length"]:
    """Every row's text, or one side of its pair, after `edit`, whose draws are a function of the name, the seed and the row's place."""
    rng = np.random.default_rng(stable_seed(name, seed))
    return rows_of([at_one_side(row, rng, lambda text: edit(text, rng)) for row in texts_of(x)], x.shape[1]) if len(x) else torch.clone(x)


def by_words(text: str, rng: Rng, edits: tuple[Edit, ...], part: float, cut: Callable[[str], tuple[list[str], list[str]]] = pieces) -> str:
    """One of these edits on `part` of the words into which `cut` cuts a text, one word at least; a text without words stays as it is."""
    found, gaps = cut(text)
    if not found:
        return text
    edit = edits[int(rng.integers(len(edits)))]
    return joined(*edit(list(found), list(gaps), max(1, round(part * len(found))), rng))


def replaced(found: list[str], gaps: list[str], n: int, rng: Rng, near: Nearby = synonyms) -> tuple[list[str], list[str]]:
    """Synonyms, or words that are `near`, in place of `n` words, all their occurrences, that have any and are no function words."""
    able = sorted({w for w in found if w.lower() not in STOP and near(w)})
    for k in rng.permutation(len(able))[:n]:
        others = near(able[k])
        new = others[int(rng.integers(len(others)))]
        found = [new if w == able[k] else w for w in found]
    return found, gaps


def inserted(found: list[str], gaps: list[str], n: int, rng: Rng) -> tuple[list[str], list[str]]:
    """`n` synonyms of words of the text at random places."""
    for _ in range(n):
        able = [w for w in found if w.lower() not in STOP and synonyms(w)]
        if not able:
            break
        others = synonyms(able[int(rng.integers(len(able)))])
        at = int(rng.integers(len(found) + 1))
        found.insert(at, others[int(rng.integers(len(others)))].lower())
        gaps.insert(at, gaps[0] if at == 0 else " ")
        if at == 0:
            gaps[1] = " "
    return found, gaps


def swapped(found: list[str], gaps: list[str], n: int, rng: Rng) -> tuple[list[str], list[str]]:
    """Two random words change places, `n` times; what stands between words stays."""
    for _ in range(n if len(found) > 1 else 0):
        i, j = rng.choice(len(found), 2, replace=False)
        found[i], found[j] = found[j], found[i]
    return found, gaps


def deleted(found: list[str], gaps: list[str], n: int, rng: Rng) -> tuple[list[str], list[str]]:
    """`n` random words are left out; one word always stays."""
    gone = set(rng.permutation(len(found))[: min(n, len(found) - 1)].tolist())
    kept = [i for i in range(len(found)) if i not in gone]
    return [found[i] for i in kept], [gaps[0], *(gaps[i] for i in kept[1:]), gaps[-1]]
