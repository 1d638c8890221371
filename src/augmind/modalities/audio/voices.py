"""Words spoken by a neural network: VITS (arXiv:2106.06103), of which MMS-TTS (arXiv:2305.13516) has one for each of 1,100 languages, or another
model of `transformers` that makes waves of texts, such as Bark."""

import json
from abc import ABC, abstractmethod
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
from augmind.nn.quiet import silent as quietly
from augmind.nn.transformer import opened_whole

WHAT = "speech model"
PACED = "vits"
"""What `config.json` says of the kind of model that takes a speaker, a speed and noise."""
NO_SPEECH = frozenset({"musicgen", "musicgen_melody", "seamless_m4t", "seamless_m4t_v2", "qwen2_5_omni", "qwen3_omni_moe"})
"""Kinds that make waves of texts, and either no speech or none without being told more than the text."""
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
    kind_of(name)
    return weights.needed(name, WHAT)


def kind_of(name: str) -> str:
    """What kind of model it is. Raises as `needed`."""
    path, way = weights.needed(name, WHAT), "give a VITS model such as facebook/mms-tts-eng; MMS-TTS has one for each of 1,100 languages"
    try:
        kind = json.loads((path / "config.json").read_text("utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"'{name}' is no {WHAT}: its config.json cannot be read", help=way) from error
    if kind != PACED and kind not in others():
        known = ", ".join(sorted({PACED, *others()}))
        raise UsageError(f"'{name}' is a model of the kind '{kind or 'unknown'}', and speech comes from those of the kinds {known}", help=way)
    return kind


def others() -> frozenset[str]:
    """The kinds that `transformers` knows to speak beside `PACED`."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING_NAMES as KNOWN

    return frozenset(KNOWN) - NO_SPEECH - {PACED}


class Spoken(ABC):
    """A model of `transformers` in float32 that says words, on the processor. No code of it is run."""

    name: str
    rate: int
    """Samples a second of its waves."""
    speakers: int = 1

    def silent(self, text: str) -> bool:
        """Whether nothing of a text has a sound."""
        return not any(map(str.isalnum, text))

    def unknown(self, text: str) -> str:
        """Letters of a text that the model leaves out, where it can tell."""
        return ""

    @abstractmethod
    def wave(self, text: str, voice: Voice) -> Float[np.ndarray, " t"]:
        """A wave for a text that is not silent."""

    def spoken(self, text: str, voice: Voice, seed: int) -> Float[np.ndarray, " t"]:
        """A wave at `rate`, a function of the arguments alone; silence for what is `silent`. Raises `UsageError` for files that make none."""
        if self.silent(text):
            return np.zeros(1, np.float32)
        try:
            with torch.inference_mode(), seeded(stable_seed("speech", seed)):
                wave = self.wave(text, voice)
        except (RuntimeError, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
            raise self._wrong(first_line(error)) from error
        if not np.isfinite(wave).all():
            raise self._wrong("its wave is not finite")
        return wave

    def _wrong(self, why: str) -> UsageError:
        return UsageError(f"the {WHAT} '{self.name}' cannot speak: {why}", help="its files may be damaged; fetch them anew, or name another model")


class Sampled(Spoken):
    """A model that samples its voice and its pace, such as Bark, by the pipeline that `transformers` has for it: the seed is all that is chosen.

    Raises as `needed`, and `UsageError` for files that are damaged or lack weights.
    """

    def __init__(self, name: str) -> None:
        from transformers import AutoModelForTextToWaveform, AutoProcessor
        from transformers.pipelines.text_to_audio import TextToAudioPipeline

        self.name, source = name, needed(name)
        tokenizer, net = opened_whole(name, AutoModelForTextToWaveform, WHAT)
        net.requires_grad_(False)
        try:
            with quietly():
                processor: Any = AutoProcessor.from_pretrained(source, trust_remote_code=False)
                whole = processor if hasattr(processor, "tokenizer") else None
                self.pipe = TextToAudioPipeline(model=net, tokenizer=tokenizer, processor=whole)
        except (ImportError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._wrong(first_line(error)) from error
        self.rate = int(self.pipe.sampling_rate or 0)
        if self.rate <= 0:
            raise self._wrong("its files do not say how many samples a second has")

    def wave(self, text: str, voice: Voice) -> Float[np.ndarray, " t"]:
        with quietly():
            said: Any = self.pipe(text)
        return np.asarray(said["audio"], np.float32).reshape(-1)


class Voices(Spoken):
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

    def wave(self, text: str, voice: Voice) -> Float[np.ndarray, " t"]:
        self.net.noise_scale, self.net.noise_scale_duration = (voice.noise * noise for noise in self.noises)
        speaker = voice.speaker if self.speakers > 1 else None
        return self.net(input_ids=self.tokens(text), speaker_id=speaker, speaking_rate=voice.speed * self.speed).waveform[0].numpy()


@cache
def voices(name: str) -> Spoken:
    """A model, opened once a process."""
    return Voices(name) if kind_of(name) == PACED else Sampled(name)
