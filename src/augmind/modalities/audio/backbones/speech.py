"""Google's speech embedding (Lin et al. 2020, arXiv:2002.01322; Apache-2.0): a small network over spectrograms that has heard much speech."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, max_pool2d, pad

from augmind.core.errors import MachineError
from augmind.core.store import write_json
from augmind.core.tensors import save_tensors
from augmind.core.types import Spec
from augmind.modalities.audio.mel import HOP_SECONDS, Mel

from ._carried import bands_of, loaded, power_of

NAME = "speech"
RATE, WINDOW, BANDS, LOWEST, HIGHEST = 16_000, 512, 32, 60.0, 3800.0
"""Samples a second, points of the transform and bands that the network was trained on: it hears nothing above 3.8 kHz."""
FULL = 10 * np.log10((32768 * 200 / 2) ** 2)
"""Decibels of a sine of full scale as it was trained to see it: whole numbers of 16 bits under a Hann window of 400."""
RANGE = 80.0
"""Decibels below the loudest place of a row, where its silence lies."""
COLUMNS = 148
"""Columns that a row is widened to with silence: ten windows of 0.76 s, 0.08 s apart."""
CHANNELS = (24, 24, 24, 48, 48, 48, 48, 72, 72, 72, 72, 96, 96, 96, 96, 96, 96, 96, 96, 96)
POOLS = {2: (2, 2), 6: (1, 2), 10: (2, 2), 14: (1, 2), 18: (2, 2)}
"""Maximum over (columns, bands) after a convolution."""


class Speech:
    """Mean and maximum over windows of 0.76 s, 192 wide. Raises `MachineError` where its weights are not on this machine or are damaged."""

    width: int = 2 * CHANNELS[-1]
    name: str = NAME

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.module = loaded(NAME, Net())
        mel = Mel(rate=spec.rate, bands=spec.shape[1], frames=spec.shape[2])
        self.bands = bands_of(mel, rate=RATE, window=WINDOW, bands=BANDS, lowest=LOWEST, highest=HIGHEST)

    def features(self, x: Float[Tensor, "n 1 bands frames"]) -> Float[Tensor, "n 192"]:
        """Rows in model space; decibels of theirs are made of ours, without waves."""
        device = next(self.module.parameters()).device
        found = self.module(self.heard(x.float()).to(device))
        return torch.cat([found.mean(2), found.amax(2)], 1).float()

    def heard(self, x: Float[Tensor, "n 1 bands frames"]) -> Float[Tensor, "n 1 columns 32"]:
        """What the network sees: tenths of decibels, silence at both ends of short rows."""
        decibels = 10 * torch.einsum("ab,nbt->nta", self.bands.to(x), power_of(x)).clamp(min=1e-10).log10() + FULL
        low = decibels.amax((1, 2), keepdim=True) - RANGE
        short = max(0, COLUMNS - x.shape[-1])
        wide = torch.maximum(pad(decibels, (0, 0, short // 2, short - short // 2), value=-torch.inf), low)
        return (wide / 10 + 2)[:, None]


class Net(nn.Module):
    """Twenty convolutions, in turn over columns and bands, without padding of the columns: one answer for 76 of them, and for every 8 more."""

    def __init__(self) -> None:
        super().__init__()
        last = len(CHANNELS) - 1
        sizes = [(3, 3), *((1, 3) if i % 2 else (3, 1) for i in range(1, last)), (3, 1)]
        around = zip((1, *CHANNELS), CHANNELS, sizes, strict=False)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, size, padding=(0, size[1] // 2), bias=i < last) for i, (a, b, size) in enumerate(around))

    def forward(self, x: Float[Tensor, "n 1 columns 32"]) -> Float[Tensor, "n 96 windows"]:
        for i, conv in enumerate(self.convs):
            x = conv(x)
            if i < len(CHANNELS) - 1:
                x = leaky_relu(x, 0.2).clamp(min=-0.4)
            if i in POOLS:
                x = max_pool2d(x, POOLS[i])
        return x[..., 0]


def safetensors_of(source: Path, folder: Path) -> None:
    """Writes the network of an ONNX file as `folder`/model.safetensors; nothing in it is run. Raises `MachineError` without the package onnx."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise MachineError(
            "the package onnx, which reads this model once, is not installed", help="pip install 'augmind[audio]'", code="ENV-004"
        ) from error
    graph = onnx.load(str(source), load_external_data=False).graph
    known = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    found = {}
    for i, node in enumerate(n for n in graph.node if n.op_type == "Conv"):
        for part, name in zip(("weight", "bias"), list(node.input)[1:], strict=False):
            found[f"convs.{i}.{part}"] = torch.from_numpy(known[name].copy())
    Net().load_state_dict(found)
    folder.mkdir(parents=True)
    save_tensors(folder / "model.safetensors", found)
    write_json(folder / "config.json", {"architecture": "speech_embedding", "hop_seconds": HOP_SECONDS})
