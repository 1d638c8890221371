"""What a stage is given besides its data: a place for checkpoints, a seed, a device, a deadline, a log."""

import dataclasses
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from .seeds import stable_seed, stream
from .store import disk_errors, finite


@dataclass(frozen=True)
class Finding:
    """A coded remark for the report: `level` is "info", "warning" or "problem"."""

    code: str
    level: str
    text: str
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Run:
    """The surroundings of one piece of work. Plug-ins may log, ask for randomness and checkpoint through it, nothing else.

    folder       the run folder; `events.jsonl` in it receives one line per event
    seed         everything random is derived from it by name
    label        which piece of work this is, e.g. "train diffusion, fold 2"
    checkpoints  where an unfinished training may keep its state; None: nowhere
    deadline     `time.monotonic()` at which a training must stop with what it has; None: never
    """

    folder: Path
    seed: int = 0
    label: str = ""
    device: torch.device = torch.device("cpu")
    checkpoints: Path | None = None
    deadline: float | None = None

    def named(self, label: str, **changes: Any) -> "Run":
        return dataclasses.replace(self, label=label, **changes)

    def rng(self, *names: object) -> torch.Generator:
        """An independent random stream for these names."""
        return stream(self.seed, *names)

    def seed_for(self, *names: object) -> int:
        return stable_seed(self.seed, *names)

    def event(self, kind: str, **fields: Any) -> None:
        """Appends one line to `events.jsonl`: a single write, so lines of several processes never mix."""
        line = json.dumps(finite({"time": round(time.time(), 3), "event": kind, "label": self.label, **fields}), ensure_ascii=False, default=str)
        path = self.folder / "events.jsonl"
        with disk_errors(path, len(line)):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(handle, (line + "\n").encode())
            finally:
                os.close(handle)

    def progress(self, done: int, total: int, **fields: Any) -> None:
        self.event("progress", done=done, total=total, **fields)

    def out_of_time(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline


class Events:
    """The lines that are added to a run's `events.jsonl` from now on."""

    def __init__(self, folder: Path) -> None:
        self.path, self.rest = folder / "events.jsonl", ""
        self.position = self.path.stat().st_size if self.path.exists() else 0

    def new(self) -> list[dict[str, Any]]:
        """Events written since the last call; a line that is still being written comes with the next."""
        if not self.path.exists():
            return []
        with self.path.open(encoding="utf-8") as f:
            f.seek(self.position)
            *lines, self.rest = (self.rest + f.read()).split("\n")
            self.position = f.tell()
        return [json.loads(line) for line in lines if line]
