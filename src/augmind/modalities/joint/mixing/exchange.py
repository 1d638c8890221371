"""Sides of two rows of one class are exchanged: the picture of one with the sound of the other."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from augmind.core.plugin import Transform
from augmind.core.seeds import stream
from augmind.core.tune import tune
from augmind.core.types import Spec


@dataclass(kw_only=True)
class Exchange(Transform):
    """Of a row's features (n, d) those of all sides but the first come, with `probability`, from another row of its class.

    What can be had of pairs without a generator, where the sides are independent given the class: n rows of a class make n^2 pairs.
    Where a pair shares more than its class (the same person, the same event), what is made lacks that. `widths` are the features of each side, by
    name. A row alone in its class stays as it is; labels stay.
    """

    axes: ClassVar[tuple[int, ...]] = (1,)
    settled: ClassVar[bool] = True
    needs: ClassVar[str] = "widths"

    probability: float = tune(0.5, 0.1, 1.0)
    widths: dict[str, int] = field(default_factory=dict)

    @classmethod
    def refuses(cls, spec: Spec) -> str:
        return super().refuses(spec) or (f"'{cls.name()}' takes features, not rows" if spec.bounded else "")

    def apply(self, x: Float[Tensor, "b d"], y: Float[Tensor, "b k"], seed: int) -> tuple[Tensor, Tensor]:
        rng, first = stream("exchange", seed), next(iter(self.widths.values()), x.shape[1])
        other = partners(y.argmax(1), rng)
        other = torch.where(torch.rand(len(x), generator=rng) < self.probability, other, torch.arange(len(x)))
        return torch.cat([x[:, :first], x[other, first:]], 1), y


def partners(classes: Int[Tensor, " b"], rng: torch.Generator) -> Int[Tensor, " b"]:
    """For every row another one of its class, each taken once; itself where it is alone."""
    other = torch.arange(len(classes))
    for k in classes.unique():
        rows = (classes == k).nonzero()[:, 0]
        rows = rows[torch.randperm(len(rows), generator=rng)]
        other[rows] = rows.roll(1)
    return other
