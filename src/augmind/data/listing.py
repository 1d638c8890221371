"""Tables that list files or hold texts: which files are tables, which of their columns mean what, and a row of the table as an entry."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any

from augmind.core.decoding import CannotRead, File
from augmind.core.errors import DataError, UsageError, unknown

from .sources import FRAME, SPLITS, Columns, Entry, Found, Several, Text, printable, tidy
from .table import Table

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".arrow", ".feather")
FILE_NAMES = (
    *("image", "img", "picture", "photo", "path", "file", "filename", "file_name", "filepath", "file_path"),
    *("image_path", "img_path", "image_file", "image_bytes", "bytes", "jpg", "png"),
    *("audio", "sound", "clip", "recording", "wav", "audio_path", "audio_file", "sound_path", "sound_file"),
)
LABEL_NAMES = ("label", "labels", "class", "target", "y", "category", "class_name", "label_name", "fine_label")
TEXT_NAMES = (
    *("text", "texts", "sentence", "sentences", "review", "reviews", "comment", "tweet", "message", "utterance", "question", "headline"),
    *("document", "article", "content", "description", "body", "title"),
)
MEDIA = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".pgm", ".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif"})
"""Endings of files that a second column may name."""
GROUP_NAMES = ("group", "speaker", "speaker_id", "subject", "subject_id", "patient", "patient_id", "participant", "user_id", "recording", "site")
"""Columns that may say which rows have something in common; they are named to the reader, never taken unasked."""
TRAITS, KINDS, WORDS = 24, 50, 60
"""Columns that are kept as traits of a row, how many values one may have, and how many letters a value."""
SPLIT_NAMES = ("split", "subset", "partition", "set")


def fits(path: Path, columns: Columns, root: Path) -> bool:
    """Whether a table has a column of texts, or of files of which the first exists, and one of labels."""
    try:
        table = open_table(path)
        contents, _, texts = _roles(table, columns)
        return bool(table.numbers) and (texts or not isinstance(_fetch(table, contents[0], 0, path.parent, root), CannotRead))
    except DataError:
        return False


def open_table(path: Path) -> Table:
    from .readers import CsvTable, JsonTable, arrow_table

    match path.suffix.lower():
        case ".csv" | ".tsv":
            return CsvTable(path)
        case ".json" | ".jsonl" | ".ndjson":
            return JsonTable(path)
        case _:
            return arrow_table(path)


def table_entries(path: Path, columns: Columns, *, root: Path, split: str = "") -> Found:
    """The rows of a table. Files are found relative to the table's folder and must lie inside `root`."""
    return entries_of(open_table(path), columns, home=path.parent, root=root, split=split)


def named_files(path: Path, column: str | None) -> list[Path]:
    """The files that a table names as its rows, there or not; none if it holds what would be in them."""
    table = open_table(path)
    named, texts = _content(table, Columns(file=column))
    if texts:
        return []
    values = [v for c in named if table.texts(c) for v in table.values(c)]
    return [_placed(path.parent, v) for v in values if isinstance(v, str) and v and "://" not in v and "\0" not in v]


def _placed(home: Path, value: str) -> Path:
    """The file of a path in a table; a Windows path is one too."""
    path = home / value
    return home / PureWindowsPath(value).as_posix() if "\\" in value and not path.exists() else path


def entries_of(table: Table, columns: Columns, *, home: Path | None, root: Path | None, split: str = "") -> Found:
    """The rows of any table; `split` is theirs where no column says otherwise. Without `home`, no row may be a path."""
    contents, label, texts = _roles(table, columns)
    column = contents[0]
    group = _named(table, columns.group, "group", ()) if columns.group else None
    labels = _labels(table, label)
    splits, split_column = splits_of(table, columns, split)
    groups = ["" if g is None else str(g) for g in table.values(group)] if group else [""] * len(labels)
    words = _spoken(table, columns.says, contents) if columns.says else None
    says = ["" if w is None else str(w).strip() for w in table.values(words)] if words else [""] * len(labels)
    traits = traits_of(table, (*contents, label, split_column, words))
    entries = [Entry(source=f"{table.name}:{n}", status="corrupt", reason=why) for n, why in table.bad.items()]
    whole = [table.texts(c) for c in contents]
    cells = list(zip(*(table.values(c) for c in contents), strict=True)) if texts else []
    for i, number in enumerate(table.numbers):
        row = Entry(source=f"{table.name}:{number}", label=labels[i], split=splits[i], group=groups[i], says=says[i], traits=traits[i])
        fetch = [partial(_fetch, table, c, i, home, root) for c in contents]
        entries.append(_with(row, Text(cells[i], contents) if texts else _file(fetch, whole)))
    entries.sort(key=lambda e: int(e.source.rpartition(":")[2]))
    told = f"{'text' if texts else 'file'} from column '{column}'"
    told = f"{'pairs of texts' if texts else 'pairs of files'} from columns '{column}' and '{contents[1]}'" if len(contents) > 1 else told
    how = f"table {table.name}: {told}, label from '{label}'"
    how += f", split from '{split_column}'" if split_column else f", split '{split}' by its name" if split else ""
    how += f", group from '{group}'" if group else ""
    free = (c for c in table.columns if c not in (*contents, label, split_column, words) and c.lower() in GROUP_NAMES)
    apart = next(free, "") if group is None else ""
    how += f"; --group {apart} would keep rows of one '{apart}' on one side of every split" if apart else ""
    silent = sum(not said for said in says) if words else 0
    how += f", what is said from '{words}'{f', which is empty in {silent:,} of {len(says):,} rows' if silent else ''}" if words else ""
    made = ("source",) if {"synthetic", "generator"} <= set(table.columns) else ()  # where a row of an exported dataset came from
    others = [c for c in table.columns if c not in (column, label, group, split_column, words, *made) and names_files(table, c)]
    if len(contents) == 1 and not texts and columns.file is None and others:
        how += f"; '{others[0]}' names files too: --column {column},{others[0]} takes both as one row"
    return Found(entries=entries, how=how)


def has(path: Path, **named: str | None) -> dict[str, str]:
    """Of columns that are named for one dataset those that another one has too, which may be no table at all."""
    columns = open_table(path).columns if path.suffix.lower() in TABLES and path.is_file() else ()
    return {what: name for what, name in named.items() if name and name in columns}


def loose_rows(path: Path, label: str, column: str | None = None) -> list[Entry]:
    """The rows of a table of files under one label, whatever other columns say, each file once and by its name; none if the table holds texts.

    The files stand in `column` where there is one of that name.
    """
    table, home = open_table(path), path.parent
    contents, texts = _content(table, Columns(file=column if column in table.columns else None))
    if texts:
        return []
    whole, found = [table.texts(c) for c in contents], dict[str, Entry]()
    for i, number in enumerate(table.numbers):
        content = _file([partial(_fetch, table, c, i, home, home) for c in contents], whole)
        source = printable(content.relative_to(home).as_posix()) if isinstance(content, Path) else f"{table.name}:{number}"
        found.setdefault(source, _with(Entry(source=source, label=label), content))
    return list(found.values())


def traits_of(table: Table, used: Sequence[str | None]) -> list[dict[str, str]]:
    """What further columns say of each row, row by row: columns of `KINDS` values at most, of which one stands for several rows."""
    out: list[dict[str, str]] = [{} for _ in table.numbers]
    kept = 0
    for column in (c for c in table.columns if c not in used and table.small(c)):
        if kept < TRAITS and (cells := _of_few_kinds(table.values(column), table.classes(column))):
            kept += 1
            for row, cell in zip(out, cells, strict=True):
                row |= {column: cell} if cell else {}
    return out


def _of_few_kinds(values: list[Any], names: list[str] | None) -> list[str]:
    """The cells of a column as texts, numbers of classes by their names; none where they are no words, too many or too few."""
    cells, kinds = list[str](), set[str]()
    for value in values:
        if isinstance(value, list | dict | bytes):
            return []
        named = names and isinstance(value, int) and 0 <= value < len(names)
        cells.append("" if value is None or value != value else names[value] if names and named else str(value).strip())
        kinds.add(cells[-1])
        if len(kinds) > KINDS or len(cells[-1]) > WORDS:
            return []
    return cells if 2 <= len(kinds - {""}) <= len(cells) // 2 else []


def _spoken(table: Table, wanted: str, contents: Sequence[str]) -> str:
    """The column of what is said. Raises `DataError` where there is none such, `UsageError` where it is that of the files."""
    if wanted not in table.columns:
        known = ", ".join(f"'{c}'" for c in table.columns)
        raise DataError(f"'{table.name}' has no column '{wanted}'", help=f"its columns are {known}; {FRAME}")
    if wanted in contents:
        raise UsageError(f"--say {wanted} names the column of the files themselves", help="name the column of the words that are said in them")
    return _named(table, wanted, "say", ())


def names_files(table: Table, column: str) -> bool:
    """Whether the first value of a column is the name of a picture or sound."""
    values = table.values(column) if table.texts(column) else []
    return bool(values) and isinstance(values[0], str) and Path(values[0]).suffix.lower() in MEDIA


def _file(fetch: Sequence[Callable[[], File]], whole: Sequence[bool]) -> Any:
    """The content of a row of one file or of several: read now where the column is read whole, else when its turn comes."""
    found = [get() if now else get for get, now in zip(fetch, whole, strict=True)]
    if len(found) == 1:
        return found[0]
    missing = next((one for one in found if isinstance(one, CannotRead)), None)
    return missing or Several(tuple(_held(one) if isinstance(one, bytes) else one for one in found if not isinstance(one, CannotRead)))


def _held(data: bytes) -> Callable[[], File]:
    """Bytes that are at hand as what fetches them."""
    return lambda: data


def _with(row: Entry, content: Any) -> Entry:
    if isinstance(content, CannotRead):
        return replace(row, status="corrupt", reason=str(content))
    if isinstance(content, bytes):
        return replace(row, content=lambda: content)
    row = replace(row, content=content)
    return row if row.label else replace(row, status="unlabelled", reason="no label")


def _fetch(table: Table, column: str, i: int, home: Path | None, root: Path | None) -> File:
    """The file of row i as bytes or as a path inside `root`; `CannotRead`, returned, says why there is none."""
    value = table.cell(column, i)
    if isinstance(value, dict):
        value = value.get("bytes") if value.get("bytes") is not None else value.get("path")
    if isinstance(value, bytes):
        return value
    if value is None or value == "":
        return CannotRead("no file is given")
    if not isinstance(value, str):
        raise DataError(f"column '{column}' of '{table.name}' holds {type(value).__name__}, not paths or bytes", help="name another with --column")
    if "://" in value:
        return CannotRead(f"'{printable(value)}' is a web address; only files are read")
    if home is None or root is None:
        return CannotRead(f"'{printable(value)}' is a path, and this dataset has no files beside it")
    try:
        path = _placed(home, value)
        if not path.resolve().is_relative_to(root.resolve()):
            return CannotRead(f"'{printable(value)}' lies outside the dataset's folder")
        return path if path.is_file() else CannotRead(f"no such file '{printable(value)}'")
    except (OSError, ValueError, RuntimeError) as error:
        return CannotRead(f"'{printable(value)[:80]}' is not a usable path: {error}")


def _roles(table: Table, columns: Columns) -> tuple[tuple[str, ...], str, bool]:
    """The columns of contents and labels: as the user says, by their usual names, by their type; and whether contents are texts."""
    contents, texts = _content(table, columns)
    return contents, _named(table, columns.label, "label", LABEL_NAMES), texts


def _content(table: Table, columns: Columns) -> tuple[tuple[str, ...], bool]:
    """The column of files or, where there is none or the user says so, of texts, two of pairs; and whether it holds texts."""
    if columns.text is not None:
        return tuple(_named(table, c, "text", ()) for c in _sides(table, columns.text)), True
    typed = table.media()
    known = {c.strip().lower() for c in table.columns}
    if columns.file is None and not typed and not known & set(FILE_NAMES) and known & set(TEXT_NAMES):
        return (_named(table, None, "text", TEXT_NAMES),), True
    if columns.file is not None and columns.file not in table.columns and "," in columns.file:
        return tuple(_named(table, c, "picture or sound", ()) for c in _two(columns.file)), False
    if columns.file is None and (both := _both(table, typed)):
        return both, False
    return (_named(table, columns.file or (typed[0] if len(typed) == 1 else None), "picture or sound", FILE_NAMES),), False


def text_column(table: Table, named: str | None) -> str:
    """The column of single texts: the one that is `named` where the table has it, else one that is called as such columns are, else the only one."""
    if named in table.columns:
        return str(named)
    known = [c for c in table.columns if c.strip().lower() in TEXT_NAMES]
    return table.columns[0] if len(table.columns) == 1 and not known else _named(table, None, "text", TEXT_NAMES)


def numbered(path: Path, column: Callable[[Table], str]) -> list[tuple[int, Any]]:
    """The cells of a table's column, or the lines of a text file that are not empty, each with its number."""
    from .readers import utf8

    if path.suffix.lower() in TABLES:
        table = open_table(path)
        return list(zip(table.numbers, table.values(column(table)), strict=True))
    return [(i, line) for i, line in enumerate(utf8(path).splitlines(), 1) if line.strip()]


def _sides(table: Table, text: str | tuple[str, ...]) -> tuple[str, ...]:
    """The columns that `--text` names: "a,b" are two, unless that is the name of one. Raises `UsageError` for more than two, and for one twice."""
    if isinstance(text, str):
        text = (text,) if text in table.columns else tuple(part.strip() for part in text.split(","))
    if not 1 <= len(text) <= 2:
        raise UsageError(f"--text {','.join(text)} names {len(text)} columns", help="a row has one text, or two that make a pair")
    if len(set(text)) < len(text):
        raise UsageError(f"--text names '{text[0]}' twice", help="name the two columns of a pair")
    return text


def _both(table: Table, typed: list[str]) -> tuple[str, ...]:
    """The columns of pictures and of their sounds in a table as `export` and `datasets` write it; none in others."""
    named = ("image_file_name", "audio_file_name")
    return ("image", "audio") if sorted(typed) == ["audio", "image"] else named if set(named) <= set(table.columns) else ()


def _two(names: str) -> list[str]:
    """The columns of "a,b". Raises `UsageError` where these are not two."""
    found = [part.strip() for part in names.split(",")]
    if len(set(found)) != 2:
        raise UsageError(f"--column {names} does not name two columns", help="a row has one file, or a picture and a sound: --column image,sound")
    return found


def named_column(table: Table, name: str, role: str) -> str:
    """The column of this name. Raises `DataError` where there is none, or more than one."""
    return _named(table, name, role, ())


def _named(table: Table, wanted: str | None, role: str, usual: tuple[str, ...]) -> str:
    known = ", ".join(f"'{c}'" for c in table.columns) or "none"
    flag = {"picture or sound": "--column or, for texts, --text"}.get(role, f"--{role}")
    if wanted is not None and wanted not in table.columns:
        hint = unknown("column", wanted, table.columns).help.partition("known:")[0]
        raise DataError(f"'{table.name}' has no column '{wanted}'", help=f"{hint}its columns are {known}")
    if wanted is None:
        lower = {c.strip().lower(): c for c in reversed(table.columns)}
        wanted = next((lower[u] for u in usual if u in lower), None)
    if wanted is None:
        raise DataError(f"'{table.name}' has no {role} column", help=f"its columns are {known}; name one with {flag}")
    if table.columns.count(wanted) > 1:
        raise DataError(f"'{table.name}' has {table.columns.count(wanted)} columns named '{wanted}'", help="rename all but one")
    return wanted


def splits_of(table: Table, columns: Columns, default: str) -> tuple[list[str], str]:
    """The split of each row, and the column that tells it if one does."""
    lower = {c.strip().lower(): c for c in table.columns}
    column = _named(table, columns.split, "split", ()) if columns.split else next((lower[s] for s in SPLIT_NAMES if s in lower), None)
    if column is None:
        return [default] * len(table.numbers), ""
    values = ["" if v is None else str(v).strip() for v in table.values(column)]
    strange = sorted({v for v in values if v and v.lower() not in SPLITS})
    if strange and columns.split:
        raise DataError(f"column '{column}' of '{table.name}' holds '{strange[0]}', which is no split", help="splits are train, val and test")
    if strange:
        return [default] * len(table.numbers), ""
    return [SPLITS.get(v.lower(), default) for v in values], column


def _labels(table: Table, column: str) -> list[str]:
    names = table.classes(column)
    labels = [label_text(v, names, f"column '{column}' of '{table.name}'") for v in table.values(column)]
    whole = [re.fullmatch(r"-?\d+(\.0+)?", x) for x in labels if x]
    if whole and all(whole) and any(m and m[1] for m in whole):
        labels = [x.partition(".")[0] for x in labels]
    return labels


def label_text(value: Any, names: list[str] | None, where: str) -> str:
    """A label as text; "" if it is missing (None, NaN, "", -1 of named classes). Raises `DataError` for what is no class."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if names is not None and isinstance(value, int):
        return tidy(names[value]) if 0 <= value < len(names) else ""
    if isinstance(value, float):
        if not value.is_integer():
            raise DataError(f"{where} holds {value:g}: a number to predict, not a class", help="name the column of classes with --label")
        return str(int(value))
    if isinstance(value, str | int):
        return tidy(str(value))
    if isinstance(value, bytes):
        return tidy(value.decode("utf-8", "backslashreplace"))
    raise DataError(f"{where} holds a {type(value).__name__}; one class a row is needed", help="name another column with --label")
