"""Stored rows of text: NFC text as UTF-8 bytes, padded with zeros."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor


def rows_of(texts: Sequence[str], length: int) -> UInt8[Tensor, "n length"]:
    """Strings as padded bytes; what does not fit is cut at the end of a character."""
    out = np.zeros((len(texts), length), dtype=np.uint8)
    for row, text in zip(out, texts, strict=True):
        data = text.replace("\0", " ").encode()
        if len(data) > length:
            data = data[:length].decode(errors="ignore").encode()
        row[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    return torch.from_numpy(out)


def texts_of(x: UInt8[Tensor, "n length"]) -> list[str]:
    """Strings; bytes that are no UTF-8 become replacement characters."""
    return [row.tobytes().rstrip(b"\0").decode("utf-8", "replace") for row in x.cpu().numpy()]
