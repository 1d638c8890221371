"""A cheap stamp of a dataset's files, to notice that a run folder belongs to other data or that the data has changed."""

import os
from pathlib import Path

from augmind.core.errors import DataError
from augmind.core.store import digest

from .listing import TABLES, named_files


def stamp(source: str, column: str | None = None) -> str:
    """A hash of names, sizes and modification times below a path; of the name itself for what is no path (a Hub id).

    A table stands for itself and for the files that it names in its column of pictures, which is `column` if that is given.
    """
    path = Path(source).expanduser()
    if path.is_file():
        info = path.stat()
        own = (path.name, info.st_size, info.st_mtime_ns)
        return digest(*own, *([beside] if (beside := states(path, column)) else []))
    if not path.is_dir():
        return digest(source)
    files: list[tuple[str, int, int]] = []
    for folder, inside, names in os.walk(path):
        inside.sort()
        for name in sorted(names):
            file = Path(folder) / name
            info = file.lstat()
            files.append((str(file.relative_to(path)), info.st_size, info.st_mtime_ns))
    return digest(files)


def stamp_of_all(source: str, column: str | None, *others: str | None) -> str:
    """The stamp of a dataset and of what is read beside it, where there is such."""
    found = stamp(source, column)
    for other in filter(None, others):
        found = digest(found, stamp(other))
    return found


def states(table: Path, column: str | None) -> list[tuple[int, int]]:
    """Size and time of every file that a table names, -1 for a missing one; empty for what cannot be read as a table."""
    if table.suffix.lower() not in TABLES:
        return []
    try:
        return [state(file) for file in named_files(table, column)]
    except (DataError, OSError):
        return []


def state(file: Path) -> tuple[int, int]:
    try:
        info = file.stat()
    except (OSError, ValueError):
        return -1, -1
    return info.st_size, info.st_mtime_ns
