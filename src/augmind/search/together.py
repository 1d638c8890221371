"""Several runs of one search on one storage: every score is worked out by one of them and learnt by all.

Such runs, on one machine or many, ask the same questions in the same order (see `study`), so a score is a score for all. A
queue in the storage holds a trial for every score that is due: waiting, running with a heartbeat, or complete with the
predictions. What a process claimed that died goes stale and is asked for again, so killing one loses only what it was at.
"""

import base64
import contextlib
import json
import os
import platform
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from augmind import __version__
from augmind.core.errors import DataError, MachineError
from augmind.core.pool import Item, Workers
from augmind.core.store import digest, file_digest, read_json
from augmind.core.tensors import load_tensors
from augmind.core.types import Policy
from augmind.job import Job

from .book import quiet, shared
from .score import Rung, score_inputs, scored, validation, write_score

if TYPE_CHECKING:
    import optuna

Tell = Callable[[Item, str], None]
POLL = 1.0
"""Seconds between two looks at what the others are doing."""
HEARTBEAT, GRACE = 10, 45
"""Seconds between two signs of life, and without any until a claim is stale."""
NOT_PART = {"data", "jobs", "track", "storage", "start", "backbone"}
"""Settings in which runs of one search may differ, or of which the content counts and not the name."""
LIBRARIES = ("torch", "numpy", "scikit-learn", "transformers", "optuna", "pillow")
ARGS = ("fold", "policy", "split", "steps", "rows")
RUN = "$RUN"
"""Stands for the run folder in what is shared: every run has its own."""


def same_search(job: Job) -> str:
    """What runs have in common that may share scores: rows, settings, plan, the content of models that are begun from, versions, machine."""
    plan = job.plan.to_json()
    numbers = {k: v for k, v in plan.items() if k not in ("estimates", "notes", "starts")}
    begun = {name: file_digest(Path(file)) for name, file in sorted(job.plan.starts.items())}
    made = {name: version(name) for name in LIBRARIES} | {"augmind": __version__, "machine": platform.machine(), "device": job.run("").device.type}
    settings = job.config.model_dump(mode="json", exclude=NOT_PART)
    return digest(made, job.about["fingerprint"], settings, numbers, begun, content(job.config.backbone))


def content(backbone: str | None) -> Any:
    """A backbone as what is in it: the files of a folder, else its name."""
    folder = Path((backbone or "").rpartition("@")[0] or backbone or "")
    if not backbone or not folder.is_dir():
        return backbone
    return [(str(f.relative_to(folder)), file_digest(f)) for f in sorted(folder.rglob("*")) if f.is_file()]


def moved(value: Any, old: str, new: str) -> Any:
    """JSON in which every path below the folder `old` lies below `new`."""
    if isinstance(value, str):
        return new + value[len(old) :] if value == old or value.startswith((old + "/", old + "\\")) else value
    if isinstance(value, dict):
        return {k: moved(v, old, new) for k, v in value.items()}
    return [moved(v, old, new) for v in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class Work:
    """A score: `text` is how every run writes it, `item` what makes it in this one."""

    key: str
    text: str
    item: Item

    @classmethod
    def of(cls, item: Item) -> "Work":
        args = {k: v for k, v in item.args.items() if k != "folder"}
        text = json.dumps(moved(args, str(Path(item.args["folder"]).resolve()), RUN), sort_keys=True)
        return cls(digest(text), text, item)

    @classmethod
    def told(cls, name: str, text: str, folder: Path) -> "Work | None":
        """The work that another run asked for; None for a text that no run writes, and for a model outside the run folder."""
        try:
            args = json.loads(text)
            if not str(args["policy"]["learner"]["settings"].get("start", RUN)).startswith(RUN):
                return None
            args = moved(args, RUN, str(folder.resolve()))
            item = Item(name=name, function="augmind.search.score:score", args={**{k: args[k] for k in ARGS}, "folder": str(folder)})
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return cls.of(item)

    @property
    def rung(self) -> Rung:
        return Rung(**{k: self.item.args[k] for k in ("split", "steps", "rows")})

    @property
    def policy(self) -> Policy:
        return Policy.from_json(self.item.args["policy"])


@dataclass
class Together:
    """Stands in for `workers.run` in a search with a storage that others may share."""

    job: Job
    workers: Workers
    url: str

    def __post_init__(self) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with quiet(), reachable():
            self.storage = shared(self.url, heartbeat_interval=HEARTBEAT, grace_period=GRACE)
            name = f"scores {same_search(self.job)}"
            self.queue = optuna.create_study(study_name=name, storage=self.storage, direction="maximize", load_if_exists=True)

    def run(self, items: Sequence[Item], tell: Tell) -> None:
        """Sees to it that every score is in this run's store, by this run's work or another's. Raises `MachineError` without the storage."""
        due = {work.key: work for work in map(Work.of, items)}
        mine = [w.item for w in due.values() if self._done(w)]
        self.workers.run(mine, tell)
        due = {k: w for k, w in due.items() if w.item not in mine}
        with quiet(), reachable():
            while due:
                self._publish(due)
                if claimed := self._claim():
                    self._work(claimed, due, tell)
                due = self._fetch(due, tell)
                if due and not claimed:
                    time.sleep(POLL)

    def _done(self, work: Work) -> bool:
        inputs = score_inputs(self.job, work.item.args["fold"], work.policy, work.rung)
        return self.job.store.done(self.job.store.path("score", inputs))

    def _trials(self, *states: str) -> dict[str, list["optuna.trial.FrozenTrial"]]:
        """The trials of every score that are in one of these states, by its key."""
        import optuna

        wanted = [optuna.trial.TrialState[s] for s in states]
        out: dict[str, list[optuna.trial.FrozenTrial]] = {}
        for trial in self.queue.get_trials(deepcopy=False, states=wanted):
            out.setdefault(trial.user_attrs.get("key", ""), []).append(trial)
        return out

    def _publish(self, due: dict[str, Work]) -> None:
        """Asks for every score that nobody waits for, works at or has; a claim without a sign of life counts as none.

        A trial gets its first heartbeat while it waits: Optuna never takes a claim for dead that had none at all.
        """
        import optuna

        optuna.storages.fail_stale_trials(self.queue)
        known = self._trials("WAITING", "RUNNING", "COMPLETE")
        new = {key: work for key, work in due.items() if key not in known}
        for key, work in new.items():
            self.queue.enqueue_trial({}, user_attrs={"key": key, "name": work.item.name, "args": work.text})
        for key, trials in self._trials("WAITING").items() if new else ():
            if key in new:
                for trial in trials:
                    self.storage.record_heartbeat(trial._trial_id)

    def _claim(self) -> list[tuple["optuna.trial.Trial", Work]]:
        """Takes as many waiting scores as there are workers; what another run has or works at already is left to it.

        SQLite may give one trial to two runs; then both work at it, and the first to end is believed.
        """
        import optuna

        out: list[tuple[optuna.trial.Trial, Work]] = []
        try:
            while len(out) < max(1, self.workers.jobs) and (waiting := self._trials("WAITING")):
                self.storage.record_heartbeat(next(iter(waiting.values()))[0]._trial_id)
                try:
                    trial = self.queue.ask()
                except optuna.exceptions.UpdateFinishedTrialError:  # another run had the same one and has ended it
                    continue
                self.storage.record_heartbeat(trial._trial_id)
                about = trial.user_attrs
                work = Work.told(str(about.get("name", "")), str(about.get("args", "")), self.job.folder)
                alike = self._trials("COMPLETE", "RUNNING").get(about.get("key", ""), [])
                if work is None or work.key != about.get("key") or any(other.number != trial.number for other in alike):
                    self._give_back([trial])
                else:
                    out.append((trial, work))
        except BaseException:
            self._give_back([trial for trial, _ in out])
            raise
        return out

    def _give_back(self, trials: Sequence["optuna.trial.Trial"]) -> None:
        """Closes claims that came to nothing; whoever needs the scores asks for them again."""
        import optuna

        for trial in trials:
            with contextlib.suppress(ValueError, optuna.exceptions.UpdateFinishedTrialError, *lost()):
                self.queue.tell(trial, state=optuna.trial.TrialState.FAIL)

    def _work(self, claimed: list[tuple["optuna.trial.Trial", Work]], due: dict[str, Work], tell: Tell) -> None:
        """Works out what was claimed and hands it on; a claim that comes to nothing is given back."""

        def told(item: Item, state: str) -> None:
            if Work.of(item).key in due:
                tell(item, state)

        open_ = [trial for trial, _ in claimed]
        try:
            with self._alive(open_):
                self.workers.run([work.item for _, work in claimed], told)
            for trial, work in claimed:
                open_.remove(trial)
                self._hand_on(trial, work)
                due.pop(work.key, None)
        finally:
            self._give_back(open_)

    def _hand_on(self, trial: "optuna.trial.Trial", work: Work) -> None:
        """Tells all runs a score, unless another did or took this run for dead meanwhile: then the trial is closed."""
        import optuna

        with contextlib.suppress(ValueError, optuna.exceptions.UpdateFinishedTrialError):
            trial.set_user_attr("score", packed(self.job, work))
            trial.set_user_attr("by", f"process {os.getpid()} on {socket.gethostname()}")
            result = scored(self.job, work.item.args["fold"], work.policy, work.rung)
            self.queue.tell(trial, 0.0 if result.failed else float(result.right.mean()))

    @contextlib.contextmanager
    def _alive(self, trials: list["optuna.trial.Trial"]) -> Iterator[None]:
        """Signs of life for these trials while the block runs."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT):
                for trial in trials:
                    with contextlib.suppress(*lost()):
                        self.storage.record_heartbeat(trial._trial_id)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _fetch(self, due: dict[str, Work], tell: Tell) -> dict[str, Work]:
        """Takes over the scores that others have worked out; gives what is still due."""
        found = self._trials("COMPLETE")
        for key, work in due.items():
            if key in found:
                fold, record = work.item.args["fold"], str(found[key][0].user_attrs.get("score"))
                val = validation(self.job, fold, work.rung.split)
                guess, failed = unpacked(record, len(val), len(self.job.spec.classes))
                tell(work.item, "started")
                inputs = score_inputs(self.job, fold, work.policy, work.rung)

                def write(tmp: Path, val: Any = val, guess: Tensor | None = guess, failed: str = failed) -> None:
                    write_score(tmp, val, guess, failed)

                self.job.store.stage("score", inputs, write)
                tell(work.item, "done")
        return {k: w for k, w in due.items() if k not in found}

    def publish_study(self, study: "optuna.Study") -> None:
        """A finished study, for dashboards, in the storage that all share; the first run to end brings it."""
        import optuna

        name = f"{study.study_name} {same_search(self.job)}"
        with quiet(), reachable(), contextlib.suppress(optuna.exceptions.DuplicatedStudyError):
            optuna.copy_study(from_study_name=study.study_name, from_storage=study._storage, to_storage=self.storage, to_study_name=name)


def packed(job: Job, work: Work) -> str:
    """A score of this run as text: the predicted classes, two bytes each, or why there are none."""
    fold = work.item.args["fold"]
    path = job.store.path("score", score_inputs(job, fold, work.policy, work.rung))
    if failed := read_json(path / "score.json")["failed"]:
        return json.dumps({"failed": failed})
    guess = load_tensors(path / "guess.safetensors")["guess"].numpy().astype("<u2")
    return json.dumps({"guess": base64.b64encode(zlib.compress(guess.tobytes())).decode()})


def unpacked(text: str, rows: int, classes: int) -> tuple[Tensor | None, str]:
    """Inverse of `packed`. Raises `DataError` for what cannot be the score of so many rows and classes."""
    try:
        record = json.loads(text)
        if "failed" in record:
            return None, str(record["failed"])
        packed_ = zlib.decompressobj().decompress(base64.b64decode(record["guess"]), 2 * rows + 1)
        guess = np.frombuffer(packed_, dtype="<u2").astype(np.int64)
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise DataError("a score in the storage of --storage cannot be read", help="use another storage", code="DATA-001") from error
    if len(guess) != rows or (rows and guess.max() >= classes):
        raise DataError("a score in the storage of --storage belongs to other rows", help="use another storage", code="DATA-001")
    return torch.from_numpy(guess), ""


def lost() -> tuple[type[Exception], ...]:
    """What says that a storage cannot be reached."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    return optuna.exceptions.StorageInternalError, SQLAlchemyError


@contextlib.contextmanager
def reachable() -> Iterator[None]:
    """Turns a storage that went away into one sentence."""
    try:
        yield
    except lost() as error:
        text = f"the storage of --storage cannot be reached any more ({type(error.__cause__ or error).__name__})"
        raise MachineError(text, help="run the same command again when it is back: everything finished so far is kept", code="ENV-005") from error
