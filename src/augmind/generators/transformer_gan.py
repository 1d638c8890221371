"""An adversarial generator made of attention: TransGAN (arXiv:2102.07074) and ViTGAN (arXiv:2107.04589), conditioned on the class."""

from dataclasses import dataclass
from typing import ClassVar, cast

from torch import nn

from augmind.core.tune import tune
from augmind.core.types import Spec
from augmind.nn.patches import TokenCritic, TokenDecoder

from ._painter import Painter
from ._steady import Steady


@dataclass(kw_only=True)
class TransformerGan(Steady):
    """Every part of a row sees every other in each of `depth` blocks; a step takes longer than one of `gan`.

    Patches that overlap are tokens; noise and class steer the normalisations of the generator; attention goes by distance (ViTGAN). The
    tokens that the generator begins with are made of noise and class (TransGAN). The game is that of `Steady`, with the augmentation and the
    penalty that these papers found necessary; the penalty is taken in every fourth step.

    `share`: the blocks are the same parameters in generator and critic; places, normalisations and both ends stay apart. As in NICE-GAN
    (arXiv:2003.00273), whose generator reads with layers of the critic, what is shared learns from the critic's loss alone, so the
    generator cannot dull the critic.
    """

    seldom: ClassVar[int] = 4

    depth: int = tune(2, 1, 8)
    share: bool = tune(False, options=(True, False))

    def _decoder(self, spec: Spec) -> TokenDecoder:
        spectral = self.spectral and self.share
        return TokenDecoder(spec.shape, self.latent, len(spec.classes), self.width, self.depth, spec.bounded, spectral)

    def _critic(self, spec: Spec, painter: Painter) -> nn.Module:
        shared = cast(TokenDecoder, painter.decoder).blocks if self.share else None
        return TokenCritic(spec.shape, len(spec.classes), self.width, self.depth, self.spectral, shared)
