"""Rows as Gaussians, of which nothing is sampled: implicit semantic data augmentation (ISDA, arXiv:1909.12220)."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from augmind.core.errors import UsageError
from augmind.core.feed import Feed, Spread
from augmind.core.plugin import Learner, Transfer
from augmind.core.run import Run
from augmind.core.tune import tune


@dataclass(kw_only=True)
class Isda(Transfer):
    """`mix`, but the loss is the limit of infinitely many draws of the Gaussian of a class, bounded in closed form; see `core.feed.Spread`.

    It is the twin of the generator `feature`: the same means and covariances (`covariance`, with `strength` for `spread`), and no row drawn. With
    `around` "means" it stands in the place of the rows that `feature` would draw; with "rows" the draws are around every row, as published. What
    `feature` gains over this one it owes to the draws and the screens, not to what it knows. No synthetic rows are needed; those that there are
    stand for Gaussians too.
    Raises `UsageError` for a learner that cannot take rows for Gaussians.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"continuous", "tokens"})
    axes: ClassVar[tuple[int, ...]] = (1, 2, 3)

    strength: float = tune(0.5, 0.05, 5.0, log=True)
    covariance: Literal["shared", "calibrated"] = tune("shared", options=("shared", "calibrated"))
    around: Literal["rows", "means"] = tune("rows", options=("rows", "means"))

    @classmethod
    def suits(cls, learner: type[Learner]) -> bool:
        return learner.spreads

    def train(self, learner: Learner, feed: Feed, run: Run) -> Learner:
        if not self.suits(type(learner)):
            raise UsageError(f"learner '{learner.name()}' does not take rows for Gaussians", help="use the transfer 'mix' with it")
        return learner.fit(replace(feed, spread=Spread(strength=self.strength, covariance=self.covariance, around=self.around)), run)
