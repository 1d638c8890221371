"""Pictures as NumPy arrays in an .npz file, as MedMNIST, Keras and many papers share them, and sounds as `augmind export` writes them. Never
unpickles."""

import contextlib
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from augmind.core.errors import DataError, UsageError, unknown
from augmind.modalities.audio.read import RATES

from .folders import kind, look
from .listing import TABLES, label_text
from .sources import Columns, Entry, Found, Grid, printable, tidy

PICTURES = ("images", "image", "imgs", "x", "data", "pictures")
LABELS = ("labels", "label", "y", "targets", "target")
SPLITS = ("train", "val", "test")
SLOWEST, FASTEST = 2000, RATES[1]
"""Samples a second of sounds that are rows."""
WRITTEN = ("policy.json", "report.json")
"""What `augmind export` puts beside arrays."""
MOST = 4 << 30
"""Bytes of unpacked arrays that are read."""
LAYOUT = "expected arrays: train_images and train_labels (val_, test_), or x and y, or images and labels"


def arrays_in(path: Path) -> Path | None:
    """The .npz file that a path is, or that is all there is to read in a folder, as in one made by `augmind export`."""
    if path.is_file():
        return path if path.suffix.lower() == ".npz" and path.stat().st_size else None
    held = [file for file in path.glob("*.npz") if file.is_file()]
    if len(held) != 1:
        return None
    files = (file for folder in look(path, path).walk() for file in folder.files)
    others = (file for file in files if kind(file) != "stray" or (file.suffix.lower() in TABLES and file.name not in WRITTEN))
    return None if any(others) else held[0]


def array_entries(path: Path, columns: Columns) -> Found:
    """The rows of an .npz file with {train,val,test}_{images,labels}, x_train and y_train, x and y, or images and labels.

    Raises `DataError` for arrays that are no pictures, for labels that do not fit, and for arrays of Python objects.
    """
    try:
        with zipfile.ZipFile(path) as z:
            size = sum(i.file_size for i in z.infolist())
        if size > MOST:
            raise DataError(f"'{path.name}' unpacks to {size:,} bytes; at most {MOST:,} are read", help="give fewer or smaller pictures")
        with np.load(path, allow_pickle=False) as file:
            return _entries(path, file, columns)
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, MemoryError, KeyError, NotImplementedError, RuntimeError, zlib.error) as error:
        why = "it holds Python objects, which could run code" if "allow_pickle" in str(error) else str(error)[:200]
        raise DataError(f"'{path.name}' cannot be read: {why}", help=LAYOUT) from error


def _entries(path: Path, file: Any, columns: Columns) -> Found:
    if columns.split is not None:
        raise DataError(f"'{path.name}' has no split column", help="splits are told by names: train_images, test_images")
    if columns.says is not None:
        raise UsageError(f"--say {columns.says} is about sounds, and '{path.name}' holds none", help="leave it out")
    parts = {s: p for s in SPLITS if (p := _pair(path, file.files, columns, s))} or {"": _pair(path, file.files, columns, "")}
    entries, rate = list[Entry](), _rate(path, file)
    classes = _names(file, [pair[1] for pair in parts.values() if pair])
    for split, pair in parts.items():
        if pair is None:
            raise DataError(f"'{path.name}' has arrays {', '.join(sorted(file.files)) or '(none)'}", help=LAYOUT)
        x, labels = pair
        where = f"'{labels}' of '{path.name}'"
        pictures, y = _bytes(file[x], f"'{x}' of '{path.name}'"), _labels(file[labels], where, classes)
        named = next((n for n in (f"{split}_{columns.group}", f"{columns.group}_{split}") if split and n in file.files), columns.group)
        groups = [str(g) for g in np.ravel(file[_known(path, file.files, named)])] if named else [""] * len(y)
        for other, n in ((where, len(y)), (f"'{named}'", len(groups))):
            if n != len(pictures):
                raise DataError(f"'{x}' has {len(pictures)} rows but {other} has {n}", help="they must be equally long")
        start = f"{printable(path.name)}:{split}:" if split else f"{printable(path.name)}:"
        for i, (picture, label, group) in enumerate(zip(pictures, y, groups, strict=True)):
            entries.append(_entry(f"{start}{i}", picture, label, split, group, rate))
    what = "sounds" if rate else "pictures"
    return Found(entries=entries, how="arrays: " + "; ".join(f"{what} '{p[0]}', labels '{p[1]}'" for p in parts.values() if p))


def _rate(path: Path, file: Any) -> int:
    """Samples a second of rows that are spectrograms of sounds, which an array "rate" tells; 0 where there is none."""
    if "rate" not in file.files:
        return 0
    told = file["rate"]
    if told.ndim or not np.issubdtype(told.dtype, np.integer) or not SLOWEST <= told <= FASTEST:
        text = f"'rate' of '{path.name}' is no rate of sounds that became rows"
        raise DataError(text, help=f"it is one whole number from {SLOWEST:,} to {FASTEST:,}; without it rows are pictures")
    return int(told)


def _entry(source: str, picture: np.ndarray, label: str, split: str, group: str, rate: int) -> Entry:
    if picture.dtype != np.uint8:
        return Entry(source=source, label=label, split=split, group=group, status="corrupt", reason="holds values that are not finite numbers")
    row = Entry(source=source, content=Grid(picture, rate) if rate else picture, label=label, split=split, group=group)
    return row if label else Entry(source=source, split=split, group=group, status="unlabelled", reason="no label")


def _pair(path: Path, names: list[str], columns: Columns, split: str) -> tuple[str, str] | None:
    """The names of the arrays of pictures and labels of a split, or None."""
    if columns.file or columns.label:
        if split:
            return None
        picture, label = columns.file or _find(names, PICTURES, ""), columns.label or _find(names, LABELS, "")
        return (_known(path, names, picture), _known(path, names, label)) if picture and label else None
    x, y = _find(names, PICTURES, split), _find(names, LABELS, split)
    return (x, y) if x and y else None


def _find(names: list[str], usual: tuple[str, ...], split: str) -> str | None:
    lower = {n.lower(): n for n in names}
    wanted = [w for u in usual for w in ((f"{split}_{u}", f"{u}_{split}") if split else (u,))]
    return next((lower[w] for w in wanted if w in lower), None)


def _known(path: Path, names: list[str], name: str) -> str:
    if name not in names:
        raise DataError(f"'{path.name}' has no array '{name}'", help=unknown("array", name, names).help)
    return name


def _bytes(x: np.ndarray, where: str) -> list[np.ndarray]:
    """Pictures as uint8 (height, width) or (height, width, channels). A row that is not finite stays float and is found by that."""
    if x.ndim == 4 and x.shape[-1] not in (1, 3, 4) and x.shape[1] in (1, 3, 4):
        x = np.moveaxis(x, 1, -1)
    if x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[-1] not in (1, 3, 4)) or 0 in x.shape[1:]:
        raise DataError(f"{where} has shape {x.shape}: not (n, height, width) or (n, height, width, 1, 3 or 4)", help=LAYOUT)
    x = x[..., 0] if x.ndim == 4 and x.shape[-1] == 1 else x
    if x.dtype == np.bool_:
        x = x.astype(np.uint8) * np.uint8(255)
    if x.dtype == np.uint8 or len(x) == 0:
        return list(x)
    if not np.issubdtype(x.dtype, np.number) or np.iscomplexobj(x):
        raise DataError(f"{where} holds {x.dtype}, not numbers of pixels", help=LAYOUT)
    good = np.asarray(np.isfinite(x).reshape(len(x), -1).all(axis=1))
    low, high = (float(x[good].min()), float(x[good].max())) if good.any() else (0.0, 0.0)
    top = 1.0 if high <= 1 and np.issubdtype(x.dtype, np.floating) else 255.0 if high <= 255 else 65535.0
    if low < 0 or high > 65535:
        raise DataError(f"{where} holds values from {low:g} to {high:g}", help="pixels are 0 to 1, 0 to 255 or 0 to 65535")
    return [np.rint(p * (255.0 / top)).astype(np.uint8) if ok else p.astype(np.float64) for p, ok in zip(x, good, strict=True)]


def _names(file: Any, labels: list[str]) -> list[str]:
    """The names that an array "classes" gives to class numbers; none where there is no such array, or it has not a name for all of these labels."""
    told = np.array([])
    with contextlib.suppress(ValueError):  # Python objects, which are not read
        told = file["classes"] if "classes" in file.files else told
    if told.ndim != 1 or told.dtype.kind not in "US":
        return []
    y = [file[name] for name in labels]
    return [tidy(str(name)) for name in told] if all(np.issubdtype(v.dtype, np.integer) and np.isin(v, range(len(told))).all() for v in y) else []


def _labels(y: np.ndarray, where: str, classes: list[str]) -> list[str]:
    """One text a row, from (n,), (n, 1) or one-hot (n, k): the name of its class where `classes` name them."""
    if y.ndim == 2 and y.shape[1] > 1 and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
        y = y.argmax(axis=1)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(f"{where} has shape {y.shape}: not one class a row", help="labels are (n,), (n, 1) or one-hot (n, classes)")
    if classes:
        return [classes[k] for k in y.tolist()]
    return [label_text(v, None, where) for v in y.tolist()]
