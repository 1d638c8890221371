"""How far waves are from others, in decibels, and how well they are understood: what a way from spectrograms back to waves loses."""

import warnings
from importlib.util import find_spec

from jaxtyping import Float
from torch import Tensor

from .mel import FLOOR, TINY, Mel

LEAST_SECONDS = 1.0
"""Of all waves together, for intelligibility to be measured."""


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


def intelligibility(waves: Float[Tensor, "n samples"], true: Float[Tensor, "n samples"], rate: int) -> float | None:
    """Short-time objective intelligibility (STOI, Taal et al. 2011), up to 1, of waves said one after the other beside the true ones; None where
    the package that measures it is not installed, or where they are too short for it."""
    if find_spec("pystoi") is None or true.numel() < LEAST_SECONDS * rate:
        return None
    from pystoi import stoi

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = float(stoi(true.flatten().numpy(), waves.flatten().numpy(), rate))
    return None if any("frames" in str(w.message) for w in told) else found
