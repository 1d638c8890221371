"""Stacked density estimation (Smyth and Wolpert 1999, doi:10.1023/A:1007511322260): how much each of several models of the same rows deserves to be
believed, by rows that none of them has learnt from."""

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.nn.neighbours import nearest_squared, squared_distances

ROUNDS = 200


def log_density(rows: Float[Tensor, "n d"], drawn: Float[Tensor, "m d"], width: Float[Tensor, ""]) -> Float[Tensor, " n"]:
    """Logarithm of a kernel density of drawn rows at others, but for a constant: exp(-(distance / width)^2 / 2), averaged."""
    return torch.logsumexp(squared_distances(rows, drawn) / (-2 * width.square()), 1) - torch.log(torch.tensor(float(len(drawn))))


def width_of(rows: Float[Tensor, "n d"], others: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """How far these rows lie from the nearest of others, in the median: the width of the kernel that sees both as one."""
    return nearest_squared(rows, others, 1)[0][:, 0].sqrt().median().clamp(min=1e-6)


def stacked(density: Float[Tensor, "n g"], prior: float = 1.0) -> Float[Tensor, " g"]:
    """The weights, which add up to 1, under which a mixture of models finds `n` rows likeliest; from the logarithms of what each says of each row.

    Expectation and maximisation, whose only maximum this is. As many rows as `prior` for each model speak for it beforehand, so that few rows decide
    little; a model that says -inf of every row gets 0.
    """
    alive = density.isfinite().any(0)
    if not alive.any():
        raise ValueError("no model says anything of these rows")
    weights = alive / alive.sum()
    for _ in range(ROUNDS):
        seen = density + weights.log()
        seen = seen[seen.isfinite().any(1)]
        counts = seen.softmax(1).sum(0) + prior * alive
        weights = counts / counts.sum()
    return weights
