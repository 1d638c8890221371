"""What corruptions cost every arm: a heat table, the mean over severities first, every severity folded out."""

from statistics import fmean
from typing import Any

from .confusion import label_of
from .words import DASH, Scale, clean, entries, interval, items, number, plain, table, whole

POINTS = Scale("points")


def robust_view(record: dict[str, Any]) -> dict[str, Any]:
    robust = table(record, "robustness")
    names = [clean(n) for n in items(robust, "corruptions")]
    arms = [a for a in entries(robust, "arms") if table(a, "cells")]
    severities = [clean(s) for s in items(robust, "severities")]
    values = {clean(a.get("arm", "")): cells_of(a) for a in arms}
    return {
        "there": bool(names and arms),
        "rows": whole(robust.get("rows")),
        "arms": [label_of(record, clean(a.get("arm", ""))) for a in arms],
        "clean": [cell(number(a.get("clean"))) for a in arms],
        "means": [{"name": spoken(n), "cells": best([mean(own.get(n, [])) for own in values.values()])} for n in names],
        "drops": [told(a, "drop") for a in arms],
        "gains": [told(a, "gain") for a in arms],
        "severities": severities,
        "each": [{"name": spoken(n), "cells": [padded(own.get(n, []), len(severities)) for own in values.values()]} for n in names],
    }


def spoken(name: str) -> str:
    return name.replace("_", " ").capitalize() if name != "jpeg" else "JPEG"


def cells_of(arm: dict[str, Any]) -> dict[str, list[float | None]]:
    return {clean(n): [number(v) for v in row] for n, row in table(arm, "cells").items() if isinstance(row, list)}


def mean(values: list[float | None]) -> float | None:
    there = [v for v in values if v is not None]
    return fmean(there) if there else None


def padded(values: list[float | None], size: int) -> list[dict[str, Any]]:
    """As many cells as there are severities."""
    return [cell(v) for v in [*values[:size], *[None] * (size - len(values))]]


def cell(value: float | None, top: bool = False) -> dict[str, Any]:
    return {"value": plain(value, POINTS), "share": value, "best": top}


def best(values: list[float | None]) -> list[dict[str, Any]]:
    """Cells of one row, the highest marked unless all are alike."""
    there = {v for v in values if v is not None}
    return [cell(v, len(there) > 1 and v == max(there)) for v in values]


def told(arm: dict[str, Any], name: str) -> dict[str, str]:
    d = table(arm, name)
    sign = name == "gain"
    value = plain(d.get("estimate"), POINTS, sign)
    return {"value": value, "interval": interval(d.get("low"), d.get("high"), POINTS, sign) if value != DASH else ""}
