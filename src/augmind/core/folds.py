"""Stratified folds that part no unit: rows that belong together (near duplicates, one subject) always stand on one side."""

from collections import Counter

import torch
from jaxtyping import Int
from torch import Tensor

from .errors import DataError
from .seeds import stable_seed, stream


def inner_folds(y: Int[Tensor, " n"], unit: Int[Tensor, " n"], k: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """(training positions, validation positions) of `k` stratified folds that part no unit; for choices made on training rows.

    Fewer folds than `k` where there are fewer units. Where all rows are free to part, a class of two rows or more is in every
    training part. Larger units may take all rows of a class into one fold, even where the class could have been parted: it is then
    missing in the training part of that fold. Raises `DataError` if all rows are one unit.
    """
    k = min(k, len(unit.unique()))
    if k < 2:
        raise DataError("the training rows cannot be divided for making choices: they all belong together", help="add rows, or leave --group out")
    part = assign(y, unit, [1 / k] * k, stable_seed(seed, "inner", k))
    return [((part != fold).nonzero()[:, 0], (part == fold).nonzero()[:, 0]) for fold in range(k) if bool((part == fold).any())]


def assign(y: Int[Tensor, " n"], unit: Int[Tensor, " n"], shares: list[float], seed: int) -> Int[Tensor, " n"]:
    """A part for every row so that each part gets its share of every class; rows of one unit get one part.

    Units of several rows go first, largest first, to the part that lacks their classes most; single rows then even each
    class out. Without larger units a class deviates from its share by less than one row.
    """
    order = torch.randperm(len(y), generator=stream(seed)).tolist()
    labels, units = y.tolist(), unit.tolist()
    members: dict[int, list[int]] = {}
    for i in order:
        members.setdefault(units[i], []).append(i)
    total = Counter(labels)
    load: list[Counter[int]] = [Counter() for _ in shares]
    size = [0] * len(shares)
    part = [0] * len(labels)
    for rows in sorted(members.values(), key=lambda rows: (-len(rows), labels[rows[0]] if len(rows) == 1 else 0)):
        wanted, half = Counter(labels[i] for i in rows), len(rows) / 2
        fill = [sum((load[p][c] + n / 2) * n / total[c] for c, n in wanted.items()) / share for p, share in enumerate(shares)]
        best = min(range(len(shares)), key=lambda p: (round(fill[p], 9), (size[p] + half) / shares[p]))
        load[best].update(wanted)
        size[best] += len(rows)
        for i in rows:
            part[i] = best
    return torch.tensor(part, dtype=torch.long)
