"""Words spoken by a neural network: VITS (arXiv:2106.06103), of which MMS-TTS (arXiv:2305.13516) has one for each of 1,100 languages."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from augmind.core.errors import MachineError, UsageError, first_line
from augmind.core.seeds import seeded, stable_seed
from augmind.nn import weights
from augmind.nn.transformer import opened_whole

WHAT = "speech model"
KIND = "vits"
"""What `config.json` of such a model says it is."""
SPEEDS, NOISES = (0.67, 1.33), (0.6, 1.4)
"""Of a model's own speed and of its own noise, between which rows are drawn: people speak 110 to 220 words a minute; more noise slurs words."""


@dataclass(frozen=True, kw_only=True)
class Voice:
    """One of the model's speakers, and its speed and noise as parts of the model's own."""

    speaker: int = 0
    speed: float = 1.0
    noise: float = 1.0


def needed(name: str) -> Path:
    """Where a model lies. Raises `MachineError` with the way to it where it is not on this machine, `UsageError` for one of another kind."""
    path, way = weights.needed(name, WHAT), "give a VITS model such as facebook/mms-tts-eng; MMS-TTS has one for each of 1,100 languages"
    try:
        kind = json.loads((path / "config.json").read_text("utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"'{name}' is no {WHAT}: its config.json cannot be read", help=way) from error
    if kind != KIND:
        raise UsageError(f"'{name}' is a model of the kind '{kind or 'unknown'}', and speech comes from those of the kind '{KIND}'", help=way)
    return path


class Voices:
    """A VITS model of `transformers` in float32 with its tokenizer, on the processor. No code of it is run.

    Raises as `needed`, and `UsageError` for files that are damaged or lack weights.
    """

    def __init__(self, name: str) -> None:
        from transformers import AutoModelForTextToWaveform

        needed(name)
        self.name = name
        self.tokenizer, self.net = opened_whole(name, AutoModelForTextToWaveform, WHAT)
        about: Any = self.net.config
        self.net.requires_grad_(False)
        self.speakers, self.rate = max(1, int(about.num_speakers)), int(about.sampling_rate)
        self.speed, self.noises = float(about.speaking_rate), (float(about.noise_scale), float(about.noise_scale_duration))

    def tokens(self, text: str) -> Int[Tensor, "1 t"]:
        """Raises `MachineError` where the model's tokenizer needs a package that is not installed."""
        if getattr(self.tokenizer, "is_uroman", False) and not text.isascii() and find_spec("uroman") is None:
            raise self._lacking("uroman", "which writes its language in Latin letters")
        try:
            return self.tokenizer(text, return_tensors="pt").input_ids
        except (ImportError, RuntimeError) as error:
            raise self._lacking("phonemizer", f"which turns words into sounds: {first_line(error)}") from error

    def _lacking(self, package: str, why: str) -> MachineError:
        way = f"pip install {package}, or name a model that reads letters as they are, such as facebook/mms-tts-eng"
        return MachineError(f"the {WHAT} '{self.name}' needs the package {package}, {why}", help=way, code="ENV-004")

    def silent(self, text: str) -> bool:
        """Whether nothing of a text has a sound. Raises as `tokens`."""
        pieces, known = self.tokenizer.convert_ids_to_tokens(self.tokens(text)[0].tolist()), self.tokenizer.encoder
        said = pieces[1::2] if getattr(self.tokenizer, "add_blank", False) else pieces
        return not any(piece in known and any(map(str.isalnum, piece)) for piece in said if isinstance(piece, str))

    def unknown(self, text: str) -> str:
        """Letters of a text that the model leaves out; it is not asked of models that turn letters into others first."""
        if any(getattr(self.tokenizer, flag, False) for flag in ("is_uroman", "phonemize")):
            return ""
        known = self.tokenizer.encoder
        return "".join(c for c in dict.fromkeys(text) if c.isalnum() and c not in known and c.lower() not in known)

    def spoken(self, text: str, voice: Voice, seed: int) -> Float[np.ndarray, " t"]:
        """A wave at `rate`, a function of the arguments alone; silence for what is `silent`. Raises as `tokens`, and `UsageError` for
        files that make none."""
        if self.silent(text):
            return np.zeros(1, np.float32)
        self.net.noise_scale, self.net.noise_scale_duration = (voice.noise * noise for noise in self.noises)
        speaker = voice.speaker if self.speakers > 1 else None
        try:
            with torch.inference_mode(), seeded(stable_seed("speech", seed)):
                wave = self.net(input_ids=self.tokens(text), speaker_id=speaker, speaking_rate=voice.speed * self.speed).waveform[0].numpy()
        except (RuntimeError, ValueError, IndexError) as error:
            raise self._wrong(first_line(error)) from error
        if not np.isfinite(wave).all():
            raise self._wrong("its wave is not finite")
        return wave

    def _wrong(self, why: str) -> UsageError:
        return UsageError(f"the {WHAT} '{self.name}' cannot speak: {why}", help="its files may be damaged; fetch them anew, or name another model")


@cache
def voices(name: str) -> Voices:
    """A model, opened once a process."""
    return Voices(name)
