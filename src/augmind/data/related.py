"""A related dataset: labelled rows of other classes in the form of the dataset, none of which the dataset holds too."""

from dataclasses import dataclass
from pathlib import Path

from augmind.core.errors import DataError
from augmind.core.run import Finding
from augmind.core.types import Samples

from .dataset import Dataset
from .fresh import checked_kind, checked_like, fresh
from .listing import has
from .load import load

LEAST = 2
"""Rows without which a class says nothing of how rows of one class vary."""
NAMED = 5
"""Names that a finding tells."""


@dataclass(frozen=True, kw_only=True)
class Related:
    """Rows as stored with the numbers of their own classes, the names of these, and what was left out."""

    samples: Samples
    classes: tuple[str, ...]
    findings: tuple[Finding, ...]


def related(source: str | Path, dataset: Dataset, max_bad: float = 0.2, **columns: str | None) -> Related:
    """The rows of a labelled dataset, all its splits together, in the form of `dataset`. `columns` ("label", "column") are those that were named for
    that: a table has them too, or such as are called as these columns usually are.

    Left out are rows that cannot be read, copies of each other, copies and near duplicates of any row of the dataset, and classes of fewer than
    two rows. Classes are the source's own, whatever their names are: one that has the name of a class of the dataset is told of. Finding: AM139.
    Raises `UsageError` for a dataset of texts or of several kinds, `DataError` for a source that is not of its kind, or of which fewer than two
    classes are left.
    """
    checked_kind("--source", dataset)
    own = has(Path(source).expanduser(), **columns)
    try:
        found = load(source, like=dataset.spec, max_bad=max_bad, label=own.get("label"), column=own.get("column"))
    except DataError as error:
        way = "call its columns as those of the dataset are called" if "--label" in error.help or "--column" in error.help else error.help
        raise DataError(f"--source: {error}", help=way, code=error.code) from error
    checked_like("--source", source, found, dataset)
    new = fresh(found, dataset)
    samples = found.samples.take(list(new.at))
    counts = samples.counts(len(found.spec.classes)).tolist()
    kept = [k for k, n in enumerate(counts) if n >= LEAST]
    if len(kept) < 2:
        text = f"--source '{source}' has fewer than two classes of {LEAST} rows or more that are not in the dataset too"
        raise DataError(text, help="give a labelled dataset of other classes")
    place = {k: i for i, k in enumerate(kept)}
    samples = samples.take([i for i, k in enumerate(samples.y.tolist()) if k in place])
    samples = Samples.real(samples.x, samples.y.clone().apply_(place.__getitem__))
    classes = tuple(found.spec.classes[k] for k in kept)
    told = {"rows": len(samples), "classes": len(classes), **new.told, "small": len(counts) - len(kept)}
    text = f"{told['rows']:,} rows of {told['classes']:,} related classes; left out: {new.left_out}, {told['small']:,} classes of fewer than {LEAST}"
    findings = [Finding("AM139", "info", text, told)]
    if same := [name for name in classes if name in dataset.spec.classes]:
        listed = ", ".join(same[:NAMED]) + (", ..." if len(same) > NAMED else "")
        text = f"--source has classes with names of the dataset's own ({listed}), taken for others: rows of one class belong into the dataset"
        findings.append(Finding("AM139", "warning", text, {"classes": same}))
    return Related(samples=samples, classes=classes, findings=tuple(findings))
