"""CSV, JSON, Parquet and Arrow files as tables. Text must be UTF-8; a row that cannot be read is set aside by its number."""

import bisect
import contextlib
import csv
import io
import json
import re
import shlex
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from augmind.core.errors import DataError

from .sources import printable
from .table import Table

SNIFFED = 2**18
"""Bytes from which an encoding is guessed."""
SAVE = "save it as UTF-8 (in a spreadsheet: 'CSV UTF-8')"


def utf8(path: Path) -> str:
    """The text of a file, UTF-8 or with a byte order mark UTF-16, without that mark. Raises `DataError` for other encodings and for zero bytes."""
    data = path.read_bytes()
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        if wide:
            raise DataError(f"'{path.name}' begins like UTF-16 text and is none (byte {error.start + 1})", help=SAVE) from error
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"'{path.name}' is not UTF-8 text (byte 0x{data[error.start]:02x} in line {line})", help=saving(data, path.name)) from error
    if "\0" in text:
        raise DataError(f"'{path.name}' holds zero bytes (line {text.count(chr(10), 0, text.index(chr(0))) + 1}), so it is no text", help=SAVE)
    if not text.strip():
        raise DataError(f"'{path.name}' is empty", help="a table needs a row of column names and rows below it")
    return text


def saving(data: bytes, name: str) -> str:
    """How to save a file as UTF-8, with the encoding that it seems to have where most of its text then reads well."""
    from charset_normalizer import from_bytes

    best = from_bytes(data[:SNIFFED]).best()
    if best is None or best.encoding in ("utf_8", "ascii"):
        return SAVE
    code = best.encoding.replace("_", "-")
    command = f"iconv -f {code} -t utf-8 {shlex.quote(name)} > {shlex.quote(f'utf8-{name}')}"
    return f"it seems to be {code}: {command}, and look at the result; or {SAVE}"


class CsvTable(Table):
    """A file of comma-, semicolon- or tab-separated values: all columns as text, "" where nothing stands. Row 1 is the header."""

    def __init__(self, path: Path) -> None:
        text = utf8(path)
        head = re.split(r"[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
        first = "\t,;|" if path.suffix.lower() == ".tsv" else ",;\t|"
        mark = next((m for m in first if m in head), first[0])
        try:
            header = next(csv.reader([head], delimiter=mark))
        except csv.Error as error:
            raise DataError(f"the first line of '{path.name}' cannot be read: {error}", help="it should hold the names of the columns") from error
        self.name, self.bad = printable(path.name), {}
        self.columns = [c.strip() for c in header]
        try:
            self.data = self._parse(text.encode(), header, mark)
        except pa.ArrowInvalid as error:
            raise DataError(f"'{path.name}' cannot be read as a table: {str(error)[:200]}", help="check its quotes and separators") from error
        self.numbers = [n for n in range(2, 2 + self.data.num_rows + len(self.bad)) if n not in self.bad]

    def _parse(self, data: bytes, header: list[str], mark: str) -> pa.Table:
        def ragged(row: Any) -> str:
            self.bad[row.number] = f"has {row.actual_columns} fields, not {row.expected_columns}"
            return "skip"

        return pyarrow.csv.read_csv(
            io.BytesIO(data),
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=pyarrow.csv.ParseOptions(delimiter=mark, newlines_in_values=True, invalid_row_handler=ragged),
            convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False),
        )

    def values(self, column: str) -> list[Any]:
        return self.data.column(self.columns.index(column)).to_pylist()

    def cell(self, column: str, i: int) -> Any:
        return self.data.column(self.columns.index(column))[i].as_py()


class JsonTable(Table):
    """One object a line (.jsonl), or a list of objects, or an object of equally long lists (.json). Row 1 is the first."""

    def __init__(self, path: Path) -> None:
        self.name, self.bad, rows = printable(path.name), {}, {}
        text = utf8(path)
        if path.suffix.lower() == ".json":
            rows = dict(enumerate(self._whole(text), 1))
        else:
            for n, line in enumerate(text.split("\n"), 1):
                if line.strip():
                    rows[n] = self._line(line, n)
        self.bad |= {n: "not an object {...}" for n, r in rows.items() if not isinstance(r, dict) and n not in self.bad}
        self.rows: list[dict[str, Any]] = [r for n, r in rows.items() if n not in self.bad]
        self.numbers = [n for n in rows if n not in self.bad]
        self.columns = list(dict.fromkeys(k for r in self.rows for k in r))
        if not self.rows:
            raise DataError(f"'{path.name}' holds no rows", help='a table is a list of objects such as {"path": "a.png", "label": "cat"}')

    def _line(self, line: str, number: int) -> Any:
        try:
            return json.loads(line)
        except (ValueError, RecursionError) as error:
            self.bad[number] = f"not JSON: {error}"
            return None

    def _whole(self, text: str) -> list[Any]:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"'{self.name}' is not JSON: {error}", help="one object a line is called .jsonl") from error
        if isinstance(value, dict) and value and all(isinstance(v, list) for v in value.values()):
            if len(value) == 1:
                return next(iter(value.values()))
            if len({len(v) for v in value.values()}) == 1:
                return [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
        if not isinstance(value, list):
            raise DataError(f"'{self.name}' is not a table", help='a table is a list of objects such as {"path": "a.png", "label": "cat"}')
        return value

    def values(self, column: str) -> list[Any]:
        return [r.get(column) for r in self.rows]

    def cell(self, column: str, i: int) -> Any:
        return self.rows[i].get(column)


class ArrowTable(Table):
    """Columns of Arrow types, whose schema may carry the names of classes as Hugging Face `datasets` writes them."""

    def __init__(self, path: Path, schema: pa.Schema, rows: int) -> None:
        self.name, self.bad, self.schema = printable(path.name), {}, schema
        self.columns, self.numbers = list(schema.names), list(range(1, rows + 1))

    def _features(self) -> dict[str, Any]:
        try:
            info = json.loads((self.schema.metadata or {}).get(b"huggingface", b"{}"))
            features = info.get("info", {}).get("features", {})
            return features if isinstance(features, dict) else {}
        except (ValueError, AttributeError):
            return {}

    def classes(self, column: str) -> list[str] | None:
        feature = self._features().get(column)
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list):
            return [str(n) for n in feature["names"]]
        return None

    def media(self) -> list[str]:
        return [f.name for f in self.schema if _holds_bytes(f.type)]

    def texts(self, column: str) -> bool:
        kind = self.schema.field(column).type
        return pa.types.is_string(kind) or pa.types.is_large_string(kind)

    def small(self, column: str) -> bool:
        kind = self.schema.field(column).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        return not (pa.types.is_nested(kind) or _holds_bytes(kind))


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(_holds_bytes(kind.field(i).type) for i in range(kind.num_fields))
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


class MappedTable(ArrowTable):
    """An Arrow or Feather file, mapped into memory and not copied."""

    def __init__(self, path: Path, data: pa.Table) -> None:
        data.validate(full=True)
        super().__init__(path, data.schema, data.num_rows)
        self.data = data

    def values(self, column: str) -> list[Any]:
        with damage(self.name):
            return self.data.column(column).to_pylist()

    def cell(self, column: str, i: int) -> Any:
        with damage(self.name):
            return self.data.column(column)[i].as_py()


class ParquetTable(ArrowTable):
    """A Parquet file; pictures and sounds are read one row group at a time, in order."""

    def __init__(self, path: Path, file: pq.ParquetFile) -> None:
        super().__init__(path, file.schema_arrow, file.metadata.num_rows)
        self.file = file
        self.ends = list(accumulate(file.metadata.row_group(g).num_rows for g in range(file.metadata.num_row_groups)))
        self.held: tuple[int, str, Any] = (-1, "", None)

    def values(self, column: str) -> list[Any]:
        with damage(self.name):
            values = self.file.read(columns=[column]).column(0).to_pylist()
            if len(values) != len(self.numbers):
                raise ValueError(f"{len(values)} values in a column of {len(self.numbers)} rows")
            return values

    def cell(self, column: str, i: int) -> Any:
        with damage(self.name):
            group = bisect.bisect_right(self.ends, i)
            if self.held[:2] != (group, column):
                self.held = (group, column, self.file.read_row_group(group, columns=[column]).column(0))
            return self.held[2][i - (self.ends[group - 1] if group else 0)].as_py()


def arrow_table(path: Path) -> Table:
    """A Parquet file or an Arrow file of either form. Raises `DataError` if it is damaged."""
    with damage(printable(path.name)):
        if path.suffix.lower() == ".parquet":
            return ParquetTable(path, pq.ParquetFile(path))
        source = pa.memory_map(str(path))
        try:
            data = pa.ipc.open_file(source).read_all()
        except pa.ArrowInvalid:
            source.seek(0)
            data = pa.ipc.open_stream(source).read_all()
        return MappedTable(path, data)


@contextlib.contextmanager
def damage(name: str) -> Iterator[None]:
    """What Arrow raises for damaged files, as one sentence."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, AttributeError, MemoryError, OverflowError) as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(f"'{name}' is damaged or of another kind than it seems: {said}", help="write it again") from error
