"""A cheap stamp of a dataset's files, to notice that a run folder belongs to other data or that the data has changed."""

import os
from pathlib import Path

from augmind.core.store import digest


def stamp(source: str) -> str:
    """A hash of names, sizes and modification times below a path; of the name itself for what is no path (a Hub id)."""
    path = Path(source).expanduser()
    if path.is_file():
        info = path.stat()
        return digest(path.name, info.st_size, info.st_mtime_ns)
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
