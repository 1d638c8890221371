"""Backbones of text by name: "hash" (no weights), "minilm", "use-multilingual", a Hub id or a folder of a `transformers` encoder."""

from functools import cache
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from augmind.core.errors import WrongSpec, unknown

from .encoder import Encoder
from .hashed import Hashed
from .multilingual import Multilingual


@runtime_checkable
class Reader(Protocol):
    """Texts in, (n, width) features out."""

    name: str
    width: int

    def __call__(self, texts: list[str]) -> Float[Tensor, "n d"]: ...


@cache
def shared(name: str) -> Reader:
    """The backbone that features come from, one a process. Raises `UsageError` for an unknown name, `MachineError` for a missing model."""
    if name == Hashed.name:
        return Hashed()
    if name == Multilingual.name:
        return Multilingual()
    encoder = opened(name)
    encoder.module.requires_grad_(False)
    return encoder


def trainable(name: str, sides: int = 1) -> Encoder:
    """A fresh copy of an encoder, for training on rows of so many sides. Raises `WrongSpec` for a backbone that has nothing to train,
    else as `shared`."""
    if name in (Hashed.name, Multilingual.name):
        raise WrongSpec(f"the backbone '{name}' has nothing to train", help="name an encoder: --backbone minilm, a folder or a Hub id")
    return opened(name, sides)


def opened(name: str, sides: int = 1) -> Encoder:
    known(name)
    return Encoder(name, sides)


def known(name: str) -> None:
    """Raises `UsageError` for a name that can be no backbone of text."""
    if name not in (Hashed.name, "minilm", Multilingual.name) and "/" not in name and not Path(name).is_dir():
        names = [Hashed.name, "minilm", Multilingual.name, "a Hub id such as intfloat/multilingual-e5-small", "a folder"]
        raise unknown("backbone of text", name, names)
