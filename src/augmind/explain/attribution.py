"""What a model looks at: parts of a row are blanked out, one after the other, and the probability of the true class is watched.

Occlusion (arXiv:1311.2901) asks nothing of a model but its predictions, so every learner can be asked, those of feature space through the
codec.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import ceil
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.plugin import Learner
from augmind.core.types import Codec, Samples, Spec

SIDE = 7
"""A grid is cut into at most so many parts a side, a vector into at most the square of it."""
ROWS = 8
"""Rows that are looked into."""
TOGETHER = 8
"""Versions of every row that are judged together."""


def cannot(spec: Spec) -> str:
    """Why rows of this kind have no parts to blank out; empty if they have."""
    if spec.sides:
        return "rows that join several kinds are not looked into yet"
    if spec.kind != "continuous" or len(spec.shape) not in (1, 3):
        return f"{'tokens' if spec.kind == 'tokens' else 'values'} of rows like these have no parts with a fixed place that could be blanked out"
    return ""


def window(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The size of one part of a row."""
    if len(shape) == 1:
        return (ceil(shape[0] / SIDE**2),)
    return (shape[0], ceil(shape[1] / SIDE), ceil(shape[2] / SIDE))


def occlusion(judge: Callable[[Samples], Float[Tensor, "n k"]], rows: Samples, spec: Spec, blank: Float[Tensor, "1 ..."]) -> Float[Tensor, "n a b"]:
    """How much the probability of the true class falls, -1..1, when a part of a row is replaced by that part of `blank` (in model space).

    The map has a value a part: (n, height, width) in parts for grids, (n, 1, parts) for vectors. Above 0: the part spoke for the class.
    """
    from captum.attr import Occlusion

    size = window(spec.shape)

    def true(x: Tensor, y: Tensor) -> Tensor:
        stored = spec.to_store(x)
        blind = Samples.real(stored, y)
        return judge(blind).float().gather(1, y[:, None])[:, 0]

    found = Occlusion(true).attribute(
        spec.to_model(rows.x),
        sliding_window_shapes=size,
        strides=size,
        baselines=blank,
        additional_forward_args=(rows.y,),
        perturbations_per_eval=TOGETHER,
    )
    if len(size) == 1:
        return found[:, None, :: size[0]].contiguous()
    return found[:, 0, :: size[1], :: size[2]].contiguous()


def remembering(embed: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """`embed` that answers again for rows that it has seen: several models are shown the same ones."""
    known: dict[bytes, Tensor] = {}

    def answer(x: Tensor) -> Tensor:
        key = x.contiguous().numpy().tobytes()
        if key not in known:
            known[key] = embed(x)
        return known[key]

    return answer


def attribution(models: Mapping[str, Learner], rows: Samples, train: Samples, spec: Spec, codec: Codec) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The map of every row under every model, by arm, and what is told of them: the probability of the true class and how alike the maps are.

    `blank` is the mean of the training rows, place by place: what a part looks like when nothing is known of it.
    """
    blank = torch.stack([part.mean(0) * (len(part) / len(train)) for part in spec.to_model(train.x).split(256)]).sum(0)[None]
    embed, maps, p = remembering(codec.embed), {}, {}
    for arm, model in models.items():

        def judge(some: Samples, model: Learner = model) -> Tensor:
            return model.predict(some if model.space == "rows" else replace(some, z=embed(some.x)))

        maps[arm] = occlusion(judge, rows, spec, blank)
        p[arm] = judge(rows)
    told = [
        {"id": int(rows.key[i]), "class": spec.classes[int(rows.y[i])], "arms": [answer(arm, p[arm][i], int(rows.y[i]), spec) for arm in models]}
        for i in range(len(rows))
    ]
    return maps, {"rows": told, "window": list(window(spec.shape)), "shape": list(spec.shape), "alike": alike(list(maps.values()))}


def answer(arm: str, p: Float[Tensor, " k"], true: int, spec: Spec) -> dict[str, Any]:
    return {"arm": arm, "true": float(p[true]), "answer": spec.classes[int(p.argmax())], "p": float(p.max())}


def alike(maps: list[Float[Tensor, "n a b"]]) -> float | None:
    """The mean correlation of the first map of a row with the last; None where no row has two maps that vary."""
    found = [np.corrcoef(a.numpy(), b.numpy())[0, 1] for a, b in zip(maps[0].flatten(1), maps[-1].flatten(1), strict=True) if a.std() and b.std()]
    return float(np.mean(found)) if found else None
