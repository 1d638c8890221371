"""Transforms that have a model rewrite a text, or one side of a pair: every text has a few rewritings, each made once a process."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from augmind.core.errors import UsageError
from augmind.core.plugin import Transform
from augmind.core.seeds import stable_seed
from augmind.core.store import digest
from augmind.core.tune import tune
from augmind.modalities.text.rows import rows_of, texts_of
from augmind.modalities.text.sides import at_one_side
from augmind.nn.weights import content, needed

MOST = 200_000
"""Rewritings that are remembered."""
_made: dict[tuple[str, str, int], str] = {}


@dataclass(kw_only=True)
class Rewriting(Transform):
    """`model` is a folder or a Hub id; `variants` rewritings of a text are drawn from; `content` is a hash of the models' files."""

    kinds: ClassVar[frozenset[str]] = frozenset({"tokens"})
    axes: ClassVar[tuple[int, ...]] = (1,)
    needs: ClassVar[str] = "model"

    model: str = ""
    variants: int = tune(8, 1, 64)
    content: str = ""

    @abstractmethod
    def rewrite(self, text: str, seed: int) -> str:
        """One rewriting of a text that is not empty, a function of the arguments."""

    def models(self) -> dict[str, str]:
        """The models that are read: setting -> name."""
        return {"model": self.model}

    def ready(self) -> None:
        for setting, name in self.models().items():
            if not name:
                raise UsageError(
                    f"'{self.name()}' needs a model, and none is named", help=f"add --set {self.name()}.{setting}=FOLDER, or the id of one on the Hub"
                )
            needed(name, f"model of '{self.name()}'")

    def source(self) -> str:
        return digest([content(needed(name, f"model of '{self.name()}'")) for name in self.models().values()])

    def apply(self, x: UInt8[Tensor, "b length"], y: Float[Tensor, "b k"], seed: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng(stable_seed(self.name(), seed))
        picks = rng.integers(self.variants, size=len(x)).tolist()
        own = digest(self.name(), self.settings())
        rows = [at_one_side(row, rng, lambda text, k=k: self._made(own, text, k)) for row, k in zip(texts_of(x), picks, strict=True)]
        return rows_of(rows, x.shape[1]), y

    def _made(self, own: str, text: str, k: int) -> str:
        """Rewriting k of a text; the text itself where nothing comes of it. `own` stands for this transform and its settings."""
        key = (own, text, k)
        if key not in _made:
            if len(_made) >= MOST:
                _made.clear()
            _made[key] = (self.rewrite(text, stable_seed(self.name(), text, k)).strip() if text.strip() else "") or text
        return _made[key]
