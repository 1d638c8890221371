"""Which classes are taken for which: a table for the arm of the verdict, beside that of the best classical arm."""

from typing import Any

from .results import title_of
from .words import Scale, clean, entries, items, number, plain, table

CLASSES = 20
"""Most classes of a table; beyond it only the worst pairs are told."""
PAIRS = 10
COUNT = Scale("rows", factor=1.0, digits=0)
ROWS = Scale("rows", factor=1.0, digits=1)


def label_of(record: dict[str, Any], arm: str) -> str:
    """The label of an arm, or its own name."""
    return next((title_of(a) for a in entries(record, "arms") if clean(a.get("arm", "")) == arm), arm)


def shown_arms(record: dict[str, Any], names: list[str]) -> list[str]:
    """The best classical arm and the arm that the verdict is about, of those that are there; else the first and the last."""
    verdict = table(record, "verdict")
    wanted = ["classical", clean(verdict.get("primary_arm") or verdict.get("arm") or "")]
    found = [n for n in dict.fromkeys(wanted) if n in names]
    return found or list(dict.fromkeys([*names[:1], *names[-1:]]))


def confusion_view(record: dict[str, Any]) -> dict[str, Any]:
    confusion = table(record, "confusion")
    classes = [clean(c) for c in items(confusion, "classes")]
    arms = {clean(a.get("arm", "")): square(a, len(classes)) for a in entries(confusion, "arms")}
    shown = shown_arms(record, [n for n, counts in arms.items() if counts])
    return {
        "classes": classes,
        "arms": [{"title": label_of(record, n), **arm_view(classes, arms[n])} for n in shown if arms.get(n)],
        "whole": len(classes) <= CLASSES,
    }


def square(arm: dict[str, Any], size: int) -> list[list[float]]:
    """The counts as numbers; empty unless there are `size` rows of `size`."""
    rows = [[number(v) or 0.0 for v in row] for row in items(arm, "counts") if isinstance(row, list)]
    return rows if size and len(rows) == size and all(len(r) == size for r in rows) else []


def arm_view(classes: list[str], counts: list[list[float]]) -> dict[str, Any]:
    rows, pairs = [], []
    scale = COUNT if all(v == round(v) for row in counts for v in row) else ROWS
    for i, row in enumerate(counts):
        shares = [v / (sum(row) or 1.0) for v in row]
        cells = [
            {"value": plain(v, scale) if v else "·", "share": share, "own": i == j} for j, (v, share) in enumerate(zip(row, shares, strict=True))
        ]
        rows.append({"class": classes[i], "cells": cells})
        pairs += [(shares[j], v, classes[i], classes[j]) for j, v in enumerate(row) if i != j and v]
    pairs.sort(key=lambda pair: pair[:2], reverse=True)
    told = [{"true": a, "taken": b, "share": plain(share, Scale("%")), "rows": plain(v, ROWS)} for share, v, a, b in pairs[:PAIRS]]
    return {"rows": rows, "pairs": told}
