"""What language models are shown of the real rows, in which ways they are to write, and which of its prompts a row's seed stands for."""

import json

import torch

from augmind.core.errors import UsageError
from augmind.core.run import Run
from augmind.core.seeds import stream

WIDEST = 200
"""Characters of an attribute, at most."""


def draws(rows: int, prompts: int, examples: int, c: int, run: Run) -> list[list[int]]:
    """For each of `prompts` lists of class c the places of its rows, `examples` or as many as there are, drawn anew."""
    return [torch.randperm(rows, generator=run.rng("prompt", c, i))[:examples].tolist() for i in range(prompts)]


def shown(seed: int, prompts: int) -> int:
    """The prompt that the row with this seed is written after."""
    return int(torch.randint(prompts, (), generator=stream(seed, "prompt")))


def checked(name: str, attributes: list[str]) -> None:
    """Raises `UsageError` unless these are lines of text that the prompts of plug-in `name` can say."""
    if isinstance(attributes, list) and all(isinstance(a, str) and a.strip() and a.isprintable() and len(a) <= WIDEST for a in attributes):
        return
    way = f"give a list of lines of at most {WIDEST} characters: --set {name}.attributes='{json.dumps(['shorter', 'as a tweet'])}'"
    raise UsageError(f"{name}: attributes={attributes!r} is not allowed", help=way)
