"""What corruptions cost every arm: a line an arm by severity, a heat table of means over severities, every severity folded out."""

from itertools import pairwise
from statistics import fmean
from typing import Any

from markupsafe import Markup, escape

from .confusion import label_of
from .learning import FOOT, HEIGHT, grid
from .plots import Axis, axis_over, marker, svg, tick_label
from .results import kind_of
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
        "said": "" if all(s.isdigit() for s in severities) else ", ".join(severities),
        "chart": chart(record, arms, names, severities),
        "legend": [{"kind": kind, "css": css, "title": label_of(record, name)} for name, kind, css in drawn_as(record, arms)],
        "each": [{"name": spoken(n), "cells": [padded(own.get(n, []), len(severities)) for own in values.values()]} for n in names],
    }


def drawn_as(record: dict[str, Any], arms: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Name, kind and class of the line of every arm: the second of a kind is dashed."""
    known = {clean(a.get("arm", "")): a for a in entries(record, "arms")}
    out: list[tuple[str, str, str]] = []
    for arm in arms:
        name = clean(arm.get("arm", ""))
        kind = kind_of(known.get(name, arm))
        out.append((name, kind, f"line k-{kind}" + (" guess" if kind in [k for _, k, _ in out] else "")))
    return out


def chart(record: dict[str, Any], arms: list[dict[str, Any]], names: list[str], severities: list[str]) -> Markup:
    """Balanced accuracy, mean over corruptions, by severity; the rows as they are come first."""
    lines = [[number(a.get("clean")), *(mean([c for n in names for c in at(cells_of(a), n, i)]) for i in range(len(severities)))] for a in arms]
    up = axis_over([v for line in lines for v in line])
    if up is None or not severities:
        return Markup("")
    across = Axis(-0.15, len(severities) + 0.15, ())

    def height(value: float) -> float:
        return round((HEIGHT - FOOT) * (1 - (value - up.low) / (up.high - up.low)), 2)

    parts = [grid(height(t), tick_label(up, t, Scale("", 100.0))) for t in up.ticks]
    drawn = drawn_as(record, arms)
    for (_, kind, css), line in zip(drawn, lines, strict=True):
        places = [(across.at(float(i)), height(v)) for i, v in enumerate(line) if v is not None]
        parts += [f'<line x1="{a}%" y1="{b}" x2="{c}%" y2="{d}" class="{css}"/>' for (a, b), (c, d) in pairwise(places)]
        parts += [marker(kind, x, round(y)) for x, y in places]
    parts += [f'<text x="{across.at(float(i))}%" y="{HEIGHT - 12}">{escape(word)}</text>' for i, word in enumerate(["as they are", *severities])]
    told = [f"{label_of(record, name)}: {', '.join(plain(v, POINTS) for v in line)}" for (name, _, _), line in zip(drawn, lines, strict=True)]
    return svg("".join(parts), HEIGHT, f"balanced accuracy by severity: {'; '.join(told)}", "learning")


def at(cells: dict[str, list[float | None]], name: str, i: int) -> list[float | None]:
    return cells.get(name, [])[i : i + 1]


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
