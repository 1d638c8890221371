"""augmind: learn generators from a small labelled dataset, screen what they draw, and prove whether it helps."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .api import Finished, expand, inspect, load, resume, runs
    from .core.errors import AugmindError

__all__ = ["AugmindError", "Finished", "expand", "inspect", "load", "resume", "runs"]


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used, so that `import augmind` is quick."""
    if name not in __all__:
        raise AttributeError(f"module 'augmind' has no attribute '{name}'")
    import importlib

    home = importlib.import_module("augmind.core.errors" if name == "AugmindError" else "augmind.api")
    return getattr(home, name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
