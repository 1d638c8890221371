"""The verbs that do the whole job: demo, expand, resume."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from augmind.core.errors import UsageError

from .app import app, err, out

DATA = Group("Data", sort_key=1)
WORK = Group("Work", sort_key=2)
PROOF = Group("Proof", sort_key=3)
SEARCH = Group("Search", sort_key=4)

Names = Annotated[str | None, Parameter(group=WORK)]


EXAMPLES = {"--want": "spoons=500 forks=200", "--steps": "vae=1000 diffusion=2000"}


def listed(text: str | None) -> tuple[str, ...] | None:
    """ "a,b" as ("a", "b")."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else None


def numbers(flag: str, pairs: list[str] | None) -> dict[str, int] | None:
    """ "spoons=500" as {"spoons": 500}. Raises `UsageError` for anything else."""
    found: dict[str, int] = {}
    for pair in pairs or []:
        name, _, count = pair.rpartition("=")
        if not name or not count.isdigit() or int(count) < 1:
            raise UsageError(f"{flag} '{pair}' is not NAME=NUMBER", help=f"write for example {flag} {EXAMPLES[flag]}")
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
    preset: Annotated[Literal["quick", "balanced", "thorough"] | None, Parameter(group=WORK)] = None,
    budget: Names = None,
    generators: Names = None,
    learner: Names = None,
    backbone: Names = None,
    want: Annotated[list[str] | None, Parameter(group=WORK, consume_multiple=True, negative="")] = None,
    steps: Annotated[list[str] | None, Parameter(group=WORK, consume_multiple=True, negative="")] = None,
    ratio: Annotated[float | None, Parameter(group=WORK)] = None,
    share: Annotated[float | None, Parameter(group=WORK)] = None,
    start: Names = None,
    labels: Names = None,
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
    search: Annotated[bool, Parameter(group=SEARCH, negative="")] = False,
    trials: Annotated[int | None, Parameter(group=SEARCH)] = None,
    sampler: Annotated[Literal["tpe", "gp", "random"] | None, Parameter(group=SEARCH)] = None,
    warm: Annotated[list[str] | None, Parameter(group=SEARCH, consume_multiple=True, negative="")] = None,
    storage: Annotated[str | None, Parameter(group=SEARCH)] = None,
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
        augmind expand photos/ --search --trials 60

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
        The pretrained network: lite0, a name (resnet18, resnet50, convnext-tiny, vit-small, vit-base, dinov2-small, dinov2-base, vgg11,
        vgg16), a Hub id or a folder with safetensors.
    want
        How many synthetic rows of which class to hand over: spoons=500 forks=200.
    steps
        Training steps of generators and learners, instead of the preset's: vae=1000 diffusion=2000.
    ratio
        Synthetic rows per real row otherwise.
    share
        Part of every training batch that is synthetic (default 0.25).
    start
        A finished run, or a model.safetensors of one, whose learner (cnn, finetune) every training begins from.
    labels
        How the classes of --start are called here where names differ: "old=new, old2=new2".
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
    search
        Find the policy by Bayesian search on inner folds first, and compare that (see augmind search --help).
    trials
        Policies to try for each fold and learner (default: 24 quick, 40 balanced, 100 thorough).
    sampler
        What proposes policies: tpe (default), gp or random.
    warm
        Finished runs whose winning policies are tried first.
    storage
        An Optuna storage URL instead of RUN/study.db, to watch or share the study.
    dry_run
        Stop at the plan.
    quiet
        No progress.
    as_json
        Print report.json's verdict as one JSON object.
    """
    columns = {"label": label, "column": column, "group": group, "split": split, "size": size, "max_bad": max_bad}
    work = {"preset": preset, "budget": budget, "generators": listed(generators), "learner": listed(learner), "backbone": backbone}
    work |= {
        "want": numbers("--want", want),
        "steps": numbers("--steps", steps),
        "ratio": ratio,
        "share": share,
        "start": start,
        "labels": labels,
        "jobs": jobs,
        "seed": seed,
        "drop_rare": drop_rare or None,
        "download": download or None,
    }
    tries = {"search": search or None, "trials": trials, "sampler": sampler, "warm": tuple(warm) if warm else None, "storage": storage}
    options = columns | work | tries | {"folds": folds, "seeds": seeds, "test": test, "margin": margin}
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
    from augmind import api
    from augmind import conduct as whole
    from augmind.job import Job
    from augmind.progress import Display

    folder = folder or Path("runs") / (Path(str(data).rstrip("/")).name.split(".")[0] or "data")
    with Display(err, folder, quiet) as display:

        def on_plan(plan: Any) -> None:
            if not quiet:
                show_plan(plan, folder)
            display.expect([] if until == "plan" else whole.foreseen(Job(folder)), plan)

        finished = api.expand(data, folder, until=until, watch=display, on_plan=on_plan, **options)
    if until == "plan":
        err.print("stopped at the plan (--dry-run); the same command without it goes on from here")
    if until == "report":
        finish(finished, as_json)
    return finished


def show_plan(plan: Any, folder: Path) -> None:
    """The plan in a few lines, before the work."""
    from augmind.progress import clock

    how = f"{plan.folds}-fold cross-validation" if plan.mode == "cv" else f"{plan.test_rows:,} sealed test rows"
    cost = plan.estimates
    steps = ", ".join(f"{g} {plan.steps[g]} steps" if g in plan.steps else g for g in plan.generators)
    size = " x ".join(map(str, plan.shape))
    err.print(f"plan      {plan.rows:,} rows of {size} in {plan.classes} classes; {how}; {plan.seeds} seeds an arm")
    err.print(f"imagine   {steps}")
    err.print(f"compare   real, classical, synthetic, synthetic+classical with {', '.join(plan.learners)}")
    if plan.trials:
        where = f"{plan.trials} policies in each of {plan.folds} folds" if plan.folds > 1 else f"{plan.trials} policies"
        err.print(f"search    {where} for each learner, on {plan.splits} inner splits, proposed by {plan.sampler}")
    err.print(
        f"expect    about {clock(cost['seconds'])}, {cost['disk_mb']:.0f} MB of disk, {cost['memory_mb'] / 1000:.1f} GB of memory; all in {folder}"
    )
    for note in plan.notes:
        err.print(f"note      {note}")


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
    for line in record["next"]:
        out.print(f"next      {line}", soft_wrap=True)


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
    from augmind.api import begun

    record = begun(folder)
    run(record["data"], folder, {k: v for k, v in record["config"].items() if k != "data"}, quiet=quiet)
