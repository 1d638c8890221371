"""Word vectors that were learnt elsewhere: of a file in the text format of word2vec and GloVe, or the input embeddings of a model."""

import gzip
import re
import unicodedata
import zlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from augmind.core.errors import UsageError, first_line
from augmind.core.store import file_digest
from augmind.modalities.text.weights import FILES
from augmind.nn.transformer import opened
from augmind.nn.weights import changed, content, needed

MOST_WORDS = 200_000
"""Words of a file that are read, from the beginning, where the frequent ones stand."""
MOST_WIDE = 2000
"""Numbers of a vector, at most."""
LONGEST = 64 * 1024
"""Bytes of a line, at most."""
SPREAD = 0.1
"""Root mean square of the values that a network begins with."""
WHAT = "source of word vectors"


@dataclass(frozen=True)
class Vectors:
    """A word's vector is the mean of the rows of `table` that `pieces` names; zero for a word without any."""

    table: Float[Tensor, "v d"]
    pieces: Callable[[str], tuple[int, ...]]

    def __call__(self, words: list[str]) -> Float[Tensor, "n d"]:
        """The vectors of words in lower case."""
        found = [self.pieces(word) for word in words]
        starts = torch.tensor([0, *map(len, found)]).cumsum(0)[:-1]
        flat = torch.tensor([i for own in found for i in own], dtype=torch.long)
        return nn.functional.embedding_bag(flat, self.table, starts, mode="mean")


def place(name: str) -> Path:
    """The file of word vectors or the model of this name. Raises `UsageError` and `MachineError` where there is none."""
    if name.endswith(FILES) and not Path(name).expanduser().is_file():
        raise UsageError(f"there is no file '{name}' of word vectors", help="give a file in the text format of word2vec or GloVe, or a model")
    found = needed(name, WHAT)
    if found.is_file() and not found.name.endswith(FILES):
        raise UsageError(f"'{name}' is no file of word vectors", help=f"such files end in {', '.join(FILES)}; of a model give its folder")
    return found


def content_of(name: str) -> str:
    """A hash of the file or model of this name."""
    found = place(name)
    return file_digest(found) if found.is_file() else content(found)


@lru_cache(maxsize=2)
def word_vectors(name: str, width: int, expected: str = "") -> Vectors:
    """Word vectors of a file or model brought to a width, opened once a process. Raises `UsageError` where they have another hash than `expected`."""
    found = place(name)
    if expected and content_of(name) != expected:
        raise changed(f"'{name}'")
    table, pieces = of_file(found) if found.is_file() else of_model(name)
    return Vectors(narrowed(table, width), pieces)


def of_model(name: str) -> tuple[Float[Tensor, "v d"], Callable[[str], tuple[int, ...]]]:
    """The input embeddings of a model of `transformers`, and the subwords of a word."""
    from transformers import AutoModel

    tokenizer, net = opened(name, AutoModel, WHAT)
    try:
        table = net.get_input_embeddings().weight.detach().float()
    except (AttributeError, NotImplementedError) as error:
        raise UsageError(f"'{name}' has no embeddings of words: {first_line(error)}", help="give an encoder or a language model") from error

    @lru_cache(maxsize=2**16)
    def pieces(word: str) -> tuple[int, ...]:
        found = tokenizer(f" {word}", add_special_tokens=False).input_ids
        return tuple(i for i in found if i != tokenizer.unk_token_id and i < len(table))

    return table, pieces


def of_file(path: Path) -> tuple[Float[Tensor, "v d"], Callable[[str], tuple[int, ...]]]:
    """The vectors of a file, and which of them a word has: its own, else those of its parts between apostrophes and hyphens.

    Of spellings that differ in case the one in lower case counts, else the first.
    """
    known, table = words_of(path)
    index = {word.lower(): i for i, word in reversed(list(enumerate(known)))}
    index |= {word: i for i, word in enumerate(known) if word == word.lower()}

    def pieces(word: str) -> tuple[int, ...]:
        return (index[word],) if word in index else tuple(index[part] for part in re.split(r"['’-]", word) if part in index)

    return table, pieces


def words_of(path: Path, most: int = MOST_WORDS) -> tuple[list[str], Float[Tensor, "v d"]]:
    """The words of a file, `most` at most, and their vectors. Raises `UsageError` for a damaged one."""
    known, values = list[str](), array("f")
    for word, numbers in islice(entries(path), most):
        known.append(unicodedata.normalize("NFC", word))
        values.extend(numbers)
    table = torch.frombuffer(values, dtype=torch.float32).reshape(len(known), -1)
    if not bool(table.isfinite().all()):
        raise damaged(path, "a number is not finite")
    return known, table


def entries(path: Path) -> Iterator[tuple[str, list[float]]]:
    """Each word with its numbers, `MOST_WORDS` at most; a first line of two whole numbers, as word2vec writes it, is none. Raises `UsageError`."""
    width, found = 0, 0
    for at, line in enumerate(lines(path), 1):
        if not line.strip():
            continue
        fields = line.rstrip().replace("\t", " ").rsplit(" ", width or -1)
        if at == 1 and len(fields) == 2 and all(f.isdecimal() for f in fields):
            continue
        width = width or len(fields) - 1
        if not 2 <= width <= MOST_WIDE or len(fields) != width + 1:
            raise damaged(path, f"line {at} holds {len(fields) - 1} numbers, not {width if width > 1 else f'2 to {MOST_WIDE}'}")
        try:
            yield fields[0], [float(f) for f in fields[1:]]
        except ValueError as error:
            raise damaged(path, f"line {at}: {first_line(error)}") from error
        if (found := found + 1) == MOST_WORDS:
            return
    if not found:
        raise damaged(path, "it is empty")


def lines(path: Path) -> Iterator[str]:
    """The lines of a text file, which may be gzipped. Raises `UsageError` where it is none."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            while line := file.readline(LONGEST + 1):
                if len(line) > LONGEST:
                    raise damaged(path, f"a line is longer than {LONGEST:,} bytes")
                yield line.decode("utf-8").removeprefix("\ufeff")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise damaged(path, first_line(error)) from error


def damaged(path: Path, why: str) -> UsageError:
    return UsageError(
        f"'{path}' is no file of word vectors: {why}", help="a line is a word and its numbers, parted by spaces, as word2vec and GloVe write it"
    )


def narrowed(table: Float[Tensor, "v d"], width: int) -> Float[Tensor, "v w"]:
    """The principal components of the rows, the largest first, up to `width` (zeros beyond `d`), centred, and scaled as one to `SPREAD`."""
    centred = table - table.mean(0)
    _, axes = torch.linalg.eigh((centred.T @ centred).double())
    axes = axes.flip(1)[:, :width].float()
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    out = nn.functional.pad(centred @ axes, (0, max(0, width - axes.shape[1])))
    return out * (SPREAD / out.square().mean().sqrt().clamp(min=1e-12))
