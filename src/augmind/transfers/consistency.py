"""Consistency beside the labels: an example and its augmentation shall be judged alike (arXiv:1904.12848, arXiv:1610.02242)."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from augmind.core.errors import UsageError
from augmind.core.feed import Consistency as Term
from augmind.core.feed import Feed
from augmind.core.plugin import Learner, Transfer
from augmind.core.run import Run
from augmind.core.tune import tune


@dataclass(kw_only=True)
class Consistency(Transfer):
    """`mix` with the objective E[L(f(T(x)), y)] + weight * E[distance(f(T(x)), f(partner of x))], see `core.feed.Consistency`.

    The partner is a row before its transform, or the nearest synthetic row of its class. Without a transform and without
    synthetic rows there is nothing to compare, and this is `mix`. Raises `UsageError` for a learner that does not compare rows.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"continuous", "tokens"})
    axes: ClassVar[tuple[int, ...]] = (1, 2, 3)

    weight: float = tune(1.0, 0.1, 30.0, log=True)
    loss: Literal["kl", "mse"] = tune("kl", options=("kl", "mse"))
    ramp: float = tune(0.3, 0.0, 1.0)
    partner: Literal["transform", "synthetic"] = tune("transform", options=("transform", "synthetic"))

    @classmethod
    def suits(cls, learner: type[Learner]) -> bool:
        return learner.compares

    def idle(self, transformed: bool, synthetic: bool) -> bool:
        return not (transformed or (synthetic and self.partner == "synthetic"))

    def train(self, learner: Learner, feed: Feed, run: Run) -> Learner:
        if not self.suits(type(learner)):
            raise UsageError(f"learner '{learner.name()}' does not compare rows", help="use the transfer 'mix' with it")
        return learner.fit(replace(feed, consistency=Term(weight=self.weight, loss=self.loss, ramp=self.ramp, partner=self.partner)), run)
