"""EDA's swap and deletion (Wei and Zou 2019, arXiv:1901.11196) of whole Chinese words instead of characters."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from jaxtyping import Float, UInt8
from torch import Tensor

from augmind.core.errors import UsageError
from augmind.core.plugin import Transform
from augmind.core.store import digest
from augmind.core.tune import tune
from augmind.modalities.text.nearby import checked, nearby
from augmind.modalities.text.segments import needed, segments
from augmind.modalities.text.vectors import content_of

from ._edits import Edit, by_words, deleted, edited, replaced, swapped


@dataclass(kw_only=True)
class Segmented(Transform):
    """Of `part` of the words (one at least) two change places, or they are left out. `by` names what tells words: "jieba".

    With `vectors`, a file of word vectors in the text format of word2vec or GloVe, words are also replaced by near ones (`nearby`).
    Texts without Chinese are edited by their own words. `content` is a hash of the name and version of what tells words, and of that file.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"tokens"})
    axes: ClassVar[tuple[int, ...]] = (1,)
    needs: ClassVar[str] = "by"

    by: str = ""
    vectors: str = ""
    part: float = tune(0.1, 0.02, 0.5)
    content: str = ""

    def ready(self) -> None:
        if self.by != "jieba":
            said = f"'{self.by}' tells no words" if self.by else "nothing is named that tells words"
            raise UsageError(f"'{self.name()}': {said}", help="add --set segmented.by=jieba")
        needed()
        if self.vectors:
            checked(self.vectors)

    def source(self) -> str:
        return digest(needed(), *([content_of(self.vectors)] if self.vectors else []))

    def apply(self, x: UInt8[Tensor, "b length"], y: Float[Tensor, "b k"], seed: int) -> tuple[Tensor, Tensor]:
        edits: tuple[Edit, ...] = (swapped, deleted)
        if self.vectors:
            edits += (partial(replaced, near=nearby(self.vectors)),)
        return edited(x, seed, "segmented", lambda text, rng: by_words(text, rng, edits, self.part, segments)), y
