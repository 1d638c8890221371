"""Words that stand near a word in a file of word vectors, as a thesaurus for languages that have none here."""

from array import array
from collections.abc import Callable
from functools import lru_cache

import torch
from torch.nn.functional import normalize

from augmind.core.errors import UsageError

from .vectors import entries, place

NEAREST, LEAST = 5, 0.5
"""How many words stand for a word at most, and the least cosine between their vectors."""
Nearby = Callable[[str], tuple[str, ...]]


def checked(name: str) -> None:
    """Raises `UsageError` unless this is a file of word vectors that is there."""
    if not place(name).is_file():
        way = "give a file in the text format of word2vec or GloVe, since its words are what is drawn from"
        raise UsageError(f"'{name}' is no file of word vectors", help=way)


@lru_cache(maxsize=2)
def nearby(name: str) -> Nearby:
    """The nearest words of a word in lower case, the nearest first; none of a word that the file lacks. Opened once a process."""
    known, values = list[str](), array("f")
    for word, numbers in entries(place(name)):
        known.append(word)
        values.extend(numbers)
    table = normalize(torch.frombuffer(values, dtype=torch.float32).reshape(len(known), -1), dim=1)
    index = {word: i for i, word in reversed(list(enumerate(known)))}

    @lru_cache(maxsize=2**16)
    def near(word: str) -> tuple[str, ...]:
        if word not in index:
            return ()
        cosine = table @ table[index[word]]
        best = cosine.topk(min(2 * NEAREST, len(known)))
        found = [known[i] for c, i in zip(best.values.tolist(), best.indices.tolist(), strict=True) if c >= LEAST]
        return tuple(other for other in found if other.lower() != word)[:NEAREST]

    return lambda word: near(word.lower())
