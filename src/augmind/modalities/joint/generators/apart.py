"""Every side of a row by a generator of its own kind, joined by class."""

from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from augmind.core.errors import UsageError
from augmind.core.loop import Curves
from augmind.core.plugin import Generator
from augmind.core.registry import find, make
from augmind.core.run import Run
from augmind.core.seeds import stable_seed
from augmind.core.sides import joined, own_data, specs_of
from augmind.core.tune import ranges, tune
from augmind.core.types import Choice, Data, Knowledge, Spec

USUAL = "vae"


@dataclass(kw_only=True)
class Apart(Generator):
    """One generator a side, fitted on that side alone; a row joins what they draw for its class and seed.

    Sides of one row are independent given the class, as in a naive Bayes model (Maron 1961): what a pair shares beyond its class, such as who is
    seen and heard, it does not know; `vae` on the whole row and the density `feature` do. `by` names the generator of each side, in their order; for
    all of them "vae" where it is empty. Each trains for `steps` where it trains by steps, and `describe` and
    `say` reach those that use words.
    """

    axes: ClassVar[tuple[int, ...]] = (1,)
    sided: ClassVar[bool] = True

    by: list[str] = field(default_factory=list)
    steps: int = tune(1000, 50, 20_000, log=True)
    describe: dict[str, str] = field(default_factory=dict)
    say: str = ""

    @property
    def known(self) -> Knowledge:
        """That of the side that knows most from elsewhere."""
        return next((k for name in self.by if (k := find("generators", name).knowledge) is not Knowledge.rows), Knowledge.rows)

    def _made(self, name: str) -> Generator:
        plugin = find("generators", name)
        fits = {f.name for f in fields(plugin)}
        settings: dict[str, Any] = {"steps": bounded(plugin, self.steps)} if "steps" in fits else {}
        settings |= {k: v for k, v in (("describe", self.describe), ("say", self.say)) if v and k in fits}
        return make("generators", Choice(name=name, settings=settings))

    def _all(self, sides: int) -> list[Generator]:
        """The generator of each side. Raises `UsageError` where `by` does not name as many."""
        names = self.by or [USUAL] * sides
        if len(names) != sides or any(find("generators", n).space != "rows" or n == self.name() for n in names):
            text = f"apart: by={','.join(names)} is not allowed"
            raise UsageError(text, help=f"name {sides} generators of rows, one a side, as in --set apart.by={','.join([USUAL] * sides)}")
        return [self._made(name) for name in names]

    def ready(self) -> None:
        for name in self.by:
            self._made(name).ready()

    def source(self) -> str:
        return ",".join(filter(None, (self._made(name).source() for name in self.by)))

    def fit(self, data: Data, run: Run) -> "Apart":
        self.require(data.spec)
        self.spec_, self.own_ = data.spec, self._all(len(data.spec.sides))
        for i, (part, side) in enumerate(zip(data.spec.parts, own_data(data), strict=True)):
            kept = run.checkpoints / part if run.checkpoints else None
            own = replace(run, label=f"{run.label}, {part}", checkpoints=kept, seed=run.seed_for("apart", part))
            self.own_[i] = self.own_[i].fit(side, own)
        self.curves_ = together(dict(zip(data.spec.parts, (g.curves for g in self.own_), strict=True)))
        return self

    def sample(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
        parts = []
        for part, side, own in zip(self.spec_.parts, specs_of(self.spec_), self.own_, strict=True):
            drawn = own.sample(y, of_side(seeds, part))
            parts.append(drawn.reshape(len(y), *side.shape))
        return joined(parts)

    def state(self) -> dict[str, Tensor]:
        return {f"{i}/{k}": v for i, own in enumerate(self.own_) for k, v in own.state().items()}

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Apart":
        self.require(spec)
        self.spec_, self.own_ = spec, self._all(len(spec.sides))
        for i, side in enumerate(specs_of(spec)):
            self.own_[i] = self.own_[i].restore(side, {k.partition("/")[2]: v for k, v in state.items() if k.startswith(f"{i}/")})
        return self


def bounded(plugin: type[Generator], steps: int) -> int:
    """The number of steps nearest to this one that a generator allows."""
    allowed = ranges(plugin)["steps"]
    return int(min(max(steps, allowed.low or 1), allowed.high or steps))


def of_side(seeds: Int[Tensor, " n"], part: str) -> Int[Tensor, " n"]:
    """The seeds of one side of these rows, 0..2^53-1: each a function of the row's own."""
    return torch.tensor([stable_seed("apart", part, seed) % 2**53 for seed in seeds.tolist()], dtype=torch.long)


def together(curves: dict[str, Curves]) -> Curves:
    """How the trainings of the sides went, as one."""
    told = [replace(f, text=f"{part}: {f.text}") for part, own in curves.items() for f in own.findings]
    return Curves(
        steps=sum(own.steps for own in curves.values()),
        planned=sum(own.planned for own in curves.values()),
        seconds=sum(own.seconds for own in curves.values()),
        rollbacks=sum(own.rollbacks for own in curves.values()),
        points={f"{part} {name}": values for part, own in curves.items() for name, values in own.points.items()},
        findings=told,
        usable=all(own.usable for own in curves.values()),
    )
