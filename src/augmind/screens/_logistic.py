"""Several L2-regularised multinomial logistic regressions fitted at once, each on its own weighting of the same rows."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import log_softmax


def fit(
    z: Float[Tensor, "n d"], y: Int[Tensor, " n"], classes: int, weights: Float[Tensor, "f n"], penalties: Float[Tensor, " f"]
) -> Float[Tensor, "f e k"]:
    """Coefficients (f, d + 1, k), the last row being the intercept, of f models.

    Model f minimises the mean cross-entropy under `weights[f]` (zero: a row it never sees) plus penalties[f] / 2 times the
    squared norm of its coefficients. Optimal coefficients lie in the span of the rows, so with fewer rows than features the
    search runs in that span.
    """
    span = None
    if len(z) < z.shape[1]:
        _, _, span = torch.linalg.svd(z, full_matrices=False)
        z = z @ span.T
    rows = torch.cat([z, z.new_ones(len(z), 1)], 1)
    weights = (weights / weights.sum(1, keepdim=True).clamp(min=1e-12)).T
    theta = torch.zeros(rows.shape[1], len(penalties) * classes, requires_grad=True)
    optimiser = torch.optim.LBFGS([theta], max_iter=100, history_size=10, line_search_fn="strong_wolfe", tolerance_change=1e-7)

    def loss() -> Tensor:
        optimiser.zero_grad()
        log_p = log_softmax((rows @ theta).unflatten(1, (-1, classes)), 2)[torch.arange(len(y)), :, y]
        size = theta[:-1].square().sum(0).unflatten(0, (-1, classes)).sum(1)
        value = 0.5 * (penalties * size).sum() - (weights * log_p).sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimiser.step(loss)
    theta = theta.detach()
    if span is not None:
        theta = torch.cat([span.T @ theta[:-1], theta[-1:]])
    return theta.unflatten(1, (-1, classes)).transpose(0, 1)


def log_probabilities(theta: Float[Tensor, "e k"], z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
    return log_softmax(z @ theta[:-1] + theta[-1], 1)
