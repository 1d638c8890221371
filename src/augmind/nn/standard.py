"""Model space to the scale where networks are at ease, and back."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from augmind.core.types import Spec


class Standard(nn.Module):
    """Vectors and unbounded grids get mean 0 and deviation 1 (vectors per dimension, grids as a whole); bounded grids stay.

    `undo` returns to model space, clipped to [-1, 1] where rows are bounded.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.bounded = spec.bounded
        self.fixed = spec.bounded and len(spec.shape) == 3
        size = spec.shape[0] if len(spec.shape) == 1 else 1
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def fit(self, x: Float[Tensor, "n ..."]) -> "Standard":
        if not self.fixed:
            flat = x if x.ndim == 2 else x.reshape(-1, 1)
            deviation = flat.std(0, unbiased=False)
            self.centre.copy_(flat.mean(0))
            self.scale.copy_(torch.where(deviation > 1e-6, deviation, 1.0))
        return self

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        return (x - self.centre) / self.scale

    def undo(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        x = x * self.scale + self.centre
        return x.clamp(-1, 1) if self.bounded else x
