"""One picture file to 8-bit pixels on a grid. Runs in worker processes: imports little but Pillow (and NumPy for deep pictures).

The whole picture is resized to the grid, without cropping and without bars: cropping would cut off content, and bars would
be a feature by which classes of differently shaped pictures can be told apart. Shrinking is antialiased (Lanczos).
"""

import io
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, UnidentifiedImageError
from PIL import TiffImagePlugin as TiffImagePlugin
from PIL import WebPImagePlugin as WebPImagePlugin

from augmind.core.decoding import CannotRead

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
ENDINGS = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
FOREIGN = (".heic", ".heif", ".avif", ".svg", ".psd", ".ico", ".dcm", ".jp2", ".jxl", ".raw", ".nef", ".cr2", ".arw", ".dng", ".exr", ".tga")
"""Endings of pictures that are not read."""
MAX_PIXELS = 50_000_000
SIDE = 64
"""The longest side of a grid that nobody asked for."""
STEP = 4
"""Sides of grids that nobody asked for are multiples of this, so that networks can halve them twice."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to the operation that undoes it."""
MAGIC = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"BM": "BMP", b"GIF8": "GIF", b"II*\0": "TIFF", b"MM\0*": "TIFF"}

Grid = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Facts about one picture and, once a grid is known, its pixels: bytes of (height, width, channels), channels 1, 3 or 4.

    `facts`: width and height as shown (after EXIF rotation), mode, format, and where they apply `turned` (EXIF
    orientation), `animated` and `deep` (the highest value of a picture of more than 8 bits).
    """

    facts: dict[str, Any]
    grid: Grid | None = None
    channels: int = 0
    pixels: bytes = b""


def is_picture(head: bytes) -> bool:
    """Whether a file that starts with these bytes claims to be a picture of a known format."""
    return any(head.startswith(m) for m in MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or head[:2] in (b"P5", b"P6")


def read(file: Path | bytes, grid: Grid | None = None) -> Picture:
    """The picture on `grid`; without one, its pixels only if it is no larger than `SIDE`, else the facts alone.

    The header is judged before anything is decoded. Raises `CannotRead`.
    """
    try:
        with _open(file) as image:
            facts = _facts(image)
            if image.format == "PNG":
                _verify(file)
            if grid is None and max(image.size) > SIDE:
                return Picture(facts=facts)
            if grid:
                image.draft(None, (4 * max(grid), 4 * max(grid)))
            image.load()
            return on_grid(image, facts, grid)
    except CannotRead:
        raise
    except Image.DecompressionBombError as error:
        raise CannotRead(f"has more than {MAX_PIXELS // 1_000_000} megapixels") from error
    except UnidentifiedImageError as error:
        raise CannotRead(_guess(file)) from error
    except MemoryError as error:
        raise CannotRead("needs more memory than a picture may take") from error
    except OSError as error:
        text = error.strerror or str(error)
        raise CannotRead(f"cannot be opened: {text}" if error.errno else f"damaged: {text}") from error
    except Exception as error:  # decoders of damaged files raise almost anything
        raise CannotRead(f"damaged: {type(error).__name__}: {error}") from error


def _open(file: Path | bytes) -> Image.Image:
    return Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=FORMATS)


def _verify(file: Path | bytes) -> None:
    """Compares a PNG's checksums: its decoder alone does not notice changed pixels."""
    with _open(file) as image:
        image.verify()


def from_array(array: Any, grid: Grid | None = None) -> Picture:
    """The same for uint8 values (height, width), (height, width, 3) or (height, width, 4)."""
    image = Image.fromarray(array)
    facts = {"width": image.width, "height": image.height, "mode": image.mode, "format": "array"}
    return Picture(facts=facts) if grid is None and max(image.size) > SIDE else on_grid(image, facts, grid)


def _facts(image: Image.Image) -> dict[str, Any]:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise CannotRead(f"{width} x {height} is {width * height / 1e6:,.0f} megapixels; at most {MAX_PIXELS // 1_000_000} are read")
    if width < 1 or height < 1:
        raise CannotRead(f"has no pixels ({width} x {height})")
    turn = _orientation(image)
    if turn >= 5:
        width, height = height, width
    facts = {"width": width, "height": height, "mode": image.mode, "format": image.format or ""}
    if turn in TURNS:
        facts["turned"] = turn
    if image.format != "MPO" and getattr(image, "is_animated", False):
        facts["animated"] = True
    return facts


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8; damaged EXIF does not make a picture unreadable."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # noqa: BLE001  (the EXIF reader raises almost anything, and what it reads is optional)
        return 1


def on_grid(image: Image.Image, facts: dict[str, Any], grid: Grid | None) -> Picture:
    """A decoded picture as 8-bit grey, RGB or RGBA (the least that shows it), turned upright, resized to `grid`."""
    if image.mode[0] in "IF":
        facts = facts | {"deep": image.getextrema()[1]}
        image = _eight_bit(image)
    image = _plain(image)
    if (turn := facts.get("turned")) in TURNS:
        image = image.transpose(TURNS[turn])
    height, width = grid or (image.height, image.width)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    image = _least(image)
    return Picture(facts=facts, grid=(height, width), channels=len(image.getbands()), pixels=image.tobytes())


def _plain(image: Image.Image) -> Image.Image:
    """The picture in mode L, RGB or RGBA."""
    if image.mode in ("RGBA", "LA", "La", "RGBa", "PA") or image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L") if image.mode in ("1", "L") else image.convert("RGB")


def _least(image: Image.Image) -> Image.Image:
    """Drops alpha that is opaque everywhere, and colour where the three channels are equal."""
    bands = image.split()
    if len(bands) == 4:
        if bands[3].getextrema() != (255, 255):
            return image
        image = image.convert("RGB")
    if len(bands) > 1 and not any(ImageChops.difference(bands[0], b).getbbox() for b in bands[1:3]):
        return bands[0]
    return image


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit values divided by 257; 32-bit ones too where they fit 16 bits; floats from [0, 1] or [0, 255]; others from their own range."""
    import numpy as np

    x = np.asarray(image).astype(np.float32)
    if not np.isfinite(x).all():
        raise CannotRead("holds values that are not finite numbers")
    low, high = float(x.min()), float(x.max())
    bottom, top = (0.0, 65535.0) if image.mode.startswith("I") else (0.0, 1.0 if high <= 1 else 255.0)
    if low < bottom or high > top:
        bottom, top = low, high
    scale = 255.0 / (top - bottom) if top > bottom else 0.0
    return Image.fromarray(np.rint((x - bottom) * scale).astype(np.uint8))


def _guess(file: Path | bytes) -> str:
    """What a file that no decoder knows may be."""
    if isinstance(file, bytes):
        head = file[:512]
    else:
        with file.open("rb") as f:
            head = f.read(512)
    start = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if not head:
        return "the file is empty"
    if start.startswith((b"<!doctype", b"<html", b"<head")):
        return "a web page, not a picture"
    if start.startswith((b"<svg", b"<?xml")):
        return "a vector drawing or XML, not a picture of pixels"
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif"):
        return "a HEIC or AVIF picture, which is not read; convert it to PNG or JPEG"
    if is_picture(head):
        return "damaged: its header cannot be read"
    if not any(b < 9 for b in head):
        return "text, not a picture"
    return f"not a picture of a known format ({', '.join(FORMATS)})"


def choose_grid(sizes: list[Grid], size: int | tuple[int, int] | None = None) -> Grid:
    """The height and width that all pictures are brought to.

    `size` if the user gives one (a number means a square). Else the size that all have, if no side is above 64. Else the
    median longer side, at most 64, and the median aspect ratio where nine of ten pictures lie within 10% of it, or a square;
    both rounded to multiples of 4.
    """
    if size is not None:
        return (size, size) if isinstance(size, int) else size
    if len(set(sizes)) == 1 and max(sizes[0]) <= SIDE:
        return sizes[0]
    side = min(SIDE, statistics.median(max(s) for s in sizes))
    aspects = [math.log(w / h) for h, w in sizes]
    middle = statistics.median(aspects)
    common = sum(abs(a - middle) < math.log(1.1) for a in aspects) >= 0.9 * len(aspects)
    short = side * math.exp(-abs(middle)) if common else side
    long_side, short_side = (max(2, round(s / STEP)) * STEP for s in (side, short))
    return (short_side, long_side) if middle > 0 else (long_side, short_side)
