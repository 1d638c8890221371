"""A look into a generator: a walk through its latents, or draws by seed, and the draws that come nearest to a real row."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from augmind.core.plugin import Generator, Latent
from augmind.core.types import Spec

STEPS, CLASSES, NEAREST = 8, 3, 4
"""Rows of a strip, strips of a generator, and draws that are shown with their nearest real row."""


def between(a: Float[Tensor, " l"], b: Float[Tensor, " l"], steps: int = STEPS) -> Float[Tensor, "s l"]:
    """Points from a to b along an arc, lengths changing evenly: in many dimensions a straight line would leave where latents lie."""
    t = torch.linspace(0, 1, steps)[:, None]
    lengths = torch.lerp(a.norm(), b.norm(), t)
    u, v = (x / x.norm().clamp(min=1e-12) for x in (a, b))
    angle = torch.arccos((u @ v).clamp(-1, 1))
    if angle < 1e-3 or angle > torch.pi - 1e-3:
        return torch.lerp(a[None], b[None], t)
    return lengths * (torch.sin((1 - t) * angle) * u + torch.sin(t * angle) * v) / torch.sin(angle)


def walks(generator: Generator) -> bool:
    """Whether a generator decodes rows from latents, and what it draws are such rows."""
    return isinstance(generator, Latent) and generator.space == "rows"


def walk(generator: Latent, label: int, ends: Int[Tensor, "2"]) -> Shaped[Tensor, "s ..."]:
    """Rows in model space on the way from the draw of one seed to that of another, both of one class; what else is random is the same in all."""
    y = torch.full((STEPS,), label)
    first, last = generator.latents(y[:2], ends)
    path = between(first, last)
    return generator.decode(path, y, ends[:1].expand(STEPS))


def strips(
    generator: Generator, table: Mapping[str, list[Any]], x: Shaped[Tensor, "n ..."], spec: Spec
) -> tuple[list[dict[str, Any]], list[Shaped[Tensor, "s ..."]]]:
    """For the first classes: a walk between two kept draws, or the first draws of other generators as they came, kept or not."""
    told, rows = [], []
    for k, name in enumerate(spec.classes[:CLASSES]):
        own = [i for i, label in enumerate(table["label"]) if label == name]
        kept = [i for i in own if table["kept"][i]]
        if isinstance(generator, Latent) and walks(generator) and len(kept) > 1:
            ends = torch.tensor([table["seed"][i] for i in kept[:2]])
            rows.append(spec.to_store(walk(generator, k, ends)))
            told.append({"class": name, "kind": "walk", "seeds": ends.tolist()})
        elif own and not walks(generator):
            rows.append(x[own[:STEPS]])
            told.append({"class": name, "kind": "draws", "seeds": [table["seed"][i] for i in own[:STEPS]],
                         "kept": [table["kept"][i] for i in own[:STEPS]]})  # fmt: skip
    return told, rows


def closest(table: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """The kept draws that come nearest to a real row."""
    kept = [i for i, keep in enumerate(table["kept"]) if keep]
    names = {"seed": "seed", "class": "label", "near": "nearest_row", "distance": "nearest_distance"}
    return [{name: table[column][i] for name, column in names.items()} for i in sorted(kept, key=lambda i: table["nearest_distance"][i])[:NEAREST]]
