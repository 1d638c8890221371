"""What language models are shown of the real rows: lists of a class's rows, and which list a row's seed stands for."""

import torch

from augmind.core.run import Run
from augmind.core.seeds import stream


def draws(rows: int, prompts: int, examples: int, c: int, run: Run) -> list[list[int]]:
    """For each of `prompts` lists of class c the places of its rows, `examples` or as many as there are, drawn anew."""
    return [torch.randperm(rows, generator=run.rng("prompt", c, i))[:examples].tolist() for i in range(prompts)]


def shown(seed: int, prompts: int) -> int:
    """The list that the row with this seed is written after."""
    return int(torch.randint(prompts, (), generator=stream(seed, "prompt")))
