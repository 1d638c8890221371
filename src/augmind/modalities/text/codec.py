"""Sentences: text to stored bytes and back, their features, their previews, their classical augmentation."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from augmind.core.errors import WrongSpec
from augmind.core.types import Backbone, Choice, Classical, Spec

from .rows import rows_of, texts_of
from .words import script, spoken

PREVIEW = 400
"""Characters of a row that people are shown at once."""


NAMED = {"Han": ("{}", "这是{}。", "这类文字属于：{}。"), "": ("{}", "This is {}.", "A text of this kind: {}.")}
"""Rows made of what a class means, by its script; other scripts than these get the words alone."""


def arm(transform: str, names: Literal["none", "beside"] = "none") -> Classical:
    name = "class names" if transform == "none" else f"class names+{transform}"
    return Classical(name=name if names == "beside" else transform, transform=Choice(name=transform), names=names)


@dataclass(frozen=True)
class TextCodec:
    """Text as UTF-8 bytes in NFC form, padded with zeros to `spec.shape` = (length,). Raises `WrongSpec` for other shapes.

    `backbone_name` is "hash" or another backbone of `backbones.select`.
    """

    spec: Spec
    backbone_name: str = "hash"

    name: ClassVar[str] = "text"
    suffix: ClassVar[str] = ".txt"
    classical: ClassVar[tuple[Classical, ...]] = (
        *(arm("none"), arm("none", "beside"), arm("eda"), arm("eda", "beside"), arm("typos")),
        Classical(name="class names alone", names="alone"),
    )

    def __post_init__(self) -> None:
        if self.spec.kind != "tokens" or len(self.spec.shape) != 1:
            raise WrongSpec(f"text cannot be {self.spec.kind} rows of shape {self.spec.shape}", help="text is stored as (length,) bytes")

    @property
    def pretrained(self) -> bool:
        """Whether its features come from a model: hashed ones are counts."""
        return self.backbone_name != "hash"

    @property
    def trainable(self) -> bool:
        """Whether it is an encoder of `transformers`."""
        return self.backbone_name not in ("hash", "use-multilingual")

    def encode(self, natives: Sequence[Any]) -> UInt8[Tensor, "n length"]:
        """Strings as padded bytes; what does not fit is cut at the end of a character."""
        return rows_of(natives, self.spec.shape[0])

    def decode(self, x: UInt8[Tensor, "n length"]) -> list[str]:
        """Strings; bytes that are no UTF-8 become replacement characters."""
        return texts_of(x)

    def files(self, x: UInt8[Tensor, "n length"], synthetic: Sequence[bool]) -> list[bytes]:
        """UTF-8 bytes. Plain text has no room for a mark: tables and names beside it say which rows are synthetic."""
        return [text.encode() for text in self.decode(x)]

    def embed(self, x: UInt8[Tensor, "n length"]) -> Float[Tensor, "n d"]:
        """Features of the backbone; a row's features do not depend on its neighbours."""
        from .backbones.select import shared

        return shared(self.backbone_name)(self.decode(x))

    def backbone(self, name: str | None = None) -> Backbone:
        """A fresh trainable copy. Raises `WrongSpec` for a backbone that has nothing to train."""
        from .backbones.select import trainable

        return trainable(name or self.backbone_name)

    def preview(self, x: UInt8[Tensor, "n length"]) -> list[str]:
        """Each row as a block of escaped text in the direction of its script, cut where it is long."""
        cut = [t if len(t) <= PREVIEW else t[: PREVIEW - 1] + "…" for t in self.decode(x)]
        return [f'<span class="text" dir="auto">{html.escape(t)}</span>' for t in cut]

    def named(self, meanings: Sequence[str]) -> list[tuple[str, int]]:
        """Up to three sentences a class that say what it means and fit into a row; none at all where a class means nothing in letters,
        such as "1", or more than fits."""
        names = [spoken(m) for m in meanings]
        if any(script(m) == "none" for m in names) or len(set(names)) < len(names):
            return []
        own = [NAMED.get("" if script(m) == "Latin" else script(m), NAMED["Han"][:1]) for m in names]
        said = [[t for template in own[k] if len((t := template.replace("{}", m)).encode()) <= self.spec.shape[0]] for k, m in enumerate(names)]
        return [(t, k) for k, texts in enumerate(said) for t in texts] if all(said) else []

    def variants(self, x: Shaped[Tensor, "n length"]) -> list[Tensor]:
        """The rows themselves."""
        return [x]
