"""Small charts as inline SVG with positions in per cent: text keeps its size on every screen, colours follow the page's theme."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from .words import DASH, Scale, interval, number, plain

MARGIN = 3.0
"""Per cent of the width that stays free at both ends of an axis."""
SHAPES = {
    "real": "M0 -5.5A5.5 5.5 0 1 1 0 5.5A5.5 5.5 0 1 1 0 -5.5Z",
    "classical": "M-5 -5H5V5H-5Z",
    "control": "M0 -6.5L6.5 0L0 6.5L-6.5 0Z",
    "synthetic": "M0 -6.5L6.2 5H-6.2Z",
}
"""Outlines of the markers, about the origin: the kind of an arm is told by shape as well as by colour."""
POINTS = 120
"""Most points of a drawn curve."""


@dataclass(frozen=True)
class Axis:
    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Position in per cent of the width."""
        share = (value - self.low) / (self.high - self.low)
        return round(MARGIN + (100 - 2 * MARGIN) * min(max(share, 0.0), 1.0), 2)


def axis_over(values: Sequence[object], wanted: int = 5) -> Axis | None:
    """An axis with round ticks over all finite values; None if there are none."""
    finite = [x for v in values if (x := number(v)) is not None]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    room = (high - low) * 0.06 or abs(high) * 0.1 or 0.01
    low, high = low - room, high + room
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m for m in (1, 2, 2.5, 5, 10) if m * power >= rough) * power
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return Axis(low, high, tuple(round(i * step, 12) for i in range(first, last + 1)))


def svg(body: str, height: int, label: str, css: str) -> Markup:
    """`body` across the full width; `label` is what a screen reader says."""
    return Markup('<svg class="{}" width="100%" height="{}" role="img" aria-label="{}">{}</svg>').format(css, height, label, Markup(body))


def marker(kind: str, x: float, y: int) -> str:
    return f'<svg x="{x}%" y="{y}" class="mark k-{kind}" overflow="visible"><path d="{SHAPES[kind]}"/></svg>'


def bar(axis: Axis, low: float, high: float, y: int, css: str) -> str:
    """An interval with end caps."""
    a, b = axis.at(low), axis.at(high)
    caps = "".join(f'<line x1="{x}%" x2="{x}%" y1="{y - 5}" y2="{y + 5}" class="{css}"/>' for x in (a, b))
    return f'<line x1="{a}%" x2="{b}%" y1="{y}" y2="{y}" class="{css}"/>{caps}'


def tick_label(axis: Axis, value: float, scale: Scale, sign: bool = False) -> str:
    step = (axis.ticks[1] - axis.ticks[0] if len(axis.ticks) > 1 else abs(value) or 1.0) * scale.factor
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step * 10**digits, 6) % 1:
        digits += 1
    return plain(value, Scale("", scale.factor, digits), sign)


def track(axis: Axis, mean: object, low: object, high: object, dots: Sequence[object], kind: str, zero: bool, label: str) -> Markup:
    """One row of an interval plot: grid lines, dots of single seeds above, the interval and its mean below."""
    height, dot_y, mean_y = 44, 13, 29
    parts = [f'<line x1="{axis.at(t)}%" x2="{axis.at(t)}%" y1="0" y2="{height}" class="grid"/>' for t in axis.ticks]
    if zero:
        parts.append(f'<line x1="{axis.at(0.0)}%" x2="{axis.at(0.0)}%" y1="0" y2="{height}" class="zero"/>')
    parts += [f'<circle cx="{axis.at(x)}%" cy="{dot_y}" r="3" class="seed k-{kind}"/>' for d in dots if (x := number(d)) is not None]
    a, b, m = number(low), number(high), number(mean)
    if a is not None and b is not None:
        parts.append(bar(axis, a, b, mean_y, f"span k-{kind}"))
    if m is not None:
        parts.append(marker(kind, axis.at(m), mean_y))
    return svg("".join(parts), height, label, "track")


def ruler(axis: Axis, scale: Scale, sign: bool = False) -> Markup:
    """The tick labels below a stack of tracks."""
    text = "".join(f'<text x="{axis.at(t)}%" y="15">{tick_label(axis, t, scale, sign)}</text>' for t in axis.ticks)
    return svg(text, 20, "scale", "ruler")


def number_line(gain: object, low: object, high: object, certifiable: object, scale: Scale) -> Markup:
    """The verdict's gain with its interval about zero; the shaded band holds gains too small to be certified. Empty without a gain."""
    m, a, b, c = number(gain), number(low), number(high), number(certifiable)
    axis = axis_over([m, a, b, 0.0, c, None if c is None else -c])
    if m is None or axis is None:
        return Markup("")
    parts = []
    if c:
        left, right = axis.at(-abs(c)), axis.at(abs(c))
        parts.append(f'<rect x="{left}%" width="{right - left:.2f}%" y="30" height="44" class="band"/>')
    parts.append('<line x1="0%" x2="100%" y1="74" y2="74" class="axis"/>')
    for t in axis.ticks:
        x = axis.at(t)
        parts.append(f'<line x1="{x}%" x2="{x}%" y1="74" y2="79" class="axis"/>')
        parts.append(f'<text x="{x}%" y="95" class="tick">{tick_label(axis, t, scale, sign=True)}</text>')
    parts.append(f'<line x1="{axis.at(0.0)}%" x2="{axis.at(0.0)}%" y1="30" y2="79" class="zero"/>')
    if a is not None and b is not None:
        parts.append(bar(axis, a, b, 52, "span"))
    x = axis.at(m)
    parts.append(f'<circle cx="{x}%" cy="52" r="7" class="gain"/>')
    anchor = "start" if x < 14 else "end" if x > 86 else "middle"
    parts.append(f'<text x="{x}%" y="18" class="value" style="text-anchor:{anchor}">{plain(m, scale, sign=True)}</text>')
    said = f"gain {plain(m, scale, sign=True)}, interval {interval(a, b, scale, sign=True) or DASH}"
    return svg("".join(parts), 104, said, "numberline")


def curve(values: Sequence[float | None], label: str) -> Markup:
    """A training curve; gaps where a value is not finite."""
    if len(values) > POINTS:
        values = [values[round(i * (len(values) - 1) / (POINTS - 1))] for i in range(POINTS)]
    finite = [v for v in values if v is not None]
    low, high = min(finite), max(finite)
    width = (high - low) or 1.0
    pieces: list[list[str]] = [[]]
    for i, v in enumerate(values):
        if v is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{100 * i / max(len(values) - 1, 1):.2f},{2 + 56 * (high - v) / width:.2f}")
    lines = "".join(f'<polyline points="{" ".join(p)}"/>' for p in pieces if len(p) > 1)
    text = f'<svg class="curve" viewBox="0 0 100 60" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">{lines}</svg>'
    return Markup(text)
