"""Which rows are nearly the same, judged on the rows themselves and relative to how alike rows of this dataset are anyway.

Grids are compared as `augmind.nn.likeness` says, by the same rule that judges rows that were drawn; token rows are compared
as weighted counts of words.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from augmind.core.types import Codec, Spec
from augmind.nn.likeness import GRIDS, NEIGHBOURS, TAIL, Grids, Rule, without_content

WORD = r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
"""One character of a script without spaces, or one word."""
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
        found: dict[tuple[int, int], float] = {}
        for i, slot in rule.near(self.distance).nonzero().tolist():
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
        near, d = by_words(codec.decode(rows)) if spec.kind == "tokens" else Grids(codec.variants(rows)).to_each_other()
        index[live, : near.shape[1]] = live[near]
        distance[live, : d.shape[1]] = d
    return Neighbours(index=torch.where(distance.isfinite(), index, -1), distance=distance, flat=flat)


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
