"""What knows one kind of data: a folder a kind, with its codec, decoding, backbones and classical transforms."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from augmind.core.types import Codec, Spec


def codec_of(name: str, spec: "Spec", backbone: str | None = None) -> "Codec":
    """The codec of a modality by its folder's name, with its own backbone unless one is named."""
    module = importlib.import_module(f"augmind.modalities.{name}.codec")
    made = getattr(module, f"{name.capitalize()}Codec")
    return made(spec, backbone) if backbone else made(spec)


def codec_of_waves(spec: "Spec") -> "Codec | None":
    """The codec of rows that show waves, which follows from the spec alone; None for other rows."""
    return codec_of("audio", spec) if spec.rate else None
