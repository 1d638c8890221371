"""Every side of a row by a generator of its own kind, joined by class."""

from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from augmind.core.errors import UsageError
from augmind.core.members import knows, member, own_run, own_seeds, packed, together, unpacked
from augmind.core.plugin import Generator
from augmind.core.registry import find
from augmind.core.run import Run
from augmind.core.sides import joined, own_data, specs_of
from augmind.core.tune import tune
from augmind.core.types import Data, Knowledge, Spec

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
        return knows(self.by)

    def _made(self, name: str) -> Generator:
        return member(name, self.steps, describe=self.describe, say=self.say)

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
            self.own_[i] = self.own_[i].fit(side, own_run(run, "apart", part))
        self.curves_ = together(dict(zip(data.spec.parts, (g.curves for g in self.own_), strict=True)))
        return self

    def sample(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
        parts = []
        for part, side, own in zip(self.spec_.parts, specs_of(self.spec_), self.own_, strict=True):
            drawn = own.sample(y, own_seeds(seeds, "apart", part))
            parts.append(drawn.reshape(len(y), *side.shape))
        return joined(parts)

    def state(self) -> dict[str, Tensor]:
        return packed(dict(enumerate(self.own_)))

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Apart":
        self.require(spec)
        self.spec_, self.own_ = spec, self._all(len(spec.sides))
        for i, side in enumerate(specs_of(spec)):
            self.own_[i] = self.own_[i].restore(side, unpacked(state, i))
        return self
