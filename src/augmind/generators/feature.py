"""A Gaussian per class in feature space: the cheapest generator, in closed form."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from augmind.core.loop import Curves
from augmind.core.plugin import Latent, Space
from augmind.core.run import Run
from augmind.core.seeds import in_chunks, row_noise
from augmind.core.tune import tune
from augmind.core.types import Data, Knowledge, Spec
from augmind.nn.calibrated import Calibrated
from augmind.nn.gaussian import ClassGaussian

COVARIANCES: dict[str, type[ClassGaussian | Calibrated]] = {"shared": ClassGaussian, "calibrated": Calibrated}


@dataclass(kw_only=True)
class Feature(Latent):
    """Class means with one covariance shared by all classes, shrunk by Ledoit and Wolf's rule; fits in about a second.

    The Gaussian of linear discriminant analysis, drawn from instead of decided with (its uses in feature space:
    arXiv:1909.12220, arXiv:2101.06395). `spread` scales the covariance. At most `rank` directions keep their own variance;
    the others share the rest, so the state stays small and a row costs O(rank) per feature. The classes of a related dataset lend their share of the
    covariance, as if they were classes of the dataset (the borrowed statistics of arXiv:2101.06395).

    `covariance` "calibrated" gives each class a covariance of its own, shrunk towards the shared one the more, the fewer rows it has
    (`nn.calibrated`). What infinitely many of these rows would teach a linear head is the transfer `isda` with `around` "means": the twin that
    samples nothing.
    """

    axes: ClassVar[tuple[int, ...]] = (1,)
    space: ClassVar[Space] = "features"
    borrows: ClassVar[bool] = True
    knowledge: ClassVar[Knowledge] = Knowledge.pretrained

    spread: float = tune(1.0, 0.1, 2.0)
    rank: int = tune(128, 8, 512, log=True)
    covariance: str = tune("shared", options=tuple(COVARIANCES))

    def fit(self, data: Data, run: Run) -> "Feature":
        self.require(data.spec)
        self.spec_, self.curves_ = data.spec, Curves()
        rows = data.train if data.source is None else data.train + data.source
        self.gaussian_ = COVARIANCES[self.covariance].fit(data.spec.to_model(rows.x), rows.y, data.classes, self.rank)
        return self

    def latents(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
        return row_noise(seeds, self.spec_.shape)

    @torch.no_grad()
    def decode(self, z: Float[Tensor, "n d"], y: Int[Tensor, " n"] | Float[Tensor, "n k"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
        return in_chunks(lambda z, y: self.gaussian_.draw(y, z, self.spread), z, y)

    def state(self) -> dict[str, Tensor]:
        return self.gaussian_.state()

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Feature":
        self.require(spec)
        self.spec_, self.gaussian_ = spec, COVARIANCES[self.covariance](**state)
        return self
