"""Label agreement: would classifiers that learnt from real rows give a synthetic row the label it claims?"""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from augmind.core.plugin import Screen
from augmind.core.run import Run
from augmind.core.tune import tune
from augmind.core.types import Data, Samples

from ._judges import Judges


@dataclass(kw_only=True)
class Agreement(Screen):
    """Cross-fitted logistic regression on all features (`Judges`): the score is the share of held-out real rows whose label is no more probable."""

    kinds: ClassVar[frozenset[str]] = frozenset({"continuous", "tokens"})
    reason: ClassVar[str] = "looks like another class"
    lost: float = tune(0.05, 0.05, 0.5, log=True)
    folds: int = 5

    @property
    def cut(self) -> float:
        return self.lost

    def fit(self, data: Data, run: Run) -> "Agreement":
        assert data.train.z is not None
        self.judges_ = Judges(self.folds).fit(data.train.z, data.train.y, data.train.units, data.classes, run.seed_for("agreement"))
        return self

    def taken_for(self, synthetic: Samples) -> Float[Tensor, "n k"]:
        """The class probabilities of each row under the judge of its label: a soft label that no test row and no source of the row had a say in."""
        assert synthetic.z is not None
        return self.judges_.probabilities(synthetic.z, synthetic.y)

    def score(self, synthetic: Samples, kept: Samples | None = None) -> Float[Tensor, " n"]:
        assert synthetic.z is not None
        return self.judges_.share(synthetic.z, synthetic.y)
