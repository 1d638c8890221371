"""A folder of pictures or sounds: one subfolder a class, perhaps inside split folders, or tables that name the files beside them."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from augmind.core.errors import DataError
from augmind.modalities.audio.read import ENDINGS as SOUNDS
from augmind.modalities.audio.read import is_sound
from augmind.modalities.image.decode import ENDINGS, FOREIGN, is_picture

from .archive import extract, is_archive
from .listing import TABLES, fits, loose_rows, table_entries
from .sources import LAYOUT, SPLITS, Columns, Entry, Found, hidden, printable, split_of, tidy

DEPTH = 50
ALL = "all"
"""The class of rows that have none."""


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder as it lies on disk, without junk. `odd` are things in it that are neither files nor folders, with the reason."""

    path: Path
    files: list[Path] = field(default_factory=list)
    folders: "list[Folder]" = field(default_factory=list)
    odd: list[tuple[Path, str]] = field(default_factory=list)

    def rows(self) -> list[Path]:
        """Pictures and sounds directly in this folder."""
        return [f for f in self.files if kind(f) != "stray"]

    def anywhere(self) -> bool:
        """Whether there is a picture or a sound in this folder or below."""
        return bool(self.rows()) or any(f.anywhere() for f in self.folders)

    def walk(self) -> "Iterator[Folder]":
        yield self
        for folder in self.folders:
            yield from folder.walk()


def look(path: Path, root: Path, depth: int = 0) -> Folder:
    """What lies below `path`. Folders behind symbolic links are not entered, so loops end; links to files may not leave `root`."""
    folder = Folder(path=path)
    if depth > DEPTH:
        folder.odd.append((path, f"nested deeper than {DEPTH} folders"))
        return folder
    try:
        found = sorted(os.scandir(path), key=lambda e: e.name)
    except OSError as error:
        folder.odd.append((path, f"folder cannot be read: {error.strerror}"))
        return folder
    for item in found:
        if hidden(item.name):
            continue
        here = Path(item.path)
        if item.is_symlink():
            _follow(here, root, folder)
        elif item.is_dir(follow_symlinks=False):
            folder.folders.append(look(here, root, depth + 1))
        elif item.is_file(follow_symlinks=False):
            folder.files.append(here)
        else:
            folder.odd.append((here, "a pipe, socket or device, not a file"))
    return folder


def _follow(link: Path, root: Path, folder: Folder) -> None:
    try:
        target = link.resolve(strict=True)
        mode = target.stat().st_mode
    except (OSError, RuntimeError):
        folder.odd.append((link, "symbolic link that leads nowhere"))
        return
    if not target.is_relative_to(root.resolve()):
        folder.odd.append((link, "symbolic link out of the folder, not followed"))
    elif stat.S_ISREG(mode):
        folder.files.append(link)
    else:
        folder.odd.append((link, "symbolic link to a folder, not followed"))


def kind(file: Path) -> str:
    """Whether a file is a "picture" or a "sound" (by its ending, or by its first bytes), a "foreign" picture that cannot be read, or "stray"."""
    ending = file.suffix.lower()
    if ending in ENDINGS:
        return "picture"
    if ending in SOUNDS:
        return "sound"
    if ending in FOREIGN:
        return "foreign"
    if ending in TABLES:
        return "stray"
    try:
        with file.open("rb") as f:
            head = f.read(16)
            return "picture" if is_picture(head) else "sound" if is_sound(head) else "stray"
    except OSError:
        return "stray"


def scan(path: Path, columns: Columns, name: str = "") -> Found:
    """All rows below a folder, sorted by their paths; errors speak of `name`. Raises `DataError` where the layout cannot be understood."""
    root, name = look(path, path), name or printable(path.name)
    if not any(f.files or f.odd for f in root.walk()):
        raise DataError(f"'{name}' is empty", help=LAYOUT)
    top = _unwrap(root)
    named = [f for f in top.folders if f.path.name.lower() in SPLITS]
    units = [(SPLITS[f.path.name.lower()], f) for f in named if any(_is_split(n) for n in named)]
    tables, told = _tables(top, columns, path), list[Path]()
    if tables or not units:
        entries, how, notes = _unit(top, "", tables, path, columns)
    else:
        entries, how, notes = [], "", []
        for split, unit in units:
            listed = _tables(unit, columns, path)
            told += [f for w in unit.walk() for f in w.files] if listed else []
            more, how, remarks = _unit(unit, split, listed, path, columns)
            entries += more
            notes += remarks
        how += ", splits from " + ", ".join(f"{f.path.name}/" for _, f in units)
    entries += [Entry(source=_name(p, path), status="stray", reason=why) for f in root.walk() for p, why in f.odd]
    taken = {e.source for e in entries} | {_name(f, path) for f in told}
    entries += [stray(f, path, "outside the class folders") for w in root.walk() for f in w.files if not tables and _name(f, path) not in taken]
    if not tables:
        _demand_classes(entries, name)
        entries.sort(key=lambda e: e.source)
    return Found(entries=entries, how=how, notes=notes)


def _unwrap(folder: Folder) -> Folder:
    """Steps into a folder that holds nothing but one folder of folders, as archives often have."""
    while len(folder.folders) == 1 and not folder.rows() and not any(f.suffix.lower() in TABLES for f in folder.files):
        inner = folder.folders[0]
        if inner.path.name.lower() in SPLITS or inner.rows():
            break
        folder = inner
    return folder


def _is_split(folder: Folder) -> bool:
    """Whether a folder with a split's name is a split, not a class: there are class folders or a table in it."""
    return any(f.anywhere() for f in folder.folders) or any(f.suffix.lower() in TABLES for f in folder.files)


def _tables(folder: Folder, columns: Columns, root: Path) -> list[Path]:
    """The tables of a folder that list pictures or sounds; all of its tables if there is nothing else to read."""
    tables = [f for f in folder.files if f.suffix.lower() in TABLES]
    listing = [t for t in tables if fits(t, columns, root)]
    lonely = not any(f.anywhere() for f in folder.folders)
    return listing or (tables if lonely else [])


def _unit(folder: Folder, split: str, tables: list[Path], root: Path, columns: Columns) -> tuple[list[Entry], str, list[str]]:
    if tables:
        found = [table_entries(t, columns, root=root, split=split or split_of(t.stem)) for t in tables]
        return [e for f in found for e in f.entries], "; ".join(f.how for f in found), []
    columns.none_for(f"'{root.name}', a folder of class folders,")
    entries = [_loose(f, split, root) for f in folder.files]
    for inner in folder.folders:
        for place in inner.walk():
            entries += [labelled(f, tidy(inner.path.name), split, root) for f in place.files]
    empty = [f.path.name for f in folder.folders if not f.anywhere()]
    notes = [f"neither a picture nor a sound in the folder '{_name(folder.path / e, root)}'" for e in empty]
    return entries, "folder: the name of a file's folder is its class", notes


def labelled(file: Path, label: str, split: str, root: Path) -> Entry:
    source = _name(file, root)
    match kind(file):
        case "picture" | "sound":
            return Entry(source=source, content=file, label=label, split=split)
        case "foreign":
            reason = f"{file.suffix} pictures are not read; convert it to PNG or JPEG"
            return Entry(source=source, label=label, split=split, status="corrupt", reason=reason)
        case _:
            return stray(file, root)


def _loose(file: Path, split: str, root: Path) -> Entry:
    if kind(file) == "stray":
        return stray(file, root)
    return Entry(source=_name(file, root), split=split, status="unlabelled", reason="not inside a class folder")


def stray(file: Path, root: Path, reason: str = "") -> Entry:
    return Entry(source=_name(file, root), status="stray", reason=reason or f"neither a picture nor a sound ({file.suffix or 'no ending'})")


def _name(file: Path, root: Path) -> str:
    return printable(file.relative_to(root).as_posix())


def _demand_classes(entries: list[Entry], name: str) -> None:
    if any(e.label for e in entries):
        return
    loose = [e.source for e in entries if e.status == "unlabelled"]
    if loose:
        heard = sum(source.lower().endswith(SOUNDS) for source in loose)
        what = "sounds" if heard == len(loose) else "files" if heard else "pictures"
        raise DataError(f"'{name}' holds {len(loose)} {what} but no class folders, so they have no labels", help=LAYOUT)
    first = f", such as '{entries[0].source}'" if entries else ""
    raise DataError(f"'{name}' holds neither pictures nor sounds: {len(entries)} other files{first}", help=LAYOUT)


def loose_files(path: Path, temp: Path, column: str | None = None) -> Found:
    """Every file below a folder, of an archive or that a table names, as a row of one class."""
    if path.suffix.lower() in TABLES and path.is_file() and (rows := loose_rows(path, ALL, column)):
        return Found(entries=rows, how="table: all rows are of one class")
    if not path.is_dir() and not is_archive(path):
        text = f"'{printable(path.name)}' is neither a folder nor an archive, and no table of files"
        raise DataError(text, help="give a folder, archive or table of files")
    root = path if path.is_dir() else extract(path, temp)
    folders = list(look(root, root).walk())
    entries = [labelled(file, ALL, "", root) for folder in folders for file in folder.files]
    entries += [stray(file, root, why) for folder in folders for file, why in folder.odd]
    return Found(entries=sorted(entries, key=lambda e: e.source), how="folder: all rows are of one class", notes=[])
