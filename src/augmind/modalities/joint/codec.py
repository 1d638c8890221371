"""Rows that join a picture and a sound, or other kinds: each side by the codec of its own kind, all else side by side."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor
from torch.nn.functional import normalize

from augmind.core.errors import UsageError, WrongSpec
from augmind.core.sides import apart, joined, shapes_of, specs_of
from augmind.core.types import Backbone, Choice, Classical, Codec, Spec
from augmind.modalities import codec_of

GAP = 2
"""Cells of white between the sides of a tile."""


@dataclass(frozen=True)
class JointCodec:
    """Rows of `spec.sides`, of which `spec.parts` says the kinds ("image", "audio"): the stored values of the sides follow each other.

    Natives are tuples with one native a side. Features are those of the sides one after the other, each of length one, so that no side drowns
    another. `backbone_name` names the backbones of the sides, "image=resnet18,audio=speech"; one without a name, the one side that knows it; sides
    that are not named have their usual one. Raises `WrongSpec` for rows without sides, `UsageError` for backbones that no side knows.
    """

    spec: Spec
    backbone_name: str = ""

    name: ClassVar[str] = "joint"
    suffix: ClassVar[str] = ".bin"

    def __post_init__(self) -> None:
        if len(self.spec.sides) < 2 or len(self.spec.sides) != len(self.spec.parts) or not all(side.bounded for side in self.spec.sides):
            raise WrongSpec(f"rows of the parts {self.spec.parts} join no sides", help="a joint row names two parts or more, each with its own bytes")
        _ = self.codecs

    @cached_property
    def codecs(self) -> tuple[Codec, ...]:
        """The codec of each side."""
        asked = named(self.backbone_name, self.spec.parts)
        own = zip(self.spec.parts, specs_of(self.spec), strict=True)
        if "" not in asked:
            return tuple(codec_of(part, spec, asked.get(part)) for part, spec in own)
        found = {part: known for part, spec in own if (known := knowing(part, spec, asked[""]))}
        if len(found) != 1:
            told = "more than one of" if found else "none of"
            text = f"the backbone '{asked['']}' is known to {told} the sides {', '.join(self.spec.parts)}"
            raise UsageError(text, help=f"say which side it is for: --backbone {self.spec.parts[-1]}={asked['']}")
        return tuple(found.get(part) or codec_of(part, spec) for part, spec in zip(self.spec.parts, specs_of(self.spec), strict=True))

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """How many features each side has."""
        return tuple(c.embed(torch.zeros((1, *s.shape), dtype=torch.uint8)).shape[1] for c, s in zip(self.codecs, self.spec.sides, strict=True))

    @property
    def pretrained(self) -> bool:
        """Whether the features of any side come from a model that was trained elsewhere."""
        return any(codec.pretrained for codec in self.codecs)

    @property
    def trainable(self) -> bool:
        return False

    @property
    def advice(self) -> str:
        """What the codecs of the sides advise, where no backbone is named."""
        return "; ".join(
            f"{part}: {said}" for part, codec in zip(self.spec.parts, self.codecs, strict=True) if (said := getattr(codec, "advice", ""))
        )

    @property
    def classical(self) -> tuple[Classical, ...]:
        """Every side by the transforms of its own kind, one of them alone, and sides of two rows of a class exchanged."""
        plain = [tuple(c for c in codec.classical if c.mixing.name == "none" and c.names == "none") for codec in self.codecs]
        most = max(map(len, plain))
        both = [tuple(arms[min(i, len(arms) - 1)] for arms in plain) for i in range(1, min(3, most))]
        alone = [tuple(arms[1 if i == at else 0] for i, arms in enumerate(plain)) for at in range(len(plain))]
        made = [self._arm(arms) for arms in (both[0], *alone, *both[1:])]
        exchanged = self._exchange()
        mixed = [Classical(name=f"{arm.name}+exchange", transform=arm.transform, mixing=exchanged) for arm in made[:1]]
        return (Classical(name="none"), *made, Classical(name="exchange", mixing=exchanged), *mixed)

    def _arm(self, arms: Sequence[Classical]) -> Classical:
        """An arm that does to each side what one of its own arms does."""
        told = " & ".join(f"{part} {arm.name}" for part, arm in zip(self.spec.parts, arms, strict=True) if arm.name != "none")
        settings = {"by": [arm.transform.name for arm in arms], "sides": shapes_of(self.spec)}
        return Classical(name=told, transform=Choice(name="each", settings=settings))

    def _exchange(self) -> Choice:
        return Choice(name="exchange", settings={"widths": dict(zip(self.spec.parts, self.widths, strict=True))})

    def encode(self, natives: Sequence[Any]) -> UInt8[Tensor, "n d"]:
        """Tuples of one native a side as stored rows."""
        columns = list(zip(*natives, strict=True)) or [()] * len(self.codecs)
        return joined([codec.encode(column) for codec, column in zip(self.codecs, columns, strict=True)])

    def decode(self, x: UInt8[Tensor, "n d"]) -> list[tuple[Any, ...]]:
        """Tuples of one native a side."""
        return list(zip(*(codec.decode(part) for codec, part in self._sides(x)), strict=True))

    def files(self, x: UInt8[Tensor, "n d"], synthetic: Sequence[bool]) -> list[bytes]:
        """The stored bytes of each row; the codecs of the sides make a file of each of them."""
        return [row.numpy().tobytes() for row in x]

    def reads(self) -> str:
        """The first model that a side reads; exports and plans ask the codecs of the sides."""
        return next((read for codec in self.codecs if (read := codec.reads())), "")

    def embed(self, x: UInt8[Tensor, "n d"]) -> Float[Tensor, "n e"]:
        """The features of each side, brought to length one, one after the other."""
        return torch.cat([normalize(codec.embed(part), dim=1) for codec, part in self._sides(x)], 1)

    def backbone(self, name: str | None = None) -> Backbone:
        """Raises `WrongSpec`: a network over several kinds of rows is not there to be trained further."""
        raise WrongSpec("rows of several kinds have no one backbone to train", help="choose the learner probe or late_fusion")

    def tiles(self, x: UInt8[Tensor, "n d"]) -> UInt8[Tensor, "n y z 3"] | None:
        """The sides beside each other, all as high as the highest; None where one of them is nothing to look at."""
        found = [codec.tiles(part) for codec, part in self._sides(x)]
        shown = [tile[..., :3] for tile in found if tile is not None]
        if len(shown) < len(found):
            return None
        height = max(tile.shape[1] for tile in shown)
        gap = torch.full((len(x), height, GAP, 3), 255, dtype=torch.uint8)
        placed = [piece for tile in shown for piece in (gap, enlarged(tile, height))]
        return torch.cat(placed[1:], 2)

    def preview(self, x: UInt8[Tensor, "n d"], beside: UInt8[Tensor, "n d"] | None = None) -> list[str]:
        """The previews of the sides, one below the other."""
        others = [None] * len(self.codecs) if beside is None else [part for _, part in self._sides(beside)]
        columns = [codec.preview(part, other) for (codec, part), other in zip(self._sides(x), others, strict=True)]
        return ["<br>".join(row) for row in zip(*columns, strict=True)]

    def figures(self, x: UInt8[Tensor, "n d"], real: UInt8[Tensor, "m d"]) -> dict[str, float]:
        """The figures of every side, with its name before theirs."""
        sides = zip(self.spec.parts, self._sides(x), self._sides(real), strict=True)
        return {f"{part}: {k}": v for part, (codec, own), (_, known) in sides for k, v in codec.figures(own, known).items()}

    def named(self, meanings: Sequence[str]) -> list[tuple[Any, int]]:
        """None: a row has more sides than words can say."""
        return []

    def variants(self, x: Shaped[Tensor, "n d"]) -> list[Shaped[Tensor, "n d"]]:
        """The rows themselves; copies are looked for side by side."""
        return [x]

    def _sides(self, x: Tensor) -> list[tuple[Codec, Tensor]]:
        return list(zip(self.codecs, apart(x, self.spec), strict=True))


def named(backbones: str, parts: Sequence[str]) -> dict[str, str]:
    """ "image=resnet18,audio=speech" by side; {"": name} for one without a side. Raises `UsageError` for a side that rows do not have."""
    found: dict[str, str] = {}
    for one in filter(None, re.split(r",(?=\w+=)", backbones)):
        at = re.fullmatch(r"(\w+)=(.+)", one)
        if at and at[1] not in parts:
            raise UsageError(f"--backbone {one} is about '{at[1]}', which is no side of these rows", help=f"their sides are {', '.join(parts)}")
        found |= {at[1]: at[2]} if at else {"": one}
    return found


def knowing(part: str, spec: Spec, backbone: str) -> Codec | None:
    """The codec of a side with this backbone; None where that kind knows none of this name."""
    try:
        codec = codec_of(part, spec, backbone)
        codec.reads()
    except UsageError:
        return None
    return codec


def enlarged(tile: UInt8[Tensor, "n h w 3"], height: int) -> UInt8[Tensor, "n y z 3"]:
    """Tiles a whole number of times as large, in the middle of white ones of this height."""
    times = max(1, height // tile.shape[1])
    big = tile.repeat_interleave(times, 1).repeat_interleave(times, 2)
    out = torch.full((len(big), height, big.shape[2], 3), 255, dtype=torch.uint8)
    top = (height - big.shape[1]) // 2
    out[:, top : top + big.shape[1]] = big
    return out
