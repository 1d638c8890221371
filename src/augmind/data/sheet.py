"""The contact sheet of a dataset: one PNG that shows its classes and the rows to look at."""

import io
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from augmind.core.store import atomic_write

from .dataset import Dataset

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .health import Health

INK, QUIET, BAR, WARN = "#1f2933", "#7b8794", "#3e7cb1", "#c2410c"
WIDE = 12.0
"""Width of the sheet in inches."""
ACROSS, BETWEEN = 10, 0.1
"""Square tiles in a line, and inches between them."""
WIDEST = 3.0
"""Width over height of a tile, at most: what is wider still is drawn smaller in it."""
CLASSES = 12
"""Classes with examples."""
INNER = 0.94 * WIDE
"""Inches between the margins."""
CAPTION, TITLE, GAP = 0.38, 0.55, 0.25
"""Heights in inches of the captions of a line, of a heading and of the space between panels."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """So many tiles in a line, of this width and height in inches."""

    across: int
    width: float
    height: float

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> "Grid":
        """Suits rows that are shown (height, width, channels): of wide ones there are fewer in a line."""
        wide = min(max(1.0, shape[1] / shape[0]), WIDEST)
        across = math.ceil(ACROSS / wide)
        width = INNER / across - BETWEEN
        return cls(across=across, width=width, height=width / wide)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A heading and lines of captioned rows: (row id, caption, stands out)."""

    grid: Grid
    title: str
    note: str
    lines: list[list[tuple[int, str, bool]]]
    labels: list[str]
    """A name before each line, or none."""
    paired: bool = False
    """Every two rows belong together and are drawn closer."""

    @property
    def caption(self) -> float:
        """Inches below the tiles of a line."""
        return CAPTION if any(text for line in self.lines for _, text, _ in line) else 0.0

    @property
    def height(self) -> float:
        return TITLE + (self.grid.height + BETWEEN + self.caption) * len(self.lines) + GAP


def draw(health: "Health", path: Path) -> None:
    """Writes the sheet. Rows that are nothing to look at leave only the counts."""
    from matplotlib import font_manager, rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    grid = laid_out(health.dataset)
    panels = [p for make in (examples, label_errors, outliers, near) if (p := make(health, grid)).lines] if grid else []
    shown = min(len(health.counts), 2 * CLASSES)
    chart = TITLE + max(1.6, 0.24 * shown) + 0.45
    height = 0.9 + chart + sum(p.height for p in panels)
    known = {f.name for f in font_manager.fontManager.ttflist}
    families = [f for f in ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Arial Unicode MS", "Microsoft YaHei") if f in known]
    with rc_context({"font.family": families or ["sans-serif"], "text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(WIDE, height), dpi=110, facecolor="white")
        FigureCanvasAgg(figure)
        top = heading(figure, health, height)
        counts(figure, health, top, chart, height, shown)
        top -= chart
        for panel in panels:
            tiles(figure, health.dataset, panel, top, height)
            top -= panel.height
        sink = io.BytesIO()
        figure.savefig(sink, format="png")
    atomic_write(path, sink.getvalue())


def laid_out(dataset: Dataset) -> Grid | None:
    """The grid that suits the rows; None where there are none, or nothing to look at."""
    shown = dataset.codec.tiles(dataset.samples.x[:1])
    return Grid.of(tuple(shown.shape[1:])) if shown is not None and len(shown) else None


def heading(figure: "Figure", health: "Health", height: float) -> float:
    """Writes the title; returns the inches left below it."""
    n, k = len(health.dataset.samples), len(health.counts)
    figure.text(0.03, 1 - 0.38 / height, health.dataset.name, fontsize=17, fontweight="bold", color=INK, va="center")
    aside = len(health.dataset.rows) - n
    line = f"{n:,} usable rows in {k:,} classes" + (f"; {aside:,} set aside" if aside else "")
    figure.text(0.97, 1 - 0.38 / height, line, fontsize=11, color=QUIET, va="center", ha="right")
    return height - 0.75


def panel_title(figure: "Figure", title: str, note: str, top: float, height: float) -> None:
    y = (top - 0.28) / height
    figure.text(0.03, y, title, fontsize=12.5, fontweight="bold", color=INK, va="center")
    figure.text(0.97, y, note, fontsize=9.5, color=QUIET, va="center", ha="right")


def counts(figure: "Figure", health: "Health", top: float, chart: float, height: float, shown: int) -> None:
    """Rows per class as bars, stacked by given split."""
    ranked = sorted(health.counts, key=lambda c: -health.counts[c])
    names = ranked if len(ranked) == shown else ranked[: shown // 2] + ranked[-(shown - shown // 2) :]
    hidden = f"; {len(ranked) - shown:,} classes between the largest and the smallest are not shown" if len(ranked) > shown else ""
    panel_title(figure, "Rows per class", f"largest : smallest = {health.imbalance:.1f} : 1{hidden}", top, height)
    axes = figure.add_axes((0.2, (top - chart + 0.25) / height, 0.74, (chart - TITLE - 0.25) / height))
    left = [0] * len(names)
    splits = [s for s in ("train", "", "val", "test") if s in health.splits]
    shades: dict[str, str] = dict(zip(("train", "", "val", "test"), (BAR, BAR, "#8fb8d9", "#d9a441"), strict=True))
    for split in splits:
        width = [health.splits[split].get(name, 0) for name in names]
        axes.barh(range(len(names)), width, left=left, color=shades[split], height=0.72, label=split or "no split")
        left = [a + b for a, b in zip(left, width, strict=True)]
    for k, total in enumerate(left):
        axes.text(total, k, f" {total:,}", va="center", fontsize=9, color=INK)
    axes.set_yticks(range(len(names)), [short(name, 24) for name in names], fontsize=9.5, color=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, max(left, default=1) * 1.08)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(splits) > 1:
        axes.legend(loc="lower right", frameon=False, fontsize=9, ncols=len(splits), bbox_to_anchor=(1, -0.12))


def examples(health: "Health", grid: Grid) -> Panel:
    """The first rows of each class."""
    wrong = {s.id for s in health.label_errors} | {s.id for s in health.outliers}
    ranked = sorted(health.counts, key=lambda c: -health.counts[c])[:CLASSES]
    by_class: dict[str, list[int]] = {name: [] for name in ranked}
    for key, y in zip(health.dataset.samples.key.tolist(), health.dataset.samples.y.tolist(), strict=True):
        name = health.dataset.spec.classes[y]
        if name in by_class and len(by_class[name]) < grid.across - 1 and key not in wrong:
            by_class[name].append(key)
    lines = [[(i, "", False) for i in ids] for ids in by_class.values()]
    more = len(health.counts) - len(ranked)
    notes = [f"{more:,} more classes are not shown"] if more else []
    for spec in (s for s in health.dataset.spec.sides or (health.dataset.spec,) if s.rate):
        notes.append(f"{spec.shape[2] / 100:g} seconds from left to right, low tones at the bottom, {spec.rate / 2000:g} kHz at the top")
    return Panel(grid=grid, title="Examples of each class", note="; ".join(notes), lines=lines, labels=list(by_class))


def label_errors(health: "Health", grid: Grid) -> Panel:
    rows = [(s.id, f"{short(s.label, 12)}\n→ {short(s.suggested, 11)} ?", True) for s in health.label_errors[: 2 * grid.across]]
    note = f"given label → suggested one{most(len(rows), len(health.label_errors))}"
    return Panel(grid=grid, title="Doubtful labels", note=note, lines=cut(rows, grid.across), labels=[])


def outliers(health: "Health", grid: Grid) -> Panel:
    rows = [(s.id, f"{short(s.label, 12)}\n{s.score:.1f} deviations", False) for s in health.outliers[: grid.across]]
    note = f"unlike the other rows of the class{most(len(rows), len(health.outliers))}"
    return Panel(grid=grid, title="Outliers", note=note, lines=cut(rows, grid.across), labels=[])


def near(health: "Health", grid: Grid) -> Panel:
    """Pairs side by side, pairs of different labels first."""
    rows = health.dataset.rows
    pairs = sorted((ids[:2] for ids in health.near), key=lambda p: rows[p[0]].label == rows[p[1]].label)[: grid.across]
    tiles = [(i, place(health.dataset, i), rows[a].label != rows[b].label) for a, b in pairs for i in (a, b)]
    note = f"two rows of each cluster{most(len(pairs), len(health.near))}"
    return Panel(
        grid=grid, title="Near duplicates, kept together in every split", note=note, lines=cut(tiles, grid.across // 2 * 2), labels=[], paired=True
    )


def most(shown: int, total: int) -> str:
    return f"; the first {shown:,} of {total:,}" if shown < total else ""


def place(dataset: Dataset, id: int) -> str:
    row = dataset.row(id)
    return f"{short(row.label, 12)}\n{short(Path(row.source).name, 13)}"


def cut(rows: list[tuple[int, str, bool]], across: int) -> list[list[tuple[int, str, bool]]]:
    return [rows[k : k + across] for k in range(0, len(rows), across)]


def short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def tiles(figure: "Figure", dataset: Dataset, panel: Panel, top: float, height: float) -> None:
    panel_title(figure, panel.title, panel.note, top, height)
    position = {int(key): i for i, key in enumerate(dataset.samples.key)}
    wanted = [i for line in panel.lines for i, _, _ in line]
    shown = dataset.codec.tiles(dataset.samples.x[[position[i] for i in wanted]])
    if shown is None:
        return
    pictures = dict(zip(wanted, shown.numpy(), strict=True))
    grid, step = panel.grid, (panel.grid.width + BETWEEN) / WIDE
    for row, line in enumerate(panel.lines):
        bottom = top - TITLE - row * (grid.height + BETWEEN + panel.caption) - grid.height
        if panel.labels:
            figure.text(0.03, (bottom + grid.height / 2) / height, wrapped(panel.labels[row]), fontsize=9.5, color=INK, va="center")
        for column, (i, text, warn) in enumerate(line):
            apart = 0.003 if panel.paired and column % 2 else -0.003 if panel.paired else 0.0
            x = 0.03 + (column + bool(panel.labels)) * step - apart
            axes = figure.add_axes((x, bottom / height, grid.width / WIDE, grid.height / height))
            show(axes, pictures[i], text, WARN if warn else QUIET)


def show(axes: "Axes", picture: UInt8[np.ndarray, "h w c"], caption: str, colour: str) -> None:
    axes.imshow(picture, interpolation="nearest" if max(picture.shape[:2]) <= 64 else "antialiased")
    axes.set_axis_off()
    if caption:
        axes.text(0.5, -0.04, caption, transform=axes.transAxes, ha="center", va="top", fontsize=8.5, color=colour, linespacing=1.15)


def wrapped(name: str) -> str:
    return "\n".join(short(name[k : k + 13], 13) for k in range(0, min(len(name), 26), 13))
