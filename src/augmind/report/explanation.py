"""Why: heat maps over test rows, the hardest rows, the synthetic rows that moved the model most, a look into the generators."""

from typing import Any

from markupsafe import Markup

from .confusion import label_of
from .generation import bytes_of, preview, rows_that_fit
from .plots import axis_over, ruler, track
from .words import DASH, Scale, clean, entries, interval, items, number, plain, table, whole

BUDGET = 500_000
"""Most bytes of previews in this section; beyond it, fewer of every kind are shown."""
FAINT, STRONGEST = 0.05, 0.85
"""The least share of the strongest part that is tinted, and the tint of the strongest."""
CELLS = 64
"""Most cells a side of a map that is drawn."""
POINTS, PUSH, DISTANCE = Scale("points", digits=0), Scale("", 1.0, 2), Scale("", 1.0, 2)
ALIKE = ((0.8, "much the same places"), (0.5, "partly the same places"), (-2.0, "different places"))


def explanation_view(record: dict[str, Any]) -> dict[str, Any]:
    told = table(record, "explanation")
    fit = rows_that_fit(strips(told), BUDGET)
    arms = [label_of(record, clean(a)) for a in items(told, "arms")[:2]]
    looked, hard, moved = looked_view(told, fit), hard_view(told, fit), moved_view(told, fit)
    made = [generator_view(g, fit) for g in entries(told, "generators")]
    there = len(arms) == 2 and bool(looked["rows"] or looked["why"] or hard["rows"] or moved["plot"] or moved["why"] or made)
    return {"there": there, "arms": arms, "looked": looked, "hard": hard, "moved": moved, "generators": made, "fit": fit}


def strips(told: dict[str, Any]) -> list[list[int]]:
    """Bytes of the previews of every list of rows; a row that is looked into is shown three times."""

    def sizes(rows: list[dict[str, Any]], times: int = 1) -> list[int]:
        return [times * bytes_of(r.get("html")) + bytes_of(r.get("nearest")) for r in rows]

    moved = table(told, "influence")
    out = [sizes(entries(table(told, "hardest"), "rows")), sizes(entries(table(told, "attribution"), "rows"), 3)]
    out += [sizes(entries(moved, "helpful")), sizes(entries(moved, "harmful"))]
    for g in entries(told, "generators"):
        out += [sizes(entries(g, "closest")), *([bytes_of(h) for h in items(s, "html")] for s in entries(g, "strips"))]
    return out


# What the models look at


def looked_view(told: dict[str, Any], fit: int | None) -> dict[str, Any]:
    found = table(told, "attribution")
    alike = number(found.get("alike"))
    rows = [v for r in entries(found, "rows")[:fit] if (v := looked_row(r, found))]
    return {
        "why": clean(found.get("why") or ""),
        "learner": clean(found.get("learner") or DASH),
        "rows": rows,
        "alike": "" if alike is None else f"On these rows the two models look at {next(w for least, w in ALIKE if alike >= least)}",
        "correlation": plain(alike, Scale("", 1.0, 2)),
    }


def looked_row(row: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """One test row with a heat map an arm, both on one scale; empty without its preview or a map."""
    view = preview(row.get("html"))
    maps = [grid_of(a.get("map")) for a in entries(row, "arms")[:2]]
    if not view or len(maps) < 2 or not all(maps):
        return {}
    top = max(abs(v) for grid in maps for line in grid for v in line)
    sizes = [[number(v) or 1.0 for v in items(found, name)][-2:] for name in ("shape", "window")]
    cells = [
        {"heat": heat(grid, sizes[0], sizes[1], top), **answered(arm, clean(row.get("class") or DASH))}
        for arm, grid in zip(entries(row, "arms"), maps, strict=False)
    ]
    return {"own": view, "class": clean(row.get("class") or DASH), "cells": cells}


def answered(arm: dict[str, Any], true: str) -> dict[str, Any]:
    answer = clean(arm.get("answer") or DASH)
    return {"answer": answer, "right": answer == true, "p": plain(arm.get("p"), POINTS), "true": plain(arm.get("true"), POINTS)}


def grid_of(value: object) -> list[list[float]]:
    """The map as lines of one length; empty for anything else."""
    if not isinstance(value, list | tuple) or not 0 < len(value) <= CELLS:
        return []
    lines = [[number(v) or 0.0 for v in line] for line in value if isinstance(line, list | tuple) and 0 < len(line) <= CELLS]
    return lines if len(lines) == len(value) and len({len(line) for line in lines}) == 1 else []


def heat(grid: list[list[float]], shape: list[float], window: list[float], top: float) -> Markup:
    """Tinted cells in the proportions of the row: warm where a part spoke for the true class, cool where against it."""
    if len(shape) != 2 or len(window) != 2:
        shape, window = [1.0, float(len(grid[0]))], [1.0, 1.0]
    (height, width), (down, right) = ([max(v, 1.0) for v in pair] for pair in (shape, window))
    cells = []
    for i, line in enumerate(grid):
        for j, value in enumerate(line):
            share, x, y = abs(value) / (top or 1.0), j * right, i * down
            if share >= FAINT and x < width and y < height:
                w, h = min(right, width - x), min(down, height - y)
                tone = "for" if value > 0 else "against"
                tint = f"{STRONGEST * share:.2f}"
                cells.append(f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" class="{tone}" fill-opacity="{tint}"/>')
    body = Markup("".join(cells))
    return Markup('<svg class="heatmap" viewBox="0 0 {} {}" aria-hidden="true">{}</svg>').format(f"{width:g}", f"{height:g}", body)


# Hard rows


def hard_view(told: dict[str, Any], fit: int | None) -> dict[str, Any]:
    hard = table(told, "hardest")
    rows = []
    for r in entries(hard, "rows")[:fit]:
        own = preview(r.get("html"))
        arms = [{**answered(a, clean(r.get("class") or DASH)), "wrong": plain(a.get("wrong"), POINTS)} for a in entries(r, "arms")[:2]]
        if own and len(arms) == 2:
            rows.append({"own": own, "class": clean(r.get("class") or DASH), "arms": arms})
    return {
        "rows": rows,
        "wrong": whole(hard.get("wrong")),
        "test": whole(hard.get("test")),
        "compared": whole(hard.get("compared")),
        "slices": [slice_view(s) for s in entries(hard, "slices")],
    }


def slice_view(s: dict[str, Any]) -> dict[str, Any]:
    d = table(s, "difference")
    return {
        "class": clean(s.get("class") or DASH),
        "taken": clean(s.get("taken") or DASH),
        "rows": whole(s.get("rows")),
        "shares": [plain(v, POINTS) for v in [*items(s, "shares"), None, None][:2]],
        "value": plain(d.get("estimate"), POINTS, sign=True),
        "interval": interval(d.get("low"), d.get("high"), POINTS, sign=True),
    }


# What moved the model, and what the generators draw


def moved_view(told: dict[str, Any], fit: int | None) -> dict[str, Any]:
    moved = table(told, "influence")
    return {
        "why": clean(moved.get("why") or ""),
        "rows": whole(moved.get("rows")),
        "held": whole(moved.get("held")),
        "plot": moved_plot(entries(moved, "generators")),
        "lists": [(name, [drawn_view(r) for r in entries(moved, name)[:fit]]) for name in ("helpful", "harmful")],
    }


def moved_plot(generators: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean influence of every generator's rows, one track each."""
    axis = axis_over([0.0, *(g.get(end) for g in generators for end in ("mean", "low", "high"))]) if generators else None
    if axis is None:
        return {}
    rows = []
    for g in generators:
        value, ends = plain(g.get("mean"), PUSH, sign=True), interval(g.get("low"), g.get("high"), PUSH, sign=True)
        title = f"{clean(g.get('generator') or DASH)}: {plain(g.get('helps'), POINTS)} % of {whole(g.get('rows'))} rows help"
        chart = track(axis, g.get("mean"), g.get("low"), g.get("high"), [], "synthetic", True, f"{title}, mean {value}, interval {ends or DASH}")
        rows.append({"title": title, "kind": "synthetic", "value": value, "interval": ends, "track": chart})
    return {"rows": rows, "ruler": ruler(axis, PUSH, sign=True)}


def drawn_view(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "own": preview(row.get("html")),
        "nearest": preview(row.get("nearest")),
        "class": clean(row.get("class") or DASH),
        "generator": clean(row.get("generator") or DASH),
        "row": f"{clean(row.get('generator') or '')}:{clean(row.get('seed'))}",
        "push": plain(row.get("influence"), PUSH, sign=True),
        "distance": plain(row.get("distance"), DISTANCE),
    }


def generator_view(g: dict[str, Any], fit: int | None) -> dict[str, Any]:
    lines = []
    for s in entries(g, "strips"):
        kept = [*items(s, "kept"), *[True] * len(items(s, "html"))]
        views = [{"own": own, "kept": k is not False} for h, k in zip(items(s, "html")[:fit], kept, strict=False) if (own := preview(h))]
        if views:
            lines.append({"class": clean(s.get("class") or DASH), "walk": s.get("kind") == "walk", "views": views})
    near = [v for r in entries(g, "closest")[:fit] if (v := drawn_view(r))["own"]]
    return {
        "name": clean(g.get("generator") or DASH),
        "why": clean(g.get("why") or ""),
        "walk": any(line["walk"] for line in lines),
        "kept": whole(g.get("kept")),
        "lines": lines,
        "closest": near,
    }
