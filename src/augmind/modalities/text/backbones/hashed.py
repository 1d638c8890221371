"""Features without weights: counts of words, pairs of words and pieces of words, hashed and projected at random.

Feature hashing (Weinberger et al. 2009, arXiv:0902.2206) into `BUCKETS` signed buckets, sublinear counts, then a sparse random projection
(Achlioptas 2003): cosines of rows stay about those of their counts. A pure function of the text in every process and on every machine.
"""

import re
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from augmind.modalities.text.words import UNSPACED, words

BUCKETS = 2**16
WIDTH = 512
SEED = 20_090


class Hashed:
    """Texts in, (n, `width`) features out."""

    width: int = WIDTH
    name: str = "hash"

    @cached_property
    def _count(self) -> Any:
        from sklearn.feature_extraction import FeatureHasher

        return FeatureHasher(n_features=BUCKETS, input_type="string", alternate_sign=True)

    @cached_property
    def _project(self) -> np.ndarray:
        rng = np.random.default_rng(SEED)
        return rng.integers(0, 2, (BUCKETS, WIDTH), dtype=np.int8) * np.int8(2) - np.int8(1)

    def __call__(self, texts: list[str]) -> Float[Tensor, "n d"]:
        counts = self._count.transform(grams(t) for t in texts)
        counts.data = np.sign(counts.data) * np.log1p(np.abs(counts.data))
        out = np.zeros((len(texts), WIDTH), dtype=np.float32)
        for i in range(len(texts)):
            part = slice(counts.indptr[i], counts.indptr[i + 1])
            if part.stop > part.start:
                row = counts.data[part].astype(np.float32) @ self._project[counts.indices[part]].astype(np.float32)
                out[i] = row / max(1e-6, float(np.linalg.norm(row)))
        return torch.from_numpy(out)


def grams(text: str) -> list[str]:
    """Words, pairs of neighbouring words, and pieces of three to five letters of each word, in lower case."""
    found = [w.lower() for w in words(text)]
    pairs = [f"{a} {b}" for a, b in pairwise(found)]
    parts = [f"<{w}>"[i : i + n] for w in found if not re.match(rf"[{UNSPACED}]", w) for n in (3, 4, 5) for i in range(len(w) + 3 - n)]
    return [f"w{w}" for w in found] + [f"b{p}" for p in pairs] + [f"c{p}" for p in parts]
