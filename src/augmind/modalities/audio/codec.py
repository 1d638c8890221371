"""Sounds: waves to stored spectrograms and back, their features, their previews, their classical augmentation."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from augmind.core.errors import WrongSpec
from augmind.core.seeds import in_chunks
from augmind.core.types import SOURCE_TYPE, Backbone, Choice, Classical, Spec

from .backbones.hub import TOGETHER
from .backbones.select import COUNTED, known
from .corruptions import RATIOS, Noise, noises
from .mel import FLOOR, Mel
from .read import fitted, levelled
from .vocoder import installed

MARK = f"synthetic, made by augmind; IPTC digital source type {SOURCE_TYPE}"
"""The machine-readable mark of a synthetic sound, in the comment of the file."""
VOICED = "wave made by HiFi-GAN"
"""What the comment of a file says where the vocoder made its wave; others are made by Griffin-Lim."""
MFCC = 20
"""Coefficients of a cosine transform over the bands that features are made of."""
HEARD = 24
"""Rows of which it is told how well waves keep them."""
SHIFTS = (-12, -8, -4, 4, 8, 12)
"""Columns by which rows are moved to find copies of them, as far as `wave` moves short rows; what lies between is near enough to one of them."""
BLOCK = 32
"""Rows that become waves together."""
TALL = 96
"""Height, in pixels, of the picture of a sound that people are shown, at least."""
WIDEST = 2.5
"""Width over height of a tile, at most: of longer sounds the bands are drawn higher."""


def arm(transform: str, mixing: str = "none", **settings: Any) -> Classical:
    name = "+".join(n for n in (transform, *("specaugment" if s == "masks" else s for s in settings), mixing) if n != "none") or "none"
    return Classical(name=name, transform=Choice(name=transform, settings=settings), mixing=Choice(name=mixing))


@dataclass(frozen=True)
class AudioCodec:
    """Sounds of `spec.rate` samples a second as log-mel spectrograms of `spec.shape` = (1, bands, columns of 10 ms); stored as uint8 (`mel`).

    `backbone_name` is "mfcc", counted features, which know nothing from elsewhere, or a backbone of `backbones.select`. Raises `WrongSpec` for
    other shapes, `UsageError` for another name.
    """

    spec: Spec
    backbone_name: str = COUNTED

    name: ClassVar[str] = "audio"
    suffix: ClassVar[str] = ".wav"
    advice: ClassVar[str] = "features are counts, which know no speech; for spoken words: augmind models pull speech, then --backbone speech"
    """Said where no backbone is named."""
    severities: ClassVar[tuple[str, ...]] = tuple(f"{ratio} dB" for ratio in RATIOS)
    """What the severities of `corruptions` are: ratios of signal to noise."""
    classical: ClassVar[tuple[Classical, ...]] = (
        arm("none"),
        arm("wave"),
        arm("specaugment"),
        arm("wave", masks=2),
        arm("wave", "mixup", masks=2),
        arm("none", "mixup"),
        arm("wave", "background", masks=2),
        arm("wave", prosody=1.0, channel=1.0, masks=2),
    )

    def __post_init__(self) -> None:
        if len(self.spec.shape) != 3 or self.spec.shape[0] != 1 or not self.spec.bounded or not self.spec.rate:
            text = f"sounds cannot have shape {self.spec.shape} at {self.spec.rate} samples a second"
            raise WrongSpec(text, help="sounds are stored as (1, bands, columns) bytes, with the rate of their waves")
        known(self.backbone_name)
        _ = self.mel

    @cached_property
    def mel(self) -> Mel:
        return Mel(rate=self.spec.rate, bands=self.spec.shape[1], frames=self.spec.shape[2])

    @cached_property
    def corruptions(self) -> Mapping[str, Noise]:
        return noises(self.spec, self.mel)

    @property
    def legend(self) -> str:
        """What the pictures of `preview` show."""
        size = f"{self.spec.shape[2] / 100:g} seconds from left to right, 0 to {self.spec.rate / 2000:g} kHz from bottom to top"
        return f"Pictures are spectrograms: {size}, bright where the sound is loud."

    @property
    def pretrained(self) -> bool:
        """Whether its features come from a network that has heard other sounds."""
        return self.backbone_name != COUNTED

    @property
    def trainable(self) -> bool:
        return self.backbone_name != COUNTED

    def encode(self, natives: Sequence[Any]) -> UInt8[Tensor, "n c h w"]:
        """Waves at the rate of the spec, any length, brought to one loudness and length."""
        if not len(natives):
            return torch.empty((0, *self.spec.shape), dtype=torch.uint8)
        waves = [fitted(levelled(np.asarray(w, dtype=np.float32)), self.mel.samples).astype(np.float32) for w in natives]
        return self.mel.encode(torch.from_numpy(np.stack(waves)))

    def decode(self, x: UInt8[Tensor, "n c h w"]) -> list[np.ndarray]:
        """Waves at the rate of the spec, -1..1, as near to the spectrograms as `Mel.decode` comes."""
        return [wave.clamp(-1, 1).numpy() for rows in x.split(BLOCK) for wave in self.mel.decode(rows)] if len(x) else []

    def files(self, x: UInt8[Tensor, "n c h w"], synthetic: Sequence[bool]) -> list[bytes]:
        """WAV files of 16 bits, their waves by HiFi-GAN where it is installed, else of `decode`; the comment says that, and which are synthetic.

        This is the only place where it is used: rows, figures and reports do not depend on it. Raises `MachineError` for damaged weights.
        """
        made = installed(self.mel)
        waves = [wave.clamp(-1, 1).numpy() for wave in made.decode(x)] if made else self.decode(x)
        comments = ["; ".join([MARK] * mark + [VOICED] * bool(made)) for mark in synthetic]
        return [wav(wave, self.spec.rate, comment) for wave, comment in zip(waves, comments, strict=True)]

    def reads(self) -> str:
        return "" if self.backbone_name == COUNTED else self.backbone_name

    def embed(self, x: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """Features of the backbone; a row's features do not depend on its neighbours."""
        if self.backbone_name == COUNTED:
            return self._counted(x)
        from .backbones.select import shared

        backbone = shared(self.backbone_name, self.spec)
        with torch.inference_mode():
            features = in_chunks(lambda rows: backbone.features(self.spec.to_model(rows)), x, size=TOGETHER)
        return features.clone()

    def _counted(self, x: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """Mean and deviation over time of the mel-frequency cepstral coefficients and of their changes, and the means of three parts."""
        found = mfcc(self.spec.to_model(x)[:, 0])
        change = found[..., 1:] - found[..., :-1]
        thirds = [part.mean(-1) for part in found.tensor_split(3, -1)]
        return torch.cat([found.mean(-1), found.std(-1), change.std(-1), *thirds], 1)

    def backbone(self, name: str | None = None) -> Backbone:
        """A fresh trainable copy. Raises `WrongSpec` for counted features, which have nothing to train."""
        from .backbones.select import select

        return select(name or self.backbone_name, self.spec)

    def tiles(self, x: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n y w 3"]:
        """Each spectrogram from black to light yellow, low bands at the bottom, at most `WIDEST`."""
        times = math.ceil(self.spec.shape[2] / (WIDEST * self.spec.shape[1]))
        return coloured(x[:, 0]).repeat_interleave(times, 1)

    def preview(self, x: UInt8[Tensor, "n c h w"], beside: UInt8[Tensor, "n c h w"] | None = None) -> list[str]:
        """A picture of each spectrogram, low bands at the bottom, and a player."""
        return [self._shown(picture, wave) for picture, wave in zip(coloured(x[:, 0]), self.decode(x), strict=True)]

    def _shown(self, picture: UInt8[Tensor, "h w 3"], wave: np.ndarray) -> str:
        seconds = self.spec.shape[2] / 100
        shown = base64.b64encode(png(picture)).decode("ascii")
        sound = base64.b64encode(wav(wave, self.spec.rate)).decode("ascii")
        times = max(1, -(-TALL // self.spec.shape[1]))
        alt = f"spectrogram: {seconds:.1f} seconds to the right, up to {self.spec.rate / 2000:g} kHz upwards"
        size = f'width="{times * self.spec.shape[2]}" height="{times * self.spec.shape[1]}"'
        player = f'<audio controls="" controlslist="nodownload noplaybackrate" src="data:audio/wav;base64,{sound}"></audio>'
        return f'<img src="data:image/png;base64,{shown}" {size} alt="{alt}"><br>{player}'

    def figures(self, x: UInt8[Tensor, "n c h w"], real: UInt8[Tensor, "m c h w"]) -> dict[str, float]:
        """What the way to waves and back costs, root mean square in decibels over all cells: of synthetic rows, beside that of real ones."""
        return {name: self.way_back(rows[:HEARD]) for name, rows in (("round_trip_db", x), ("round_trip_db_real", real)) if len(rows)}

    def way_back(self, x: UInt8[Tensor, "n c h w"]) -> float:
        """How far the spectrograms of the waves of rows are from the rows, root mean square in decibels."""
        back = self.mel.encode(torch.from_numpy(np.stack(self.decode(x))))
        return float((back.float() - x.float()).square().mean().sqrt()) * -FLOOR / 255

    def named(self, meanings: Sequence[str]) -> list[tuple[Any, int]]:
        """None: a word has to be said first."""
        return []

    def variants(self, x: Shaped[Tensor, "n c h w"]) -> list[Tensor]:
        """The sounds and themselves a little earlier and later."""
        return [x, *(moved(x, by) for by in SHIFTS)]


def moved(x: Shaped[Tensor, "n c h w"], by: int) -> Tensor:
    """Spectrograms so many columns later; silence comes in."""
    out = torch.zeros_like(x)
    if by > 0:
        out[..., by:] = x[..., :-by]
    else:
        out[..., :by] = x[..., -by:]
    return out


def mfcc(x: Float[Tensor, "n bands frames"]) -> Float[Tensor, "n k frames"]:
    """The first cosines over the bands (Davis and Mermelstein 1980), orthonormal."""
    bands = x.shape[1]
    k, at = torch.arange(min(MFCC, bands)), torch.arange(bands) + 0.5
    basis = torch.cos(torch.pi / bands * k[:, None] * at) * (2 / bands) ** 0.5
    basis[0] /= 2**0.5
    return basis @ x


def wav(wave: Float[np.ndarray, " t"], rate: int, comment: str = "") -> bytes:
    """A WAV file of 16 bits, with a comment if given."""
    import soundfile

    sink = io.BytesIO()
    with soundfile.SoundFile(sink, "w", samplerate=rate, channels=1, format="WAV", subtype="PCM_16") as file:
        if comment:
            file.comment = comment
        file.write(wave)
    return sink.getvalue()


def flac(data: bytes) -> bytes:
    """A WAV file as a FLAC file of the same samples, with its comment."""
    import soundfile

    sink = io.BytesIO()
    with soundfile.SoundFile(io.BytesIO(data)) as source, soundfile.SoundFile(sink, "w", source.samplerate, 1, "PCM_16", format="FLAC") as file:
        if source.comment:
            file.comment = source.comment
        file.write(source.read(dtype="int16"))
    return sink.getvalue()


def coloured(x: UInt8[Tensor, "n bands frames"]) -> UInt8[Tensor, "n bands frames 3"]:
    """Bytes as colours from black to light yellow, low bands at the bottom."""
    from matplotlib import colormaps

    return torch.from_numpy((colormaps["magma"](x.flip(1).numpy())[..., :3] * 255).round().astype(np.uint8))


def png(x: UInt8[Tensor, "h w 3"]) -> bytes:
    """A picture as a file."""
    from PIL import Image

    sink = io.BytesIO()
    Image.fromarray(x.numpy()).save(sink, format="PNG")
    return sink.getvalue()
