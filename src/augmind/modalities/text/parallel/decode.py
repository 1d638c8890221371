"""Translations out of a translator: the likeliest (greedy, or a beam) or drawn (Edunov et al. 2018, arXiv:1808.09381)."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from augmind.core.seeds import stream

from .translator import Translator
from .vocabulary import END, MOST, START, Vocabulary

BLOCK = 64
"""Texts that are translated side by side."""
PENALTY = 0.6
"""Power of the length by which the score of a beam is divided (arXiv:1609.08144)."""


def longest(text: Int[Tensor, "b s"]) -> int:
    """Tokens that a translation may have."""
    return min(MOST, 2 * text.shape[1] + 10)


@torch.no_grad()
def greedy(net: Translator, text: Int[Tensor, "b s"]) -> Int[Tensor, "b t"]:
    """The likeliest next token, one after the other."""
    return _written(net, text, lambda logits, t: logits.argmax(1))


@torch.no_grad()
def drawn(net: Translator, text: Int[Tensor, "b s"], seeds: Sequence[int], temperature: float) -> Int[Tensor, "b t"]:
    """Tokens drawn at a temperature; a row's seed gives one uniform number a token, so a row is a function of its text and seed."""
    chances = torch.stack([torch.rand(MOST, generator=stream("translation", seed)) for seed in seeds]).to(text.device)

    def pick(logits: Float[Tensor, "b v"], t: int) -> Int[Tensor, " b"]:
        below = (logits.double() / temperature).softmax(1).cumsum(1)
        return torch.searchsorted(below, (chances[:, t : t + 1].double() * below[:, -1:]).contiguous()).flatten().clamp(max=logits.shape[1] - 1)

    return _written(net, text, pick)


def _written(net: Translator, text: Tensor, pick: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Token after token, each picked from (logits, its place), until every row has ended."""
    memory, padding = net.read(text)
    out = text.new_full((len(text), 1), START)
    ended = torch.zeros(len(text), dtype=torch.bool, device=text.device)
    for t in range(longest(text)):
        token = pick(net.following(out, memory, padding), t).masked_fill(ended, END)
        out = torch.cat([out, token[:, None]], 1)
        ended |= token == END
        if bool(ended.all()):
            break
    return out[:, 1:]


@torch.no_grad()
def beam(net: Translator, text: Int[Tensor, "b s"], width: int) -> Int[Tensor, "b t"]:
    """The best of `width` translations that are kept in mind, by log-probability over length to the power `PENALTY`."""
    rows, most = len(text), longest(text)
    memory, padding = net.read(text)
    memory, padding = memory.repeat_interleave(width, 0), padding.repeat_interleave(width, 0)
    out = text.new_full((rows * width, 1), START)
    score = torch.full((rows, width), -torch.inf, device=text.device)
    score[:, 0] = 0.0
    ended = torch.zeros(rows, width, dtype=torch.bool, device=text.device)
    length = torch.zeros(rows, width, device=text.device)
    first = torch.arange(rows, device=text.device)[:, None] * width
    for _ in range(most):
        step = net.following(out, memory, padding).log_softmax(1).view(rows, width, -1)
        step[ended] = -torch.inf
        step[..., END] = step[..., END].masked_fill(ended, 0.0)
        tokens = step.shape[2]
        longer = length + (~ended).float()
        ranked = (score[..., None] + step) / longer.clamp(min=1)[..., None] ** PENALTY
        best = ranked.flatten(1).topk(width).indices
        parent, token = best // tokens, best % tokens
        score = (score[..., None] + step).flatten(1).gather(1, best)
        length, ended = longer.gather(1, parent), ended.gather(1, parent) | (token == END)
        out = torch.cat([out[(first + parent).flatten()], token.view(-1, 1)], 1)
        if bool(ended.all()):
            break
    return out.view(rows, width, -1)[:, 0, 1:]


def translated(
    net: Translator,
    vocabulary: Vocabulary,
    texts: Sequence[str],
    *,
    beams: int = 1,
    seeds: Sequence[int] | None = None,
    temperature: float = 1.0,
) -> list[str]:
    """A translation of each text: drawn where there are `seeds`, else the likeliest. Texts of a length are translated side by side."""
    ids = vocabulary.ids(texts)
    lengths = (ids != 0).sum(1)
    out, device = [""] * len(texts), net.vectors.weight.device
    for at in lengths.argsort(stable=True).split(BLOCK) if len(texts) else ():
        text = ids[at, : int(lengths[at].max())].to(device)
        if seeds is not None:
            found = drawn(net, text, [seeds[i] for i in at.tolist()], temperature)
        else:
            found = greedy(net, text) if beams == 1 else beam(net, text, beams)
        for i, said in zip(at.tolist(), vocabulary.texts(found.cpu()), strict=True):
            out[i] = said
    return out
