"""Sounds decoded in processes of their own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from augmind.core import decoding
from augmind.core.decoding import Answer, CannotRead, File

from .read import NoSound, fitted, levelled, pieces, read, resampled

WHOLE = 32767
"""Full scale of 16 bits."""


def serve() -> None:
    """The life of a worker."""
    decoding.serve(answer)


def answer(file: Path | bytes, how: list[int] | None) -> Answer:
    """Facts, of which `length` is the seconds that are left between silences; and, at a rate and number of samples, the wave, or with a third
    number all its `pieces` as 16-bit values, where `at` says which these are."""
    try:
        sound = read(file)
    except NoSound as why:
        raise CannotRead(str(why)) from why
    facts = sound.facts | {"length": round(len(sound.wave) / sound.rate, 4)}
    if how is None:
        return Answer(facts, b"")
    rate, samples, *cut = how
    wave = levelled(resampled(sound.wave, sound.rate, rate))
    if not cut:
        return Answer(facts, fitted(wave, samples).astype("<f4").tobytes())
    parts, at = pieces(wave, samples)
    return Answer(facts | {"at": at}, (parts.clip(-1, 1) * WHOLE).round().astype("<i2").tobytes())


@dataclass(frozen=True, kw_only=True)
class Pool(decoding.Pool):
    """Reads many sounds in order with bounded memory."""

    program: str = decoding.PROGRAM.format(__name__)

    def facts(self, files: Iterable[File]) -> Iterator[dict[str, Any] | CannotRead]:
        """What each file says of itself, or why it is no sound."""
        for found in self.answers(files):
            yield found if isinstance(found, CannotRead) else found.about

    def waves(self, files: Iterable[File], rate: int, samples: int) -> Iterator[Float[np.ndarray, " samples"] | CannotRead]:
        """The waves at one rate, loudness and length."""
        for found in self.answers(files, [rate, samples]):
            yield found if isinstance(found, CannotRead) else np.frombuffer(found.data, dtype="<f4")

    def pieces(self, files: Iterable[File], rate: int, samples: int) -> Iterator[tuple[Float[np.ndarray, "n samples"], list[int]] | CannotRead]:
        """Each wave at one rate and loudness as parts of so many samples, and which parts of it these are."""
        for found in self.answers(files, [rate, samples, 1]):
            if isinstance(found, CannotRead):
                yield found
            else:
                yield np.frombuffer(found.data, dtype="<i2").reshape(-1, samples).astype("<f4") / WHOLE, found.about["at"]
