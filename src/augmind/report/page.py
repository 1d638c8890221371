"""A run's record as one self-contained HTML page."""

import functools
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from .confusion import confusion_view
from .explanation import explanation_view
from .generation import CLASSES, generation_view
from .groups import fairness_view
from .learning import learning_view
from .plots import SHAPES, number_line
from .results import learners, level_of, primary_of, results_view, title_of
from .robustness import robust_view
from .search import search_view
from .words import DASH, anything, clean, duration, entries, interval, items, number, plain, probability, scale_of, table, whole

KIND_NAMES = {"real": "real rows alone", "classical": "classical", "control": "same knowledge, nothing generated", "synthetic": "with synthetic rows"}
ESTIMATES = {
    "seconds": "seconds in all",
    "fixed_seconds": "seconds that no budget changes",
    "disk_mb": "megabytes of disk",
    "memory_mb": "megabytes of memory",
}
LEVELS = ("problem", "warning", "info")
LISTED = 50
"""Most single rows listed of one kind of data problem."""
FINDINGS = 200
"""Most findings listed, the gravest first."""


def shown(value: object) -> object:
    """The last hand on every value of the template: a dash for nothing, strings without control characters."""
    if value is None:
        return DASH
    return clean(value) if type(value) is str else value


@functools.cache
def environment() -> Environment:
    """The templates, compiled once a process."""
    env = Environment(
        loader=PackageLoader("augmind.report", "."),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(shapes=SHAPES, kind_names=KIND_NAMES)
    return env


TWINS = {"source": "Use the related dataset", "pool": "Use pseudo-labelled data"}
"""What is recommended where an arm that draws nothing is."""


def badge(verdict: dict[str, Any]) -> dict[str, str]:
    """The verdict in two words, told by sign, word and colour: yes (green), no (amber: it harms), even (grey)."""
    if not verdict or not isinstance(verdict.get("use_synthetic"), bool):
        return {"tone": "even", "sign": "?", "text": "No verdict"}
    made = made_of(verdict)
    if verdict["use_synthetic"]:
        return {"tone": "yes", "sign": "✓", "text": f"Use {made} data"}
    if told := TWINS.get(clean(verdict.get("arm") or "")):
        return {"tone": "yes", "sign": "✓", "text": told}
    ends = [number(v) for v in items(verdict, "interval")]
    if len(ends) == 2 and ends[1] is not None and ends[1] < 0:
        return {"tone": "no", "sign": "✕", "text": f"{made.capitalize()} data makes it worse"}
    if len(ends) == 2 and ends[0] is not None and ends[0] > 0:
        return {"tone": "even", "sign": "=", "text": f"Leave {made} data out"}
    return {"tone": "even", "sign": "=", "text": "No gain shown"}


def made_of(verdict: dict[str, Any]) -> str:
    """What the added rows are called."""
    return clean(table(verdict, "notes").get("made") or "synthetic")


def against(record: dict[str, Any]) -> str:
    """The label of the arm that the gain is measured against."""
    name = table(record, "verdict").get("against") or "classical"
    return next((title_of(a) for a in entries(record, "arms") if a.get("arm") == name), clean(name))


def verdict_view(record: dict[str, Any]) -> dict[str, Any]:
    verdict = table(record, "verdict")
    scale = scale_of(primary_of(record))
    low, high = [*items(verdict, "interval"), None, None][:2]
    points = "points" if scale.unit else ""
    return {
        "badge": badge(verdict),
        "sentence": clean(verdict.get("sentence") or "This run has no verdict: the comparison was not made or did not finish."),
        "metric": scale.spoken,
        "points": points,
        "gain": plain(verdict.get("gain"), scale, sign=True),
        "interval": interval(low, high, scale, sign=True),
        "level": level_of(record),
        "against": against(record),
        "subject": "the searched policy" if entries(record, "search") else f"{made_of(verdict)} data",
        "p": probability(verdict.get("p")),
        "certifiable": plain(verdict.get("certifiable"), scale) if number(verdict.get("certifiable")) is not None else "",
        "line": number_line(verdict.get("gain"), low, high, verdict.get("certifiable"), scale),
    }


def test_rows(record: dict[str, Any]) -> str:
    counts = [n for v in table(table(table(record, "health"), "counts"), "test").values() if (n := number(v)) is not None]
    if counts:
        return whole(sum(counts))
    plan = table(record, "plan")
    return f"{whole(plan.get('rows'))}, each tested in every repetition" if plan.get("mode") == "cv" else DASH


def facts(record: dict[str, Any]) -> list[tuple[str, str]]:
    """The few numbers that a reader needs in order to weigh the verdict."""
    plan = table(record, "plan")
    folds, seeds = number(plan.get("folds")), number(plan.get("seeds"))
    return [
        ("Rows", whole(plan.get("rows"))),
        ("Classes", whole(plan.get("classes"))),
        ("Test rows", test_rows(record)),
        ("Folds × seeds", f"{whole(folds)} × {whole(seeds)}" if folds or seeds else DASH),
        ("Learner of the verdict", clean(table(record, "verdict").get("learner") or ", ".join(learners(record)) or DASH)),
        ("Time", duration(record.get("seconds"))),
    ]


def counts_view(record: dict[str, Any]) -> dict[str, Any]:
    """Rows per class and split, with bar widths in per cent of the longest."""
    splits = {clean(k): v for k, v in table(table(record, "health"), "counts").items() if isinstance(v, dict)}
    numbers = {s: {clean(c): number(n) or 0.0 for c, n in v.items()} for s, v in splits.items()}
    classes = list(dict.fromkeys(c for v in numbers.values() for c in v))
    longest = max((sum(v.get(c, 0.0) for v in numbers.values()) for c in classes), default=0.0) or 1.0
    rows = [
        {"class": c, "parts": [{"split": s, "n": whole(v.get(c, 0.0)), "width": round(100 * v.get(c, 0.0) / longest, 2)} for s, v in numbers.items()]}
        for c in classes[:CLASSES]
    ]
    return {"splits": list(numbers), "rows": rows, "more": max(0, len(classes) - CLASSES)}


def outlier_text(item: object) -> str:
    if not isinstance(item, dict):
        return clean(item)
    return " · ".join(x for x in (clean(item.get("source") or ""), anything({k: v for k, v in item.items() if k != "source"})) if x and x != DASH)


def health_view(record: dict[str, Any]) -> dict[str, Any]:
    health = table(record, "health")
    imbalance = number(health.get("imbalance"))
    issues, corrupt, outliers = entries(health, "label_issues"), entries(health, "corrupt"), items(health, "outliers")
    aside = entries(health, "set_aside")
    names = {"corrupt": "Unreadable rows", "duplicates": "Exact duplicates", "near_duplicates": "Near duplicates", "leaks": "Rows on both sides"}
    tiles = [(label, whole(len(corrupt) if k == "corrupt" else health.get(k))) for k, label in names.items() if k in health]
    if "label_issues" in health:
        tiles.append(("Doubtful labels", whole(len(issues))))
    if "outliers" in health:
        tiles.append(("Outliers", whole(len(outliers))))
    if imbalance is not None:
        tiles.append(("Largest to smallest class", f"{imbalance:.3g} : 1"))
    return {
        "there": bool(health),
        "tiles": tiles,
        "counts": counts_view(record),
        "corrupt": [(clean(r.get("source") or DASH), clean(r.get("reason") or DASH)) for r in corrupt[:LISTED]],
        "aside": [(clean(r.get("source") or DASH), clean(r.get("reason") or r.get("status") or DASH)) for r in aside[:LISTED]],
        "issues": [
            (clean(r.get("source") or DASH), clean(r.get("label") or DASH), clean(r.get("suggested") or DASH), anything(r.get("score")))
            for r in issues[:LISTED]
        ],
        "outliers": [outlier_text(o) for o in outliers[:LISTED]],
        "more": {k: max(0, len(v) - LISTED) for k, v in (("corrupt", corrupt), ("aside", aside), ("issues", issues), ("outliers", outliers))},
        "sizes": [(clean(k), anything(v)) for k, v in table(health, "sizes").items()],
    }


def choices_view(record: dict[str, Any]) -> list[dict[str, Any]]:
    """What the inner folds chose, best score first."""
    scale = scale_of(primary_of(record))
    rows = []
    for c in entries(record, "choices"):
        chosen = clean(c.get("classical") or DASH)
        scores = {clean(k): number(v) for k, v in table(c, "scores").items()}
        ranked = sorted(scores.items(), key=lambda item: -1.0 if item[1] is None else item[1] * (1 if scale.up else -1), reverse=True)
        rows.append(
            {
                "learner": clean(c.get("learner") or DASH),
                "fold": anything(c.get("fold")),
                "chosen": chosen,
                "scores": [{"name": n, "value": plain(v, scale), "chosen": n == chosen} for n, v in ranked],
            }
        )
    return rows


def findings_view(record: dict[str, Any]) -> list[dict[str, str]]:
    found = [
        {"code": clean(f.get("code") or DASH), "level": clean(f.get("level") or "info"), "text": clean(f.get("text") or DASH)}
        for f in entries(record, "findings")
    ]
    return sorted(found, key=lambda f: LEVELS.index(f["level"]) if f["level"] in LEVELS else len(LEVELS))


def reproduce_view(record: dict[str, Any]) -> dict[str, Any]:
    plan = table(record, "plan")
    details = [
        ("Started", clean(record.get("started") or DASH)),
        ("Preset", clean(record.get("preset") or DASH)),
        ("Seed", anything(record.get("seed"))),
        ("Comparison", {"cv": "cross-validation"}.get(str(plan.get("mode")), clean(plan.get("mode") or DASH))),
    ]
    return {
        "command": clean(record.get("command") or ""),
        "again": clean(record.get("reproduce") or ""),
        "next": [clean(n) for n in items(record, "next") if n],
        "details": details,
        "versions": [(clean(k), anything(v)) for k, v in table(record, "versions").items()],
        "estimates": [(ESTIMATES.get(k, clean(k)), anything(v)) for k, v in table(plan, "estimates").items()],
    }


def render(record: dict[str, Any]) -> str:
    """The page of a run: one HTML file that loads nothing, runs nothing, and is the same for the same record.

    `record` is the JSON of the run with its `gallery` of previews; every part of it may be missing.
    """
    name = clean(record.get("name") or "")
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            name=name,
            started=clean(record.get("started") or ""),
            version=clean(table(record, "versions").get("augmind") or ""),
            verdict=verdict_view(record),
            facts=facts(record),
            results=results_view(record),
            confusion=confusion_view(record),
            learning=learning_view(record),
            search=search_view(record),
            robust=robust_view(record),
            fairness=fairness_view(record),
            why=explanation_view(record),
            made=generation_view(record),
            health=health_view(record),
            choices=choices_view(record),
            findings=findings_view(record)[:FINDINGS],
            unlisted=max(0, len(entries(record, "findings")) - FINDINGS),
            reproduce=reproduce_view(record),
        )
    )
