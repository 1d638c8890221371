"""Where a training begins that does not begin from nothing: the models of an earlier run, or one saved model."""

from pathlib import Path

from .core.errors import AugmindError, UsageError
from .core.store import read_json, read_table
from .core.tensors import tensor_meta
from .job import Job

ADVICE = "give the folder of a finished run with the same learner, or one of its model.safetensors"


def donors(start: str, learners: tuple[str, ...]) -> dict[str, str]:
    """For each of these learners that `start` holds a model of, the file.

    Of a run the model of the arm that its verdict recommends (first fold, first seed) is taken, else that of real rows alone.
    Raises `UsageError` where there is none.
    """
    path = Path(start)
    files = sorted((path / "stages").glob("teach-*/model.safetensors")) if path.is_dir() else [path]
    wanted = (read_json(path / "report.json")["verdict"]["arm"], "real") if (path / "report.json").is_file() else ("",)
    found: dict[str, tuple[int, str]] = {}
    for file in files:
        meta = about(file)
        name, arm = meta.get("learner", {}).get("name", ""), meta.get("arm", "")
        rank = wanted.index(arm) if arm in wanted else len(wanted)
        if name in learners and meta.get("fold", "0") == "0" and rank < found.get(name, (len(wanted) + 1, ""))[0]:
            found[name] = rank, str(file.resolve())
    if not found:
        raise UsageError(f"--start '{start}' holds no model of {' or '.join(learners)}", help=ADVICE)
    return {name: file for name, (_, file) in found.items()}


def seen_before(start: str, tested: set[str]) -> int | None:
    """How many of these rows (content hashes) the run that `start` belongs to has learnt from or tested on; None if that is unknown."""
    path = Path(start).resolve()
    for folder in (path, *path.parents):
        if (folder / "config.json").is_file() and (table := Job(folder).prepared / "rows.parquet").is_file():
            return len(tested & set(read_table(table, ["digest"])["digest"]))
    return None


def chosen_on(run: str, tested: set[str]) -> int | None:
    """On how many of these rows (content hashes) the searches of a run made their choices; None if that is unknown.

    Those are the rows that are not sealed there, and in cross-validation all.
    """
    folder = Path(run).resolve()
    if not (folder / "config.json").is_file() or not (prepared := Job(folder).prepared).is_dir():
        return None
    rows, split = read_table(prepared / "rows.parquet", ["id", "digest"]), read_json(prepared / "dataset.json")["split"]
    sealed = set() if split["mode"] == "cv" else {i for fold in split["folds"] for i in fold["test"]}
    return len(tested & {d for i, d in zip(rows["id"], rows["digest"], strict=True) if d and i not in sealed})


def about(file: Path) -> dict:
    """What a saved model says of itself. Raises `UsageError` for a file that is none."""
    try:
        return tensor_meta(file)
    except (OSError, AugmindError) as error:
        raise UsageError(f"--start '{file}' is no saved model", help=ADVICE) from error
