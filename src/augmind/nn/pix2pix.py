"""Translation of grids to grids by pairs: pix2pix (arXiv:1611.07004), a U-Net that answers to a critic of patches and to the target itself."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pad, smooth_l1_loss, softplus

from augmind.core.feed import cyclic
from augmind.core.loop import Curves, autocast, cosine, descend
from augmind.core.run import Run
from augmind.core.seeds import seeded
from augmind.nn.unet import zeroed

SMALLEST, DEEPEST = 4, 5
"""Side of the coarsest grid, about, and how many halvings there are at most."""
SLOPE, LEAST = 0.2, 8
ROUND = 0.1
"""Errors below this count by their squares: a network that begins as the identity is right nearly everywhere where little was taken away, and the
absolute error would punish its first steps there more than it rewards them where something is missing."""

Pairs = Callable[[Int[Tensor, " b"]], tuple[Tensor, Tensor]]
"""What is given and what is wanted of these rows, (b, i, h, w) and (b, o, h, w) in -1..1; it may draw from torch's generator."""


def halvings(height: int, width: int) -> int:
    return max(1, min(DEEPEST, int(math.log2(max(1, min(height, width) // SMALLEST)))))


class Block(nn.Module):
    """Two convolutions, the first of which may halve the sides."""

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(before, after, 3, stride, 1), nn.Conv2d(after, after, 3, 1, 1)
        self.norm1, self.norm2 = nn.GroupNorm(max(1, after // 8), after), nn.GroupNorm(max(1, after // 8), after)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o k l"]:
        x = leaky_relu(self.norm1(self.conv1(x)), SLOPE)
        return leaky_relu(self.norm2(self.conv2(x)), SLOPE)


class Translator(nn.Module):
    """A U-Net from `inputs` to `outputs` channels. One more channel of noise says which of many answers is meant; without it, the middle one.

    What it says is added to what it was given, where both have as many channels, so it begins as the identity.
    """

    def __init__(self, inputs: int, outputs: int, height: int, width: int, hidden: int) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.depth = halvings(height, width)
        sizes = [min(8 * hidden, hidden * 2**i) for i in range(self.depth + 1)]
        self.first = Block(inputs + 1, hidden)
        self.down = nn.ModuleList([Block(sizes[i], sizes[i + 1], 2) for i in range(self.depth)])
        self.up = nn.ModuleList([Block(sizes[i + 1] + sizes[i], sizes[i]) for i in reversed(range(self.depth))])
        self.last = nn.Conv2d(hidden, outputs, 3, 1, 1)
        if inputs == outputs:
            zeroed(self.last)

    def forward(self, x: Float[Tensor, "b i h w"], noise: Float[Tensor, "b 1 h w"] | None = None) -> Float[Tensor, "b o h w"]:
        height, width = x.shape[2:]
        unit = 2**self.depth
        given = torch.cat([x, torch.zeros_like(x[:, :1]) if noise is None else noise], 1)
        h = self.first(pad(given, (0, -width % unit, 0, -height % unit), mode="replicate"))
        skips = []
        for block in self.down:
            skips.append(h)
            h = block(h)
        for block in self.up:
            h = block(torch.cat([interpolate(h, scale_factor=2.0, mode="nearest"), skips.pop()], 1))
        said = self.last(h)[:, :, :height, :width]
        return (x + said) if self.inputs == self.outputs else torch.tanh(said)


class PatchCritic(nn.Module):
    """Whether each patch of an answer goes with what was given: PatchGAN, with spectral normalisation (arXiv:1802.05957)."""

    def __init__(self, inputs: int, outputs: int, hidden: int) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        sizes = [inputs + outputs, hidden, 2 * hidden, 4 * hidden]
        self.layers = nn.ModuleList([norm(nn.Conv2d(a, b, 4, 2, 1)) for a, b in pairwise(sizes)])
        self.last = norm(nn.Conv2d(sizes[-1], 1, 3, 1, 1))

    def forward(self, given: Float[Tensor, "b i h w"], answer: Float[Tensor, "b o h w"]) -> Float[Tensor, "b 1 k l"]:
        h = torch.cat([given, answer], 1)
        h = pad(h, (0, max(0, LEAST - h.shape[3]), 0, max(0, LEAST - h.shape[2])))
        for layer in self.layers:
            h = leaky_relu(layer(h), SLOPE)
        return self.last(h)


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """How a translator learns: `adversarial` is the weight of the critic's opinion beside the error, 0 for none (pix2pix has 0.01)."""

    steps: int
    batch: int
    lr: float
    adversarial: float


def learn(net: Translator, n: int, pairs: Pairs, lesson: Lesson, run: Run, name: str, hidden: int) -> Curves:
    """Teaches a translator on `n` pairs. `run` may end it early, and it goes on from a checkpoint."""
    device = run.device
    with seeded(run.seed_for(name, "critic")):
        critic = PatchCritic(net.inputs, net.outputs, hidden).to(device)
    betas = (0.5, 0.999)
    adam = torch.optim.Adam(net.parameters(), lr=lesson.lr, betas=betas)
    critic_adam = torch.optim.Adam(critic.parameters(), lr=lesson.lr, betas=betas)

    def step(t: int) -> dict[str, Tensor]:
        given, wanted = (part.to(device) for part in pairs(cyclic(n, t, lesson.batch, run.seed, name)))
        noise = torch.randn(len(given), 1, *given.shape[2:]).to(device)
        with autocast(device):
            answer = net(given, noise).float()
        loss = smooth_l1_loss(answer, wanted, beta=ROUND)
        losses = {"error": (answer - wanted).abs().mean()}
        if lesson.adversarial:
            with autocast(device):
                real, fake = critic(given, wanted), critic(given, answer.detach())
            judged = softplus(-real.float()).mean() + softplus(fake.float()).mean()
            critic_adam.zero_grad()
            judged.backward()
            critic_adam.step()
            critic.requires_grad_(False)
            with autocast(device):
                opinion = softplus(-critic(given, answer).float()).mean()
            critic.requires_grad_(True)
            losses, loss = losses | {"critic": judged, "opinion": opinion}, loss + lesson.adversarial * opinion
        adam.zero_grad()
        loss.backward()
        adam.step()
        return losses

    parts = {"net": net, "critic": critic, "adam": adam, "critic_adam": critic_adam}
    return descend(step, parts, steps=lesson.steps, run=run, name=name, rate=lambda t: cosine(t, lesson.steps))
