"""Linear classifiers on features: multinomial logistic regression fitted to the optimum, with a cross-validated penalty."""

import numpy as np
import scipy.optimize
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import log_softmax, one_hot

from augmind.core.errors import DataError
from augmind.core.folds import inner_folds
from augmind.core.seeds import seeded

from .isda import Clouds, Gains, Values, gains_of

PENALTIES = (3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3)
FOLDS = 5


class Head(nn.Module):
    """Logits of features that are standardised inside, by their mean and SD."""

    def __init__(self, mean: Float[Tensor, " d"], sd: Float[Tensor, " d"], classes: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.sd: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("sd", sd)
        with seeded(0):
            self.linear = nn.Linear(len(mean), classes)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    @classmethod
    def over(cls, z: Float[Tensor, "n d"], classes: int) -> "Head":
        """A head of zeros, standardised by these rows; 0.01 is added to each SD so that a dead feature stays quiet."""
        return cls(z.mean(0), z.std(0, correction=0) + 1e-2, classes)

    def standardise(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return (z - self.mean) / self.sd

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        return self.linear(self.standardise(z))


def cross_entropy(
    logits: Float[Tensor, "b k"], y: Float[Tensor, "b k"], w: Float[Tensor, " b"], log_prior: Float[Tensor, " k"] | None = None
) -> Float[Tensor, ""]:
    """Mean cross-entropy with soft labels and row weights.

    A log prior is added to the logits: what is left after training without it is adjusted for rare classes (arXiv:2007.07314).
    """
    adjusted = logits.float() if log_prior is None else logits.float() + log_prior
    return -(w * (y * log_softmax(adjusted, 1)).sum(1)).mean()


def fit_head(
    head: Head,
    z: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    w: Float[Tensor, " n"],
    penalty: float,
    log_prior: Float[Tensor, " k"] | None = None,
    apart: Float[Tensor, "m d"] | None = None,
    weight: float = 0.0,
    clouds: Clouds | None = None,
) -> Head:
    """Puts the head at the minimum of mean w CE + penalty / 2 ||W||^2 over its weights W, in the span of the rows `z`, and its free bias.

    `apart` holds differences of features that shall be judged alike: weight * mean ||W apart||^2, the mean square of the differences of their logits,
    is added. The whole stays convex; see `calmed`. Where they lie between the rows `z` themselves, no weights outside their span cost less; of
    others, such as those of a related dataset, what lies in it counts (docs/decisions/0011-source.md). With `clouds`, of standardised features, rows
    stand for Gaussians, and CE is the bound of `nn.isda`.
    """
    target, (u, basis) = one_hot(y, head.linear.out_features).float(), reduced(head.standardise(z))
    if apart is not None and len(apart):
        calm = calmed((apart / head.sd) @ basis, 2 * weight / penalty)
        u, basis = u @ calm, basis @ calm
    fitted = minimum(u, target, w, penalty, log_prior, gains=None if clouds is None else gains_of(clouds, y, basis))
    with torch.no_grad():
        head.linear.weight.copy_(fitted[:-1].T @ basis.T)
        head.linear.bias.copy_(fitted[-1])
    return head


def choose_penalty(
    z: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    unit: Int[Tensor, " n"],
    w: Float[Tensor, " n"],
    log_prior: Float[Tensor, " k"] | None,
    classes: int,
    seed: int,
) -> float:
    """The one of `PENALTIES` with the least cross-entropy on held-out rows, averaged over classes; `z` is standardised.

    Folds are stratified and part no unit. Each fit starts from that of the next stronger penalty, and all happen in the span
    of the rows. Rows of a single unit cannot be held out: the strongest penalty then.
    """
    if len(unit.unique()) < 2:
        return max(PENALTIES)
    target, (u, _) = one_hot(y, classes).float(), reduced(z)
    even = 1 / torch.bincount(y, minlength=classes)[y]
    losses = torch.zeros(len(PENALTIES))
    for train, held in inner_folds(y, unit, FOLDS, seed):
        fitted = None
        for i, penalty in enumerate(PENALTIES):
            fitted = minimum(u[train], target[train], w[train], penalty, log_prior, fitted, steps=40)
            losses[i] += cross_entropy(affine(u[held], fitted), target[held], even[held]) * len(held)
    return PENALTIES[int(losses.argmin())]


def minimum(
    u: Float[Tensor, "n r"],
    target: Float[Tensor, "n k"],
    w: Float[Tensor, " n"],
    penalty: float,
    log_prior: Float[Tensor, " k"] | None,
    start: Float[Tensor, "s k"] | None = None,
    steps: int = 200,
    gains: Gains | None = None,
) -> Float[Tensor, "s k"]:
    """Weights and, in the last row, bias at the minimum, by L-BFGS (Liu and Nocedal 1989; SciPy's, which spends far less beside the
    arithmetic than that of torch where rows are few). `gains` of the weights are added to the logits (see `nn.isda.gains_of`).
    Raises `DataError` for features that are not finite."""
    rows, wanted, share = u.double().numpy(), target.double().numpy(), (w.double() / len(w)).numpy()[:, None]
    prior = 0.0 if log_prior is None else log_prior.double().numpy()
    shape = (rows.shape[1] + 1, wanted.shape[1])

    def loss(flat: Values) -> tuple[float, Values]:
        """Loss and gradient."""
        own = flat.reshape(shape)
        logits = rows @ own[:-1] + (own[-1] + prior)
        gained, back = gains(own[:-1]) if gains else (0.0, None)
        logits = logits + gained
        logits -= logits.max(1, keepdims=True)
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        error = share * (wanted.sum(1, keepdims=True) * np.exp(log_p) - wanted)
        slope = np.concatenate([rows.T @ error + penalty * own[:-1] + (back(error) if back else 0.0), error.sum(0, keepdims=True)])
        return float(penalty / 2 * (own[:-1] ** 2).sum() - (share * wanted * log_p).sum()), slope.ravel()

    begun = np.zeros(shape) if start is None else start.double().numpy()
    found = scipy.optimize.minimize(loss, begun.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": steps, "gtol": 1e-5, "ftol": 1e-9})
    if not np.isfinite(found.fun):
        raise DataError("features are not finite, so no linear head can be fitted to them", help="look at the backbone: its weights may be damaged")
    return torch.from_numpy(found.x.reshape(shape)).to(u.dtype)


def calmed(apart: Float[Tensor, "m r"], strength: float) -> Float[Tensor, "r r"]:
    """The map A with A^-T A^-1 = I + strength * mean of apart apart^T.

    For V = A^-1 W is ||V||^2 = ||W||^2 + strength * mean ||apart W||^2: a plain penalty on the weights V of features mapped by A is
    the penalty on W with the pairs' differences added. Features shrink along the directions in which pairs differ.
    """
    scatter = apart.double().T @ apart.double() / len(apart)
    lower = torch.linalg.cholesky(torch.eye(len(scatter), dtype=torch.float64) + strength * scatter)
    return torch.linalg.inv(lower).T.to(apart.dtype)


def affine(u: Float[Tensor, "n r"], fitted: Float[Tensor, "s k"]) -> Float[Tensor, "n k"]:
    return torch.addmm(fitted[-1], u, fitted[:-1])


def reduced(z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n r"], Float[Tensor, "d r"]]:
    """The rows in an orthonormal basis of their span, where a penalised optimum lies; the rows themselves where n >= d."""
    if len(z) >= z.shape[1]:
        return z, torch.eye(z.shape[1])
    basis, upper = torch.linalg.qr(z.T)
    return upper.T.contiguous(), basis
