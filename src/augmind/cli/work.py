"""The verbs that do the whole job: demo, expand, resume."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from augmind.core.errors import NothingLeft

from . import parallel
from .app import app, err, out
from .options import (
    COLUMNS,
    DATA,
    PROOFS,
    ROWS,
    SEARCH,
    TRIES,
    WAY,
    WORK,
    WORKS,
    AsJson,
    Columns,
    Proof,
    Quiet,
    Rows,
    Several,
    Tries,
    Way,
    Work,
    listed,
    numbers,
    together,
)


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
    from augmind.demo import digits

    if fresh and (out_folder / "config.json").is_file():
        import shutil

        shutil.rmtree(out_folder)
    data = digits(Path(str(out_folder) + "-data"), per_class)
    run(data, out_folder, {"preset": "quick"})


@app.command
def expand(
    data: str,
    *,
    out_folder: Annotated[Path | None, Parameter(name=["--out"])] = None,
    work: Work = WORKS,
    want: Annotated[list[str] | None, Several, Parameter(group=WORK)] = None,
    target: Annotated[str | None, Parameter(group=DATA)] = None,
    unlabelled: Annotated[str | None, Parameter(group=DATA)] = None,
    source: Annotated[str | None, Parameter(group=DATA)] = None,
    way: Way = WAY,
    columns: Columns = COLUMNS,
    rows: Rows = ROWS,
    proof: Proof = PROOFS,
    search: Annotated[bool, Parameter(group=SEARCH, negative="")] = False,
    tries: Tries = TRIES,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Turn a small labelled dataset into a proven, larger one: clean, seal, imagine, screen, compare, report.

    The same command continues an interrupted run; finished pieces are not repeated; the same seed gives the same result.

    Examples:

        augmind expand photos/ --out runs/photos --preset quick
        augmind expand photos/ --want spoons=500 forks=200 --budget 20m
        augmind expand scans.csv --label diagnosis --group patient --learner probe,finetune
        augmind expand nli.csv --text premise,hypothesis --label label --group premise
        augmind expand photos/ --search --trials 60
        augmind expand photos/ --unlabelled more-photos/
        augmind expand photos/ --source photos-of-other-things/
        augmind expand pairs.csv --text en --target de

    Parameters
    ----------
    data
        A folder with one subfolder a class, a table (CSV, JSON lines, Parquet), a zip or tar of either, .npz, or a Hugging Face dataset.
    out_folder
        The run folder (default: runs/NAME).
    want
        How many synthetic rows of which class to hand over: spoons=500 forks=200.
    target
        The column that holds the translation of --text: what helps a translator is proven, by chrF and BLEU, instead of a classifier.
    unlabelled
        A folder, archive or table of files like those of DATA, of its classes, without labels (or DATA itself, where some rows have none):
        the surest are labelled (the generator pseudo) and tested like synthetic rows; of texts a file of one a line, or a table. Generators
        that are named beside it learn from them too (--generators pseudo,vae; not with --source or --search). With --target: such a file in
        the language of the translations, to be translated back.
    source
        A related dataset, labelled, of other classes (or a run, for its dataset): learners learn it first and beside DATA, and generators that
        can borrow how its rows vary. --start begins with the model that a run learnt instead.
    search
        Find the policy by Bayesian search on inner folds first, and compare that (see augmind search --help).
    dry_run
        Stop at the plan.
    quiet
        No progress.
    as_json
        Print report.json's verdict as one JSON object.
    """
    said = {"want": numbers("--want", want), "search": search or None, "target": target, "unlabelled": unlabelled, "source": source}
    options = together(columns, rows, work, way, proof, tries) | said
    run(data, out_folder, options, until="plan" if dry_run else "report", quiet=quiet, as_json=as_json)


def run(
    data: Any,
    folder: Path | None,
    options: dict[str, Any],
    *,
    until: Literal["plan", "search", "report"] = "report",
    quiet: bool = False,
    as_json: bool = False,
) -> Any:
    """Runs `expand` under a progress display, prints its end and gives the run."""
    from .absent import refuse_absent

    refuse_absent(data, options)
    from augmind import api
    from augmind import conduct as whole
    from augmind.job import Job
    from augmind.progress import Display

    folder = folder or Path("runs") / (Path(str(data).rstrip("/")).name.split(".")[0] or "data")
    translations = bool(options.get("target"))
    with Display(err, folder, quiet) as display:

        def on_plan(plan: Any) -> None:
            if not quiet:
                (parallel.show_plan if translations else show_plan)(plan, folder)
            coming = parallel.foreseen(folder) if translations else whole.foreseen(Job(folder))
            display.expect([] if until == "plan" else coming, plan)

        finished = api.expand(data, folder, until=until, watch=display, on_plan=on_plan, **options)
    if until == "plan":
        err.print("stopped at the plan (--dry-run); the same command without it goes on from here")
    if until == "report":
        finish(finished, as_json)
    return finished


def show_plan(plan: Any, folder: Path) -> None:
    """The plan in a few lines, before the work."""
    from augmind.compare import in_full, unsearched
    from augmind.progress import clock
    from augmind.shards import made_by

    how = f"cross-validation in {plan.folds} folds" if plan.mode == "cv" else f"{plan.test_rows:,} sealed test rows"
    cost = plan.estimates
    steps = ", ".join(f"{g} {plan.steps[g]} steps" if g in plan.steps else g for g in plan.generators)
    size = " x ".join(map(str, plan.shape))
    seeds = f"{plan.seeds} seed{'s' * (plan.seeds > 1)} an arm"
    err.print(f"plan      {plan.rows:,} rows of {size} in {plan.classes} classes; {how}; {seeds}")
    err.print(f"imagine   {steps or 'nothing: no generator is asked for'}")
    err.print(f"compare   {', '.join(in_full(arm, made_by(plan.generators)) for arm in unsearched(plan))}; with {', '.join(plan.learners)}")
    if plan.trials:
        where = f"{plan.trials} policies in each of {plan.folds} folds" if plan.folds > 1 else f"{plan.trials} policies"
        err.print(f"search    {where} for each learner, on {plan.splits} inner splits, proposed by {plan.sampler}")
    err.print(
        f"expect    about {clock(cost['seconds'])}, {cost['disk_mb']:.0f} MB of disk, {cost['memory_mb'] / 1000:.1f} GB of memory; all in {folder}"
    )
    for note in plan.notes:
        err.print(f"note      {note}")


WARNINGS = 4
"""Findings that are told at the end of a run; the report has all."""


def finish(finished: Any, as_json: bool) -> None:
    """The verdict and where everything is."""
    record = finished.record
    if as_json:
        print(json.dumps(record["verdict"], ensure_ascii=False))
        return
    from augmind.report import summary

    out.print(summary(record))
    out.print(f"report    {finished.report}", soft_wrap=True)
    for name, rows in record["wanted"].items():
        if rows["got"] < rows["asked"]:
            err.print(f"asked for {rows['asked']} rows of '{name}': {rows['got']} passed the screens; augmind sample draws on")
    told = list(dict.fromkeys(f["text"] for f in record["findings"] if f["level"] == "warning"))
    for text in told[:WARNINGS]:
        err.print(f"warning   {text}", soft_wrap=True)
    if len(told) > WARNINGS:
        err.print(f"warning   {len(told) - WARNINGS} more in the report")
    for line in record["next"]:
        out.print(f"next      {line}", soft_wrap=True)
    if record["generators"] and not any(g["kept"] for g in record["generators"]):
        text = "no synthetic row that could be handed over passed the screens"
        trained = any(g["steps"] for g in record["generators"])
        longer = "; generators that train by steps may need more: --preset balanced, or --steps" if trained else ""
        raise NothingLeft(text, help=f"see in the report what rejected them: {rejecters(record['generators'])}{longer}")


def rejecters(generators: list[dict[str, Any]]) -> str:
    """Which screen rejected most rows of each generator."""
    told = []
    for g in generators:
        by, n = max(g["rejected"].items(), key=lambda item: item[1], default=("", 0))
        told.append(f"{by} {n:,} of {g['drawn']:,} of '{g['name']}'" if n else f"'{g['name']}' drew none")
    return ", ".join(told)


@app.command
def resume(folder: Path, *, storage: str | None = None, jobs: int | None = None, track: str | None = None, quiet: Quiet = False) -> None:
    """Continue an interrupted run with the settings it was begun with.

    Examples:

        augmind resume runs/photos

    Parameters
    ----------
    folder
        The run folder.
    storage
        The database through which a search shares its work; none: it goes on alone.
    jobs
        Worker processes (default: one a core).
    track
        Where curves and figures go, by comma (default: where they went before).
    quiet
        No progress.
    """
    from augmind.api import continued

    data, options = continued(folder, storage=storage, jobs=jobs, track=listed("--track", track))
    run(data, folder, options, quiet=quiet)
