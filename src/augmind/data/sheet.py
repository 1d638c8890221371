"""The contact sheet of a dataset: one PNG that shows its classes and the rows to look at."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augmind.core.store import atomic_write

from .dataset import Dataset

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .health import Health

INK, QUIET, BAR, WARN = "#1f2933", "#7b8794", "#3e7cb1", "#c2410c"
WIDE = 12.0
"""Width of the sheet in inches."""
ACROSS = 10
"""Pictures in a line."""
CLASSES = 12
"""Classes with examples."""
TILE, CAPTION, TITLE, GAP = 1.12, 0.38, 0.55, 0.25
"""Heights in inches of a line of pictures, of its captions, of a heading and of the space between panels."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A heading and lines of captioned rows: (row id, caption, stands out)."""

    title: str
    note: str
    lines: list[list[tuple[int, str, bool]]]
    labels: list[str]
    """A name before each line, or none."""
    paired: bool = False
    """Every two rows belong together and are drawn closer."""

    @property
    def height(self) -> float:
        return TITLE + (TILE + CAPTION * any(text for line in self.lines for _, text, _ in line)) * len(self.lines) + GAP


def draw(health: "Health", path: Path) -> None:
    """Writes the sheet. Rows that are not pictures leave only the counts."""
    from matplotlib import font_manager, rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [p for p in (examples(health), label_errors(health), outliers(health), near(health)) if p.lines] if pictorial(health.dataset) else []
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


def pictorial(dataset: Dataset) -> bool:
    from PIL.Image import Image

    return len(dataset.samples) > 0 and isinstance(dataset.codec.decode(dataset.samples.x[:1])[0], Image)


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


def examples(health: "Health") -> Panel:
    """The first rows of each class."""
    wrong = {s.id for s in health.label_errors} | {s.id for s in health.outliers}
    ranked = sorted(health.counts, key=lambda c: -health.counts[c])[:CLASSES]
    by_class: dict[str, list[int]] = {name: [] for name in ranked}
    for key, y in zip(health.dataset.samples.key.tolist(), health.dataset.samples.y.tolist(), strict=True):
        name = health.dataset.spec.classes[y]
        if name in by_class and len(by_class[name]) < ACROSS - 1 and key not in wrong:
            by_class[name].append(key)
    lines = [[(i, "", False) for i in ids] for ids in by_class.values()]
    more = len(health.counts) - len(ranked)
    note = f"{more:,} more classes are not shown" if more else ""
    return Panel(title="Examples of each class", note=note, lines=lines, labels=list(by_class))


def label_errors(health: "Health") -> Panel:
    rows = [(s.id, f"{short(s.label, 12)}\n→ {short(s.suggested, 11)} ?", True) for s in health.label_errors[: 2 * ACROSS]]
    note = f"given label → suggested one{most(len(rows), len(health.label_errors))}"
    return Panel(title="Doubtful labels", note=note, lines=cut(rows), labels=[])


def outliers(health: "Health") -> Panel:
    rows = [(s.id, f"{short(s.label, 12)}\n{s.score:.1f} deviations", False) for s in health.outliers[:ACROSS]]
    note = f"unlike the other rows of the class{most(len(rows), len(health.outliers))}"
    return Panel(title="Outliers", note=note, lines=cut(rows), labels=[])


def near(health: "Health") -> Panel:
    """Pairs side by side, pairs of different labels first."""
    rows = health.dataset.rows
    pairs = sorted((ids[:2] for ids in health.near), key=lambda p: rows[p[0]].label == rows[p[1]].label)[:ACROSS]
    tiles = [(i, place(health.dataset, i), rows[a].label != rows[b].label) for a, b in pairs for i in (a, b)]
    note = f"two rows of each cluster{most(len(pairs), len(health.near))}"
    return Panel(title="Near duplicates, kept together in every split", note=note, lines=cut(tiles), labels=[], paired=True)


def most(shown: int, total: int) -> str:
    return f"; the first {shown:,} of {total:,}" if shown < total else ""


def place(dataset: Dataset, id: int) -> str:
    row = dataset.row(id)
    return f"{short(row.label, 12)}\n{short(Path(row.source).name, 13)}"


def cut(rows: list[tuple[int, str, bool]]) -> list[list[tuple[int, str, bool]]]:
    return [rows[k : k + ACROSS] for k in range(0, len(rows), ACROSS)]


def short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def tiles(figure: "Figure", dataset: Dataset, panel: Panel, top: float, height: float) -> None:
    panel_title(figure, panel.title, panel.note, top, height)
    position = {int(key): i for i, key in enumerate(dataset.samples.key)}
    wanted = [i for line in panel.lines for i, _, _ in line]
    pictures = dict(zip(wanted, dataset.codec.decode(dataset.samples.x[[position[i] for i in wanted]]), strict=True))
    caption = CAPTION if any(text for line in panel.lines for _, text, _ in line) else 0.0
    step, side = 0.94 / ACROSS, (TILE - 0.1) / WIDE
    for row, line in enumerate(panel.lines):
        bottom = top - TITLE - row * (TILE + caption) - TILE + 0.1
        if panel.labels:
            figure.text(0.03, (bottom + (TILE - 0.1) / 2) / height, wrapped(panel.labels[row]), fontsize=9.5, color=INK, va="center")
        for column, (i, text, warn) in enumerate(line):
            apart = 0.005 if panel.paired and column % 2 else -0.005 if panel.paired else 0.0
            x = 0.03 + (column + bool(panel.labels)) * step - apart
            axes = figure.add_axes((x, bottom / height, side, (TILE - 0.1) / height))
            show(axes, pictures[i], text, WARN if warn else QUIET)


def show(axes: "Axes", picture: Any, caption: str, colour: str) -> None:
    axes.imshow(picture.convert("RGBA"), interpolation="nearest" if max(picture.size) <= 64 else "antialiased")
    axes.set_axis_off()
    if caption:
        axes.text(0.5, -0.04, caption, transform=axes.transAxes, ha="center", va="top", fontsize=8.5, color=colour, linespacing=1.15)


def wrapped(name: str) -> str:
    return "\n".join(short(name[k : k + 13], 13) for k in range(0, min(len(name), 26), 13))
