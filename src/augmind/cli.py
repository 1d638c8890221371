"""The command line: parse, call, print. Results go to standard output, everything else to standard error.

Exit codes: 0 done, 1 internal error, 2 wrong option, 3 unusable data, 4 the machine (disk, memory, missing model),
5 no synthetic row passed the screens, 130 interrupted.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Group, Parameter
from rich.console import Console

from . import __version__
from .core.errors import AugmindError, UsageError

app = App(
    name="augmind",
    version=__version__,
    help="""Learn generators from a small labelled dataset, screen what they draw, and prove whether it helps.

    Start here:

        augmind demo                                    # the whole job on a bundled dataset
        augmind inspect photos/                         # what is in my data, and what is wrong with it
        augmind expand photos/ --out runs/photos --preset quick
        augmind export runs/photos --to imagefolder --out photos-bigger

    A folder with one subfolder per class, a table, an archive, .npz or a Hugging Face dataset will do.
    """,
)
WIDTH = None if sys.stdout.isatty() else 100
out, err = Console(highlight=False, width=WIDTH), Console(stderr=True, highlight=False)

DATA = Group("Data", sort_key=1)
WORK = Group("Work", sort_key=2)
PROOF = Group("Proof", sort_key=3)

Names = Annotated[str | None, Parameter(group=WORK)]


def listed(text: str | None) -> tuple[str, ...] | None:
    """ "a,b" as ("a", "b")."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else None


def wants(pairs: list[str] | None) -> dict[str, int] | None:
    """ "spoons=500" as {"spoons": 500}. Raises `UsageError` for anything else."""
    found: dict[str, int] = {}
    for pair in pairs or []:
        name, _, count = pair.rpartition("=")
        if not name or not count.isdigit() or int(count) < 1:
            raise UsageError(f"--want '{pair}' is not CLASS=NUMBER", help="write for example --want spoons=500 forks=200")
        found[name] = int(count)
    return found or None


@app.command
def demo(
    out_folder: Annotated[Path, Parameter(name=["--out"])] = Path("runs/demo"),
    *,
    per_class: int = 20,
    fresh: bool = False,
) -> None:
    """Run the whole job on real handwritten digits: 20 pictures a class to learn from, a sealed test set of 1,000.

    Ends with the verdict and the path of the report. Repeating it continues or shows the finished run.

    Parameters
    ----------
    out_folder
        Where the run goes.
    per_class
        Pictures a class to learn from (2 to 100).
    fresh
        Delete an earlier demo first.
    """
    from .demo import digits

    if fresh and (out_folder / "config.json").is_file():
        import shutil

        shutil.rmtree(out_folder)
    data = digits(Path(str(out_folder) + "-data"), per_class)
    run(data, out_folder, {"preset": "quick"})


@app.command
def inspect(
    data: str,
    *,
    out_folder: Annotated[Path | None, Parameter(name=["--out"])] = None,
    label: str | None = None,
    column: str | None = None,
    group: str | None = None,
    split: str | None = None,
    size: int | None = None,
    as_json: Annotated[bool, Parameter(name=["--json"], negative="")] = False,
) -> None:
    """Show what is in a dataset and what is wrong with it: a table here, and a picture.

    Counts per class, sizes, unreadable files, exact and near duplicates, outliers, likely label errors, imbalance, leaks
    between given splits. Nothing is changed.

    Examples:

        augmind inspect photos/
        augmind inspect scans.csv --label diagnosis --column file

    Parameters
    ----------
    data
        A folder, table, archive, .npz, or Hugging Face dataset.
    out_folder
        Where the picture goes (default: the present folder, as NAME-health.png).
    label
        The column that holds the class.
    column
        The column that holds the path or bytes.
    group
        The column of subject, site or recording: its members never cross a split.
    split
        The column that says train or test.
    size
        The side to which everything is brought.
    as_json
        Print JSON instead of a table.
    """
    from . import api

    health = api.inspect(data, label=label, column=column, group=group, split=split, size=size)
    name = Path(data.rstrip("/")).name.split(".")[0] or "data"
    picture = (out_folder or Path()) / f"{name}-health.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    health.picture(picture)
    if as_json:
        print(json.dumps(health.to_json(), ensure_ascii=False))
        return
    out.print(health.table())
    out.print(f"picture: {picture}")


@app.command
def expand(
    data: str,
    *,
    out_folder: Annotated[Path | None, Parameter(name=["--out"])] = None,
    preset: Annotated[Literal["quick", "balanced", "thorough"] | None, Parameter(group=WORK)] = None,
    budget: Names = None,
    generators: Names = None,
    learner: Names = None,
    backbone: Names = None,
    want: Annotated[list[str] | None, Parameter(group=WORK, consume_multiple=True)] = None,
    ratio: Annotated[float | None, Parameter(group=WORK)] = None,
    jobs: Annotated[int | None, Parameter(group=WORK)] = None,
    seed: Annotated[int | None, Parameter(group=WORK)] = None,
    label: Annotated[str | None, Parameter(group=DATA)] = None,
    column: Annotated[str | None, Parameter(group=DATA)] = None,
    group: Annotated[str | None, Parameter(group=DATA)] = None,
    split: Annotated[str | None, Parameter(group=DATA)] = None,
    size: Annotated[int | None, Parameter(group=DATA)] = None,
    max_bad: Annotated[float | None, Parameter(group=DATA)] = None,
    drop_rare: Annotated[bool, Parameter(group=DATA, negative="")] = False,
    download: Annotated[bool, Parameter(group=DATA, negative="")] = False,
    folds: Annotated[int | None, Parameter(group=PROOF)] = None,
    seeds: Annotated[int | None, Parameter(group=PROOF)] = None,
    test: Annotated[float | None, Parameter(group=PROOF)] = None,
    margin: Annotated[float | None, Parameter(group=PROOF)] = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
    as_json: Annotated[bool, Parameter(name=["--json"], negative="")] = False,
) -> None:
    """Turn a small labelled dataset into a proven, larger one: clean, seal, imagine, screen, compare, report.

    The same command continues an interrupted run; finished pieces are not repeated; the same seed gives the same result.

    Examples:

        augmind expand photos/ --out runs/photos --preset quick
        augmind expand photos/ --want spoons=500 forks=200 --budget 20m
        augmind expand scans.csv --label diagnosis --group patient --learner probe,finetune

    Parameters
    ----------
    data
        A folder with one subfolder a class, a table (CSV, JSON lines, Parquet), a zip or tar of either, .npz, or a Hugging Face dataset.
    out_folder
        The run folder (default: runs/NAME).
    preset
        quick: a first honest answer in minutes; balanced (default): every learner, longer training; thorough: up to an hour or more.
    budget
        Wall time to aim at: 90s, 10m, 1.5h. Scales training lengths, never the rules of the comparison.
    generators
        Which generators, by comma: vae, gan, diffusion, feature.
    learner
        Which downstream models, by comma: probe, cnn, finetune.
    backbone
        The pretrained network: lite0, a Hub id or a folder with safetensors.
    want
        How many synthetic rows of which class to hand over: spoons=500 forks=200.
    ratio
        Synthetic rows per real row otherwise.
    jobs
        Worker processes (default: one a core).
    seed
        Everything random follows from it.
    label
        The column that holds the class.
    column
        The column that holds the path or bytes.
    group
        The column of subject, site or recording: its members never cross a split.
    split
        The column that says train or test.
    size
        The side, in pixels, to which everything is brought (default: the pictures' own, 64 at most).
    max_bad
        The share of unreadable rows that is accepted (default 0.2).
    drop_rare
        Set classes with a single row aside instead of refusing them.
    download
        Allow fetching a dataset from the Hugging Face Hub.
    folds
        Folds of the cross-validation that replaces a test set where there are too few rows for one.
    seeds
        Repetitions of every arm.
    test
        Seal this share of the rows as the test set instead of cross-validating.
    margin
        Non-inferiority margin in balanced accuracy: accept synthetic rows that are at most this much worse.
    dry_run
        Stop at the plan.
    quiet
        No progress.
    as_json
        Print report.json's verdict as one JSON object.
    """
    columns = {"label": label, "column": column, "group": group, "split": split, "size": size, "max_bad": max_bad}
    work = {"preset": preset, "budget": budget, "generators": listed(generators), "learner": listed(learner), "backbone": backbone}
    work |= {"want": wants(want), "ratio": ratio, "jobs": jobs, "seed": seed, "drop_rare": drop_rare or None, "download": download or None}
    options = columns | work | {"folds": folds, "seeds": seeds, "test": test, "margin": margin}
    run(data, out_folder, options, dry_run=dry_run, quiet=quiet, as_json=as_json)


def run(data: Any, folder: Path | None, options: dict[str, Any], *, dry_run: bool = False, quiet: bool = False, as_json: bool = False) -> None:
    """Runs `expand` under a progress display and prints its end."""
    from . import api
    from . import conduct as whole
    from .job import Job
    from .progress import Display

    folder = folder or Path("runs") / (Path(str(data).rstrip("/")).name.split(".")[0] or "data")
    with Display(err, folder, quiet) as display:

        def on_plan(plan: Any) -> None:
            if not quiet:
                show_plan(plan, folder)
            display.expect([] if dry_run else whole.items(Job(folder)), plan)

        finished = api.expand(data, folder, dry_run=dry_run, watch=display, on_plan=on_plan, **options)
    if dry_run:
        err.print("stopped at the plan (--dry-run); the same command without it goes on from here")
        return
    finish(finished, as_json)


def show_plan(plan: Any, folder: Path) -> None:
    """The plan in a few lines, before the work."""
    from .progress import clock

    how = f"{plan.folds}-fold cross-validation" if plan.mode == "cv" else f"{plan.test_rows:,} sealed test rows"
    cost = plan.estimates
    steps = ", ".join(f"{g} {plan.steps[g]} steps" if g in plan.steps else g for g in plan.generators)
    size = " x ".join(map(str, plan.shape))
    err.print(f"[bold]plan[/]      {plan.rows:,} rows of {size} in {plan.classes} classes; {how}; {plan.seeds} seeds an arm")
    err.print(f"imagine   {steps}")
    err.print(f"compare   real, classical, synthetic, synthetic+classical with {', '.join(plan.learners)}")
    err.print(
        f"expect    about {clock(cost['seconds'])}, {cost['disk_mb']:.0f} MB of disk, {cost['memory_mb'] / 1000:.1f} GB of memory; all in {folder}"
    )
    for note in plan.notes:
        err.print(f"note      {note}", markup=False)


def finish(finished: Any, as_json: bool) -> None:
    """The verdict and where everything is."""
    record = finished.record
    if as_json:
        print(json.dumps(record["verdict"], ensure_ascii=False))
        return
    from .report import summary

    out.print(summary(record))
    out.print(f"report    {finished.report}", soft_wrap=True, markup=False)
    for line in record["next"]:
        out.print(f"next      {line}", soft_wrap=True, markup=False)


@app.command
def resume(folder: Path, *, quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False) -> None:
    """Continue an interrupted run with the settings it was begun with.

    Examples:

        augmind resume runs/photos

    Parameters
    ----------
    folder
        The run folder.
    quiet
        No progress.
    """
    from .core.store import read_json

    if not (folder / "config.json").is_file():
        raise UsageError(f"'{folder}' is not a run folder: it holds no config.json", help="give the folder that `augmind expand --out` made")
    record = read_json(folder / "config.json")
    run(record["data"], folder, {k: v for k, v in record["config"].items() if k != "data"}, quiet=quiet)


@app.command
def compare(folders: list[Path], /, *, as_json: Annotated[bool, Parameter(name=["--json"], negative="")] = False) -> None:
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
    from .sidebyside import side_by_side, table

    found = side_by_side(folders)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for part in table(found):
        out.print(part)


@app.command
def sample(
    folder: Path,
    *,
    label: str,
    n: Annotated[int, Parameter(name=["-n", "--number"])] = 50,
    out_folder: Annotated[Path | None, Parameter(name=["--out"])] = None,
    generator: str | None = None,
) -> None:
    """Draw more synthetic rows of one class from a finished run, screened like the others.

    Examples:

        augmind sample runs/photos --label spoons -n 50
        augmind sample runs/photos --label spoons -n 50 --generator diffusion --out spoons/

    Parameters
    ----------
    folder
        The run folder.
    label
        The class.
    n
        How many rows.
    out_folder
        A new folder for the files (default: RUN/samples/LABEL-1, -2, ...).
    generator
        One generator only.
    """
    from .api import Finished

    if n < 1:
        raise UsageError(f"-n {n} is not a number of rows", help="give a number of 1 or more")
    target = out_folder or next(p for i in range(1, 10**6) if not (p := folder / "samples" / f"{safe(label)}-{i}").exists())
    path = Finished(folder).sample(label, n, target, generator)
    got = sum(1 for p in path.rglob("*") if p.suffix not in (".csv", ".json", ".md") and p.is_file())
    if got < n:
        err.print(f"only {got} of {n} rows passed the screens; asking again draws others", markup=False)
    out.print(f"{got} rows in {path}", soft_wrap=True, markup=False)


def safe(label: str) -> str:
    from .data.export import folder_names

    return folder_names((label,))[label]


@app.command
def export(
    folder: Path,
    *,
    to: str = "imagefolder",
    out_folder: Annotated[Path | None, Parameter(name=["--out"])] = None,
    rows: str = "all",
) -> None:
    """Write the enlarged dataset with the provenance of every row and a card that tells how it was made.

    Examples:

        augmind export runs/photos --to imagefolder --out photos-bigger
        augmind export runs/photos --to parquet --rows synthetic --out only-synthetic

    Parameters
    ----------
    folder
        The run folder.
    to
        imagefolder, parquet, webdataset or npz.
    out_folder
        A new folder (default: RUN/export-FORMAT).
    rows
        all, real or synthetic.
    """
    from .api import Finished

    finished = Finished(folder)
    verdict = finished.verdict
    path = finished.export(out_folder or folder / f"export-{to}", to, rows)
    if rows != "real" and not verdict["use_synthetic"]:
        err.print(f"note: {verdict['sentence']} The synthetic rows are marked; policy.json holds the recommended policy.", markup=False)
    out.print(f"{path}", soft_wrap=True, markup=False)


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
    from .api import Finished
    from .record import conclude

    finished = Finished(folder)
    _ = finished.record
    conclude(str(folder))
    finish(finished, as_json=False)
    if show:
        finished.open()


@app.command
def runs(folder: Path = Path("runs"), *, as_json: Annotated[bool, Parameter(name=["--json"], negative="")] = False) -> None:
    """List the runs below a folder with their verdicts.

    Parameters
    ----------
    folder
        Where to look.
    as_json
        Print JSON.
    """
    from rich.table import Table

    from . import api

    found = api.runs(folder)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    if not found:
        err.print(f"no runs in {folder}; make one with: augmind expand DATA", markup=False)
        return
    table = Table("run", "preset", "started", "verdict", box=None)
    for r in found:
        table.add_row(
            r["run"], r["preset"], r["started"][:16], r["verdict"]["sentence"] if r["verdict"] else "not finished: augmind resume " + r["run"]
        )
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
    from .api import Finished

    told = Finished(run_folder or owner(row)).why(row)
    state = "kept" if told["kept"] else f"rejected: {told['reason']}"
    out.print(f"[bold]{told['row']}[/]  labelled '{told['label']}', {state}")
    for name, s in told["screens"].items():
        score = "not asked" if s["score"] is None or s["score"] != s["score"] else f"{s['score']:.3f}"
        out.print(f"  {name:<12} {score:>10}   cut {s['cut']:.3f}")
    out.print(f"  nearest real row: {told['nearest_real_row']}", markup=False)
    out.print(f"  draw it again: generator {told['generator']} with seed {told['seed']} gives the same row", markup=False)


def owner(row: str) -> Path:
    """The newest run below runs/ that drew a row."""
    from .api import Finished

    for path in sorted(Path("runs").glob("*/report.json"), key=lambda p: -p.stat().st_mtime):
        try:
            Finished(path.parent).why(row)
        except UsageError:
            continue
        return path.parent
    raise UsageError(f"no run below runs/ knows the row '{row}'", help="give the run folder with --run")


def complain(error: AugmindError) -> int:
    """One clear sentence, the next step, the exit code."""
    err.print(f"[bold red]error[/] [{error.code}]: ".replace(f"[{error.code}]", rf"\[{error.code}]"), end="")
    err.print(str(error), markup=False, soft_wrap=True)
    if error.help:
        err.print(f"help: {error.help}", markup=False, soft_wrap=True)
    if error.trace and os.environ.get("AUGMIND_DEBUG"):
        err.print(error.trace, markup=False)
    return error.exit_code


def main(arguments: list[str] | None = None) -> None:
    """The entry point: turns every outcome into an exit code."""
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except AugmindError as error:
        sys.exit(complain(error))
    except CycloptsError as error:
        sys.exit(complain(UsageError(str(error).strip(), help="augmind --help, or augmind COMMAND --help")))
    except KeyboardInterrupt:
        err.print("stopped; everything finished so far is saved. The same command, or augmind resume RUN, continues.", markup=False)
        sys.exit(130)
    except MemoryError:
        sys.exit(complain(AugmindError("out of memory", help="use --jobs 1 or a smaller --size", code="ENV-004")))
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:  # noqa: BLE001  the last resort: no traceback unless asked for
        if os.environ.get("AUGMIND_DEBUG"):
            traceback.print_exc()
        sys.exit(complain(AugmindError(f"{type(error).__name__}: {error}", help="set AUGMIND_DEBUG=1 to see where, and please report it")))


if __name__ == "__main__":
    main()
