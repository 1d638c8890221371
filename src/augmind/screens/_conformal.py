"""From a raw measure of a row to the share of real rows that look no better."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

LENT = 20.0
"""Weight, in rows, that all real rows together lend to the judgement of one class."""


@dataclass(frozen=True)
class Conformal:
    """Raw measures of held-out real rows by class; higher is better.

    A share is that of real rows that measure no better than the asked row, the row itself counted, so for a fresh real row it is
    about uniform on [0, 1]: a cut at 0.05 loses 5 % of good rows. Beyond the worst real row the share falls off exponentially,
    so that a few rows are enough to condemn what is far worse. With fewer than two real rows every share is 1.
    """

    measures: Float[Tensor, " n"]
    y: Int[Tensor, " n"]

    def share(self, measures: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
        """The share among all real rows."""
        if len(self.measures) < 2:
            return torch.ones_like(measures)
        return (_no_better(self.measures, measures) + 1) / (len(self.measures) + 1) * self._beyond(measures)

    def class_share(self, measures: Float[Tensor, " m"], y: Int[Tensor, " m"]) -> Float[Tensor, " m"]:
        """The share among the real rows of each row's class; to these, all real rows together add as much as `LENT` rows."""
        out = self.share(measures)
        for k in y.unique().tolist():
            own, asked = self.measures[self.y == k], y == k
            out[asked] = (_no_better(own, measures[asked]) + LENT * out[asked]) / (len(own) + LENT)
        return out

    def _beyond(self, measures: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
        """exp(-excess / scale) for measures below all known ones, else 1; the scale is the worst fifth's mean excess and its standard error."""
        worst = self.measures.sort().values
        tail = worst[: max(2, len(worst) // 5) + 1]
        scale = (tail[-1] - tail[:-1]).mean().clamp(min=0.01) * (1 + (len(tail) - 1) ** -0.5)
        return ((measures - worst[0]) / scale).clamp(max=0.0).exp()


def _no_better(known: Tensor, asked: Tensor) -> Tensor:
    """How many of `known` are at most each of `asked`."""
    return torch.searchsorted(known.sort().values, asked.contiguous(), right=True).float()
