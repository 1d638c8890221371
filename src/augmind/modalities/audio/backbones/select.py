"""Backbones of sounds by name: "speech", "speaker", a Hub id or a folder of a `transformers` model; "mfcc", the counted features, is no backbone."""

from functools import cache
from pathlib import Path

from augmind.core.errors import WrongSpec, unknown
from augmind.core.types import Backbone, Spec
from augmind.nn.published import Published

from .hub import Hub
from .speaker import Speaker
from .speech import Speech

COUNTED = "mfcc"
CARRIED = {kind.name: kind for kind in (Speech, Speaker)}
"""Those that packages carry."""


def known(name: str) -> None:
    """Raises `UsageError` for a name that can be no backbone of sounds."""
    if name not in (COUNTED, *CARRIED) and "/" not in name and not Path(name).is_dir():
        raise unknown("backbone of sounds", name, [COUNTED, *CARRIED, "a Hub id such as facebook/wav2vec2-base-960h", "a folder"])


def select(name: str, spec: Spec) -> Backbone:
    """A fresh, trainable instance. Raises `UsageError` for an unknown name, `WrongSpec` for counted features, `MachineError` for a missing model."""
    known(name)
    if name == COUNTED:
        raise WrongSpec("counted features of sounds have nothing to train", help=f"choose another learner, such as crnn, or --backbone {Speech.name}")
    if name in CARRIED:
        return CARRIED[name](spec)
    return Hub(Published(name, f"'{Speech.name}' or '{COUNTED}'"), spec)


@cache
def shared(name: str, spec: Spec) -> Backbone:
    """One frozen instance a process, for features only."""
    backbone = select(name, spec)
    backbone.module.requires_grad_(False)
    return backbone
