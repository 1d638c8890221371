"""What leaves a run of translations: real and synthetic pairs in one table, with where each came from."""

import csv
import json
from pathlib import Path
from typing import Any

from augmind.core.errors import NothingLeft, UsageError, unknown
from augmind.core.store import read_json, write_table
from augmind.data.export import cell, into_folder
from augmind.data.parallel import Pair

from .job import Job, open_seal
from .stages import made

FORMATS = ("csv", "jsonl", "parquet")


def columns_of(job: Job) -> dict[str, str]:
    """How the columns are called: the two languages as in the dataset, provenance with a prefix where its name is taken."""
    languages = {"text": job.wish.text, "target": job.wish.target}
    own = ("synthetic", "maker", "seed", "of_row")
    return languages | {name: f"augmind_{name}" if name in languages.values() else name for name in own}


def enlarged(job: Job, rows: str = "all") -> dict[str, list[Any]]:
    """The training pairs and the pairs of the first seed that passed the screens, as columns; real pairs have no maker, seed or scores."""
    names, records = columns_of(job), list[dict[str, Any]]()
    if rows != "synthetic":
        records += real(job.train)
    if rows != "real":
        for maker in job.wish.makers:
            table = made(job, maker, 0)
            scores = [k for k in table if k.startswith("score_")]
            for i, rejected in enumerate(table["rejected_by"]):
                if not rejected:
                    own = {k: table[k][i] for k in ("text", "target", "maker", "seed", "of_row", *scores)}
                    records.append({**own, "synthetic": True})
    keys = list(dict.fromkeys([*names, *(k for r in records for k in r)]))
    return {names.get(k, k): [r.get(k) for r in records] for k in keys}


def real(rows: list[Pair]) -> list[dict[str, Any]]:
    return [{"text": r.text, "target": r.target, "synthetic": False, "of_row": r.origin} for r in rows]


def export(folder: Path, out: Path, to: str, rows: str) -> Path:
    """Writes the enlarged corpus as a new folder with `train`, with all rows also the sealed `test`, policy and verdict.

    Raises `UsageError` for an unknown format or choice and `NothingLeft` where no synthetic pair was kept.
    """
    if to not in FORMATS:
        raise unknown("format of pairs", to, FORMATS)
    if rows not in ("all", "real", "synthetic"):
        raise unknown("choice of rows", rows, ("all", "real", "synthetic"))
    job, report = Job(folder), folder / "report.json"
    if not report.is_file():
        raise UsageError(f"'{folder}' is not finished", help=f"continue it with: augmind resume {folder}")
    tables = {"train": enlarged(job, rows)}
    if not next(iter(tables["train"].values())):
        raise NothingLeft(f"'{folder}' holds no synthetic pair that passed the screens", help="export with --rows real, or see the report")
    if rows == "all":
        names = columns_of(job)
        tables["test"] = {names[k]: [r.get(k) for r in real(open_seal(job))] for k in names}
    verdict = read_json(report)["verdict"]

    def fill(path: Path) -> None:
        for split, columns in tables.items():
            {"csv": write_csv, "jsonl": write_jsonl, "parquet": write_table}[to](path / f"{split}.{to}", columns)
        (path / "policy.json").write_text(json.dumps(verdict["policy"], indent=1, ensure_ascii=False) + "\n", "utf-8")
        (path / "README.md").write_text(card(job, verdict, tables), "utf-8")

    return into_folder(out, fill)


def records(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def write_csv(path: Path, columns: dict[str, list[Any]]) -> None:
    """No cell is a formula."""
    with path.open("w", newline="", encoding="utf-8") as f:
        sheet = csv.DictWriter(f, list(columns))
        sheet.writeheader()
        sheet.writerows({k: cell(v) for k, v in r.items()} for r in records(columns))


def write_jsonl(path: Path, columns: dict[str, list[Any]]) -> None:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records(columns)), "utf-8")


def card(job: Job, verdict: dict[str, Any], tables: dict[str, dict[str, list[Any]]]) -> str:
    """What the folder holds, and what was measured."""
    names = columns_of(job)
    counts = ", ".join(f"{split}: {len(next(iter(t.values())))} rows, {sum(t[names['synthetic']])} synthetic" for split, t in tables.items())
    return "\n".join(
        [
            f"# {job.about['name']}, enlarged by augmind",
            "",
            f"Pairs of '{job.wish.text}' and '{job.wish.target}'. {counts}.",
            "",
            f"`{names['synthetic']}`: whether the pair was made; `{names['maker']}` and `{names['seed']}`: by what, from which seed;",
            f"`{names['of_row']}`: the row that it is or was made of; `score_*`: what each screen gave it, in 0 to 1, higher is better.",
            "",
            "## Verdict",
            "",
            verdict["sentence"],
            "",
        ]
    )
