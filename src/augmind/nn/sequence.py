"""A small conditional variational autoencoder of token sequences: transformer encoder, Gaussian latent, transformer decoder (arXiv:1706.03762).

Tokens are 0..size-1; `end` closes a sequence, `blank` pads it and stands in the decoder for tokens that it is not shown.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, gelu, scaled_dot_product_attention

from .labels import Labels

HEADS = 4
DEPTH = 2
"""Blocks of the encoder, and of the decoder."""
Past = dict[str, Tensor]
"""Keys and values of the places that a block has read."""


class Block(nn.Module):
    """Self-attention and a layer of its own for every place, normalised before (arXiv:2002.04745)."""

    def __init__(self, width: int, drop: float) -> None:
        super().__init__()
        self.drop = drop
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2)])
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "b t w"], seen: Bool[Tensor, "b t"] | None = None, past: Past | None = None) -> Float[Tensor, "b t w"]:
        """Every place looks at those that are `seen`, or, without it, at itself and what is before it, `past` included, which grows."""
        q, k, v = self.qkv(self.norms[0](x)).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        if past:
            k, v = torch.cat([past["k"], k], 2), torch.cat([past["v"], v], 2)
        if past is not None:
            past |= {"k": k, "v": v}
        mask = None if seen is None else seen[:, None, None]
        found = scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=seen is None and q.shape[2] > 1)
        x = x + dropout(self.out(found.transpose(1, 2).flatten(2)), self.drop, self.training)
        return x + dropout(self.narrow(gelu(self.wide(self.norms[1](x)))), self.drop, self.training)


class SequenceVae(nn.Module):
    """q(z | tokens, y) and p(tokens | z, y). The latent and the class stand before the first token and are added to every one (arXiv:2004.04092)."""

    def __init__(self, size: int, longest: int, classes: int, width: int, latent: int, drop: float) -> None:
        super().__init__()
        self.end, self.blank, self.longest, self.drop = size, size + 1, longest, drop
        self.tokens, self.places = nn.Embedding(size + 2, width), nn.Embedding(longest + 2, width)
        self.asked, self.label = nn.Embedding(classes, width), Labels(classes, width)
        for table in (self.tokens, self.places, self.asked, self.label):
            nn.init.normal_(table.weight, std=0.1)
        self.encoder = nn.ModuleList([Block(width, drop) for _ in range(DEPTH)])
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * latent))
        self.memory = nn.Linear(latent, width)
        self.decoder = nn.ModuleList([Block(width, drop) for _ in range(DEPTH)])
        self.norm, self.bias = nn.LayerNorm(width), nn.Parameter(torch.zeros(size + 1))

    def posterior(self, tokens: Int[Tensor, "b t"], y: Int[Tensor, " b"]) -> tuple[Float[Tensor, "b l"], Float[Tensor, "b l"]]:
        """Mean and log-variance of z, read at a place of the class before the tokens."""
        h = torch.cat([self.asked(y)[:, None], self.tokens(tokens)], 1)
        h = dropout(h + self.places.weight[: h.shape[1]], self.drop, self.training)
        seen = torch.cat([torch.ones_like(y, dtype=torch.bool)[:, None], tokens != self.blank], 1)
        for block in self.encoder:
            h = block(h, seen)
        mean, log_variance = self.head(h[:, 0]).float().chunk(2, 1)
        return mean, log_variance.clamp(-12, 6)

    def forward(self, z: Float[Tensor, "b l"], y: Int[Tensor, " b"], tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b t s"]:
        """Logits of every token and the end, from z, the class and the tokens before."""
        return self._logits(self._read(z, y, tokens))

    def nll(self, z: Float[Tensor, "b l"], y: Int[Tensor, " b"], tokens: Int[Tensor, "b t"], hidden: float) -> Float[Tensor, ""]:
        """Nats a sequence, where the decoder is not shown a part `hidden` of the tokens before (word dropout, arXiv:1511.06349)."""
        hide = torch.rand(tokens.shape).to(tokens.device) < hidden
        told = tokens != self.blank
        h = self._read(z, y, tokens.masked_fill(hide, self.blank))
        return cross_entropy(self._logits(h[told]).float(), tokens[told], reduction="sum") / len(tokens)

    def write(
        self, z: Float[Tensor, "b l"], y: Int[Tensor, " b"] | Float[Tensor, "b k"], choose: Callable[[Tensor, int], Tensor]
    ) -> Int[Tensor, "b longest"]:
        """Tokens one after the other, by `choose(logits, place)`; a sequence is filled up with its end."""
        past: list[Past | None] = [{} for _ in range(DEPTH)]
        before, h, going = self._before(z, y), self._before(z, y), torch.ones(len(y), dtype=torch.bool, device=z.device)
        out, at = torch.full((len(y), self.longest), self.end, device=z.device), 0
        for t in range(self.longest):
            logits = self._logits(self._decoded(h, at, past)[:, -1])
            out[:, t] = torch.where(going, choose(logits, t), self.end)
            going &= out[:, t] != self.end
            if not going.any():
                break
            at += h.shape[1]
            h = self.tokens(out[:, t : t + 1]) + before.sum(1, keepdim=True)
        return out

    def _before(self, z: Float[Tensor, "b l"], y: Int[Tensor, " b"] | Float[Tensor, "b k"]) -> Float[Tensor, "b 2 w"]:
        return torch.stack([self.label(y), self.memory(z)], 1)

    def _read(self, z: Float[Tensor, "b l"], y: Int[Tensor, " b"], tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b t w"]:
        """What the decoder makes of z, the class and the tokens before each token."""
        before = self._before(z, y)
        h = torch.cat([before, self.tokens(tokens[:, :-1]) + before.sum(1, keepdim=True)], 1)
        return self._decoded(h, 0, [None] * DEPTH)[:, 1:]

    def _decoded(self, h: Float[Tensor, "b t w"], at: int, past: list[Past | None]) -> Float[Tensor, "b t w"]:
        h = dropout(h + self.places.weight[at : at + h.shape[1]], self.drop, self.training)
        for block, own in zip(self.decoder, past, strict=True):
            h = block(h, past=own)
        return self.norm(h)

    def _logits(self, h: Float[Tensor, "*n w"]) -> Float[Tensor, "*n s"]:
        return h @ self.tokens.weight[:-1].T + self.bias
