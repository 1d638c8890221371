"""PIL images as rows and back, one at a time, for those who train outside a run."""

from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from augmind.core.errors import UsageError
from augmind.modalities.image.codec import MODES, to_tensor

if TYPE_CHECKING:
    from PIL.Image import Image


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
