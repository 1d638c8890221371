"""Posteriors of an autoencoder: those of training rows, kept sorted by class and drawn from or between, and those of learnt rows as a prior."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from augmind.core.seeds import in_chunks, row_noise

REMEMBERED = 256
"""At most so many rows of a class are kept as posteriors."""
MARGIN = 0.35
"""Between two rows a latent keeps this part of the way from either, so that it repeats neither. Of 120 rows drawn from 24 to 48 rows
of Fashion-MNIST the screens kept 50 (0.35) against 35 (0.25), of which 1 % and 8 % were near duplicates of a training row."""

APART = 0.5
"""Deviation of the noise on the real rows that pseudo-inputs start from, at the network's scale. With 0.1 a prior of 8 components, learnt from
50 rows of each class of Fashion-MNIST, drew copies of these rows; with 0.5 it did not."""


def divergence(mean: Float[Tensor, "b l"], log_variance: Float[Tensor, "b l"]) -> Float[Tensor, "b l"]:
    """KL(N(mean, variance) || N(0, 1)) of each dimension, in nats."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1)


@torch.no_grad()
def remembered(
    encode: Callable[[Tensor, Tensor], Tensor], x: Shaped[Tensor, "n ..."], y: Int[Tensor, " n"], classes: int
) -> tuple[Float[Tensor, "2 m l"], Int[Tensor, " k1"]]:
    """Means and log-variances of training rows sorted by class, and where each class begins (classes + 1). `encode` gives (b, 2, l)."""
    rows = torch.cat([(y == k).nonzero().squeeze(1)[:REMEMBERED] for k in range(classes)])
    posteriors = in_chunks(encode, x[rows], y[rows]).transpose(0, 1).contiguous()
    return posteriors, torch.cat([torch.zeros(1, dtype=torch.long), torch.bincount(y[rows], minlength=classes).cumsum(0)])


def recalled(
    posteriors: Float[Tensor, "2 m l"], starts: Int[Tensor, " k1"], y: Int[Tensor, " n"], seeds: Int[Tensor, " n"], *, neighbours: bool
) -> Float[Tensor, "n l"]:
    """Latents from the posterior of a training row of the class, or between two of them (`neighbours`); row i is a function of (y[i], seeds[i]).

    A class without training rows gets N(0, 1).
    """
    noise = row_noise(seeds, (posteriors.shape[2],))
    count, start = starts.diff()[y], starts[y]
    if not len(posteriors[0]):
        return noise
    a, b, part = (torch.special.ndtr(row_noise(seeds, (3,), salt=1)) * 0.999999).unbind(1)
    first = (a * count).long()
    second = (first + 1 + (b * (count - 1)).long()) % count.clamp(min=1)
    part = MARGIN + (1 - 2 * MARGIN) * part if neighbours else torch.zeros_like(part)
    last = len(posteriors[0]) - 1
    mean, log_variance = torch.lerp(
        posteriors[:, (start + first).clamp(max=last)],
        posteriors[:, (start + second).clamp(max=last)],
        part[None, :, None],
    )
    return torch.where(count[:, None] > 0, mean + (0.5 * log_variance).exp() * noise, noise)


def log_normal(z: Float[Tensor, "*#b l"], mean: Float[Tensor, "*#b l"], log_variance: Float[Tensor, "*#b l"]) -> Float[Tensor, "*b"]:
    """Nats of z under N(mean, variance), dimensions independent."""
    return -0.5 * (math.log(2 * math.pi) + log_variance + (z - mean).square() / log_variance.exp()).sum(-1)


class Vamp(nn.Module):
    """A mixture of posteriors as the prior (VampPrior, arXiv:1705.07120) of each class: p(z|y) = 1/K sum_k q(z | u_k^y, y).

    The pseudo-inputs u (`rows`, K for each class, at the network's scale) are learnt with everything else. They start from real rows of the class,
    or of any class where it has none, plus noise; where rows are bounded they stay in [-1, 1].
    """

    labels: Tensor

    def __init__(self, x: Float[Tensor, "n ..."], y: Int[Tensor, " n"], classes: int, components: int, bounded: bool) -> None:
        super().__init__()
        self.bounded, self.shape = bounded, (classes, components)
        picked = []
        for k in range(classes):
            own = (y == k).nonzero().squeeze(1) if (y == k).any() else torch.arange(len(y), device=y.device)
            order = own[torch.randperm(len(own)).to(own)]
            picked.append(order[torch.arange(components) % len(order)])
        start = x[torch.cat(picked)]
        self.rows = nn.Parameter(start + APART * torch.randn(start.shape).to(start))
        self.register_buffer("labels", torch.arange(classes).repeat_interleave(components))

    def forward(self) -> tuple[Float[Tensor, "m ..."], Int[Tensor, " m"]]:
        """Pseudo-inputs, class by class, and their labels."""
        return self.rows.clamp(-1, 1) if self.bounded else self.rows, self.labels

    def beside(self, x: Float[Tensor, "b ..."], y: Int[Tensor, " b"]) -> tuple[Float[Tensor, "bm ..."], Int[Tensor, " bm"]]:
        """Rows and labels, then those of `forward`: for an encoder that normalises over its batch."""
        return torch.cat([x, self()[0]]), torch.cat([y, self.labels])

    def log_prob(
        self, z: Float[Tensor, "b l"], y: Int[Tensor, " b"], mean: Float[Tensor, "m l"], log_variance: Float[Tensor, "m l"]
    ) -> Float[Tensor, " b"]:
        """log p(z|y), where `mean` and `log_variance` are those of the posteriors of `forward`."""
        mean, log_variance = (v.unflatten(0, self.shape)[y] for v in (mean, log_variance))
        return log_normal(z[:, None], mean, log_variance).logsumexp(1) - math.log(self.shape[1])
