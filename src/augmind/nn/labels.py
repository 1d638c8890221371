"""What a network knows of a class, for rows of one class and for rows between several."""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn


def of_class(table: Float[Tensor, "m ..."], y: Shaped[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
    """Rows of a table for labels (b,); for mixtures of classes (b, k) the means of its first k rows, weighted so."""
    return torch.tensordot(y.to(table.dtype), table[: y.shape[1]], 1) if y.is_floating_point() else table[y]


class Labels(nn.Embedding):
    """An embedding of classes that takes mixtures of them, too."""

    def forward(self, input: Int[Tensor, " b"] | Float[Tensor, "b k"]) -> Float[Tensor, "b d"]:
        return of_class(self.weight, input) if input.is_floating_point() else super().forward(input)
