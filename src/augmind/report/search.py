"""What a search tried and found: winners with their optimism, the course of the search, which parts of a policy mattered."""

from itertools import pairwise
from typing import Any

from markupsafe import Markup

from .learning import grid
from .plots import Axis, axis_over, marker, svg, tick_label
from .words import Scale, clean, entries, number, plain, table, whole

HEIGHT, FOOT = 220, 34
POINTS = Scale("points")
MOST = 6
"""Parts of a policy that are listed."""


def search_view(record: dict[str, Any]) -> dict[str, Any]:
    searches = entries(record, "search")
    shown = searches[0] if searches else {}
    mattered = [(clean(k), v) for k, x in table(shown, "importance").items() if (v := number(x)) is not None]
    seen = [t for t in entries(shown, "trials") if t.get("state") == "complete" and number(t.get("value")) is not None]
    tried = whole(sum(number(s.get("tried")) or 0 for s in searches))
    where, winner = (f"{len(searches)} searches", "the winner of each") if len(searches) > 1 else ("one search", "the winner")
    return {
        "there": bool(searches),
        "lead": f"{tried} policies were tried in {where}, on training rows alone; {winner} went to the test rows once.",
        "rows": [row(s) for s in searches],
        "course": course(seen) if len(seen) > 1 else "",
        "of": f"fold {whole(shown.get('fold'))}, {clean(shown.get('learner') or '')}" if len(searches) > 1 else "",
        "mattered": [{"name": spoken(k), "share": v, "value": plain(v, POINTS)} for k, v in sorted(mattered, key=lambda m: -m[1])[:MOST]],
    }


def row(search: dict[str, Any]) -> dict[str, str]:
    winner = table(search, "winner")
    return {
        "fold": whole(search.get("fold")),
        "learner": clean(search.get("learner") or ""),
        "winner": clean(winner.get("words") or ""),
        "inner": plain(search.get("inner"), POINTS),
        "outer": plain(search.get("outer"), POINTS),
        "optimism": plain(search.get("optimism"), POINTS, sign=True),
        "tried": whole(search.get("tried")),
        "pruned": whole(search.get("pruned")),
    }


def spoken(name: str) -> str:
    """A parameter of the search in words."""
    kind, _, field = name.partition(".")
    if kind == "imagine":
        return "Whether synthetic rows are used"
    if kind == "amount":
        return "How many synthetic rows"
    if kind == "share":
        return "Their share of a batch"
    if kind == "weigh":
        return "Which screen weighs them"
    if kind == "soft":
        return "How much of their labels is the judges'"
    if kind == "source":
        return "Whether the related dataset is learnt first"
    return f"{kind.capitalize()}: {field}" if field else kind.capitalize()


def course(trials: list[dict[str, Any]]) -> Markup:
    """Values by trial, dots without and triangles with synthetic rows, and the best so far as a line."""
    values = [(float(i), number(t.get("value")) or 0.0) for i, t in enumerate(trials, 1)]
    across, up = Axis(0.5, len(values) + 0.5, ()), axis_over([v for _, v in values], 4)
    if up is None:
        return Markup("")

    def height(value: float) -> float:
        return round((HEIGHT - FOOT) * (1 - (value - up.low) / (up.high - up.low)), 2)

    best = [(x, max(v for at, v in values if at <= x)) for x, _ in values]
    parts = [grid(height(t), tick_label(up, t, Scale("", 100.0))) for t in up.ticks]
    parts += [step(across.at(a[0]), across.at(b[0]), height(a[1]), height(b[1])) for a, b in pairwise(best)]
    for t, (x, v) in zip(trials, values, strict=True):
        kind = "synthetic" if table(t, "policy").get("generators") else "real"
        parts.append(marker(kind, across.at(x), round(height(v))))
    parts += [f'<text x="{across.at(x)}%" y="{HEIGHT - 12}">{whole(x)}</text>' for x in sorted({1.0, float(len(values))})]
    return svg("".join(parts), HEIGHT, "Inner score of every finished policy in the order it was tried", "learning")


def step(x: float, to: float, y: float, then: float) -> str:
    """The best so far holds until the next policy, and rises there if that is better."""
    flat = f'<line x1="{x}%" y1="{y}" x2="{to}%" y2="{y}" class="law"/>'
    return flat + (f'<line x1="{to}%" y1="{y}" x2="{to}%" y2="{then}" class="law"/>' if then != y else "")
