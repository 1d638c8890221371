"""Rows that a person should look at: unlike all others of their class, or probably labelled wrongly. Judged on features."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from augmind.core.folds import inner_folds
from augmind.core.seeds import stable_seed

from .neighbours import robust_z

NEAREST = 5
FEWEST = 8
"""Rows of a class below which neither outliers nor label errors in it can be told."""
LONELY = 4.0
"""Robust z of the mean distance to the nearest rows of the class from which a row is an outlier."""
WIDTH = 64
"""Principal components that rows are judged on."""
REPEATS, ENOUGH = 3, 1000
"""Cross-validations averaged up to `ENOUGH` rows; one beyond."""
STRENGTHS = (0.3, 1.0, 3.0, 10.0)
SURE = 4.0
"""How many times likelier than the given label the suggested one must be (10% flips in digits: precision .77 -> .89, recall .82 -> .79)."""


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """One row to look at. `score`: an outlier's robust z, or the probability of the given label (low: probably wrong)."""

    id: int
    source: str
    label: str
    score: float
    suggested: str = ""
    """The label that other rows suggest, for a likely label error."""


def outliers(z: Float[Tensor, "n d"], y: Int[Tensor, " n"], seed: int) -> list[tuple[int, float]]:
    """(position, robust z), worst first: rows whose mean distance to the five nearest of their class stands out in the class."""
    found: list[tuple[int, float]] = []
    z = principal(z, seed)
    for label in y.unique():
        rows = (y == label).nonzero()[:, 0]
        if len(rows) < FEWEST:
            continue
        scores = robust_z(nearest(z[rows]).clamp(min=1e-6).log())
        found += [(int(rows[i]), float(scores[i])) for i in (scores >= LONELY).nonzero()[:, 0].tolist()]
    return sorted(found, key=lambda row: (-row[1], row[0]))


def nearest(z: Float[Tensor, "n d"], block: int = 1024) -> Float[Tensor, " n"]:
    """Mean distance to the five nearest other rows (the row itself is its own nearest and is left out)."""
    parts = [torch.cdist(z[s : s + block], z).topk(NEAREST + 1, largest=False).values[:, 1:].mean(1) for s in range(0, len(z), block)]
    return torch.cat(parts)


def label_errors(z: Float[Tensor, "n d"], y: Int[Tensor, " n"], unit: Int[Tensor, " n"], seed: int) -> list[tuple[int, int, float]]:
    """(position, suggested class, probability of the given label), most suspicious first.

    Confident learning (arXiv:1911.00068) on cross-validated probabilities of a logistic regression; rows of one unit share a
    fold, so a copy cannot vouch for its twin. Classes of fewer than eight rows are not judged. Empty if under two are left.
    """
    from cleanlab.filter import find_label_issues

    counts = torch.bincount(y)
    judged = (counts[y] >= FEWEST).nonzero()[:, 0]
    names = y[judged].unique()
    if len(names) < 2:
        return []
    labels = torch.searchsorted(names, y[judged])
    p = probabilities(principal(z[judged], seed), labels, unit[judged], seed)
    ranked = find_label_issues(labels.numpy(), p.numpy(), return_indices_ranked_by="self_confidence", n_jobs=1)
    best = p.argmax(1)
    sure = [i for i in ranked.tolist() if float(p[i, best[i]]) > SURE * float(p[i, labels[i]])]
    return [(int(judged[i]), int(names[best[i]]), float(p[i, labels[i]])) for i in sure]


def principal(z: Float[Tensor, "n d"], seed: int) -> Float[Tensor, "n c"]:
    """Centred features on at most 64 principal components, of mean square length 1."""
    z = (z - z.mean(0)).double()
    if z.shape[1] > WIDTH:
        from sklearn.decomposition import PCA

        k = min(WIDTH, *z.shape)
        z = torch.from_numpy(PCA(k, svd_solver="randomized", random_state=stable_seed(seed, "components") % 2**32).fit_transform(z.numpy()))
    return (z / z.square().sum(1).mean().sqrt().clamp(min=1e-12)).float()


def probabilities(z: Float[Tensor, "n d"], y: Int[Tensor, " n"], unit: Int[Tensor, " n"], seed: int) -> Float[Tensor, "n k"]:
    """Class probabilities of every row from models that have not seen it; the regularisation is the one of least log loss."""
    tried = [crossed(z, y, unit, strength, seed, 0) for strength in STRENGTHS]
    loss = [-p.gather(1, y[:, None]).clamp(min=1e-9).log().mean() for p in tried]
    best = int(torch.stack(loss).argmin())
    more = range(1, REPEATS if len(y) <= ENOUGH else 1)
    return torch.stack([tried[best], *(crossed(z, y, unit, STRENGTHS[best], seed, r) for r in more)]).mean(0)


def crossed(z: Tensor, y: Tensor, unit: Tensor, strength: float, seed: int, repeat: int) -> Tensor:
    from sklearn.linear_model import LogisticRegression

    out = torch.zeros(len(y), int(y.max()) + 1)
    for train, val in inner_folds(y, unit, 5, stable_seed(seed, "label errors", repeat)):
        model = LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(z[train].numpy(), y[train].numpy())
        out[val[:, None], torch.from_numpy(model.classes_)] = torch.from_numpy(model.predict_proba(z[val].numpy())).float()
    return out
