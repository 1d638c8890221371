"""Even counts: how many rows each cell of a table is owed."""

import torch
from jaxtyping import Int
from torch import Tensor


def evened(counts: Int[Tensor, " c"], total: int) -> Int[Tensor, " c"]:
    """`total` rows given to cells that hold `counts`, so that the fullest and the emptiest end as close as they can.

    Cells are filled as water fills a vessel: the lowest first, to a common level; what does not divide goes to the first of them.
    """
    level, given = counts.sort(stable=True), torch.zeros_like(counts)
    filled = level.values.cumsum(0)
    number = torch.arange(1, len(counts) + 1)
    reached = number * level.values - filled <= total
    k = int(reached.sum())
    if not k:
        return given
    height, rest = divmod(total + int(filled[k - 1]), k)
    lowest = level.indices[:k]
    given[lowest] = (height - counts[lowest]).clamp(min=0)
    given[lowest[:rest]] += 1
    return given
