"""What `load` returns and `clean`, `split`, `inspect` and `export` work on: rows as tensors beside a table about every raw row."""

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from augmind.core.run import Finding
from augmind.core.types import Codec, Samples, Spec


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row as it was found, good or bad.

    `status`: "ok"; "corrupt"; "unlabelled" (no label, or its class was dropped); "duplicate"; "stray" (no row at all).
    """

    id: int
    source: str
    """Where it came from, relative to the dataset: "cats/017.png" or "train.csv:17"."""
    label: str = ""
    split: str = ""
    """The split that the dataset itself gives: "train", "val", "test" or "" (none given)."""
    status: str = "ok"
    reason: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    """Facts of the modality: {"width": 28, "height": 28, "mode": "L"}."""
    group: str = ""
    says: str = ""
    """What is said in it, where a column tells that."""
    traits: dict[str, str] = field(default_factory=dict)
    """What columns beside those of contents, label and split say of it: {"material": "silver"}."""
    digest: str = ""
    """Content hash of the decoded, standardised row."""
    kin: int = -1
    """Rows with the same number >= 0 are exact or near duplicates of each other, or parts of one file, and must not be split apart."""

    @property
    def whole(self) -> str:
        """The source of which this is a part; its own where it is all of it."""
        return self.source.rpartition("@")[0] if "piece" in self.about else self.source


def alike(rows: Iterable[Row]) -> tuple[tuple[int, ...], ...]:
    """Clusters of usable rows that are near duplicates, as ids: of one kin, and not all parts of one file."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        if row.kin >= 0 and row.status == "ok":
            found.setdefault(row.kin, []).append(row)
    return tuple(tuple(r.id for r in some) for some in found.values() if len({r.whole for r in some}) > 1)


def sort_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels in order: by value if all are whole numbers, else by text."""
    labels = list(labels)
    if all(re.fullmatch(r"-?\d+", x) for x in labels):
        return tuple(sorted(labels, key=lambda x: (int(x), x)))
    return tuple(sorted(labels))


@dataclass(frozen=True, kw_only=True, repr=False)
class Dataset:
    """`samples` holds the rows whose status is "ok", in the order of their ids; `samples.key` is the row id."""

    name: str
    samples: Samples
    spec: Spec
    codec: Codec
    rows: tuple[Row, ...]
    fingerprint: str
    """Content hash of all rows: another dataset has another one."""
    findings: tuple[Finding, ...] = ()

    def __repr__(self) -> str:
        shape, aside = " x ".join(map(str, self.spec.shape)), len(self.rows) - len(self.samples)
        about = f"{len(self.samples):,} rows of {shape} in {len(self.spec.classes):,} classes" + (f", {aside:,} set aside" if aside else "")
        return f"<Dataset {self.name!r}: {about}>"

    def row(self, id: int) -> Row:
        return self.rows[id]

    def bad(self) -> list[Row]:
        """Rows set aside, with their reasons."""
        return [r for r in self.rows if r.status != "ok"]

    def with_rows(self, rows: list[Row], findings: tuple[Finding, ...] = ()) -> "Dataset":
        """The same dataset after rows changed status: samples keep only those that are still "ok"."""
        import torch

        good = {r.id for r in rows if r.status == "ok"}
        keep = torch.tensor([int(k) in good for k in self.samples.key], dtype=torch.bool)
        return dataclasses.replace(self, rows=tuple(rows), samples=self.samples.take(keep), findings=self.findings + findings)
