"""Which rows are learnt from and which are sealed for the final test. Nothing that is one thing ever stands on both sides."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Int
from torch import Tensor

from augmind.core.errors import DataError, UsageError
from augmind.core.folds import assign
from augmind.core.run import Finding
from augmind.core.seeds import stable_seed
from augmind.core.store import digest

from .dataset import Dataset, Row
from .neighbours import components

LARGE = 2000
"""Rows from which one held-out part is large enough to tell something; below, cross-validation tests on every row."""
HOLDOUT = 0.25
ATTEMPTS = 8
"""Assignments tried until every training part has two rows of every class."""
WITHOUT = "leave --group out, or add --across if the column is an attribute and no subject"


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Row ids to learn from and row ids to test on, both ascending."""

    train: tuple[int, ...]
    test: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Split:
    """`sealed` is a hash of every test row (fold, id, label, content): it changes when any of them does.

    mode "given": one fold, the dataset's own test split; "holdout": one fold; "cv": every row is tested on once.
    """

    mode: Literal["given", "holdout", "cv"]
    folds: tuple[Fold, ...]
    sealed: str
    findings: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "Split":
        folds = tuple(Fold(train=tuple(f["train"]), test=tuple(f["test"])) for f in record["folds"])
        return cls(mode=record["mode"], folds=folds, sealed=record["sealed"], findings=tuple(Finding(**f) for f in record["findings"]))


def split(dataset: Dataset, *, folds: int, repeats: int = 1, test: float | None = None, seed: int = 0, group_aware: bool = False) -> Split:
    """Splits the usable rows, stratified by class; rows of one `kin` (and of one group, if `group_aware`) are never parted.

    `test` is a fraction and forces a held-out part. Without it a given test split is respected; else 25% are held out of
    2,000 rows or more, and fewer are cross-validated with `folds` folds, `repeats` times with other folds each time (those of one
    repetition follow one another). Deterministic in `seed`.

    Every training part has two rows of every class or more, and rows that may be parted once more, for the choices that are made
    on it: with groups, three are needed. Raises `DataError` for a class too small for that and for groups that cannot be parted,
    `UsageError` for a fraction or a number of folds that makes no sense.
    Findings: AM120 fewer folds than asked, AM121 near duplicates left out of training, AM122 groups across the given split,
    AM123 a class without test rows, AM124 the given split was not used, AM125 cross-validation instead of a held-out part.
    """
    if test is not None and not 0 < test < 1:
        raise UsageError(f"a test fraction of {test:g} is not possible", help="give a fraction between 0 and 1, for example 0.25")
    if folds < 2:
        raise UsageError(f"{folds} folds are not possible", help="give 2 or more")
    table = Table(dataset, group_aware)
    given = [r.id for r in table.rows if r.split == "test"]
    if given and test is None:
        return finish(dataset, "given", *given_fold(table))
    findings = [Finding("AM124", "info", "the dataset's own test split was not used, since a test fraction was asked for")] if given else []
    table.require(3, "one to test on and two to learn from")
    if test is not None or len(table.rows) >= LARGE:
        parts, more = table.held_out(test or HOLDOUT, seed)
        return finish(dataset, "holdout", parts, findings + more)
    parts, more = table.cross(folds, seed)
    often = f", {repeats} times" if repeats > 1 else ""
    text = f"{len(table.rows):,} rows are too few to hold a part out; all of them are tested on, in {len(parts)} folds{often}"
    for r in range(1, repeats):
        parts += table.cross(len(parts) // r, stable_seed(seed, "repeat", r))[0]
    return finish(dataset, "cv", parts, [*findings, *more, Finding("AM125", "info", text)])


class Table:
    """The usable rows as columns: row, class, group and unit (what may not be parted)."""

    def __init__(self, dataset: Dataset, group_aware: bool) -> None:
        self.dataset, self.group_aware = dataset, group_aware
        self.classes = dataset.spec.classes
        self.rows: list[Row] = [dataset.row(int(k)) for k in dataset.samples.key]
        self.y = dataset.samples.y
        group = dataset.samples.group
        self.group: list[int] = [-1] * len(self.rows) if group is None else group.tolist()
        if group_aware:
            self._require_groups()
        self.unit = units([row.kin for row in self.rows], self.group if group_aware else None)

    def _require_groups(self) -> None:
        if all(g < 0 for g in self.group):
            raise DataError(
                "the dataset has no groups to keep together",
                help=f"name the column of groups, {WITHOUT}",
            )
        if len(set(self.group)) == 1:
            name = self.rows[0].group or str(self.group[0])
            raise DataError(
                f"all {len(self.rows):,} rows are of one group, '{name}': no row is left to test on",
                help=f"name a column with two groups or more, {WITHOUT}",
            )

    def require(self, least: int, why: str) -> None:
        """Refuses classes with fewer rows than `least`, and classes whose rows may not be parted."""
        counts = self.dataset.samples.counts(len(self.classes)).tolist()
        few = [f"class '{c}' has {n} row{'s' * (n != 1)}" for c, n in zip(self.classes, counts, strict=True) if n < least]
        if few:
            raise DataError(f"{listed(few)}; {least} are needed: {why}", help="add rows of it, or drop such classes with --drop-rare")
        whole = [c for k, c in enumerate(self.classes) if len(self.unit[self.y == k].unique()) < 2]
        if whole:
            cause = "one group" if self.group_aware else "near duplicates of each other"
            raise DataError(
                f"all rows of class {listed([repr(c) for c in whole])} are {'of ' * self.group_aware}{cause}: none can be tested on without leaking",
                help="add other rows of it, or drop the class" + (f", {WITHOUT}" if self.group_aware else ""),
            )

        if len(self.unit.unique()) < 3:
            raise DataError(
                f"all {len(self.rows):,} rows are of two {self.things()}; three are needed: one to test on and two to learn from",
                help="add other rows" + (f", name a column with more groups, {WITHOUT}" if self.group_aware else ""),
            )

    def things(self) -> str:
        """What may not be parted, in words."""
        return "groups (those that near duplicates link count as one)" if self.group_aware else "sets of near duplicates"

    def parted(self, train: Tensor) -> bool:
        """Whether these rows are of two units or more."""
        return len(self.unit[train].unique()) > 1

    def rich(self, part: Tensor, fold: int) -> bool:
        """Whether the rows outside this fold have two of every class and may be parted, and the fold has a row."""
        train = part != fold
        return bool((part == fold).any()) and self.parted(train) and int(torch.bincount(self.y[train], minlength=len(self.classes)).min()) >= 2

    def fold(self, part: Tensor, fold: int) -> Fold:
        ids = self.dataset.samples.key
        return Fold(train=tuple(sorted(ids[part != fold].tolist())), test=tuple(sorted(ids[part == fold].tolist())))

    def held_out(self, fraction: float, seed: int) -> tuple[list[Fold], list[Finding]]:
        for attempt in range(ATTEMPTS):
            part = assign(self.y, self.unit, [1 - fraction, fraction], stable_seed(seed, "holdout", attempt))
            if self.rich(part, 1):
                return [self.fold(part, 1)], self.untested(part == 1)
        raise self.impossible(f"a test part of {fraction:.0%}")

    def cross(self, folds: int, seed: int) -> tuple[list[Fold], list[Finding]]:
        """As many folds as asked for, or fewer where the smallest class or the groups do not allow them."""
        units = min(len(self.unit[self.y == k].unique()) for k in range(len(self.classes)))
        if self.group_aware:
            units = len(self.unit.unique())
        for k in range(min(folds, max(units, 2)), 1, -1):
            for attempt in range(ATTEMPTS):
                part = assign(self.y, self.unit, [1 / k] * k, stable_seed(seed, "cv", k, attempt))
                if all(self.rich(part, fold) for fold in range(k)):
                    return [self.fold(part, fold) for fold in range(k)], fewer(folds, k)
        raise self.impossible("2 folds")

    def untested(self, test: Tensor) -> list[Finding]:
        counts = torch.bincount(self.y[test], minlength=len(self.classes)).tolist()
        missing = [c for c, n in zip(self.classes, counts, strict=True) if n == 0]
        text = f"no test row is of class {listed([repr(c) for c in missing])}: nothing can be said about it"
        return [Finding("AM123", "warning", text, {"classes": missing})] if missing else []

    def impossible(self, what: str) -> DataError:
        text = f"{what}: no division leaves two rows of every class, of two {self.things()} or more, to learn from"
        alike = sum(row.kin >= 0 for row in self.rows)
        if 2 * alike > len(self.rows):
            text += f"; {alike:,} of {len(self.rows):,} rows are near duplicates of others, and such rows are never parted"
        return DataError(text, help="add rows of the small classes, or ask for fewer folds" + (f", {WITHOUT}" if self.group_aware else ""))


def given_fold(table: Table) -> tuple[list[Fold], list[Finding]]:
    """The dataset's own test split; training rows of one kin (or, if asked for, group) with a test row are left out."""
    test = torch.tensor([r.split == "test" for r in table.rows], dtype=torch.bool)
    sealed = {r.kin for r in table.rows if r.split == "test" and r.kin >= 0}
    kin = torch.tensor([r.split != "test" and r.kin in sealed for r in table.rows], dtype=torch.bool)
    tested = {g for g, t in zip(table.group, test.tolist(), strict=True) if t and g >= 0}
    group = torch.tensor([g in tested for g in table.group], dtype=torch.bool) & ~test
    out = kin | group if table.group_aware else kin
    findings = [*leak("AM121", kin, table, "too much like a test row (near duplicates); left out of training")]
    what = "left out of training" if table.group_aware else "kept: give --group to leave them out"
    findings += leak("AM122", group & ~kin, table, f"in a group that is also in the given test split ({what})")
    train = ~test & ~out
    counts = torch.bincount(table.y[train], minlength=len(table.classes)).tolist()
    few = [f"class '{c}' has {n} row{'s' * (n != 1)}" for c, n in zip(table.classes, counts, strict=True) if n < 2]
    if few:
        hint = "add rows of it, drop such classes with --drop-rare, or ask for a new split with --test 0.25"
        lost = int((out & ~test).sum())
        why = f" ({lost:,} rows of groups or near duplicates that are tested may not be learnt from)" if lost else ""
        raise DataError(f"{listed(few)} to learn from beside the given test split; 2 are needed{why}", help=hint)
    if not table.parted(train):
        hint = "add other rows to it, or ask for a new split with --test 0.25" + (f", {WITHOUT}" if table.group_aware else "")
        raise DataError(f"all rows to learn from beside the given test split are of one of the {table.things()}; two are needed", help=hint)
    ids = table.dataset.samples.key
    fold = Fold(train=tuple(sorted(ids[train].tolist())), test=tuple(sorted(ids[test].tolist())))
    return [fold], findings + table.untested(test)


def leak(code: str, mask: Tensor, table: Table, text: str) -> list[Finding]:
    ids = table.dataset.samples.key[mask].tolist()
    verb = "rows are" if len(ids) > 1 else "row is"
    return [Finding(code, "warning", f"{len(ids):,} training {verb} {text}", {"rows": ids})] if ids else []


def fewer(asked: int, k: int) -> list[Finding]:
    text = f"{k} folds instead of {asked}: the smallest class or the number of groups does not allow more"
    return [Finding("AM120", "warning", text, {"asked": asked, "folds": k})] if k < asked else []


def finish(dataset: Dataset, mode: Literal["given", "holdout", "cv"], folds: list[Fold], findings: list[Finding]) -> Split:
    content = [[(i, dataset.row(i).label, dataset.row(i).digest) for i in fold.test] for fold in folds]
    return Split(mode=mode, folds=tuple(folds), sealed=digest("sealed", content), findings=tuple(findings))


def listed(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def units(kin: list[int], group: list[int] | None = None) -> Int[Tensor, " n"]:
    """One number per row; rows linked by kin or group, directly or through other rows, share it. Codes below 0 link nothing."""
    links = chain(kin) + (chain(group) if group is not None else [])
    return torch.tensor(components(len(kin), links)[0], dtype=torch.long)


def chain(codes: list[int]) -> list[tuple[int, int]]:
    """Links between positions of the same code >= 0."""
    first: dict[int, int] = {}
    return [(first.setdefault(code, i), i) for i, code in enumerate(codes) if code >= 0]
