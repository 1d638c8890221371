"""What every kind of source is turned into before anything is decoded: one entry a row, with its label, split and group."""

import os
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from augmind.core.decoding import File
from augmind.core.errors import UsageError

SPLITS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Names that people give to splits, and the split that is meant."""
LAYOUT = (
    "expected: one folder a class (cats/001.png, dogs/001.png), of pictures or of sounds, perhaps inside train/, val/ and test/; "
    "or a table with paths or texts, and labels"
)
FRAME = "name one of a table; or, to say more than the names of classes, put {} where these go: --say 'the number {}'"
"""What to do where `--say` names no column."""
JUNK = frozenset({"thumbs.db", "desktop.ini", "__macosx", "@eadir"})


@dataclass(frozen=True)
class Text:
    """What the cells of a row's columns of text hold, whatever that is: of one column, or of the two of a pair."""

    cells: tuple[object, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """A sound that is a row already: the bytes of its spectrogram (bands, columns), and the samples a second of the wave it was made of."""

    x: np.ndarray
    rate: int


@dataclass(frozen=True)
class Several:
    """The files of a row that joins several kinds, each a path or a function that fetches its bytes."""

    contents: tuple[Path | Callable[[], File], ...]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One raw row. `content` is a file, a function that fetches its bytes, an array of 8-bit values (height, width, ...), a sound that is a row
    already, text, or several files."""

    source: str
    content: Path | Callable[[], File] | np.ndarray | Grid | Text | Several | None = None
    label: str = ""
    split: str = ""
    group: str = ""
    says: str = ""
    traits: dict[str, str] = field(default_factory=dict)
    """What further columns say of it (see `listing.traits_of`)."""
    status: str = "ok"
    reason: str = ""
    whole: str = ""
    """The file of which it is a part; "" where a row is all of its file."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """The rows of a source in their order, and in words how it was read."""

    entries: list[Entry]
    how: str
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of a table that the user names; None: found by their usual names."""

    label: str | None = None
    file: str | None = None
    text: str | tuple[str, ...] | None = None
    group: str | None = None
    split: str | None = None
    says: str | None = None

    def none_for(self, what: str) -> None:
        """Raises `UsageError` if a column is named for a source that has no columns."""
        for flag, value in self.flags().items():
            if value is not None:
                raise UsageError(
                    f"{flag} {value} names a column, but {what} has none", help=FRAME if flag == "--say" else "leave it out, or give a table"
                )

    def flags(self) -> dict[str, str | None]:
        """What was named, by the option of the command line."""
        text = ",".join(self.text) if isinstance(self.text, tuple) else self.text
        return {"--label": self.label, "--column": self.file, "--text": text, "--group": self.group, "--split": self.split, "--say": self.says}


def hidden(name: str) -> bool:
    """Whether a file or folder is none of the user's: hidden, or left by an operating system."""
    return name.startswith(".") or name.lower() in JUNK


def printable(name: str) -> str:
    """A file name as text that can be written anywhere: undecodable bytes and control characters become escapes."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() or ord(c) > 159 else ascii(c)[1:-1] for c in text)


def tidy(label: str) -> str:
    """A label without outer spaces, in one Unicode form."""
    return unicodedata.normalize("NFC", printable(label)).strip()


def split_of(name: str) -> str:
    """The split that a file's name speaks of ("train-00000-of-00001", "labels_test"), or ""."""
    return next((SPLITS[t] for t in re.split(r"[-_.\s]+", name.lower()) if t in SPLITS), "")
