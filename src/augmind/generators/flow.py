"""A class-conditional normalising flow, by zuko: an exact density of the rows, and rows drawn from it."""

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from augmind.core.feed import cyclic
from augmind.core.loop import cosine, descend
from augmind.core.plugin import Latent
from augmind.core.run import Finding, Run
from augmind.core.seeds import in_chunks, row_noise, seeded
from augmind.core.tune import tune
from augmind.core.types import Data, Samples, Spec
from augmind.nn.ema import ema
from augmind.nn.gaussian import ClassGaussian
from augmind.nn.labels import of_class
from augmind.nn.watch import watch

KINDS = ("realnvp", "nsf", "maf")


class Density(nn.Module):
    """p(x | y) of rows as vectors: a flow along the axes on which rows vary most, a Gaussian across them.

    Axes are those of the covariance within classes (`ClassGaussian`), scaled to deviation one, so the flow begins at the Gaussian of linear
    discriminant analysis and learns what that cannot say. The density is one of the whole row: log p(x) = log p(along) + log p(across).
    """

    def __init__(self, kind: str, gaussian: dict[str, Tensor], transforms: int, hidden: int) -> None:
        super().__init__()
        import zuko

        for name, value in gaussian.items():
            self.register_buffer(name, value)
        self.mean: Tensor
        self.basis: Tensor
        self.variance: Tensor
        self.floor: Tensor
        classes, rank = len(self.mean) - 1, self.basis.shape[1]
        made: dict[str, Any] = {"realnvp": zuko.flows.RealNVP, "nsf": zuko.flows.NSF, "maf": zuko.flows.MAF}
        own = {"passes": 2} if kind == "nsf" else {}  # couplings, from which rows are drawn at once
        self.flow = made[kind](rank, classes, transforms=transforms, hidden_features=(hidden, hidden), **own)

    @property
    def deviation(self) -> Float[Tensor, " r"]:
        return self.variance.sqrt()

    def given(self, y: Int[Tensor, " b"] | Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        return y if y.is_floating_point() else nn.functional.one_hot(y, len(self.mean) - 1).float()

    def along(self, x: Float[Tensor, "b d"], y: Int[Tensor, " b"]) -> Float[Tensor, "b r"]:
        """Places on the axes, as seen from the mean of the class."""
        return (x - self.mean[y]) @ self.basis / self.deviation

    def log_prob(self, x: Float[Tensor, "b d"], y: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        """Nats of each row."""
        off, u = x - self.mean[y], self.along(x, y)
        inside = self.flow(self.given(y)).log_prob(u) - self.deviation.log().sum()
        left, free = (off.square().sum(1) - (off @ self.basis).square().sum(1)).clamp(min=0), x.shape[1] - self.basis.shape[1]
        return inside - 0.5 * (left / self.floor + free * (2 * torch.pi * self.floor).log())

    def draw(self, y: Int[Tensor, " b"] | Float[Tensor, "b k"], noise: Float[Tensor, "b d"], temperature: float) -> Float[Tensor, "b d"]:
        """Rows from standard normal noise; its part along the axes goes through the flow."""
        first = noise @ self.basis
        across = noise - first @ self.basis.T
        u = self.flow(self.given(y)).transform.inv(temperature * first)
        return of_class(self.mean, y) + (u * self.deviation) @ self.basis.T + temperature * self.floor.sqrt() * across


@dataclass(kw_only=True)
class Flow(Latent):
    """The only generator that says how likely a row is: log-likelihoods of held-out rows are exact, and reported.

    `kind` is the layer: affine couplings (RealNVP, arXiv:1605.08803), monotonic splines (neural spline flows, arXiv:1906.04032) or masked
    autoregression (MAF, arXiv:1705.07057, slow to draw from). At most `rank` axes go through it; across them rows are Gaussian (see `Density`).
    `noise` is added to the rows that are learnt from, in deviations of the axes: few rows would otherwise be learnt by heart. `temperature` below 1
    draws nearer to the middle (arXiv:1807.03039).
    """

    steps: int = tune(1000, 50, 20_000, log=True)
    batch: int = tune(64, 8, 512, log=True)
    lr: float = tune(1e-3, 1e-4, 1e-2, log=True)
    width: int = tune(64, 16, 512, log=True)
    kind: str = tune("nsf", options=KINDS)
    transforms: int = tune(3, 1, 8)
    rank: int = tune(32, 2, 128, log=True)
    noise: float = tune(0.3, 0.0, 1.0)
    temperature: float = tune(1.0, 0.3, 1.2)

    def fit(self, data: Data, run: Run) -> "Flow":
        self.require(data.spec)
        x, y = self.rows(data.spec, data.train), data.train.y
        gaussian = ClassGaussian.fit(x, y, data.classes, max(2, min(self.rank, len(x) - 1, x.shape[1] - 1)))
        with seeded(run.seed_for("flow", "weights")):
            net = self._build(data.spec, gaussian.state()).to(run.device)
        average = ema(net, 0.99)
        adam = torch.optim.AdamW(net.flow.parameters(), lr=self.lr, weight_decay=1e-3)
        x = x.to(run.device)
        self.net_ = cast(Density, average.module)

        def step(t: int) -> dict[str, Tensor]:
            at = cyclic(len(y), t, self.batch, run.seed, "flow")
            own = y[at].to(run.device)
            u = net.along(x[at], own)
            u = u + self.noise * torch.randn(u.shape).to(u)
            loss = -net.flow(net.given(own)).log_prob(u).mean()
            adam.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.flow.parameters(), 5.0)
            adam.step()
            average.update_parameters(net)
            return {"nats along the axes": loss}

        self.curves_ = descend(
            step,
            {"net": net, "average": average, "adam": adam},
            steps=self.steps,
            run=run,
            name=self.name(),
            rate=lambda t: cosine(t, self.steps),
            watch=watch(self.sample, data, run),
        )
        name, part = ("held-out rows", data.val) if len(data.val) else ("the rows that it learnt from", data.train)
        self.curves_.findings.append(self.told(name, self.log_prob(part)))
        return self

    def told(self, which: str, nats: Float[Tensor, " n"]) -> Finding:
        """AM233: how likely rows are."""
        values = self.net_.mean.shape[1]
        bits = -float(nats.mean()) / values / math.log(2)
        text = f"flow: {which} have a log-likelihood of {float(nats.mean()):,.1f} nats in the mean, {bits:+.2f} bits a value"
        return Finding("AM233", "info", text, {"nats": float(nats.mean()), "bits_per_value": bits, "rows": which})

    def rows(self, spec: Spec, samples: Samples) -> Float[Tensor, "n d"]:
        return spec.to_model(samples.x).flatten(1)

    def _build(self, spec: Spec, gaussian: dict[str, Tensor]) -> Density:
        self.spec_ = spec
        self.net_ = Density(self.kind, gaussian, self.transforms, self.width)
        return self.net_

    @torch.no_grad()
    def log_prob(self, samples: Samples) -> Float[Tensor, " n"]:
        """Natural logarithm of the density at each row, in model space, given its class: exact, by the change of variables."""
        net = self.net_.eval()
        device = net.mean.device
        x = self.rows(self.spec_, samples)
        return in_chunks(lambda x, y: net.log_prob(x.to(device), y.to(device)).cpu(), x, samples.y)

    def latents(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n l"]:
        return row_noise(seeds, (self.net_.mean.shape[1],))

    @torch.no_grad()
    def decode(self, z: Float[Tensor, "n l"], y: Int[Tensor, " n"] | Float[Tensor, "n k"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n ..."]:
        net = self.net_.eval()
        device = net.mean.device
        x = in_chunks(lambda z, y: net.draw(y.to(device), z.to(device), self.temperature).cpu(), z, y).view(-1, *self.spec_.shape)
        return x.clamp(-1, 1) if self.spec_.bounded else x

    def state(self) -> dict[str, Tensor]:
        return {k: v.cpu() for k, v in self.net_.state_dict().items()}

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Flow":
        self.require(spec)
        gaussian = {k: state[k] for k in ("mean", "basis", "variance", "floor")}
        self._build(spec, gaussian).load_state_dict(state)
        return self
