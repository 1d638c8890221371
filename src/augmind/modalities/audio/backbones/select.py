"""Backbones of sounds by name: "speech"; "mfcc", the counted features, is no backbone."""

from functools import cache

from augmind.core.errors import WrongSpec, unknown
from augmind.core.types import Backbone, Spec

from .speech import NAME, Speech

COUNTED = "mfcc"


def known(name: str) -> None:
    """Raises `UsageError` for a name that can be no backbone of sounds."""
    if name not in (COUNTED, NAME):
        raise unknown("backbone of sounds", name, [COUNTED, NAME])


def select(name: str, spec: Spec) -> Backbone:
    """A fresh, trainable instance. Raises `UsageError` for an unknown name, `WrongSpec` for counted features, `MachineError` for a missing model."""
    known(name)
    if name == COUNTED:
        raise WrongSpec("counted features of sounds have nothing to train", help=f"choose another learner, such as crnn, or --backbone {NAME}")
    return Speech(spec)


@cache
def shared(name: str, spec: Spec) -> Backbone:
    """One frozen instance a process, for features only."""
    backbone = select(name, spec)
    backbone.module.requires_grad_(False)
    return backbone
