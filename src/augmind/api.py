"""The verbs of augmind for Python programs; the command line says the same words.

import augmind
run = augmind.expand("data/", out="runs/data", preset="quick")
print(run.verdict["sentence"])
run.export("bigger/", to="imagefolder")
"""

import re
import webbrowser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .config import config, plan_of, recorded
from .core.errors import AugmindError, DataError, NothingLeft, UsageError, unknown
from .core.store import read_json, read_table

if TYPE_CHECKING:
    import pandas

    from .conduct import Until
    from .core.pool import Item
    from .core.run import Run
    from .data.bitext import CorpusHealth
    from .data.dataset import Dataset
    from .data.health import Health
    from .job import Job


def load(data: str | Path, **options: Any) -> "Dataset":
    """Reads a labelled dataset: a folder with one subfolder a class, a table, an archive, `.npz` or a Hugging Face dataset.

    Options: label, column, text, group, split (column names; text=("premise", "hypothesis") makes rows pairs, column="image,sound" pictures
    with their sounds), beside (a folder with the sounds of pictures, or the other way round), size (side), chunk (seconds to
    which sounds are cut), max_bad (share of unreadable rows), download.
    Raises `DataError` in one sentence for what cannot be read.
    """
    from .data.load import load as read

    known = set(signature(read).parameters) - {"source"}
    for name in options:
        if name not in known:
            raise unknown("option of load", name, known)
    return read(str(data), **options)


def inspect(data: "str | Path | Dataset", **options: Any) -> "Health | CorpusHealth":
    """The health of a dataset: counts, corrupt rows, duplicates, outliers, likely label errors, leaks between its splits.

    With `target`, the column of the translations of `text`, that of a table of translations: pairs whose lengths, languages or words do not
    go together (`CorpusHealth`).
    """
    from .data.clean import clean
    from .data.health import health

    if isinstance(data, str | Path) and options.get("target"):
        return inspect_pairs(data, {k: v for k, v in options.items() if v is not None and v is not False})
    options.pop("target", None)
    if options and not isinstance(data, str | Path):
        raise UsageError(f"a dataset that is loaded takes no options, and {next(iter(options))} was given", help="give them to augmind.load")
    dataset = load(data, **options) if isinstance(data, str | Path) else data
    return health(clean(dataset))


def inspect_pairs(data: str | Path, options: dict[str, Any]) -> "CorpusHealth":
    """The health of a table of translations. Raises `UsageError` for options that are about classes or about runs."""
    from .data.bitext import corpus_health
    from .data.parallel import load as pairs
    from .parallel.config import wish

    wish(data=str(data), **options)
    allowed = ("text", "target", "split", "max_bad")
    if lost := next((name for name in options if name not in allowed), ""):
        raise unknown("option of inspect", lost, allowed)
    return corpus_health(pairs(data, **options), options["text"], options["target"])


class Finished:
    """A run folder to read: its verdict, its figures, its synthetic rows."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        recorded(self.folder)

    def __repr__(self) -> str:
        return f"augmind.Finished({str(self.folder)!r})"

    @property
    def record(self) -> dict[str, Any]:
        """`report.json`. Raises `UsageError` while the run is not finished."""
        path = self.folder / "report.json"
        if not path.is_file():
            raise UsageError(f"'{self.folder}' is not finished", help=f"continue it with: augmind resume {self.folder}")
        return read_json(path)

    @property
    def of_pairs(self) -> bool:
        """Whether it is a run of translations (`target`)."""
        return "target" in recorded(self.folder)["config"]

    def of_classes(self) -> "Job":
        """The run folder. Raises `UsageError` for a run of translations."""
        from .job import Job

        if self.of_pairs:
            text = f"'{self.folder}' is a run of translations, which has no classes"
            raise UsageError(text, help="look at its report.html, report.json and corpus.parquet")
        return Job(self.folder)

    @property
    def verdict(self) -> dict[str, Any]:
        return self.record["verdict"]

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"

    @property
    def searches(self) -> list[dict[str, Any]]:
        """What the search of each fold and learner found: winner, classical (the best without synthetic rows), best, importance."""
        from .searched import winners

        return winners(self.of_classes())

    def frame(self) -> "pandas.DataFrame":
        """Every measurement: learner, arm, fold, seed, metric, value."""
        from .report import frame

        return frame(self.record)

    def open(self) -> None:
        """Shows the report in a browser."""
        webbrowser.open(self.report.resolve().as_uri())

    def table(self) -> dict[str, list[Any]]:
        """Every row drawn to be handed over: seed, label, scores, what rejected it, its nearest real row; None where a generator tells nothing.

        `drawn_for` tells why: "comparison" (the fold that is handed over), "wanted" (--want) or "sample".
        """
        from .pipeline import handover_shards

        shards = [(purpose, read_table(path / "table.parquet")) for purpose, path in handover_shards(self.of_classes())]
        tables = [{**rows, "drawn_for": [purpose] * len(rows["seed"])} for purpose, rows in shards]
        names = dict.fromkeys(name for t in tables for name in t)
        return {name: [v for t in tables for v in t.get(name, [None] * len(t["seed"]))] for name in names}

    def _drawn(self, generator: str) -> Iterator[dict[str, list[Any]]]:
        """Tables of drawn rows: those to be handed over, then those of other folds, of which reports show some too."""
        if handed := self.table():
            yield handed
        for path in sorted((self.folder / "stages").glob(f"draw-{generator}-*/table.parquet")):
            yield read_table(path)

    def why(self, row: str) -> dict[str, Any]:
        """Where a synthetic row came from and what each screen said; `row` is "generator:seed" or an exported file's name."""
        found = re.search(r"([a-z_]+)[:-](\d+)(?:\.\w+)?$", row)
        name, number = (found[1], int(found[2])) if found else ("", -1)
        for table in self._drawn(name) if found else ():
            for i, drawn in enumerate(zip(table["generator"], table["seed"], strict=True)):
                if drawn == (name, number):
                    return explain(self.folder, {k: v[i] for k, v in table.items()})
        raise UsageError(
            f"no synthetic row '{row}' in '{self.folder}'", help="rows are named generator:seed, as in the report and in exported tables"
        )

    def sample(
        self,
        label: str,
        n: int,
        out: str | Path,
        generator: str | None = None,
        *,
        like: "Sequence[str]" = (),
        unlike: "Sequence[str]" = (),
        where: "Mapping[str, str] | None" = None,
        mix: "Mapping[str, float] | None" = None,
        along: "Mapping[int, float] | None" = None,
    ) -> int:
        """Draws `n` more screened rows of a class into a new folder; returns how many. Raises `NothingLeft` if none passes.

        `like` and `unlike` name files, or hold texts: of many rows those nearest to one of the first, and farthest from the others, are chosen.
        `where` does so with the real rows whose columns hold these values, {"material": "silver"}, and those where they hold others.
        `mix` decodes rows between classes, {"forks": 0.3}; `along` moves them along the directions in which rows of the class vary, {1: 2.0}.
        """
        from .draw_more import draw_more
        from .planning import unchanged

        job = self._drawing(label, generator)
        unchanged(job)
        with job.store.lock():
            written = draw_more(job, label, n, Path(out), generator, like=like, unlike=unlike, where=where, mix=mix, along=along)
        if not written:
            text = f"none of the rows drawn for '{label}' passed the screens"
            steered = "give smaller parts or deviations: rows that are moved far no longer pass for the class"
            longer = "train longer (--preset thorough), or see the report for what rejected them"
            raise NothingLeft(text, help=steered if mix or along else longer)
        return written

    def _drawing(self, label: str, generator: str | None) -> "Job":
        """The finished run, of which rows of a class are drawn. Raises `UsageError` for a class or a generator of rows that it does not have."""
        _ = self.record, self.of_classes()
        job = self.intact()
        if label not in job.spec.classes:
            raise unknown("class", label, job.spec.classes)
        if generator and generator not in job.generators("rows"):
            raise unknown("generator of this run", generator, job.generators("rows"))
        return job

    def directions(self, label: str, out: str | Path, generator: str | None = None) -> Path:
        """Writes an HTML page of rows of a class along the directions of a generator's latents, which `sample` takes as `along`; returns its path.

        Raises `UsageError` where no generator of the run has latents, or only not the one that is named, and for an `out` that is a folder.
        """
        from .core.store import atomic_write, make_folder
        from .directions import page

        job = self._drawing(label, generator)
        if (out := Path(out)).is_dir():
            raise UsageError(f"'{out}' is a folder", help="give the name of a file, such as directions.html")
        html = page(job, label, generator)
        make_folder(out.parent)
        atomic_write(out, html.encode())
        return out

    def export(self, out: str | Path, to: str = "imagefolder", rows: str = "all", *, originals: bool = False) -> Path:
        """Writes the enlarged dataset: `to` is imagefolder, parquet, webdataset, npz, of texts csv or jsonl, of sounds audiofolder or flac; `rows`
        all, real or synthetic; with `originals` real rows are the files that they came from, as they were given."""
        from .data.export import export
        from .handover import NONE, given, handed_over

        if self.of_pairs:
            from .parallel import handover

            if originals:
                raise UsageError("--originals is about files, and these rows are translations", help="leave it out")
            self.intact()
            return handover.export(self.folder, Path(out), to, rows)
        job = self.intact()
        with given(job) if originals and (rows != "synthetic" or job.config.unlabelled) else nullcontext(NONE) as files:
            return export(handed_over(job, rows, files), Path(out), to)

    def intact(self) -> "Job":
        """The run folder, with every file as it was when its stage was finished. Raises `AugmindError` for a damaged one."""
        from .job import Job

        job = Job(self.folder)
        if bad := job.store.damaged():
            text = f"{len(bad)} file{'s' * (len(bad) > 1)} of '{self.folder}' changed after they were finished: {', '.join(bad[:3])}"
            raise AugmindError(text, help=f"make them again with: augmind resume {self.folder}", code="RUN-004")
        return job


OTHER_REASONS = {
    "surplus": "more rows passed than were wanted",
    "unsure": "its label is not among the surest; networks may learn from it by what is believed of it",
}
"""Why rows are not handed over that no screen rejected."""


def explain(folder: Path, row: dict[str, Any]) -> dict[str, Any]:
    """A row of the table in words: origin, scores against cuts, the nearest real row's file."""
    from .appraise import calibration
    from .job import Job
    from .shards import LABELS, labels_alone
    from .steering import STEERED

    job = Job(folder)
    cuts = {name: s["cut"] for name, s in calibration(job).items()}
    scores = {k[len("score_") :]: v for k, v in row.items() if k.startswith("score_")}
    near, note = job.source_of(row["nearest_row"]), row.get("note") or ""
    rejected = row["rejected_by"]
    reason = calibration(job)[rejected]["reason"] if rejected in cuts else OTHER_REASONS.get(rejected, "")
    if rejected == LABELS and labels_alone(row["generator"]):
        reason += "; networks may learn from it by what is believed of it"
    return {
        "row": f"{row['generator']}:{row['seed']}",
        "generator": row["generator"],
        "seed": row["seed"],
        "label": row["label"],
        "note": note,
        "steered": note.startswith(STEERED),
        "kept": row["kept"],
        "rejected_by": rejected,
        "reason": reason,
        "screens": {n: {"score": s, "cut": cuts.get(n)} for n, s in scores.items()},
        "nearest_real_row": near,
    }


def expand(
    data: str | Path,
    out: str | Path | None = None,
    *,
    dry_run: bool = False,
    until: "Until" = "report",
    watch: "Callable[[Item, str], None] | None" = None,
    on_plan: "Callable[[Any], None] | None" = None,
    **options: Any,
) -> Finished:
    """The whole job: cleans, seals, imagines, screens, compares, reports. The same call continues an interrupted run.

    `options` are the fields of `augmind.config.Config`: preset, seed, generators, learner, want, budget, size, group, ...; with `target`, the
    column of translations, those of `augmind.parallel.config.Wish`. `unlabelled` names a folder of rows without labels.
    `out` defaults to `runs/NAME`.
    Raises an `AugmindError` whose message says what to do.
    """
    from . import conduct as whole

    folder = Path(out) if out else Path("runs") / (Path(str(data)).name.split(".")[0] or "data")
    if options.get("target"):
        from .parallel import conduct as pairs
        from .parallel.config import wish

        until_pairs = "plan" if dry_run or until == "plan" else "report"
        asked = wish(data=str(data), **options)
        return Finished(pairs.expand(asked, folder, until=until_pairs, watch=watch or whole.ignore, on_plan=on_plan or whole.ignore).folder)
    made = config(data=str(data), **options)
    job = whole.expand(made, folder, until="plan" if dry_run else until, watch=watch or whole.ignore, on_plan=on_plan or whole.ignore)
    return Finished(job.folder)


def translate(data: str | Path, task: str, out: str | Path, *, run: "Callable[[Path], Run] | None" = None, **options: Any) -> dict[str, Any]:
    """Learns to undo a degradation of unlabelled files, or to turn them into those of the same names in the folder `task`; its figures.

    `options` are the fields of `augmind.translation.Request`: steps, width, adversarial, test, size, group, seed, batch, lr. The translator, a sheet
    to look at and the held-out rows lie in `out`. The same call goes on after an interruption; `run` makes the surroundings of the training.
    Raises an `AugmindError` whose message says what to do.
    """
    from .config import validated
    from .translation import Request
    from .translation import translate as learnt

    return learnt(validated(Request, {"data": str(data), "task": task, **options}), Path(out), run)


def begun(folder: str | Path) -> dict[str, Any]:
    """What a run was begun with. Raises `UsageError` for another folder and `DataError` where its dataset is gone."""
    record = recorded(Path(folder))
    if Path(record["data"]).is_absolute() and not Path(record["data"]).exists():
        text = f"the dataset of '{folder}' is gone: {record['data']}"
        raise DataError(text, help="put it back, or start again with another --out", code="DATA-021")
    return record


def resume(folder: str | Path, *, storage: str | None = None, jobs: int | None = None, track: Any = None, **callbacks: Any) -> Finished:
    """Continues a run with the settings it was begun with; a finished one is left as it is.

    `storage`, `jobs` and `track` as in `augmind search --help`: no result depends on them, so they may be others than before. Trackers are
    those that it was begun with unless others are named.
    """
    data, options = continued(folder, storage=storage, jobs=jobs, track=track)
    return expand(data, folder, **options, **callbacks)


def continued(folder: str | Path, **way: Any) -> tuple[str, dict[str, Any]]:
    """The dataset of a run that was begun, and the options that go on with it. Raises `UsageError` for a folder that is no run."""
    record = begun(folder)
    kept = {k: v for k, v in record["config"].items() if k != "data"} | ({"track": record["track"]} if "track" in record else {})
    return record["data"], kept | {k: v for k, v in way.items() if v is not None}


def runs(folder: str | Path = "runs") -> list[dict[str, Any]]:
    """The run folders below a folder: path, dataset, preset, whether finished, and the verdict; `damaged` says what is wrong with one."""
    found = []
    for path in sorted(Path(folder).glob("*/config.json")):
        told: dict[str, Any] = {"run": str(path.parent), "data": "", "preset": "", "started": "", "verdict": None, "damaged": ""}
        try:
            record, report = recorded(path.parent), path.with_name("report.json")
            told |= {"data": record["data"], "preset": record["config"]["preset"], "started": record["started"]}
            if path.with_name("plan.json").is_file():
                plan_of(path.parent)
            told["verdict"] = read_json(report)["verdict"] if report.is_file() else None
        except (AugmindError, KeyError, TypeError) as error:
            told["damaged"] = str(error)
        found.append(told)
    return found
