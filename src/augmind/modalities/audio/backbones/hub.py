"""Any encoder of sounds that transformers can open, by Hub id or folder: wav2vec 2.0, HuBERT, WavLM, Whisper, AST, CLAP and their like."""

import inspect
import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.types import Spec
from augmind.modalities.audio.mel import Mel
from augmind.modalities.audio.read import needed, resampled
from augmind.nn.published import Published
from augmind.nn.quiet import silent

KINDS = {"clap": "ClapAudioModelWithProjection", "clap_audio_model": "ClapAudioModelWithProjection"}
"""Models of which a part alone hears, and the class of that part."""
LONGER = "is_longer"
"""The argument of CLAP that says which sounds are longer than its ten seconds: rows never are."""
TOGETHER = 8
"""Rows that pass through the network together: four seconds of them take half a gigabyte in the first layers of wav2vec 2.0."""


class Hub:
    """What a network says of the waves of rows, which the model's own feature extractor has prepared.

    Waves are what `Mel.decode` makes of stored bytes, at the model's rate. Features are the projection of CLAP (arXiv:2211.06687), the pooled
    output where there is one (AST, arXiv:2104.01778), else the mean over time of the last hidden state: of wav2vec 2.0 (arXiv:2006.11477),
    HuBERT (arXiv:2106.07447), WavLM (arXiv:2110.13900), and of the part of Whisper's half minute (arXiv:2212.04356) that a row fills.
    Every row is prepared alone, so none depends on its neighbours. Gradients reach the network's parameters, not the rows.

    Raises `MachineError` for a model that is not on this machine or cannot be opened, and where the package that changes rates is missing.
    """

    def __init__(self, published: Published, spec: Spec) -> None:
        needed()
        self.name, self.spec = published.model, spec
        self.mel = Mel(rate=spec.rate, bands=spec.shape[1], frames=spec.shape[2])
        net = published.opened(KINDS)
        self.module = net.get_encoder() if net.config.is_encoder_decoder else net
        self.extractor = prepared(published)
        self.rate, self.input = int(self.extractor.sampling_rate), str(self.extractor.model_input_names[0])
        self.longer = LONGER in inspect.signature(self.module.forward).parameters
        seconds = self.mel.samples / spec.rate
        window = getattr(self.extractor, "n_samples", 0) / self.rate
        self.filled = min(1.0, seconds / window) if window else 1.0
        silence = np.zeros(round(seconds * self.rate), np.float32)
        try:
            with torch.inference_mode():
                self.width: int = self.of([silence]).shape[1]
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise published.missing(error) from error

    def features(self, x: Float[Tensor, "n 1 bands frames"]) -> Float[Tensor, "n d"]:
        """Features of rows in model space, in blocks, so that memory does not grow with the number of rows where nothing is learnt."""
        if not len(x):
            return x.new_zeros((0, self.width))
        return torch.cat([self.of(self.waves(rows)) for rows in x.split(TOGETHER)])

    def waves(self, x: Float[Tensor, "n 1 bands frames"]) -> list[Float[np.ndarray, " t"]]:
        """The sound of each row, -1 to 1, at the rate of the model; without autocast, under which half of the digits would be lost."""
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            found = self.mel.decode(self.spec.to_store(x.detach().cpu())).clamp(-1, 1)
        return [resampled(wave, self.spec.rate, self.rate) for wave in found.numpy()]

    def of(self, waves: list[Float[np.ndarray, " t"]]) -> Float[Tensor, "n d"]:
        """Features of waves of one length, at the rate of the model."""
        device = next(self.module.parameters()).device
        heard = [self.extractor(wave, sampling_rate=self.rate, return_tensors="pt")[self.input] for wave in waves]
        given: dict[str, Tensor] = {self.input: torch.cat(heard).float().to(device)}
        if self.longer:
            given[LONGER] = torch.zeros(len(waves), 1, dtype=torch.bool, device=device)
        return self.pooled(self.module(**given)).float()

    def pooled(self, out: Any) -> Float[Tensor, "n d"]:
        """One vector a row of what the network gives. Raises `ValueError` where it gives nothing of the kind."""
        for name in ("audio_embeds", "pooler_output"):
            if (found := getattr(out, name, None)) is not None:
                return found.flatten(1)
        last = getattr(out, "last_hidden_state", None)
        if last is None or last.ndim != 3:
            raise ValueError(f"a {type(out).__name__} holds no features of moments")
        return last[:, : math.ceil(self.filled * last.shape[1])].mean(1)


def prepared(published: Published) -> Any:
    """The model's feature extractor. Raises `MachineError` where its folder has none that takes waves."""
    from transformers import AutoFeatureExtractor

    try:
        with silent():
            found = AutoFeatureExtractor.from_pretrained(str(published.folder()), local_files_only=True, trust_remote_code=False)
        if not getattr(found, "sampling_rate", 0):
            raise ValueError(f"its {type(found).__name__} takes no sounds")
    except (AttributeError, ImportError, KeyError, OSError, TypeError, ValueError) as error:
        raise published.missing(error) from error
    return found
