"""Hyper-parameters as dataclass fields that carry their own search range."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, cast

DIGITS = 3
"""Significant digits of a setting that was searched."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Where a search may move a field: numbers from `low` to `high`, or one of `options`."""

    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    options: tuple[Any, ...] = ()

    def allows(self, value: Any) -> bool:
        """Whether a field may have this value: one of the options, or a number of the range's own kind in it (so neither nan nor True)."""
        if self.options:
            return any(value == known and type(value) is type(known) for known in self.options)
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return cast(float, self.low) <= value <= cast(float, self.high)

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are in it."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def __str__(self) -> str:
        if self.options:
            return f"one of {', '.join(map(str, self.options))}"
        return f"{'a whole number from ' if self.whole else ''}{self.low:g} to {self.high:g}"


def tune(default: Any, low: float | int | None = None, high: float | int | None = None, *, log: bool = False, options: tuple[Any, ...] = ()) -> Any:
    """A dataclass field with a default and a search range, e.g. `lr: float = tune(2e-4, 1e-5, 1e-3, log=True)`.

    Between whole ends lie whole numbers alone. Raises `TypeError` for a whole default between other ends, or the other way round.
    """
    if not options and isinstance(default, int) != (isinstance(low, int) and isinstance(high, int)):
        raise TypeError(f"the default {default!r} and the ends {low!r} and {high!r} are numbers of two kinds")
    return dataclasses.field(default=default, metadata={"range": Range(low=low, high=high, log=log, options=options)})


def ranges(plugin: type) -> dict[str, Range]:
    """The search range of every tunable field of a plug-in."""
    return {f.name: f.metadata["range"] for f in dataclasses.fields(plugin) if "range" in f.metadata}


def placed(allowed: Range, place: float) -> Any:
    """The value at a place 0..1 of a range, to `DIGITS` significant digits; whole numbers where both ends are."""
    if allowed.options:
        return allowed.options[min(int(place * len(allowed.options)), len(allowed.options) - 1)]
    low, high = cast(float, allowed.low), cast(float, allowed.high)
    value = low * (high / low) ** place if allowed.log else low + (high - low) * place
    if allowed.whole:
        return round(value)
    return min(max(rounded(value), low), high)


def place_of(allowed: Range, value: Any) -> float:
    """The inverse of `placed`, up to rounding."""
    if allowed.options:
        return (allowed.options.index(value) + 0.5) / len(allowed.options)
    low, high = cast(float, allowed.low), cast(float, allowed.high)
    place = math.log(value / low) / math.log(high / low) if allowed.log else (value - low) / (high - low)
    return min(1.0, max(0.0, place))


def rounded(value: float) -> float:
    """To `DIGITS` significant digits, as people write numbers."""
    return float(f"{value:.{DIGITS}g}")
