"""Wasserstein GAN with a gradient penalty (arXiv:1704.00028), on the networks of DCGAN."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.tune import tune

from ._painter import Played, Scores


def slope_penalty(judge: Scores, real: Float[Tensor, "b ..."], fake: Float[Tensor, "b ..."]) -> Float[Tensor, ""]:
    """E[(|gradient of the critic| - 1)^2] at random places between real and drawn rows."""
    place = torch.rand(len(real), *[1] * (real.ndim - 1)).to(real)
    between = torch.lerp(real, fake, place).requires_grad_()
    (gradient,) = torch.autograd.grad(judge(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


@dataclass(kw_only=True)
class WganGp(Played):
    """The critic estimates a distance instead of a chance, so its loss says how far the generator is; slow, since it takes several steps for one.

    `penalty` is the paper's lambda, `critic_steps` its n_critic. The critic has no normalisation over the batch, as the paper asks for.
    """

    betas: ClassVar[tuple[float, float]] = (0.0, 0.9)

    steps: int = tune(1000, 50, 50_000, log=True)
    lr: float = tune(4e-4, 1e-5, 4e-3, log=True)
    critic_steps: int = tune(3, 1, 10)
    penalty: float = tune(10.0, 0.1, 100.0, log=True)

    def judged(self, scores: Scores, real: Float[Tensor, "b ..."], fake: Float[Tensor, "b ..."]) -> dict[str, Float[Tensor, ""]]:
        distance = scores(real).mean() - scores(fake).mean()
        return {"critic": self.penalty * slope_penalty(scores, real, fake) - distance, "distance": distance}

    def painted(self, scores: Float[Tensor, " b"]) -> Float[Tensor, ""]:
        return -scores.mean()
