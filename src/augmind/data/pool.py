"""Rows without labels that go with a labelled dataset: in its form, and none that the dataset holds too."""

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Shaped
from torch import Tensor

from augmind.core.errors import DataError
from augmind.core.run import Finding

from .dataset import Dataset
from .fresh import checked_kind, checked_like, fresh
from .load import unlabelled


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Rows as stored, where each came from, and what was left out."""

    x: Shaped[Tensor, "n ..."]
    sources: tuple[str, ...]
    findings: tuple[Finding, ...]


def pool(source: str | Path, dataset: Dataset, max_bad: float = 0.2) -> Pool:
    """The rows of a folder or archive, whatever folders they lie in, in the form of `dataset`.

    Left out are files that cannot be read, copies of each other, and copies and near duplicates of any labelled row. Finding: AM138. Raises
    `UsageError` for a dataset of texts or of several kinds, `DataError` for a source that is not of its kind or of which nothing is left.
    """
    checked_kind("--unlabelled", dataset)
    found = unlabelled(source, like=dataset.spec, max_bad=max_bad)
    checked_like("--unlabelled", source, found, dataset)
    new = fresh(found, dataset)
    if not new.at:
        raise DataError(f"every row of --unlabelled '{source}' is in the dataset too", help="give rows that have no labels")
    good = [row for row in found.rows if row.status == "ok"]
    text = f"{len(new.at):,} rows without labels; left out: {new.left_out}"
    told = Finding("AM138", "info", text, {"rows": len(new.at)} | new.told)
    return Pool(x=found.samples.x[list(new.at)], sources=tuple(good[i].source for i in new.at), findings=(told,))
