"""Whether a row repeats an e-mail address, card, telephone or network number of a training row."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.plugin import Screen
from augmind.core.run import Run
from augmind.core.types import Data, Samples
from augmind.modalities.text.personal import personal


@dataclass(kw_only=True)
class Leaks(Screen):
    """Scores are 0 or 1. Found by form alone (`text.personal`): names, and what is written in other ways, pass."""

    kinds: ClassVar[frozenset[str]] = frozenset({"tokens"})
    axes: ClassVar[tuple[int, ...]] = (1,)
    reason: ClassVar[str] = "repeats an address or number of a training row"
    calibrated: ClassVar[bool] = False

    def fit(self, data: Data, run: Run) -> "Leaks":
        self.require(data.spec)
        self.codec_ = data.codec
        self.known_ = {said for text in data.codec.decode(data.train.x) for said in personal(text)}
        return self

    def score(self, synthetic: Samples, kept: Samples | None = None) -> Float[Tensor, " n"]:
        return torch.tensor([float(self.known_.isdisjoint(personal(t))) for t in self.codec_.decode(synthetic.x)])

    @property
    def cut(self) -> float:
        return 0.5
