"""The learning curve as a picture: error by number of real rows, the law through it, and where the gain stands on it."""

import math
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from .plots import Axis, axis_over, marker, svg, tick_label
from .words import Scale, clean, entries, interval, number, plain, table, whole

HEIGHT = 280
FOOT = 34
"""Room for the row counts below."""
POINTS = Scale("points")
STEPS = 40


def learning_view(record: dict[str, Any]) -> dict[str, Any]:
    growth = table(record, "growth")
    points = [(x, y) for p in entries(growth, "points") if (x := number(p.get("rows"))) and x > 0 and (y := number(p.get("error"))) is not None]
    doubling, worth = table(growth, "doubling"), table(growth, "worth")
    return {
        "there": bool(points),
        "learner": clean(growth.get("learner") or ""),
        "rows": whole(growth.get("rows")),
        "chart": chart(growth, points) if points else "",
        "told": clean(worth.get("told") or ""),
        "doubling": plain(doubling["mean"], POINTS, sign=True) if doubling else "",
        "doubling_interval": interval(doubling.get("low"), doubling.get("high"), POINTS, sign=True),
        "exponent": plain(table(growth, "law").get("exponent"), Scale("", 1.0, 2)),
    }


def chart(growth: dict[str, Any], points: list[tuple[float, float]]) -> Markup:
    """Rows on a logarithmic axis, error in per cent; a dot a training, a mark a mean, the law as a line, dashed where it is a guess."""
    law, now = table(growth, "law"), number(growth.get("rows"))
    scale, exponent = number(law.get("scale")), number(law.get("exponent"))
    sizes = mean_by_rows(points)
    seen = [x for x, _ in sizes]
    last = max([*seen, 2 * now if now and now > 0 else 0])
    line = [] if scale is None or exponent is None or not (0 < scale < 1e9 and 0 <= exponent < 100) else law_line(scale, exponent, min(seen), last)
    ends = [e for _, e in points] + [e for _, e in line]
    across, up = Axis(math.log(min(seen)) - 0.08, math.log(last) + 0.08, ()), axis_over(ends)
    if up is None:
        return Markup("")

    def height(error: float) -> float:
        share = (error - up.low) / (up.high - up.low)
        return round((HEIGHT - FOOT) * (1 - min(max(share, 0.0), 1.0)), 2)

    parts = [grid(height(t), tick_label(up, t, Scale("", 100.0))) for t in up.ticks]
    parts += [segment(across, a, b, height, "law" if b[0] <= max(seen) * 1.01 else "law guess") for a, b in pairwise(line)]
    parts += [f'<circle cx="{across.at(math.log(x))}%" cy="{height(e)}" r="3" class="seed k-classical"/>' for x, e in points]
    parts += [marker("classical", across.at(math.log(x)), round(height(e))) for x, e in sizes]
    parts += [below(across, x, whole(x)) for x in seen]
    if now and now > 0 and now > max(seen):
        at = across.at(math.log(now))
        parts.append(f'<line x1="{at}%" x2="{at}%" y1="0" y2="{HEIGHT - FOOT}" class="zero"/>')
        parts.append(below(across, now, f"{whole(now)} now"))
    said = "error by number of real rows: " + ", ".join(f"{whole(x)} rows {plain(e, POINTS)} %" for x, e in sizes)
    return svg("".join(parts), HEIGHT, said, "learning")


def mean_by_rows(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means of the sizes, where sizes that differ by less than a tenth are one: a part is not the same number of rows in every fold."""
    out: list[list[tuple[float, float]]] = []
    for point in sorted(points):
        if out and point[0] <= 1.1 * out[-1][0][0]:
            out[-1].append(point)
        else:
            out.append([point])
    return [(sum(x for x, _ in own) / len(own), sum(e for _, e in own) / len(own)) for own in out]


def law_line(scale: float, exponent: float, first: float, last: float) -> list[tuple[float, float]]:
    rows = [first * (last / first) ** (i / STEPS) for i in range(STEPS + 1)] if last > first else []
    return [(x, scale * x**-exponent) for x in rows]


def segment(across: Axis, a: tuple[float, float], b: tuple[float, float], height: Any, css: str) -> str:
    ends = [(across.at(math.log(x)), height(e)) for x, e in (a, b)]
    return f'<line x1="{ends[0][0]}%" y1="{ends[0][1]}" x2="{ends[1][0]}%" y2="{ends[1][1]}" class="{css}"/>'


def grid(y: float, label: str) -> str:
    return f'<line x1="0%" x2="100%" y1="{y}" y2="{y}" class="grid"/><text x="0" y="{y - 4}" class="left">{label}</text>'


def below(across: Axis, rows: float, label: str) -> str:
    return f'<text x="{across.at(math.log(rows))}%" y="{HEIGHT - 12}">{label}</text>'
