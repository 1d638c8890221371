"""Kernel distance: the unbiased squared maximum mean discrepancy with a cubic kernel (arXiv:1801.01401)."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.plugin import Metric
from augmind.core.seeds import stream
from augmind.nn.neighbours import blocks

FEWEST = 12
BLOCK = 1024


@dataclass(kw_only=True)
class Kid(Metric):
    """MMD^2 with k(a, b) = (a.b / d + 1)^3, from all pairs of rows: no random subsets, hence no noise of its own.

    Unbiased: about 0, possibly below, for two samples of one distribution. Above `most` rows, both sets are dealt by a fixed
    shuffle into equally many parts of at most `most` rows and the parts' values are averaged. NaN where either set has fewer
    than 12 rows.
    """

    higher_is_better: ClassVar[bool] = False
    label: ClassVar[str] = "kernel distance"
    most: int = 10_000

    def measure(self, real: Float[Tensor, "n d"], synthetic: Float[Tensor, "m d"]) -> float:
        if min(len(real), len(synthetic)) < FEWEST:
            return math.nan
        parts = math.ceil(max(len(real), len(synthetic)) / max(FEWEST, self.most))
        parts = min(parts, min(len(real), len(synthetic)) // FEWEST)
        if parts == 1:
            return mmd(real.float(), synthetic.float())
        values = [mmd(r.float(), s.float()) for r, s in zip(_dealt(real, parts), _dealt(synthetic, parts), strict=True)]
        return sum(values) / parts


def _dealt(rows: Tensor, parts: int) -> list[Tensor]:
    return list(rows[torch.randperm(len(rows), generator=stream("kid", len(rows)))].tensor_split(parts))


def mmd(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """The U-statistic of MMD^2 with the cubic kernel; sums in float64."""
    n, m = len(a), len(b)
    return within(a) / (n * (n - 1)) + within(b) / (m * (m - 1)) - 2 * across(a, b) / (n * m)


def kernel(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    base = (a @ b.T).div_(a.shape[1]).add_(1.0)
    return base * base * base


def total(values: Tensor) -> float:
    """The sum of a block: rows in float32, rows together in float64."""
    return float(values.sum(1).double().sum())


def within(a: Float[Tensor, "n d"]) -> float:
    """Sum of the kernel over all ordered pairs of different rows; each block above the diagonal stands for the one below it too."""
    out = 0.0
    for start in range(0, len(a), BLOCK):
        rows, rest = a[start : start + BLOCK], a[start + BLOCK :]
        own = kernel(rows, rows)
        out += total(own) - float(own.diagonal().double().sum()) + 2 * across(rows, rest)
    return out


def across(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """Sum of the kernel over all pairs of a row of `a` and a row of `b`."""
    return sum(total(kernel(a[part], b)) for part in blocks(len(a), max(1, len(b)))) if len(b) else 0.0
