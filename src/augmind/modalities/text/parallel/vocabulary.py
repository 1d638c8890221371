"""A byte-level vocabulary of subwords that both languages share: any text can be written with it, and nothing is unknown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from augmind.core.store import atomic_write

PAD, START, END = 0, 1, 2
MOST = 128
"""Tokens of a text that are read; the rest is cut."""


class Vocabulary:
    """Byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909) over bytes, by the library `tokenizers`."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    @classmethod
    def learnt(cls, texts: Sequence[str], size: int) -> "Vocabulary":
        """At most `size` tokens, those of the 256 bytes and three signs always among them."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        known = Tokenizer(models.BPE())
        known.pre_tokenizer, known.decoder = pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        signs = ["<pad>", "<start>", "<end>"]
        trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, special_tokens=signs, initial_alphabet=alphabet, show_progress=False)
        known.train_from_iterator(texts, trainer)
        return cls(known)

    @classmethod
    def read(cls, path: Path) -> "Vocabulary":
        from tokenizers import Tokenizer

        return cls(Tokenizer.from_str(path.read_text("utf-8")))

    def write(self, path: Path) -> None:
        atomic_write(path, self.tokenizer.to_str().encode())

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    def ids(self, texts: Sequence[str]) -> Int[Tensor, "n length"]:
        """Tokens and the sign of the end, padded to the longest row."""
        found = [e.ids[: MOST - 1] for e in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]
        out = torch.full((len(found), max(map(len, found), default=0) + 1), PAD)
        for row, ids in zip(out, found, strict=True):
            row[: len(ids) + 1] = torch.tensor([*ids, END])
        return out

    def cut(self, texts: Sequence[str]) -> int:
        """How many of these have more tokens than are read."""
        return sum(len(e.ids) >= MOST for e in self.tokenizer.encode_batch(list(texts), add_special_tokens=False))

    def texts(self, ids: Int[Tensor, "n length"]) -> list[str]:
        """What the tokens before each row's end say."""
        rows = [row[: row.index(END)] if END in row else row for row in ids.tolist()]
        return [text.strip() for text in self.tokenizer.decode_batch([[i for i in row if i > END] for row in rows])]
