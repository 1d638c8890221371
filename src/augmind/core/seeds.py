"""Randomness as a pure function of names: the same names always give the same numbers, in any process and any order."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def stable_seed(*names: object) -> int:
    """A 63-bit seed from any names, e.g. `stable_seed(run_seed, "diffusion", step)`."""
    digest = hashlib.blake2b("\x1f".join(map(str, names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def stream(*names: object) -> torch.Generator:
    """An independent CPU random stream for these names."""
    return torch.Generator().manual_seed(stable_seed(*names))


def row_seeds(n: int, *names: object) -> Tensor:
    """`n` distinct-with-near-certainty row seeds in 0..2^53-1 (exact as a double, so they survive JSON and CSV)."""
    return torch.randint(0, 2**53, (n,), generator=stream(*names))


def row_noise(seeds: Tensor, shape: tuple[int, ...], salt: int = 0) -> Tensor:
    """Standard normal noise (n, *shape): row i is a function of `seeds[i]` and `salt` alone."""
    rows = [torch.randn(shape, generator=torch.Generator().manual_seed((s * 1000003 + salt) % 2**63)) for s in seeds.tolist()]
    return torch.stack(rows) if rows else torch.empty(0, *shape)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Code inside that uses torch's global random state sees one that depends on `seed` alone; it is put back after."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed % 2**63)
        yield


def in_chunks(function: Callable[..., Tensor], *columns: Tensor, size: int = 64) -> Tensor:
    """`function` over blocks of exactly `size` rows, the last one padded by repeating its first row.

    A fixed block shape makes each row's arithmetic independent of how many rows are asked for, up to the last bits of a
    float (vector units treat the ends of a block in another order).
    """
    out: list[Tensor] = []
    n = len(columns[0])
    for start in range(0, max(n, 1), size):
        parts = [c[start : start + size] for c in columns]
        real = len(parts[0])
        if real == 0:
            parts = [c.new_zeros((size, *c.shape[1:])) for c in columns]
        elif real < size:
            parts = [torch.cat([p, p[:1].expand(size - real, *p.shape[1:])]) for p in parts]
        out.append(function(*parts)[:real])
    return torch.cat(out)
