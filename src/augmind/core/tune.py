"""Hyper-parameters as dataclass fields that carry their own search range."""

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Range:
    """Where a search may move a field: numbers from `low` to `high`, or one of `options`."""

    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    options: tuple[Any, ...] = ()

    def allows(self, value: Any) -> bool:
        if self.options:
            return value in self.options
        return self.low is not None and self.high is not None and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"one of {', '.join(map(str, self.options))}" if self.options else f"{self.low:g} to {self.high:g}"


def tune(default: Any, low: float | int | None = None, high: float | int | None = None, *, log: bool = False, options: tuple[Any, ...] = ()) -> Any:
    """A dataclass field with a default and a search range, e.g. `lr: float = tune(2e-4, 1e-5, 1e-3, log=True)`."""
    return dataclasses.field(default=default, metadata={"range": Range(low=low, high=high, log=log, options=options)})


def ranges(plugin: type) -> dict[str, Range]:
    """The search range of every tunable field of a plug-in."""
    return {f.name: f.metadata["range"] for f in dataclasses.fields(plugin) if "range" in f.metadata}
