"""The verb that looks for a policy: search."""

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from .app import app, out
from .options import COLUMNS, DATA, PROOFS, ROWS, TRIES, WAY, WORKS, AsJson, Columns, Proof, Quiet, Rows, Tries, Way, Work, together
from .work import run


@app.command
def search(
    data: str,
    *,
    out_folder: Annotated[Path | None, Parameter(name=["--out"])] = None,
    tries: Tries = TRIES,
    work: Work = WORKS,
    unlabelled: Annotated[str | None, Parameter(group=DATA)] = None,
    source: Annotated[str | None, Parameter(group=DATA)] = None,
    way: Way = WAY,
    columns: Columns = COLUMNS,
    rows: Rows = ROWS,
    proof: Proof = PROOFS,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Find the augmentation policy for this data: transform, mixing, generators, screens, share and transfer, by Bayesian search.

    Policies are scored on inner folds of the training rows; the sealed test rows stay sealed. No augmentation, the classical arms
    and the default policy are tried first, then every transform once; from then on every other policy uses synthetic rows. A winner that
    is within noise of a simpler policy yields to it. The same command goes on after an interruption, and `augmind resume RUN` then puts the
    winner to the test on the sealed rows.

    Examples:

        augmind search photos/ --out runs/photos --trials 40
        augmind search photos/ --budget 30m --learner probe --warm runs/last-year
        augmind search photos/ --source photos-of-other-things/
        augmind resume runs/photos

    Parameters
    ----------
    data
        A folder with one subfolder a class, a table (CSV, JSON lines, Parquet), a zip or tar of either, .npz, or a Hugging Face dataset.
    out_folder
        The run folder (default: runs/NAME).
    unlabelled
        Rows of the classes of DATA without labels, as for augmind expand; those that get one count as synthetic rows here (the generator pseudo).
    source
        A related dataset of other classes, as for augmind expand: whether learners learn it first is for the search to decide.
    quiet
        No progress.
    as_json
        Print the winners as one JSON object.
    """
    options = together(columns, rows, work, way, proof, tries) | {"search": True, "unlabelled": unlabelled, "source": source}
    finished = run(data, out_folder, options, until="search", quiet=quiet)
    show_search(finished, as_json)


def show_search(finished: Any, as_json: bool) -> None:
    """Who won in every fold, what it beat, what mattered."""
    from augmind.search.winner import ROLES

    found = finished.searches
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for s in found:
        out.print(f"fold {s['fold']}, {s['learner']}: {s['tried']} policies tried, {s['pruned']} stopped early")
        for role in (r for r in ROLES if r in s):
            out.print(f"  {role:9} {100 * s[role]['value']:5.1f}  {s[role]['words']}", soft_wrap=True)
        weights = ", ".join(f"{k} {v:.0%}" for k, v in list(s["importance"].items())[:4])
        out.print(f"  mattered  {weights or 'nothing that could be told'}", soft_wrap=True)
    out.print("these are scores on inner folds, which a search makes look better than they are", style="dim")
    out.print(f"next      augmind resume {finished.folder}     # the winner on the sealed rows", soft_wrap=True)
