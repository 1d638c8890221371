"""The end of a run in a terminal: the arms with their intervals, then the sentence. ASCII but for what the user named."""

from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .plots import axis_over
from .results import best, difference, learners, primary_of, title_of
from .words import DASH, MINUS, clean, entries, interval, number, plain, scale_of, table

STRIP = 13
"""Characters of an interval strip."""


def ascii_signs(text: str) -> str:
    """Figures with the signs that every terminal has."""
    return text.replace(MINUS, "-").replace(DASH, "-")


def strip(mean: object, low: object, high: object, ends: tuple[float, float]) -> str:
    """An interval on a common scale: "   |--o---|   "."""
    m, a, b = number(mean), number(low), number(high)
    if m is None:
        return ""

    def place(value: float) -> int:
        share = (value - ends[0]) / (ends[1] - ends[0])
        return round((STRIP - 1) * min(max(share, 0.0), 1.0))

    cells = [" "] * STRIP
    if a is not None and b is not None:
        for i in range(place(a), place(b) + 1):
            cells[i] = "-"
        cells[place(a)] = cells[place(b)] = "|"
    cells[place(m)] = "o"
    return "".join(cells)


def told(value: str, ends: str) -> str:
    text = f"{value} ({ends.replace(' to ', '..')})" if ends else value
    return ascii_signs(text)


def learner_table(record: dict[str, Any], learner: str) -> Table:
    arms = [a for a in entries(record, "arms") if clean(a.get("learner", "")) == learner]
    metric = primary_of(record)
    scale, top = scale_of(metric), best(arms, metric)
    figures = [table(table(a, "metrics"), metric) for a in arms]
    axis = axis_over([f.get(k) for f in figures for k in ("mean", "low", "high")])
    title = Text(f"{learner or 'learner'}: {ascii_signs(scale.heading)}", style="bold")
    out = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    out.add_column("arm", overflow="fold")
    out.add_column("mean (interval)", justify="right", no_wrap=True)
    out.add_column("", no_wrap=True)
    out.add_column("to real", justify="right", no_wrap=True)
    out.add_column("to classical", justify="right", no_wrap=True)
    for arm, f in zip(arms, figures, strict=True):
        first = number(f.get("mean")) is not None and number(f.get("mean")) == top
        value = told(plain(f.get("mean"), scale), interval(f.get("low"), f.get("high"), scale))
        differences = [difference(arm, name, scale) for name in ("difference_real", "difference_classical")]
        cells = [
            f"{'*' if first else ' '} {title_of(arm)}",
            value,
            strip(f.get("mean"), f.get("low"), f.get("high"), (axis.low, axis.high)) if axis else "",
        ]
        cells += [told(d["value"], d["interval"]) for d in differences]
        out.add_row(*(Text(c) for c in cells), style="bold" if first else "")
    return out


def summary(record: dict[str, Any]) -> RenderableType:
    """A table of the arms for every learner, the best one starred, and the verdict's sentence; reads without colour at 100 columns."""
    parts: list[RenderableType] = []
    for learner in learners(record):
        parts += [learner_table(record, learner), Text("")]
    if parts:
        parts += [Text("* best mean; differences are paired, in brackets their intervals", style="dim"), Text("")]
    verdict = table(record, "verdict")
    tone = {True: "bold green", False: "bold yellow"}.get(verdict.get("use_synthetic") is True, "bold")
    sentence = clean(verdict.get("sentence") or "This run has no verdict.")
    parts.append(Text(sentence, style=tone if verdict else "bold"))
    return Padding(Group(*parts), (0, 1))
