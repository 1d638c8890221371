"""Attention whose slope has a bound, for critics and for generators that share blocks with them. Shapes: `B` batch, `T` tokens, `D` width."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from .critics import bounded_slope

HEAD = 16
"""Width of a head."""


class Attention(nn.Module):
    """Self-attention by distance: token i sees token j by softmax_j(-|q_i - q_j|^2 / sqrt(HEAD)).

    Queries are keys, without which the map from tokens to tokens has no Lipschitz constant (arXiv:2006.04710, as in arXiv:2107.04589).
    """

    def __init__(self, width: int, spectral: bool = False) -> None:
        super().__init__()
        self.heads = width // HEAD
        self.query, self.value, self.out = (bounded_slope(nn.Linear(width, width), spectral) for _ in range(3))

    def forward(self, h: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        q, v = (f(h).unflatten(2, (self.heads, HEAD)).transpose(1, 2) for f in (self.query, self.value))
        near = (2 * q @ q.mT - q.square().sum(3)[:, :, None]) / HEAD**0.5  # |q_i|^2 is the same for every j
        return self.out((near.softmax(3) @ v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and a layer of its own for every token, each added to its input; who calls brings the normalisations before them."""

    def __init__(self, width: int, spectral: bool = False) -> None:
        super().__init__()
        self.attention = Attention(width, spectral)
        self.wide, self.narrow = (bounded_slope(nn.Linear(a, b), spectral) for a, b in ((width, 4 * width), (4 * width, width)))

    def forward(self, h: Float[Tensor, "B T D"], first: nn.Module, second: nn.Module, *by: Tensor) -> Float[Tensor, "B T D"]:
        h = h + self.attention(first(h, *by))
        return h + self.narrow(leaky_relu(self.wide(second(h, *by)), 0.2))


class Modulated(nn.Module):
    """Layer normalisation whose gain and bias come from a vector a row (arXiv:2107.04589); starts as the plain one."""

    def __init__(self, width: int, style: int) -> None:
        super().__init__()
        self.norm, self.affine = nn.LayerNorm(width, elementwise_affine=False), nn.Linear(style, 2 * width)
        nn.init.zeros_(self.affine.weight)
        nn.init.zeros_(self.affine.bias)

    def forward(self, h: Float[Tensor, "B T D"], style: Float[Tensor, "B S"]) -> Float[Tensor, "B T D"]:
        gain, bias = self.affine(style)[:, None].chunk(2, 2)
        return torch.addcmul(bias, self.norm(h), 1 + gain)
