"""Posteriors of an autoencoder's training rows: kept sorted by class, and drawn from or between."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from augmind.core.seeds import in_chunks, row_noise

REMEMBERED = 256
"""At most so many rows of a class are kept as posteriors."""
MARGIN = 0.35
"""Between two rows a latent keeps this part of the way from either, so that it repeats neither. Of 120 rows drawn from 24 to 48 rows
of Fashion-MNIST the screens kept 50 (0.35) against 35 (0.25), of which 1 % and 8 % were near duplicates of a training row."""


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
