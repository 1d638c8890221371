"""Rows of a fitted generator that are steered: between classes, and along directions of its latents."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import fsum

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn.functional import normalize

from .core.errors import UsageError, unknown
from .core.plugin import Generator, Latent
from .core.seeds import row_seeds
from .nn.neighbours import polar

STEERED = "steered: "
"""Before the note of a row that a generator and a seed alone do not give."""
Embed = Callable[[Tensor], Tensor]
"""Rows of a generator, as it draws them, to features (n, d)."""
SEEN = 384
"""Rows that are drawn to learn what moving latents does; how far it holds is tried on a third of them, by what the others teach."""
AXES = 8
"""Directions that can be named."""
LEAST = 0.25
"""Correlation, on rows that were not learnt from, below which latents do not know of a direction."""
USUAL = 1.5
"""Deviations by which latents are moved towards an attribute."""
FARTHEST = 4.0
"""Deviations by which latents may be moved."""


@dataclass(kw_only=True)
class Steered(Generator):
    """`own` with its latents moved by `shift` (l,), and its rows decoded as a mixture of all classes, `weights` (k,) that add up to 1.

    `attribute` says whether latents are moved towards one, `told` all of that in words, as the provenance of rows.
    Latents of a mixture are the weighted means of those of its classes, for the same seeds.
    """

    own: Latent
    weights: Tensor
    shift: Tensor | None = None
    attribute: bool = False
    told: str = ""

    def fit(self, data: object, run: object) -> "Steered":
        raise NotImplementedError("what is steered is fitted already")

    @property
    def classes(self) -> list[int]:
        """Those that are mixed."""
        return self.weights.nonzero()[:, 0].tolist()

    def latents(self, seeds: Int[Tensor, " n"]) -> Float[Tensor, "n l"]:
        """Those of the mixture, before they are moved."""
        return torch.stack([self.weights[k] * self.own.latents(torch.full_like(seeds, k), seeds) for k in self.classes]).sum(0)

    def sample(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Shaped[Tensor, "n ..."]:
        """Rows of the mixture, whatever the labels are."""
        z = self.latents(seeds) if self.shift is None else self.latents(seeds) + self.shift
        mixed = self.weights.expand(len(y), -1) if len(self.classes) > 1 else torch.full_like(y, self.classes[0])
        return self.own.decode(z, mixed, seeds)

    def notes(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> list[str]:
        """How they were steered, then what the generator says of them."""
        said = f"{STEERED}{self.told}"
        return [f"{said}; {note}" for note in self.own.notes(y, seeds)] or [said] * len(y)

    def state(self) -> dict[str, Tensor]:
        return self.own.state()

    def restore(self, spec: object, state: dict[str, Tensor]) -> "Steered":
        raise NotImplementedError("what is steered is restored already")


def mixture(classes: tuple[str, ...], label: str, mix: Mapping[str, float]) -> Float[Tensor, " k"]:
    """Weights of all classes where `mix` names the parts of others. Raises `UsageError` where the class itself has not the largest part."""
    for name, part in mix.items():
        if name not in classes:
            raise unknown("class", name, classes)
        if name == label:
            raise UsageError(f"'{name}' is the class that is asked for, its part is what the others leave", help="name another class")
        if not part > 0:
            raise UsageError(f"{part:g} of '{name}' is no part of a mixture", help="give a number above 0, such as 0.3")
    own = 1 - fsum(mix.values())
    if own < max(mix.values(), default=0.0) - 1e-6:
        text = f"of the mixture {max(own, 0.0):.2g} is '{label}', less than of another class, so its rows would not be '{label}'"
        raise UsageError(text, help="give the others smaller parts, such as 0.3, or ask for the other class")
    return torch.tensor([own if name == label else mix.get(name, 0.0) for name in classes])


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a generator draws for a class, or between classes, by itself: latents (n, l) and features (n, d) of the same rows."""

    z: Tensor
    features: Tensor

    @classmethod
    def of(cls, plugin: Steered, embed: Embed, label: int, seed: int) -> "Seen":
        """Draws them; the same ones for the same class and seed."""
        seeds, y = row_seeds(SEEN, seed, "steer", label), torch.full((SEEN,), label)
        return cls(z=plugin.latents(seeds), features=polar(embed(plugin.sample(y, seeds))))

    def axes(self) -> Float[Tensor, "a d"]:
        """Unit directions of features along which these rows vary most, the first the most (principal components; arXiv:2004.02546)."""
        off = self.features - self.features.mean(0)
        _, _, v = torch.linalg.svd(off, full_matrices=False)
        v = v[:AXES]
        return v * v.gather(1, v.abs().argmax(1, keepdim=True)).sign()

    def toward(self, direction: Float[Tensor, " d"]) -> tuple[Float[Tensor, " l"], float]:
        """How latents move where rows move along a direction of features by one deviation, and how far that holds for other rows.

        E[z | score] - E[z] of jointly normal latents and scores: it stays where latents are (a direction that is found by what rows show; after
        arXiv:1907.10786). The second value is the correlation, on rows that were not learnt from, of their score and of where they are along it.
        """
        score = (self.features - self.features.mean(0)) @ normalize(direction, dim=0)
        score = score / score.std().clamp(min=1e-12)
        off = self.z - self.z.mean(0)
        learnt = torch.arange(len(score)) % 3 > 0
        shift = (off * score[:, None]).mean(0)
        tried = off[~learnt] @ (off[learnt] * score[learnt, None]).mean(0)
        held = torch.corrcoef(torch.stack([tried, score[~learnt]]))[0, 1].nan_to_num(0.0)
        return shift, float(held)


def steered(
    plugin: Generator, embed: Embed, label: int, seed: int, weights: Float[Tensor, " k"], along: Mapping[int, float], attribute: Tensor | None
) -> Generator:
    """The generator that draws as wished: of a mixture of classes, `along` directions by so many deviations of its latents, towards an attribute.

    `along` has the numbers of directions from 1; `attribute` is a direction of features (d,), along which latents are moved by `USUAL` as far as
    they know of it. Raises `UsageError` for a generator without latents, and where its latents do not know of a direction that is named.
    """
    asked = bool(along) or weights.count_nonzero() > 1
    if not isinstance(plugin, Latent):
        if asked:
            raise UsageError(f"'{plugin.name()}' has no latents to mix or to move", help="name a generator that has them, such as vae or gan")
        return plugin
    if not asked and attribute is None:
        return plugin
    made = Steered(own=plugin, weights=weights)
    if not along and attribute is None:
        return made
    seen = Seen.of(made, embed, label, seed)
    axes = seen.axes() if along else None
    moves = [(*seen.toward(axes[number - 1]), strength) for number, strength in along.items()] if axes is not None else []
    for number, (_, held, _) in zip(along, moves, strict=True):
        if held < LEAST:
            text = f"latents of '{plugin.name()}' say nothing of direction {number} (correlation {held:.2f} with what rows show)"
            raise UsageError(text, help="give a smaller number: rows vary most along the first; or another generator, such as vae")
    if attribute is not None:
        shift, held = seen.toward(attribute)
        made.attribute = held >= LEAST
        moves += [(shift, held, USUAL)] if made.attribute else []
    if not moves and not asked:
        return plugin
    made.shift = torch.stack([strength * shift for shift, _, strength in moves]).sum(0) if moves else None
    return made


def deviations(along: Mapping[int, float]) -> dict[int, float]:
    """The same, checked. Raises `UsageError` for a direction or a strength that there is not."""
    for number, strength in along.items():
        if not 1 <= number <= AXES:
            raise UsageError(f"direction {number} is not known", help=f"directions are 1 to {AXES}, the first that along which rows vary most")
        if not abs(strength) <= FARTHEST:
            raise UsageError(f"a direction cannot be gone by {strength:g} deviations", help=f"give -{FARTHEST:g} to {FARTHEST:g}; 2 is far")
    return dict(along)


def told(classes: tuple[str, ...], weights: Float[Tensor, " k"], along: Mapping[int, float], attribute: str) -> str:
    """A wish in words: the parts of a mixture, how far along which direction, towards what (`attribute`, may be empty)."""
    parts = [f"{part:.0%} {name}" for name, part in zip(classes, weights.tolist(), strict=True) if part]
    said = [f"between classes ({', '.join(parts)})"] if len(parts) > 1 else []
    said += [f"{strength:+g} deviations along direction {number}" for number, strength in along.items()]
    return ", ".join(said + ([f"towards {attribute}"] if attribute else []))
