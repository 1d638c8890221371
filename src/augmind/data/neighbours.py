"""Which rows are nearly the same, judged on the rows themselves and relative to how alike rows of this dataset are anyway.

A pair is a near duplicate if its distance is small against the mean distance to the next five neighbours (so a set of
look-alikes does not melt into one cluster) and the likeness passes an absolute cut, or if the likeness is all but perfect.
Grids are compared after standardising, mirrored and shifted by one cell; token rows as weighted counts of words.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from augmind.core.types import Codec, Spec

NEIGHBOURS = 12
"""Neighbours looked at per row. A set of more than ten copies is seen only where they are all but identical."""
TAIL = 5
"""Further neighbours that a pair's distance is compared with."""
COARSE, FINE = 16, 32
"""Sides of the grids that find candidates and that decide."""
FLAT = 8.0
"""Bytes: a row whose values deviate less than this from their mean has no content to compare."""
WORD = r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
"""One character of a script without spaces, or one word."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A neighbour is a near duplicate at distance < `ratio` x that of the next five and likeness >= `alike`, or likeness >= `same`.

    Likeness is a correlation or cosine; distance is sqrt(2 - 2 likeness).
    """

    ratio: float
    alike: float
    same: float


GRIDS = Rule(ratio=0.55, alike=0.9, same=0.999)
"""Fashion-MNIST, CIFAR-10: JPEG 50, one-pixel shift, mirror and brightness copies 98-100 % found, 0.5 % of rows paired falsely."""
WORDS = Rule(ratio=0.75, alike=0.5, same=0.95)
"""SST-2, SUBJ: copies with one or two words changed 95-100 % found, under 0.6 % of rows paired falsely."""


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The nearest other rows of every row, nearest first. Missing ones have index -1 and an infinite distance."""

    index: Int[Tensor, "n k"]
    distance: Float[Tensor, "n k"]
    flat: Bool[Tensor, " n"]
    """Rows without content (all values about the same): not assessable, so they have no neighbours."""

    def pairs(self, rule: Rule) -> list[tuple[int, int, float]]:
        """Near duplicates (i < j, distance), closest first."""
        near = relative(self.distance, rule.ratio) & (self.distance <= (2 - 2 * rule.alike) ** 0.5)
        near |= self.distance <= (2 - 2 * rule.same) ** 0.5
        found: dict[tuple[int, int], float] = {}
        for i, slot in near.nonzero().tolist():
            j, d = int(self.index[i, slot]), float(self.distance[i, slot])
            key = (min(i, j), max(i, j))
            found[key] = min(d, found.get(key, d))
        return sorted(((i, j, d) for (i, j), d in found.items()), key=lambda pair: (pair[2], pair[0], pair[1]))

    def loneliness(self) -> Float[Tensor, " n"]:
        """Mean distance to the five nearest rows; NaN without neighbours."""
        near = self.distance[:, :TAIL]
        return torch.where(near.isfinite(), near, torch.nan).nanmean(1)


def rule_for(spec: Spec) -> Rule:
    return WORDS if spec.kind == "tokens" else GRIDS


def neighbours(x: Shaped[Tensor, "n ..."], spec: Spec, codec: Codec) -> Neighbours:
    """Exact nearest rows in blocks of bounded memory: about n^2 x 500 multiplications for small grids."""
    n = len(x)
    flat = torch.zeros(n, dtype=torch.bool) if spec.kind == "tokens" else without_content(x, spec)
    live = (~flat).nonzero()[:, 0]
    index, distance = torch.full((n, NEIGHBOURS), -1), torch.full((n, NEIGHBOURS), torch.inf)
    if len(live) > 1:
        rows = x[live]
        near, d = by_words(codec.decode(rows)) if spec.kind == "tokens" else by_grids(codec.variants(rows))
        index[live, : near.shape[1]] = live[near]
        distance[live, : d.shape[1]] = d
    return Neighbours(index=torch.where(distance.isfinite(), index, -1), distance=distance, flat=flat)


def without_content(x: Tensor, spec: Spec) -> Tensor:
    rows = x.float().flatten(1)
    least = FLAT if spec.bounded else 0.03 * float(rows.std())
    return rows.std(1, correction=0) < least


def by_grids(variants: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Nearest rows of `variants[0]` among all variants: candidates by coarse grid and by spectrum, then aligned likeness."""
    n, k = len(variants[0]), min(NEIGHBOURS, len(variants[0]) - 1)
    fine = torch.stack([grid(v, FINE) for v in variants])
    coarse = standard(torch.stack([grid(v, COARSE) for v in variants]))
    candidates = [most_alike(coarse[0], coarse, k)]
    if min(fine.shape[-2:]) > 1:
        spectra = standard(torch.stack([spectrum(f) for f in fine]))
        candidates.append(most_alike(spectra[0], spectra, max(1, k // 2)))
    flat = torch.cat(candidates, 1)
    distance = (2 - 2 * aligned(fine, flat)).clamp(min=0).sqrt()
    index, distance = once(flat % n, distance)
    return index[:, :k], distance[:, :k]


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


def most_alike(query: Float[Tensor, "n d"], bank: Float[Tensor, "v n d"], k: int) -> Int[Tensor, "n k"]:
    """Positions in the flattened bank (variant x n + row) of the k most alike other rows, each in its best variant."""
    v, n, d = bank.shape
    out, block = [], max(16, 2**25 // (v * n))
    for start in range(0, n, block):
        part = query[start : start + block]
        best, variant = (part @ bank.reshape(v * n, d).T).reshape(len(part), v, n).max(1)
        own = torch.arange(len(part))
        best[own, own + start] = -torch.inf
        rows = best.topk(k).indices
        out.append(variant.gather(1, rows) * n + rows)
    return torch.cat(out)


def aligned(fine: Float[Tensor, "v n c h w"], candidates: Int[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """The best correlation of each row's inside with each candidate's inside, moved by at most one cell."""
    v, n, _, height, width = fine.shape
    room = 1 if min(height, width) >= 8 else 0
    inside = standard(fine[:1, ..., room : height - room, room : width - room])[0]
    best = torch.full(candidates.shape, -1.0)
    block = max(1, 2**24 // (candidates.shape[1] * inside.shape[1]))
    for down in range(2 * room + 1):
        for right in range(2 * room + 1):
            moved = standard(fine[..., down : height - 2 * room + down, right : width - 2 * room + right]).reshape(v * n, -1)
            for start in range(0, n, block):
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


def by_words(natives: list[object]) -> tuple[Tensor, Tensor]:
    """Nearest documents by cosine of weighted counts of words and pairs of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    documents = [row if isinstance(row, str) else " ".join(map(str, torch.as_tensor(row).flatten().tolist())) for row in natives]
    n, k = len(documents), min(NEIGHBOURS, len(documents) - 1)
    vectoriser = TfidfVectorizer(token_pattern=WORD, ngram_range=(1, 2), sublinear_tf=True)
    try:
        counts = vectoriser.fit_transform(documents)
    except ValueError:  # no document has a word
        return torch.zeros((n, k), dtype=torch.long), torch.full((n, k), torch.inf)
    index, distance, block = [], [], max(16, 2**25 // n)
    for start in range(0, n, block):
        cosine = torch.from_numpy((counts[start : start + block] @ counts.T).toarray()).float()
        own = torch.arange(len(cosine))
        cosine[own, own + start] = -1
        best, rows = cosine.topk(k)
        index.append(rows)
        distance.append((2 - 2 * best).clamp(min=0).sqrt())
    return torch.cat(index), torch.cat(distance)


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


def components(n: int, links: Iterable[tuple[int, int]], cap: int | None = None) -> tuple[list[int], int]:
    """The component of each of 0..n-1 (named by its smallest member), and how many links were refused.

    Links are taken in order; one that would make a component of more than `cap` members is refused.
    """
    parent, size, refused = list(range(n)), [1] * n, 0

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for a, b in links:
        a, b = sorted((root(a), root(b)))
        if a == b:
            continue
        if cap is not None and size[a] + size[b] > cap:
            refused += 1
            continue
        parent[b] = a
        size[a] += size[b]
    return [root(i) for i in range(n)], refused


def robust_z(values: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Deviation from the median in units of 1.4826 x the median absolute deviation; NaN stays NaN, 0 if nothing deviates."""
    known = values[~values.isnan()]
    if len(known) == 0:
        return values.clone()
    middle = known.quantile(0.5)
    spread = 1.4826 * (known - middle).abs().quantile(0.5)
    return (values - middle) / spread if spread > 0 else torch.where(values.isnan(), values, 0.0)
