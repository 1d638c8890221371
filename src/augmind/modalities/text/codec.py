"""Sentences: text to stored bytes and back, their features, their previews, their classical augmentation."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, ClassVar, Literal

from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from augmind.core.errors import WrongSpec
from augmind.core.types import Backbone, Choice, Classical, Spec

from .abuse import abusive
from .figures import distinct, novel, self_bleu
from .rows import rows_of, texts_of
from .sides import related, sides_of
from .tongue import language_of
from .words import joined, pieces, script, spoken, words

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

    Where `spec.parts` names two sides, rows are pairs of texts, joined as `sides` says.
    `backbone_name` is "hash" or another backbone of `backbones.select`.
    """

    spec: Spec
    backbone_name: str = "hash"

    name: ClassVar[str] = "text"
    suffix: ClassVar[str] = ".txt"
    classical: ClassVar[tuple[Classical, ...]] = (
        *(arm("none"), arm("none", "beside"), arm("eda"), arm("eda", "beside"), arm("typos")),
        Classical(name="splice", mixing=Choice(name="splice")),
        Classical(name="mixup", mixing=Choice(name="mixup")),
        Classical(name="class names alone", names="alone"),
    )

    def __post_init__(self) -> None:
        if self.spec.kind != "tokens" or len(self.spec.shape) != 1:
            raise WrongSpec(f"text cannot be {self.spec.kind} rows of shape {self.spec.shape}", help="text is stored as (length,) bytes")

    @property
    def sides(self) -> int:
        """Texts in a row: 1, or 2 of pairs."""
        return max(1, len(self.spec.parts))

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
        """UTF-8 bytes, of a pair one side a line. Plain text has no room for a mark: tables and names beside it say which rows are synthetic."""
        return [row.encode() if self.sides == 1 else "\n".join(" ".join(s.split()) for s in sides_of(row)).encode() for row in self.decode(x)]

    def reads(self) -> str:
        from .backbones.select import known

        known(self.backbone_name)
        return self.backbone_name if self.trainable else ""

    def embed(self, x: UInt8[Tensor, "n length"]) -> Float[Tensor, "n d"]:
        """Features of the backbone; a row's features do not depend on its neighbours."""
        from .backbones.select import shared

        return related(shared(self.backbone_name), self.decode(x), self.sides)

    def backbone(self, name: str | None = None) -> Backbone:
        """A fresh trainable copy. Raises `WrongSpec` for a backbone that has nothing to train."""
        from .backbones.select import trainable

        return trainable(name or self.backbone_name, self.sides)

    def tiles(self, x: UInt8[Tensor, "n length"]) -> None:
        """None: text is read."""

    def preview(self, x: UInt8[Tensor, "n length"], beside: UInt8[Tensor, "n length"] | None = None) -> list[str]:
        """Each row as a block of escaped text in the direction of its script, cut where it is long; words that `beside` lacks are marked.
        The sides of a pair stand one below the other, each with its name."""
        others: Sequence[str | None] = [None] * len(x) if beside is None else self.decode(beside)
        return [self._shown(row, other) for row, other in zip(self.decode(x), others, strict=True)]

    def _shown(self, row: str, other: str | None) -> str:
        sides, near = sides_of(row), [] if other is None else sides_of(other)
        told = [block(text, beside, PREVIEW // len(sides)) for text, beside in zip_longest(sides, near[: len(sides)])]
        if len(sides) == 1:
            return told[0]
        return "<br>".join(f"<b>{html.escape(name)}</b> {text}" for name, text in zip_longest(self.spec.parts, told, fillvalue=""))

    def figures(self, x: UInt8[Tensor, "n length"], real: UInt8[Tensor, "m length"]) -> dict[str, float]:
        """Distinct-1 and -2, the share of runs of four words that no real row has, self-BLEU over as many synthetic as real texts, and the shares
        with rude or sexual words, where there are any."""
        texts, known = ([side for row in self.decode(rows) for side in sides_of(row)] for rows in (x, real))
        n = min(len(texts), len(known))
        found = {
            "distinct_1": distinct(texts, 1),
            "distinct_2": distinct(texts, 2),
            "novel_4_grams": novel(texts, known),
            "self_bleu": self_bleu(spaced(texts, n)),
            "self_bleu_real": self_bleu(spaced(known, n)),
        }
        if max(rude := [share_abusive(rows) for rows in (texts, known)]) > 0:
            found |= dict(zip(("abusive", "abusive_real"), rude, strict=True))
        return {name: value for name, value in found.items() if value is not None}

    def named(self, meanings: Sequence[str]) -> list[tuple[str, int]]:
        """Up to three sentences a class that say what it means and fit into a row; none at all where a class means nothing in letters,
        such as "1", or more than fits, and where rows are pairs."""
        if self.sides > 1:
            return []
        names = [spoken(m) for m in meanings]
        if any(script(m) == "none" for m in names) or len(set(names)) < len(names):
            return []
        own = [NAMED.get("" if script(m) == "Latin" else script(m), NAMED["Han"][:1]) for m in names]
        said = [[t for template in own[k] if len((t := template.replace("{}", m)).encode()) <= self.spec.shape[0]] for k, m in enumerate(names)]
        return [(t, k) for k, texts in enumerate(said) for t in texts] if all(said) else []

    def variants(self, x: Shaped[Tensor, "n length"]) -> list[Tensor]:
        """The rows themselves."""
        return [x]


def share_abusive(texts: list[str]) -> float:
    """The share of texts with rude or sexual words, 0..1."""
    return sum(bool(abusive(t, language_of(t))) for t in texts) / max(1, len(texts))


def spaced(texts: list[str], n: int) -> list[str]:
    """`n` of the texts at even distances."""
    return [texts[i * len(texts) // n] for i in range(n)]


LANGUAGES = {"Han": "zh", "Japanese": "ja", "Korean": "ko"}
"""Languages of scripts whose signs look different in each, so that a page shows them in the right font."""


def block(text: str, beside: str | None, most: int) -> str:
    """A text of at most so many characters as HTML, with marks where there is one to compare it with."""
    cut = text if len(text) <= most else text[: most - 1] + "…"
    told = f' lang="{code}"' if (code := LANGUAGES.get(script(cut))) else ""
    return f'<span class="text"{told} dir="auto">{html.escape(cut) if beside is None else marked(cut, beside)}</span>'


def marked(text: str, other: str) -> str:
    """Escaped text in which the words are marked that the other text does not have in this order; without marks where these are most of it."""
    found, gaps = pieces(text)
    alike = SequenceMatcher(None, [w.lower() for w in found], [w.lower() for w in words(other)], autojunk=False)
    same = {i for block in alike.get_matching_blocks() for i in range(block.a, block.a + block.size)}
    said = [html.escape(w) if i in same or 2 * len(same) < len(found) else f"<mark>{html.escape(w)}</mark>" for i, w in enumerate(found)]
    return joined(said, [html.escape(gap) for gap in gaps])
