"""Backbones of text by name: "hash" (no weights), "minilm", a Hub id or a folder of a `transformers` encoder."""

from functools import cache
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from augmind.core.errors import unknown


@runtime_checkable
class Reader(Protocol):
    """Texts in, (n, width) features out."""

    name: str
    width: int

    def __call__(self, texts: list[str]) -> Float[Tensor, "n d"]: ...


@cache
def shared(name: str) -> Reader:
    """The backbone that features come from, one a process. Raises `UsageError` for an unknown name, `MachineError` for a missing model."""
    if name == "hash":
        from .hashed import Hashed

        return Hashed()
    from .encoder import Encoder

    if name == "minilm" or "/" in name or Path(name).is_dir():
        return Encoder(name)
    raise unknown("backbone of text", name, ["hash", "minilm", "a Hub id such as intfloat/multilingual-e5-small", "a folder"])
