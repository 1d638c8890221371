"""Where synthetic rows lie among the real ones: a small map of every class, on the principal axes of the features."""

from typing import Any

from markupsafe import Markup, escape

from .words import clean, items, number, table, whole

WIDE, HIGH, EDGE = 160, 110, 5
MOST = 12
"""Classes with a map of their own; of more there is one map of all."""
Points = list[tuple[float, float, int]]


def points(of: dict[str, Any], name: str) -> Points:
    """(x, y, class) of rows, in units of the picture; what is no such row is left out."""
    found: Points = []
    for row in items(of, name):
        x, y, k = (number(v) for v in row) if isinstance(row, list | tuple) and len(row) == 3 else (None, None, None)
        if x is not None and y is not None and k is not None:
            x, y = (min(max(v, 0.0), 1.0) for v in (x, y))
            found.append((round(EDGE + x * (WIDE - 2 * EDGE), 1), round(EDGE + (1 - y) * (HIGH - 2 * EDGE), 1), int(k)))
    return found


def drawing(every: Points, real: Points, rows: Points, label: str) -> Markup:
    """All real rows in grey, those of the class as dots, synthetic ones as triangles."""
    dots = [f'<path class="{css}" d="{"".join(f"M{x} {y}h0" for x, y, _ in some)}"/>' for css, some in (("all", every), ("real", real))]
    marks = "".join(f"M{x} {round(y - 3, 1)}l2.7 4.8h-5.4z" for x, y, _ in rows)
    body = f'{"".join(dots)}<path class="made" d="{marks}"/>'
    return Markup(f'<svg class="map" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{escape(label)}">{body}</svg>')


def map_view(generator: dict[str, Any]) -> dict[str, Any]:
    """The maps of one generator; empty without any."""
    found = table(generator, "map")
    classes, every, rows = [clean(c) for c in items(found, "classes")], points(found, "real"), points(found, "rows")
    if not every or not rows:
        return {}
    panels = []
    for k, name in enumerate(classes) if len(classes) <= MOST else [(-1, "all classes")]:
        real, made = ([p for p in some if k in (p[2], -1)] for some in (every, rows))
        told = f"{whole(len(real))} real, {whole(len(made))} synthetic"
        panels.append({"name": name, "told": told, "svg": drawing(every, real, made, f"{name}: {told}")})
    share = sum(v for s in items(found, "share") if (v := number(s)) is not None)
    return {"name": clean(generator.get("name")), "share": f"{100 * min(max(share, 0.0), 1.0):.0f} %", "panels": panels}
