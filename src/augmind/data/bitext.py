"""What a person wants to know about a table of translations before anything is learnt from it: one record, three views of it."""

import dataclasses
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from augmind.core.folds import inner_folds
from augmind.core.run import Finding
from augmind.core.seeds import stable_seed
from augmind.core.store import atomic_write
from augmind.modalities.text.parallel.align import aligned
from augmind.modalities.text.parallel.screens import ratio
from augmind.modalities.text.tongue import language_of
from augmind.modalities.text.words import words

from .health import figures, listed
from .parallel import Corpus, Pair, beside_test
from .sheet import BAR, INK, QUIET, WARN, WIDE, short

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

FOLDS = 5
MOST = 2000
"""Pairs whose words are held against each other: the first ones, since that costs ten milliseconds a pair."""
FEWEST = 200
"""Pairs below which no words are learnt well enough to say that two sides do not belong together."""
ODD, LEAST = 5.0, 0.1
"""Robust z of the log ratio of lengths from which a side is too long for the other, and the deviation that there always is."""
OTHERS, BEATEN = 20, 0.9
"""A pair is held against so many pairs of one of its sides with a side of another row, and goes together where it is above this quantile of them.

1,000 and 4,000 captions of Multi30k with 3 % of the translations exchanged: 90 and 91 % of these are found, and 0.5 and 0.1 % of the others."""
MAIN = 0.8
"""Share of a side's known languages from which it is that side's language."""
SHOWN, LONGEST = 8, 90
"""Pairs of each kind in the table, and characters of a side."""


@dataclass(frozen=True, kw_only=True)
class Odd:
    """A pair to look at."""

    id: int
    source: str
    why: str
    text: str
    target: str


@dataclass(frozen=True, kw_only=True)
class CorpusHealth:
    """The state of a corpus. Lengths are (smallest, median, largest) words of a side."""

    corpus: Corpus = dataclasses.field(repr=False)
    columns: tuple[str, str]
    splits: dict[str, int]
    set_aside: dict[str, int]
    lengths: dict[str, tuple[int, int, int]]
    languages: dict[str, dict[str, int]]
    """By side, of the rows whose language can be told."""
    shared: int
    """Pairs that have a side in common with another one."""
    odd: tuple[Odd, ...]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        record = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in ("corpus", "odd", "findings")}
        record |= {name: [dataclasses.asdict(item) for item in getattr(self, name)] for name in ("odd", "findings")}
        return {"name": self.corpus.name, "rows": len(self.corpus.good), **record}

    def table(self) -> "Group":
        """Tables for a terminal of 100 columns: the figures, the pairs to look at, the findings."""
        from rich.console import Group

        lines = {"usable pairs": f"{len(self.corpus.good):,} of {len(self.corpus.rows):,}"}
        if set(self.splits) != {""}:
            lines["splits"] = ", ".join(f"{name or 'no split'} {n:,}" for name, n in sorted(self.splits.items()))
        for side, (low, middle, high) in self.lengths.items():
            spoken = ", ".join(f"{name} {n:,}" for name, n in list(self.languages[side].items())[:5]) or "cannot be told"
            lines[f"'{side}'"] = f"{low:,} to {high:,} words, median {middle:,}; languages: {spoken}"
        said = {"corrupt": "unreadable", "copy": "same on both sides", "duplicate": "exact duplicates"}
        lines |= {said[status]: f"{n:,}" for status, n in self.set_aside.items()}
        lines["a side in common with others"] = f"{self.shared:,} pairs"
        if len(self.corpus.good) > MOST:
            lines["words held against each other"] = f"those of the first {MOST:,} pairs"
        return Group(*[figures(self.corpus.name, lines), *([self._odd()] if self.odd else []), *([listed(self.findings)] if self.findings else [])])

    def __rich__(self) -> "Group":
        return self.table()

    def _odd(self) -> "Table":
        from rich.table import Table
        from rich.text import Text

        table = Table(title="Pairs to look at", title_justify="left", width=100)
        for name, share in (("why", 3), ("row", 5), (self.columns[0], 7), (self.columns[1], 7)):
            table.add_column(Text(name), overflow="fold", ratio=share)
        for why in dict.fromkeys(o.why for o in self.odd):
            some = [o for o in self.odd if o.why == why]
            for o in some[:SHOWN]:
                table.add_row(why, *(Text(short(t, LONGEST)) for t in (o.source, o.text, o.target)))
            if len(some) > SHOWN:
                table.add_row(why, f"... and {len(some) - SHOWN:,} more", "", "")
        return table

    def draw(self, path: Path) -> None:
        """Lengths of both sides against each other as PNG, with the pairs to look at, and how many words sides have."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

        figure = Figure(figsize=(WIDE, 5.2), dpi=110, facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        both, counted = figure.subplots(1, 2)
        good, strange = self.corpus.good, {o.id for o in self.odd}
        wide = np.array([[max(1, len(words(side))) for side in (r.text, r.target)] for r in good])
        mark = np.array([r.id in strange for r in good])
        for chosen, colour, name in ((~mark, BAR, "pairs"), (mark, WARN, "to look at")):
            if chosen.any():
                how = {"s": 12, "alpha": 0.35 if colour == BAR else 0.9, "color": colour, "linewidths": 0}
                both.scatter(*wide[chosen].T, label=f"{name} ({chosen.sum():,})", **how)
        for axis in (both.xaxis, both.yaxis):
            axis.axes.set(**{f"{axis.axis_name}scale": "log"})
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            axis.set_minor_locator(NullLocator())
        both.set(xlabel=f"words of '{self.columns[0]}'", ylabel=f"words of '{self.columns[1]}'")
        both.legend(frameon=False)
        low, high = int(wide.min()), int(wide.max())
        edges = np.arange(low, high + 2, max(1, (high - low) // 30 + 1)) - 0.5
        for side, colour, name in zip(wide.T, (BAR, "#d9a441"), self.columns, strict=True):
            counted.hist(side, bins=[*edges, high + 0.5], histtype="step", linewidth=1.8, color=colour, label=f"'{name}'")
        counted.set(xlabel="words", ylabel="rows")
        counted.legend(frameon=False)
        for axes in (both, counted):
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(colors=QUIET)
        figure.suptitle(f"{self.corpus.name}: {len(good):,} pairs", color=INK, fontsize=15, fontweight="bold")
        sink = io.BytesIO()
        figure.savefig(sink, format="png")
        atomic_write(path, sink.getvalue())


def corpus_health(corpus: Corpus, text: str, target: str, seed: int = 0) -> CorpusHealth:
    """Looks at every pair. Adds AM154 (pairs that look wrong: lengths, language, words) and AM152 for rows beside the given test split."""
    good = corpus.good
    languages = [[language_of(side) for side in (r.text, r.target)] for r in good]
    spoken = [Counter(said for pair in languages if (said := pair[i])) for i in (0, 1)]
    odd = [*lengths_apart(good), *foreign(good, languages, spoken), *unlike(good, seed)]
    findings = list(corpus.findings)
    if odd:
        kinds = ", ".join(f"{why} {n:,}" for why, n in Counter(o.why for o in odd).items())
        told = f"{len({o.id for o in odd}):,} pairs look wrong (kept): {kinds}"
        findings.append(Finding("AM154", "warning", told, {"rows": sorted({o.id for o in odd})}))
    if leaks := beside_test(good):
        told = f"{len(leaks):,} rows share a text or a translation with the given test split; a run leaves them out of training"
        findings.append(Finding("AM152", "warning", told, {"rows": leaks}))
    units = Counter(r.unit for r in good)
    wide = [sorted(len(words(side)) for side in sides) for sides in ([r.text for r in good], [r.target for r in good])]
    return CorpusHealth(
        corpus=corpus,
        columns=(text, target),
        splits=dict(Counter(r.split for r in good)),
        set_aside={name: sum(r.status == name for r in corpus.rows) for name in ("corrupt", "copy", "duplicate")},
        lengths={name: (n[0], n[len(n) // 2], n[-1]) for name, n in zip((text, target), wide, strict=True)},
        languages={name: dict(said.most_common()) for name, said in zip((text, target), spoken, strict=True)},
        shared=sum(units[r.unit] > 1 for r in good),
        odd=tuple(odd),
        findings=tuple(findings),
    )


def odd_pair(row: Pair, why: str) -> Odd:
    return Odd(id=row.id, source=row.origin, why=why, text=row.text, target=row.target)


def lengths_apart(good: Sequence[Pair]) -> list[Odd]:
    """Pairs of which a side is far longer for the other than elsewhere, the farthest first."""
    ratios = torch.tensor([ratio(r.text, r.target) for r in good])
    far = (ratios - ratios.quantile(0.5)).abs()
    edge = ODD * max(LEAST, 1.4826 * float(far.quantile(0.5)))
    return [odd_pair(good[i], "lengths") for i in far.argsort(descending=True).tolist() if far[i] >= edge]


def foreign(good: Sequence[Pair], languages: Sequence[Sequence[str | None]], spoken: Sequence[Counter[str]]) -> list[Odd]:
    """Pairs with a side in another language than nearly all of that side."""
    out = []
    for i, counts in enumerate(spoken):
        main, n = counts.most_common(1)[0] if counts else ("", 0)
        if counts and n >= MAIN * counts.total():
            out += [odd_pair(r, f"language ({said[i]})") for r, said in zip(good, languages, strict=True) if said[i] not in (None, main)]
    return out


def unlike(good: Sequence[Pair], seed: int) -> list[Odd]:
    """Pairs whose words translate each other no better than those of sides put together by chance, as other pairs tell (IBM model 1,
    cross-fitted), the worst first."""
    rows = good[:MOST]
    if len(rows) < FEWEST:
        return []
    found = list[tuple[float, Pair]]()
    for inside, outside in inner_folds(torch.zeros(len(rows), dtype=torch.long), torch.tensor([r.unit for r in rows]), FOLDS, seed):
        known = [rows[int(i)] for i in inside]
        model, held = aligned([r.text for r in known], [r.target for r in known]), [rows[int(i)] for i in outside]
        rng = np.random.default_rng(stable_seed(seed, "unlike", len(found)))
        for i, row in enumerate(held):
            others = [held[(i + int(k)) % len(held)] for k in rng.integers(1, len(held), OTHERS)]
            chance = [model.score(row.text, o.target) if k % 2 else model.score(o.text, row.target) for k, o in enumerate(others)]
            found.append((model.score(row.text, row.target) - float(np.quantile(chance, BEATEN)), row))
    return [odd_pair(r, "words") for score, r in sorted(found, key=lambda item: item[0]) if score <= 0]
