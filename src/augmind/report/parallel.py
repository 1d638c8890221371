"""The page of a run of translations: the parts of the report of classes that fit, then examples and the new pairs."""

from typing import Any

from markupsafe import Markup

from augmind.modalities.text.codec import marked

from .page import FINDINGS, environment, findings_view, reproduce_view, verdict_view
from .results import results_view, title_of
from .words import DASH, anything, clean, duration, entries, items, number, plain, scale_of, table, whole

TITLES = {"noise": "Noise in the text", "backtranslation": "Texts translated back", "paraphrase": "Texts in other words"}


def facts(record: dict[str, Any]) -> list[tuple[str, str]]:
    """The few numbers that a reader needs in order to weigh the verdict."""
    plan, corpus = table(record, "plan"), table(record, "corpus")
    new = f"{whole(plan.get('synthetic'))} by each way" if number(plan.get("synthetic")) else DASH
    return [
        ("Pairs to learn from", whole(plan.get("rows"))),
        ("Test pairs", whole(plan.get("test_rows"))),
        ("Seeds", whole(plan.get("seeds"))),
        ("Steps of every training", whole(plan.get("updates"))),
        ("New pairs a seed", new),
        ("Pairs set aside", whole(corpus.get("aside"))),
        ("Time", duration(record.get("seconds"))),
    ]


def examples_view(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Test rows with both outputs; words that the reference lacks are marked."""
    scale = scale_of("chrf")
    out = []
    for e in entries(record, "examples"):
        reference = clean(e.get("reference") or "")
        sides = [table(e, arm) for arm in ("real", clean(table(record, "verdict").get("primary_arm") or "all"))]
        told = [{"html": Markup(marked(clean(s.get("output") or ""), reference)), "chrf": plain(s.get("chrf"), scale)} for s in sides]
        out.append({"kind": clean(e.get("kind") or ""), "text": clean(e.get("text") or ""), "reference": reference, "outputs": told})
    return out


def makers_view(record: dict[str, Any]) -> list[dict[str, Any]]:
    """What each way of making pairs gave: counts, reasons of rejection, and some pairs with their changes marked."""
    out = []
    for m in entries(record, "generators"):
        name, reasons = clean(m.get("name") or ""), table(m, "reasons")
        shown = table(table(record, "gallery"), name)
        told = [(clean(reasons.get(k) or k), whole(n)) for k, n in table(m, "rejected").items()]
        counts = f"{clean(m.get('maker') or '')}: {whole(m.get('kept'))} of {whole(m.get('drawn'))} pairs kept, over all seeds"
        parts = [{"title": part, "rows": [pair_view(r) for r in entries(shown, part)]} for part in ("kept", "rejected")]
        out.append({"title": TITLES.get(name, name), "counts": counts, "rejected": told, "parts": parts})
    return out


def pair_view(row: dict[str, Any]) -> dict[str, Any]:
    """A new pair; words are marked that the text of its row does not have."""
    new, old = clean(row.get("text") or ""), clean(row.get("old") or "")
    html = Markup(marked(new, old)) if old else new
    return {
        "html": html,
        "old": old,
        "target": clean(row.get("target") or ""),
        "row": clean(row.get("row") or ""),
        "reason": clean(row.get("reason") or ""),
    }


def render(record: dict[str, Any]) -> str:
    """One HTML file that loads nothing, runs nothing, and is the same for the same record."""
    signatures = [(scale_of(k).label, anything(v)) for k, v in table(record, "signatures").items()]
    return (
        environment()
        .get_template("parallel.html.j2")
        .render(
            name=clean(record.get("name") or ""),
            started=clean(record.get("started") or ""),
            version=clean(table(record, "versions").get("augmind") or ""),
            verdict=verdict_view(record),
            facts=facts(record),
            results=results_view(record),
            titles=[title_of(a) for a in entries(record, "arms") if a.get("arm") in ("real", table(record, "verdict").get("primary_arm"))],
            examples=examples_view(record),
            made=makers_view(record),
            tried=[(clean(k), plain(v, scale_of("chrf"))) for c in entries(record, "choices") for k, v in table(c, "scores").items()],
            chosen=", ".join(clean(c.get("classical") or DASH) for c in entries(record, "choices")),
            signatures=signatures,
            findings=findings_view(record)[:FINDINGS],
            unlisted=max(0, len(items(record, "findings")) - FINDINGS),
            reproduce=reproduce_view(record),
        )
    )
