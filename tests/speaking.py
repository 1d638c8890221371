"""A stand-in for espeak-ng: every word is a hum of its own, whose pitch and length follow the voice."""

import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from augmind.core import decoding
from augmind.core.decoding import Answer, CannotRead

PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from speaking import serve; serve()"
RATE = 11_025


def serve() -> None:
    decoding.serve(answer)


def answer(request: Path | bytes, how: str) -> Answer:
    assert isinstance(request, bytes) and how == "pretended"
    if not request:
        return Answer({"version": "0"}, b"")
    said = json.loads(request)
    if said["voice"].startswith("xx"):
        raise CannotRead(f"no voice '{said['voice']}'")
    if "crash" in said["text"]:
        os._exit(1)
    return Answer({"rate": RATE}, (hum(**said) * 20_000).astype("<i2").tobytes())


def hum(text: str, voice: str, speed: int, pitch: int, range: int) -> np.ndarray:
    """Silence for what has no letters and digits."""
    word, own = zlib.crc32(text.encode()), zlib.crc32(voice.encode()) % 100 / 100
    t = np.arange(round(RATE * 60 / speed)) / RATE
    if not any(c.isalnum() for c in text):
        return 0 * t
    hertz = (250 + word % 1200) * (0.85 + 0.003 * pitch)
    wave = sum((0.5 + own) ** k * np.sin(2 * np.pi * k * hertz * t * (1 + 0.0005 * range * t)) for k in (1, 2, 3))
    return wave * np.hanning(len(t)) / 6


def pretend(patch: Any) -> None:
    """Speech comes from here until the patch is undone."""
    patch.setattr("augmind.modalities.audio.speech.PROGRAM", PROGRAM)
    patch.setattr("augmind.modalities.audio.speech.engine", lambda: "pretended")
