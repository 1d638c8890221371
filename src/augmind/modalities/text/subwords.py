"""A small vocabulary learnt from texts: the pieces that byte-pair encoding makes of them, and every byte, so that any text comes back whole."""

from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Int, UInt8
from torch import Tensor


class Subwords:
    """Texts to token ids and back. A text becomes as few of the pieces as can be; none crosses from one word to the next."""

    def __init__(self, pieces: list[str]) -> None:
        from tokenizers import models

        self.pieces = pieces
        self.own = tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], 0, False))

    @classmethod
    def learnt(cls, texts: list[str], size: int) -> "Subwords":
        """At most `size` pieces by byte-pair encoding (arXiv:1508.07909), of which those are kept that the texts are made of."""
        from tokenizers import models, pre_tokenizers, trainers

        alphabet, bpe = sorted(pre_tokenizers.ByteLevel.alphabet()), tokenizer(models.BPE())
        bpe.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, min_frequency=1, show_progress=False, initial_alphabet=alphabet))
        used = {piece for said in bpe.encode_batch(texts) for piece in said.tokens}
        return cls([*alphabet, *sorted(used.difference(alphabet))])

    def __len__(self) -> int:
        return len(self.pieces)

    def ids(self, texts: list[str]) -> list[list[int]]:
        return [said.ids for said in self.own.encode_batch(texts)]

    def texts(self, ids: list[list[int]]) -> list[str]:
        """Bytes that are no UTF-8 become replacement characters."""
        return [self.own.decode(own) for own in ids]

    def state(self) -> tuple[UInt8[Tensor, " b"], Int[Tensor, " p"]]:
        """All pieces one after the other as UTF-8, and where each ends."""
        told = [piece.encode() for piece in self.pieces]
        return torch.tensor(list(b"".join(told)), dtype=torch.uint8), torch.tensor([len(piece) for piece in told]).cumsum(0)

    @classmethod
    def of(cls, data: UInt8[Tensor, " b"], ends: Int[Tensor, " p"]) -> "Subwords":
        """The inverse of `state`."""
        told = bytes(data.tolist())
        return cls([told[a:b].decode() for a, b in pairwise([0, *ends.tolist()])])


def tokenizer(model: Any) -> Any:
    """A tokenizer that sees bytes, each spelled as a letter of its own."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers

    made = Tokenizer(model)
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return made
