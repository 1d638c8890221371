"""Rows of a class along the directions of a generator's latents, as one self-contained HTML page."""

from collections.abc import Sequence
from dataclasses import dataclass

from .generation import preview
from .page import environment
from .words import clean


@dataclass(frozen=True, kw_only=True)
class Direction:
    """The number by which a direction is named, how far latents know of it (a correlation), and previews of the same rows at every step."""

    number: int
    held: float
    views: list[list[str]]


def render(name: str, label: str, generator: str, steps: Sequence[float], found: Sequence[Direction]) -> str:
    """The page: a line for each direction, a column for each step in deviations. It loads nothing and runs nothing."""
    lines = [{"number": d.number, "held": f"{d.held:.2f}", "cells": [[preview(html) for html in cell] for cell in d.views]} for d in found]
    told = [f"{step:+g}".replace("-", "\u2212") if step else "as drawn" for step in steps]
    return (
        environment()
        .get_template("directions.html.j2")
        .render(name=clean(name), label=clean(label), generator=clean(generator), steps=told, lines=lines)
    )
