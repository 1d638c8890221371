"""How far waves are from others, in decibels: what a way from spectrograms back to waves loses."""

from jaxtyping import Float
from torch import Tensor

from .mel import FLOOR, TINY, Mel


def spectral_distance(mel: Mel, waves: Float[Tensor, "n samples"], true: Float[Tensor, "n samples"]) -> Float[Tensor, " n"]:
    """Log-spectral distance (Gray and Markel 1976): root mean square over the bins of a column, in the mean over columns.

    Both are `mel.samples` long and lie on the same moments; columns are those of `mel.columns` in which the true wave sounds. All that is
    less than `FLOOR` counts as `FLOOR`.
    """
    return apart(mel.columns(waves).abs().square(), mel.columns(true).abs().square())


def mel_distance(mel: Mel, waves: Float[Tensor, "n samples"], true: Float[Tensor, "n samples"]) -> Float[Tensor, " n"]:
    """The same over the bands that rows hold."""
    return apart(mel.power(waves), mel.power(true))


def apart(power: Float[Tensor, "n places frames"], true: Float[Tensor, "n places frames"]) -> Float[Tensor, " n"]:
    """Root mean square over places of differences in decibels, in the mean over frames that sound in truth; 0 without any."""
    a, b = ((10 * p.clamp(min=TINY).log10()).clamp(min=FLOOR) for p in (power, true))
    sounds = (b > FLOOR).any(1)
    return ((a - b).square().mean(1).sqrt() * sounds).sum(1) / sounds.sum(1).clamp(min=1)
