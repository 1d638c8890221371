"""Sentence embeddings by a transformer encoder: mean over tokens, length one (Reimers and Gurevych 2019, arXiv:1908.10084)."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from augmind.modalities.text.rows import texts_of
from augmind.modalities.text.sides import RELATED, related
from augmind.nn.transformer import opened

TOKENS = 256
"""Tokens of a text that are read, as all-MiniLM-L6-v2 was trained."""
BLOCK = 32


class Encoder:
    """Texts in, (n, width) features out; `features` takes stored rows and can be trained through. `name` as in `nn.weights`; safetensors
    alone are read, and no code of a model is run. With two `sides`, stored rows are pairs, whose sides are read one by one."""

    def __init__(self, name: str, sides: int = 1) -> None:
        self.name, self.sides = name, sides
        from transformers import AutoModel

        self.tokenizer, self.module = opened(name, AutoModel, "backbone")
        self.hidden = int(self.module.config.hidden_size)
        self.width = self.hidden * (RELATED if sides > 1 else 1)

    def __call__(self, texts: list[str]) -> Float[Tensor, "n d"]:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        out = torch.zeros(len(texts), self.hidden)
        for start in range(0, len(order), BLOCK):
            rows = order[start : start + BLOCK]
            with torch.inference_mode():
                out[rows] = self._read([texts[i] for i in rows])
        return out

    def features(self, x: UInt8[Tensor, "n length"]) -> Float[Tensor, "n d"]:
        """Differentiable features of stored rows, in the network's present mode."""
        return related(self._read, texts_of(x), self.sides)

    def _read(self, texts: list[str]) -> Float[Tensor, "n d"]:
        tokens = self.tokenizer(texts, padding=True, truncation=True, max_length=TOKENS, return_tensors="pt").to(self.module.device)
        hidden = self.module(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None].float()
        mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
        return nn.functional.normalize(mean.float(), dim=1)
