"""Rows that join several kinds, such as a grid of colours and one of waves: each side as rows of its own, and back.

The values of the sides stand in a row one after the other, as `Spec.sides` says, and so do their features, as `Data.widths` says.
"""

import dataclasses
import math
from typing import cast

import torch
from jaxtyping import Shaped
from torch import Tensor

from .types import Codec, Data, Joint, Samples, Spec


def apart(x: Shaped[Tensor, "n d"], spec: Spec) -> list[Shaped[Tensor, "n ..."]]:
    """The values of each side in its own shape."""
    parts = x.split([math.prod(side.shape) for side in spec.sides], 1)
    return [part.unflatten(1, side.shape).contiguous() for part, side in zip(parts, spec.sides, strict=True)]


def joined(parts: list[Shaped[Tensor, "n ..."]]) -> Shaped[Tensor, "n d"]:
    """The inverse of `apart`."""
    return torch.cat([part.flatten(1) for part in parts], 1)


def own_samples(rows: Samples, spec: Spec, widths: tuple[int, ...]) -> list[Samples]:
    """Rows side by side: values, and features where there are any, of each side; all else as it is."""
    values = apart(rows.x, spec)
    features = [None] * len(values) if rows.z is None else rows.z.split(widths, 1)
    return [dataclasses.replace(rows, x=x, z=z) for x, z in zip(values, features, strict=True)]


def own_data(data: Data) -> list[Data]:
    """Each side of rows as data of its own, or the data themselves where rows have one side."""
    if not data.spec.sides:
        return [data]
    train, val = (own_samples(rows, data.spec, data.widths) for rows in (data.train, data.val))
    sides = zip(train, val, specs_of(data.spec), codecs_of(data.codec), strict=True)
    return [Data(train=t, val=v, spec=s, codec=c, says=data.says) for t, v, s, c in sides]


def specs_of(spec: Spec) -> list[Spec]:
    """The sides with the classes of the whole, which a joint spec need not repeat."""
    return [dataclasses.replace(side, classes=spec.classes) for side in spec.sides]


def shapes_of(spec: Spec) -> dict[str, list[int]]:
    """The shape of each side by its name, as plain JSON."""
    return {name: list(side.shape) for name, side in zip(spec.parts, spec.sides, strict=True)} if spec.sides else {}


def codecs_of(codec: Codec) -> tuple[Codec, ...]:
    """The codecs of the sides."""
    return cast(Joint, codec).codecs
