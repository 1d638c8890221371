"""The verbs that look: inspect, compare, report, runs, why."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from augmind.core.errors import UsageError

from .app import app, err, out
from .options import COLUMNS, AsJson, Columns
from .work import finish


@app.command
def inspect(
    data: str,
    *,
    out_folder: Annotated[Path | None, Parameter(name=["--out"])] = None,
    target: str | None = None,
    columns: Columns = COLUMNS,
    as_json: AsJson = False,
) -> None:
    """Show what is in a dataset and what is wrong with it: a table here, and a picture.

    Counts per class, sizes, unreadable files, exact and near duplicates, outliers, likely label errors, imbalance, leaks
    between given splits. Nothing is changed.

    Examples:

        augmind inspect photos/
        augmind inspect scans.csv --label diagnosis --column file
        augmind inspect pairs.csv --text en --target de

    Parameters
    ----------
    data
        A folder, table, archive, .npz, or Hugging Face dataset.
    out_folder
        A folder for the picture, or a name that ends in .png (default: NAME-health.png here).
    target
        The column that holds the translation of --text: pairs whose lengths, languages or words do not go together are shown.
    as_json
        Print JSON instead of a table.
    """
    from augmind import api
    from augmind.core.store import make_folder

    health = api.inspect(data, target=target, **columns.options(), max_bad=1.0)
    name = Path(data.rstrip("/")).name.split(".")[0] or "data"
    picture = (out_folder or Path()) / f"{name}-health.png"
    if out_folder and out_folder.suffix == ".png":
        picture = out_folder
    make_folder(picture.parent)
    health.draw(picture)
    if as_json:
        print(json.dumps(health.to_json(), ensure_ascii=False))
        return
    out.print(health.table())
    out.print(f"picture: {picture}")


@app.command
def compare(folders: list[Path], /, *, as_json: AsJson = False) -> None:
    """Show the arms of finished runs side by side, with intervals, and how the runs' settings differ.

    Examples:

        augmind compare runs/photos
        augmind compare runs/quick runs/thorough

    Parameters
    ----------
    folders
        Run folders.
    as_json
        Print JSON.
    """
    from augmind.sidebyside import side_by_side, table

    found = side_by_side(folders)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for part in table(found):
        out.print(part)


@app.command
def report(folder: Path, *, show: Annotated[bool, Parameter(name=["--open"], negative="")] = False) -> None:
    """Make the report of a finished run again, print its verdict and its path.

    Examples:

        augmind report runs/photos --open

    Parameters
    ----------
    folder
        The run folder.
    show
        Show the page in a browser.
    """
    from augmind.api import Finished

    finished = Finished(folder)
    _ = finished.record
    finished.intact()
    if finished.of_pairs:
        from augmind.parallel.record import conclude
    else:
        from augmind.record import conclude
    conclude(str(folder))
    finish(finished, as_json=False)
    if show:
        finished.open()


@app.command
def runs(folder: Path | None = None, *, as_json: AsJson = False) -> None:
    """List the runs below a folder with their verdicts.

    Parameters
    ----------
    folder
        Where to look (default: runs/).
    as_json
        Print JSON.
    """
    from rich.table import Table

    from augmind import api

    if folder and not folder.is_dir():
        raise UsageError(f"'{folder}' is not a folder", help="give the folder that holds the run folders, or leave it out for runs/")
    folder = folder or Path("runs")
    found = api.runs(folder)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    if not found:
        err.print(f"no runs in {folder}; make one with: augmind expand DATA")
        return
    table = Table("run", "preset", "started", "verdict", box=None)
    for r in found:
        unfinished = f"damaged: {r['damaged']}" if r["damaged"] else f"not finished: augmind resume {r['run']}"
        table.add_row(r["run"], r["preset"], r["started"][:16], r["verdict"]["sentence"] if r["verdict"] else unfinished)
    out.print(table)


@app.command
def why(row: str, *, run_folder: Annotated[Path | None, Parameter(name=["--run"])] = None) -> None:
    """Tell where a synthetic row came from and what each screen said of it.

    Examples:

        augmind why vae:123456 --run runs/photos
        augmind why photos-bigger/train/spoons/vae-123456.png --run runs/photos

    Parameters
    ----------
    row
        generator:seed as in the report, or an exported file.
    run_folder
        The run folder (default: the newest below runs/ that knows the row).
    """
    from augmind.api import Finished

    told = Finished(run_folder or owner(row)).why(row)
    state = "kept" if told["kept"] else f"rejected: {told['reason']}"
    out.print(f"{told['row']}  labelled '{told['label']}', {state}")
    if told["note"]:
        out.print(f"  {told['note']}")
    for name, s in told["screens"].items():
        score = "not asked" if s["score"] is None or s["score"] != s["score"] else f"{s['score']:.3f}"
        out.print(f"  {name:<12} {score:>10}   cut {s['cut']:.3f}")
    out.print(f"  nearest real row: {told['nearest_real_row']}")
    as_told = ", steered as above," if told["steered"] else ""
    out.print(f"  draw it again: generator {told['generator']} with seed {told['seed']}{as_told} gives the same row")


def owner(row: str) -> Path:
    """The newest run below runs/ that drew a row."""
    from augmind.api import Finished

    for path in sorted(Path("runs").glob("*/report.json"), key=lambda p: -p.stat().st_mtime):
        try:
            Finished(path.parent).why(row)
        except UsageError:
            continue
        return path.parent
    raise UsageError(f"no run below runs/ knows the row '{row}'", help="give the run folder with --run")
