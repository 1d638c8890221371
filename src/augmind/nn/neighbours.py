"""Exact nearest neighbours of feature rows in bounded memory, shared by the screens and the metrics.

Distances are Euclidean. A float32 matrix product of centred rows finds the candidates, and differences of the rows themselves
decide, so that nearly equal rows keep their digits and no n x m matrix is held.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

ENTRIES = 2**23
"""Entries of the largest block held at once."""
SLACK = 4
"""Candidates looked at beyond the k asked for, so that rounding of the product cannot lose a true neighbour."""
ROUNDING = 4e-6
"""Bound on the rounding of a squared distance from the product, as a part of the two squared norms."""


def standardise(z: Float[Tensor, "n d"], reference: Float[Tensor, "m d"]) -> Float[Tensor, "n d"]:
    """`z` centred by the mean of `reference` and divided, feature by feature, by sqrt(its variance + the mean variance).

    The added mean keeps features that hardly vary among few reference rows from drowning all others elsewhere.
    """
    variance = reference.var(0, correction=0)
    return (z - reference.mean(0)) / (variance + variance.mean() + torch.finfo(z.dtype).tiny).sqrt()


def polar(z: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
    """Each row as its direction and the logarithm of its length (n, d + 1): distances become relative and need no reference."""
    length = z.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return torch.cat([z / length, length.log()], 1)


def blocks(rows: int, entries_a_row: int) -> Iterator[slice]:
    """Consecutive slices of `rows` rows such that a block of them stays within `ENTRIES` entries."""
    size = max(1, min(rows, ENTRIES // max(1, entries_a_row)))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def squared_distances(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """Squared distances of every row of `a` to every row of `b`, all at once: for blocks that fit in memory."""
    product = torch.addmm(b.square().sum(1)[None], a, b.T, alpha=-2.0)
    return product.add_(a.square().sum(1)[:, None]).clamp_(min=0.0)


def exact(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], rows: Int[Tensor, " p"], columns: Int[Tensor, " p"]) -> Float[Tensor, " p"]:
    """Squared distances of the pairs (a[rows], b[columns]) from their differences, without cancellation."""
    out = a.new_empty(len(rows))
    for part in blocks(len(rows), a.shape[1]):
        out[part] = (a[rows[part]] - b[columns[part]]).square_().sum(1)
    return out


def nearest_squared(
    query: Float[Tensor, "n d"], base: Float[Tensor, "m d"], k: int, *, skip_self: bool = False
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """As `nearest`, with squared distances."""
    found = min(k + SLACK, len(base) - skip_self)
    distances, positions = query.new_empty(len(query), k), torch.empty(len(query), k, dtype=torch.long)
    centre = base.mean(0)
    centred = base - centre
    norms = centred.square().sum(1)[None]
    for part in blocks(len(query), max(len(base), found * base.shape[1])):
        near = torch.addmm(norms, query[part] - centre, centred.T, alpha=-2.0)
        if skip_self:
            near[torch.arange(len(near)), torch.arange(part.start, part.stop)] = torch.inf
        candidates = near.topk(found, largest=False).indices
        true = (query[part][:, None] - base[candidates]).square_().sum(2)
        best = true.sort(dim=1, stable=True)
        distances[part] = best.values[:, :k]
        positions[part] = candidates.gather(1, best.indices[:, :k])
    return distances, positions


def nearest(
    query: Float[Tensor, "n d"], base: Float[Tensor, "m d"], k: int, *, skip_self: bool = False
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Distances (ascending) and positions of the `k` nearest rows of `base` to each row of `query`.

    With `skip_self`, `query` and `base` are the same rows and none is its own neighbour. `k` is at most the number of rows
    there are to find.
    """
    distances, positions = nearest_squared(query, base, k, skip_self=skip_self)
    return distances.sqrt_(), positions


def inside(
    block: Float[Tensor, "n m"], radius: Float[Tensor, "#n #m"], band: float, a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]
) -> Bool[Tensor, "n m"]:
    """Where squared distances lie below a squared radius; those within `band` of it are decided by the rows `a` and `b` themselves."""
    beyond = block - radius
    answer = beyond < 0
    rows, columns = (beyond.abs_() <= band).nonzero(as_tuple=True)
    answer[rows, columns] = exact(a, b, rows, columns) < radius.expand_as(block)[rows, columns]
    return answer


def prdc(real: Float[Tensor, "n d"], synthetic: Float[Tensor, "m d"], k: int) -> dict[str, float]:
    """Improved precision and recall (arXiv:1904.06991), density and coverage (arXiv:2002.09797) with `k` neighbours.

    Each set is modelled by balls around its rows that reach to the k-th nearest row of the same set (without its border).
    Both sets need more than `k` rows.
    """
    n, m, centre = len(real), len(synthetic), real.mean(0)
    real_radius = nearest_squared(real, real, k, skip_self=True)[0][:, -1:]
    synthetic_radius = nearest_squared(synthetic, synthetic, k, skip_self=True)[0][:, -1:].T
    centred, other = real - centre, synthetic - centre
    band = ROUNDING * float(centred.square().sum(1).max() + other.square().sum(1).max())
    precise, recalled, covered = (torch.zeros(size, dtype=torch.bool) for size in (m, n, n))
    hits = 0
    for part in blocks(n, m):
        block = squared_distances(centred[part], other)
        by_real = inside(block, real_radius[part], band, real[part], synthetic)
        precise |= by_real.any(0)
        covered[part] = by_real.any(1)
        hits += int(by_real.sum())
        recalled[part] = inside(block, synthetic_radius, band, real[part], synthetic).any(1)
    return {"precision": int(precise.sum()) / m, "recall": int(recalled.sum()) / n, "density": hits / (k * m), "coverage": int(covered.sum()) / n}
