"""Sounds for the tests, and a speech embedding with weights drawn at random."""

import io
import json
from pathlib import Path

import numpy as np
import soundfile
import torch

from augmind.core.tensors import save_tensors


def pretend(cache: Path) -> Path:
    """Writes it where `augmind models pull speech` would; gives its folder."""
    from augmind.modalities.audio.backbones.speech import Net

    folder = cache / "models" / "speech"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    net = Net()
    for conv in net.convs:
        torch.nn.init.kaiming_normal_(conv.weight, a=0.2)
    save_tensors(folder / "model.safetensors", net.state_dict())
    (folder / "config.json").write_text(json.dumps({"architecture": "speech_embedding"}))
    return folder


def hum(hertz, rate=8000, seconds=0.4, seed=0):
    """A gliding, beating hum with some noise, none like another."""
    rng = np.random.default_rng([seed, round(hertz)])
    t = np.arange(round(rate * seconds)) / rate
    phase = 2 * np.pi * hertz * (t + rng.uniform(-0.25, 0.25) * t**2 / seconds)
    wave = sum(rng.uniform(0.1, 1) * np.sin(k * phase + rng.uniform(0, 6)) for k in range(1, 5)) * np.hanning(len(t))
    wave *= 1 + 0.9 * np.sin(2 * np.pi * rng.uniform(4, 14) * t + rng.uniform(0, 6))
    return (0.1 * wave + 0.003 * rng.standard_normal(len(t))).astype(np.float32)


def wav(wave, rate=8000, **kind) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, wave, rate, format=kind.pop("format", "WAV"), **kind)
    return out.getvalue()


def folder(root, per_class=8, classes=("low", "high", "middle"), rate=8000):
    pitch = {"low": 150, "middle": 400, "high": 900}
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(per_class):
            (root / name / f"{i:02d}.wav").write_bytes(wav(hum(pitch[name] * (1 + 0.02 * i), rate, 0.3 + 0.02 * i, i), rate))
    return root
