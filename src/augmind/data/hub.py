"""Datasets of Hugging Face: a folder made by `save_to_disk`, or an id of the Hub; pictures and sounds stay undecoded."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from augmind.core.errors import DataError, MachineError

from .listing import entries_of
from .sources import SPLITS, Columns, Found, printable
from .table import Table

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
SECONDS = 10.0
"""Waited for the Hub before it is taken as out of reach."""
MARKS = ("dataset_dict.json", "state.json")
"""Files by which a folder made by `save_to_disk` is known: of several splits, of one."""


class HubTable(Table):
    """One split of a `datasets.Dataset`; rows are counted from 1."""

    def __init__(self, name: str, data: Any) -> None:
        import datasets

        data.data.validate(full=True)
        self.name, self.bad = name, {}
        self.columns, self.numbers = list(data.column_names), list(range(1, len(data) + 1))
        self.features = dict(data.features)
        self.held, self.named = (datasets.Image, datasets.Audio), datasets.ClassLabel
        self.plain = (datasets.Value, datasets.ClassLabel)
        for column in self.media():
            data = data.cast_column(column, type(self.features[column])(decode=False))
        self.alone = {c: data.select_columns([c]).with_format(None) for c in self.columns}

    def values(self, column: str) -> list[Any]:
        return self.alone[column][:][column]

    def cell(self, column: str, i: int) -> Any:
        return self.alone[column][i][column]

    def classes(self, column: str) -> list[str] | None:
        feature = self.features.get(column)
        return list(feature.names) if isinstance(feature, self.named) else None

    def media(self) -> list[str]:
        return [c for c, f in self.features.items() if isinstance(f, self.held)]

    def texts(self, column: str) -> bool:
        return getattr(self.features.get(column), "dtype", "") in ("string", "large_string")

    def small(self, column: str) -> bool:
        return isinstance(self.features.get(column), self.plain) and "binary" not in self.features[column].dtype


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` made this folder."""
    return folder.is_dir() and any((folder / m).is_file() for m in MARKS)


def saved_inside(folder: Path) -> Path | None:
    """A dataset of `save_to_disk` at the top of an unpacked archive or one folder down."""
    return next((f for f in (folder, *sorted(folder.iterdir())) if is_saved(f)), None)


def saved_entries(folder: Path, columns: Columns) -> Found:
    """The rows of a folder made by `save_to_disk`."""
    import datasets

    from .readers import damage

    with damage(printable(folder.name)):
        data = datasets.load_from_disk(str(folder))
    return _all_splits(printable(folder.name), data, columns, folder)


def cached(name: str) -> bool:
    """Whether a dataset of the Hub has been fetched before; looks at folders only."""
    from huggingface_hub import constants

    prepared = Path(os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets")
    return (prepared / name.replace("/", "___")).is_dir() or (Path(constants.HF_HUB_CACHE) / f"datasets--{name.replace('/', '--')}").is_dir()


def hub_entries(name: str, columns: Columns, *, download: bool) -> Found:
    """The rows of a dataset of the Hub, from the local cache unless `download` allows the network."""
    import datasets
    from datasets.exceptions import DatasetNotFoundError, DatasetsError

    try:
        with contextlib.nullcontext() if download else _offline():
            if download:
                _reach()
            data = datasets.load_dataset(name)
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        said = " ".join(str(error).split())[:200]
        if not download:
            raise DataError(f"the dataset '{name}' is not complete in the local cache: {said}", help="allow the download with --download") from error
        if isinstance(error, DatasetNotFoundError):
            raise DataError(
                f"the Hugging Face Hub has no dataset '{name}': {said}", help="check the name at https://huggingface.co/datasets"
            ) from error
        raise MachineError(f"cannot get '{name}' from the Hugging Face Hub: {said}", help="check the network and repeat the command") from error
    return _all_splits(name, data, columns, None)


def _reach() -> None:
    """Raises `OSError` where the Hub is out of reach: the library itself would try again for half a minute."""
    from huggingface_hub import constants

    with contextlib.suppress(HTTPError), urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=SECONDS):
        pass


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Keeps the libraries of Hugging Face off the network: without this a missing dataset costs a minute of retries."""
    from datasets import config
    from huggingface_hub import constants

    before = config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


def _all_splits(name: str, data: Any, columns: Columns, folder: Path | None) -> Found:
    from .readers import damage

    splits = dict(data) if isinstance(data, dict) else {"": data}
    founds = []
    for split, rows in splits.items():
        with damage(name):
            table = HubTable(f"{name}:{split}" if split else name, rows)
        founds.append(entries_of(table, columns, home=folder, root=folder, split=SPLITS.get(split.lower(), "")))
    return Found(entries=[e for f in founds for e in f.entries], how="; ".join(f.how for f in founds))
