"""Which rows are nearly the same, judged on the rows themselves and relative to how alike rows of this dataset are anyway.

Grids are compared as `augmind.nn.likeness` says, by the same rule that judges rows that were drawn; token rows are compared
by the words that they share (`minhash`) and, where they are not too many, as weighted counts of words.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from augmind.core.sides import apart, codecs_of
from augmind.core.types import Codec, Spec
from augmind.nn.likeness import GRIDS, NEIGHBOURS, TAIL, Grids, Rule, without_content

from .minhash import alike

WORD = r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
"""One character of a script without spaces, or one word."""
WORDS = Rule(ratio=0.75, alike=0.5, same=0.95)
"""SST-2, SUBJ: copies with one or two words changed 95-100 % found, under 0.6 % of rows paired falsely."""
EXACT, SAMPLE = 5000, 1000
"""Token rows up to which every pair is compared, about 4 s; of more each is compared with a sample, which serves to tell outliers alone."""


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The nearest other rows of every row, nearest first. Missing ones have index -1 and an infinite distance."""

    index: Int[Tensor, "n k"]
    distance: Float[Tensor, "n k"]
    flat: Bool[Tensor, " n"]
    """Rows without content (all values about the same): not assessable, so they have no neighbours."""
    links: tuple[tuple[int, int, float], ...] = ()
    """Pairs i < j of token rows that share most words, with their distance: 0 for the same words in the same order."""
    sampled: bool = False
    """Whether the neighbours are those among a sample of the rows, of which the rule says nothing."""

    def pairs(self, rule: Rule) -> list[tuple[int, int, float]]:
        """Near duplicates (i < j, distance), closest first."""
        found = {(i, j): d for i, j, d in self.links}
        for i, slot in [] if self.sampled else rule.near(self.distance).nonzero().tolist():
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
    if spec.sides:
        return side_by_side(x, spec, codec)
    if spec.kind == "tokens":
        return among_words(codec.decode(x))
    n, flat = len(x), without_content(x, spec)
    live = (~flat).nonzero()[:, 0]
    index, distance = torch.full((n, NEIGHBOURS), -1), torch.full((n, NEIGHBOURS), torch.inf)
    if len(live) > 1:
        near, d = Grids(codec.variants(x[live])).to_each_other()
        index[live, : near.shape[1]] = live[near]
        distance[live, : d.shape[1]] = d
    return Neighbours(index=torch.where(distance.isfinite(), index, -1), distance=distance, flat=flat)


def side_by_side(x: Shaped[Tensor, "n d"], spec: Spec, codec: Codec) -> Neighbours:
    """Of rows that join several kinds: near duplicates are pairs that are so in any side, for a side that is seen again gives a row away.

    The neighbours, which then only tell outliers, are the nearest of all sides; a row is flat where all of its sides are.
    """
    found = [neighbours(part, side, own) for part, side, own in zip(apart(x, spec), spec.sides, codecs_of(codec), strict=True)]
    links: dict[tuple[int, int], float] = {}
    for near, side in zip(found, spec.sides, strict=True):
        for i, j, distance in near.pairs(rule_for(side)):
            links[i, j] = min(distance, links.get((i, j), distance))
    distance, order = torch.cat([near.distance for near in found], 1).sort(1)
    index = torch.cat([near.index for near in found], 1).gather(1, order)
    flat = torch.stack([near.flat for near in found]).all(0)
    pairs = tuple((i, j, d) for (i, j), d in links.items())
    return Neighbours(index=index[:, :NEIGHBOURS], distance=distance[:, :NEIGHBOURS], flat=flat, links=pairs, sampled=True)


def among_words(natives: list[object]) -> Neighbours:
    """Near duplicates by the words that rows share, and the nearest rows by weighted counts of words: of all rows, or of a sample."""
    documents = [row if isinstance(row, str) else " ".join(map(str, torch.as_tensor(row).flatten().tolist())) for row in natives]
    n, sampled = len(documents), len(documents) > EXACT
    base = np.sort(np.random.default_rng(0).choice(n, SAMPLE, replace=False)) if sampled else np.arange(n)
    index, distance = torch.full((n, NEIGHBOURS), -1), torch.full((n, NEIGHBOURS), torch.inf)
    near, d = by_words(documents, base)
    index[:, : near.shape[1]], distance[:, : d.shape[1]] = near, d
    links = tuple((i, j, (2 - 2 * s) ** 0.5) for i, j, s in alike(documents))
    return Neighbours(
        index=torch.where(distance.isfinite(), index, -1), distance=distance, flat=torch.zeros(n, dtype=torch.bool), links=links, sampled=sampled
    )


def by_words(documents: list[str], base: Int[np.ndarray, " m"]) -> tuple[Tensor, Tensor]:
    """Nearest documents among those at `base`, none its own, by cosine of weighted counts of words and pairs of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    n, k = len(documents), min(NEIGHBOURS, len(base) - 1)
    vectoriser = TfidfVectorizer(token_pattern=WORD, ngram_range=(1, 2), sublinear_tf=True)
    try:
        counts = vectoriser.fit_transform(documents)
    except ValueError:  # no document has a word
        return torch.zeros((n, k), dtype=torch.long), torch.full((n, k), torch.inf)
    place = np.full(n, -1)
    place[base] = np.arange(len(base))
    others, index, distance, block = counts[base].T, [], [], max(16, 2**25 // len(base))
    for start in range(0, n, block):
        cosine = torch.from_numpy((counts[start : start + block] @ others).toarray()).float()
        own = torch.from_numpy(place[start : start + block])
        cosine[own >= 0, own[own >= 0]] = -1
        best, rows = cosine.topk(k)
        index.append(torch.from_numpy(base)[rows])
        distance.append((2 - 2 * best).clamp(min=0).sqrt())
    return torch.cat(index), torch.cat(distance)


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
