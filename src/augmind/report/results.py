"""The compared arms as tables, interval plots and the recall of every class."""

from statistics import fmean
from typing import Any

from .plots import SHAPES, Axis, axis_over, ruler, track
from .words import DASH, KNOWLEDGE, METRICS, Scale, anything, clean, entries, interval, items, number, plain, probability, scale_of, table

PER_CLASS = "recall/"
CLASSES_SHOWN = 60
POINTS = Scale("points")


def kind_of(arm: dict[str, Any]) -> str:
    """How an arm is drawn: by its `kind` (real, classical, control, synthetic) or, without one, by its name.

    A control knows the same as a synthetic arm, but nothing is generated for it.
    """
    if (kind := str(arm.get("kind"))) in SHAPES:
        return kind
    name = f"{arm.get('arm', '')} {arm.get('label', '')}".lower()
    if arm.get("arm") in ("real", "none"):
        return "real"
    if any(word in name for word in ("twin", "control", "pseudo")):
        return "control"
    return "classical" if "classical" in name and "synthetic" not in name else "synthetic"


def title_of(arm: dict[str, Any]) -> str:
    return clean(arm.get("label") or arm.get("arm") or DASH)


def learners(record: dict[str, Any]) -> list[str]:
    """Names of the learners, in the order of the arms."""
    return list(dict.fromkeys(clean(a.get("learner", "")) for a in entries(record, "arms")))


def primary_of(record: dict[str, Any]) -> str:
    return clean(table(record, "verdict").get("primary") or "balanced_accuracy")


def level_of(record: dict[str, Any]) -> str:
    """The level of the intervals: "95 %"."""
    level = number(table(record, "verdict").get("level"))
    return f"{100 * (0.95 if level is None else level):.4g} %"


def metric_names(arms: list[dict[str, Any]]) -> list[str]:
    """Metrics that some arm has, the known ones first; those of single classes are shown elsewhere."""
    there = dict.fromkeys(clean(m) for a in arms for m in table(a, "metrics"))
    whole = [m for m in there if not m.startswith(PER_CLASS)]
    return [m for m in METRICS if m in whole] + [m for m in whole if m not in METRICS]


def best(arms: list[dict[str, Any]], metric: str) -> float | None:
    """The best mean of a metric; None where arms cannot be told apart."""
    means = [x for a in arms if (x := number(table(table(a, "metrics"), metric).get("mean"))) is not None]
    if len(set(means)) < 2:
        return None
    return max(means) if scale_of(metric).up else min(means)


def difference(arm: dict[str, Any], name: str, scale: Scale) -> dict[str, str]:
    """A paired difference in words; `holm` is empty where the corrected p is not known or the same."""
    d = table(arm, name)
    p, holm = probability(d.get("p")), probability(d.get("p_holm"))
    return {
        "value": plain(d.get("estimate"), scale, sign=True),
        "interval": interval(d.get("low"), d.get("high"), scale, sign=True),
        "p": p,
        "holm": "" if holm in (p, DASH) else holm,
    }


def seed_means(record: dict[str, Any], metric: str) -> dict[tuple[str, str], dict[str, float]]:
    """(learner, arm) -> seed -> the metric's mean over folds."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in entries(record, "rows"):
        value = number(row.get("value"))
        if row.get("metric") == metric and value is not None:
            of_arm = found.setdefault((clean(row.get("learner", "")), clean(row.get("arm", ""))), {})
            of_arm.setdefault(str(row.get("seed")), []).append(value)
    return {arm: {seed: fmean(values) for seed, values in seeds.items()} for arm, seeds in found.items()}


def cell(arm: dict[str, Any], metric: str, top: float | None) -> dict[str, Any]:
    m, scale = table(table(arm, "metrics"), metric), scale_of(metric)
    mean = number(m.get("mean"))
    return {
        "label": scale.heading,
        "value": plain(mean, scale),
        "interval": interval(m.get("low"), m.get("high"), scale),
        "best": mean is not None and mean == top,
    }


def plot_rows(arms: list[dict[str, Any]], dots: dict[Any, dict[str, float]], metric: str) -> dict[str, Any]:
    """Means of the primary metric, one track an arm."""
    scale = scale_of(metric)
    figures = [table(table(a, "metrics"), metric) for a in arms]
    seeds = [list(dots.get((clean(a.get("learner", "")), clean(a.get("arm", ""))), {}).values()) for a in arms]
    ends = [f.get(end) for f in figures for end in ("mean", "low", "high")]
    axis = axis_over(ends + [v for s in seeds for v in s])
    rows = [(f.get("mean"), f.get("low"), f.get("high"), s) for f, s in zip(figures, seeds, strict=True)]
    return drawn(arms, rows, axis, scale, zero=False)


def plot_differences(arms: list[dict[str, Any]], dots: dict[Any, dict[str, float]], metric: str) -> dict[str, Any]:
    """Paired differences to the best classical arm, one track an arm; the classical arm itself is the zero line."""
    scale = scale_of(metric)
    shown = [a for a in arms if number(table(a, "difference_classical").get("estimate")) is not None and kind_of(a) != "classical"]
    base = next((a for a in arms if kind_of(a) == "classical"), {})
    reference = dots.get((clean(base.get("learner", "")), clean(base.get("arm", ""))), {})
    rows = []
    for a in shown:
        d = table(a, "difference_classical")
        own = dots.get((clean(a.get("learner", "")), clean(a.get("arm", ""))), {})
        rows.append((d.get("estimate"), d.get("low"), d.get("high"), [v - reference[s] for s, v in own.items() if s in reference]))
    axis = axis_over([0.0, *(x for r in rows for x in r[:3]), *(v for r in rows for v in r[3])]) if rows else None
    return drawn(shown, rows, axis, scale, zero=True)


def drawn(arms: list[dict[str, Any]], rows: list[tuple[Any, Any, Any, list[float]]], axis: Axis | None, scale: Scale, zero: bool) -> dict[str, Any]:
    if axis is None:
        return {}
    out = []
    for arm, (mean, low, high, seeds) in zip(arms, rows, strict=True):
        value, ends, kind = plain(mean, scale, sign=zero), interval(low, high, scale, sign=zero), kind_of(arm)
        chart = track(axis, mean, low, high, seeds, kind, zero, f"{title_of(arm)}: {value}, interval {ends or DASH}")
        out.append({"title": title_of(arm), "kind": kind, "value": value, "interval": ends, "track": chart})
    return {"rows": out, "ruler": ruler(axis, scale, sign=zero)}


def learner_view(record: dict[str, Any], learner: str, dots: dict[Any, dict[str, float]]) -> dict[str, Any]:
    """All that the page shows of the arms of one learner."""
    arms = [a for a in entries(record, "arms") if clean(a.get("learner", "")) == learner]
    primary, metrics = primary_of(record), metric_names(arms)
    top = {m: best(arms, m) for m in metrics}
    scale = scale_of(primary)
    return {
        "name": learner,
        "headings": [scale_of(m).heading for m in metrics],
        "arms": [
            {
                "title": title_of(a),
                "kind": kind_of(a),
                "policy": anything(a.get("policy")) if a.get("policy") else "",
                "cells": [cell(a, m, top[m]) for m in metrics],
                "real": difference(a, "difference_real", scale),
                "classical": difference(a, "difference_classical", scale),
                "knows": [k in items(a, "knowledge") for k in KNOWLEDGE],
            }
            for a in arms
        ],
        "plot": plot_rows(arms, dots, primary),
        "differences": plot_differences(arms, dots, primary),
        "classes": class_view(record, arms, learner),
    }


def class_view(record: dict[str, Any], arms: list[dict[str, Any]], learner: str) -> dict[str, Any]:
    """Recall of every class under every arm, the hardest class of the first arm first."""
    values: dict[tuple[str, str], list[float]] = {}
    for row in entries(record, "rows"):
        metric, value = str(row.get("metric", "")), number(row.get("value"))
        if metric.startswith(PER_CLASS) and value is not None and clean(row.get("learner", "")) == learner:
            values.setdefault((clean(row.get("arm", "")), clean(metric[len(PER_CLASS) :])), []).append(value)
    names = [clean(a.get("arm", "")) for a in arms]
    means = {key: fmean(v) for key, v in values.items()}
    classes = sorted(dict.fromkeys(c for _, c in means), key=lambda c: means.get((names[0], c), 2.0) if names else 0.0)
    counts = {clean(k): v for k, v in table(table(table(record, "health"), "counts"), "train").items()}
    rows = []
    for c in classes[:CLASSES_SHOWN]:
        cells = [means.get((a, c)) for a in names]
        top = max((x for x in cells if x is not None), default=None)
        level = len({x for x in cells if x is not None}) < 2
        rows.append(
            {
                "class": c,
                "count": number(counts.get(c)),
                "cells": [{"value": plain(x, POINTS), "share": x, "best": x is not None and x == top and not level} for x in cells],
            }
        )
    return {"arms": [title_of(a) for a in arms], "rows": rows, "more": max(0, len(classes) - CLASSES_SHOWN)}


def results_view(record: dict[str, Any]) -> dict[str, Any]:
    """The sections Results, Classes and Knowledge."""
    dots = seed_means(record, primary_of(record))
    views = [learner_view(record, name, dots) for name in learners(record)]
    kinds = list(dict.fromkeys(a["kind"] for v in views for a in v["arms"]))
    return {
        "learners": views,
        "kinds": [k for k in ("real", "classical", "control", "synthetic") if k in kinds],
        "primary": scale_of(primary_of(record)).spoken,
        "unit": "percentage points" if scale_of(primary_of(record)).unit else f"points of {scale_of(primary_of(record)).spoken}",
        "up": scale_of(primary_of(record)).up,
        "level": level_of(record),
        "knowledge": list(KNOWLEDGE.values()),
        "classes": any(v["classes"]["rows"] for v in views),
    }
