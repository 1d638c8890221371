"""Rows without labels that go with a labelled dataset: in its form, and none that the dataset holds too."""

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Shaped
from torch import Tensor

from augmind.core.errors import DataError, UsageError
from augmind.core.run import Finding
from augmind.nn.likeness import Copies

from .dataset import Dataset
from .load import unlabelled


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Rows as stored, where each came from, and what was left out."""

    x: Shaped[Tensor, "n ..."]
    sources: tuple[str, ...]
    findings: tuple[Finding, ...]


def pool(source: str | Path, dataset: Dataset, max_bad: float = 0.2) -> Pool:
    """The rows of a folder or archive, whatever folders they lie in, in the form of `dataset`.

    Left out are files that cannot be read, copies of each other, and copies and near duplicates of any labelled row: one of a test row would
    be tested on what was learnt from. Finding: AM138. Raises `UsageError` for a dataset of texts or of several kinds, `DataError` for a source
    that is not of its kind or of which nothing is left.
    """
    spec = dataset.spec
    if spec.kind == "tokens" or spec.sides:
        what = "several kinds" if spec.sides else "texts"
        raise UsageError(f"--unlabelled is about pictures or sounds, and these rows are of {what}", help="leave it out")
    found = unlabelled(source, like=spec, max_bad=max_bad)
    if (found.spec.shape, found.spec.rate) != (spec.shape, spec.rate):
        raise DataError(f"the rows of --unlabelled '{source}' are not of the kind of the dataset", help="give files like those that have labels")
    known = {row.digest for row in dataset.rows if row.digest}
    good = [row for row in found.rows if row.status == "ok"]
    fresh = []
    for i, row in enumerate(good):
        if row.digest not in known:
            known.add(row.digest)
            fresh.append(i)
    x = found.samples.x[fresh]
    near = Copies(dataset.codec.variants(dataset.samples.x), dataset.samples.units, spec).among(x)
    x, left = x[~near], [good[i].source for i, gone in zip(fresh, near.tolist(), strict=True) if not gone]
    if not left:
        raise DataError(f"every row of --unlabelled '{source}' is in the dataset too", help="give rows that have no labels")
    told = {"unreadable": len(found.rows) - len(good), "copies": len(good) - len(fresh), "near": int(near.sum())}
    text = f"{len(left):,} rows without labels; left out: {told['unreadable']:,} that cannot be read, {told['copies']:,} copies, "
    text += f"{told['near']:,} near duplicates of labelled rows"
    return Pool(x=x, sources=tuple(left), findings=(Finding("AM138", "info", text, {"rows": len(left)} | told),))
