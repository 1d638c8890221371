"""WebDataset shards: tar files in which a row is the files of one key, such as 17.png, 17.cls and 17.json."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from augmind.core.errors import DataError

from .archive import ENDINGS, extract
from .folders import kind
from .listing import LABEL_NAMES, label_text
from .sources import SPLITS, Columns, Entry, Found, Several, hidden, printable, split_of

TARS = tuple(e for e in ENDINGS if e != ".zip")
ONE_SHARD = "WebDataset shard: the files of one key are a row, its label in .json or .cls"
"""How a shard is read, in words."""
LABELLED = (".cls", ".json")
"""Files that may tell the class of a key: its index or name; a JSON object of all columns."""


def shards(path: Path) -> list[Path]:
    """The tar files of a folder in which there is no other folder; none for anything else."""
    if not path.is_dir() or any(p.is_dir() for p in path.iterdir() if not hidden(p.name)):
        return []
    return sorted(p for p in path.iterdir() if p.is_file() and p.name.lower().endswith(TARS))


def is_shard(folder: Path) -> bool:
    """Whether an unpacked archive is flat and some of its files are labels of others."""
    files = [p for p in folder.iterdir() if p.is_file()]
    keys = {key_of(p) for p in files if p.suffix.lower() not in LABELLED}
    return any(p.suffix.lower() in LABELLED and key_of(p) in keys for p in files)


def shard_entries(tars: Sequence[Path], columns: Columns, temp: Path) -> Found:
    """The rows of several shards, unpacked below `temp`. Raises `DataError` for one that is none."""
    entries = list[Entry]()
    for number, tar in enumerate(tars):
        (place := temp / f"{number:05d}").mkdir(parents=True)
        folder = extract(tar, place)
        if not is_shard(folder):
            text = f"'{printable(tar.name)}' is no WebDataset shard: none of its files is the .cls or .json of another"
            raise DataError(text, help="give the archive itself, if it holds a folder a class")
        entries += rows_of(folder, columns, printable(tar.name))
    return Found(entries=entries, how=ONE_SHARD if len(tars) == 1 else ONE_SHARD.replace("shard", f"in {len(tars)} shards"))


def rows_of(folder: Path, columns: Columns, name: str) -> list[Entry]:
    """The rows of an unpacked shard in the order of their keys; the shard's name tells the split where no column does."""
    keys: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and not hidden(path.name):
            keys.setdefault(key_of(path), []).append(path)
    return [row_of(files, columns, name) for files in keys.values()]


def key_of(path: Path) -> str:
    """What stands before the first dot."""
    return path.name.partition(".")[0]


def row_of(files: Sequence[Path], columns: Columns, name: str) -> Entry:
    """The row of the files of one key."""
    media = [f for f in files if kind(f) in ("picture", "sound")]
    source = f"{name}/{printable((media or files)[0].name)}"
    told = columns_of(files, name)
    named = next((c for c in (columns.label, *LABEL_NAMES, "cls") if c and c in told), None)
    if columns.label and columns.label not in told:
        raise DataError(f"'{source}' has no column '{columns.label}'", help=f"its columns are {', '.join(map(repr, told)) or 'none'}")
    label = label_text(told[named], None, f"'{named}' of '{source}'") if named else ""
    split = text_of(told, columns.split).lower() if columns.split else split_of(name.partition(".")[0])
    if split and split not in SPLITS:
        raise DataError(f"column '{columns.split}' of '{source}' holds '{split}', which is no split", help="splits are train, val and test")
    about: dict[str, Any] = {
        "label": label,
        "split": SPLITS.get(split, ""),
        "group": text_of(told, columns.group),
        "says": text_of(told, columns.says),
    }
    if not media:
        return Entry(source=source, **about, status="stray", reason="no file of its key is a picture or a sound")
    both = sorted(media, key=lambda file: kind(file) != "picture")
    content = both[0] if len(both) == 1 else Several(tuple(both))
    if not label:
        return Entry(source=source, content=content, **about, status="unlabelled", reason="no label")
    return Entry(source=source, content=content, **about)


def columns_of(files: Sequence[Path], name: str) -> dict[str, Any]:
    """The columns of a key: those of its JSON object, and "cls". Raises `DataError` for what is no such object."""
    told: dict[str, Any] = {}
    for path in files:
        try:
            if path.suffix.lower() == ".cls":
                told.setdefault("cls", path.read_text("utf-8").strip())
            if path.suffix.lower() == ".json":
                told |= json.loads(path.read_text("utf-8"))
        except (ValueError, TypeError) as error:
            raise DataError(f"'{name}/{printable(path.name)}' cannot be read: {error}", help="a .json holds an object, a .cls one class") from error
    return told


def text_of(told: dict[str, Any], column: str | None) -> str:
    """A cell as text, "" where there is none."""
    value = told.get(column) if column else None
    return "" if value is None else str(value)
