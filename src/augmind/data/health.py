"""What a person wants to know about a dataset before anything is learnt from it: one record, three views of it."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from augmind.core.run import Finding
from augmind.core.types import Spec

from .dataset import Dataset, Row, alike
from .split import units
from .suspects import FEWEST, Suspect, label_errors, outliers

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

SKEW = 3.0
"""Largest class over smallest from which the imbalance is worth a finding."""
SHOWN = 20
"""Classes, and rows of each kind, in the table."""
NAMED = {"deep": "brightest value of 16 bits"}
"""What a codec calls a fact, in words."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """The state of a dataset that `clean` has been over. Ids are row ids; lists are worst first."""

    dataset: Dataset = dataclasses.field(repr=False)
    counts: dict[str, int]
    """Usable rows per class."""
    splits: dict[str, dict[str, int]]
    """Usable rows per given split ("" if none is given) and class."""
    sizes: dict[str, tuple[float, float, float]]
    """Smallest, median and largest value of every numeric fact of the rows, such as the width."""
    corrupt: tuple[Row, ...]
    unlabelled: tuple[Row, ...]
    duplicates: tuple[tuple[int, ...], ...]
    """Rows of one and the same content, used or set aside."""
    near: tuple[tuple[int, ...], ...]
    """Clusters of usable rows that are near duplicates."""
    outliers: tuple[Suspect, ...]
    label_errors: tuple[Suspect, ...]
    imbalance: float
    """Rows of the largest class per row of the smallest."""
    leaks: tuple[tuple[int, int], ...]
    """(row outside the given test split, row in it) of one content or nearly so."""
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        record = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "dataset"}
        for name in ("corrupt", "unlabelled"):
            record[name] = [{"id": r.id, "source": r.source, "reason": r.reason} for r in record[name]]
        for name in ("outliers", "label_errors", "findings"):
            record[name] = [dataclasses.asdict(item) for item in record[name]]
        for name in ("duplicates", "near", "leaks"):
            record[name] = [list(ids) for ids in record[name]]
        record["sizes"] = {NAMED.get(fact, fact): list(values) for fact, values in self.sizes.items()}
        return {"name": self.dataset.name, "rows": len(self.dataset.samples), **record}

    def table(self) -> "Group":
        """Tables for a terminal of 100 columns: the figures, the classes, the rows to look at, the findings."""
        from rich.console import Group

        parts = [self._figures(), self._classes()]
        suspects = self._suspects()
        if suspects.row_count:
            parts.append(suspects)
        if self.findings:
            parts.append(listed(self.findings))
        return Group(*parts)

    def __rich__(self) -> "Group":
        return self.table()

    def draw(self, path: Path) -> None:
        """A contact sheet as PNG: counts per class, examples, outliers, likely label errors and near duplicates with captions.

        Sounds are shown as spectrograms. Rows that are nothing to look at, such as texts, leave only the chart of counts.
        """
        from . import sheet

        sheet.draw(self, path)

    def _figures(self) -> "Table":
        copies = sum(len(ids) for ids in self.duplicates)
        together = sum(len(ids) for ids in self.near)
        spec = self.dataset.spec
        lines = {
            "usable rows": f"{len(self.dataset.samples):,} of {len(self.dataset.rows):,}",
            "classes": f"{len(self.counts):,}, largest : smallest = {self.imbalance:.1f} : 1",
            **(
                {f"shape of {part}": sized(side) for part, side in zip(spec.parts, spec.sides, strict=True)} if spec.sides else {"shape": sized(spec)}
            ),
            **{NAMED.get(fact, fact): f"{low:g} to {high:g}, median {middle:g}" for fact, (low, middle, high) in self.sizes.items()},
            "unreadable": f"{len(self.corrupt):,}",
            "unlabelled": f"{len(self.unlabelled):,}",
            "exact duplicates": f"{copies:,} rows of {len(self.duplicates):,} contents" if copies else "0",
            "near duplicates": f"{together:,} rows in {len(self.near):,} cluster{'s' * (len(self.near) > 1)}" if together else "0",
            "leaks into the test split": f"{len(self.leaks):,} pairs",
            "outliers": f"{len(self.outliers):,}",
            "likely label errors": f"{len(self.label_errors):,}",
        }
        return figures(self.dataset.name, lines)

    def _classes(self) -> "Table":
        from rich.table import Table
        from rich.text import Text

        names = sorted(self.splits)
        given = names != [""]
        table = Table(title="Classes", title_justify="left", width=100)
        table.add_column("class", overflow="fold", ratio=3)
        table.add_column("rows", justify="right", no_wrap=True)
        for name in names if given else []:
            table.add_column(Text(name or "no split"), justify="right", no_wrap=True)
        table.add_column("", ratio=4, no_wrap=True)
        top = max(self.counts.values(), default=1) or 1
        ranked = sorted(self.counts.items(), key=lambda item: -item[1])
        shown = ranked if len(ranked) <= SHOWN else ranked[: SHOWN // 2] + ranked[-SHOWN // 2 :]
        for k, (label, n) in enumerate(shown):
            if len(ranked) > SHOWN and k == SHOWN // 2:
                table.add_row(f"... {len(ranked) - SHOWN:,} classes between", "", *[""] * (len(names) if given else 0), "")
            cells = [f"{self.splits[name].get(label, 0):,}" for name in names] if given else []
            table.add_row(Text(label), f"{n:,}", *cells, "█" * max(round(30 * n / top), n > 0))
        return table

    def _suspects(self) -> "Table":
        from rich.table import Table
        from rich.text import Text

        table = Table(title="Rows to look at", title_justify="left", width=100)
        for name, ratio in (("why", 4), ("row", 7), ("label", 3), ("suggested", 3)):
            table.add_column(name, overflow="fold", ratio=ratio)
        for why, rows in (("likely label error", self.label_errors), ("outlier", self.outliers)):
            for s in rows[: SHOWN // 2]:
                table.add_row(why, *map(Text, (s.source, s.label, s.suggested)))
            if len(rows) > SHOWN // 2:
                table.add_row(why, f"... and {len(rows) - SHOWN // 2:,} more", "", "")
        for row in self.corrupt[: SHOWN // 2]:
            table.add_row("unreadable", Text(f"{row.source}: {row.reason}"), Text(row.label), "")
        return table


def sized(spec: Spec) -> str:
    """How large a row is."""
    return f"up to {spec.shape[0]:,} bytes" if spec.kind == "tokens" else " x ".join(map(str, spec.shape))


def figures(name: str, lines: dict[str, str]) -> "Table":
    """What is counted, a line each."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(f"Health of {name}", style="italic"), show_header=False, title_justify="left", width=100)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold", ratio=1)
    for what, value in lines.items():
        table.add_row(Text(what), Text(value))
    return table


def listed(findings: Sequence[Finding]) -> "Table":
    """Findings for a terminal of 100 columns."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Findings", title_justify="left", width=100)
    table.add_column("code", no_wrap=True)
    table.add_column("level", no_wrap=True)
    table.add_column("finding", overflow="fold")
    colour = {"info": "cyan", "warning": "yellow", "problem": "red"}
    for f in findings:
        table.add_row(f.code, Text(f.level, style=colour.get(f.level, "white")), Text(f.text))
    return table


def health(dataset: Dataset, *, seed: int = 0, features: Float[Tensor, "n d"] | None = None) -> Health:
    """Looks at every row of a cleaned dataset; `features` of the usable rows are computed by the codec if not given.

    Adds the findings AM130 imbalance, AM131 outliers, AM132 likely label errors, AM133 leaks between the given splits,
    AM134 classes too small to be judged.
    """
    samples, classes = dataset.samples, dataset.spec.classes
    rows = [dataset.row(int(k)) for k in samples.key]
    z = dataset.codec.embed(samples.x) if features is None else features
    unit = units([r.kin for r in rows])
    strange = tuple(suspect(rows[i], score) for i, score in outliers(z, samples.y, seed))
    wrong = tuple(suspect(rows[i], p, classes[k]) for i, k, p in label_errors(z, samples.y, unit, seed))
    counts = dict(zip(classes, samples.counts(len(classes)).tolist(), strict=True))
    imbalance = max(counts.values()) / max(1, min(counts.values()))
    leaks = leaking(dataset.rows)
    found = remarks(counts, imbalance, strange, wrong, leaks)
    return Health(
        dataset=dataset,
        counts=counts,
        splits=per_split(rows),
        sizes=sizes(rows),
        corrupt=tuple(r for r in dataset.rows if r.status == "corrupt"),
        unlabelled=tuple(r for r in dataset.rows if r.status == "unlabelled"),
        duplicates=clusters({r.id: r.digest for r in dataset.rows if r.digest}),
        near=alike(rows),
        outliers=strange,
        label_errors=wrong,
        imbalance=imbalance,
        leaks=leaks,
        findings=dataset.findings + tuple(found),
    )


def suspect(row: Row, score: float, suggested: str = "") -> Suspect:
    return Suspect(id=row.id, source=row.source, label=row.label, score=round(score, 4), suggested=suggested)


def per_split(rows: list[Row]) -> dict[str, dict[str, int]]:
    out: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        out[row.split][row.label] += 1
    return {name: dict(counts) for name, counts in out.items()}


def sizes(rows: list[Row]) -> dict[str, tuple[float, float, float]]:
    """Smallest, median and largest of every fact that is a number; what `clean` noted is left out."""
    facts: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, value in row.about.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and name != "outlier":
                facts[name].append(float(value))
    return {name: (min(v), sorted(v)[len(v) // 2], max(v)) for name, v in facts.items()}


def clusters(codes: dict[int, Any]) -> tuple[tuple[int, ...], ...]:
    """Ids that share a code, largest cluster first."""
    members: dict[Any, list[int]] = defaultdict(list)
    for row, code in codes.items():
        members[code].append(row)
    return tuple(sorted((tuple(ids) for ids in members.values() if len(ids) > 1), key=lambda ids: (-len(ids), ids)))


def leaking(rows: tuple[Row, ...]) -> tuple[tuple[int, int], ...]:
    """Pairs (outside, inside the given test split) of one digest or one kin."""
    tests: dict[Any, list[int]] = defaultdict(list)
    for row in rows:
        if row.split == "test":
            for code in {row.digest or None, row.kin if row.kin >= 0 else None} - {None}:
                tests[code].append(row.id)
    pairs = {(r.id, t) for r in rows if r.split != "test" for code in (r.digest, r.kin) if code != "" and code != -1 for t in tests.get(code, [])}
    return tuple(sorted(pairs))


def remarks(
    counts: dict[str, int], imbalance: float, strange: tuple[Suspect, ...], wrong: tuple[Suspect, ...], leaks: tuple[tuple[int, int], ...]
) -> list[Finding]:
    out: list[Finding] = []
    if imbalance >= SKEW:
        least, most = min(counts, key=lambda c: counts[c]), max(counts, key=lambda c: counts[c])
        text = f"classes are imbalanced: '{most}' has {counts[most]:,} rows, '{least}' {counts[least]:,}"
        out.append(Finding("AM130", "warning", text, {"ratio": round(imbalance, 2)}))
    if strange:
        text = f"{len(strange):,} outlier{'s' * (len(strange) > 1)}: unlike the other rows of the class (kept)"
        out.append(Finding("AM131", "info", text, {"rows": [s.id for s in strange]}))
    if wrong:
        text = f"{len(wrong):,} label{'s look' if len(wrong) > 1 else ' looks'} doubtful (kept as given): look at them before you trust a gain"
        out.append(Finding("AM132", "warning", text, {"rows": [s.id for s in wrong]}))
    if leaks:
        train = len({a for a, _ in leaks})
        text = f"{train:,} row{'s' * (train > 1)} outside the given test split stand{'s' * (train == 1)} in it too, exactly or nearly"
        out.append(Finding("AM133", "warning", text, {"pairs": [list(pair) for pair in leaks]}))
    small = [c for c, n in counts.items() if n < FEWEST]
    if small:
        text = f"{len(small):,} class{'es have' if len(small) > 1 else ' has'} fewer than {FEWEST} rows: no label error or outlier can be told"
        out.append(Finding("AM134", "info", text, {"classes": small}))
    return out
