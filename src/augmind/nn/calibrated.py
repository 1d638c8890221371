"""Normal distributions around class means, each class with a covariance of its own as far as its rows can carry one: closed forms, no training.

A class borrows what it cannot know: covariance_k = (1 - w_k) shared + w_k own_k, as in the calibration of few-shot distributions
(arXiv:2101.06395), with the weight of a random-effects model, w_k = between / (between + within / (n_k - 1)). `within` is the variance of one row's
outer product and `between` that of covariances over classes, in units of the shared one, by the method of moments (DerSimonian and Laird 1986). Large
classes keep their own covariance, rare ones take the shared one, and all do where classes differ by no more than chance.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .gaussian import ClassGaussian
from .labels import of_class

MOST = 0.99
"""The most of its own covariance that a class keeps; the rest leaves no direction without variance."""


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """mean (K + 1, D), basis (D, r) and floor () as in `ClassGaussian`; root (K + 1, r, r) lower triangular, the last one for a class without rows.

    Covariance of class k = basis root_k root_k^T basis^T + floor (I - basis basis^T). Across the basis all classes share the floor: what rows leave
    there, after they gave the basis, says too little (own floors cost held-out rows of Fashion-MNIST and CIFAR-10 0.03 to 0.24 nats a value).
    """

    mean: Float[Tensor, "K1 D"]
    basis: Float[Tensor, "D r"]
    root: Float[Tensor, "K1 r r"]
    floor: Float[Tensor, ""]

    @classmethod
    def shared(cls, g: ClassGaussian) -> "Calibrated":
        """The same covariance for every class."""
        return cls(mean=g.mean, basis=g.basis, root=g.variance.sqrt().diag().repeat(len(g.mean), 1, 1), floor=g.floor)

    @classmethod
    def fit(cls, x: Float[Tensor, "n D"], y: Int[Tensor, " n"], classes: int, rank: int) -> "Calibrated":
        """Rows of labels beyond `classes` are of others, which count as further classes and get nothing themselves."""
        g = ClassGaussian.fit(x, y, classes, rank)
        deviation = g.variance.sqrt()
        counts, own, fourth = moments(x @ (g.basis / deviation), y, classes)
        w, alike = own_weights(counts, own, fourth)[:classes, None, None], torch.eye(len(deviation))
        root = torch.linalg.cholesky(torch.cat([(1 - w) * alike + w * own[:classes], alike[None]]).double()).to(x.dtype)
        return cls(mean=g.mean, basis=g.basis, root=deviation[:, None] * root, floor=g.floor)

    def draw(self, y: Int[Tensor, " B"] | Float[Tensor, "B K"], noise: Float[Tensor, "B D"], spread: float = 1.0) -> Float[Tensor, "B D"]:
        """mean[y] + (spread * covariance_y)^(1/2) noise."""
        floor, inside = self.floor.sqrt(), noise @ self.basis
        along = torch.einsum("brs,bs->br", of_class(self.root, y), inside) - floor * inside
        return of_class(self.mean, y) + spread**0.5 * (floor * noise + along @ self.basis.T)

    def apart(self, weight: Float[Tensor, "K D"]) -> Float[Tensor, "K K"]:
        """(w_j - w_y)^T covariance_y (w_j - w_y) for every class y (rows) and j: the variance of the logit of j less that of y over rows of y."""
        along, each = weight @ self.basis, torch.arange(len(weight))
        seen = along @ self.root[: len(weight)]
        inside = (seen - seen[each, each][:, None]).square().sum(2)
        return inside + self.floor * (distances(weight) - distances(along))

    def double(self) -> "Calibrated":
        return Calibrated(**{k: v.double() for k, v in vars(self).items()})

    def state(self) -> dict[str, Tensor]:
        return {k: v.cpu() for k, v in vars(self).items()}


def distances(rows: Float[Tensor, "k d"]) -> Float[Tensor, "k k"]:
    """Squared distances of all pairs, differentiable at zero too."""
    gram = rows @ rows.T
    return gram.diagonal()[:, None] + gram.diagonal() - 2 * gram


def moments(along: Float[Tensor, "n r"], y: Int[Tensor, " n"], classes: int) -> tuple[Int[Tensor, " k"], Float[Tensor, "k r r"], Float[Tensor, " k"]]:
    """Of every class its count, its covariance, and the mean fourth power of the length of its rows, as it would be around the true mean were they
    normal; zeros for a class of fewer than two rows."""
    counts = torch.bincount(y, minlength=classes)
    own, fourth = along.new_zeros(len(counts), along.shape[1], along.shape[1]), torch.zeros(len(counts), dtype=torch.float64)
    for k in (counts > 1).nonzero()[:, 0].tolist():
        rows = along[y == k]
        off, n = rows - rows.mean(0), len(rows)
        own[k] = off.T @ off / (n - 1)
        fourth[k] = off.double().square().sum(1).square().mean() * (n / (n - 1)) ** 2
    return counts, own, fourth


def own_weights(counts: Int[Tensor, " k"], own: Float[Tensor, "k r r"], fourth: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """w_k of every class in [0, `MOST`]; zero for a class of fewer than two rows, and for all where nothing can be told apart."""
    many, out = counts > 1, own.new_zeros(len(counts))
    if int((counts > 2).sum()) < 1 or int(many.sum()) < 2:
        return out
    n, s = counts[many].double(), own[many].double()
    m = n - 1
    within = ((n * (fourth[many] - s.square().sum((1, 2)))).sum() / (n * (1 - 1 / m)).sum()).clamp(min=0)
    pooled = (m[:, None, None] * s).sum(0) / m.sum()
    heterogeneity = (m * (s - pooled).square().sum((1, 2))).sum()
    between = ((heterogeneity - within * (len(n) - 1)) / (m.sum() - m.square().sum() / m.sum())).clamp(min=0)
    out[many] = (between / (between + within / m).clamp(min=1e-30)).clamp(max=MOST).to(out)
    return out
