"""augmind: learn generators from a small labelled dataset, screen what they draw, and prove whether it helps."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .api import Finished, expand, inspect, load, resume, runs, translate
    from .core.errors import AugmindError
    from .policy import load_policy
    from .resample import Resampler

HOMES = {"AugmindError": "augmind.core.errors", "Resampler": "augmind.resample", "load_policy": "augmind.policy"}
"""Modules of the public names; the others are in `augmind.api`."""

__all__ = ["AugmindError", "Finished", "Resampler", "expand", "inspect", "load", "load_policy", "resume", "runs", "translate"]


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used, so that `import augmind` is quick."""
    if name not in __all__:
        raise AttributeError(f"module 'augmind' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(HOMES.get(name, "augmind.api")), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
