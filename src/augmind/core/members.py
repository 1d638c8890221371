"""Generators that are made of others: how the members are made, trained and told of."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from .loop import Curves
from .plugin import Generator
from .registry import find, make
from .run import Run
from .seeds import stable_seed
from .tune import ranges
from .types import Choice, Knowledge


def member(name: str, steps: int, **told: Any) -> Generator:
    """A generator that trains for `steps`, or for the nearest number that it allows, where it trains by steps; with what it takes of `told`."""
    plugin = find("generators", name)
    fits = {f.name for f in fields(plugin)}
    settings: dict[str, Any] = {k: v for k, v in told.items() if v and k in fits}
    if "steps" in fits:
        allowed = ranges(plugin)["steps"]
        settings["steps"] = int(min(max(steps, allowed.low or 1), allowed.high or steps))
    return make("generators", Choice(name=name, settings=settings))


def knows(names: Sequence[str]) -> Knowledge:
    """Where what they know comes from: that of the first which knows more than the rows."""
    return next((k for name in names if (k := find("generators", name).knowledge) is not Knowledge.rows), Knowledge.rows)


def own_run(run: Run, whole: str, part: str) -> Run:
    """The surroundings of a member's training: checkpoints and a seed of its own."""
    kept = run.checkpoints / part if run.checkpoints else None
    return replace(run, label=f"{run.label}, {part}", checkpoints=kept, seed=run.seed_for(whole, part))


def own_seeds(seeds: Int[Tensor, " n"], whole: str, part: str) -> Int[Tensor, " n"]:
    """The seeds of a member's part of these rows, 0..2^53-1: each a function of the row's own."""
    return torch.tensor([stable_seed(whole, part, seed) % 2**53 for seed in seeds.tolist()], dtype=torch.long)


def together(curves: dict[str, Curves]) -> Curves:
    """How the trainings of the members went, as one."""
    told = [replace(f, text=f"{part}: {f.text.removeprefix(f'{part}: ')}") for part, own in curves.items() for f in own.findings]
    return Curves(
        steps=sum(own.steps for own in curves.values()),
        planned=sum(own.planned for own in curves.values()),
        seconds=sum(own.seconds for own in curves.values()),
        rollbacks=sum(own.rollbacks for own in curves.values()),
        points={f"{part} {name}": values for part, own in curves.items() for name, values in own.points.items()},
        findings=told,
        usable=all(own.usable for own in curves.values()),
    )


def packed(members: Mapping[int, Generator]) -> dict[str, Tensor]:
    """The states of all of them, by number, as one."""
    return {f"{i}/{k}": v for i, own in members.items() for k, v in own.state().items()}


def unpacked(state: dict[str, Tensor], i: int) -> dict[str, Tensor]:
    """The state of member `i`."""
    return {k.partition("/")[2]: v for k, v in state.items() if k.startswith(f"{i}/")}
