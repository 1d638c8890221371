"""Generative adversarial nets as they were published (Goodfellow et al. 2014, arXiv:1406.2661), on the networks of DCGAN."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from augmind.core.loop import autocast
from augmind.core.tune import tune

from ._painter import Played, Scores


def critic_loss(real: Float[Tensor, " b"], fake: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """-E[log D(x)] - E[log(1 - D(G(z)))] from the logits of D."""
    return softplus(-real).mean() + softplus(fake).mean()


def minimax(fake: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """E[log(1 - D(G(z)))], what the generator lowers in the game of value zero; its slope vanishes where the critic is sure."""
    return -softplus(fake).mean()


def non_saturating(fake: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """-E[log D(G(z))], the paper's own remedy."""
    return softplus(-fake).mean()


LOSSES = {"non-saturating": non_saturating, "minimax": minimax}


@dataclass(kw_only=True)
class VanillaGan(Played):
    """The plain game: no penalty, no average of weights, no augmentation of what the critic sees. For comparisons; with few rows `gan` is better.

    `loss` is what the generator lowers; `critic_steps` is the paper's k.
    """

    betas: ClassVar[tuple[float, float]] = (0.5, 0.999)

    loss: str = tune("non-saturating", options=tuple(LOSSES))

    def judged(self, scores: Scores, real: Float[Tensor, "b ..."], fake: Float[Tensor, "b ..."]) -> dict[str, Float[Tensor, ""]]:
        with autocast(real.device):
            return {"critic": critic_loss(scores(real), scores(fake))}

    def painted(self, scores: Float[Tensor, " b"]) -> Float[Tensor, ""]:
        return LOSSES[self.loss](scores)
