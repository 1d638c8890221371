"""Normal distributions around class means, each class with a covariance of its own as far as its rows can carry one: closed forms, no training.

A class borrows what it cannot know: covariance_k = (1 - w_k) shared + w_k own_k, as in the calibration of few-shot distributions
(arXiv:2101.06395), with the weight of a random-effects model, w_k = between / (between + within / (n_k - 1)). `within` is the variance of one row's
outer product and `between` that of covariances over classes, by the method of moments (DerSimonian and Laird 1986). Large classes keep their own
covariance, rare ones take the shared one, and all do where classes differ by no more than chance.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .gaussian import ClassGaussian

MOST = 0.99
"""The most of its own covariance that a class keeps; the rest leaves no direction without variance."""


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """mean (K + 1, D) and basis (D, r) as in `ClassGaussian`; covariance of class k = basis root_k root_k^T basis^T + floor_k (I - basis basis^T).

    root (K + 1, r, r) is lower triangular, floor (K + 1,); the last of each belongs to all rows, as for a class without rows.
    """

    mean: Float[Tensor, "K1 D"]
    basis: Float[Tensor, "D r"]
    root: Float[Tensor, "K1 r r"]
    floor: Float[Tensor, " K1"]

    @classmethod
    def shared(cls, g: ClassGaussian) -> "Calibrated":
        """The same covariance for every class."""
        many = len(g.mean)
        return cls(mean=g.mean, basis=g.basis, root=g.variance.sqrt().diag().repeat(many, 1, 1), floor=g.floor.repeat(many))

    @classmethod
    def fit(cls, x: Float[Tensor, "n D"], y: Int[Tensor, " n"], classes: int, rank: int) -> "Calibrated":
        """Rows of labels beyond `classes` are of others, which count as further classes and get nothing themselves."""
        g = ClassGaussian.fit(x, y, classes, rank)
        counts, own, left = within_classes(x, y, classes, g.basis)
        w = own_weights(x, y, counts, own, g.basis)[:classes]
        mixed = (1 - w)[:, None, None] * g.variance.diag() + w[:, None, None] * own[:classes]
        root = torch.linalg.cholesky(torch.cat([mixed, g.variance.diag()[None]]).double()).to(x.dtype)
        return cls(mean=g.mean, basis=g.basis, root=root, floor=torch.cat([torch.lerp(g.floor.expand(classes), left[:classes], w), g.floor[None]]))

    def draw(self, y: Int[Tensor, " B"], noise: Float[Tensor, "B D"], spread: float = 1.0) -> Float[Tensor, "B D"]:
        """mean[y] + (spread * covariance_y)^(1/2) noise."""
        floor, inside = self.floor[y].sqrt()[:, None], noise @ self.basis
        along = torch.einsum("brs,bs->br", self.root[y], inside) - floor * inside
        return self.mean[y] + spread**0.5 * (floor * noise + along @ self.basis.T)

    def apart(self, weight: Float[Tensor, "K D"]) -> Float[Tensor, "K K"]:
        """(w_j - w_y)^T covariance_y (w_j - w_y) for every class y (rows) and j: the variance of the logit of j less that of y over rows of y."""
        along, each = weight @ self.basis, torch.arange(len(weight))
        seen = along @ self.root[: len(weight)]
        inside = (seen - seen[each, each][:, None]).square().sum(2)
        return inside + self.floor[: len(weight), None] * (distances(weight) - distances(along))

    def double(self) -> "Calibrated":
        return Calibrated(**{k: v.double() for k, v in vars(self).items()})

    def state(self) -> dict[str, Tensor]:
        return {k: v.cpu() for k, v in vars(self).items()}


def distances(rows: Float[Tensor, "k d"]) -> Float[Tensor, "k k"]:
    """Squared distances of all pairs, differentiable at zero too."""
    gram = rows @ rows.T
    return gram.diagonal()[:, None] + gram.diagonal() - 2 * gram


def within_classes(
    x: Float[Tensor, "n D"], y: Int[Tensor, " n"], classes: int, basis: Float[Tensor, "D r"]
) -> tuple[Int[Tensor, " k"], Float[Tensor, "k r r"], Float[Tensor, " k"]]:
    """Of every class its count, its covariance along the basis and its mean variance across it; zeros for a class of fewer than two rows."""
    counts, (d, r) = torch.bincount(y, minlength=classes), basis.shape
    own, left = x.new_zeros(len(counts), r, r), x.new_zeros(len(counts))
    for k in (counts > 1).nonzero()[:, 0].tolist():
        off = x[y == k] - x[y == k].mean(0)
        along = off @ basis
        own[k] = along.T @ along / (len(off) - 1)
        left[k] = (off.square().sum() - along.square().sum()).clamp(min=0) / (len(off) - 1) / (d - r)
    return counts, own, left


def own_weights(
    x: Float[Tensor, "n D"], y: Int[Tensor, " n"], counts: Int[Tensor, " k"], own: Float[Tensor, "k r r"], basis: Float[Tensor, "D r"]
) -> Float[Tensor, " k"]:
    """w_k of every class in [0, `MOST`], zero for a class of fewer than two rows."""
    many, out = counts > 1, x.new_zeros(len(counts))
    if int((counts > 2).sum()) < 1 or int(many.sum()) < 2:
        return out
    n, s = counts[many].double(), own[many].double()
    m, size = n - 1, s.square().sum((1, 2))
    fourth = torch.stack([_fourth(x[y == k] @ basis) for k in many.nonzero()[:, 0].tolist()])
    within = ((n * (fourth - size)).sum() / (n * (1 - 1 / m)).sum()).clamp(min=0)
    pooled = (m[:, None, None] * s).sum(0) / m.sum()
    heterogeneity = (m * (s - pooled).square().sum((1, 2))).sum()
    between = ((heterogeneity - within * (len(n) - 1)) / (m.sum() - m.square().sum() / m.sum())).clamp(min=0)
    out[many] = (between / (between + within / m).clamp(min=1e-30)).clamp(max=MOST).to(out)
    return out


def _fourth(along: Float[Tensor, "n r"]) -> Float[Tensor, ""]:
    """Mean fourth power of the length of rows of one class, as it would be around the true mean were they normal."""
    n = len(along)
    return (along - along.mean(0)).double().square().sum(1).square().mean() * (n / (n - 1)) ** 2
