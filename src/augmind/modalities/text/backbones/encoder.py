"""Sentence embeddings by a transformer encoder: mean over tokens, length one (Reimers and Gurevych 2019, arXiv:1908.10084)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.errors import MachineError, first_line
from augmind.nn.quiet import quiet
from augmind.nn.weights import needed

TOKENS = 256
"""Tokens of a text that are read, as all-MiniLM-L6-v2 was trained."""
BLOCK = 32


class Encoder:
    """Texts in, (n, width) features out. `name` as in `nn.weights`; safetensors alone are read, and no code of a model is run."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tokenizer, self.model = opened(name, str(needed(name, "backbone")))
        self.width = int(self.model.config.hidden_size)

    def __call__(self, texts: list[str]) -> Float[Tensor, "n d"]:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        out = torch.zeros(len(texts), self.width)
        for start in range(0, len(order), BLOCK):
            rows = order[start : start + BLOCK]
            tokens = self.tokenizer([texts[i] for i in rows], padding=True, truncation=True, max_length=TOKENS, return_tensors="pt")
            with torch.inference_mode():
                hidden = self.model(**tokens).last_hidden_state
            mask = tokens["attention_mask"][..., None].float()
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            out[rows] = torch.nn.functional.normalize(mean.float(), dim=1)
        return out


def opened(name: str, source: str) -> tuple[Any, Any]:
    """Tokenizer and model in eval mode. Raises `MachineError` where they cannot be opened."""
    from transformers import AutoModel, AutoTokenizer

    quiet()
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        model = AutoModel.from_pretrained(source, trust_remote_code=False, use_safetensors=True)
    except (OSError, ValueError) as error:
        text = f"backbone '{name}' is not on this machine, or is no encoder with safetensors: {first_line(error)}"
        raise MachineError(text, help="use the backbone 'hash', or fetch the model first", code="ENV-004") from error
    return tokenizer, model.eval().requires_grad_(False)
