"""What steadies an adversarial training: a penalty on the critic's slope, and a measure of how varied rows of a class are."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d


def gradient_penalty(score: Float[Tensor, " b"], x: Float[Tensor, "b ..."]) -> Float[Tensor, ""]:
    """R1: mean squared gradient norm of the critic at real rows (arXiv:1801.04406)."""
    (gradient,) = torch.autograd.grad(score.sum(), x, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()


def outline(x: Float[Tensor, "b ..."]) -> Float[Tensor, "b d"]:
    """Rows in which brightness, contrast and texture do not count: grids coarse and standardised row by row, vectors as they are."""
    if x.ndim == 2:
        return x
    coarse = adaptive_avg_pool2d(x, (min(7, x.shape[2]), min(7, x.shape[3]))).flatten(1)
    return (coarse - coarse.mean(1, keepdim=True)) / (coarse.std(1, keepdim=True) + 0.05)


def variety(a: Float[Tensor, "b ..."], b: Float[Tensor, "b ..."]) -> Float[Tensor, ""]:
    """Mean absolute difference of the outlines of two rows of one class."""
    return (outline(a) - outline(b)).abs().mean()


def real_variety(x: Float[Tensor, "n ..."], y: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """The variety of real rows: each is compared with the next one of its class."""
    order = y.argsort(stable=True)
    first, second = order[:-1], order[1:]
    pair = y[first] == y[second]
    return variety(x[first[pair]], x[second[pair]]) if pair.any() else torch.zeros(())
