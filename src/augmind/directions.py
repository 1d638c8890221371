"""The page of a generator's directions: how rows of a class change where its latents are moved."""

import torch

from .core.errors import UsageError
from .core.plugin import Latent
from .core.seeds import row_seeds
from .draw_more import features_by
from .job import Job
from .pipeline import by_yield, trained
from .report.directions import Direction, render
from .shards import labels_alone, space_of
from .steering import LEAST, Seen, Steered, mixture

ROWS = 4
"""Rows that are shown of every direction."""
STEPS = (-3.0, -1.5, 0.0, 1.5, 3.0)
"""Deviations by which they are moved."""


def page(job: Job, label: str, generator: str | None = None) -> str:
    """HTML with the directions that the latents of a generator know of for a class, each with the same rows moved along it.

    Without a name it is the generator of rows that kept most of what it drew for the comparison, of those that have latents. Raises `UsageError`
    where there is none.
    """
    able = [g for g in by_yield(job) if generator in (None, g) and not labels_alone(g) and space_of(g) == "rows"]
    for name in able:
        plugin, _ = trained(job, job.final, name)
        if isinstance(plugin, Latent):
            return shown(job, label, name, plugin)
    text = f"'{job.folder}' has no generator of rows with latents{f' by the name {generator}' if generator else ''}"
    raise UsageError(text, help="begin a run with one that has them, such as --generators vae,gan")


def shown(job: Job, label: str, name: str, plugin: Latent) -> str:
    """The page of this one, under the name that the run gives it."""
    codec, spec, k = job.codec, job.spec, job.spec.classes.index(label)
    made = Steered(own=plugin, weights=mixture(spec.classes, label, {}))
    seen = Seen.of(made, features_by(job, name), k, job.config.seed)
    y, seeds = torch.full((ROWS,), k), row_seeds(ROWS, job.config.seed, "directions", label)
    found: list[Direction] = []
    for number, axis in enumerate(seen.axes(), 1):
        shift, held = seen.toward(axis)
        if held >= LEAST:
            moved = [Steered(own=plugin, weights=made.weights, shift=step * shift).sample(y, seeds) for step in STEPS]
            found.append(Direction(number=number, held=held, views=[codec.preview(spec.to_store(x)) for x in moved]))
    return render(job.about["name"], label, name, STEPS, found)
