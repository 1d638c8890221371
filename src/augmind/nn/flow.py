"""Rectified flow: straight paths from data (t = 0) to standard normal noise (t = 1), and the solvers that walk them back.

The field v(x_t, t) = E[noise - x_0 | x_t] of the interpolant x_t = (1 - t) x_0 + t noise (arXiv:2209.03003).
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

Field = Callable[[Tensor, Tensor], Tensor]
"""(x (B, ...), t (B,)) to dx/dt (B, ...)."""


def logit_normal(n: int, mean: float) -> Float[Tensor, " n"]:
    """Training times in (0, 1) whose logit is normal (arXiv:2403.03206), from torch's global random state."""
    return torch.sigmoid(torch.randn(n) + mean)


def between(x0: Float[Tensor, "B ..."], noise: Float[Tensor, "B ..."], t: Float[Tensor, " B"]) -> Float[Tensor, "B ..."]:
    """x_t = (1 - t) x_0 + t noise."""
    return torch.lerp(x0, noise, t.reshape(-1, *[1] * (x0.ndim - 1)))


def euler(field: Field, x: Float[Tensor, "B ..."], points: int) -> Float[Tensor, "B ..."]:
    """From noise to data in `points` equal steps of first order: `points` evaluations."""
    times = torch.linspace(1.0, 0.0, points + 1).tolist()
    for t, s in pairwise(times):
        x = x + (s - t) * field(x, x.new_full((len(x),), t))
    return x


def heun(field: Field, x: Float[Tensor, "B ..."], points: int) -> Float[Tensor, "B ..."]:
    """From noise to data in `points` equal steps of second order, the last one of first order: 2 points - 1 evaluations."""
    times = torch.linspace(1.0, 0.0, points + 1).tolist()
    for t, s in pairwise(times):
        v = field(x, x.new_full((len(x),), t))
        ahead = x + (s - t) * v
        if s > 0:
            v = (v + field(ahead, x.new_full((len(x),), s))) / 2
            ahead = x + (s - t) * v
        x = ahead
    return x


SOLVERS = {"euler": euler, "heun": heun}
