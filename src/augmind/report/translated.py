"""How near translated rows come to the true ones, in figures and to look at."""

import io

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import cosine_similarity

from augmind.core.types import Codec

SHOWN = 8
"""Rows on the sheet."""
WIDE, HEADING = 128, 22
"""Width of a row on the sheet, at least, and the height of the line above, in pixels."""
BLOCK = 64
"""Rows that are worked on together."""
WINDOW = 11
"""Side of the window that SSIM compares."""


def measures(
    x: UInt8[Tensor, "n c h w"], truth: UInt8[Tensor, "n c h w"], z: Float[Tensor, "n d"], true: Float[Tensor, "n d"]
) -> dict[str, Float[Tensor, " n"]]:
    """`psnr` in decibels, `ssim` (0..1), and `features`, one less the cosine of the features `z` and `true` (lower is nearer), of each row.

    `ssim` (Wang et al. 2004) is left out for rows too small for its window.
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    found: dict[str, list[Tensor]] = {"psnr": [], "ssim": []}
    for a, b in zip(x.split(BLOCK), truth.split(BLOCK), strict=True):
        told = {"data_range": 255.0, "reduction": "none"}
        found["psnr"].append(peak_signal_noise_ratio(a.float(), b.float(), dim=(1, 2, 3), **told).clamp(max=100.0))
        if min(a.shape[2:]) > WINDOW:
            ssim = structural_similarity_index_measure(a.float(), b.float(), **told)
            found["ssim"].append((ssim if isinstance(ssim, Tensor) else ssim[0]).reshape(len(a)))
    return {name: torch.cat(parts) for name, parts in found.items() if parts} | {"features": 1 - cosine_similarity(z, true, dim=1)}


def sheet(columns: dict[str, UInt8[Tensor, "n c h w"]], codec: Codec) -> bytes:
    """A PNG of rows beside each other under the names of the columns."""
    from PIL import Image, ImageDraw

    tiles = [seen(x[:SHOWN], codec) for x in columns.values()]
    times = max(1, -(-WIDE // tiles[0].shape[2]))
    grid = torch.cat([torch.cat(list(t.repeat_interleave(times, 1).repeat_interleave(times, 2)), 0) for t in tiles], 1)
    rows = Image.fromarray(grid.numpy())
    made = Image.new("RGB", (rows.width, rows.height + HEADING), "white")
    made.paste(rows, (0, HEADING))
    for i, name in enumerate(columns):
        ImageDraw.Draw(made).text((i * rows.width // len(columns) + 4, 5), name, fill="black")
    sink = io.BytesIO()
    made.save(sink, format="PNG")
    return sink.getvalue()


def seen(x: UInt8[Tensor, "n c h w"], codec: Codec) -> UInt8[Tensor, "n h w 3"]:
    """Rows as they are looked at, without what is transparent."""
    shown = codec.tiles(x)
    assert shown is not None
    return shown[..., :3].contiguous()
