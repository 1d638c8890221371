"""Pictures: PIL images to stored bytes and back, their features, their previews, their classical augmentation."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from augmind.core.errors import WrongSpec
from augmind.core.loop import autocast
from augmind.core.seeds import in_chunks
from augmind.core.types import SOURCE_TYPE, Backbone, Choice, Classical, Spec

from .corruptions import CORRUPTIONS, Corruption

if TYPE_CHECKING:
    from PIL.Image import Image

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
PREVIEW = 64
"""Side, in pixels, up to which a tiny picture is enlarged for people."""
BLOCK = 16
"""Pictures that pass through the backbone together."""

MARK = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    f' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/></rdf:RDF></x:xmpmeta>'
)
"""The machine-readable mark of a synthetic picture."""


def arm(transform: str, mixing: str = "none") -> Classical:
    name = "+".join(n for n in (transform, mixing) if n != "none") or "none"
    return Classical(name=name, transform=Choice(name=transform), mixing=Choice(name=mixing))


@dataclass(frozen=True)
class ImageCodec:
    """Pictures of `spec.shape` = (channels, height, width): 1 grey, 3 RGB, 4 RGBA; stored as uint8 0..255.

    `backbone_name` is "lite0", a Hub id or a folder (see `backbones.select`). Raises `WrongSpec` for other shapes.
    """

    spec: Spec
    backbone_name: str = "lite0"

    name: ClassVar[str] = "image"
    suffix: ClassVar[str] = ".png"
    classical: ClassVar[tuple[Classical, ...]] = (
        arm("none"),
        arm("flip_crop"),
        arm("trivialaugment"),
        arm("trivialaugment", "mixup"),
        arm("flip"),
        arm("randaugment"),
        arm("flip_crop", "mixup"),
        arm("flip_crop", "cutmix"),
        arm("none", "mixup"),
        arm("none", "cutmix"),
    )
    corruptions: ClassVar[Mapping[str, Corruption]] = CORRUPTIONS
    """Name -> function of rows in model space, severity and row seeds; what robustness is measured under."""

    def __post_init__(self) -> None:
        if len(self.spec.shape) != 3 or self.spec.shape[0] not in MODES or not self.spec.bounded:
            raise WrongSpec(
                f"pictures cannot have shape {self.spec.shape}",
                help="pictures are (channels, height, width) with 1, 3 or 4 channels of bytes",
            )

    @property
    def pretrained(self) -> bool:
        return True

    @property
    def trainable(self) -> bool:
        return True

    def encode(self, natives: Sequence[Any]) -> UInt8[Tensor, "n c h w"]:
        """PIL images of any mode and size to the spec's channels and size.

        Transparency shows white where the spec has no alpha. Other sizes are resized as a whole (no cropping).
        """
        out = torch.empty((len(natives), *self.spec.shape), dtype=torch.uint8)
        for i, picture in enumerate(natives):
            out[i] = to_tensor(self._fit(to_mode(picture, MODES[self.spec.shape[0]])))
        return out

    def _fit(self, picture: "Image") -> "Image":
        from PIL.Image import Resampling

        size = (self.spec.shape[2], self.spec.shape[1])
        return picture if picture.size == size else picture.resize(size, Resampling.BICUBIC)

    def decode(self, x: UInt8[Tensor, "n c h w"]) -> list["Image"]:
        """PIL images of mode L, RGB or RGBA."""
        from PIL import Image

        return [Image.fromarray(row.permute(1, 2, 0).squeeze(-1).contiguous().cpu().numpy()) for row in x]

    def files(self, x: UInt8[Tensor, "n c h w"], synthetic: Sequence[bool]) -> list[bytes]:
        """PNG bytes; synthetic ones say so in their XMP (IPTC digital source type)."""
        return [png_bytes(p, MARK if mark else None) for p, mark in zip(self.decode(x), synthetic, strict=True)]

    def reads(self) -> str:
        from .backbones.select import checked

        base, _ = checked(self.backbone_name)
        return "" if base == "lite0" else base

    def embed(self, x: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """Features of the default backbone. Blocks have one fixed size, so a row's features do not depend on its neighbours."""
        from .backbones.select import shared

        backbone = shared(self.backbone_name)

        def block(rows: Tensor) -> Tensor:
            return backbone.features(self.spec.to_model(rows)).float()

        with torch.inference_mode(), autocast(torch.device("cpu")):
            features = in_chunks(block, x, size=BLOCK)
        return features.clone()

    def backbone(self, name: str | None = None) -> Backbone:
        """A fresh trainable copy; by default the one whose features `embed` gives."""
        from .backbones.select import select

        return select(name or self.backbone_name)

    def figures(self, x: UInt8[Tensor, "n c h w"], real: UInt8[Tensor, "m c h w"]) -> dict[str, float]:
        return {}

    def tiles(self, x: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n h w k"]:
        """The pictures themselves: grey ones in three equal channels, transparent ones in four."""
        return x.expand(-1, max(3, x.shape[1]), -1, -1).permute(0, 2, 3, 1)

    def preview(self, x: UInt8[Tensor, "n c h w"], beside: UInt8[Tensor, "n c h w"] | None = None) -> list[str]:
        """Each picture as an HTML image that holds its own PNG bytes; tiny ones are enlarged without smoothing."""
        height, width = self.spec.shape[1:]
        times = max(1, PREVIEW // max(height, width))
        big = x.repeat_interleave(times, 2).repeat_interleave(times, 3)
        alt = f"picture of {width} by {height} pixels"
        return [f'<img src="data:image/png;base64,{png(p)}" width="{p.width}" height="{p.height}" alt="{alt}">' for p in self.decode(big)]

    def named(self, meanings: Sequence[str]) -> list[tuple[Any, int]]:
        """None: words are no pictures."""
        return []

    def variants(self, x: Shaped[Tensor, "n c h w"]) -> list[Tensor]:
        """The pictures and their mirror images."""
        return [x, x.flip(-1)]


def to_mode(picture: "Image", mode: str) -> "Image":
    """A picture in mode L, RGB or RGBA. 16-bit grey is scaled to 8 bits."""
    from PIL import Image

    if picture.mode.startswith("I"):
        picture = Image.fromarray((np.asarray(picture).clip(0, 65535) // 257).astype(np.uint8))
    if picture.mode == mode:
        return picture
    if mode != "RGBA" and picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return picture.convert(mode)


def to_tensor(picture: "Image") -> UInt8[Tensor, "c h w"]:
    pixels = torch.from_numpy(np.array(picture))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def png_bytes(picture: "Image", xmp: str | None = None) -> bytes:
    """A PNG file, with an XMP packet if given."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    if xmp:
        info.add_itxt("XML:com.adobe.xmp", xmp)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()


def png(picture: "Image") -> str:
    """PNG bytes in base 64."""
    return base64.b64encode(png_bytes(picture)).decode("ascii")
