"""Plug-ins by file name: a new file in the folder of its kind is a new plug-in, with no list to edit.

Third parties add theirs by entry point: group `augmind.generators` (and so on), name = the plug-in's name.
"""

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from .errors import UsageError, unknown
from .plugin import Generator, Learner, Metric, Plugin, Screen, Transfer, Transform
from .types import Choice

ROOT = Path(__file__).parent.parent
BASES: dict[str, type[Plugin]] = {
    "generators": Generator,
    "screens": Screen,
    "transforms": Transform,
    "mixing": Transform,
    "learners": Learner,
    "transfers": Transfer,
    "metrics": Metric,
}


def packages(kind: str) -> list[str]:
    """The packages that hold plug-ins of this kind; modality folders may hold some of their own."""
    inside = [f"augmind.modalities.{m.name}.{kind}" for m in sorted((ROOT / "modalities").iterdir()) if (m / kind).is_dir()]
    return ([f"augmind.{kind}"] if (ROOT / kind).is_dir() else []) + inside


@cache
def names(kind: str) -> tuple[str, ...]:
    """All plug-in names of a kind, sorted, without importing any."""
    found = {m.name for p in packages(kind) for m in pkgutil.iter_modules([str(ROOT.parent / p.replace(".", "/"))])}
    return tuple(sorted({n for n in found if not n.startswith("_")} | {e.name for e in entry_points(group=f"augmind.{kind}")}))


@cache
def find(kind: str, name: str) -> type[Any]:
    """The plug-in class of this name. Raises `UsageError` naming the known ones."""
    if name not in names(kind):
        raise unknown(kind.rstrip("s"), name, names(kind))
    for point in entry_points(group=f"augmind.{kind}", name=name):
        return point.load()
    for package in packages(kind):
        if (ROOT.parent / package.replace(".", "/") / f"{name}.py").exists():
            module = importlib.import_module(f"{package}.{name}")
            classes = [
                v for v in vars(module).values()
                if isinstance(v, type) and issubclass(v, BASES[kind]) and v.__module__ == module.__name__
            ]  # fmt: skip
            if len(classes) != 1:
                raise TypeError(f"{module.__name__} must define exactly one {BASES[kind].__name__}, found {len(classes)}")
            return classes[0]
    raise unknown(kind.rstrip("s"), name, names(kind))


def make(kind: str, choice: Choice) -> Any:
    """The plug-in that a choice names, with its settings. Raises `UsageError` for an unknown name or setting."""
    plugin = find(kind, choice.name)
    known = plugin.__dataclass_fields__
    for setting in choice.settings:
        if setting not in known:
            raise unknown(f"setting of {choice.name}", setting, known)
    try:
        return plugin(**choice.settings)
    except TypeError as error:
        raise UsageError(f"{choice}: {error}") from error
