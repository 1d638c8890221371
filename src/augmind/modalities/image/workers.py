"""Pictures decoded in processes of their own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augmind.core import decoding
from augmind.core.decoding import Answer, CannotRead, File

from .decode import Grid, Picture, read


def serve() -> None:
    """The life of a worker."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # `read` has a stricter limit of its own
    decoding.serve(answer)


def answer(file: Path | bytes, grid: list[int] | None) -> Answer:
    picture = read(file, _grid(grid))
    return Answer({"facts": picture.facts, "grid": picture.grid, "channels": picture.channels}, picture.pixels)


def _grid(sides: Any) -> Grid | None:
    return (sides[0], sides[1]) if sides else None


@dataclass(frozen=True, kw_only=True)
class Pool(decoding.Pool):
    """Reads many pictures in order with bounded memory."""

    program: str = decoding.PROGRAM.format(__name__)

    def read(self, files: Iterable[File], grid: Grid | None = None) -> Iterator[Picture | CannotRead]:
        """One picture, or the reason why there is none, for each file, in order."""
        for found in self.answers(files, grid):
            if isinstance(found, CannotRead):
                yield found
            else:
                yield Picture(facts=found.about["facts"], grid=_grid(found.about["grid"]), channels=found.about["channels"], pixels=found.data)
