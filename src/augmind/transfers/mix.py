"""Synthetic rows in every batch, beside the real ones: a fixed share from the first step to the last."""

from dataclasses import dataclass
from typing import ClassVar

from augmind.core.feed import Feed
from augmind.core.plugin import Learner, Transfer
from augmind.core.run import Run


@dataclass(kw_only=True)
class Mix(Transfer):
    """The feed does all of it."""

    kinds: ClassVar[frozenset[str]] = frozenset({"continuous", "tokens"})
    axes: ClassVar[tuple[int, ...]] = (1, 2, 3)

    def train(self, learner: Learner, feed: Feed, run: Run) -> Learner:
        return learner.fit(feed, run)
