"""What every network that learns to classify minimises: weighted cross-entropy on augmented rows, and consistency where a transfer asks for it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from augmind.core.feed import Batch, Feed

from .consistency import pull, untracked
from .heads import cross_entropy


def learn(
    net: nn.Module,
    judge: Callable[[Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    feed: Feed,
    batch: Batch,
    t: int,
    steps: int,
    blur: float = 0.0,
) -> dict[str, Tensor]:
    """Step t of `steps`: one move of `optimizer`; the losses by name, as they were before it.

    `judge` gives the logits (b, k), by way of `net`, of rows in model space; `blur` in 0..1 is label smoothing (arXiv:1512.00567).
    """
    logits = judge(batch.x)
    prior = None if feed.log_prior is None else feed.log_prior.to(logits.device)
    y = torch.lerp(batch.y, torch.full_like(batch.y, 1 / batch.y.shape[1]), blur) if blur else batch.y
    losses = {"loss": cross_entropy(logits, y.to(logits.device), batch.w.to(logits.device), prior)}
    if feed.consistency:
        with untracked(net):
            losses["consistency"] = pull(feed, batch, logits, judge, t, steps)
    optimizer.zero_grad()
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()
    return losses
