"""What precision, recall, density and coverage share: one computation gives all four."""

import hashlib
import math
from abc import abstractmethod
from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from augmind.core.errors import UsageError
from augmind.core.plugin import Metric
from augmind.nn.neighbours import prdc

_REMEMBERED = 8
_results: OrderedDict[tuple[str, int], dict[str, float]] = OrderedDict()


def measured(real: Float[Tensor, "n d"], synthetic: Float[Tensor, "m d"], k: int) -> dict[str, float]:
    """`neighbours.prdc`, remembered for the last few pairs of sets by their content; no rows are held."""
    key = (_digest(real, synthetic), k)
    if key not in _results:
        _results[key] = prdc(real.float(), synthetic.float(), k)
        if len(_results) > _REMEMBERED:
            _results.popitem(last=False)
    return _results[key]


def _digest(*tensors: Tensor) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        digest.update(str((tuple(tensor.shape), tensor.dtype)).encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


@dataclass(kw_only=True)
class Manifold(Metric):
    """A figure about two sets, each modelled by balls that reach to the `k`-th nearest row of the same set.

    NaN where either set has fewer than 2 (k + 1) rows.
    """

    higher_is_better: ClassVar[bool] = True
    k: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 1:
            raise UsageError(f"{self.name()}: k={self.k} is not allowed", help="k may be 1 or more")

    def measure(self, real: Float[Tensor, "n d"], synthetic: Float[Tensor, "m d"]) -> float:
        if min(len(real), len(synthetic)) < 2 * (self.k + 1):
            return math.nan
        return self.part(measured(real, synthetic, self.k))

    @abstractmethod
    def part(self, figures: dict[str, float]) -> float:
        """This metric's own figure among the four."""
