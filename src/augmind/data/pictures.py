"""Rows that are pictures: decoded in processes of their own, all brought to one grid."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from augmind.core.decoding import CannotRead
from augmind.modalities.image.decode import Grid, Picture, choose_grid, from_array
from augmind.modalities.image.workers import Pool

from .sources import Entry


def pictures(entries: Sequence[Entry], size: int | tuple[int, int] | None) -> list[Picture | CannotRead | None]:
    """One answer an entry, None where it is not to be decoded; all pictures on one grid.

    Headers come first, and full-size pixels exist only inside the workers, one picture at a time.
    """
    wanted = [i for i, e in enumerate(entries) if e.status == "ok"]
    answers: list[Picture | CannotRead | None] = [None] * len(entries)
    given = choose_grid([], size) if size is not None else None
    for i, answer in zip(wanted, answered([entries[i] for i in wanted], given), strict=True):
        answers[i] = answer
    sizes = [(a.facts["height"], a.facts["width"]) for a in answers if isinstance(a, Picture)]
    if not sizes:
        return answers
    grid = choose_grid(sizes, size)
    again = [i for i, a in enumerate(answers) if isinstance(a, Picture) and a.grid != grid]
    for i, answer in zip(again, answered([entries[i] for i in again], grid), strict=True):
        answers[i] = answer
    return answers


def answered(entries: Sequence[Entry], grid: Grid | None) -> Iterator[Picture | CannotRead]:
    if entries and isinstance(entries[0].content, np.ndarray):
        yield from (from_array(e.content, grid) for e in entries)
    elif entries:
        yield from Pool().read((e.content() if callable(e.content) else e.content for e in entries), grid)  # type: ignore[misc]


def tensor(found: Sequence[Picture]) -> Tensor:
    """uint8 (n, channels, height, width), with as many channels as the richest picture needs."""
    assert found[0].grid is not None
    channels = max(p.channels for p in found)
    x = np.full((len(found), channels, *found[0].grid), 255, dtype=np.uint8)
    for row, picture in zip(x, found, strict=True):
        values = np.frombuffer(picture.pixels, dtype=np.uint8).reshape(*row.shape[1:], picture.channels).transpose(2, 0, 1)
        colours = min(channels, 3)
        row[:colours] = values[:colours] if picture.channels > 1 else values
        if picture.channels == 4:
            row[3] = values[3]
    return torch.from_numpy(x)
