"""The groups of a run: rows of each, how every arm fares in them, and whether a gap widens."""

from typing import Any

from .confusion import label_of
from .plots import axis_over, ruler, track
from .results import kind_of
from .words import DASH, METRICS, Scale, clean, entries, interval, number, plain, table, whole

PLOTTED = 8
"""Most groups in the interval plot."""
CLASSES = 12
"""Most classes whose recall is told by group."""
POINTS = Scale("points")


def fairness_view(record: dict[str, Any]) -> dict[str, Any]:
    fairness = table(record, "fairness")
    arms = [a for a in entries(fairness, "arms") if entries(a, "groups")]
    level = number(fairness.get("level"))
    return {
        "there": bool(arms),
        "column": clean(fairness.get("column") or ""),
        "least": whole(fairness.get("least")),
        "level": f"{100 * (0.95 if level is None else level):.4g} %",
        "counts": [[clean(c.get("group") or DASH), *(whole(c.get(k)) for k in ("real", "test", "synthetic"))] for c in entries(fairness, "counts")],
        "plot": plot_view(record, arms),
        "gaps": [gap_view(record, a) for a in arms],
        "arms": [group_table(record, a) for a in arms],
        "more": whole(fairness.get("more")) if number(fairness.get("more")) else "",
    }


def plot_view(record: dict[str, Any], arms: list[dict[str, Any]]) -> dict[str, Any]:
    """Balanced accuracy of each group under the real rows alone, the best classical arm and the arm of the verdict."""
    verdict = table(record, "verdict")
    wanted = ("real", "classical", clean(verdict.get("primary_arm") or verdict.get("arm") or ""))
    shown = [a for a in arms if clean(a.get("arm", "")) in wanted] or arms[:3]
    found = {clean(a.get("arm", "")): {clean(g.get("group", "")): table(g, "balanced_accuracy") for g in entries(a, "groups")} for a in shown}
    groups = list(dict.fromkeys(g for own in found.values() for g in own))[:PLOTTED]
    axis = axis_over([own[g].get(end) for own in found.values() for g in groups if g in own for end in ("mean", "low", "high")])
    if axis is None:
        return {}
    kinds = {clean(a.get("arm", "")): kind_of(a) for a in entries(record, "arms")}
    rows, scale = [], METRICS["balanced_accuracy"]
    for g in groups:
        for arm in (a for a in found if g in found[a]):
            mean, low, high = (found[arm][g].get(end) for end in ("mean", "low", "high"))
            kind, value, ends = kinds.get(arm) or kind_of({"arm": arm}), plain(mean, scale), interval(low, high, scale)
            title = f"{g}: {label_of(record, arm)}"
            chart = track(axis, mean, low, high, [], kind, False, f"{title}, {value}, interval {ends or DASH}")
            rows.append({"title": title, "kind": kind, "value": value, "interval": ends, "track": chart})
    return {"rows": rows, "ruler": ruler(axis, scale)}


def gap_view(record: dict[str, Any], arm: dict[str, Any]) -> dict[str, Any]:
    gap, wider = table(arm, "gap"), table(arm, "widening")
    low = number(wider.get("low"))
    return {
        "title": label_of(record, clean(arm.get("arm", ""))),
        "gap": plain(gap.get("value"), POINTS),
        "between": f"{clean(gap['best'])} and {clean(gap['worst'])}" if gap.get("best") and gap.get("worst") else "",
        "chance": plain(gap.get("chance"), POINTS),
        "widening": plain(wider.get("estimate"), POINTS, sign=True),
        "interval": interval(low, wider.get("high"), POINTS, sign=True),
        "than": label_of(record, clean(wider["than"])) if wider.get("than") else "",
        "wider": low is not None and low > 0,
    }


def group_table(record: dict[str, Any], arm: dict[str, Any]) -> dict[str, Any]:
    """Balanced accuracy, calibration error and recall of every class, one row a group."""
    groups = entries(arm, "groups")
    classes = list(dict.fromkeys(clean(c) for g in groups for c in table(g, "recall")))
    rows = []
    for g in groups:
        recalls = {clean(c): v for c, v in table(g, "recall").items() if isinstance(v, dict)}
        means = [number(recalls.get(c, {}).get("mean")) for c in classes[:CLASSES]]
        rows.append(
            {
                "group": clean(g.get("group") or DASH),
                "rows": whole(g.get("rows")),
                "figures": [figure(table(g, m), METRICS[m]) for m in ("balanced_accuracy", "ece")],
                "recalls": [{"value": plain(m, POINTS), "share": m} for m in means],
            }
        )
    return {"title": label_of(record, clean(arm.get("arm", ""))), "classes": classes[:CLASSES], "more": max(0, len(classes) - CLASSES), "rows": rows}


def figure(ends: dict[str, Any], scale: Scale) -> dict[str, str]:
    return {"label": scale.heading, "value": plain(ends.get("mean"), scale), "interval": interval(ends.get("low"), ends.get("high"), scale)}
