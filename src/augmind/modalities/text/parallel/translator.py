"""A small encoder-decoder that learns to translate from pairs (Vaswani et al. 2017, arXiv:1706.03762)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from augmind.core.loop import Curves, cosine, descend
from augmind.core.run import Run
from augmind.core.seeds import seeded

from .vocabulary import MOST, PAD, START

Batches = Callable[[int], tuple[Tensor, Tensor]]
"""Step -> tokens of the texts (b, s) and of their translations (b, t), each row ended and padded."""
HEADS = 4
WARMUP = 50


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How large a translator is, and how it learns; `smoothing` is that of the labels (arXiv:1512.00567)."""

    width: int = 128
    depth: int = 2
    dropout: float = 0.1
    smoothing: float = 0.1
    rate: float = 2e-3


class Translator(nn.Module):
    """Pre-norm layers; one table of token vectors serves both languages and the output."""

    def __init__(self, tokens: int, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.vectors = nn.Embedding(tokens, shape.width, padding_idx=PAD)
        self.places = nn.Embedding(MOST + 1, shape.width)
        nn.init.normal_(self.vectors.weight, std=shape.width**-0.5)
        with torch.no_grad():
            self.places.weight.copy_(waves(MOST + 1, shape.width))
        how = {"nhead": HEADS, "dim_feedforward": 2 * shape.width, "dropout": shape.dropout, "batch_first": True, "norm_first": True}
        norms = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(shape.width, **how), shape.depth, norms[0], enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(shape.width, **how), shape.depth, norms[1])
        self.dropout = nn.Dropout(shape.dropout)
        for part in self.modules():
            if isinstance(part, nn.MultiheadAttention):
                part.dropout = 0.0  # what attention gives is thinned out behind it; thinning its weights costs a third of a step

    def embedded(self, ids: Int[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
        places = torch.arange(ids.shape[1], device=ids.device)
        return self.dropout(self.vectors(ids) * self.shape.width**0.5 + self.places(places))

    def read(self, text: Int[Tensor, "b s"]) -> tuple[Float[Tensor, "b s d"], Bool[Tensor, "b s"]]:
        """What the encoder makes of the texts, and where they are padding."""
        padding = text == PAD
        return self.encoder(self.embedded(text), src_key_padding_mask=padding), padding

    def states(self, so_far: Int[Tensor, "b t"], memory: Float[Tensor, "b s d"], padding: Bool[Tensor, "b s"]) -> Float[Tensor, "b t d"]:
        """What the decoder makes of the tokens so far, each without a look at later ones."""
        length = so_far.shape[1]
        later = torch.ones(length, length, dtype=torch.bool, device=so_far.device).triu(1)
        return self.decoder(self.embedded(so_far), memory, tgt_mask=later, tgt_is_causal=True, memory_key_padding_mask=padding)

    def logits(self, states: Float[Tensor, "*n d"]) -> Float[Tensor, "*n v"]:
        """Of the token that follows each state."""
        return F.linear(states, self.vectors.weight)

    def following(self, so_far: Int[Tensor, "b t"], memory: Float[Tensor, "b s d"], padding: Bool[Tensor, "b s"]) -> Float[Tensor, "b v"]:
        """Logits of the next token; those of the signs of padding and start are shut out."""
        logits = self.logits(self.states(so_far, memory, padding)[:, -1])
        return logits.index_fill(1, torch.tensor([PAD, START], device=logits.device), -torch.inf)

    def loss(self, text: Int[Tensor, "b s"], target: Int[Tensor, "b t"]) -> Float[Tensor, ""]:
        """Smoothed cross-entropy a token, teacher-forced."""
        begun, real = torch.cat([target.new_full((len(target), 1), START), target[:, :-1]], 1), target != PAD
        states = self.states(begun, *self.read(text))
        return F.cross_entropy(self.logits(states[real]), target[real], label_smoothing=self.shape.smoothing)


def waves(places: int, width: int) -> Float[Tensor, "n d"]:
    """Sines and cosines of falling frequency, by which places begin to be told apart (arXiv:1706.03762, 3.5)."""
    angle = torch.arange(places)[:, None] * 10_000 ** (-torch.arange(0, width, 2) / width)
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1)


def trained(tokens: int, shape: Shape, batches: Batches, steps: int, run: Run, seed: int) -> tuple[Translator, Curves]:
    """A translator after `steps` updates; its first weights are a function of `seed` and its shape."""
    with seeded(seed):
        net = Translator(tokens, shape).to(run.device)
    optimiser = torch.optim.AdamW(net.parameters(), lr=shape.rate, betas=(0.9, 0.98), weight_decay=0.01)

    def step(t: int) -> dict[str, Tensor]:
        loss = net.loss(*(part.to(run.device) for part in batches(t)))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        return {"loss": loss}

    warmup = min(WARMUP, max(1, steps // 5))
    curves = descend(step, {"net": net, "optimiser": optimiser}, steps=steps, run=run, name="translator", rate=lambda t: cosine(t, steps, warmup))
    return net.eval(), curves
