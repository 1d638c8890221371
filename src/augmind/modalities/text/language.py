"""A causal language model that continues prompts: each is read once, rows of all are written side by side and leave when finished."""

from collections import Counter, deque
from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from augmind.core.errors import MachineError, UsageError, first_line
from augmind.core.seeds import stream
from augmind.nn.quiet import quiet
from augmind.nn.weights import needed

ROOMS, LEAST_ROOM = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"), 1024
"""What models call the tokens that they read at once, and how many those do that do not say."""
MOST_LOGITS = 2**26
"""Logits of lines that are held at once: 256 MB."""
TOGETHER = 128
"""Lines that are written or read side by side, at most."""
MEMORY = 2**29
"""Bytes of keys and values of lines that are written side by side."""
LEAVE = 0.125
"""Share of the rows written side by side that are finished before these leave the batch, which copies what the others have read."""
ROOM = 32
"""Tokens that keys and values have room for beyond those read."""
LIKELIEST = (512, 4096)
"""Tokens that a nucleus is looked for in before all are sorted."""

Begun = tuple[Any, Tensor, Tensor]
"""What a model keeps of n rows (a cache of `transformers`), its scores of their next tokens (n, v), and which of the t places that are kept are no
padding (n, t), which stands on the left."""


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
        self.room = next((int(n) for key in ROOMS if (n := getattr(self.model.config, key, None))), LEAST_ROOM)
        self.stops = torch.tensor(["\n" in piece or i in ends for i, piece in enumerate(pieces)])
        try:
            past, *_ = self._begun([(0,), (0, 0)])
            self.joins = all(isinstance(layer, _roomy()) for layer in past.layers)
            self.bytes = sum(x.nbytes for layer in past.layers for x in (layer.keys, layer.values)) // 4
        except (AttributeError, NotImplementedError, IndexError, TypeError, RuntimeError, KeyError) as error:
            text = f"'{name}' keeps what it has read in a way that rows cannot be written with side by side: {first_line(error)}"
            raise UsageError(text, help="name a transformer with attention, such as a Llama, Qwen, Mistral or GPT-2") from error

    def tokens(self, text: str) -> Int[Tensor, " t"]:
        return self.tokenizer(text, return_tensors="pt").input_ids[0]

    def cut(self, text: str, most: int) -> str:
        """The beginning of a text of at most so many tokens."""
        ids = self.tokenizer(text, add_special_tokens=False).input_ids
        return text if len(ids) <= most else self.tokenizer.decode(ids[:most])

    def length(self, texts: list[str]) -> Int[Tensor, " n"]:
        """Tokens of each text."""
        return torch.tensor([len(ids) for ids in self.tokenizer(texts, add_special_tokens=False).input_ids])

    def lines(
        self, prompts: Sequence[Int[Tensor, " _"]], seeds: Sequence[int], *, longest: Sequence[int], temperature: float, top_p: float
    ) -> list[str]:
        """For each row what comes after its prompt up to the end of the line, or `longest` tokens; a function of its prompt and seed alone."""
        asked = [tuple(prompt.tolist()) for prompt in prompts]
        for own in set(map(len, asked)):
            self._left(own)
        longest = [min(most, self.room - len(own)) for most, own in zip(longest, asked, strict=True)]
        chance = [torch.rand(most, generator=stream(seed, "token")) for most, seed in zip(longest, seeds, strict=True)]
        written = self._written(asked, chance, temperature, top_p)
        return [self.tokenizer.decode(ids, skip_special_tokens=True).partition("\n")[0].strip() for ids in written]

    def _left(self, read: int) -> int:
        """Tokens that the model has room for after a prompt. Raises `UsageError` where there is none."""
        if self.room <= read:
            text = f"a model that reads {self.room} tokens at once has no room for a row after a prompt of {read}"
            raise UsageError(text, help="name a model that reads more, or show it fewer examples")
        return self.room - read

    @torch.inference_mode()
    def chances(self, prompt: Int[Tensor, " t"], lines: Sequence[str], longest: int) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
        """Log probability of each line after the prompt, its end included, and its tokens; of a long one the first `longest` tokens count, or
        as many as the model has room for. Raises `UsageError` where the prompt leaves none."""
        longest = min(longest, self._left(len(prompt)))
        ids = [self.tokenizer(f" {line}\n", add_special_tokens=False).input_ids[:longest] for line in lines]
        sizes = torch.tensor([len(own) for own in ids], dtype=torch.long)
        total, first = torch.zeros(len(ids)), self.model(prompt[None], use_cache=True, logits_to_keep=1)
        order = sizes.argsort(stable=True)
        longest = max(1, int(sizes.max())) if len(ids) else 1
        most = min(TOGETHER, MOST_LOGITS // (longest * len(self.stops)), MEMORY // (self.bytes * (len(prompt) + longest)))
        for rows in order.split(max(1, most)) if len(ids) else ():
            width = int(sizes[rows].max())
            x = torch.tensor([ids[i] + [0] * (width - len(ids[i])) for i in rows.tolist()])
            total[rows] = (self._log_p(first, len(prompt), x) * (torch.arange(width) < sizes[rows][:, None])).sum(1)
        return total, sizes

    def _log_p(self, first: Any, before: int, x: Int[Tensor, "n t"]) -> Float[Tensor, "n t"]:
        """Log probabilities of the tokens of rows that come after a prompt of `before` tokens, of which `first` is what was made."""
        past = deepcopy(first[self.memory])
        past.batch_repeat_interleave(len(x))
        where = (before + torch.arange(x.shape[1] - 1)).expand(len(x), -1)
        begin = first.logits[0, -1].float().log_softmax(0)[x[:, 0]]
        if x.shape[1] == 1:
            return begin[:, None]
        logits = self.model(x[:, :-1], **{self.memory: past}, position_ids=where, use_cache=True).logits
        later = logits.gather(2, x[:, 1:, None])[..., 0].float() - torch.stack([row.float().logsumexp(1) for row in logits])
        return torch.cat([begin[:, None], later], 1)

    def _begun(self, asked: list[tuple[int, ...]]) -> Begun:
        """What the model keeps of each row's prompt, its scores of the first token, and which places of the prompt are not padding (left)."""
        prompts = list(dict.fromkeys(asked))
        width = max(map(len, prompts))
        x = torch.tensor([[0] * (width - len(ids)) + list(ids) for ids in prompts])
        real = torch.arange(width) >= torch.tensor([[width - len(ids)] for ids in prompts])
        told = {} if real.all() else {"attention_mask": real.long(), "position_ids": (real.cumsum(1) - 1).clamp(min=0)}
        first, row = self.model(x, **told, use_cache=True, logits_to_keep=1), torch.tensor([prompts.index(ids) for ids in asked])
        past = first[self.memory]
        past.batch_select_indices(row)
        past.layers = [roomy(layer) for layer in past.layers]
        return past, first.logits[:, -1, : len(self.stops)][row], real[row]

    @torch.inference_mode()
    def _written(self, asked: list[tuple[int, ...]], chance: list[Float[Tensor, " _"]], temperature: float, top_p: float) -> list[list[int]]:
        """Token ids of each row up to and with the one that ends its line. Rows that are finished make room for those that wait, prompts of one
        length and text one after the other."""
        written, last = [list[int]() for _ in asked], torch.tensor([len(own) for own in chance], dtype=torch.long)
        waiting = deque(i for i in sorted(range(len(asked)), key=lambda i: (len(asked[i]), asked[i])) if last[i])
        most = max(1, min(TOGETHER, MEMORY // (self.bytes * max((len(a) + len(c) for a, c in zip(asked, chance, strict=True)), default=1))))
        chances, before = pad_sequence(chance, batch_first=True) if chance else torch.empty(0, 0), torch.tensor([len(own) for own in asked])
        rows, going, held = torch.empty(0, dtype=torch.long), torch.empty(0, dtype=torch.bool), None
        read = dict[tuple[int, ...], Begun]()
        while len(rows) or waiting:
            if waiting and (held is None or (self.joins and len(rows) <= (1 - LEAVE) * most)):
                new = [waiting.popleft() for _ in range(min(most - len(rows), len(waiting)))]
                begun = Counter(asked[i] for i in new)
                if self.joins:
                    read = {ids: read.get(ids) or self._begun([ids]) for ids in begun}
                    held = together([*([held] if held else []), *(repeated(read[ids], n) for ids, n in begun.items())])
                else:
                    held = self._begun([asked[i] for i in new])
                rows, going = torch.cat([rows, torch.tensor(new)]), torch.cat([going, torch.ones(len(new), dtype=torch.bool)])
            assert held is not None
            past, logits, real = held
            at = torch.tensor([len(written[i]) for i in rows.tolist()]).clamp(max=chances.shape[1] - 1)
            token = drawn(logits, chances[rows, at], temperature, top_p)
            for row, i in zip(rows[going].tolist(), token[going].tolist(), strict=True):
                written[row].append(i)
            going = going & ~self.stops[token] & (at + 1 < last[rows])
            if not going.any():
                rows, going, held = rows[:0], going[:0], None
                continue
            if going.double().mean() <= 1 - LEAVE:
                left = going.nonzero().squeeze(1)
                past.batch_select_indices(left)
                rows, token, going, at, real = rows[left], token[left], going[left], at[left], real[left]
            real = torch.cat([real, real.new_ones(len(real), 1)], 1)
            told = {"position_ids": (before[rows] + at)[:, None], self.memory: past} | ({} if real.all() else {"attention_mask": real})
            logits = self.model(token[:, None], **told, use_cache=True, logits_to_keep=1).logits
            held = past, logits[:, -1, : len(self.stops)], real
        return written


def together(parts: Sequence[Begun]) -> Begun:
    """Rows of several batches in one, which takes the place of the first; padding that no row of a batch needs any more is left out."""
    widths = [int(real.sum(1).max()) for *_, real in parts]
    past, width = parts[0][0], max(widths)
    for at, layer in enumerate(past.layers):
        layer.keys, layer.values = (
            torch.cat([pad(getattr(own.layers[at], name)[..., -w:, :], (0, 0, width - w, 0)) for (own, *_), w in zip(parts, widths, strict=True)])
            for name in ("keys", "values")
        )
        layer.held = ()
    real = torch.cat([pad(mask[:, -w:], (width - w, 0)) for (*_, mask), w in zip(parts, widths, strict=True)])
    return past, torch.cat([logits for _, logits, _ in parts]), real


def repeated(begun: Begun, times: int) -> Begun:
    """A prompt that was read once, for so many rows; what is given stays as it is."""
    past = deepcopy(begun[0])
    past.batch_repeat_interleave(times)
    return past, begun[1].expand(times, -1), begun[2].expand(times, -1)


def drawn(logits: Float[Tensor, "n v"], chance: Float[Tensor, " n"], temperature: float, top_p: float) -> Int[Tensor, " n"]:
    """A token a row by nucleus sampling (arXiv:1904.09751): the likeliest tokens that together hold `top_p`, one of them by `chance` in 0..1."""
    p = (logits.float() / max(temperature, 1e-4)).softmax(1)
    token, wide = torch.empty(len(p), dtype=torch.long), torch.arange(len(p))
    for most in (*LIKELIEST, p.shape[1]):
        whole = most >= p.shape[1]
        likely, order = p[wide].sort(1, descending=True) if whole else p[wide].topk(most, 1)
        found = torch.ones(len(wide), dtype=torch.bool) if whole else likely.sum(1) >= top_p
        token[wide[found]] = order[found].gather(1, _place(likely[found], chance[wide[found]], top_p))[:, 0]
        if not len(wide := wide[~found]):
            break
    return token


def _place(p: Float[Tensor, "n v"], chance: Float[Tensor, " n"], top_p: float) -> Int[Tensor, "n 1"]:
    """Where in falling probabilities the drawn one of the nucleus stands."""
    total = p.cumsum(1)
    kept = (p * (total - p < top_p)).cumsum(1)
    return torch.searchsorted(kept, chance[:, None] * kept[:, -1:], right=True).clamp(max=p.shape[1] - 1)


def roomy(layer: Any) -> Any:
    """A layer of a cache whose keys and values have room behind them; one of another kind than `DynamicLayer` as it is."""
    from transformers.cache_utils import DynamicLayer

    if type(layer) is not DynamicLayer:
        return layer
    out = _roomy()()
    vars(out).update(vars(layer))
    return out


@cache
def _roomy() -> type:
    from transformers.cache_utils import DynamicLayer

    class Roomy(DynamicLayer):
        """Writes the keys and values of a token in place, where `DynamicLayer` copies all that came before."""

        held: tuple[Tensor, ...] = ()

        def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **given: Any) -> tuple[Tensor, Tensor]:
            if not self.is_initialized or self.keys is None or self.values is None:
                return super().update(key_states, value_states, *args, **given)
            begin, end = self.keys.shape[-2], self.keys.shape[-2] + key_states.shape[-2]
            if not self.held or self.held[0].shape[-2] < end:
                self.held = tuple(torch.cat([x, x.new_empty(*x.shape[:-2], end - begin + ROOM, x.shape[-1])], -2) for x in (self.keys, self.values))
            for buffer, new in zip(self.held, (key_states, value_states), strict=True):
                buffer[..., begin:end, :] = new
            self.keys, self.values = (buffer[..., :end, :] for buffer in self.held)
            return self.keys, self.values

        def batch_select_indices(self, indices: Tensor) -> None:
            super().batch_select_indices(indices)
            self.held = ()

    return Roomy


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
