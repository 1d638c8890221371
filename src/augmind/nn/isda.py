"""Rows as Gaussians, in closed form: implicit semantic data augmentation (ISDA, arXiv:1909.12220) of a linear head.

For a row of class y spread as N(z, strength * covariance_y), E log sum_j exp(logit_j - logit_y) <= log sum_j E exp(logit_j - logit_y) by Jensen, and
every term of the right side is known: the logit of j gains strength / 2 * (w_j - w_y)^T covariance_y (w_j - w_y). Nothing is sampled, and what is
minimised stays convex in the weights.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .calibrated import Calibrated

Values = npt.NDArray[np.float64]
Gains = Callable[[Values], tuple[Values, Callable[[Values], Values]]]
"""Of weights (s, k) what they add to the logits (n, k), and what turns the slope of a loss by the logits (n, k) into that by the weights (s, k)."""


@dataclass(frozen=True, kw_only=True)
class Clouds:
    """Which Gaussian each row stands for: of its class's covariance, `strength` (n,) times; 0 for a row that is itself."""

    gaussian: Calibrated
    strength: Float[Tensor, " n"]

    def gains(self, weight: Float[Tensor, "k d"], y: Int[Tensor, " n"]) -> Float[Tensor, "n k"]:
        """What is added to the logits of rows of these classes."""
        return self.strength[:, None] / 2 * self.gaussian.apart(weight)[y]

    def double(self) -> "Clouds":
        return Clouds(gaussian=self.gaussian.double(), strength=self.strength.double())


def gains_of(clouds: Clouds, y: Int[Tensor, " n"], basis: Float[Tensor, "d s"]) -> Gains:
    """What weights of features in this basis add to the logits of rows of these classes."""
    exact, wide = clouds.double(), basis.double()

    def at(own: Values) -> tuple[Values, Callable[[Values], Values]]:
        weight = torch.from_numpy(own).requires_grad_()
        with torch.enable_grad():
            gained = exact.gains((wide @ weight).T, y)

        def back(error: Values) -> Values:
            return torch.autograd.grad(gained, weight, torch.from_numpy(error))[0].numpy()

        return gained.detach().numpy(), back

    return at
