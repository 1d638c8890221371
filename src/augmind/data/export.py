"""Datasets out: a folder of files, Parquet, WebDataset shards or one `.npz`, texts also as CSV or JSON lines; with a card on how it was made.

Everything is written beside the target, to the disk itself, and renamed into place: an interrupted export leaves nothing
half-made.
"""

import csv
import io
import json
import os
import re
import shutil
import tarfile
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from augmind.core.errors import UsageError, unknown
from augmind.core.sides import apart, codecs_of
from augmind.core.store import disk_errors, make_folder, sync, sync_below
from augmind.core.types import Codec, Spec
from augmind.modalities.text.sides import sides_of

from .card import card
from .originals import Original

SHARD_ROWS = 1000
"""Rows of one WebDataset shard."""
BLOCK = 500
ABSENT = {"string": "", "float32": -1.0}
"""What stands for a missing value of an Arrow type where a format has none; -1 for the others."""
RESERVED = r"con|prn|aux|nul|com\d|lpt\d"
"""Names that Windows keeps for devices."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows with a unique name each, and columns: label, synthetic, generator, seed, source, score_..."""

    x: Tensor
    names: list[str]
    columns: dict[str, list[Any]]
    originals: Mapping[str, tuple[Original, ...]] = field(default_factory=dict)
    """The files, one a side, that are handed over for rows with these sources, instead of what the rows are stored as."""


class File(NamedTuple):
    """One file of a row: what kind of media it is, how its name ends, and its bytes."""

    media: str
    suffix: str
    data: bytes


def packed(file: File) -> File:
    """A WAV file as FLAC; any other as it is."""
    if file.suffix != ".wav":
        return file
    from augmind.modalities.audio.codec import flac

    return File(file.media, ".flac", flac(file.data))


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """All that is handed over: tables by split, and the run's record for the card."""

    name: str
    spec: Spec
    codec: Codec
    splits: dict[str, list[Table]]
    record: dict[str, Any]
    flac: bool = False
    """Whether sounds are FLAC files instead of WAV, half as large."""

    def rows(self, split: str) -> Iterator[tuple[Tensor, str, dict[str, Any]]]:
        """Stored row, name and columns, one after the other."""
        for table in self.splits[split]:
            for i, name in enumerate(table.names):
                yield table.x[i], name, {k: v[i] for k, v in table.columns.items()}

    def files(self, split: str) -> Iterator[tuple[tuple[File, ...], str, dict[str, Any], dict[str, str]]]:
        """The file of each side, name, columns, and texts by column; encoded in blocks."""
        for table in self.splits[split]:
            for start in range(0, len(table.names), BLOCK):
                part = range(start, min(start + BLOCK, len(table.names)))
                given = [table.originals.get(table.columns["source"][i]) for i in part]
                stored = [i for i, files in zip(part, given, strict=True) if not files]
                encoded = iter(self.encoded(table.x[stored], [table.columns["synthetic"][i] for i in stored]))
                for i, files, texts in zip(part, given, self.texts(table.x[start : part.stop]), strict=True):
                    yield self.read(files) if files else next(encoded), table.names[i], {k: v[i] for k, v in table.columns.items()}, texts

    def read(self, files: tuple[Original, ...]) -> tuple[File, ...]:
        """The files of a row as they were given."""
        return tuple(File(c.name, *file.read()) for c, file in zip(self.codecs, files, strict=True))

    @property
    def codecs(self) -> tuple[Codec, ...]:
        """The codec of each side; of rows of one side theirs."""
        return codecs_of(self.codec) if self.spec.sides else (self.codec,)

    def encoded(self, x: Tensor, synthetic: list[bool]) -> list[tuple[File, ...]]:
        """Every row as its files, one a side."""
        parts = apart(x, self.spec) if self.spec.sides else [x]
        columns = [[File(c.name, c.suffix, blob) for blob in c.files(part, synthetic)] for c, part in zip(self.codecs, parts, strict=True)]
        return [tuple(packed(file) if self.flac else file for file in row) for row in zip(*columns, strict=True)]

    @property
    def named(self) -> tuple[str, ...]:
        """The columns of texts: the user's own names of the sides of pairs, else "text"; none where rows are no texts."""
        return self.sentences or (("text",) if written(self.codec) else ())

    @property
    def sentences(self) -> tuple[str, ...]:
        """The names of the sides where rows are pairs of texts."""
        return () if self.spec.sides else self.spec.parts

    def texts(self, x: Tensor) -> list[dict[str, str]]:
        """What stands in these columns, row by row."""
        if not self.named:
            return [{} for _ in x]
        return [dict(zip(self.named, sides_of(row) if self.sentences else [row], strict=True)) for row in self.codec.decode(x)]


def export(bundle: Bundle, out: Path, to: str) -> Path:
    """Writes a bundle; returns `out`. Raises `UsageError` for an unknown format or a folder that is not empty."""
    formats: dict[str, Callable[[Bundle, Path], None]] = {"imagefolder": imagefolder, "parquet": parquet, "webdataset": webdataset, "npz": npz}
    if written(bundle.codec):
        formats = {"csv": csv_table, "jsonl": jsonl, **formats}
    if any(c.suffix == ".wav" for c in bundle.codecs):
        formats["audiofolder"] = imagefolder
        formats["flac"] = lambda bundle, out: imagefolder(replace(bundle, flac=True), out)
    if to not in formats:
        raise unknown("format", to, formats)

    given = any(t.originals for tables in bundle.splits.values() for t in tables)
    if given and to == "npz":
        raise UsageError("--originals is about files, and npz holds arrays", help="choose another format, or leave --originals out")

    def fill(tmp: Path) -> None:
        formats[to](bundle, tmp)
        policy = bundle.record["verdict"]["policy"]
        (tmp / "policy.json").write_text(json.dumps(policy, indent=1, ensure_ascii=False) + "\n", "utf-8")
        (tmp / "README.md").write_text(card(bundle.name, bundle.spec, counts(bundle), bundle.record, to, given), "utf-8")

    return into_folder(out, fill)


def into_folder(out: Path, fill: Callable[[Path], None]) -> Path:
    """A new folder that `fill` has filled, all of it or nothing. Raises `UsageError` for one that is not empty."""
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UsageError(f"'{out}' exists and is not an empty folder", help="give another --out; nothing is ever overwritten")
    make_folder(out.parent)
    tmp = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    with disk_errors(out):
        try:
            shutil.rmtree(tmp, ignore_errors=True)
            tmp.mkdir(parents=True)
            fill(tmp)
            sync_below(tmp)
            if out.is_dir():
                out.rmdir()
            os.replace(tmp, out)
            sync(out.parent)
        finally:
            shutil.rmtree(tmp, ignore_errors=True)
    return out


def counts(bundle: Bundle) -> dict[str, dict[str, int]]:
    """Rows by split and kind: {"train": {"real": 200, "vae": 40}}."""
    out: dict[str, dict[str, int]] = {}
    for split, tables in bundle.splits.items():
        of = out.setdefault(split or "train", {})
        for table in tables:
            for generator in table.columns["generator"]:
                of[generator or "real"] = of.get(generator or "real", 0) + 1
    return out


def folder_names(classes: tuple[str, ...]) -> dict[str, str]:
    """A safe, unique folder name for every class; the true name stands in the metadata."""
    out: dict[str, str] = {}
    for k, name in enumerate(classes):
        safe = re.sub(r"[^\w .()+-]", "_", unicodedata.normalize("NFC", name)).strip(" .")[:80] or f"class {k}"
        safe = f"_{safe}" if re.fullmatch(RESERVED, safe.split(".")[0], re.IGNORECASE) else safe
        taken = {s.casefold() for s in out.values()}
        tries = (safe, *(f"{safe} ({i})" for i in range(k, k + len(classes) + 1)))
        out[name] = next(t for t in tries if t.casefold() not in taken)
    return out


def cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return "'" + value if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def beside(texts: dict[str, Any], columns: dict[str, Any]) -> dict[str, Any]:
    """Texts first, then the other columns; one whose name a text has is called row_NAME."""
    return texts | {f"row_{k}" if k in texts else k: v for k, v in columns.items()}


def schema_of(columns: dict[str, Any]) -> dict[str, str]:
    """The Arrow type of every column; scores are floats."""
    kinds = {"synthetic": "bool", "seed": "int64"}
    return {k: "float32" if k.startswith("score_") else kinds.get(k, "string") for k in columns}


def imagefolder(bundle: Bundle, out: Path) -> None:
    """SPLIT/CLASS/NAME.png with SPLIT/metadata.parquet, as `datasets` and plain folder readers expect, and all columns in `rows.csv`; both
    hold the sides of pairs of texts as well, since the files have them without their line ends. A picture with a sound is NAME.png and NAME.wav."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folders = folder_names(bundle.spec.classes)
    with (out / "rows.csv").open("w", newline="", encoding="utf-8") as f:
        sheet: Any = None
        for split, tables in bundle.splits.items():
            root, records = out / split, list[dict[str, Any]]()
            named = [f"{c.name}_file_name" for c in bundle.codecs] if bundle.spec.sides else ["file_name"]
            kinds = beside(dict.fromkeys(bundle.sentences, "string"), schema_of({**dict.fromkeys(named, ""), **tables[0].columns}))
            root.mkdir(exist_ok=True)
            for made, name, columns, texts in bundle.files(split):
                place = Path(folders[columns["label"]])
                (root / place).mkdir(exist_ok=True)
                for file in made:
                    (root / place / f"{name}{file.suffix}").write_bytes(file.data)
                paths = dict(zip(named, ((place / f"{name}{file.suffix}").as_posix() for file in made), strict=True))
                own = texts if bundle.sentences else {}
                records.append(beside(own, {**paths, **columns}))
                line = beside(own, {"split": split, **paths, **columns})
                if sheet is None:
                    sheet = csv.DictWriter(f, list(line))
                    sheet.writeheader()
                sheet.writerow({k: cell(v) for k, v in line.items()})
            schema = pa.schema([(k, pa.type_for_alias(v)) for k, v in kinds.items()])
            pq.write_table(pa.Table.from_pylist(records, schema=schema), root / "metadata.parquet")


def written(codec: Codec) -> bool:
    """Whether rows are texts, which stand in a table themselves."""
    return codec.name == "text"


def sentences(bundle: Bundle, split: str) -> Iterator[dict[str, Any]]:
    """Every row of a split with its text, or its pair of them, first."""
    for _, _, columns, texts in bundle.files(split):
        yield beside(texts, columns)


def csv_table(bundle: Bundle, out: Path) -> None:
    """SPLIT.csv with the column `text`, or those of the pairs, and all others; no cell is a formula."""
    for split in bundle.splits:
        with (out / f"{split or 'train'}.csv").open("w", newline="", encoding="utf-8") as f:
            sheet: Any = None
            for record in sentences(bundle, split):
                if sheet is None:
                    sheet = csv.DictWriter(f, list(record))
                    sheet.writeheader()
                sheet.writerow({k: cell(v) for k, v in record.items()})


def jsonl(bundle: Bundle, out: Path) -> None:
    """SPLIT.jsonl, one object a line."""
    for split in bundle.splits:
        with (out / f"{split or 'train'}.jsonl").open("w", encoding="utf-8") as f:
            f.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in sentences(bundle, split))


def parquet(bundle: Bundle, out: Path) -> None:
    """SPLIT.parquet with the features that `datasets` needs to decode the media column and name the classes."""
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    decoders = {"image": datasets.Image, "audio": datasets.Audio}
    content: dict[str, Any] = {c.name: decoders[c.name]() for c in bundle.codecs if c.name in decoders}
    content = {name: datasets.Value("string") for name in bundle.named} or content
    for split, tables in bundle.splits.items():
        kinds = {k: v for k, v in schema_of(tables[0].columns).items() if k != "label"}
        label = datasets.ClassLabel(names=list(bundle.spec.classes))
        features = beside(content, {"label": label, **{k: datasets.Value(v) for k, v in kinds.items()}})
        columns: dict[str, list[Any]] = {k: [] for k in features}
        for made, name, record, texts in bundle.files(split):
            own = texts or {file.media: {"bytes": file.data, "path": f"{name}{file.suffix}"} for file in made}
            for k, v in beside(own, {**record, "label": bundle.spec.classes.index(record["label"])}).items():
                columns[k].append(v)
        schema = datasets.Features(features).arrow_schema
        arrays = [pa.array(v, schema.field(k).type) for k, v in columns.items()]
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), out / f"{split}.parquet")


def webdataset(bundle: Bundle, out: Path) -> None:
    """SPLIT-000000.tar and so on; each row is NAME.png (and NAME.wav, where it has a sound too), NAME.cls (class index) and NAME.json (all columns).

    What a row does not have is "" or -1 there, -1.0 for a score: readers take the types of columns from the first rows.
    """
    for split in bundle.splits:
        shard: tarfile.TarFile | None = None
        for i, (made, name, columns, texts) in enumerate(bundle.files(split)):
            if i % SHARD_ROWS == 0:
                if shard:
                    shard.close()
                shard = tarfile.open(out / f"{split}-{i // SHARD_ROWS:06d}.tar", "w")  # noqa: SIM115
            absent = {k: ABSENT.get(kind, -1) for k, kind in schema_of(columns).items()}
            told = {k: absent[k] if v is None else v for k, v in columns.items()}
            record = json.dumps(beside(texts if bundle.sentences else {}, told), ensure_ascii=False).encode()
            index = str(bundle.spec.classes.index(columns["label"])).encode()
            for suffix, data in (*((file.suffix, file.data) for file in made), (".cls", index), (".json", record)):
                info = tarfile.TarInfo(name + suffix)
                info.size = len(data)
                assert shard is not None
                shard.addfile(info, io.BytesIO(data))
        if shard:
            shard.close()


def npz(bundle: Bundle, out: Path) -> None:
    """`dataset.npz`: SPLIT_x (n, *shape), SPLIT_y, SPLIT_synthetic, SPLIT_generator, SPLIT_seed, SPLIT_score_..., classes; no pickles.

    Of pairs also `parts`, the names of the sides, between which a row of bytes of texts has 0x1E; of a picture with a sound every side has an array
    of its own, SPLIT_image and SPLIT_audio, instead of SPLIT_x. Of sounds also `rate`, the samples a second of their waves, by which they are told
    from pictures when they are read; where there are groups, SPLIT_group.
    """
    arrays: dict[str, np.ndarray] = {"classes": np.array(bundle.spec.classes)} | ({"parts": np.array(p)} if (p := bundle.spec.parts) else {})
    arrays |= {"rate": np.array(bundle.spec.rate)} if bundle.spec.rate else {}
    for split, tables in bundle.splits.items():
        columns = {k: [v for t in tables for v in t.columns[k]] for k in tables[0].columns}
        whole = torch.cat([t.x for t in tables])
        sides = dict(zip(bundle.spec.parts, apart(whole, bundle.spec), strict=True)) if bundle.spec.sides else {"x": whole}
        for part, own in sides.items():
            x = own.numpy()
            arrays[f"{split}_{part}"] = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
        arrays[f"{split}_y"] = np.array([bundle.spec.classes.index(name) for name in columns["label"]])
        arrays[f"{split}_synthetic"] = np.array(columns["synthetic"])
        arrays[f"{split}_generator"] = np.array([g or "" for g in columns["generator"]])
        arrays[f"{split}_seed"] = np.array([-1 if s is None else s for s in columns["seed"]])
        arrays |= {f"{split}_{name}": np.array([s or "" for s in columns[name]]) for name in ("source", "group") if name in columns}
        arrays |= {
            f"{split}_{k}": np.array([np.nan if s is None else s for s in v], np.float32) for k, v in columns.items() if k.startswith("score_")
        }
    np.savez_compressed(out / "dataset.npz", **arrays)  # pyright: ignore[reportArgumentType]
