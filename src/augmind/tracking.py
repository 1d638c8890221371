"""Curves and figures for TensorBoard, MLflow and Weights & Biases while a run goes on, through the trackers of accelerate.

Workers write what they measure to `events.jsonl` alone; one thread of the command that conducts them passes it on. A tracker that
fails is left out with a word, and the run goes on.
"""

import re
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from .core.errors import MachineError, unknown
from .core.run import Events
from .core.store import read_json

TRACKERS = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}
"""Trackers by name, with the package that each needs."""
EVERY = 0.5
"""Seconds between two looks at the events."""
PROJECT = "augmind"
OWN = {"time", "event", "label", "done", "total"}


def checked(names: tuple[str, ...]) -> tuple[str, ...]:
    """The trackers that were asked for; ("none",) asks for none. Raises `UsageError` for unknown ones, `MachineError` for missing ones."""
    if names == ("none",):
        return ()
    for name in names:
        if name not in TRACKERS:
            raise unknown("tracker", name, [*TRACKERS, "none"])
        if find_spec(TRACKERS[name]) is None:
            raise MachineError(f"--track {name} needs the package {TRACKERS[name]}, which is not installed", help=f"pip install {TRACKERS[name]}")
    return names


def made(name: str, folder: Path) -> Any:
    """A started tracker: TensorBoard writes to RUN/tensorboard, the others to where their own settings say, as a run named like the folder."""
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    PartialState(cpu=True)
    kind = LOGGER_TYPE_TO_CLASS[name]
    if name == "tensorboard":
        tracker = kind("tensorboard", logging_dir=folder)
    elif name == "mlflow":
        tracker = kind(experiment_name=PROJECT, run_name=folder.name)
    else:
        tracker = kind(PROJECT, name=folder.name, dir=str(folder))
    tracker.start()
    return tracker


class Tracking:
    """Passes events on from the moment it is entered until it is left; then the figures of the report, if it was made meanwhile."""

    def __init__(self, folder: Path, names: tuple[str, ...], config: dict[str, Any], lost: Callable[[str, str], None]) -> None:
        self.folder, self.names, self.config, self.lost = folder, checked(names), config, lost
        self.events, self.trackers = Events(folder), dict[str, Any]()
        self.before, self.stop = stamp(folder), threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "Tracking":
        if self.names:
            self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop.set()
        if self.names:
            self.thread.join(timeout=2 if kind else 60)

    def _work(self) -> None:
        for name in self.names:
            self._safely(name, self._start)
        while not self.stop.wait(EVERY):
            self._pass_on()
        self._pass_on()
        if stamp(self.folder) != self.before:
            self._log(figures(read_json(self.folder / "report.json")), 0)
        for name in list(self.trackers):
            self._safely(name, lambda n: self.trackers[n].finish())

    def _start(self, name: str) -> None:
        self.trackers[name] = made(name, self.folder)
        if name != "tensorboard":
            self.trackers[name].store_init_configuration({k: str(v) for k, v in self.config.items()})

    def _pass_on(self) -> None:
        for event in self.events.new():
            if values := numbers(event):
                self._log(values, event.get("done", 0), event["label"])

    def _log(self, values: dict[str, float], step: int, label: str = "") -> None:
        """W&B wants steps that only grow, and several trainings run side by side: there the step is a value of its own."""
        for name in list(self.trackers):
            if name == "wandb":
                self._safely(name, lambda n: self.trackers[n].log(values | ({f"{named(label)}/step": step} if label else {})))
            else:
                self._safely(name, lambda n: self.trackers[n].log(values, step=step))

    def _safely(self, name: str, what: Callable[[str], Any]) -> None:
        """Nothing that a tracker does, nor the network behind it, may end a run."""
        try:
            what(name)
        except Exception as error:  # noqa: BLE001  anything at all
            self.trackers.pop(name, None)
            self.lost(name, f"{type(error).__name__}: {error}")


def stamp(folder: Path) -> int:
    """When the report was made."""
    path = folder / "report.json"
    return path.stat().st_mtime_ns if path.is_file() else 0


def named(label: str) -> str:
    """A label in the letters that every tracker takes: "train vae, fold 0" as "train_vae/fold_0"."""
    return re.sub(r"[^\w./-]+", "_", label.replace(", ", "/").replace("+", " and "))


def numbers(event: dict[str, Any]) -> dict[str, float]:
    """The numbers that an event reports, by name."""
    if event.get("event") != "progress":
        return {}
    found = {k: v for k, v in event.items() if k not in OWN and isinstance(v, int | float) and not isinstance(v, bool)}
    return {f"{named(event.get('label', ''))}/{k}": float(v) for k, v in found.items()}


def figures(record: dict[str, Any]) -> dict[str, float]:
    """What a report says, as single numbers: the verdict, and every figure of every arm."""
    v = record["verdict"]
    out = {
        "verdict/use_synthetic": float(v["use_synthetic"]),
        "verdict/gain": v["gain"],
        "verdict/low": v["interval"][0],
        "verdict/high": v["interval"][1],
    }
    for arm in record["arms"]:
        where = named(f"{arm['learner']}/{arm['arm']}")
        out |= {f"{where}/{metric}": found["mean"] for metric, found in arm["metrics"].items()}
    return {k: float(x) for k, x in out.items() if x is not None}
