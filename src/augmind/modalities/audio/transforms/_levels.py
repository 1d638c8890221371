"""Rows in model space as powers, and back."""

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.modalities.audio.mel import FLOOR

DEPTH = -FLOOR / 2
"""Decibels of a step of one in model space."""


def levels(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Model space to powers; the floor is silence."""
    return torch.where(x <= -1, 0.0, 10 ** ((x - 1) * DEPTH / 10))


def as_rows(power: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Inverse of `levels`, within the range of rows."""
    return (10 * power.clamp(min=1e-12).log10() / DEPTH + 1).clamp(-1, 1)
