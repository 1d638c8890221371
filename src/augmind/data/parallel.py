"""Tables of texts beside their translations: every row read, cleaned, told apart, and split without leaks."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from augmind.core.errors import DataError, UsageError
from augmind.core.folds import assign
from augmind.core.run import Finding
from augmind.core.seeds import stable_seed
from augmind.core.store import digest
from augmind.modalities.text.read import NoText, read
from augmind.modalities.text.words import plain

from .listing import TABLES, named_column, numbered, open_table, splits_of
from .neighbours import components
from .remarks import delicate
from .sources import Columns, hidden, printable, split_of
from .split import listed

LEAST = 20
"""Pairs without which nothing is tried."""
LEAST_TEST, LEAST_TRAIN = 5, 10
HELD_OUT, MOST_TEST = 0.25, 500
"""Share of the pairs that is sealed where no test split is given, and how many at most."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One row as it was found: a text, its translation, and which rows it must not be parted from.

    `status`: "ok"; "corrupt" (a side cannot be read); "copy" (both sides are the same); "duplicate"; "leak" (a side is that of a test row).
    `unit`: rows of one number have a text or a translation in common, directly or through other rows.
    """

    id: int
    origin: str
    text: str = ""
    target: str = ""
    split: str = ""
    status: str = "ok"
    reason: str = ""
    unit: int = -1
    about: dict[str, list[str]] = field(default_factory=dict)
    """What looks personal and rude words, where a row was just read."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """All rows, good and bad, and what is to be said of them."""

    name: str
    rows: tuple[Pair, ...]
    findings: tuple[Finding, ...]

    @property
    def good(self) -> list[Pair]:
        return [r for r in self.rows if r.status == "ok"]


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """Ids of the rows to learn from and of those to test on; `hash` changes when a test row does."""

    mode: Literal["given", "holdout"]
    train: tuple[int, ...]
    test: tuple[int, ...]
    hash: str


def load(source: str | Path, *, text: str, target: str, split: str | None = None, max_bad: float = 0.2) -> Corpus:
    """The pairs of a table, or of the tables of a folder whose names say train, val and test.

    Rows with a side that cannot be read, copies and exact duplicates are set aside with their reasons. Raises `DataError` for a missing column, for
    too many unreadable rows and for too few pairs, `UsageError` where both columns are one.
    """
    if text == target:
        raise UsageError(f"--text and --target both name the column '{text}'", help="name the column of the texts and that of their translations")
    path = Path(source).expanduser()
    rows = [row for file in files(path) for row in table_rows(file, text, target, split, many=path.is_dir())]
    rows = [dataclasses.replace(row, id=i) for i, row in enumerate(rows)]
    name = printable(path.resolve().name if path.is_dir() else path.stem)
    refuse_unreadable(name, rows, max_bad)
    rows = linked(without_copies(rows))
    good = [r for r in rows if r.status == "ok"]
    if not good:
        raise DataError(f"every text of '{name}' is the same as its translation", help="name the columns of two languages with --text and --target")
    if len(good) < LEAST:
        raise DataError(f"'{name}' has {len(good)} usable pairs; at least {LEAST} are needed", help="add pairs, or look at the rows set aside")
    return Corpus(name=name, rows=tuple(rows), findings=tuple(remarks(rows, text, target)))


def files(path: Path) -> list[Path]:
    """The table, or those of a folder."""
    if not path.exists():
        raise DataError(f"there is no file or folder '{path}'", help="check the path")
    found = [path] if path.is_file() else sorted(f for f in path.iterdir() if f.suffix.lower() in TABLES and not hidden(f.name))
    if not found or found[0].suffix.lower() not in TABLES:
        text = f"'{printable(path.name)}' holds no table of texts and translations"
        raise DataError(text, help=f"give a file, or a folder of files, that end in {', '.join(TABLES)}")
    return found


def table_rows(file: Path, text: str, target: str, split: str | None, many: bool) -> list[Pair]:
    """The rows of one table in their order; where there are `many`, a table's name may say which split it is."""
    table = open_table(file)
    if "," in text and text not in table.columns:
        raise UsageError(f"--text names one column beside --target, not {text}", help=f"the translations are in '{target}'")
    columns = [named_column(table, name, role) for name, role in ((text, "text"), (target, "target"))]
    parts, _ = splits_of(table, Columns(split=split), split_of(file.stem) if many else "")
    out = [(n, Pair(id=0, origin=f"{table.name}:{n}", status="corrupt", reason=why)) for n, why in table.bad.items()]
    for number, part, *cells in zip(table.numbers, parts, *map(table.values, columns), strict=True):
        out.append((number, pair_of(f"{table.name}:{number}", part, *cells)))
    return [row for _, row in sorted(out, key=lambda item: item[0])]


def pair_of(origin: str, split: str, text: Any, target: Any) -> Pair:
    """One row, set aside where a side cannot be read or both are the same."""
    sides, about = dict[str, str](), dict[str, list[str]]()
    for name, cell in (("text", text), ("target", target)):
        try:
            found = read(cell)
            sides[name] = found.text
            about |= {key: sorted({*about.get(key, []), *found.facts[key]}) for key in ("personal", "abusive") if key in found.facts}
        except NoText as why:
            reason = f"the {'translation' if name == 'target' else 'text'}: {why}"
            return Pair(id=0, origin=origin, split=split, status="corrupt", reason=reason)
    if plain(sides["text"]) == plain(sides["target"]):
        reason = "the text is the same as its translation"
        return Pair(id=0, origin=origin, split=split, text=sides["text"], target=sides["target"], status="copy", reason=reason)
    return Pair(id=0, origin=origin, split=split, text=sides["text"], target=sides["target"], about=about)


def refuse_unreadable(name: str, rows: Sequence[Pair], max_bad: float) -> None:
    bad = [r for r in rows if r.status == "corrupt"]
    if not rows:
        raise DataError(f"'{name}' has no rows", help="a table needs a row of column names and rows below it")
    if len(bad) > max_bad * len(rows):
        first = "; ".join(f"{r.origin} ({r.reason})" for r in bad[:3])
        text = f"{len(bad)} of {len(rows)} rows of '{name}' cannot be read: {first}"
        raise DataError(text, help="repair or remove them, or allow more with --max-bad", code="DATA-002")


def without_copies(rows: list[Pair]) -> list[Pair]:
    """Exact duplicates set aside: the first stays, but for a test row, which stays instead of the others."""
    first: dict[tuple[str, str], Pair] = {}
    for row in sorted(rows, key=lambda r: (r.split != "test", r.id)):
        if row.status == "ok":
            first.setdefault((plain(row.text), plain(row.target)), row)
    out = []
    for row in rows:
        kept = first.get((plain(row.text), plain(row.target)), row)
        same = row.status == "ok" and kept is not row
        out.append(dataclasses.replace(row, status="duplicate", reason=f"same as {kept.origin}") if same else row)
    return out


def linked(rows: list[Pair]) -> list[Pair]:
    """Rows with a text or a translation in common get one unit."""
    holders: dict[tuple[str, str], int] = {}
    links = []
    for row in rows:
        if row.status == "ok":
            links += [(holders.setdefault(key, row.id), row.id) for key in (("text", plain(row.text)), ("target", plain(row.target)))]
    root, _ = components(len(rows), links)
    return [dataclasses.replace(row, unit=root[row.id]) if row.status == "ok" else row for row in rows]


def remarks(rows: Sequence[Pair], text: str, target: str) -> list[Finding]:
    """AM150 how it was read, AM151 rows set aside, AM128 and AM136 what looks personal and rude words."""
    out = [Finding("AM150", "info", f"read as texts from column '{text}' and translations from '{target}': {len(rows):,} rows")]
    told = {"corrupt": "could not be read", "copy": "have the same text on both sides", "duplicate": "are exact copies of rows that stay"}
    for status, what in told.items():
        some = [r for r in rows if r.status == status]
        if some:
            first = listed([f"{r.origin} ({r.reason})" for r in some], 3)
            level = "info" if status == "duplicate" else "warning"
            out.append(Finding("AM151", level, f"{len(some):,} rows set aside that {what}: {first}", {"rows": [r.id for r in some]}))
    return out + delicate([(r.id, r.origin, "", r.about) for r in rows if r.status == "ok"])


def beside_test(good: Sequence[Pair]) -> list[int]:
    """Ids of the rows outside the given test split that share a side with one in it."""
    tested = {r.unit for r in good if r.split == "test"}
    return [r.id for r in good if r.split != "test" and r.unit in tested]


def sealed(corpus: Corpus, test: float | None, seed: int) -> tuple[Corpus, Sealed]:
    """The corpus with training rows that share a side with a test row set aside (AM152), and which rows are which.

    A given test split is respected unless a fraction `test` is asked for; else a quarter of the pairs is held out, 500 at most. Rows of a unit are
    never parted. Raises `DataError` where too few rows are left on a side.
    """
    good = corpus.good
    given = [r for r in good if r.split == "test"]
    if given and test is None:
        out = set(beside_test(good))
        rows = tuple(
            dataclasses.replace(r, status="leak", reason="its text or translation is also that of a test row") if r.id in out else r
            for r in corpus.rows
        )
        told = f"{len(out):,} rows were left out of training: their text or translation is also that of a test row"
        findings = (*corpus.findings, *([Finding("AM152", "warning", told, {"rows": sorted(out)})] if out else []))
        corpus = dataclasses.replace(corpus, rows=rows, findings=findings)
        held = {r.id for r in given}
    else:
        share = test or min(HELD_OUT, MOST_TEST / len(good))
        held = set(part_of(good, share, stable_seed(seed, "sealed")))
    train, rest = [r for r in corpus.good if r.id not in held], [r for r in corpus.good if r.id in held]
    if len(train) < LEAST_TRAIN or len(rest) < LEAST_TEST:
        text = f"{len(train)} pairs would be left to learn from and {len(rest)} to test on; {LEAST_TRAIN} and {LEAST_TEST} are needed"
        raise DataError(text, help="add pairs, or choose another share with --test 0.25")
    own = digest("sealed", [(r.id, r.text, r.target) for r in rest])
    mode: Literal["given", "holdout"] = "given" if given and test is None else "holdout"
    return corpus, Sealed(mode=mode, train=tuple(r.id for r in train), test=tuple(r.id for r in rest), hash=own)


def part_of(rows: Sequence[Pair], share: float, seed: int) -> list[int]:
    """Ids of about this share of the rows; no unit is parted."""
    units = torch.tensor([r.unit for r in rows])
    part = assign(torch.zeros(len(rows), dtype=torch.long), units, [1 - share, share], seed)
    return [rows[i].id for i in part.nonzero()[:, 0].tolist()]


def monolingual(source: str, target: str, tested: set[str], known: set[str]) -> list[str]:
    """Sentences in the language of the translations: a text file of one a line, or the column `target` of a table. Those that a test row or a
    training pair has are left out, `tested` and `known` being as `plain` gives them. Raises `DataError` where none is left."""
    path = Path(source).expanduser()
    if not path.is_file():
        raise DataError(f"there is no file '{source}' for --unlabelled", help="give a text file of one sentence a line, or a table")
    out = dict[str, str]()
    for _, cell in numbered(path, lambda table: named_column(table, target, "target")):
        try:
            sentence = read(cell).text
        except NoText:
            continue
        if (key := plain(sentence)) not in tested and key not in known:
            out.setdefault(key, sentence)
    if not out:
        raise DataError(f"'{source}' holds no sentence that the corpus does not have already", help="give other sentences, or leave --unlabelled out")
    return list(out.values())
