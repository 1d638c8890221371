"""Texts translated into another language and back (Sennrich et al. 2016, arXiv:1511.06709; as augmentation arXiv:1904.12848)."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from augmind.core.seeds import seeded
from augmind.core.tune import tune
from augmind.nn.transformer import opened

from ._rewriting import Rewriting

TOKENS = 256
"""Tokens of a text that are read."""


@dataclass(kw_only=True)
class Backtranslation(Rewriting):
    """`model` translates into another language, the likeliest way; `back` translates from there, each time another way, drawn from the
    likeliest tokens that together hold `top_p`. Both are encoder-decoders of `transformers`, such as Helsinki-NLP/opus-mt-en-de and -de-en."""

    back: str = ""
    top_p: float = tune(0.9, 0.1, 1.0)

    def models(self) -> dict[str, str]:
        return {"model": self.model, "back": self.back}

    def rewrite(self, text: str, seed: int) -> str:
        with seeded(seed):
            return translated(self.back, there(self.model, text), do_sample=True, top_p=self.top_p, top_k=0)


@cache
def translator(name: str) -> tuple[Any, Any]:
    """Tokenizer and network, opened once a process."""
    from transformers import AutoModelForSeq2SeqLM

    return opened(name, AutoModelForSeq2SeqLM, "translation model")


@cache
def there(name: str, text: str) -> str:
    """The likeliest translation."""
    return translated(name, text, do_sample=False)


def translated(name: str, text: str, **how: Any) -> str:
    tokenizer, net = translator(name)
    read = tokenizer(text, truncation=True, max_length=TOKENS, return_tensors="pt")
    most = 2 * read.input_ids.shape[1] + 10
    with torch.inference_mode():
        out = net.generate(input_ids=read.input_ids, attention_mask=read.attention_mask, num_beams=1, max_new_tokens=most, max_length=None, **how)
    return tokenizer.decode(out[0], skip_special_tokens=True)
