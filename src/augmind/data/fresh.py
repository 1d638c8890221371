"""Rows that go beside a dataset: of its kind, and neither copies of each other nor rows that the dataset holds too."""

from dataclasses import dataclass
from pathlib import Path

from augmind.core.errors import DataError, UsageError
from augmind.nn.likeness import Copies

from .dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """Positions among the samples of a second source, and how many of its rows were left out for which reason."""

    at: tuple[int, ...]
    told: dict[str, int]

    @property
    def left_out(self) -> str:
        """The reasons with their numbers, in words."""
        t = self.told
        long = f", {t['long']:,} longer than any labelled row" if t.get("long") else ""
        return f"{t['unreadable']:,} that cannot be read, {t['copies']:,} copies, {t['near']:,} near duplicates of labelled rows{long}"


def checked_kind(option: str, dataset: Dataset, *, texts: bool = False) -> None:
    """Raises `UsageError` for rows of several kinds and pairs, which `option` is not about, and unless it is about `texts` for texts."""
    spec = dataset.spec
    about = f"{option} is about pictures{', sounds or single texts' if texts else ' or sounds'}"
    if spec.sides or spec.parts or (spec.kind == "tokens" and not texts):
        what = "of several kinds" if spec.sides else "pairs of texts" if spec.parts else "texts"
        raise UsageError(f"{about}, and these rows are {what}", help="leave it out")


def checked_like(option: str, source: str | Path, found: Dataset, dataset: Dataset) -> None:
    """Raises `DataError` where the rows that `option` names are not of the kind of the dataset."""
    if (found.spec.shape, found.spec.rate) == (dataset.spec.shape, dataset.spec.rate):
        return
    many = [spec.shape[0] if len(spec.shape) == 3 else 0 for spec in (found.spec, dataset.spec)]
    forms = [f"{n or 'no'} channel{'s' if n != 1 else ''}" for n in many]
    rates = [f"{spec.rate:,} samples a second" if spec.rate else "no rate of samples" for spec in (found.spec, dataset.spec)]
    shapes = [" x ".join(map(str, spec.shape)) for spec in (found.spec, dataset.spec)]
    its, own = next((pair for pair in (forms, rates) if pair[0] != pair[1]), shapes)
    text = f"the rows of {option} '{source}' are not of the kind of the dataset: they have {its}, those of the dataset {own}"
    raise DataError(text, help="give files like those of the dataset")


def fresh(found: Dataset, dataset: Dataset) -> Fresh:
    """The rows of `found` to be used beside those of `dataset`, sealed ones included: one like a test row would be tested on what it taught."""
    known = {row.digest for row in dataset.rows if row.digest}
    good = [row for row in found.rows if row.status == "ok"]
    single = []
    for i, row in enumerate(good):
        if row.digest not in known:
            known.add(row.digest)
            single.append(i)
    near = Copies(dataset.codec.variants(dataset.samples.x), dataset.samples.units, dataset.spec).among(found.samples.x[single])
    at = tuple(i for i, gone in zip(single, near.tolist(), strict=True) if not gone)
    told = {"unreadable": len(found.rows) - len(good), "copies": len(good) - len(single), "near": int(near.sum())}
    return Fresh(at=at, told=told)
