"""Rows that are pairs of texts: two sides joined by U+001E (record separator), which no text that was read has in it."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

MARK = "\x1e"
"""Stands between the sides. `read.clean` takes it out of every cell, as all control characters."""
RELATED = 4
"""How many times as wide the features of a pair are as those of a text."""


def as_row(sides: Sequence[str]) -> str:
    """The sides as one row; a mark inside one becomes a space, so nothing but this joins sides."""
    return MARK.join(side.replace(MARK, " ") for side in sides)


def sides_of(row: str) -> list[str]:
    """Inverse of `as_row`: one text for a row that is no pair."""
    return row.split(MARK)


def at_one_side(row: str, rng: np.random.Generator, edit: Callable[[str], str]) -> str:
    """The row with one side, drawn at random, after `edit`, which sees nothing of the other; a side that it leaves empty stays as it was."""
    sides = sides_of(row)
    at = int(rng.integers(len(sides))) if len(sides) > 1 else 0
    sides[at] = edit(sides[at]) or sides[at]
    return as_row(sides)


def related(read: Callable[[list[str]], Float[Tensor, "m d"]], rows: Sequence[str], sides: int) -> Float[Tensor, "n w"]:
    """Features of rows by a reader of texts: its own, or for pairs (u, v, |u - v|, u * v) (Conneau et al. 2017, arXiv:1705.02364; arXiv:1908.10084).

    A row that lacks its second side is read as one with an empty one.
    """
    if sides == 1:
        return read(list(rows))
    first, second = [sides_of(row)[0] for row in rows], [" ".join(sides_of(row)[1:]) for row in rows]
    both = read([*first, *second])
    u, v = both[: len(rows)], both[len(rows) :]
    return torch.cat([u, v, (u - v).abs(), u * v], 1)
