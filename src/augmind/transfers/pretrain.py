"""Synthetic rows first, real rows after: the last word is the real data's."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from torch import Tensor

from augmind.core.errors import UsageError
from augmind.core.feed import Feed
from augmind.core.plugin import Learner, Transfer
from augmind.core.run import Run
from augmind.core.tune import tune


@runtime_checkable
class Continuing(Protocol):
    """A learner that trains for `steps` and can start from an earlier state."""

    steps: int

    def fit_from(self, state: dict[str, Tensor], feed: Feed, run: Run) -> Learner: ...


@dataclass(kw_only=True)
class Pretrain(Transfer):
    """`part` of the learner's steps on synthetic rows alone, the rest on real rows alone: as many steps as any other arm. A related dataset is
    learnt before and beside the synthetic rows.

    Raises `UsageError` for a learner that cannot start from an earlier state.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"continuous", "tokens"})
    axes: ClassVar[tuple[int, ...]] = (1, 2, 3)

    needs_synthetic: ClassVar[bool] = True

    part: float = tune(0.5, 0.1, 0.9)

    @classmethod
    def suits(cls, learner: type[Learner]) -> bool:
        return hasattr(learner, "fit_from")

    def train(self, learner: Learner, feed: Feed, run: Run) -> Learner:
        if feed.synthetic is None or not len(feed.synthetic):
            return learner.fit(feed, run)
        if not isinstance(learner, Continuing):
            raise UsageError(f"learner '{learner.name()}' is fitted at once and cannot be pretrained", help="use the transfer 'mix' with it")
        first = max(1, round(self.part * learner.steps))
        begun = dataclasses.replace(learner, steps=first)
        imagined = dataclasses.replace(feed, real=feed.synthetic, synthetic=None, views=None, named=None)
        apart = run.checkpoints / "pretrain" if run.checkpoints else None
        begun.fit(imagined, run.named(f"{run.label} on synthetic rows".strip(), seed=run.seed_for("pretrain"), checkpoints=apart))
        rest = dataclasses.replace(learner, steps=max(1, learner.steps - first))
        return rest.fit_from(begun.state(), dataclasses.replace(feed, synthetic=None, source=None, begun=None), run)
