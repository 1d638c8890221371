"""What sets two rows of a class apart, as a short code that another row can be given: the idea of delta-encoders (arXiv:1806.04734)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

DROPOUT = 0.3
"""Part of the hidden units that a step of the training leaves out; the paper has a half, of 8192."""
PARTNERS = 8
"""Each row is paired with at most so many others of its class."""
REMEMBERED = 1024
"""At most so many pairs of a class, and rows that differences are added to, are kept."""


class DeltaEncoder(nn.Module):
    """`code` says in `latent` values how a row differs from another of its class; `forward` adds such a difference to any row.

    In the paper both halves see the anchor too. Learnt from few classes such a code says where the row lies, not how it differs, and a class that
    lies elsewhere is drawn away from itself; so the difference is all that is seen here.
    """

    def __init__(self, size: int, width: int, latent: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(size, width), nn.LeakyReLU(0.2), nn.Dropout(DROPOUT), nn.Linear(width, latent))
        self.decoder = nn.Sequential(nn.Linear(latent, width), nn.LeakyReLU(0.2), nn.Dropout(DROPOUT), nn.Linear(width, size))

    def code(self, row: Float[Tensor, "b d"], anchor: Float[Tensor, "b d"]) -> Float[Tensor, "b l"]:
        return self.encoder(row - anchor)

    def forward(self, code: Float[Tensor, "b l"], anchor: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        return anchor + self.decoder(code)


def paired(y: Int[Tensor, " n"], classes: int, rng: torch.Generator) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"], Int[Tensor, " m"]]:
    """Pairs of rows of a class, at random and sorted by class: positions of the row and of its anchor, and the class.

    A class brings pairs in proportion to its rows, so populated classes say most about how rows differ. Where no class has two rows, rows of all
    classes are paired, and count as of the first.
    """
    pooled = int(torch.bincount(y, minlength=classes).max()) < 2
    rows, anchors, labels = [], [], []
    for k in range(1 if pooled else classes):
        own = torch.arange(len(y)) if pooled else (y == k).nonzero()[:, 0]
        if len(own) < 2 and not pooled:
            continue
        own = own[torch.randperm(len(own), generator=rng)]
        turns = range(1, max(2, min(len(own), PARTNERS + 1)))
        rows.append(own.repeat(len(turns))[:REMEMBERED])
        anchors.append(torch.cat([own.roll(turn) for turn in turns])[:REMEMBERED])
        labels.append(torch.full_like(rows[-1], k))
    return torch.cat(rows), torch.cat(anchors), torch.cat(labels)
