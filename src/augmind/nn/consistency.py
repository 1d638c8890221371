"""Consistency between an example and its augmentation: how far two predictions lie apart, and how fast that begins to count."""

import contextlib
import math
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax, mse_loss, softmax
from torch.nn.modules.batchnorm import _BatchNorm

from augmind.core.feed import Batch, Feed


def consistency_loss(logits: Float[Tensor, "b k"], anchor: Float[Tensor, "b k"], loss: str) -> Float[Tensor, ""]:
    """How far the predictions of `logits` lie from those of `anchor`, averaged over rows; no gradient reaches `anchor`.

    "kl": KL(anchor || view) in nats, as in UDA (arXiv:1904.12848). "mse": the mean square over classes of the difference of
    the probabilities, as in the Pi-model and temporal ensembling (arXiv:1610.02242).
    """
    held = anchor.detach().float()
    if loss == "mse":
        return mse_loss(softmax(logits.float(), 1), softmax(held, 1))
    return kl_div(log_softmax(logits.float(), 1), log_softmax(held, 1), log_target=True, reduction="batchmean")


def ramp(t: int, steps: int, part: float) -> float:
    """The factor of the consistency weight at step t: exp(-5 (1 - x)^2), x = t / (part * steps), then 1 (arXiv:1610.02242)."""
    rising = part * steps
    return math.exp(-5 * (1 - t / rising) ** 2) if t < rising else 1.0


def pull(feed: Feed, batch: Batch, logits: Tensor, judge: Callable[[Tensor], Tensor], t: int, steps: int) -> Tensor:
    """weight * ramp * consistency loss of a batch at step t of `steps`; zero where it has no anchors.

    `judge` gives the logits of rows in model space; `logits` are those of `batch.x`.
    """
    if feed.consistency is None or batch.anchor is None or batch.view is None:
        return logits.new_zeros((), dtype=torch.float32)
    with torch.no_grad():
        anchor = judge(batch.anchor)
    own = logits if batch.view is batch.x else judge(batch.view)
    return feed.consistency.weight * ramp(t, steps, feed.consistency.ramp) * consistency_loss(own, anchor, feed.consistency.loss)


@contextlib.contextmanager
def untracked(net: nn.Module) -> Iterator[None]:
    """Forward passes inside leave the running statistics of batch norms as they are, whatever the mode of the network."""
    norms = [m for m in net.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = not norm.training
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
