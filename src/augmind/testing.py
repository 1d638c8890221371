"""Toy doubles for tests of augmind and of third-party plug-ins: tiny data and a codec that need no weights and no files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .core.seeds import stream
from .core.types import Choice, Classical, Data, Samples, Spec


class ToyBackbone(nn.Module):
    """A fixed random projection of the flattened row, squashed: deterministic features of width 16."""

    width: int = 16
    name: str = "toy"

    def __init__(self, size: int) -> None:
        super().__init__()
        weight = torch.randn(size, self.width, generator=stream("toy backbone")) / size**0.5
        self.projection = nn.Parameter(weight)

    @property
    def module(self) -> "ToyBackbone":
        return self

    def features(self, x: Tensor) -> Tensor:
        return torch.tanh(x.flatten(1).float() @ self.projection * 2)


@dataclass(frozen=True)
class ToyCodec:
    """Natives are tensors; features are a fixed random projection."""

    spec: Spec
    name: ClassVar[str] = "toy"
    suffix: ClassVar[str] = ".bin"
    classical: ClassVar[tuple[Classical, ...]] = (
        Classical(name="none"),
        Classical(name="mixup", mixing=Choice(name="mixup")),
    )

    @property
    def pretrained(self) -> bool:
        return True

    @property
    def trainable(self) -> bool:
        return True

    def encode(self, natives: Sequence[Any]) -> Tensor:
        return torch.stack(list(natives))

    def decode(self, x: Tensor) -> list[Any]:
        return list(x)

    def files(self, x: Tensor, synthetic: Sequence[bool]) -> list[bytes]:
        return [row.numpy().tobytes() for row in x]

    def reads(self) -> str:
        return ""

    def embed(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self.backbone().features(self.spec.to_model(x))

    def backbone(self, name: str | None = None) -> ToyBackbone:
        return ToyBackbone(int(torch.tensor(self.spec.shape).prod()))

    def figures(self, x: Tensor, real: Tensor) -> dict[str, float]:
        return {}

    def tiles(self, x: Tensor) -> None:
        return None

    def preview(self, x: Tensor, beside: Tensor | None = None) -> list[str]:
        return [f"<code>{float(row.float().mean()):.3f}</code>" for row in x]

    def named(self, meanings: Sequence[str]) -> list[tuple[Any, int]]:
        return []

    def variants(self, x: Tensor) -> list[Tensor]:
        return [x, x.flip(-1)] if x.ndim > 2 else [x]


def toy_samples(n: int = 24, shape: tuple[int, ...] = (1, 16, 16), classes: int = 3, seed: int = 0) -> Samples:
    """`n` real uint8 rows: class k is a smooth fixed pattern plus noise, so it can be learnt from a handful."""
    rng = stream("toy rows", seed)
    y = torch.arange(n) % classes
    coarse = torch.randn((classes, shape[0], 4, 4), generator=stream("toy patterns", shape[0], classes))
    pattern = interpolate(coarse, size=shape[1:], mode="bilinear")
    x = pattern[y] * 45 + torch.randn((n, *shape), generator=rng) * 20 + 128
    return Samples.real(x.clamp(0, 255).to(torch.uint8), y)


def toy_data(n: int = 24, shape: tuple[int, ...] = (1, 16, 16), classes: int = 3, seed: int = 0) -> Data:
    """A small learnable dataset of grids with features, and as many held-out rows."""
    spec = Spec(kind="continuous", shape=shape, classes=tuple(f"class {k}" for k in range(classes)))
    codec = ToyCodec(spec)
    train, val = (toy_samples(n, shape, classes, seed=2 * seed + i) for i in range(2))
    return Data(train=train.with_features(codec.embed(train.x)), val=val.with_features(codec.embed(val.x)), spec=spec, codec=codec)
