"""What a generator that is trained by steps learns from: the rows of a dataset alone, or after those of a related one and beside them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from augmind.core.feed import LENT, cyclic
from augmind.core.loop import Curves
from augmind.core.run import Finding
from augmind.core.types import Data, Samples, Spec

MOST = 8192
"""Rows of a source that moments are taken of."""
LOOKS = (0.5, 0.75, 1.0)
"""Fractions of the steps on the dataset after which the rows are looked at."""


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """Without a related dataset (`Data.source`), `steps` batches of the dataset. With one, `steps` of its rows alone come first, and in those that
    follow `LENT` of every batch is still of it.

    Its classes are further ones of the network. Those of the dataset begin, when they are met first, among these: at random, with their mean and
    deviation. (Generators transferred to few rows: arXiv:1805.01677; they learn the dataset alone then.)
    """

    data: Data
    steps: int

    @property
    def source(self) -> Samples | None:
        return self.data.source

    @property
    def met(self) -> int:
        """The step in which rows of the dataset come first."""
        return 0 if self.source is None else self.steps

    @property
    def total(self) -> int:
        """All steps."""
        return self.met + self.steps

    @property
    def looks(self) -> tuple[float, ...]:
        """Fractions of all steps after which the rows are looked at: none before the dataset is met."""
        return tuple((self.met + look * self.steps) / self.total for look in LOOKS)

    @cached_property
    def rows(self) -> Samples:
        """Those of the dataset, then those of the source."""
        return self.data.train if self.source is None else self.data.train + self.source

    @cached_property
    def spec(self) -> Spec:
        """That of the dataset, with the classes of the source as further ones."""
        more = 0 if self.source is None else int(self.source.y.max()) + 1 - self.data.classes
        return replace(self.data.spec, classes=(*self.data.spec.classes, *(f"related {k}" for k in range(more))))

    def x(self, rows: Int[Tensor, " b"]) -> Float[Tensor, "b ..."]:
        """These rows in model space."""
        return self.data.spec.to_model(self.rows.x[rows])

    def some(self) -> Int[Tensor, " m"]:
        """Positions of all rows of the dataset and, of a large source, of `MOST` spread over it: what moments are taken of."""
        own, n = len(self.data.train), len(self.rows)
        return torch.cat([torch.arange(own), torch.arange(own, n, max(1, -(-(n - own) // MOST)))])

    def own(self, t: int, size: int) -> int:
        """How many rows of the t-th batch are of the dataset."""
        return size if self.source is None else 0 if t < self.met else size - round(LENT * size)

    def batch(self, t: int, size: int, *names: object) -> Int[Tensor, " b"]:
        """Positions of the t-th batch, in freshly shuffled epochs of either dataset; rows of both take turns."""
        n, own = len(self.data.train), self.own(t, size)
        mine = [cyclic(n, t - self.met, own, *names)] if own else []
        lent = [n + cyclic(len(self.rows) - n, t, size - own, *names, "source")] if own < size else []
        turn = torch.cat([torch.arange(own) / max(1, own), torch.arange(size - own) / max(1, size - own)])
        return torch.cat([*mine, *lent])[turn.argsort(stable=True)]

    def picked(self, t: int, size: int, chance: Float[Tensor, " n"]) -> Int[Tensor, " b"]:
        """Positions of the t-th batch where rows come by `chance`, from torch's global random state."""
        n, own = len(self.data.train), self.own(t, size)
        mine = [torch.multinomial(chance[:n], own, replacement=True)] if own else []
        lent = [n + torch.multinomial(chance[n:], size - own, replacement=True)] if own < size else []
        return torch.cat([*mine, *lent])

    def at(self, t: int) -> int:
        """The step within the part of the training that it belongs to."""
        return t - self.met if t >= self.met else t

    def initialise(self, t: int, *nets: nn.Module) -> None:
        """In the step in which the dataset is met, the embeddings of its classes are drawn from N(mean, variance) of those of the source's classes,
        value by value, from torch's global random state."""
        if self.source is None or t != self.met:
            return
        k, last = self.data.classes, len(self.spec.classes)
        with torch.no_grad():
            for part in (part for net in nets for part in net.modules() if isinstance(part, nn.Embedding)):
                weight = dict(part.named_parameters())["parametrizations.weight.original" if is_parametrized(part, "weight") else "weight"]
                known = weight[k:last]
                deviation = known.std(0, correction=0) if len(known) > 1 else torch.zeros_like(known[0])
                weight[:k] = known.mean(0) + deviation * torch.randn(k, weight.shape[1]).to(weight)

    def checked(self, curves: Curves) -> Curves:
        """How a training went; one that ended before the dataset was met is of no use."""
        if self.source is not None and curves.steps <= self.met:
            text = f"the time was over at step {curves.steps} of {curves.planned}, before the dataset was met: the related one comes first"
            curves.findings.append(Finding("AM202", "warning", text, {"step": curves.steps, "planned": curves.planned}))
            curves.usable = False
        return curves

    def narrowed(self, net: nn.Module, given: Mapping[str, Tensor]) -> nn.Module:
        """`net`, made for the dataset alone, with the tensors `given` of one that knows the classes of the source too. What is kept for rows of
        no class, after the last one, stays."""
        k, found = self.data.classes, {}
        for name, own in net.state_dict().items():
            value, more = given[name], len(own) - k if own.ndim else 0
            found[name] = value if value.shape == own.shape else torch.cat([value[:k], value[len(value) - more :]])
        net.load_state_dict(found)
        return net
