"""A class-conditional adversarial generator: DCGAN (arXiv:1511.06434) with a projection critic (arXiv:1802.05637)."""

from dataclasses import dataclass

from torch import nn

from augmind.core.types import Spec
from augmind.nn.critics import critic

from ._painter import Painter
from ._steady import Steady


@dataclass(kw_only=True)
class Gan(Steady):
    """Crisp rows; the least stable of the generators when rows are few.

    The game is that of `Steady`: augmentation of what the critic sees, R1, a moving average of the weights, a price for rows that are too alike.
    """

    def _critic(self, spec: Spec, painter: Painter) -> nn.Module:
        return critic(spec.shape, len(spec.classes), self.width, self.spectral)
