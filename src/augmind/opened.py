"""What every run folder opened for work has: what it was begun with, its stages, and the handle that reports from it."""

import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from .config import recorded
from .core.run import Run
from .core.store import Store


@dataclass(frozen=True)
class Opened:
    """Everything is derived from files of the run folder, so any process may open one at any time."""

    folder: Path

    @cached_property
    def record(self) -> dict[str, Any]:
        return recorded(self.folder)

    @cached_property
    def store(self) -> Store:
        return Store(self.folder)

    def handle(self, label: str, stage: Path | None, seed: int, seconds: float | None = None) -> Run:
        """A run of the piece of work `label`, whose checkpoints lie in `stage`, with `seconds` to go."""
        return Run(
            folder=self.folder,
            seed=seed,
            label=label,
            device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
            checkpoints=self.store.checkpoints(stage) if stage else None,
            deadline=time.monotonic() + seconds if seconds else None,
        )
