"""Words replaced by what a masked language model expects in their place (Kobayashi 2018, arXiv:1805.06201)."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from augmind.core.tune import tune
from augmind.modalities.text.words import words
from augmind.nn.transformer import opened

from ._rewriting import Rewriting

TOKENS = 256
"""Tokens of a text that are read; words beyond stay."""


@dataclass(kw_only=True)
class Masked(Rewriting):
    """`part` of the words, one at least, are masked together; each becomes one of the `top` words that the model finds likeliest, drawn by
    their probability, never the word itself. `model` is a masked language model of `transformers` with a fast tokenizer.

    The model does not know the label, so a word that carries it may become its opposite: what it gains is measured, not assumed.
    """

    part: float = tune(0.15, 0.02, 0.5)
    top: int = tune(20, 2, 100)

    def rewrite(self, text: str, seed: int) -> str:
        tokenizer, net = reader(self.model)
        read = tokenizer(text, return_offsets_mapping=True, truncation=True, max_length=TOKENS)
        spans = places(text, read.word_ids(), read["offset_mapping"])
        if not spans:
            return text
        rng = np.random.default_rng(seed)
        chosen = sorted(rng.choice(len(spans), max(1, round(self.part * len(spans))), replace=False).tolist())
        first, rest = {spans[at][2][0] for at in chosen}, {i for at in chosen for i in spans[at][2][1:]}
        ids = [tokenizer.mask_token_id if i in first else t for i, t in enumerate(read["input_ids"]) if i not in rest]
        with torch.inference_mode():
            logits = net(input_ids=torch.tensor([ids])).logits[0]
        holes = [i for i, t in enumerate(ids) if t == tokenizer.mask_token_id]
        for at, hole in reversed(list(zip(chosen, holes, strict=True))):
            start, end, _ = spans[at]
            text = text[:start] + self._word(tokenizer, logits[hole], text[start:end], rng) + text[end:]
        return text

    def _word(self, tokenizer: Any, logits: torch.Tensor, old: str, rng: np.random.Generator) -> str:
        """A likely word beside the old one, in its case; the old one where the model knows no other."""
        chance, order = logits.softmax(0).topk(min(4 * self.top, len(logits)))
        said = [tokenizer.decode([i]).strip() for i in order.tolist()]
        fit = [i for i, w in enumerate(said) if words(w) == [w] and w.lower() != old.lower()][: self.top]
        if not fit:
            return old
        p = chance[fit].double().numpy()
        new = said[fit[int(rng.choice(len(fit), p=p / p.sum()))]]
        return new.capitalize() if old[:1].isupper() else new


def places(text: str, word_ids: list[int | None], offsets: list[tuple[int, int]]) -> list[tuple[int, int, list[int]]]:
    """(start, end, tokens) of each word with letters among the tokens that were read; the tokens of a word stand side by side."""
    found: dict[int, list[int]] = {}
    for i, word in enumerate(word_ids):
        if word is not None:
            found.setdefault(word, []).append(i)
    out = []
    for tokens in found.values():
        start, end = offsets[tokens[0]][0], offsets[tokens[-1]][1]
        start += len(text[start:end]) - len(text[start:end].lstrip())
        if any(c.isalpha() for c in text[start:end]):
            out.append((start, end, tokens))
    return out


@cache
def reader(name: str) -> tuple[Any, Any]:
    """Tokenizer and network, opened once a process."""
    from transformers import AutoModelForMaskedLM

    return opened(name, AutoModelForMaskedLM, "masked language model")
