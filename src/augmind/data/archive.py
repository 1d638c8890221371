"""Archives from strangers: regular files only, every limit counted on bytes really written, all or nothing.

The reader walks the members itself, because `extractall` silently renames or skips what it finds unsafe. Here one unsafe
member refuses the whole archive, by name, and the target is left empty.
"""

import contextlib
import errno
import gzip
import re
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from augmind.core.errors import DataError
from augmind.core.store import disk_errors

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")
CHUNK = 1 << 16
HEADERS = 4 << 20
"""Bytes that a tar archive may spend between two files: names and extended headers, which are read into memory."""
DIRECTORY_ENTRY = 160
"""Generous average size of an entry in a zip's table of contents, by which a table that lies about its length is noticed."""
UNPACK = "unpack it yourself if you trust it, and give the folder"
DRIVE = re.compile(r"^[A-Za-z]:")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an archive may hold: number of entries, bytes in all and in one file, and expansion beyond `free` bytes."""

    entries: int = 200_000
    total: int = 20 << 30
    file: int = 2 << 30
    ratio: int = 200
    free: int = 10 << 20


DEFAULT = Limits()


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith(ENDINGS)


def extract(archive: Path, target: Path, limits: Limits = DEFAULT) -> Path:
    """Unpacks `archive` (zip, tar, tar.gz) into the empty folder `target` and returns it.

    Raises `DataError` naming the member for absolute paths, `..`, drive letters, backslashes, links, devices, names that
    differ only by case or Unicode form, encryption, overlapping entries, or anything beyond `limits`.
    """
    writer = Writer(archive=archive, target=target, limits=limits, size=max(archive.stat().st_size, 1))
    target.mkdir(parents=True, exist_ok=True)
    try:
        with damage(archive), disk_errors(target):
            (_unzip if archive.name.lower().endswith(".zip") else _untar)(archive, writer)
    except BaseException:
        for path in target.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise
    return target


@runtime_checkable
class Bytes(Protocol):
    """Anything that bytes can be read from."""

    def read(self, size: int = -1, /) -> bytes: ...


@contextlib.contextmanager
def damage(archive: Path) -> Iterator[None]:
    """What the readers of the standard library raise for damaged archives, as one sentence."""
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, struct.error, ValueError) as error:
        if "verlap" in str(error):
            raise DataError(f"'{archive.name}' has overlapping entries, as zip bombs do", help=UNPACK) from error
        raise DataError(f"'{archive.name}' is damaged or not an archive: {error}", help="download or pack it again") from error
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise DataError(f"'{archive.name}' is damaged: it points before its own start", help="download or pack it again") from error
    except (NotImplementedError, RuntimeError) as error:
        raise DataError(f"'{archive.name}' cannot be unpacked: {error}", help=UNPACK) from error


@dataclass(kw_only=True)
class Writer:
    """Writes members one by one below `target`, and refuses."""

    archive: Path
    target: Path
    limits: Limits
    size: int
    entries: int = 0
    written: int = 0
    spelling: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)

    def refuse(self, member: str, why: str) -> DataError:
        return DataError(f"'{self.archive.name}' is refused: member {member!r} {why}", help=UNPACK)

    def count(self, member: str) -> None:
        self.entries += 1
        if self.entries > self.limits.entries:
            raise self.refuse(member, f"is one too many: more than {self.limits.entries:,} entries")

    def admit(self, member: str, folder: bool) -> str:
        """The safe relative path of a member. Raises `DataError` for a name that could land elsewhere or on another member."""
        if "\\" in member:
            raise self.refuse(member, "has a backslash in its name")
        if member.startswith("/") or DRIVE.match(member):
            raise self.refuse(member, "has an absolute path")
        if any(ord(c) < 32 for c in member):
            raise self.refuse(member, "has a control character in its name")
        parts = [p for p in member.split("/") if p not in ("", ".")]
        if ".." in parts:
            raise self.refuse(member, "leads out of the archive ('..')")
        if not parts and not folder:
            raise self.refuse(member, "has no name")
        if len(member) > 1000 or any(len(p.encode("utf-8", "surrogateescape")) > 255 for p in parts):
            raise self.refuse(member[:60] + "...", "has too long a name")
        for i in range(1, len(parts) + 1):
            self._claim(member, "/".join(parts[:i]), folder or i < len(parts))
        return "/".join(parts)

    def _claim(self, member: str, path: str, folder: bool) -> None:
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
        if (known := self.spelling.setdefault(key, path)) != path:
            raise self.refuse(member, f"differs from {known!r} only by case or Unicode form")
        if key in self.files or (not folder and key in self.folders):
            raise self.refuse(member, "occurs twice, or is a file and a folder at once")
        (self.folders if folder else self.files).add(key)

    def write(self, member: str, path: str, stream: Bytes, packed: int) -> None:
        """Copies one file; `packed` is the number of bytes that it took in the archive, as far as known."""
        out = self.target / path
        out.parent.mkdir(parents=True, exist_ok=True)
        here = 0
        with out.open("xb") as f:
            while chunk := stream.read(CHUNK):
                here += len(chunk)
                self.written += len(chunk)
                self.check(member, here, packed)
                f.write(chunk)

    def check(self, member: str, here: int, packed: int) -> None:
        """Raises `DataError` if `here` bytes of this member, or all bytes so far, are beyond the limits."""
        limits = self.limits
        if here > limits.file:
            raise self.refuse(member, f"is larger than {limits.file:,} bytes")
        if self.written > limits.total:
            raise self.refuse(member, f"brings the archive above {limits.total:,} bytes")
        if here > limits.free and here > limits.ratio * max(packed, 1):
            raise self.refuse(member, f"expands more than {limits.ratio} times, as zip bombs do")
        if self.written > limits.free and self.written > limits.ratio * self.size:
            raise self.refuse(member, f"expands the archive more than {limits.ratio} times, as zip bombs do")


def _unzip(archive: Path, writer: Writer) -> None:
    """Names, kinds, sizes and places of all members are judged before the first byte is written."""
    _short_table(archive, writer)
    with zipfile.ZipFile(archive) as source:
        plan = [(m, _admit_zipped(m, writer)) for m in source.infolist()]
        _apart([m for m, _ in plan], source.start_dir, writer)
        for member, path in plan:
            if not member.is_dir():
                with source.open(member) as stream:
                    writer.write(member.filename, path, stream, member.compress_size)


def _admit_zipped(member: zipfile.ZipInfo, writer: Writer) -> str:
    name, kind = member.orig_filename, stat.S_IFMT(member.external_attr >> 16)
    writer.count(name)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise writer.refuse(name, "is a link or device, not a file")
    if member.flag_bits & 0x1:
        raise writer.refuse(name, "is encrypted")
    if member.file_size > writer.limits.file:
        raise writer.refuse(name, f"is larger than {writer.limits.file:,} bytes")
    return writer.admit(name, member.is_dir())


def _apart(members: list[zipfile.ZipInfo], end: int, writer: Writer) -> None:
    """Raises `DataError` if two members share bytes of the archive (a bomb of overlapping entries)."""
    for member in sorted(members, key=lambda m: m.header_offset, reverse=True):
        if member.header_offset + zipfile.sizeFileHeader + member.compress_size > end:  # type: ignore[attr-defined]
            raise writer.refuse(member.orig_filename, "overlaps another entry, as zip bombs do")
        end = member.header_offset


def _short_table(archive: Path, writer: Writer) -> None:
    """Refuses a zip with too long a table of contents before the table is read into memory."""
    with archive.open("rb") as f:
        end = zipfile._EndRecData(f)  # type: ignore[attr-defined]
    if end is None:
        raise zipfile.BadZipFile("no table of contents")
    most = writer.limits.entries
    if end[zipfile._ECD_ENTRIES_TOTAL] > most or end[zipfile._ECD_SIZE] > most * DIRECTORY_ENTRY:  # type: ignore[attr-defined]
        raise DataError(f"'{archive.name}' is refused: it has more than {most:,} entries", help=UNPACK)


class Tape:
    """The unpacked bytes of a tar archive, read forward: refuses to give more than allowed, remembers the last blocks.

    `allowed` bytes may be read until somebody allows more; the tar reader takes whole headers into memory, so they are metered.
    """

    def __init__(self, stream: Bytes) -> None:
        self.stream, self.allowed, self.read_so_far, self.last = stream, HEADERS, 0, b""

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.allowed -= len(data)
        self.read_so_far += len(data)
        if self.allowed < 0:
            raise tarfile.ReadError(f"more than {HEADERS:,} bytes of headers between two files")
        self.last = (self.last + data)[-2 * tarfile.RECORDSIZE :]
        return data

    def block(self, offset: int) -> bytes:
        """The 512 bytes at `offset`, which must be among the last that were read; fewer at the end."""
        start = offset - (self.read_so_far - len(self.last))
        return self.last[max(start, 0) :][: tarfile.BLOCKSIZE]


def _untar(archive: Path, writer: Writer) -> None:
    with archive.open("rb") as raw, contextlib.ExitStack() as stack:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        tape = Tape(stack.enter_context(gzip.open(raw)) if packed else raw)  # type: ignore[arg-type]
        with tarfile.open(fileobj=tape, mode="r|") as source:  # type: ignore[call-overload]
            while (member := source.next()) is not None:
                tape.allowed = HEADERS
                _copy_taped(source, member, tape, writer)
                source.members.clear()
            if tape.block(source.offset).strip(b"\0"):
                raise tarfile.ReadError(f"unreadable header at byte {source.offset:,}")


def _copy_taped(source: tarfile.TarFile, member: tarfile.TarInfo, tape: Tape, writer: Writer) -> None:
    name = member.name
    writer.count(name)
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise writer.refuse(name, "is a link, device or sparse file, not a plain file")
    path = writer.admit(name, member.isdir())
    if member.size > writer.limits.file:
        raise writer.refuse(name, f"is larger than {writer.limits.file:,} bytes")
    if member.isreg() and (stream := source.extractfile(member)) is not None:
        tape.allowed += member.size
        writer.write(name, path, stream, writer.size)
