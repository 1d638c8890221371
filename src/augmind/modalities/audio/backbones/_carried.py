"""What the networks that packages carry have in common: their weights are read of safetensors, and they hear the stored bands."""

from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from augmind.core.errors import AugmindError, MachineError, first_line
from augmind.core.tensors import load_tensors
from augmind.modalities.audio.mel import Mel
from augmind.nn.weights import needed

Net = TypeVar("Net", bound=nn.Module)


def loaded(name: str, net: Net) -> Net:
    """The network with its weights. Raises `MachineError` where they are not on this machine or are damaged."""
    path = needed(name, "backbone") / "model.safetensors"
    try:
        net.load_state_dict(load_tensors(path))
    except (AugmindError, RuntimeError) as error:
        text = f"the weights of the backbone '{name}' cannot be read: {first_line(error)}"
        raise MachineError(text, help=f"delete '{path.parent}' and get them again with: augmind models pull {name}", code="ENV-004") from error
    return net.eval()


def power_of(x: Float[Tensor, "n 1 bands frames"]) -> Float[Tensor, "n bands frames"]:
    """Power in the bands of rows in model space, one for a sine of full scale; the floor is silence."""
    return torch.where(x > -1, 10 ** ((x.float() - 1) * 4), 0.0)[:, 0]


def bands_of(mel: Mel, *, rate: int, window: int, bands: int, lowest: float, highest: float) -> Float[Tensor, "theirs bands"]:
    """The power in each band of a network from that in the bands of rows, whose spectrum is taken to be straight between their middles.

    The network's bands are triangles of one area on Slaney's mel scale, over a transform of `window` points at `rate` samples a second.
    """
    from transformers.audio_utils import mel_filter_bank

    theirs = torch.from_numpy(mel_filter_bank(window // 2 + 1, bands, lowest, highest, rate, norm="slaney", mel_scale="slaney")).float()
    hertz = torch.linspace(0, rate / 2, window // 2 + 1)
    bins = torch.linspace(0, mel.rate / 2, mel.filters.shape[1])
    size = mel.filters.sum(1)
    middle = (mel.filters @ bins) / size
    straight = torch.from_numpy(np.stack([np.interp(hertz, middle, row) for row in torch.eye(len(middle)).numpy()], 1)).float()
    straight[hertz > mel.rate / 2] = 0
    return theirs.T @ (straight / size)
