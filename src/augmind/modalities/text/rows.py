"""Stored rows of text: NFC text as UTF-8 bytes, padded with zeros; the two sides of a pair are one row (see `sides`)."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from .sides import MARK, sides_of


def rows_of(texts: Sequence[str], length: int) -> UInt8[Tensor, "n length"]:
    """Strings as padded bytes; what does not fit is cut at the end of a character, of a pair from the longer side."""
    out = np.zeros((len(texts), length), dtype=np.uint8)
    for row, text in zip(out, texts, strict=True):
        data = text.replace("\0", " ").encode()
        if len(data) > length:
            data = fitted(text, length)
        row[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    return torch.from_numpy(out)


def fitted(text: str, length: int) -> bytes:
    """The beginning of a text in at most so many bytes; of a pair those of both sides, of which the shorter has the first claim."""
    sides = [side.encode() for side in sides_of(text.replace("\0", " "))]
    room, kept = length - (len(sides) - 1) * len(MARK), list(sides)
    for done, i in enumerate(sorted(range(len(sides)), key=lambda i: len(sides[i]))):
        kept[i] = sides[i][: room // (len(sides) - done)].decode(errors="ignore").encode()
        room -= len(kept[i])
    return MARK.encode().join(kept)


def texts_of(x: UInt8[Tensor, "n length"]) -> list[str]:
    """Strings; bytes that are no UTF-8 become replacement characters."""
    return [row.tobytes().rstrip(b"\0").decode("utf-8", "replace") for row in x.cpu().numpy()]
