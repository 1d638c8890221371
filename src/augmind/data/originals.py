"""The files that rows were read from, as they were given."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from augmind.core.decoding import CannotRead, File
from augmind.core.errors import DataError

from .sources import Entry, Found, Several

ENDINGS = {"jpeg": ".jpg", "mpo": ".jpg", "tiff": ".tif", "mpeg": ".mp3", "wavex": ".wav"}
"""Of formats that are not called as their files end."""


@dataclass(frozen=True)
class Original:
    """The file of one side of a row, perhaps still to be fetched, and its format as its reader calls it."""

    content: Path | Callable[[], File]
    format: str

    def read(self) -> tuple[str, bytes]:
        """How its name ends, and its bytes. Raises `DataError` where it cannot be read any more."""
        file = self.content if isinstance(self.content, Path) else self.content()
        if isinstance(file, CannotRead):
            raise DataError(f"the file of a row cannot be read any more: {file}", help="put it back, or export without --originals")
        kind = self.format.partition(" ")[0].lower()
        usual = ENDINGS.get(kind, f".{kind}" if kind else "")
        return (file.suffix.lower() or usual, file.read_bytes()) if isinstance(file, Path) else (usual, file)


@contextmanager
def originals(source: AbstractContextManager[tuple[str, Found]], formats: Mapping[str, str]) -> Iterator[dict[str, tuple[Original, ...]]]:
    """The files of a source that is opened, one a side, of the rows of which these are the formats, by `Row.source`; arrays have none."""
    with source as (_, found):
        yield {e.source: files for e in found.entries if e.source in formats and (files := files_of(e, formats[e.source]))}


def files_of(entry: Entry, formats: str) -> tuple[Original, ...]:
    contents = entry.content.contents if isinstance(entry.content, Several) else (entry.content,)
    named = formats.split(", ") if len(contents) > 1 else [formats]
    return tuple(Original(c, f) for c, f in zip(contents, named, strict=True) if isinstance(c, Path) or callable(c))
