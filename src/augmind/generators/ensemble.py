"""Several generators as one: every class is drawn by those that came nearest to rows which they had not seen."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from augmind.core.errors import DataError, Diverged, UsageError
from augmind.core.folds import inner_folds
from augmind.core.loop import Curves
from augmind.core.members import knows, member, own_run, own_seeds, packed, together, unpacked
from augmind.core.plugin import Generator, Labeller
from augmind.core.registry import find
from augmind.core.run import Finding, Run
from augmind.core.seeds import row_seeds, stable_seed
from augmind.core.tune import tune
from augmind.core.types import Data, Knowledge, Spec
from augmind.nn.neighbours import polar
from augmind.nn.stacking import log_density, stacked, width_of

USUAL = ("vae", "gan", "diffusion", "flow")
"""Members where none are named, of those that can take the rows."""
HELD = 3
"""One row of so many is held back to weigh the members by."""
TRIED = 48
"""Rows of each class that a member is weighed by."""
LEAST = 0.02
"""Weights below this are none: a member that draws one row in fifty is not worth its place in the file."""


@dataclass(kw_only=True)
class Ensemble(Generator):
    """A mixture of generators whose weights, class by class, are those under which held-back rows are likeliest.

    Each member is fitted twice: on two thirds of the rows, where what it draws is compared in features with the third that it did not see, and on all
    rows. The weights are stacked densities (Smyth and Wolpert 1999) under a kernel as wide as real rows are apart; `prior` rows speak for
    every member beforehand. The row's seed picks the member. `by` names them; `steps` is how long each trains.
    """

    axes: ClassVar[tuple[int, ...]] = (1, 3)

    by: list[str] = field(default_factory=list)
    steps: int = tune(1000, 50, 20_000, log=True)
    prior: float = tune(1.0, 0.1, 100.0, log=True)

    @property
    def known(self) -> Knowledge:
        return knows(self.by)

    def _names(self, spec: Spec) -> list[str]:
        return self.by or [name for name in USUAL if not find("generators", name).refuses(spec)]

    def _all(self, spec: Spec) -> list[Generator]:
        """A new generator for each member. Raises `UsageError` where these are not several that draw rows, `WrongSpec` where one refuses them."""
        names = self._names(spec)
        wrong = [n for n in names if n == self.name() or find("generators", n).space != "rows" or issubclass(find("generators", n), Labeller)]
        if len(set(names)) < max(2, len(names)) or wrong:
            text = f"ensemble: by={','.join(names)} is not allowed"
            raise UsageError(text, help=f"name two generators of rows or more, each once, as in --set ensemble.by={','.join(USUAL[:2])}")
        made = [member(name, self.steps) for name in names]
        for one in made:
            one.require(spec)
        return made

    def ready(self) -> None:
        for name in self.by:
            member(name, self.steps).ready()

    def source(self) -> str:
        return ",".join(filter(None, (member(name, self.steps).source() for name in self.by)))

    def fit(self, data: Data, run: Run) -> "Ensemble":
        self.require(data.spec)
        self.spec_, self.weights_ = data.spec, self._weighed(data, run)
        self.members_, names, curves = self._all(data.spec), self._names(data.spec), dict[str, Curves]()
        for i in self._drawing:
            self.members_[i] = self.members_[i].fit(data, own_run(run, "ensemble", names[i]))
            curves[names[i]] = self.members_[i].curves
        self.curves_ = together(curves)
        self.curves_.findings.append(self._told())
        return self

    @property
    def _drawing(self) -> list[int]:
        """The members that draw rows of some class."""
        return self.weights_.any(0).nonzero()[:, 0].tolist()

    def _weighed(self, data: Data, run: Run) -> Float[Tensor, "k g"]:
        """The weight of each member in each class, by rows that it has not seen. Raises `Diverged` where every member failed."""
        train, names = data.train, self._names(data.spec)
        if train.z is None:
            raise ValueError("rows have no features yet; call pipeline.embedded first")
        try:
            learnt, held = inner_folds(train.y, train.units, HELD, run.seed_for("ensemble", "held") % 2**31)[0]
        except DataError:  # all rows belong together, so none can be held back
            return torch.full((data.classes, len(names)), 1 / len(names))
        density = torch.full((len(held), len(names)), -torch.inf)
        seen, real = polar(train.z[learnt]), polar(train.z[held])
        width = width_of(real, seen)
        for i, (name, one) in enumerate(zip(names, self._all(data.spec), strict=True)):
            try:
                tried = one.fit(replace(data, train=train.take(learnt)), own_run(run, "ensemble held", name))
            except Diverged:
                continue
            if tried.curves.usable:
                drawn = self._drawn(tried, data, run, name)
                for k in train.y[held].unique():
                    own = train.y[held] == k
                    density[own, i] = log_density(real[own], drawn[int(k)], width)
        if not density.isfinite().any():
            raise Diverged("ensemble: no member could be trained")
        overall = stacked(density, self.prior)
        classes = [density[train.y[held] == k] for k in range(data.classes)]
        weights = torch.stack([stacked(own, self.prior) if len(own) else overall for own in classes])
        weights = weights * (weights >= LEAST)
        return weights / weights.sum(1, keepdim=True)

    def _drawn(self, one: Generator, data: Data, run: Run, name: str) -> Float[Tensor, "k n d"]:
        """What a member draws of each class, as features."""
        y = torch.arange(data.classes).repeat_interleave(TRIED)
        x = data.spec.to_store(one.sample(y, row_seeds(len(y), run.seed, "ensemble", name)))
        return polar(data.codec.embed(x)).unflatten(0, (data.classes, TRIED))

    def _told(self) -> Finding:
        """AM234: who draws what."""
        names, shares = self._names(self.spec_), self.weights_.mean(0)
        by_class = {c: dict(zip(names, w, strict=True)) for c, w in zip(self.spec_.classes, self.weights_.tolist(), strict=True)}
        text = f"rows are drawn by {parts(dict(zip(names, shares.tolist(), strict=True)))}"
        text += "".join(f"; of '{c}' by {parts(w)}" for c, w in list(by_class.items())[:10])
        return Finding("AM234", "info", text, {"weights": by_class})

    def sample(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n ..."]:
        chance = torch.tensor([stable_seed("ensemble", seed) % 2**53 / 2**53 for seed in seeds.tolist()], dtype=torch.float64)
        ends = self.weights_.double()[y].cumsum(1)
        who = (chance[:, None] >= ends / ends[:, -1:]).sum(1)
        out = torch.empty(len(y), *self.spec_.shape)
        names = self._names(self.spec_)
        for i in who.unique().tolist():
            own = who == i
            out[own] = self.members_[i].sample(y[own], own_seeds(seeds[own], "ensemble", names[i]))
        return out

    def state(self) -> dict[str, Tensor]:
        return packed({i: self.members_[i] for i in self._drawing}) | {"weights": self.weights_}

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Ensemble":
        self.require(spec)
        self.spec_, self.weights_, self.members_ = spec, state["weights"], self._all(spec)
        for i in self._drawing:
            self.members_[i] = self.members_[i].restore(spec, unpacked(state, i))
        return self


def parts(shares: dict[str, float]) -> str:
    """Members with their parts, the largest first, those without one left out."""
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share:.0%}" for name, share in ordered if share > 0)
