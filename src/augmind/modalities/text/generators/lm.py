"""A pretrained language model shown a list of real rows of a class, which writes the next one (few-shot prompting, arXiv:2005.14165)."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from augmind.core.loop import Curves
from augmind.core.plugin import Generator
from augmind.core.run import Run
from augmind.core.tune import tune
from augmind.core.types import Data, Knowledge, Spec
from augmind.modalities.text.codec import TextCodec
from augmind.modalities.text.fewshot import WORDINGS, checked, draws, line_of, listed, marks, reworded, row_of, shown
from augmind.modalities.text.language import Language, language
from augmind.modalities.text.sides import as_row, sides_of
from augmind.nn.weights import content, needed

LONGEST = 96
"""Tokens of a row, or of a side of a pair, at most."""


@dataclass(kw_only=True)
class Lm(Generator):
    """Every class has `prompts` lists of `examples` of its rows, each drawn anew; the row's seed says which list it continues, and how.

    `model` is "smollm2" (`augmind models pull smollm2`), a folder or .gguf file, or a Hub id. `describe` says what classes mean where
    their names do not. Rows stand in a list, one a line, so nothing in them can be taken for an instruction of the program; what a
    list makes the model write is judged by the screens like all else. Rows are at most half as long again as most real ones. Pairs stand
    there with the names of their sides (`fewshot.line_of`); a line that is none of that form becomes a row without a second side.

    attributes  ways to write ("shorter", "as a tweet"; arXiv:2306.15895), of which the row's seed picks one; they stand in the prompt as they are
    paraphrase  a row is another wording, asked for in English, of the one real row of its class that its seed picks. `ngrams`, `novelty` and
                `duplicates` reject what comes too near to the original
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"tokens"})
    axes: ClassVar[tuple[int, ...]] = (1,)
    knowledge: ClassVar[Knowledge] = Knowledge.pretrained

    model: str = "smollm2"
    examples: int = tune(5, 1, 16)
    prompts: int = tune(6, 1, 64)
    temperature: float = tune(0.9, 0.1, 2.0)
    top_p: float = tune(0.95, 0.1, 1.0)
    attributes: list[str] = field(default_factory=list)
    paraphrase: bool = False
    describe: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self.name(), self.attributes)

    def ready(self) -> None:
        needed(self.model, "language model")

    def source(self) -> str:
        return content(needed(self.model, "language model"))

    def fit(self, data: Data, run: Run) -> "Lm":
        self.require(data.spec)
        self.spec_, self.curves_, own = data.spec, Curves(), self._language()
        texts, names = data.codec.decode(data.train.x), data.spec.parts
        sizes = own.length([line_of(t, names) for t in texts] if names else texts).double()
        self.longest_ = min(LONGEST * max(1, len(names)), int(1.5 * float(sizes.quantile(0.95))) + 4)
        self.lists_ = [
            self._lists(own, [t for t, k in zip(texts, data.train.y.tolist(), strict=True) if k == c], c, run) for c in range(data.classes)
        ]
        return self

    def _lists(self, own: Language, rows: list[str], c: int, run: Run) -> list[Tensor]:
        """The prompts of a class as token ids, each with each attribute."""
        meaning = self.describe.get(self.spec_.classes[c], self.spec_.classes[c])
        orders = [[j] for j in range(len(rows))] if self.paraphrase and rows else draws(len(rows), self.prompts, self.examples, c, run)
        cut = [as_row([own.cut(side, LONGEST) for side in sides_of(row)]) for row in rows]
        examples = [[cut[j] for j in order] for order in orders]
        return [self._fitting(own, self._asked(told, meaning, attribute)) for attribute in self.attributes or [""] for told in examples]

    def _asked(self, rows: list[str], meaning: str, attribute: str) -> Iterator[str]:
        """What the model may be asked for after these rows, with ever fewer examples."""
        names = self.spec_.parts
        if self.paraphrase and rows:
            return (reworded(rows[0], attribute, names, n) for n in range(len(WORDINGS), -1, -1))
        return (listed(rows[:n], meaning, attribute, names) for n in range(max(1, len(rows)), 0, -1))

    def _fitting(self, own: Language, asked: Iterator[str]) -> Tensor:
        """The first of these prompts that leaves room for a row, else the last."""
        ids = torch.empty(0, dtype=torch.long)
        for text in asked:
            if len(ids := own.tokens(text)) + self.longest_ <= own.room:
                break
        return ids

    def _language(self) -> Language:
        return language(self.model)

    def sample(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> UInt8[Tensor, "n length"]:
        own, begin = self._language(), "".join(marks(self.spec_.parts[:1]))
        lists = [self.lists_[k] for k in y.tolist()]
        prompts = [own_lists[shown(seed, len(own_lists))] for own_lists, seed in zip(lists, seeds.tolist(), strict=True)]
        told = {"longest": [self.longest_] * len(y), "temperature": self.temperature, "top_p": self.top_p}
        texts = [row_of(begin + text, self.spec_.parts) for text in own.lines(prompts, seeds.tolist(), **told)]
        return TextCodec(self.spec_).encode(texts)

    def state(self) -> dict[str, Tensor]:
        named = {f"{k}.{i}": ids for k, lists in enumerate(self.lists_) for i, ids in enumerate(lists)}
        return named | {"longest": torch.tensor(self.longest_)}

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Lm":
        self.require(spec)
        self.spec_, self.longest_ = spec, int(state["longest"])
        counts = Counter(int(name.partition(".")[0]) for name in state if name != "longest")
        self.lists_ = [[state[f"{k}.{i}"] for i in range(counts[k])] for k in range(len(spec.classes))]
        return self
