"""Resemblyzer's encoder of speakers (Wan et al. 2018, arXiv:1710.10467; Apache-2.0): features of whose voice it is, hardly of what is said."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from augmind.core.errors import DataError, first_line
from augmind.core.store import write_json
from augmind.core.tensors import save_tensors
from augmind.core.types import Spec
from augmind.modalities.audio.mel import Mel

from ._carried import bands_of, loaded, power_of

NAME = "speaker"
RATE, WINDOW, BANDS = 16_000, 400, 40
"""Samples a second, samples under a window and bands of the spectrograms that the network was trained on; columns are 10 ms apart, as ours."""
FULL = (WINDOW / 4) ** 2
"""Power of a sine of full scale as it was trained to see it, under a Hann window that is not divided by its sum."""
COLUMNS, STEP, COVERED = 160, 77, 0.75
"""Columns of the piece that is heard at once, from one piece to the next, and how much of a last one the row has to fill."""
WIDTH, LAYERS = 256, 3


class Speaker:
    """The mean over pieces of 1.6 s, of length one, 256 wide. Raises `MachineError` where its weights are not on this machine or are damaged."""

    width: int = WIDTH
    name: str = NAME

    def __init__(self, spec: Spec) -> None:
        self.module = loaded(NAME, Net())
        mel = Mel(rate=spec.rate, bands=spec.shape[1], frames=spec.shape[2])
        self.bands = bands_of(mel, rate=RATE, window=WINDOW, bands=BANDS, lowest=0.0, highest=RATE / 2) * FULL

    def features(self, x: Float[Tensor, "n 1 bands frames"]) -> Float[Tensor, "n 256"]:
        """Rows in model space."""
        pieces = self.heard(x).to(next(self.module.parameters()).device)
        found = self.module(pieces.flatten(0, 1)).unflatten(0, pieces.shape[:2])
        return normalize(found.mean(1), dim=1).float()

    def heard(self, x: Float[Tensor, "n 1 bands frames"]) -> Float[Tensor, "n pieces 160 40"]:
        """What the network sees: power, not its logarithm. Short rows are followed by silence, as it was used to."""
        power = torch.einsum("ab,nbt->nta", self.bands.to(x), power_of(x))
        starts = range(0, max(1, power.shape[1] - round(COVERED * COLUMNS) + 1), STEP)
        wide = pad(power, (0, 0, 0, max(0, starts[-1] + COLUMNS - power.shape[1])))
        return torch.stack([wide[:, i : i + COLUMNS] for i in starts], 1)


class Net(nn.Module):
    """Three layers of LSTM; the last state, made positive and of length one."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(BANDS, WIDTH, LAYERS, batch_first=True)
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Float[Tensor, "n columns 40"]) -> Float[Tensor, "n 256"]:
        return normalize(self.linear(self.lstm(x)[0][:, -1]).relu(), dim=1)


def safetensors_of(source: Path, folder: Path) -> None:
    """Writes the network of a checkpoint of torch as `folder`/model.safetensors; only tensors are read of it.

    Raises `DataError` for a file that holds anything else, or another network.
    """
    net = Net()
    try:
        found = torch.load(source, weights_only=True, map_location="cpu")["model_state"]
        net.load_state_dict({name: found[name] for name in net.state_dict()})
    except Exception as error:  # torch tells pickled code by an error of the module pickle
        text = f"'{source.name}' is no checkpoint of Resemblyzer's encoder: {first_line(error)}"
        raise DataError(text, help="nothing in it was run, and nothing of it is used") from error
    folder.mkdir(parents=True)
    save_tensors(folder / "model.safetensors", net.state_dict())
    write_json(folder / "config.json", {"architecture": "resemblyzer", "rate": RATE, "window": WINDOW, "bands": BANDS})
