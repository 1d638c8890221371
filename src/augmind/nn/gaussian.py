"""Normal distributions around class means with one shared covariance, low rank plus isotropic: closed forms, no training.

Covariance = basis diag(variance) basis^T + floor (I - basis basis^T), shrunk towards a multiple of the identity by
Ledoit and Wolf's rule (Journal of Multivariate Analysis 88, 2004, 365-411). Nothing of size D x D outlives the fit.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from augmind.core.seeds import seeded

from .labels import of_class

FLOOR = 1e-6
"""Least variance, so that rows that are all alike divide nothing by zero."""


def shrinkage(centred: Float[Tensor, "n D"]) -> float:
    """Ledoit and Wolf's weight in [0, 1] of the identity, for rows of mean zero."""
    n, d = centred.shape
    gram = (centred @ centred.T if n <= d else centred.T @ centred) / n
    square, trace = gram.double().square().sum().item(), gram.diagonal().double().sum().item()
    distance = square - trace**2 / d
    error = centred.double().square().sum(1).square().sum().item() / n**2 - square / n
    return min(1.0, max(0.0, error / distance)) if distance > 0 else 1.0


@dataclass(frozen=True, kw_only=True)
class ClassGaussian:
    """mean (K + 1, D), the last one of all rows; basis (D, r) orthonormal; variance (r,) along it; floor () elsewhere."""

    mean: Float[Tensor, "K1 D"]
    basis: Float[Tensor, "D r"]
    variance: Float[Tensor, " r"]
    floor: Float[Tensor, ""]

    @classmethod
    def fit(cls, x: Float[Tensor, "n D"], y: Int[Tensor, " n"], classes: int, rank: int) -> "ClassGaussian":
        """Class means (of all rows for a class without rows) and the shrunk covariance within classes.

        Directions beyond `rank` share their mean variance, so the trace is that of the unshrunk covariance. Where no class
        has two rows, the covariance is that around the mean of all rows. Rows of labels beyond `classes` are of others, which lend their part of
        the covariance and nothing else.
        """
        n, d = x.shape
        counts = torch.bincount(y, minlength=classes)
        present = int((counts > 0).sum())
        pooled = x[y < classes].mean(0, keepdim=True)
        mean = torch.zeros(len(counts), d).index_add_(0, y, x) / counts.clamp(min=1)[:, None]
        mean = torch.where((counts > 0)[:, None], mean, pooled)
        centred, freedom = (x - mean[y], n - present) if n > present else (x - pooled, max(1, n - 1))
        weight, total = shrinkage(centred), centred.square().sum() / freedom
        rank = min(rank, n, d - 1)
        with seeded(0):
            _, s, v = torch.svd_lowrank(centred, q=min(n, d, rank + 16), niter=4)
        kept = (1 - weight) * s[:rank].square() / freedom + weight * total / d
        floor = ((total - kept.sum()) / (d - rank)).clamp(min=FLOOR)
        return cls(mean=torch.cat([mean[:classes], pooled]), basis=v[:, :rank].contiguous(), variance=kept.clamp(min=FLOOR), floor=floor)

    def to(self, device: torch.device) -> "ClassGaussian":
        return ClassGaussian(**{k: v.to(device) for k, v in vars(self).items()})

    def draw(self, y: Int[Tensor, " B"] | Float[Tensor, "B K"], noise: Float[Tensor, "B D"], spread: float = 1.0) -> Float[Tensor, "B D"]:
        """mean[y] + (spread * covariance)^(1/2) noise."""
        floor = self.floor.sqrt()
        along = (noise @ self.basis) * (self.variance.sqrt() - floor)
        return of_class(self.mean, y) + spread**0.5 * (floor * noise + along @ self.basis.T)

    def denoise(self, x: Float[Tensor, "B D"], t: Float[Tensor, " B"], y: Int[Tensor, " B"] | Float[Tensor, "B K"]) -> Float[Tensor, "B D"]:
        """E[x_0 | x_t = x] when x_t = (1 - t) x_0 + t noise and x_0 follows this distribution: the Wiener filter."""
        a, s = 1 - t[:, None], t[:, None].square()
        gain, rest = (a * v / (a.square() * v + s) for v in (self.variance, self.floor))
        mean = of_class(self.mean, y)
        off = x - a * mean
        return mean + rest * off + ((off @ self.basis) * (gain - rest)) @ self.basis.T

    def doubt(self, t: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
        """Root mean square over the D values of x_0 - denoise(x_t), averaged over x_0: the posterior's deviation."""
        a, s = (1 - t[:, None]).square(), t[:, None].square()
        along, rest = (v * s / (a * v + s) for v in (self.variance, self.floor))
        d, r = self.basis.shape
        return ((along.sum(1) + (d - r) * rest[:, 0]) / d).sqrt()

    def state(self) -> dict[str, Tensor]:
        return {k: v.cpu() for k, v in vars(self).items()}
