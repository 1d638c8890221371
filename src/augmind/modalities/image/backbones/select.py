"""A backbone by name: "lite0", a Hub id or a folder; "@96" at the end sets the side of its input in pixels."""

from functools import cache
from pathlib import Path

from augmind.core.errors import unknown
from augmind.core.types import Backbone

from .lite0 import Lite0


def select(name: str) -> Backbone:
    """A fresh, trainable instance in eval mode. Raises `UsageError` for an unknown name, `MachineError` for a missing model."""
    base, pixels = split(name)
    if base == "lite0":
        return Lite0(pixels or 128)
    if "/" in base or Path(base).is_dir():
        from .hub import HubBackbone

        return HubBackbone(base, pixels)
    raise unknown("backbone", base, ["lite0", "a Hub id such as facebook/dinov2-small", "a folder"])


@cache
def shared(name: str) -> Backbone:
    """One frozen instance a process, for features only."""
    backbone = select(name)
    if isinstance(backbone, Lite0):
        backbone.fold()
    backbone.module.requires_grad_(False)
    return backbone


def split(name: str) -> tuple[str, int]:
    """("lite0@96") to ("lite0", 96); 0 where no size is given."""
    base, _, pixels = name.rpartition("@")
    return (base, int(pixels)) if base and pixels.isdigit() else (name, 0)
