"""PIL images and texts as rows and back, for those who train outside a run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from augmind.core.errors import UsageError
from augmind.modalities.image.codec import MODES, to_tensor
from augmind.modalities.text.rows import rows_of, texts_of
from augmind.modalities.text.sides import MARK, as_row, sides_of

if TYPE_CHECKING:
    from PIL.Image import Image

GROWTH = 3
"""How many times as long as the longest of them texts may become."""


def is_native(value: Any) -> "TypeGuard[Image]":
    """Whether this is a PIL image."""
    from PIL import Image

    return isinstance(value, Image.Image)


def to_row(native: Any) -> UInt8[Tensor, "c h w"]:
    """A PIL image of mode L, RGB or RGBA as bytes. Raises `UsageError` for other modes."""
    if native.mode not in MODES.values():
        raise UsageError(f"a PIL image of mode '{native.mode}' cannot be augmented", help=f'convert it first: image.convert("{MODES[3]}")')
    return to_tensor(native)


def to_native(row: UInt8[Tensor, "c h w"]) -> "Image":
    """The inverse of `to_row`."""
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(row.permute(1, 2, 0).squeeze(-1).to(torch.uint8).numpy()))


def to_bytes(texts: Sequence[str | tuple[str, ...]]) -> UInt8[Tensor, "n length"]:
    """Texts, or pairs of them, as stored rows with room to grow."""
    rows = [as_row(text) if isinstance(text, tuple) else text.replace(MARK, " ") for text in texts]
    return rows_of(rows, GROWTH * max(8, *(len(row.encode()) for row in rows)))


def to_texts(x: UInt8[Tensor, "n length"], like: Sequence[str | tuple[str, ...]]) -> list[str | tuple[str, ...]]:
    """The inverse of `to_bytes`: pairs where `like` has them."""
    return [tuple(sides_of(text)) if isinstance(old, tuple) else text for text, old in zip(texts_of(x), like, strict=True)]
