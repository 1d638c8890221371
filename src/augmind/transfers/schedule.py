"""Synthetic rows in every batch, but more of them early or late: a curriculum (Bengio et al. 2009, doi:10.1145/1553374.1553380)."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from augmind.core.errors import UsageError
from augmind.core.feed import Feed
from augmind.core.feed import Schedule as Line
from augmind.core.plugin import Learner, Transfer
from augmind.core.run import Run
from augmind.core.tune import tune


@dataclass(kw_only=True)
class Schedule(Transfer):
    """`mix` whose synthetic share falls from twice its mean to none, or rises so, along a straight line; see `core.feed.Schedule`.

    Raises `UsageError` for a learner that is not trained by steps.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"continuous", "tokens"})
    axes: ClassVar[tuple[int, ...]] = (1, 2, 3)

    needs_synthetic: ClassVar[bool] = True

    course: Literal["falling", "rising"] = tune("falling", options=("falling", "rising"))

    @classmethod
    def suits(cls, learner: type[Learner]) -> bool:
        return learner.space == "rows" and "steps" in learner.__dataclass_fields__

    def train(self, learner: Learner, feed: Feed, run: Run) -> Learner:
        if not self.suits(type(learner)):
            raise UsageError(f"learner '{learner.name()}' is fitted at once and has no schedule", help="use the transfer 'mix' with it")
        return learner.fit(replace(feed, schedule=Line(course=self.course, steps=learner.settings()["steps"])), run)
