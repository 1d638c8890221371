"""Sounds decoded in processes of their own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from augmind.core import decoding
from augmind.core.decoding import Answer, CannotRead, File

from .read import NoSound, fitted, levelled, read, resampled


def serve() -> None:
    """The life of a worker."""
    decoding.serve(answer)


def answer(file: Path | bytes, how: list[int] | None) -> Answer:
    """Facts, of which `length` is the seconds that are left between silences; and, at a rate and number of samples, the wave."""
    try:
        sound = read(file)
    except NoSound as why:
        raise CannotRead(str(why)) from why
    facts = sound.facts | {"length": round(len(sound.wave) / sound.rate, 4)}
    if how is None:
        return Answer(facts, b"")
    rate, samples = how
    return Answer(facts, fitted(levelled(resampled(sound.wave, sound.rate, rate)), samples).astype("<f4").tobytes())


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
