"""A class-conditional variational autoencoder (arXiv:1312.6114; conditional: Sohn, Lee, Yan, NeurIPS 2015)."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from augmind.core.feed import cyclic
from augmind.core.loop import autocast, cosine, descend
from augmind.core.plugin import Latent
from augmind.core.run import Run
from augmind.core.seeds import in_chunks, row_noise, seeded
from augmind.core.tune import tune
from augmind.core.types import Data, Spec
from augmind.nn.decoders import decoder
from augmind.nn.encoders import encoder
from augmind.nn.gaussian import ClassGaussian
from augmind.nn.posteriors import Vamp, divergence, log_normal, recalled, remembered
from augmind.nn.standard import Standard
from augmind.nn.watch import watch


class Autoencoder(nn.Module):
    """q(z | x, y) and p(x | z, y), both conditioned on the class."""

    def __init__(self, spec: Spec, width: int, latent: int) -> None:
        super().__init__()
        classes = len(spec.classes)
        self.standard = Standard(spec)
        self.encoder = encoder(spec.shape, width)
        self.label = nn.Embedding(classes, latent)
        self.head = nn.Linear(self.encoder.features + latent, 2 * latent)
        self.decoder = decoder(spec.shape, latent, classes, width, spec.bounded)

    def posterior(self, x: Float[Tensor, "b ..."], y: Int[Tensor, " b"]) -> tuple[Float[Tensor, "b l"], Float[Tensor, "b l"]]:
        """Mean and log-variance of z, for rows at the network's scale."""
        mean, log_variance = self.head(torch.cat([self.encoder(x), self.label(y)], 1)).float().chunk(2, 1)
        return mean, log_variance.clamp(-12, 6)


def kl(mean: Float[Tensor, "b l"], log_variance: Float[Tensor, "b l"]) -> Float[Tensor, ""]:
    """KL(N(mean, variance) || N(0, 1)) in nats, averaged over rows."""
    return divergence(mean, log_variance).sum(1).mean()


def sampled_kl(
    z: Float[Tensor, "b l"], mean: Float[Tensor, "b l"], log_variance: Float[Tensor, "b l"], log_prior: Float[Tensor, " b"]
) -> Float[Tensor, ""]:
    """KL(N(mean, variance) || prior) in nats, averaged over rows, estimated from one z a row that was drawn from N(mean, variance)."""
    return (log_normal(z, mean, log_variance) - log_prior).mean()


def gaussian_nll(reconstruction: Float[Tensor, "b ..."], x: Float[Tensor, "b ..."]) -> Float[Tensor, ""]:
    """Nats per row, up to a constant, under N(reconstruction, s^2) with the one s that fits this batch best (arXiv:2006.13202).

    s is at least one stored step of a bounded row, so that a perfect fit does not silence the prior.
    """
    mse = (reconstruction - x).square().mean()
    floor = mse.new_tensor(1 / 127.5**2)
    return 0.5 * x[0].numel() * (torch.maximum(mse.detach(), floor).log() + mse / torch.maximum(mse.detach(), floor))


@dataclass(kw_only=True)
class Vae(Latent):
    """Quick and stable; its rows are soft but varied.

    The likelihood is a Gaussian around a bounded (tanh) mean with one shared, optimal deviation (sigma-VAE). `draw` says
    where latents come from: the prior N(0, 1); the posterior of a training row; between the posteriors of two training
    rows of the class, which gives by far the best rows when data are few; or a density that was fitted to the latents of
    the training rows, a Gaussian around each class mean (two-stage VAE, arXiv:1903.05789); or the VampPrior
    (arXiv:1705.07120), which replaces N(0, 1) in the training too by a mixture of the posteriors of `components` learnt
    rows a class. A class without training rows uses the prior, or the mean of all.
    `warmup` is the part of the training over which the KL term grows linearly to `beta`.
    """

    steps: int = tune(1000, 50, 20_000, log=True)
    batch: int = tune(64, 8, 256, log=True)
    lr: float = tune(2e-3, 1e-4, 1e-2, log=True)
    width: int = tune(32, 8, 128, log=True)
    latent: int = tune(32, 4, 128, log=True)
    beta: float = tune(1.0, 0.1, 4.0, log=True)
    warmup: float = tune(0.25, 0.0, 0.5)
    draw: str = tune("interpolate", options=("prior", "posterior", "interpolate", "density", "vamp"))
    components: int = tune(8, 1, 64, log=True)

    def fit(self, data: Data, run: Run) -> "Vae":
        self.require(data.spec)
        x, y = data.spec.to_model(data.train.x), data.train.y
        with seeded(run.seed_for("vae", "weights")):
            net = self._build(data.spec).to(run.device)
            net.standard.fit(x)
            vamp = self._vamp(data, net.standard(x.to(run.device))).to(run.device) if self.draw == "vamp" else None
        parts: dict[str, nn.Module] = {"net": net} if vamp is None else {"net": net, "vamp": vamp}
        adam = torch.optim.AdamW([p for part in parts.values() for p in part.parameters()], lr=self.lr, weight_decay=1e-3)

        def step(t: int) -> dict[str, Tensor]:
            net.train()
            rows = cyclic(len(y), t, self.batch, run.seed, "vae")
            real, label = net.standard(x[rows].to(run.device)), y[rows].to(run.device)
            with autocast(run.device):
                found = net.posterior(real, label) if vamp is None else net.posterior(*vamp.beside(real, label))
                mean, log_variance = (v[: len(label)] for v in found)
                z = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape).to(run.device)
                back = net.decoder(z, label)
            losses = {"reconstruction": gaussian_nll(back, real)}
            if vamp is None:
                losses["kl"] = kl(mean, log_variance)
            else:
                losses["kl"] = sampled_kl(z, mean, log_variance, vamp.log_prob(z, label, *(v[len(label) :] for v in found)))
            loss = losses["reconstruction"] + self.pressure(t) * losses["kl"]
            adam.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1000.0)
            adam.step()
            return losses

        def look(y: Tensor, seeds: Tensor) -> Tensor:
            self._remember(data, vamp)
            return self.sample(y, seeds)

        self.curves_ = descend(
            step,
            parts | {"adam": adam},
            steps=self.steps,
            run=run,
            name=self.name(),
            rate=lambda t: cosine(t, self.steps),
            watch=watch(look, data, run),
        )
        self._remember(data, vamp)
        return self

    def _vamp(self, data: Data, x: Float[Tensor, "n ..."]) -> Vamp:
        return Vamp(x, data.train.y, data.classes, self.components, data.spec.bounded and x.ndim == 4)

    def pressure(self, t: int) -> float:
        """The weight of the KL term at step t."""
        return self.beta * min(1.0, t / max(1.0, self.warmup * self.steps))

    def _build(self, spec: Spec) -> Autoencoder:
        self.spec_ = spec
        self.net_ = Autoencoder(spec, self.width, self.latent)
        return self.net_

    def _remember(self, data: Data, vamp: Vamp | None) -> None:
        """Keeps what latents are drawn from: the posteriors of the training rows, or those of the learnt rows."""
        net, device = self.net_.eval(), next(self.net_.parameters()).device

        def encode(x: Tensor, y: Tensor) -> Tensor:
            x = net.standard(data.spec.to_model(x).to(device)) if vamp is None else x.to(device)
            return torch.stack(net.posterior(x, y.to(device)), 1).cpu()

        x, y = (data.train.x, data.train.y) if vamp is None else (v.detach().cpu() for v in vamp())
        self.posteriors_, self.starts_ = remembered(encode, x, y, data.classes)
        self._fit_density(data.classes)

    def _fit_density(self, classes: int) -> None:
        """The density of latents: of the means of the posteriors, widened by their mean variance."""
        mean, log_variance = self.posteriors_
        y = torch.arange(classes).repeat_interleave(self.starts_.diff())
        found = ClassGaussian.fit(mean, y, classes, self.latent - 1)
        own = log_variance.exp().mean()
        self.density_ = replace(found, variance=found.variance + own, floor=found.floor + own)

    def latents(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n l"]:
        """Latents by `draw`: row i is a function of (y[i], seeds[i])."""
        if self.draw == "prior":
            return row_noise(seeds, (self.latent,))
        if self.draw == "density":
            return self.density_.draw(y, row_noise(seeds, (self.latent,)))
        return recalled(self.posteriors_, self.starts_, y, seeds, neighbours=self.draw == "interpolate")

    @torch.no_grad()
    def decode(self, z: Float[Tensor, "n l"], y: Int[Tensor, " n"] | Float[Tensor, "n k"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n ..."]:
        net = self.net_.eval()
        device = next(net.parameters()).device

        def shown(z: Tensor, y: Tensor) -> Tensor:
            return net.standard.undo(net.decoder(z.to(device), y.to(device))).cpu()

        return in_chunks(shown, z, y)

    def state(self) -> dict[str, Tensor]:
        kept = {f"net/{k}": v for k, v in self.net_.state_dict().items() if not k.startswith(("encoder.", "head.", "label."))}
        return kept | {"posteriors": self.posteriors_, "starts": self.starts_}

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Vae":
        self.require(spec)
        self._build(spec).load_state_dict({k[4:]: v for k, v in state.items() if k.startswith("net/")}, strict=False)
        self.posteriors_, self.starts_ = state["posteriors"], state["starts"]
        self._fit_density(len(spec.classes))
        return self
