"""Finished runs beside each other: arms with intervals, settings that differ."""

from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from .api import Finished
from .config import recorded


def side_by_side(folders: list[Path]) -> dict[str, Any]:
    """Arms and verdicts of every run, and the settings in which they are not all equal."""
    for folder in folders:
        Finished(folder).of_classes()
    records = {str(f): Finished(f).record for f in folders}
    settings = {str(f): recorded(f)["config"] for f in folders}
    keys = sorted({k for s in settings.values() for k in s})
    differ = {k: {f: s.get(k) for f, s in settings.items()} for k in keys if len({str(s.get(k)) for s in settings.values()}) > 1}
    return {"runs": {f: {"verdict": r["verdict"], "arms": r["arms"]} for f, r in records.items()}, "settings": differ}


def table(found: dict[str, Any]) -> list[Any]:
    """Tables for a terminal."""
    arms = Table("run", "learner", "arm", "balanced accuracy", "95% interval", "against best classical", box=None)
    for folder, run in found["runs"].items():
        for arm in run["arms"]:
            m, d = arm["metrics"]["balanced_accuracy"], arm["difference_classical"]
            gain = f"{100 * d['estimate']:+.1f} ({100 * d['low']:+.1f} to {100 * d['high']:+.1f})" if d else ""
            cells = (folder, arm["learner"], arm["arm"], f"{100 * m['mean']:.1f}", f"{100 * m['low']:.1f} to {100 * m['high']:.1f}", gain)
            arms.add_row(*map(Text, cells))
    out: list[Any] = [arms, *(Text(f"{folder}: {run['verdict']['sentence']}") for folder, run in found["runs"].items())]
    if found["settings"]:
        settings = Table("setting", title="settings that differ", box=None)
        for folder in found["runs"]:
            settings.add_column(Text(folder))
        for name, values in found["settings"].items():
            settings.add_row(Text(name), *(Text(str(v)) for v in values.values()))
        out.append(settings)
    return out
