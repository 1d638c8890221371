"""The verb that looks for a policy: search."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from .app import app, out
from .work import DATA, PROOF, SEARCH, WORK, Names, listed, numbers, run


@app.command
def search(
    data: str,
    *,
    out_folder: Annotated[Path | None, Parameter(name=["--out"])] = None,
    preset: Annotated[Literal["quick", "balanced", "thorough"] | None, Parameter(group=WORK)] = None,
    trials: Annotated[int | None, Parameter(group=SEARCH)] = None,
    budget: Annotated[str | None, Parameter(group=SEARCH)] = None,
    sampler: Annotated[Literal["tpe", "gp", "random"] | None, Parameter(group=SEARCH)] = None,
    warm: Annotated[list[str] | None, Parameter(group=SEARCH, consume_multiple=True, negative="")] = None,
    storage: Annotated[str | None, Parameter(group=SEARCH)] = None,
    generators: Names = None,
    learner: Names = None,
    backbone: Names = None,
    steps: Annotated[list[str] | None, Parameter(group=WORK, consume_multiple=True, negative="")] = None,
    jobs: Annotated[int | None, Parameter(group=WORK)] = None,
    seed: Annotated[int | None, Parameter(group=WORK)] = None,
    label: Annotated[str | None, Parameter(group=DATA)] = None,
    column: Annotated[str | None, Parameter(group=DATA)] = None,
    group: Annotated[str | None, Parameter(group=DATA)] = None,
    split: Annotated[str | None, Parameter(group=DATA)] = None,
    size: Annotated[int | None, Parameter(group=DATA)] = None,
    folds: Annotated[int | None, Parameter(group=PROOF)] = None,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
    as_json: Annotated[bool, Parameter(name=["--json"], negative="")] = False,
) -> None:
    """Find the augmentation policy for this data: transform, mixing, generators, screens, share and transfer, by Bayesian search.

    Policies are scored on inner folds of the training rows; the sealed test rows stay sealed. No augmentation, the classical arms
    and the default policy are tried first. Half of the trials may use synthetic rows and half may not, and a winner that is within
    noise of a simpler policy yields to it. The same command goes on after an interruption, and `augmind resume RUN` then puts the
    winner to the test on the sealed rows.

    Examples:

        augmind search photos/ --out runs/photos --trials 40
        augmind search photos/ --budget 30m --learner probe --warm runs/last-year
        augmind resume runs/photos

    Parameters
    ----------
    data
        A folder with one subfolder a class, a table (CSV, JSON lines, Parquet), a zip or tar of either, .npz, or a Hugging Face dataset.
    out_folder
        The run folder (default: runs/NAME).
    preset
        quick, balanced (default) or thorough: training lengths, inner splits, settings of generators to choose from.
    trials
        Policies to try for each fold and learner (default: 24 quick, 40 balanced, 100 thorough).
    budget
        Wall time to aim at for the whole run: 90s, 10m, 1.5h. Scales training lengths and, unless given, the trials.
    sampler
        What proposes policies: tpe (default), gp or random.
    warm
        Finished runs whose winning policies are tried first.
    storage
        An Optuna storage URL instead of RUN/study.db, to watch or share the study.
    generators
        Which generators, by comma: vae, gan, diffusion, feature.
    learner
        Which downstream models, by comma: probe, cnn, finetune.
    backbone
        The pretrained network: lite0, a Hub id or a folder with safetensors.
    steps
        Training steps of generators and learners, instead of the preset's: vae=1000 cnn=800.
    jobs
        Worker processes (default: one a core); the result does not depend on it.
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
        The side, in pixels, to which everything is brought.
    folds
        Outer folds where there is no sealed part.
    quiet
        No progress.
    as_json
        Print the winners as one JSON object.
    """
    columns = {"label": label, "column": column, "group": group, "split": split, "size": size}
    work = {"preset": preset, "budget": budget, "generators": listed(generators), "learner": listed(learner), "backbone": backbone}
    work |= {"steps": numbers("--steps", steps), "jobs": jobs, "seed": seed, "folds": folds}
    tries = {"search": True, "trials": trials, "sampler": sampler, "warm": tuple(warm) if warm else None, "storage": storage}
    finished = run(data, out_folder, columns | work | tries, until="search", quiet=quiet)
    show_search(finished, as_json)


def show_search(finished: Any, as_json: bool) -> None:
    """Who won in every fold, what it beat, what mattered."""
    found = finished.searches
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for s in found:
        out.print(f"fold {s['fold']}, {s['learner']}: {s['tried']} policies tried, {s['pruned']} stopped early")
        for role in ("winner", "classical", "best"):
            out.print(f"  {role:9} {100 * s[role]['value']:5.1f}  {s[role]['words']}", soft_wrap=True)
        weights = ", ".join(f"{k} {v:.0%}" for k, v in list(s["importance"].items())[:4])
        out.print(f"  mattered  {weights or 'nothing that could be told'}", soft_wrap=True)
    out.print("these are scores on inner folds, which a search makes look better than they are", style="dim")
    out.print(f"next      augmind resume {finished.folder}     # the winner on the sealed rows", soft_wrap=True)
