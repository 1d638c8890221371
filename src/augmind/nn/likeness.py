"""How alike grids are, and which are nearly the same: one rule for rows of a dataset and for rows that were drawn.

A pair is a near duplicate if its distance is small against the mean distance to the next five neighbours (so a set of
look-alikes does not melt into one cluster) and the likeness passes an absolute cut, or if the likeness is all but perfect.
Grids are compared after standardising, in all variants (mirrored, ...) and shifted by one cell.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pad

from augmind.core.types import Spec

NEIGHBOURS = 12
"""Neighbours looked at per row. A set of more than ten copies is seen only where they are all but identical."""
TAIL = 5
"""Further neighbours that a pair's distance is compared with."""
COARSE, FINE = 16, 32
"""Sides of the grids that find candidates and that decide."""
NEARER, INSIDE = 0.62, 0.5
"""Fashion-MNIST, 24 to 200 rows in 4 to 10 classes: 0.6 to 3 % of fresh rows are called copies (by the rule alone: 2 to 16 %), and
nine in ten of the copies that the rule finds (noise, mixtures 3 : 1), two in three of the rows of a variational autoencoder."""
FLAT = 8.0
"""Bytes: a row whose values deviate less than this from their mean has no content to compare."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A neighbour is a near duplicate at distance < `ratio` x that of the next five and likeness >= `alike`, or likeness >= `same`.

    Likeness is a correlation or cosine; distance is sqrt(2 - 2 likeness).
    """

    ratio: float
    alike: float
    same: float

    def near(self, distance: Float[Tensor, "n k"]) -> Bool[Tensor, "n k"]:
        """Which of a row's neighbours, given by ascending distance, are near duplicates of it."""
        near = relative(distance, self.ratio) & (distance <= (2 - 2 * self.alike) ** 0.5)
        return near | (distance <= (2 - 2 * self.same) ** 0.5)


GRIDS = Rule(ratio=0.55, alike=0.9, same=0.999)
"""Fashion-MNIST, CIFAR-10: JPEG 50, shifts by one cell, mirror and brightness copies 98-100 % found, 0.5 % of rows paired falsely."""


class Grids:
    """Rows by which others are looked up, given in all variants; the first are the rows themselves."""

    def __init__(self, variants: list[Tensor]) -> None:
        self.fine = torch.stack([grid(v, FINE) for v in variants])
        self.coarse = standard(torch.stack([grid(v, COARSE) for v in variants]))
        self.spectra = standard(torch.stack([spectrum(f) for f in self.fine])) if min(self.fine.shape[-2:]) > 1 else None

    def __len__(self) -> int:
        return self.fine.shape[1]

    def to_each_other(self) -> tuple[Int[Tensor, "n k"], Float[Tensor, "n k"]]:
        """Index and distance of the most alike other rows of every row, nearest first; k is `NEIGHBOURS` at most."""
        return self._most_alike(self.fine[0], self.coarse[0], None if self.spectra is None else self.spectra[0], itself=True)

    def nearest(self, x: Shaped[Tensor, "m ..."]) -> tuple[Int[Tensor, "m k"], Float[Tensor, "m k"]]:
        """As `to_each_other`, for rows that do not stand here."""
        fine = grid(x, FINE)
        spectra = None if self.spectra is None else standard(spectrum(fine)[None])[0]
        return self._most_alike(fine, standard(grid(x, COARSE)[None])[0], spectra, itself=False)

    def _most_alike(self, fine: Tensor, coarse: Tensor, spectra: Tensor | None, *, itself: bool) -> tuple[Tensor, Tensor]:
        """Candidates by coarse grid and by spectrum, then aligned likeness."""
        k = min(NEIGHBOURS, len(self) - itself)
        candidates = [most_alike(coarse, self.coarse, k, itself=itself)]
        if self.spectra is not None and spectra is not None:
            candidates.append(most_alike(spectra, self.spectra, min(k, max(1, k // 2)), itself=itself))
        found = torch.cat(candidates, 1)
        distance = (2 - 2 * aligned(fine, self.fine, found)).clamp(min=0).sqrt()
        index, distance = once(found % len(self), distance)
        return index[:, :k], distance[:, :k]


class Copies:
    """Tells which rows are near duplicates of known ones.

    The rule alone would also pair a fresh row with those of its class where a class has so few rows that the next five are of
    others. So a copy is besides at less than `NEARER` of its distance to the next known row, or at less than `INSIDE` of the mean
    distance of its original to the three next to that. Rows of the original's `unit` that are nearer to it than the asked row is
    are copies too and do not count as the next.
    """

    def __init__(self, variants: list[Tensor], unit: Int[Tensor, " n"], spec: Spec, rule: Rule = GRIDS) -> None:
        live = ~without_content(variants[0], spec)
        self.spec, self.rule, self.grids, self.unit = spec, rule, Grids([v[live] for v in variants]), unit[live]
        n = len(self.unit)
        index, apart = self.grids.to_each_other() if n > 1 else (torch.empty(n, 0, dtype=torch.long), torch.empty(n, 0))
        missing = (0, NEIGHBOURS - index.shape[1])
        self.index, self.apart = pad(index, missing, value=-1), pad(apart, missing, value=torch.inf)

    def among(self, x: Shaped[Tensor, "n ..."]) -> Bool[Tensor, " n"]:
        """Which rows are copies, each asked as if it stood among the known rows alone."""
        out = torch.zeros(len(x), dtype=torch.bool)
        live = (~without_content(x, self.spec)).nonzero()[:, 0] if len(x) else out.nonzero()[:, 0]
        if len(live) and len(self.unit):
            index, distance = self.grids.nearest(x[live])
            paired = (self.rule.near(distance) | self._seen_from_there(index, distance)).any(1)
            first, nearest = index[:, 0], distance[:, 0]
            out[live] = paired & ((nearest < NEARER * self._next(index, distance)) | (nearest < INSIDE * self._room(first, nearest)))
        return out

    def _next(self, index: Int[Tensor, "n k"], distance: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        """The distance to the nearest known row that is neither the first nor a copy of it; infinite if there is none."""
        first = index[:, 0]
        apart = torch.where(self.index[first][:, None] == index[..., None], self.apart[first][:, None], torch.inf).amin(2)
        copy = (self.unit[index] == self.unit[first][:, None]) & (apart < distance[:, :1])
        copy[:, 0] = True
        return distance.masked_fill(copy, torch.inf).amin(1)

    def _room(self, first: Int[Tensor, " n"], nearest: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The mean distance of the nearest known row to the three next to it, copies of it aside; 0 if there is none."""
        apart = self.apart[first]
        copy = (self.unit[self.index[first].clamp(min=0)] == self.unit[first][:, None]) & (apart < nearest[:, None])
        next_to_it = apart.masked_fill(copy, torch.inf).sort(1).values[:, :3]
        known = next_to_it.isfinite()
        return torch.where(known, next_to_it, 0.0).sum(1) / known.sum(1).clamp(min=1)

    def _seen_from_there(self, index: Int[Tensor, "n k"], distance: Float[Tensor, "n k"]) -> Bool[Tensor, "n k"]:
        """Which pairs are near duplicates among the neighbours of the known row."""
        apart = self.apart[index]
        slot = (apart < distance[..., None]).sum(2, keepdim=True)
        near = self.rule.near(torch.cat([apart, distance[..., None]], 2).sort(2).values[..., :NEIGHBOURS].flatten(0, 1))
        return (near.unflatten(0, index.shape).gather(2, slot.clamp(max=NEIGHBOURS - 1)) & (slot < NEIGHBOURS))[..., 0]


def without_content(x: Shaped[Tensor, "n ..."], spec: Spec) -> Bool[Tensor, " n"]:
    """Rows whose values are all about the same."""
    rows = x.float().flatten(1)
    least = FLAT if spec.bounded else 0.03 * float(rows.std())
    return rows.std(1, correction=0) < least


def grid(x: Tensor, side: int) -> Float[Tensor, "n c h w"]:
    """Rows averaged to at most side x side cells; vectors stay whole, as one line of cells."""
    x = x.float()
    if x.ndim == 2:
        return x[:, None, None]
    x = x if x.ndim == 4 else x.flatten(1, -3)[:, None].reshape(len(x), -1, *x.shape[-2:])
    height, width = x.shape[-2:]
    return adaptive_avg_pool2d(x, (min(height, side), min(width, side)))


def standard(x: Tensor) -> Float[Tensor, "v n d"]:
    """Every row (all dimensions after the second) with mean 0 and length 1, so that a product is a correlation."""
    rows = x.flatten(2)
    rows = rows - rows.mean(-1, keepdim=True)
    return rows / rows.norm(dim=-1, keepdim=True).clamp(min=1e-6)


def spectrum(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
    """Magnitudes of the lower frequencies: they hardly change when the content moves."""
    centred = x - x.mean((-1, -2), keepdim=True)
    return torch.fft.rfft2(centred).abs()[..., : COARSE // 2 + 1].flatten(1)


def most_alike(query: Float[Tensor, "m d"], bank: Float[Tensor, "v n d"], k: int, *, itself: bool) -> Int[Tensor, "m k"]:
    """Positions in the flattened bank (variant x n + row) of the k most alike rows, each in its best variant.

    With `itself`, `query` and the bank are the same rows and none is its own neighbour.
    """
    v, n, d = bank.shape
    out, block = [], max(16, 2**25 // (v * n))
    for start in range(0, len(query), block):
        part = query[start : start + block]
        best, variant = (part @ bank.reshape(v * n, d).T).reshape(len(part), v, n).max(1)
        if itself:
            own = torch.arange(len(part))
            best[own, own + start] = -torch.inf
        rows = best.topk(k).indices
        out.append(variant.gather(1, rows) * n + rows)
    return torch.cat(out)


def aligned(own: Float[Tensor, "m c h w"], bank: Float[Tensor, "v n c h w"], candidates: Int[Tensor, "m k"]) -> Float[Tensor, "m k"]:
    """The best correlation of each row's inside with each candidate's inside, moved by at most one cell."""
    v, n, _, height, width = bank.shape
    room = 1 if min(height, width) >= 8 else 0
    inside = standard(own[None, ..., room : height - room, room : width - room])[0]
    best = torch.full(candidates.shape, -1.0)
    block = max(1, 2**24 // (candidates.shape[1] * inside.shape[1]))
    for down in range(2 * room + 1):
        for right in range(2 * room + 1):
            moved = standard(bank[..., down : height - 2 * room + down, right : width - 2 * room + right]).reshape(v * n, -1)
            for start in range(0, len(own), block):
                part = slice(start, start + block)
                likeness = torch.bmm(moved[candidates[part]], inside[part, :, None])[..., 0]
                best[part] = torch.maximum(best[part], likeness)
    return best


def once(rows: Int[Tensor, "n m"], distance: Float[Tensor, "n m"]) -> tuple[Tensor, Tensor]:
    """Candidates sorted by distance; a row that occurs twice keeps its smaller distance."""
    distance, order = distance.sort(dim=1, stable=True)
    rows = rows.gather(1, order)
    grouped, order = rows.sort(dim=1, stable=True)
    again = torch.zeros_like(grouped, dtype=torch.bool)
    again[:, 1:] = grouped[:, 1:] == grouped[:, :-1]
    distance = distance.masked_fill(torch.zeros_like(again).scatter(1, order, again), torch.inf)
    distance, order = distance.sort(dim=1, stable=True)
    return rows.gather(1, order), distance


def relative(distance: Float[Tensor, "n k"], ratio: float) -> Bool[Tensor, "n k"]:
    """Neighbours up to the last one whose distance is below `ratio` x the mean distance to the next five (two at least)."""
    n, k = distance.shape
    last = torch.zeros(n, dtype=torch.long)
    for slot in range(k - 1):
        tail = distance[:, slot + 1 : slot + 1 + TAIL]
        known = tail.isfinite()
        mean = torch.where(known, tail, 0).sum(1) / known.sum(1).clamp(min=1)
        last = torch.where((known.sum(1) >= 2) & (distance[:, slot] < ratio * mean), slot + 1, last)
    return torch.arange(k)[None] < last[:, None]
