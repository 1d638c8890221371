"""The operations of RandAugment and TrivialAugment (arXiv:1909.13719, arXiv:2103.10158), another one for every row of a batch."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from . import _photometry as tones
from ._geometry import affine

Operation = Callable[[Tensor, Tensor], Tensor]
GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
FURTHEST = {"rotate": math.radians(30), "shear_x": 0.3, "shear_y": 0.3, "translate_x": 2 * 0.3, "translate_y": 2 * 0.3}
"""Radians, slope, and the part of a side, of which there are two in -1..1."""
ENHANCE = {"colour": tones.colour, "contrast": tones.contrast, "brightness": tones.brightness, "sharpness": tones.sharpness}
NAMES = ("identity", *GEOMETRIC, *ENHANCE, "posterize", "solarize", "autocontrast", "equalize")


def perturb(x: Float[Tensor, "b c h w"], level: Float[Tensor, " b"], rng: Generator) -> Float[Tensor, "b c h w"]:
    """One operation drawn uniformly for each row, at `level` 0..1 of its strength, in model space; alpha keeps its tones."""
    which = torch.randint(len(NAMES), (len(x),), generator=rng)
    sign = torch.randint(0, 2, (len(x),), generator=rng) * 2.0 - 1
    return retone(move(x, which, level * sign), which, level, sign)


def move(x: Float[Tensor, "b c h w"], which: Int[Tensor, " b"], amount: Float[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
    """The geometric operations, all rows in one resampling."""
    rows = ((which >= 1) & (which <= len(GEOMETRIC))).nonzero()[:, 0]
    if len(rows) == 0:
        return x
    amount = amount[rows] * torch.tensor([FURTHEST[g] for g in GEOMETRIC])[which[rows] - 1]
    matrix = torch.eye(2, 3).repeat(len(rows), 1, 1)
    is_ = {name: which[rows] == NAMES.index(name) for name in GEOMETRIC}
    turn, ratio = torch.where(is_["rotate"], amount, 0.0), x.shape[2] / x.shape[3]
    matrix[:, 0, 0] = matrix[:, 1, 1] = turn.cos()
    matrix[:, 0, 1] = torch.where(is_["shear_x"], amount, -turn.sin()) * ratio
    matrix[:, 1, 0] = torch.where(is_["shear_y"], amount, turn.sin()) / ratio
    matrix[:, 0, 2] = torch.where(is_["translate_x"], amount, 0.0)
    matrix[:, 1, 2] = torch.where(is_["translate_y"], amount, 0.0)
    return x.index_copy(0, rows, affine(x[rows], matrix))


def retone(x: Float[Tensor, "b c h w"], which: Int[Tensor, " b"], level: Float[Tensor, " b"], sign: Float[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
    """The operations on colours and tones, the rows of each together."""
    x, colours = x.clone(), min(x.shape[1], 3)
    for index in which.unique().tolist():
        if index == 0 or index <= len(GEOMETRIC):
            continue
        rows = (which == index).nonzero()[:, 0]
        operation, amount = setting(NAMES[index], level[rows], sign[rows])
        x[rows, :colours] = operation((x[rows, :colours] + 1) / 2, amount) * 2 - 1
    return x


def setting(name: str, level: Float[Tensor, " b"], sign: Float[Tensor, " b"]) -> tuple[Operation, Tensor]:
    """The function of this name and the amounts that a level stands for."""
    if name in ENHANCE:
        return ENHANCE[name], 1 + 0.9 * level * sign
    if name == "posterize":
        return tones.posterize, 8 - 4 * level
    if name == "solarize":
        return tones.solarize, 1 - level
    return (tones.autocontrast if name == "autocontrast" else tones.equalize), level
