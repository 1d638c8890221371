"""The record of a run, told: one HTML page, one terminal table, one data frame. Pure functions; the dataset is never opened."""

from typing import TYPE_CHECKING, Any

from .page import render
from .terminal import summary

if TYPE_CHECKING:
    import pandas

__all__ = ["frame", "render", "summary"]


def frame(record: dict[str, Any]) -> "pandas.DataFrame":
    """Every single measurement, one a row: learner, arm, fold, seed, metric, value."""
    import pandas

    return pandas.DataFrame(record.get("rows") or [], columns=["learner", "arm", "fold", "seed", "metric", "value"])
