"""What was generated: the gallery, what the screens rejected, and how every generator fared."""

from typing import Any

from .plots import curve
from .snippet import inert
from .where import map_view
from .words import DASH, KNOWLEDGE, QUALITY, Scale, anything, clean, duration, entries, interval, items, number, plain, scale_of, table, whole

BUDGET = 2_200_000
"""Most bytes of previews in one page; beyond it, fewer rows of every class are shown."""
CLASSES = 100
"""Most classes listed one by one."""
OPEN_CLASSES = 12
"""Classes whose gallery is open at once; the others fold out."""
DIRECTIONS = {True: ("↑", "higher is better"), False: ("↓", "lower is better"), None: ("", "")}
"""How the heading of a figure says which way is better."""
MAPS = 6
"""Most generators with maps of where their rows lie."""
CURVES = 6
"""Most training curves drawn of one generator."""


def preview(html: object) -> dict[str, Any]:
    """A row's preview and its form: a picture, or words."""
    safe = inert(html)
    return {"html": safe, "form": "picture" if "<img" in safe or "<svg" in safe else "words"} if safe else {}


def scores_of(row: dict[str, Any]) -> str:
    return ", ".join(f"{clean(k)} {plain(v, Scale('', 1.0, 2))}" for k, v in table(row, "scores").items())


def sizes(record: dict[str, Any]) -> list[list[int]]:
    """Bytes of the previews of every strip of the gallery, row by row."""
    gallery = table(record, "gallery")
    strips: list[list[Any]] = []
    for c in entries(gallery, "classes")[:CLASSES]:
        strips += [items(c, "real"), entries(c, "synthetic")]
    strips += [entries(group, "rows") for group in entries(gallery, "rejected")]
    return [[sum(map(bytes_of, (r.get("html"), r.get("nearest")) if isinstance(r, dict) else (r,))) for r in strip] for strip in strips]


def bytes_of(html: object) -> int:
    return len(html.encode(errors="replace")) if isinstance(html, str) else 0


def rows_that_fit(strips: list[list[int]], budget: int) -> int | None:
    """The most rows per strip, of bytes row by row, for which all previews stay within the budget; None if all of them do."""
    longest = max((len(s) for s in strips), default=0)
    for rows in range(longest, 0, -1):
        if sum(sum(s[:rows]) for s in strips) <= budget:
            return None if rows == longest else rows
    return 0 if longest else None


def synthetic_view(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "own": preview(row.get("html")),
        "nearest": preview(row.get("nearest")),
        "generator": clean(row.get("generator") or ""),
        "row": clean(row.get("row") or ""),
        "note": clean(row.get("note") or ""),
        "scores": scores_of(row),
    }


def gallery_view(record: dict[str, Any]) -> dict[str, Any]:
    fit = rows_that_fit(sizes(record), BUDGET)
    counts = {clean(k): v for k, v in table(table(table(record, "health"), "counts"), "train").items()}
    wanted = {clean(k): v for k, v in table(record, "wanted").items()}
    classes = []
    for c in entries(table(record, "gallery"), "classes"):
        name = clean(c.get("class", DASH))
        got = table(wanted, name).get("got")
        told = [f"{whole(counts[name])} real" if name in counts else "", f"{whole(got)} synthetic kept" if number(got) is not None else ""]
        classes.append(
            {
                "name": name,
                "told": ", ".join(t for t in told if t),
                "real": [p for html in items(c, "real")[:fit] if (p := preview(html))],
                "words": any("<mark>" in str(row.get("html")) for row in entries(c, "synthetic")),
                "synthetic": [v for row in entries(c, "synthetic")[:fit] if (v := synthetic_view(row))["own"]],
            }
        )
    legend = clean(table(record, "gallery").get("legend") or "")
    parts = {"open": classes[:OPEN_CLASSES], "folded": classes[OPEN_CLASSES:CLASSES], "more": max(0, len(classes) - CLASSES)}
    return parts | {"fit": fit, "legend": legend}


def rejected_view(record: dict[str, Any]) -> dict[str, Any]:
    """Screens with how many rows each rejected, and pictures of rejected rows by reason."""
    screens = entries(record, "screens")
    most = max((number(s.get("rejected")) or 0.0 for s in screens), default=0.0) or 1.0
    fit, per_cent = rows_that_fit(sizes(record), BUDGET), Scale("", 100.0, 1)
    table_rows = []
    for s in screens:
        alarm = table(s, "false_alarm")
        table_rows.append(
            {
                "name": clean(s.get("name") or DASH),
                "reason": clean(s.get("reason") or DASH),
                "cut": plain(s.get("cut"), Scale("", 1.0, 2)),
                "rejected": whole(s.get("rejected")),
                "share": round(100 * (number(s.get("rejected")) or 0.0) / most, 1),
                "alarm": plain(alarm.get("value"), per_cent),
                "alarm_interval": interval(alarm.get("low"), alarm.get("high"), per_cent),
            }
        )
    groups = []
    for g in entries(table(record, "gallery"), "rejected"):
        rows = [r for r in entries(g, "rows")[:fit] if inert(r.get("html"))]
        views = [{**synthetic_view(r), "label": clean(r.get("label") or ""), "score": plain(r.get("score"), Scale("", 1.0, 2))} for r in rows]
        groups.append({"reason": clean(g.get("reason") or DASH), "screen": clean(g.get("screen") or ""), "rows": views})
    return {"screens": table_rows, "groups": [g for g in groups if g["rows"]]}


def points_of(values: object) -> list[float | None]:
    """A curve's values; of (step, value) pairs the second."""
    if not isinstance(values, list | tuple):
        return []
    return [number(v[1] if isinstance(v, list | tuple) and len(v) == 2 else v) for v in values]


def curves_of(generator: dict[str, Any]) -> list[dict[str, Any]]:
    out = []
    figure = Scale("", 1.0, 3)
    for name, values in table(generator, "curves").items():
        points = points_of(values)
        finite = [p for p in points if p is not None]
        if len(finite) < 2:
            continue
        ends = f"{plain(finite[0], figure)} → {plain(finite[-1], figure)}"
        out.append({"name": clean(name), "ends": ends, "svg": curve(points, f"{clean(name)}: {ends}")})
    return out[:CURVES]


def finding_text(finding: object) -> str:
    """A generator's finding, be it a sentence or a coded record."""
    if isinstance(finding, dict):
        return f"{clean(finding.get('code') or '')} {clean(finding.get('text') or '')}".strip()
    return clean(finding)


def funnel(generator: dict[str, Any]) -> dict[str, Any]:
    """Rows drawn, kept and rejected, with widths in per cent."""
    drawn, kept = number(generator.get("drawn")), number(generator.get("kept"))
    rejected = {clean(k): v for k, n in table(generator, "rejected").items() if (v := number(n))}
    if not drawn or kept is None:
        return {}
    return {
        "kept": round(min(max(100 * kept / drawn, 0), 100), 1),
        "text": f"{whole(kept)} of {whole(drawn)} rows kept",
        "rejected": ", ".join(f"{name} {whole(n)}" for name, n in sorted(rejected.items(), key=lambda item: -item[1])),
    }


def steps_text(generator: dict[str, Any]) -> str:
    steps, planned = number(generator.get("steps")), number(generator.get("planned"))
    if steps is None:
        return DASH
    return whole(steps) if planned is None or planned == steps else f"{whole(steps)} of {whole(planned)}"


def generator_view(generator: dict[str, Any]) -> dict[str, Any]:
    knowledge = clean(generator.get("knowledge") or "")
    fold = generator.get("fold")
    return {
        "name": clean(generator.get("name") or DASH),
        "fold": "" if fold is None else "all rows" if fold == "all" else f"fold {anything(fold)}",
        "dropped": clean(generator.get("status") or "ok") != "ok",
        "status": clean(generator.get("status") or "ok"),
        "why": clean(generator.get("why") or ""),
        "facts": [
            ("Learnt from", KNOWLEDGE.get(knowledge, knowledge) or DASH),
            ("Steps", steps_text(generator)),
            ("Time", duration(generator.get("seconds"))),
            ("Settings", anything(table(generator, "settings")) if table(generator, "settings") else "defaults"),
        ],
        "funnel": funnel(generator),
        "curves": curves_of(generator),
        "findings": [finding_text(f) for f in items(generator, "findings")],
        "quality": table(generator, "quality"),
    }


def quality_view(generators: list[dict[str, Any]]) -> dict[str, Any]:
    """Generators by quality metrics, each with its bootstrap interval; the best of every column is marked."""
    there = dict.fromkeys(clean(k) for g in generators for k in g["quality"])
    names = [k for k in QUALITY if k in there] + [k for k in there if k not in QUALITY]
    scales = [QUALITY.get(n) or scale_of(n) for n in names]
    rows = []
    for g in generators:
        figures = [q if isinstance(q := g["quality"].get(n), dict) else {"value": q} for n in names]
        cells = [
            {"value": plain(f.get("value"), s), "interval": interval(f.get("low"), f.get("high"), s), "x": number(f.get("value")), "label": s.label}
            for f, s in zip(figures, scales, strict=True)
        ]
        rows.append({"name": g["name"], "fold": g["fold"], "cells": cells})
    for i, scale in enumerate(scales):
        column = [r["cells"][i] for r in rows]
        finite = [c["x"] for c in column if c["x"] is not None]
        top = (max(finite) if scale.up else min(finite)) if len(set(finite)) > 1 and scale.up is not None else None
        for c in column:
            c["best"] = c["x"] is not None and c["x"] == top
    return {"headings": [(s.label, *DIRECTIONS[s.up]) for s in scales], "rows": rows, "meanings": [(s.label, s.about) for s in scales if s.about]}


def wanted_view(record: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name, value in table(record, "wanted").items():
        if isinstance(value, dict):
            asked, got = number(value.get("asked")), number(value.get("got"))
            share = min(100.0, 100 * got / asked) if asked and got is not None and got >= 0 else 0.0
            short = asked is not None and got is not None and got < asked
            rows.append({"class": clean(name), "asked": whole(asked), "got": whole(got), "share": round(share, 1), "short": short})
    return rows[:CLASSES]


def generation_view(record: dict[str, Any]) -> dict[str, Any]:
    """The sections Gallery, Rejected and Generators."""
    generators = [generator_view(g) for g in entries(record, "generators")]
    measured = [g for g in generators if g["quality"]]
    maps = [m for g in entries(record, "generators")[:MAPS] if (m := map_view(g))]
    return {
        "gallery": gallery_view(record),
        "rejected": rejected_view(record),
        "generators": generators,
        "quality": quality_view(measured),
        "maps": maps,
        "wanted": wanted_view(record),
    }
