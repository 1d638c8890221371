"""Mix: is a synthetic row of a group that its class is still owed?"""

from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.even import evened
from augmind.core.plugin import Screen
from augmind.core.run import Run
from augmind.core.types import Data, Samples


@dataclass(kw_only=True)
class Mix(Screen):
    """Keeps the groups within every class in the proportion that evens out real and synthetic rows together.

    The groups of a class are owed what brings them to one level (`core.even`) when `ratio` synthetic rows for each real row of the
    class are added. The score is what a group is owed by now over what it would have with this row, at most 1, so at no moment is
    a group a whole row ahead of its proportion. A group that the generator does not reach stays short, and the others wait for
    it. Without groups every row passes.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"continuous", "tokens"})
    reason: ClassVar[str] = "its group has enough rows of its class"
    calibrated: ClassVar[bool] = False
    ratio: float = 1.0

    @property
    def cut(self) -> float:
        return 1.0

    def fit(self, data: Data, run: Run) -> "Mix":
        self.owed_: dict[tuple[int, int], float] = {}
        train = data.train
        if train.group is None:
            return self
        groups = train.group.unique()
        for k in range(data.classes):
            own = train.group[train.y == k]
            counts = (own[:, None] == groups).sum(0)
            total = max(1, round(self.ratio * len(own)))
            given = evened(counts, total)
            self.owed_ |= {(k, g): n / total for g, n in zip(groups.tolist(), given.tolist(), strict=True)}
        return self

    def score(self, synthetic: Samples, kept: Samples | None = None) -> Float[Tensor, " n"]:
        out = torch.ones(len(synthetic))
        if not self.owed_ or synthetic.group is None:
            return out
        taken: dict[tuple[int, int], int] = {}
        of_class: dict[int, int] = {}
        if kept is not None and kept.group is not None:
            for cell in zip(kept.y.tolist(), kept.group.tolist(), strict=True):
                taken[cell] = taken.get(cell, 0) + 1
                of_class[cell[0]] = of_class.get(cell[0], 0) + 1
        for i, cell in enumerate(zip(synthetic.y.tolist(), synthetic.group.tolist(), strict=True)):
            total, own = of_class.get(cell[0], 0) + 1, taken.get(cell, 0) + 1
            due = ceil(self.owed_.get(cell, 0.0) * total - 1e-9)
            out[i] = min(1.0, due / own)
            if due >= own:
                of_class[cell[0]], taken[cell] = total, own
        return out
