"""Sets aside what a dataset holds twice or contradicts itself about, and marks which rows must never be parted."""

import dataclasses
from collections import Counter, defaultdict

import torch

from augmind.core.errors import DataError
from augmind.core.run import Finding
from augmind.core.types import Codec, Spec

from .dataset import Dataset, Row, alike
from .neighbours import Neighbours, components, neighbours, robust_z, rule_for

LONELY = 5.0
"""Robust z of a row's mean distance to its five nearest rows from which it is called an outlier."""


def clean(dataset: Dataset) -> Dataset:
    """Removes exact duplicates and label conflicts, links near duplicates by `Row.kin`, flags outliers. No row is lost: those set
    aside stay in `rows` with status "duplicate" and a reason. Cleaning twice changes nothing more.

    Exact duplicates (one digest): the first row stays, later ones are set aside; rows that disagree about the label are all set
    aside, for nobody can tell which one is right; a train or val row whose content is also in the given test split is set aside.
    Near duplicates stay and share a number; texts of the same words in the same order always do, whatever their case, signs and spaces.
    Findings: AM110 duplicates, AM111 label conflicts, AM112 copies of test rows, AM113 near duplicates, AM114 a cluster was cut at its
    cap, AM115 outliers, AM116 rows without content.
    """
    rows, sure, findings = without_copies(list(dataset.rows))
    dataset = dataset.with_rows(rows, tuple(findings))
    if len(dataset.samples) == 0:
        first = next(f"{row.source}: {row.reason}" for row in dataset.rows if row.reason)
        raise DataError(f"'{dataset.name}': no row is left after cleaning, the first {first}", help="augmind inspect tells the reason of each row")
    near = neighbours(dataset.samples.x, dataset.spec, dataset.codec)
    key = dataset.samples.key.tolist()
    pairs = [(key[i], key[j]) for i, j, _ in near.pairs(rule_for(dataset.spec))]
    sure += [(key[i], key[j]) for i, j, distance in near.links if distance == 0]
    rows, refused = with_kin(rows, sure, pairs)
    rows, lonely = with_outliers(rows, key, near)
    return dataset.with_rows(rows, tuple(kin_findings(rows, refused, len(near.distance)) + lonely))


def without_copies(rows: list[Row]) -> tuple[list[Row], list[tuple[int, int]], list[Finding]]:
    """Rows with exact copies set aside, the pairs of ids that are copies of each other, and what was found."""
    same: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.status == "ok" and row.digest:
            same[row.digest].append(row)
    out, pairs, told = list(rows), [], {"AM110": [], "AM111": [], "AM112": []}
    for copies in same.values():
        if len(copies) == 1:
            continue
        pairs += [(copies[0].id, other.id) for other in copies[1:]]
        for row, code, reason in verdicts(copies):
            out[row.id] = dataclasses.replace(row, status="duplicate", reason=reason)
            told[code].append(row.id)
    return out, pairs, [finding for code, ids in told.items() if ids for finding in [copy_finding(code, ids)]]


def verdicts(copies: list[Row]) -> list[tuple[Row, str, str]]:
    """Which of these rows of one content are set aside: (row, code of the finding, reason)."""
    tests = [r for r in copies if r.split == "test"]
    out: list[tuple[Row, str, str]] = []
    if tests and len(tests) < len(copies):
        for row in copies:
            if row.split != "test":
                other = "" if row.label == tests[0].label else f", which is labelled '{tests[0].label}'"
                out.append((row, "AM112", f"same content as the test row {tests[0].source}{other}"))
        copies = tests
    if len({r.label for r in copies}) > 1:
        for row in copies:
            other = next(r for r in copies if r.label != row.label)
            out.append((row, "AM111", f"same content as {other.source}, but labelled '{row.label}' here and '{other.label}' there"))
        return out
    return out + [(row, "AM110", f"same as {copies[0].source}") for row in copies[1:]]


def copy_finding(code: str, ids: list[int]) -> Finding:
    n = f"{len(ids):,} row{'s' * (len(ids) > 1)}"
    level, text = {
        "AM110": ("info", f"{n} set aside: exact copies of rows that stay"),
        "AM111": ("warning", f"{n} set aside: the same content under different labels"),
        "AM112": ("warning", f"{n} set aside: their content is also in the given test split"),
    }[code]
    return Finding(code, level, text, {"rows": ids})


def with_kin(rows: list[Row], sure: list[tuple[int, int]], near: list[tuple[int, int]]) -> tuple[list[Row], int]:
    """Numbers the clusters of linked rows in `Row.kin`; near pairs stop joining at a cluster of a twentieth of the rows (20 at least)."""
    known: dict[int, int] = {}
    for row in rows:
        if row.kin >= 0:
            sure = [*sure, (known.setdefault(row.kin, row.id), row.id)]
    first, _ = components(len(rows), sure)
    cap = max(20, len(rows) // 20, max(Counter(first).values(), default=0))
    root, refused = components(len(rows), [*((first[i], i) for i in range(len(rows))), *near], cap)
    members = Counter(root)
    number = {r: k for k, r in enumerate(sorted(r for r, size in members.items() if size > 1))}
    return [dataclasses.replace(row, kin=number.get(root[row.id], -1)) for row in rows], refused


def kin_findings(rows: list[Row], refused: int, n: int) -> list[Finding]:
    out: list[Finding] = []
    if clusters := alike(rows):
        count = sum(map(len, clusters))
        text = f"{count:,} of {n:,} rows are near duplicates of another row ({len(clusters):,} cluster{'s' * (len(clusters) > 1)})"
        text += "; they are kept on one side of every split"
        out.append(Finding("AM113", "info", text, {"clusters": [list(ids) for ids in clusters]}))
    if refused:
        text = "many rows are nearly the same; a cluster of near duplicates was cut, so a few of them may stand on both sides of a split"
        out.append(Finding("AM114", "warning", text, {"links": refused}))
    return out


def with_outliers(rows: list[Row], key: list[int], near: Neighbours) -> tuple[list[Row], list[Finding]]:
    """Flags rows far from all others (`about["outlier"]`, a robust z) and rows without content (`about["flat"]`); none is removed."""
    known = {i for ids in alike(rows) for i in ids}
    linked = torch.tensor([i in known for i in key], dtype=torch.bool)
    alone = near.loneliness().masked_fill(linked, torch.nan)
    rows, z = list(rows), robust_z(alone.clamp(min=1e-6).log()).nan_to_num(0.0).tolist()
    lonely, flat = [i for i, score in enumerate(z) if score >= LONELY], near.flat.nonzero()[:, 0].tolist()
    for i in lonely:
        rows[key[i]] = dataclasses.replace(rows[key[i]], about={**rows[key[i]].about, "outlier": round(z[i], 2)})
    for i in flat:
        rows[key[i]] = dataclasses.replace(rows[key[i]], about={**rows[key[i]].about, "flat": True})
    out: list[Finding] = []
    if lonely:
        text = f"{len(lonely):,} row{'s are' if len(lonely) > 1 else ' is'} unlike all others (kept): look at them"
        out.append(Finding("AM115", "info", text, {"rows": [key[i] for i in lonely]}))
    if flat:
        text = (
            f"{len(flat):,} row{'s have' if len(flat) > 1 else ' has'} no content (all values about the same): near duplicates of them cannot be told"
        )
        out.append(Finding("AM116", "warning", text, {"rows": [key[i] for i in flat]}))
    return rows, out


def drop_rare(dataset: Dataset) -> Dataset:
    """Without the classes that have too few rows to be split; labels are renumbered, the rows set aside as "unlabelled".

    A class needs two rows to learn from, and a third to be tested on unless the dataset gives a test split (then rows outside
    it are counted). Raises `DataError` if under two classes remain. Finding: AM117.
    """
    counts, least = countable(dataset)
    names = dataset.spec.classes
    keep = [k for k, n in enumerate(counts) if n >= least]
    if len(keep) == len(names):
        return dataset
    if len(keep) < 2:
        few = ", ".join(f"'{names[k]}' ({n})" for k, n in enumerate(counts) if n < least)
        raise DataError(f"under two classes have {least} rows or more; too few rows: {few}", help="add rows to these classes")
    gone = {names[k] for k in range(len(names)) if k not in keep}
    left = {int(i) for i, y in zip(dataset.samples.key, dataset.samples.y, strict=True) if int(y) not in keep}
    reason = f"its class has fewer than {least} rows{' beside the given test split' if least == 2 else ''} and was dropped"
    rows = [dataclasses.replace(r, status="unlabelled", reason=reason) if r.id in left else r for r in dataset.rows]
    text = f"{len(gone)} class{'es' * (len(gone) > 1)} dropped for want of rows: {', '.join(sorted(gone))}"
    dataset = dataset.with_rows(rows, (Finding("AM117", "warning", text, {"classes": sorted(gone), "rows": sorted(left)}),))
    spec = dataclasses.replace(dataset.spec, classes=tuple(names[k] for k in keep))
    samples = dataclasses.replace(dataset.samples, y=torch.tensor([keep.index(int(y)) for y in dataset.samples.y]))
    return dataclasses.replace(dataset, spec=spec, samples=samples, codec=codec_for(dataset.codec, spec))


def countable(dataset: Dataset) -> tuple[list[int], int]:
    """Rows per class outside the given test split, and how many a class needs."""
    train = torch.tensor([dataset.row(int(k)).split != "test" for k in dataset.samples.key], dtype=torch.bool)
    counts = dataset.samples.take(train).counts(len(dataset.spec.classes)).tolist()
    return counts, 3 if bool(train.all()) else 2


def codec_for(codec: Codec, spec: Spec) -> Codec:
    """The same codec for another list of classes, where it holds one."""
    if dataclasses.is_dataclass(codec) and any(f.name == "spec" for f in dataclasses.fields(codec)):
        return dataclasses.replace(codec, spec=spec)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return codec
