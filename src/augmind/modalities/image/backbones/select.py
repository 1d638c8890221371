"""A backbone by name: "lite0", one of `NAMES`, a Hub id or a folder; "@96" at the end sets the side of its input in pixels."""

from functools import cache
from pathlib import Path

from augmind.core.errors import unknown
from augmind.core.types import Backbone
from augmind.nn.published import Published

from .lite0 import Lite0

NAMES = {
    "resnet18": "microsoft/resnet-18",
    "resnet50": "microsoft/resnet-50",
    "convnext-tiny": "facebook/convnextv2-tiny-22k-224",
    "vit-small": "WinKawaks/vit-small-patch16-224",
    "vit-base": "google/vit-base-patch16-224-in21k",
    "dinov2-small": "facebook/dinov2-small",
    "dinov2-base": "facebook/dinov2-base",
    "vgg11": "timm/vgg11.tv_in1k",
    "vgg16": "timm/vgg16.tv_in1k",
}
"""Short names of models on the Hub that have safetensors. (ConvNeXt is its second version: the first has none.)"""


def select(name: str) -> Backbone:
    """A fresh, trainable instance in eval mode. Raises `UsageError` for an unknown name, `MachineError` for a missing model."""
    base, pixels = checked(name)
    if base == "lite0":
        return Lite0(pixels or 128)
    published = Published(base, "'lite0'")
    if str(published.says().get("architecture", "")).startswith("vgg"):
        from .vgg import Vgg

        return Vgg(published, pixels)
    from .hub import HubBackbone

    return HubBackbone(published, pixels)


def checked(name: str) -> tuple[str, int]:
    """ "lite0", a Hub id or a folder, and the side of its input, 0 where none is given. Raises `UsageError` for a name that can be no backbone."""
    base, pixels = split(name)
    base = NAMES.get(base, base)
    if base != "lite0" and "/" not in base and not Path(base).is_dir():
        raise unknown("backbone", base, ["lite0", *NAMES, "a Hub id such as facebook/dinov2-small", "a folder"])
    return base, pixels


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
    return (base, int(pixels)) if base and pixels.isdecimal() else (name, 0)
