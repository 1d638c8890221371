"""Frechet distance between Gaussians fitted to the features of two sets (arXiv:1706.08500)."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.plugin import Metric

FEWEST = 12
"""Rows below which no covariance worth comparing can be estimated."""


@dataclass(kw_only=True)
class Frechet(Metric):
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) with unbiased covariances, in float64.

    Biased upwards by about 1/n: compare sets of the same size only. NaN where either set has fewer than 12 rows.
    """

    higher_is_better: ClassVar[bool] = False
    label: ClassVar[str] = "Frechet distance"
    limits: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def measure(self, real: Float[Tensor, "n d"], synthetic: Float[Tensor, "m d"]) -> float:
        if min(len(real), len(synthetic)) < FEWEST:
            return math.nan
        few, many = sorted((real.double(), synthetic.double()), key=len)
        apart = (few.mean(0) - many.mean(0)).square().sum()
        root, other = covariance_root(few), torch.cov(many.T)
        with one_thread():
            shared = torch.linalg.eigvalsh(root @ other @ root.T).clamp_(min=0.0).sqrt_().sum()
        return max(0.0, float(apart + root.square().sum() + other.trace() - 2 * shared))


def covariance_root(rows: Float[Tensor, "n d"]) -> Float[Tensor, "r d"]:
    """A matrix R of min(n, d) rows such that R^T R is the unbiased covariance."""
    if len(rows) <= rows.shape[1]:
        return (rows - rows.mean(0)) / (len(rows) - 1) ** 0.5
    covariance = torch.cov(rows.T)
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if not failed:
        return factor.T
    with one_thread():
        values, vectors = torch.linalg.eigh(covariance)
    return values.clamp_(min=0.0).sqrt_()[:, None] * vectors.T


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch inside: eigenvalue solvers wait at so many barriers that a second one on a busy core costs seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
