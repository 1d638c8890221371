"""A variational autoencoder of sentences, learnt from the labelled rows alone (Bowman et al. 2016, arXiv:1511.06349)."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from augmind.core.feed import cyclic
from augmind.core.loop import cosine, descend
from augmind.core.plugin import Latent
from augmind.core.run import Run
from augmind.core.seeds import in_chunks, row_noise, seeded, stream
from augmind.core.tune import tune
from augmind.core.types import Data, Spec
from augmind.modalities.text.backbones.select import shared
from augmind.modalities.text.codec import TextCodec
from augmind.modalities.text.language import drawn
from augmind.modalities.text.read import clean
from augmind.modalities.text.sides import as_row, sides_of
from augmind.modalities.text.subwords import Subwords
from augmind.nn.ema import ema
from augmind.nn.flow import between, heun, logit_normal
from augmind.nn.mlp import Mlp
from augmind.nn.posteriors import divergence, recalled, remembered
from augmind.nn.sequence import SequenceVae
from augmind.nn.watch import watch

LONGEST = 96
"""Tokens of a row, at most: longer rows are learnt up to there."""
TOGETHER = 32
"""Rows that are written side by side."""
FLOW_WIDTH, FLOW_BATCH, FLOW_POINTS = 128, 64, 8
ENCODING = ("net/encoder.", "net/head.", "net/asked.")
"""Parts of the network that only a training needs."""


@dataclass(kw_only=True)
class TextVae(Latent):
    """Sentences of the words of the rows, from a latent of the class; without a model that was trained elsewhere.

    Tokens are at most `vocabulary` pieces learnt from the rows, and bytes. The decoder is not shown a part `hidden` of the tokens before (word
    dropout), so that it has to ask the latent; the weight of the KL term grows linearly to `beta` over the part `warmup` of the training, and a
    dimension pays for no less than `free` nats (free bits, arXiv:1606.04934). `prior` says where latents come from: N(0, 1), of
    which the screens kept most; a flow (arXiv:2209.03003) learnt from the posteriors of the rows of each class; or between the posteriors of two
    rows of the class. Tokens are drawn by nucleus sampling.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"tokens"})
    axes: ClassVar[tuple[int, ...]] = (1,)

    steps: int = tune(1000, 50, 20_000, log=True)
    batch: int = tune(32, 8, 256, log=True)
    lr: float = tune(2e-3, 1e-4, 1e-2, log=True)
    width: int = tune(64, options=(32, 64, 96, 128))
    latent: int = tune(32, 4, 128, log=True)
    vocabulary: int = tune(4096, 300, 16_384, log=True)
    beta: float = tune(1.0, 0.1, 4.0, log=True)
    warmup: float = tune(0.5, 0.0, 1.0)
    free: float = tune(0.25, 0.0, 2.0)
    hidden: float = tune(0.3, 0.0, 0.9)
    dropout: float = tune(0.1, 0.0, 0.5)
    ema: float = tune(0.99, 0.9, 0.9999)
    prior: Literal["normal", "flow", "neighbour"] = tune("normal", options=("normal", "flow", "neighbour"))
    temperature: float = tune(0.8, 0.1, 2.0)
    top_p: float = tune(0.95, 0.1, 1.0)

    def fit(self, data: Data, run: Run) -> "TextVae":
        self.require(data.spec)
        texts, y = data.codec.decode(data.train.x), data.train.y
        self.words_ = Subwords.learnt(texts, self.vocabulary)
        tokens = self._tokens(texts)
        with seeded(run.seed_for(self.name(), "weights")):
            net = self._build(data.spec, tokens.shape[1]).to(run.device)
        average = ema(net, self.ema)
        self.net_ = cast(SequenceVae, average.module)
        adam = torch.optim.AdamW(net.parameters(), lr=self.lr, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
        lengths = (tokens != net.blank).sum(1)

        def step(t: int) -> dict[str, Tensor]:
            net.train()
            rows = cyclic(len(y), t, self.batch, run.seed, self.name())
            losses = self._losses(net, tokens[rows, : lengths[rows].max()].to(run.device), y[rows].to(run.device))
            loss = losses["reconstruction"] + self.pressure(t) * losses.pop("paid")
            adam.zero_grad()
            (loss / lengths.float().mean()).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            adam.step()
            average.update_parameters(net)
            return losses

        def look(y: Tensor, seeds: Tensor) -> Tensor:
            self._remember(tokens, data)
            return features(self._texts(self._latents(y, seeds, self.prior if self.prior == "normal" else "neighbour"), y, seeds))

        features = shared("hash")
        seen = data.train.with_features(features(texts))
        self.curves_ = descend(
            step,
            {"net": net, "average": average, "adam": adam},
            steps=self.steps,
            run=run,
            name=self.name(),
            rate=lambda t: cosine(t, self.steps),
            watch=watch(look, dataclasses.replace(data, train=seen, val=seen.take([])).features(), run),
            watch_at=(0.75, 1.0),
        )
        self._remember(tokens, data)
        if self.prior == "flow":
            self._learn_flow(run)
        return self

    def _losses(self, net: SequenceVae, tokens: Int[Tensor, "b t"], y: Int[Tensor, " b"]) -> dict[str, Tensor]:
        """Nats a row: reconstruction, KL term, and what is `paid` for the KL term, no dimension less than its free bits."""
        mean, log_variance = net.posterior(tokens, y)
        z = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape).to(tokens.device)
        each = divergence(mean, log_variance).mean(0)
        return {"reconstruction": net.nll(z, y, tokens, self.hidden), "kl": each.sum(), "paid": each.clamp(min=self.free).sum()}

    def pressure(self, t: int) -> float:
        """The weight of the KL term at step t."""
        return self.beta * min(1.0, t / max(1.0, self.warmup * self.steps))

    def _tokens(self, texts: list[str]) -> Int[Tensor, "n t"]:
        """Rows of token ids with their end, padded with blanks."""
        end, blank = len(self.words_), len(self.words_) + 1
        ids = [torch.tensor([*own, end][:LONGEST]) for own in self.words_.ids(texts)]
        return nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=blank)

    def _build(self, spec: Spec, longest: int) -> SequenceVae:
        self.spec_ = spec
        self.net_ = SequenceVae(len(self.words_), longest, len(spec.classes), self.width, self.latent, self.dropout)
        return self.net_

    def _remember(self, tokens: Int[Tensor, "n t"], data: Data) -> None:
        net, device = self.net_.eval(), next(self.net_.parameters()).device

        def encode(x: Tensor, y: Tensor) -> Tensor:
            return torch.stack(net.posterior(x.to(device), y.to(device)), 1).cpu()

        self.posteriors_, self.starts_ = remembered(encode, tokens, data.train.y, data.classes)

    def _learn_flow(self, run: Run) -> None:
        """Teaches the flow the posteriors of the rows, classes as often as one another."""
        (mean, log_variance), counts = self.posteriors_, self.starts_.diff()
        y = torch.repeat_interleave(counts)
        rarity = counts[y].float().reciprocal()
        with seeded(run.seed_for(self.name(), "flow")):
            self._build_flow()
        adam = torch.optim.AdamW(self.flow_.parameters(), lr=self.lr, weight_decay=0.01)

        def step(_: int) -> dict[str, Tensor]:
            rows = torch.multinomial(rarity, FLOW_BATCH, replacement=True)
            x = mean[rows] + (0.5 * log_variance[rows]).exp() * torch.randn(FLOW_BATCH, self.latent)
            noise, t = torch.randn(x.shape), logit_normal(FLOW_BATCH, 0.0)
            loss = (self.flow_(between(x, noise, t), t, y[rows]) - (noise - x)).square().mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            return {"flow": loss}

        told = descend(
            step, {"flow": self.flow_, "adam": adam}, steps=self.steps, run=run, name=f"{self.name()}-flow", rate=lambda t: cosine(t, self.steps)
        )
        self.curves_.points |= told.points
        self.curves_.findings += told.findings
        self.curves_.rollbacks += told.rollbacks
        self.curves_.seconds += told.seconds

    def _build_flow(self) -> None:
        self.flow_ = Mlp(self.latent, self.latent, hidden=FLOW_WIDTH, classes=len(self.spec_.classes))

    def _latents(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"], prior: str) -> Float[Tensor, "n l"]:
        """Latents by `prior`: row i is a function of (y[i], seeds[i])."""
        if prior == "neighbour":
            return recalled(self.posteriors_, self.starts_, y, seeds, neighbours=True)
        noise = row_noise(seeds, (self.latent,))
        if prior == "normal":
            return noise
        return in_chunks(lambda z, y: heun(lambda x, t: self.flow_(x, t, y), z, FLOW_POINTS), noise, y)

    def _texts(self, z: Float[Tensor, "n l"], y: Int[Tensor, " n"] | Float[Tensor, "n k"], seeds: Int[Tensor, " n"]) -> list[str]:
        """What is written from these latents; what is drawn at a place is a function of the row's seed."""
        net, device = self.net_.eval(), next(self.net_.parameters()).device
        chance = torch.zeros(len(y), net.longest)
        for own, seed in zip(chance, seeds.tolist(), strict=True):
            own.uniform_(generator=stream(seed, "token"))

        def write(z: Tensor, y: Tensor, chance: Tensor) -> Tensor:
            return net.write(z, y, lambda logits, t: drawn(logits, chance[:, t], self.temperature, self.top_p))

        ids = in_chunks(lambda *row: write(*(part.to(device) for part in row)).cpu(), z, y, chance, size=TOGETHER)
        texts = self.words_.texts([[i for i in own if i != net.end] for own in ids.tolist()])
        return [as_row([clean(side.replace("\ufffd", ""))[0] for side in (sides_of(t) if self.spec_.parts else [t])]) for t in texts]

    @torch.no_grad()
    def latents(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n l"]:
        return self._latents(y, seeds, self.prior)

    @torch.no_grad()
    def decode(self, z: Float[Tensor, "n l"], y: Int[Tensor, " n"] | Float[Tensor, "n k"], seeds: Int[Tensor, " n"]) -> UInt8[Tensor, "n length"]:
        return TextCodec(self.spec_).encode(self._texts(z, y, seeds))

    def state(self) -> dict[str, Tensor]:
        words, ends = self.words_.state()
        own = {"words": words, "ends": ends, "longest": torch.tensor(self.net_.longest), "posteriors": self.posteriors_, "starts": self.starts_}
        nets = {"net": self.net_} | ({"flow": self.flow_} if self.prior == "flow" else {})
        kept = {f"{name}/{k}": v.cpu() for name, net in nets.items() for k, v in net.state_dict().items()}
        return own | {k: v for k, v in kept.items() if not k.startswith(ENCODING)}

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "TextVae":
        self.require(spec)
        self.words_ = Subwords.of(state["words"], state["ends"])
        self._build(spec, int(state["longest"]))
        self.net_.load_state_dict({k[4:]: v for k, v in state.items() if k.startswith("net/")}, strict=False)
        if self.prior == "flow":
            self._build_flow()
            self.flow_.load_state_dict({k[5:]: v for k, v in state.items() if k.startswith("flow/")})
        self.posteriors_, self.starts_ = state["posteriors"], state["starts"]
        return self
