"""Novelty: is a synthetic row a copy of a training row?"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, affine_grid, avg_pool2d, grid_sample, normalize, pad

from augmind.core.plugin import Screen
from augmind.core.run import Run
from augmind.core.sides import own_data, own_samples
from augmind.core.types import Data, Samples, Spec
from augmind.nn.likeness import Copies
from augmind.nn.neighbours import blocks, nearest, polar

from ._conformal import Conformal

NEXT = 5
"""Neighbours after the first against which the first is measured."""
CELLS, FINE = 12, 32
"""Sides of the views that are compared, and of the grids from which they are cut."""
STEP = 0.04
"""Views are shifted by up to two steps of this part of a side, or of half a cell where that is more."""
FLAT = 0.05
"""A grid that varies less than this part of the typical real one shows nothing to compare."""
TWIN = 0.05
"""Real rows relatively nearer than this to another are duplicates and teach nothing about fresh rows."""


@dataclass(kw_only=True)
class Novelty(Screen):
    """The distance to the nearest training row over the mean distance to the next five, from any class.

    A fresh row has several neighbours about equally near; a copy has one that is much nearer than the others. The test runs in
    features (`neighbours.polar`) and, where rows are grids, in the rows themselves: correlation of small standardised grids,
    the highest over shifted, slightly turned and slightly scaled views of the codec's near copies (mirrored, ...) of the
    training row. Each ratio becomes the share of training rows that are no farther, relatively, from the rest (`Conformal`,
    leave-one-out), and the score is twice the lesser share: at a cut of 0.02, 2 % of fresh rows would be lost. Among n training rows
    no share is much less than 1 / n, so few rows alone condemn nothing but the plainest copy. Therefore a grid that the dataset's own
    rule calls a near duplicate of a training row (`likeness.Copies`) scores 0, whatever its share.

    Of rows that join several kinds every side is held against that side of the training rows, and the side that is most of a copy counts, s times
    for s sides (Bonferroni).
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"continuous", "tokens"})
    reason: ClassVar[str] = "copies a training row"
    lost: float = 0.02

    @property
    def cut(self) -> float:
        return self.lost

    def fit(self, data: Data, run: Run) -> "Novelty":
        train = data.train
        assert train.z is not None
        self.whole_, self.sides_ = (data.spec, data.widths), [Novelty(lost=self.lost).fit(side, run) for side in own_data(data) if data.spec.sides]
        self.z_, self.k_, self.views_ = polar(train.z), min(NEXT + 1, len(train) - 1), None
        if train.x.ndim == 4:
            self.spec_, self.window_ = data.spec, (min(CELLS, train.x.shape[2]), min(CELLS, train.x.shape[3]))
            self.views_ = torch.stack([view for v in data.codec.variants(train.x) for view in views(fine(v, data.spec))])
            own, spread = plain(fine(train.x, data.spec))
            self.flat_ = FLAT * float(spread.median())
            self.copies_ = Copies(data.codec.variants(train.x), train.units, data.spec)
            if self.assessable:
                shown = spread > self.flat_
                self.by_rows_ = _calibrated(self._grid_neighbours(own, self.k_, itself=True)[0][shown], train.y[shown])
        if self.assessable:
            self.by_features_ = _calibrated(nearest(self.z_, self.z_, self.k_, skip_self=True)[0], train.y)
        return self

    @property
    def assessable(self) -> bool:
        """Whether there are training rows enough, three, to tell near from nearer; without them only near duplicates are rejected."""
        return self.k_ > 1

    def score(self, synthetic: Samples, kept: Samples | None = None) -> Float[Tensor, " n"]:
        assert synthetic.z is not None
        if self.sides_:
            own = own_samples(synthetic, *self.whole_)
            return (len(own) * torch.stack([side.score(rows) for side, rows in zip(self.sides_, own, strict=True)]).amin(0)).clamp(max=1.0)
        share = self._share(synthetic) if self.assessable else torch.ones(len(synthetic))
        if self.views_ is None or synthetic.x.ndim != 4:
            return share
        return share.masked_fill(self.copies_.among(synthetic.x), 0.0)

    def _share(self, synthetic: Samples) -> Float[Tensor, " n"]:
        """The share of training rows that are no farther from the rest, by features and, for grids, by the rows themselves."""
        assert synthetic.z is not None
        by_features = self.by_features_.share(relative(nearest(polar(synthetic.z), self.z_, self.k_)[0]))
        if self.views_ is None or synthetic.x.ndim != 4:
            return by_features
        own, spread = plain(fine(synthetic.x, self.spec_))
        by_rows = self.by_rows_.share(relative(self._grid_neighbours(own, self.k_)[0]))
        by_rows = torch.where(spread > self.flat_, by_rows, 1.0)
        return (2 * torch.minimum(by_features, by_rows)).clamp(max=1.0)

    def nearest(self, synthetic: Samples) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"]]:
        """The position in the training rows of each row's nearest one and its distance.

        Distances are those of `aligned` grids, 0 for a copy and about 1.4 for unrelated rows, or of features where rows are no
        grids.
        """
        if self.views_ is not None and synthetic.x.ndim == 4:
            distances, positions = self._grid_neighbours(plain(fine(synthetic.x, self.spec_))[0], 1)
        else:
            assert synthetic.z is not None
            distances, positions = nearest(polar(synthetic.z), self.z_, 1)
        return positions[:, 0], distances[:, 0]

    def _grid_neighbours(self, own: Float[Tensor, "n e"], k: int, *, itself: bool = False) -> tuple[Tensor, Tensor]:
        """As `neighbours.nearest`: correlation with every view of every training row, then `aligned` for the best rows."""
        assert self.views_ is not None
        n = self.views_.shape[1]
        distances, positions = own.new_empty(len(own), k), torch.empty(len(own), k, dtype=torch.long)
        for part in blocks(len(own), 4 * n):
            alike, pose = own[part] @ self.views_[0].T, torch.zeros((part.stop - part.start, n), dtype=torch.int16)
            for t, view in enumerate(self.views_[1:], start=1):
                more = own[part] @ view.T
                pose.masked_fill_(more > alike, t)
                torch.maximum(alike, more, out=alike)
            if itself:
                alike[torch.arange(len(alike)), torch.arange(part.start, part.stop)] = -torch.inf
            found = alike.topk(min(k + NEXT, n - itself)).indices
            seen = self.views_[pose.gather(1, found).long(), found]
            best = aligned(own[part], seen, self.window_).sort(dim=1, stable=True)
            distances[part], positions[part] = best.values[:, :k], found.gather(1, best.indices[:, :k])
        return distances, positions


def aligned(own: Float[Tensor, "n e"], seen: Float[Tensor, "n k e"], window: tuple[int, int]) -> Float[Tensor, "n k"]:
    """Tangent distance (Simard, LeCun and Denker, 1993): what of a view no small shift, turn, stretch or contrast of `seen` explains.

    sqrt(2 x the unexplained part of the variance): 0 for a copy, about 1.4 for unrelated grids.
    """
    height, width = window
    grid = seen.unflatten(2, window)
    dy, dx = torch.gradient(grid, dim=(2, 3)) if min(window) > 1 else (torch.zeros_like(grid), torch.zeros_like(grid))
    y = torch.linspace(-1, 1, height)[:, None].expand(window)
    x = torch.linspace(-1, 1, width).expand(window)
    tangents = torch.stack([grid, dx, dy, x * dy - y * dx, x * dx + y * dy], 2).flatten(3)
    tangents = normalize(tangents - tangents.mean(3, keepdim=True), dim=3)
    gram = tangents @ tangents.mT + 1e-5 * torch.eye(tangents.shape[2])
    along = torch.einsum("nkte,ne->nkt", tangents, own)
    explained = (along * torch.linalg.solve(gram, along[..., None])[..., 0]).sum(2)
    return (2 - 2 * explained).clamp(min=0.0).sqrt()


def relative(distances: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    """Log of the first of ascending distances over the mean of the others."""
    return (distances[:, 0] / distances[:, 1:].mean(1).clamp(min=1e-12)).clamp(min=1e-6).log()


def _calibrated(distances: Float[Tensor, "n k"], y: Int[Tensor, " n"]) -> Conformal:
    ratio = relative(distances)
    fresh = ratio > torch.tensor(TWIN).log()
    return Conformal(ratio[fresh], y[fresh])


def fine(x: Tensor, spec: Spec) -> Float[Tensor, "n 1 h w"]:
    """Stored grids in model space, averaged over channels and down to at most `FINE` cells a side, then smoothed to `CELLS`."""
    size = (min(FINE, x.shape[2]), min(FINE, x.shape[3]))
    reach = [round((s / CELLS - 1) / 2) for s in size]
    out = torch.empty(len(x), 1, *size)
    for part in blocks(len(x), x[0].numel() if len(x) else 1):
        grid = adaptive_avg_pool2d(spec.to_model(x[part]).mean(1, keepdim=True), size)
        padded = pad(grid, (reach[1], reach[1], reach[0], reach[0]), mode="replicate")
        out[part] = avg_pool2d(padded, [2 * r + 1 for r in reach], stride=1)
    return out


def views(grids: Float[Tensor, "n 1 h w"]) -> list[Float[Tensor, "n e"]]:
    """Views of each grid through its middle window: 25 shifts, and 9 shifts each of it turned and scaled either way."""
    turned = [(a, 1.0) for a in (-0.09, 0.09)] + [(0.0, s) for s in (0.9, 1.11)]
    far, near = (-2, -1, 0, 1, 2), (-1, 0, 1)
    poses = [(0.0, 1.0, i, j) for i in far for j in far] + [(a, s, i, j) for a, s in turned for i in near for j in near]
    return [_seen(grids, *pose)[0] for pose in poses]


def plain(grids: Float[Tensor, "n 1 h w"]) -> tuple[Float[Tensor, "n e"], Float[Tensor, " n"]]:
    """The view of each grid that is not moved, and the standard deviation in it."""
    return _seen(grids, 0.0, 1.0, 0, 0)


def _seen(grids: Float[Tensor, "n 1 h w"], angle: float, scale: float, down: int, right: int) -> tuple[Tensor, Tensor]:
    """The middle window of each moved grid at `CELLS` points a side, as a standardised vector, and its standard deviation."""
    height, width = grids.shape[2:]
    steps = [max(STEP, 0.5 / s) for s in (width, height)]
    half = [1 - 4 * s if 2 * s < 0.5 else 1.0 for s in steps]
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) * scale
    move = torch.tensor([[2 * right * steps[0]], [2 * down * steps[1]]])
    pose = torch.cat([turn * torch.tensor(half), move], 1)
    points = affine_grid(pose[None], [1, 1, min(CELLS, height), min(CELLS, width)], align_corners=False).expand(len(grids), -1, -1, -1)
    flat = grid_sample(grids, points, padding_mode="border", align_corners=False).flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    return normalize(flat, dim=1), flat.square().mean(1).sqrt()
