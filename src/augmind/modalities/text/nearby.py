"""Words that stand near a word in a file of word vectors, as a thesaurus for languages that have none here."""

from collections.abc import Callable
from functools import lru_cache

from torch.nn.functional import normalize

from augmind.core.errors import UsageError

from .vectors import place, words_of

NEAREST, LEAST = 5, 0.5
"""How many words stand for a word at most, and the least cosine between their vectors."""
FIRST = 100
"""Words of a file that are looked at before any work."""
Nearby = Callable[[str], tuple[str, ...]]


def checked(name: str) -> None:
    """Raises `UsageError` unless this is a file of word vectors that is there and begins well."""
    if not place(name).is_file():
        way = "give a file in the text format of word2vec or GloVe, since its words are what is drawn from"
        raise UsageError(f"'{name}' is no file of word vectors", help=way)
    words_of(place(name), FIRST)


@lru_cache(maxsize=2)
def nearby(name: str) -> Nearby:
    """The nearest words of a word in lower case, the nearest first; none of a word that the file lacks. Opened once a process."""
    known, table = words_of(place(name))
    table = normalize(table, dim=1)
    index = {word.lower(): i for i, word in reversed(list(enumerate(known)))}
    index |= {word: i for i, word in enumerate(known) if word == word.lower()}

    @lru_cache(maxsize=2**16)
    def near(word: str) -> tuple[str, ...]:
        if word not in index:
            return ()
        cosine = table @ table[index[word]]
        best = cosine.topk(min(2 * NEAREST, len(known)))
        found = [known[i] for c, i in zip(best.values.tolist(), best.indices.tolist(), strict=True) if c >= LEAST]
        return tuple(other for other in found if other.lower() != word)[:NEAREST]

    return lambda word: near(word.lower())
