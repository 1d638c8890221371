"""A causal language model that continues prompts: the prompt is read once, rows that are finished leave the batch."""

from collections.abc import Sequence
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from augmind.core.errors import MachineError, UsageError, first_line
from augmind.core.seeds import stream
from augmind.nn.quiet import quiet
from augmind.nn.weights import needed

LEAST_ROOM = 1024
"""Tokens that a model reads at once which does not say how many."""
MOST_LOGITS = 2**26
"""Logits of lines that are held at once: 256 MB."""
TOGETHER = 32
"""Continuations of one prompt that are written side by side."""


class Language:
    """A model of `transformers` in float32 with its tokenizer, for inference alone. No code of it is run.

    `memory` is what the model calls keys and values of what it has read: "cache" since transformers 5.24, "past_key_values" before.
    """

    def __init__(self, name: str) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        quiet()
        source = needed(name, "language model")
        given: dict[str, Any] = {"trust_remote_code": False}
        if source.suffix == ".gguf":
            source, given = source.parent, {**given, "gguf_file": source.name}
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(source, **given)
            self.model: Any = AutoModelForCausalLM.from_pretrained(
                source, dtype=torch.float32, use_safetensors=None if "gguf_file" in given else True, **given
            )
        except ImportError as error:
            raise MachineError(f"language model '{name}' cannot be read: {first_line(error)}", help="pip install gguf", code="ENV-004") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            text = f"'{name}' is no language model with safetensors: {first_line(error)}"
            raise UsageError(text, help="give a folder, a .gguf file or a Hub id of a causal language model") from error
        self.model.eval().requires_grad_(False)
        self.memory = "cache" if "cache" in signature(self.model.forward).parameters else "past_key_values"
        pieces = self.tokenizer.batch_decode([[i] for i in range(len(self.tokenizer))])
        told = self.model.config.eos_token_id
        ends = {self.tokenizer.eos_token_id, *(told if isinstance(told, list) else [told])}
        self.room = int(getattr(self.model.config, "max_position_embeddings", None) or LEAST_ROOM)
        self.stops = torch.tensor(["\n" in piece or i in ends for i, piece in enumerate(pieces)])

    def tokens(self, text: str) -> Int[Tensor, " t"]:
        return self.tokenizer(text, return_tensors="pt").input_ids[0]

    def cut(self, text: str, most: int) -> str:
        """The beginning of a text of at most so many tokens."""
        ids = self.tokenizer(text, add_special_tokens=False).input_ids
        return text if len(ids) <= most else self.tokenizer.decode(ids[:most])

    def length(self, texts: list[str]) -> Int[Tensor, " n"]:
        """Tokens of each text."""
        return torch.tensor([len(ids) for ids in self.tokenizer(texts, add_special_tokens=False).input_ids])

    @torch.inference_mode()
    def lines(self, prompt: Int[Tensor, " t"], seeds: list[int], *, longest: int, temperature: float, top_p: float) -> list[str]:
        """For each seed what comes after the prompt up to the end of the line; row i is a function of the prompt and `seeds[i]` alone."""
        first = self.model(prompt[None], use_cache=True, logits_to_keep=1)
        out = []
        for start in range(0, len(seeds), TOGETHER):
            own = seeds[start : start + TOGETHER]
            chance = torch.stack([torch.rand(longest, generator=stream(s, "token")) for s in own])
            out += self._written(first, prompt, chance, temperature, top_p)
        return [self.tokenizer.decode(ids, skip_special_tokens=True).partition("\n")[0].strip() for ids in out]

    @torch.inference_mode()
    def chances(self, prompt: Int[Tensor, " t"], lines: Sequence[str], longest: int) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
        """Log probability of each line after the prompt, its end included, and its tokens; of a long one the first `longest` tokens count, or
        as many as the model has room for. Raises `UsageError` where the prompt leaves none."""
        if (longest := min(longest, self.room - len(prompt))) < 1:
            text = f"a model that reads {self.room} tokens at once has no room for a row after a prompt of {len(prompt)}"
            raise UsageError(text, help="name a model that reads more, or show it fewer examples")
        ids = [self.tokenizer(f" {line}\n", add_special_tokens=False).input_ids[:longest] for line in lines]
        sizes = torch.tensor([len(own) for own in ids], dtype=torch.long)
        total, first = torch.zeros(len(ids)), self.model(prompt[None], use_cache=True, logits_to_keep=1)
        order = sizes.argsort(stable=True)
        for rows in order.split(max(1, min(TOGETHER, MOST_LOGITS // (max(1, int(sizes.max())) * len(self.stops))))) if len(ids) else ():
            width = int(sizes[rows].max())
            x = torch.tensor([ids[i] + [0] * (width - len(ids[i])) for i in rows.tolist()])
            total[rows] = (self._log_p(first, len(prompt), x) * (torch.arange(width) < sizes[rows][:, None])).sum(1)
        return total, sizes

    def _log_p(self, first: Any, before: int, x: Int[Tensor, "n t"]) -> Float[Tensor, "n t"]:
        """Log probabilities of the tokens of rows that come after a prompt of `before` tokens, of which `first` is what was made."""
        from copy import deepcopy

        past = deepcopy(first[self.memory])
        past.batch_repeat_interleave(len(x))
        where = (before + torch.arange(x.shape[1] - 1)).expand(len(x), -1)
        begin = first.logits[0, -1].float().log_softmax(0)[x[:, 0]]
        if x.shape[1] == 1:
            return begin[:, None]
        logits = self.model(x[:, :-1], **{self.memory: past}, position_ids=where, use_cache=True).logits
        later = logits.gather(2, x[:, 1:, None])[..., 0].float() - torch.stack([row.float().logsumexp(1) for row in logits])
        return torch.cat([begin[:, None], later], 1)

    def _written(self, first: Any, prompt: Tensor, chance: Float[Tensor, "n t"], temperature: float, top_p: float) -> list[list[int]]:
        """Token ids of each row up to and with the one that ends its line."""
        from copy import deepcopy

        past, rows, written = deepcopy(first[self.memory]), torch.arange(len(chance)), [[] for _ in chance]
        past.batch_repeat_interleave(len(chance))
        logits = first.logits[:, -1].expand(len(chance), -1)
        for t in range(chance.shape[1]):
            token = drawn(logits, chance[rows, t], temperature, top_p)
            for row, i in zip(rows.tolist(), token.tolist(), strict=True):
                written[row].append(i)
            going = ~self.stops[token]
            if not going.any() or t + 1 == chance.shape[1]:
                break
            if not going.all():
                past.batch_select_indices(going.nonzero().squeeze(1))
                rows, token = rows[going], token[going]
            where = torch.full((len(rows), 1), len(prompt) + t)
            logits = self.model(token[:, None], **{self.memory: past}, position_ids=where, use_cache=True, logits_to_keep=1).logits[:, -1]
        return written


def drawn(logits: Float[Tensor, "n v"], chance: Float[Tensor, " n"], temperature: float, top_p: float) -> Int[Tensor, " n"]:
    """A token a row by nucleus sampling (arXiv:1904.09751): the likeliest tokens that together hold `top_p`, one of them by `chance` in 0..1."""
    p, order = (logits.float() / max(temperature, 1e-4)).softmax(1).sort(1, descending=True)
    total = p.cumsum(1)
    kept = p * (total - p < top_p)
    total = kept.cumsum(1)
    place = torch.searchsorted(total, chance[:, None] * total[:, -1:], right=True).clamp(max=p.shape[1] - 1)
    return order.gather(1, place)[:, 0]


@cache
def language(name: str) -> Language:
    """A model, opened once a process."""
    return Language(name)


def safetensors_of(gguf: Path, folder: Path) -> None:
    """Writes a .gguf file as a folder of safetensors (bfloat16) with its tokenizer. Raises `MachineError` without the package gguf."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quiet()
    try:
        given = {"gguf_file": gguf.name}
        model, tokenizer = (kind.from_pretrained(gguf.parent, **given) for kind in (AutoModelForCausalLM, AutoTokenizer))
    except ImportError as error:
        raise MachineError(f"'{gguf.name}' cannot be read without the package gguf", help="pip install gguf", code="ENV-004") from error
    settings: Any = model.config
    settings.__dict__.pop("quantization_config", None)
    plain = AutoModelForCausalLM.from_config(settings)
    plain.load_state_dict(model.state_dict())
    plain.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
