"""Rows that join a picture and a sound: which files belong together, how they are read, and as what they are stored."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

import torch
from torch import Tensor

from augmind.core.decoding import CannotRead
from augmind.core.errors import DataError
from augmind.core.sides import joined as one_row
from augmind.core.types import Codec, Spec
from augmind.modalities.image.decode import Picture

from .folders import kind
from .pictures import pictures, tensor
from .sounds import Clip, clips, holds_sound
from .sources import Entry, Found, Several, printable

PARTS = ("image", "audio")
"""The kinds of the sides, in the order in which rows have them."""


@dataclass(frozen=True)
class Whole:
    """A picture and the sound that belongs to it."""

    picture: Picture
    clip: Clip

    @property
    def facts(self) -> dict[str, Any]:
        formats = f"{self.picture.facts.get('format', '')}, {self.clip.facts.get('format', '')}"
        return self.picture.facts | self.clip.facts | {"format": formats}


def key(source: str) -> str:
    """What files that belong together have in common: their place and name without the ending."""
    return PurePosixPath(source).with_suffix("").as_posix()


def joined(found: Found, other: Found, name: str) -> Found:
    """The rows of two folders as rows of both kinds. Raises `DataError` where no two files belong together."""
    mine, theirs = files(found.entries), files(other.entries)
    if not {key(e.source) for e in mine} & {key(e.source) for e in theirs}:
        first, second = (f"'{some[0].source}'" if some else "nothing" for some in (mine, theirs))
        text = f"no file of --beside '{name}' has the name of a file of the data, where there are {first} here and {second} there"
        raise DataError(text, help="files that belong together have one name, such as cats/1.png in one folder and cats/1.wav in the other")
    rest = others(found.entries, mine)
    return Found(
        entries=together([*mine, *theirs]) + rest, how=f"{found.how}, each with the file of its name in '{name}'", notes=[*found.notes, *other.notes]
    )


def paired(found: Found) -> Found:
    """Rows of one folder in which pictures and sounds have the same names, as rows of both kinds; other rows as they are."""
    mine = files(found.entries)
    kinds = {k: {key(e.source) for e in mine if kind(e.content) == k} for k in ("picture", "sound")}  # type: ignore[arg-type]
    if not kinds["picture"] & kinds["sound"]:
        return found
    rest = others(found.entries, mine)
    return replace(found, entries=together(mine) + rest, how=f"{found.how}; a picture and a sound of one name are one row")


def files(entries: Iterable[Entry]) -> list[Entry]:
    """The rows that are one file each, found in a folder: those of a table have its name and not that of their file."""
    found = [e for e in entries if isinstance(e.content, Path) and e.status in ("ok", "unlabelled")]
    return [e for e in found if PurePosixPath(e.source).name == printable(e.content.name)]  # type: ignore[union-attr]


def others(entries: Iterable[Entry], mine: Iterable[Entry]) -> list[Entry]:
    """The entries that are none of these very ones."""
    known = set(map(id, mine))
    return [e for e in entries if id(e) not in known]


def together(entries: Sequence[Entry]) -> list[Entry]:
    """One row for every name; names of which there is not one picture and one sound are set aside, with the reason."""
    by_name: dict[str, list[Entry]] = {}
    for entry in entries:
        by_name.setdefault(key(entry.source), []).append(entry)
    return [row(found) for _, found in sorted(by_name.items())]


def row(entries: Sequence[Entry]) -> Entry:
    """The row of files of one name."""
    of = {k: [e for e in entries if kind(e.content) == k] for k in ("picture", "sound")}  # type: ignore[arg-type]
    first = next(iter(of["picture"] or of["sound"]))
    for what, some in of.items():
        if len(some) != 1:
            reason = f"no {what} has its name" if not some else f"{len(some)} {what}s have this name: {', '.join(Path(e.source).name for e in some)}"
            return replace(first, content=None, status="corrupt", reason=reason)
    return replace(first, content=Several((of["picture"][0].content, of["sound"][0].content)))  # type: ignore[arg-type]


def holds_several(entries: Sequence[Entry]) -> bool:
    """Whether rows join two files. Raises `DataError` where some do and others do not."""
    found = {isinstance(e.content, Several) for e in entries if e.status == "ok"}
    if len(found) > 1:
        raise DataError("some rows of the dataset join two files and others are one", help="keep them in folders of their own")
    return found == {True}


def wholes(entries: Sequence[Entry], size: int | tuple[int, int] | None) -> list[Whole | CannotRead | None]:
    """One answer an entry, None where there is nothing to read. Raises `DataError` where rows do not join a picture and a sound."""
    sides = [[replace(e, content=e.content.contents[at]) if isinstance(e.content, Several) else e for e in entries] for at in range(len(PARTS))]
    heard = [holds_sound(side) for side in sides]
    if heard[0] == heard[1]:
        what = "sounds" if heard[0] else "pictures"
        raise DataError(f"both files of a row are {what}", help="a row that joins two files has a picture and a sound")
    seen, told = pictures(sides[heard.index(False)], size), clips(sides[heard.index(True)])
    return [both(a, b) for a, b in zip(seen, told, strict=True)]


def both(picture: Picture | CannotRead | None, clip: Clip | CannotRead | None) -> Whole | CannotRead | None:
    """A row of what was read, or why there is none."""
    for answer in (picture, clip):
        if answer is None or isinstance(answer, CannotRead):
            return answer
    assert isinstance(picture, Picture) and isinstance(clip, Clip)
    return Whole(picture, clip)


def stored(answers: Sequence[Whole], classes: tuple[str, ...]) -> tuple[Tensor, Spec, Codec]:
    """The rows as one tensor, with what they are and what reads them."""
    from augmind.modalities.joint.codec import JointCodec

    seen, heard = tensor([a.picture for a in answers]), torch.stack([a.clip.row for a in answers])
    sides = (
        Spec(kind="continuous", shape=tuple(seen.shape[1:]), classes=()),
        Spec(kind="continuous", shape=tuple(heard.shape[1:]), classes=(), rate=answers[0].clip.rate),
    )
    x = one_row([seen, heard])
    spec = Spec(kind="continuous", shape=(x.shape[1],), classes=classes, parts=PARTS, sides=sides)
    return x, spec, cast(Codec, JointCodec(spec))  # its arms depend on its sides, so they are a property there
