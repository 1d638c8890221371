"""Which synthetic rows helped and which did harm: gradient similarity in the last layer.

A small step of gradient descent on one synthetic row changes the loss of a validation row by about minus the product of the two
gradients (TracIn, arXiv:2002.08484). For a linear head over features h the gradient is residual x (h, 1), so the product is
(residual . residual') (h . h' + 1): no pass through any network. The head is fitted to real rows alone, on the training part of each
inner split, and the loss is that of its validation part; test rows play no role.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from augmind.core.seeds import stable_seed
from augmind.core.types import Samples
from augmind.nn.heads import Head, choose_penalty, fit_head

SHOWN = 8
"""Rows that are told of each kind, the most helpful and the most harmful."""
REAL, MADE = 1500, 1000
"""Most real rows, and most synthetic rows of one generator, that are looked at."""
DRAWS = 500


def similarity(
    head: Head, z: Float[Tensor, "m d"], y: Int[Tensor, " m"], held: Float[Tensor, "v d"], held_y: Int[Tensor, " v"]
) -> Float[Tensor, "m v"]:
    """Products of the cross-entropy gradients of rows z and held-out rows in the weights and the bias of a head; above 0: helps."""

    def parts(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        h = head.standardise(z)
        return head.linear(h).softmax(1) - one_hot(y, head.linear.out_features), h

    with torch.no_grad():
        (r, h), (held_r, held_h) = parts(z, y), parts(held, held_y)
        return (r @ held_r.T) * (h @ held_h.T + 1)


def heads(rows: Samples, splits: Sequence[tuple[Tensor, Tensor]], classes: int, seed: int) -> list[Head]:
    """A head fitted to the training part of each split; the penalty is chosen once, on the rows of all of them."""
    assert rows.z is not None
    whole = Head.over(rows.z, classes)
    penalty = choose_penalty(whole.standardise(rows.z), rows.y, rows.units, torch.ones(len(rows)), None, classes, stable_seed(seed, "influence"))
    out = []
    for train, _ in splits:
        z, y = rows.z[train], rows.y[train]
        out.append(fit_head(Head.over(z, classes), z, y, torch.ones(len(y)), penalty).eval())
    return out


def influence(real: Samples, splits: Sequence[tuple[Tensor, Tensor]], made: Samples, classes: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """The products (m, v) of every synthetic row with every validation row of all splits, their weights (v,) and their units (v,).

    The weights add up to 1 and give every class the same part, as balanced accuracy does. Both sets carry their features.
    """
    assert real.z is not None and made.z is not None
    products = [
        similarity(head, made.z, made.y, real.z[val], real.y[val]) for head, (_, val) in zip(heads(real, splits, classes, seed), splits, strict=True)
    ]
    held = torch.cat([val for _, val in splits])
    y = real.y[held]
    weights = 1 / real.y[held].bincount(minlength=classes).double()[y]
    return torch.cat(products, 1).double(), weights / weights.sum(), real.units[held]


def interval(products: Float[Tensor, "m v"], weights: Float[Tensor, " v"], units: Int[Tensor, " v"], seed: int) -> tuple[float, float]:
    """A 95 % bootstrap interval of the mean over synthetic rows, which are drawn anew together with the units of the validation rows."""
    _, place = units.unique(return_inverse=True)
    count = int(place.max()) + 1
    sums = torch.zeros(len(products), count, dtype=products.dtype).index_add_(1, place, products * weights)
    mass = torch.zeros(count, dtype=products.dtype).index_add_(0, place, weights)
    draw = np.random.default_rng(seed)
    rows, held = (torch.from_numpy(draw.multinomial(n, np.full(n, 1 / n), DRAWS).astype(float)) for n in (len(products), count))
    means = ((rows / len(products)) @ sums * held).sum(1) / (held @ mass)
    low, high = np.quantile(means.numpy(), [0.025, 0.975]).tolist()
    return low, high


def influence_record(real: Samples, splits: Sequence[tuple[Tensor, Tensor]], made: Samples, classes: Sequence[str], seed: int) -> dict[str, Any]:
    """The most helpful and the most harmful synthetic rows, and what the rows of each generator do on average.

    Influences are told in units of the mean size of a synthetic row's: 1 is a row that pushes as hard as most, up helps.
    """
    products, weights, units = influence(real, splits, made, len(classes), seed)
    own = products @ weights
    size = float(own.abs().mean())
    if not size > 0:
        return {"why": "no synthetic row moves the validation loss"}
    order = own.argsort(descending=True, stable=True).tolist()

    def told(i: int) -> dict[str, Any]:
        name = made.makers[int(made.maker[i])]
        return {"generator": name, "seed": int(made.key[i]), "class": classes[int(made.y[i])], "influence": float(own[i]) / size}

    generators = []
    for g, name in enumerate(made.makers):
        mine = made.maker == g
        low, high = interval(products[mine], weights, units, stable_seed(seed, "influence", name))
        mean, helps = float(own[mine].mean()) / size, float((own[mine] > 0).double().mean())
        generators.append({"generator": name, "rows": int(mine.sum()), "mean": mean, "low": low / size, "high": high / size, "helps": helps})
    helpful = [told(i) for i in order[:SHOWN] if own[i] > 0]
    harmful = [told(i) for i in order[::-1][:SHOWN] if own[i] < 0]
    return {"rows": len(made), "held": len(weights), "generators": generators, "helpful": helpful, "harmful": harmful}
