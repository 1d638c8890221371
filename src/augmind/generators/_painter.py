"""What adversarial generators share: noise and labels to rows by a DCGAN (arXiv:1511.06434), and how these are drawn and kept."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from augmind.core.plugin import Generator
from augmind.core.seeds import in_chunks, row_noise
from augmind.core.tune import tune
from augmind.core.types import Spec
from augmind.nn.decoders import decoder
from augmind.nn.standard import Standard


class Painter(nn.Module):
    """Noise and labels to rows at the network's scale, with that scale beside it."""

    def __init__(self, spec: Spec, width: int, latent: int) -> None:
        super().__init__()
        self.standard = Standard(spec)
        self.decoder = decoder(spec.shape, latent, len(spec.classes), width, spec.bounded)

    def forward(self, z: Float[Tensor, "b l"], y: Int[Tensor, " b"]) -> Float[Tensor, "b ..."]:
        return self.decoder(z, y)


@dataclass(kw_only=True)
class Painted(Generator):
    """A generator whose rows a `Painter` makes; `fit` leaves it in `net_`."""

    width: int = tune(32, 8, 128, log=True)
    latent: int = tune(32, 4, 128, log=True)

    def _build(self, spec: Spec) -> Painter:
        self.spec_ = spec
        self.net_: Painter = Painter(spec, self.width, self.latent)
        return self.net_

    @torch.no_grad()
    def sample(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n ..."]:
        net = self.net_.eval()
        device = next(net.parameters()).device

        def draw(z: Tensor, y: Tensor) -> Tensor:
            return net.standard.undo(net(z.to(device), y.to(device))).cpu()

        return in_chunks(draw, row_noise(seeds.cpu(), (self.latent,)), y.cpu())

    def state(self) -> dict[str, Tensor]:
        return dict(self.net_.state_dict())

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Painted":
        self.require(spec)
        self._build(spec).load_state_dict(state)
        return self
