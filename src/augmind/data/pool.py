"""Rows without labels that go with a labelled dataset: in its form, and none that the dataset holds too."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from augmind.core.errors import DataError
from augmind.core.run import Finding
from augmind.nn.neighbours import nearest, polar

from .dataset import Dataset
from .fresh import Fresh, checked_kind, checked_like, fresh
from .load import unlabelled
from .loose import loose_texts

STRANGE = 0.7
"""From what part on rows without labels count as unlike the labelled ones; 0.5 is expected, and rows of other classes of clothes have 0.8."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Rows as stored, where each came from, and what was left out."""

    x: Shaped[Tensor, "n ..."]
    sources: tuple[str, ...]
    findings: tuple[Finding, ...]


def pool(source: str | Path, dataset: Dataset, max_bad: float = 0.2, text: str | None = None, column: str | None = None) -> Pool:
    """The rows of a folder, archive or table of files (in `column`, if it has one of that name), whatever folders they lie in, in the form of
    `dataset`; of texts those of a file, or of a table's column `text`.

    Left out are rows that cannot be read, copies of each other, and copies and near duplicates of any labelled row. Finding: AM138. Raises
    `UsageError` for a dataset of several kinds or of pairs, `DataError` for a source that is not of its kind or of which nothing is left.
    """
    checked_kind("--unlabelled", dataset, texts=True)
    if dataset.spec.kind == "tokens":
        loose = loose_texts(source, dataset, text)
        return Pool(x=dataset.codec.encode(loose.texts), sources=loose.sources, findings=(told(loose.left_out),))
    found = unlabelled(source, like=dataset.spec, max_bad=max_bad, column=column)
    checked_like("--unlabelled", source, found, dataset)
    new = fresh(found, dataset)
    if not new.at:
        raise DataError(f"every row of --unlabelled '{source}' is in the dataset too", help="give rows that have no labels")
    good = [row for row in found.rows if row.status == "ok"]
    return Pool(x=found.samples.x[list(new.at)], sources=tuple(good[i].source for i in new.at), findings=(told(new),))


def told(new: Fresh) -> Finding:
    """AM138 how many rows are without labels, and what was left out."""
    return Finding("AM138", "info", f"{len(new.at):,} rows without labels; left out: {new.left_out}", {"rows": len(new.at)} | new.told)


def strangers(z: Float[Tensor, "n d"], labelled: Float[Tensor, "m d"]) -> list[Finding]:
    """AM142 where features `z` of rows without labels lie farther from the labelled ones than these from each other.

    Measured is how often the one distance to the nearest labelled row is larger than the other (the area under the curve that tells both apart).
    """
    if len(labelled) < 2 or not len(z):
        return []
    own = nearest(polar(labelled), polar(labelled), 1, skip_self=True)[0][:, 0].sort().values
    part = float(torch.searchsorted(own, nearest(polar(z), polar(labelled), 1)[0][:, 0].contiguous()).double().mean() / len(own))
    if part < STRANGE:
        return []
    how = f"in {part:.0%} of all pairs (50% are expected) theirs is the larger distance to the nearest labelled row"
    text = f"the rows of --unlabelled are unlike the labelled ones: {how}. What is of none of the classes gets a label of theirs: look at some"
    return [Finding("AM142", "warning", text, {"part": part})]
