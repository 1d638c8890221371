"""An exponential moving average of a network's weights."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def ema(net: nn.Module, decay: float) -> AveragedModel:
    """Weights and buffers averaged at every `update_parameters(net)`.

    The decay grows with the number of updates n as (1 + n) / (10 + n) up to `decay`, so a short training forgets its start.
    """

    @torch.no_grad()
    def average(averaged: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor | int) -> None:
        n = float(updates)
        weight = 1 - min(decay, (1 + n) / (10 + n))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value.to(mean), weight)
            else:
                mean.copy_(value)

    return AveragedModel(net, multi_avg_fn=average, use_buffers=True)
