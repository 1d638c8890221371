"""`load`: any source of labelled pictures, texts or sounds to a `Dataset`. Nothing is trusted, nothing is changed, nothing is dropped in silence."""

import difflib
import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from augmind.core.decoding import CannotRead
from augmind.core.errors import DataError, MachineError, UsageError
from augmind.core.store import digest
from augmind.core.types import SIDES, Codec, Samples, Spec
from augmind.modalities.audio.mel import Mel
from augmind.modalities.image.decode import Picture
from augmind.modalities.text.read import NoText, Text, length_for, read, read_pair
from augmind.modalities.text.sides import sides_of

from .archive import ENDINGS as ARCHIVES
from .archive import extract, is_archive
from .arrays import array_entries, arrays_in
from .dataset import Dataset, Row, sort_labels
from .folders import loose_files, scan
from .hub import HUB_ID, cached, hub_entries, is_saved, saved_entries, saved_inside
from .joint import Whole, holds_several, joined, paired, stored, wholes
from .listing import TABLES, table_entries
from .naming import grouped, is_pattern
from .pictures import pictures, tensor
from .remarks import remarks, shared_sides
from .sounds import LEAST_SECONDS, MOST_SECONDS, Clip, clips, holds_sound, spread, way_back
from .sources import LAYOUT, Columns, Entry, Found, printable
from .sources import Text as Cell
from .webdataset import ONE_SHARD, is_shard, rows_of, shard_entries, shards

Answer = Picture | Text | Clip | Whole
"""What a row is when it has been read."""


def load(
    source: str | Path,
    *,
    label: str | None = None,
    column: str | None = None,
    text: str | Sequence[str] | None = None,
    group: str | None = None,
    split: str | None = None,
    says: str | None = None,
    beside: str | Path | None = None,
    size: int | tuple[int, int] | None = None,
    chunk: float | None = None,
    like: Spec | None = None,
    max_bad: float = 0.2,
    download: bool = False,
) -> Dataset:
    """The labelled pictures or texts of a source as rows of one size.

    source    a folder with a folder a class (perhaps inside train/, val/, test/), a table (CSV, TSV, JSON, JSONL, Parquet,
              Arrow) with paths or bytes, an archive (.zip, .tar, .tar.gz, .tgz) of either, WebDataset shards (a tar file, or a folder of
              them), an .npz file, a folder made by `datasets.save_to_disk`, or an id of the Hugging Face Hub
    label, column, text, group, split, says   columns of a table: of classes, of files, of texts, of subjects or sites, of splits, of what is said;
              two columns of texts ("a,b" or ("a", "b")) make every row a pair; two columns of files ("image,sound") make every row a picture
              with its sound
    group     or a pattern of the names of files, "*_{}_*", in which {} stands for the group (`naming.grouped`)
    beside    a folder or archive of sounds, where the source has pictures, or of pictures, where it has sounds: files of one name, such as
              cats/1.png and cats/1.wav, make one row. In one folder files of one name do so by themselves
    size      side of a square, or (height, width), in 8..256; None: see `choose_grid`
    chunk     seconds, in 0.32..4, to which sounds are cut, so that a file makes several rows with its label, which never cross a split (`Row.kin`).
              None: a row a file, longer ones cut to the part with the most power
    like      of a second dataset: bring its rows to the form of the first's, as far as their kind allows
    max_bad   the share of rows that may be unreadable before the whole dataset is refused
    download  whether the network may be used for an id of the Hub

    Every row of the source is in `Dataset.rows`; status "corrupt", "unlabelled" or "stray" (a file that is no picture) keeps
    it out of the samples. `x` is uint8: pictures (n, channels, height, width), sounds (n, 1, bands, columns), texts (n, bytes),
    pictures with sounds (n, values). Raises `DataError` for what cannot be used.
    """
    _check_settings(size, max_bad, chunk)
    texts = text if text is None or isinstance(text, str) else tuple(text)
    columns = Columns(label=label, file=column, text=texts, group=group, split=split, says=says)
    if column is not None and text is not None:
        raise UsageError(f"--column {column} names pictures and --text {columns.flags()['--text']} texts", help="give one of them")
    with opened(source, columns, beside=beside, download=download) as (name, found):
        _check_labels(name, found.entries)
        answers = read_like(found.entries, like) if like else read_entries(found.entries, size, chunk)
    if chunk is not None:
        entries, answers = spread(found.entries, answers)
        found = replace(found, entries=entries)
    kin = {whole: k for k, whole in enumerate(dict.fromkeys(e.whole for e in found.entries if e.whole))}
    rows = [replace(_row(i, e, a), kin=kin.get(e.whole, -1)) for i, (e, a) in enumerate(zip(found.entries, answers, strict=True))]
    _check_rows(name, rows, max_bad)
    good = [a for a in answers if isinstance(a, Answer)]
    return _dataset(name, found, rows, good, parts_of(found.entries), asked=size is not None)


@contextmanager
def opened(source: str | Path, columns: Columns, *, beside: str | Path | None = None, download: bool = False) -> Iterator[tuple[str, Found]]:
    """A source's name and its rows, whose contents can be read as long as it is open: an archive is unpacked until then. Raises as `load`."""
    pattern = columns.group if is_pattern(columns.group) else None
    columns = replace(columns, group=None) if pattern else columns
    with tempfile.TemporaryDirectory(prefix="augmind-") as temp:
        name, found = _open(source, columns, Path(temp) / "data", download)
        if beside is not None:
            found = joined(found, besides(beside, Path(temp) / "beside"), str(beside))
        yield name, grouped(paired(found), pattern) if pattern else paired(found)


@contextmanager
def opened_loose(source: str | Path, pattern: str | None = None, column: str | None = None) -> Iterator[tuple[str, Found]]:
    """`opened` for a folder, archive or table of files (in a `column` that it has) without labels; a pattern of their names may tell groups."""
    if pattern is not None and not is_pattern(pattern):
        raise UsageError(f"--group {pattern} names a column, and files without labels have none", help="give a pattern of names, such as '*_{}_*'")
    with tempfile.TemporaryDirectory(prefix="augmind-") as temp:
        name, found = _open(source, Columns(), Path(temp) / "data", download=False, read=partial(loose_files, column=column))
        yield name, grouped(found, pattern) if pattern else found


def unlabelled(
    source: str | Path,
    *,
    size: int | None = None,
    like: Spec | None = None,
    max_bad: float = 0.2,
    group: str | None = None,
    column: str | None = None,
) -> Dataset:
    """The rows of a folder, archive or table of files without their labels, whatever folders they lie in, as one class; with `like` in the form of
    those rows. `group` is a pattern of their names (`naming.grouped`). Raises `DataError` for anything else."""
    _check_settings(size, max_bad, None)
    with opened_loose(source, group, column) as (name, found):
        entries = found.entries
        if not any(e.status == "ok" for e in entries):
            if bad := [(e.source, e.reason) for e in entries if e.status == "corrupt"]:
                raise _unreadable(name, bad, len(entries))
            raise DataError(f"'{name}' holds no row that can be read", help="give a folder of files of one kind, such as PNG, JPEG or WAV")
        answers = read_like(entries, like) if like else read_entries(entries, size)
    rows = [_row(i, e, a) for i, (e, a) in enumerate(zip(entries, answers, strict=True))]
    _check_readable(name, rows, max_bad)
    return _dataset(name, found, rows, [a for a in answers if isinstance(a, Answer)], (), asked=size is not None)


def _check_settings(size: int | tuple[int, int] | None, max_bad: float, chunk: float | None) -> None:
    sides = () if size is None else (size,) if isinstance(size, int) else size
    if any(s not in SIDES for s in sides):
        raise UsageError(f"size {size} is not allowed", help=f"a side may have {SIDES.start} to {SIDES.stop - 1} pixels")
    if not 0 <= max_bad <= 1:
        raise UsageError(f"max_bad={max_bad} is not allowed", help="it is a share of the rows, from 0 to 1")
    if chunk is not None and not LEAST_SECONDS <= chunk <= MOST_SECONDS:
        raise UsageError(f"--chunk {chunk:g} is not allowed", help=f"it is how long rows are, from {LEAST_SECONDS} to {MOST_SECONDS:g} seconds")


def _open(source: str | Path, columns: Columns, temp: Path, download: bool, read: Callable[[Path, Path], Found] | None = None) -> tuple[str, Found]:
    """The dataset's name and its rows, by `read`. Archives are unpacked into the empty folder `temp`; the source is only read."""
    if "\0" in str(source):
        raise DataError(f"{str(source)[:200]!r} is not a usable path", help="check the path")
    path = Path(source).expanduser()
    try:
        if not path.exists() and read:
            raise DataError(f"there is no file or folder '{printable(str(source))}'", help="check the path")
        if not path.exists():
            return str(source), _absent(str(source), path, columns, download)
        if not path.is_dir() and not path.is_file():
            raise DataError(f"'{path.name}' is a pipe, socket or device", help="give a file or a folder")
        return _stem(path), read(path.resolve(), temp) if read else _read_path(path.resolve(), columns, temp)
    except PermissionError as error:
        raise MachineError(f"'{error.filename}' may not be read: {error.strerror}", help="give yourself the right to read it") from error
    except OSError as error:
        raise DataError(f"'{printable(str(source))[:200]}' cannot be read: {error.strerror or error}", help="check the path") from error


def besides(source: str | Path, temp: Path) -> Found:
    """The rows of a second folder or archive. Raises `UsageError` for anything else."""
    path = Path(source).expanduser()
    if path.exists() and not path.is_dir() and not is_archive(path):
        raise UsageError(f"--beside '{path.name}' is neither a folder nor an archive", help="give the folder with the other files of the rows")
    return _open(source, Columns(), temp, download=False)[1]


def _stem(path: Path) -> str:
    name = path.resolve().name
    ending = next((e for e in (*ARCHIVES, ".npz", *TABLES) if name.lower().endswith(e)), "") if path.is_file() else ""
    return printable(name.removesuffix(name[len(name) - len(ending) :])) if ending else printable(name)


def _read_path(path: Path, columns: Columns, temp: Path) -> Found:
    if is_saved(path):
        return saved_entries(path, columns)
    if tars := shards(path):
        return shard_entries(tars, columns, temp)
    if held := arrays_in(path):
        return array_entries(held, columns)
    if path.is_dir():
        return scan(path, columns)
    if path.stat().st_size == 0:
        raise DataError(f"'{path.name}' is empty", help=LAYOUT)
    if is_archive(path):
        folder = extract(path, temp)
        if is_shard(folder):
            return Found(entries=rows_of(folder, columns, printable(path.name)), how=ONE_SHARD)
        inner = saved_inside(folder)
        return saved_entries(inner, columns) if inner else scan(folder, columns, name=path.name)
    if path.suffix.lower() in TABLES:
        return table_entries(path, columns, root=path.parent)
    known = ", ".join([*TABLES, *ARCHIVES, ".npz"])
    raise DataError(f"'{printable(path.name)}' is no known kind of dataset", help=f"give a folder, or a file that ends in {known}")


def _absent(source: str, path: Path, columns: Columns, download: bool) -> Found:
    """A dataset of the Hub where that is allowed; else the error for a path that does not exist, with the nearest name."""
    hub = HUB_ID.fullmatch(source) is not None
    if hub and (download or cached(source)):
        return hub_entries(source, columns, download=download)
    parent = path.parent
    while not parent.is_dir():
        parent = parent.parent
    missing = path.relative_to(parent).parts[0]
    near = difflib.get_close_matches(missing, sorted(p.name for p in parent.iterdir()), n=1)
    way = f"check the path: did you mean '{parent / near[0]}'?" if near else f"check the path: '{parent}' exists, '{missing}' in it does not."
    if hub:
        way += f" If it is a dataset of the Hugging Face Hub, allow the network: augmind expand {source} --download (download=True)"
    raise DataError(f"there is no file or folder '{source}'", help=way)


def _check_labels(name: str, entries: list[Entry]) -> None:
    """What can be said against a dataset before anything is decoded."""
    pictures = [e for e in entries if e.status != "stray"]
    labels = Counter(e.label for e in pictures if e.label)
    if not pictures:
        raise DataError(f"'{name}' has no rows", help=LAYOUT)
    if not any(e.status == "ok" for e in pictures):
        if all(e.status == "unlabelled" for e in pictures):
            raise DataError(f"no row of '{name}' ({len(pictures)} in all) has a label", help="name the column of classes with --label")
        raise _unreadable(name, [(e.source, e.reason) for e in pictures if e.status == "corrupt"], len(pictures))
    if len(labels) == 1:
        raise DataError(f"'{name}' has one class only: '{next(iter(labels))}'", help=f"two classes or more are needed; {LAYOUT}")
    if len(labels) > 20 and max(labels.values()) == 1:
        raise DataError(f"each of the {len(labels)} rows of '{name}' has a label of its own", help="name the column of classes with --label")


def read_entries(entries: list[Entry], size: int | tuple[int, int] | None, chunk: float | None = None) -> Sequence[Any]:
    """One answer an entry, an `Answer` or why there is none; None where there is nothing to read. With `chunk` sounds are `Pieces`."""
    texts, several = holds_text(entries), holds_several(entries)
    if not (texts or several) and holds_sound(entries):
        return clips(entries, size, chunk)
    if chunk is not None:
        raise UsageError(f"--chunk {chunk:g} cuts sounds, and the rows are of another kind", help="leave it out")
    if texts:
        return texts_of(entries)
    return wholes(entries, size) if several else pictures(entries, size)


def read_like(entries: list[Entry], like: Spec) -> Sequence[Any]:
    """`read_entries` in the form of these rows; rows of another kind as they are."""
    if bool(like.rate) != holds_sound(entries) or holds_text(entries):
        return read_entries(entries, None)
    if like.rate:
        return clips(entries, mel=Mel(rate=like.rate, bands=like.shape[1], frames=like.shape[2]))
    return read_entries(entries, (like.shape[1], like.shape[2]))


def holds_text(entries: list[Entry]) -> bool:
    """Whether the rows of a source are texts. Raises `DataError` where some are and others are pictures."""
    kinds = {isinstance(e.content, Cell) for e in entries if e.status == "ok"}
    if len(kinds) > 1:
        raise DataError("some tables of the dataset hold texts and others list pictures", help="keep them in folders of their own")
    return kinds == {True}


def parts_of(entries: list[Entry]) -> tuple[str, ...]:
    """The names of the sides where rows are pairs. Raises `DataError` where tables of one dataset differ in this."""
    found = {e.content.columns if len(e.content.columns) > 1 else () for e in entries if isinstance(e.content, Cell)}
    if len(found) > 1:
        raise DataError("some tables of the dataset hold pairs of texts and others do not", help="keep them in folders of their own")
    return found.pop() if found else ()


def texts_of(entries: list[Entry]) -> list[Text | CannotRead | None]:
    """One answer an entry, None where there is nothing to read."""
    out: list[Text | CannotRead | None] = []
    for entry in entries:
        if entry.status != "ok" or not isinstance(entry.content, Cell):
            out.append(None)
            continue
        try:
            cells, columns = entry.content.cells, entry.content.columns
            out.append(read_pair(cells, columns) if len(columns) > 1 else read(cells[0]))
        except NoText as why:
            out.append(CannotRead(str(why)))
    return out


def _row(id: int, entry: Entry, answer: Answer | CannotRead | None) -> Row:
    shared = {f: getattr(entry, f) for f in ("source", "label", "split", "group", "says", "traits", "status", "reason")}
    row = Row(id=id, **shared)
    if isinstance(answer, CannotRead):
        return replace(row, status="corrupt", reason=str(answer))
    return replace(row, about=answer.facts) if isinstance(answer, Answer) else row


def _check_readable(name: str, rows: list[Row], max_bad: float) -> list[Row]:
    """The readable rows. Raises `DataError` where there are none, or too many others."""
    bad = [(r.source, r.reason) for r in rows if r.status == "corrupt"]
    good = [r for r in rows if r.status == "ok"]
    if not good or len(bad) > max_bad * (len(bad) + len(good)):
        raise _unreadable(name, bad, len(bad) + len(good))
    return good


def _check_rows(name: str, rows: list[Row], max_bad: float) -> None:
    """Refuses a dataset with too many unreadable rows, or with one class once they are gone."""
    good = _check_readable(name, rows, max_bad)
    if len({r.label for r in good}) == 1:
        raise DataError(f"'{name}' has one class only with readable rows: '{good[0].label}'", help=f"two classes or more are needed; {LAYOUT}")


def _unreadable(name: str, bad: list[tuple[str, str]], total: int) -> DataError:
    first = "; ".join(f"{source} ({reason})" for source, reason in bad[:5])
    more = f"; and {len(bad) - 5} more" if len(bad) > 5 else ""
    text = f"{len(bad)} of {total} row{'s' * (total > 1)} of '{name}' cannot be read: {first}{more}"
    return DataError(text, help="repair or remove them" + (", or allow more with --max-bad" if len(bad) < total else ""), code="DATA-002")


def _stored(answers: Sequence[Answer], classes: tuple[str, ...], parts: tuple[str, ...]) -> tuple[Tensor, Spec, Codec]:
    """The rows as one tensor, with what they are and what reads them."""
    texts = [a.text for a in answers if isinstance(a, Text)]
    if texts:
        from augmind.modalities.text.codec import TextCodec

        spec = Spec(kind="tokens", shape=(length_for(texts),), classes=classes, bounded=False, parts=parts)
        return TextCodec(spec).encode(texts), spec, TextCodec(spec)
    if wholly := [a for a in answers if isinstance(a, Whole)]:
        return stored(wholly, classes)
    heard = [a for a in answers if isinstance(a, Clip)]
    if heard:
        from augmind.modalities.audio.codec import AudioCodec

        x = torch.stack([a.row for a in heard])
        spec = Spec(kind="continuous", shape=tuple(x.shape[1:]), classes=classes, rate=heard[0].rate)
        return x, spec, AudioCodec(spec)
    from augmind.modalities.image.codec import ImageCodec

    x = tensor([a for a in answers if isinstance(a, Picture)])
    spec = Spec(kind="continuous", shape=tuple(x.shape[1:]), classes=classes)
    return x, spec, ImageCodec(spec)


def _dataset(name: str, found: Found, rows: list[Row], answers: Sequence[Answer], parts: tuple[str, ...], asked: bool) -> Dataset:
    """Rows and the contents of those that are "ok", in order, as one dataset."""
    classes = sort_labels({r.label for r in rows if r.status == "ok"})
    x, spec, codec = _stored(answers, classes, parts)
    digests = map(content, x)
    rows = [replace(r, digest=next(digests)) if r.status == "ok" else r for r in rows]
    good = [r for r in rows if r.status == "ok"]
    groups = sorted({r.group for r in good})
    findings = remarks(found, rows, spec, asked)
    findings += shared_sides(good, [sides_of(a.text) for a in answers if isinstance(a, Text)], parts)
    findings += way_back([a if isinstance(a, Clip) else a.clip for a in answers if isinstance(a, Clip | Whole)])
    samples = Samples.real(
        x,
        _codes([r.label for r in good], classes),
        torch.tensor([r.id for r in good]),
        group=_codes([r.group for r in good], groups) if any(groups) else None,
    )
    return Dataset(
        name=name,
        samples=samples,
        spec=spec,
        codec=codec,
        rows=tuple(rows),
        fingerprint=digest([(r.source, r.label, r.split, r.digest) for r in rows]),
        findings=tuple(findings),
    )


def content(row: Tensor) -> str:
    """The content hash of a stored row."""
    return hashlib.blake2b(row.numpy().tobytes(), digest_size=16).hexdigest()


def _codes(texts: list[str], known: Sequence[str]) -> Tensor:
    index = {t: k for k, t in enumerate(known)}
    return torch.tensor([index[t] for t in texts])
