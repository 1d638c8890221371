"""A pretrained backbone trained further, all of it or a part: the strongest learner where a minute a fit is affordable."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.core.errors import UsageError
from augmind.core.feed import Feed
from augmind.core.loop import autocast, cosine, descend
from augmind.core.run import Run
from augmind.core.seeds import in_chunks, seeded
from augmind.core.tune import tune
from augmind.core.types import Backbone, Data, Knowledge, Samples, Spec
from augmind.nn.heads import Head, choose_penalty, fit_head
from augmind.nn.layers import discounted, layers, release
from augmind.nn.lora import adapt, adapters
from augmind.nn.objective import learn
from augmind.nn.starting import Donor, Starting
from augmind.nn.transplant import Rows, graft, transplant


@dataclass(kw_only=True)
class Finetune(Starting):
    """A linear probe of the backbone first; then backbone and head together, batch-norm statistics and dropout left off.

    `backbone` is any name that the data's codec knows. AdamW (arXiv:1711.05101), half-cosine rate, label smoothing.

    unfreeze  part of the steps in which the head alone learns; then the layers are freed from the top in equal stages
              (arXiv:1801.06146). 0: all layers learn from the first step
    decay     each layer's rate is this part of the rate of the one above it; 1: the same for all
    lora      rank of low-rank adapters (arXiv:2106.09685), which then learn in place of the backbone's own weights; 0: none.
              The state holds the adapters alone, unless the backbone itself came from `start`
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"continuous", "tokens"})
    knowledge: ClassVar[Knowledge] = Knowledge.pretrained

    backbone: str = "lite0@96"
    steps: int = tune(80, 1, 5000, log=True)
    batch: int = tune(32, options=(8, 16, 32, 64))
    lr: float = tune(3e-4, 1e-5, 3e-3, log=True)
    head_lr: float = tune(1e-3, 1e-5, 1e-2, log=True)
    weight_decay: float = tune(1e-2, 1e-4, 1e-1, log=True)
    smoothing: float = tune(0.1, 0.0, 0.3)
    unfreeze: float = tune(0.0, 0.0, 0.9)
    decay: float = tune(1.0, 0.5, 1.0)
    lora: int = tune(0, options=(0, 4, 8, 16, 32))

    @classmethod
    def refuses(cls, spec: Spec) -> str:
        """Grids, and rows of tokens: what backbones read."""
        alike = {1: "tokens", 3: "continuous"}.get(len(spec.shape)) == spec.kind
        return "" if alike else f"'finetune' takes grids (channels, height, width) or tokens, not {spec.kind} rows of shape {spec.shape}"

    def fit(self, feed: Feed, run: Run) -> "Finetune":
        self.require(feed.spec)
        feed = replace(feed, source=None)
        donor = self.donor(feed)
        self.spec_, self.backbone_ = feed.spec, self._backbone(feed, run.device, run.seed_for("finetune", "adapters"), donor)
        self.head_ = self._probe(feed, run)
        if donor:
            replant(self.head_, part(donor.state, "head/"), donor.rows)
        return self._train(feed, run)

    def fit_from(self, state: dict[str, Tensor], feed: Feed, run: Run) -> "Finetune":
        """`fit`, starting from the learned state of another learner of these settings in place of the probe."""
        self.require(feed.spec)
        self.spec_, self.backbone_ = feed.spec, self._backbone(feed, run.device)
        self._load(state)
        return self._train(feed, run)

    def _backbone(self, source: Feed | Data, device: torch.device, seed: int = 0, donor: Donor | None = None) -> Backbone:
        """The backbone in eval mode, with the body of `donor` and with fresh adapters where asked for."""
        backbone = source.codec.backbone(self.backbone)
        rank = donor.settings.get("lora", 0) if donor else 0
        if rank and rank != self.lora:
            raise UsageError(f"start: '{self.start}' was learnt with lora={rank}, not {self.lora}", help=f"use lora={rank}")
        if donor and not rank:
            self._carry(donor, backbone)
        if self.lora:
            with seeded(seed):
                adapt(backbone.module, self.lora)
        if donor and rank:
            self._carry(donor, backbone)
        backbone.module.to(device).eval()
        return backbone

    def _carry(self, donor: Donor, backbone: Backbone) -> None:
        """Puts the donor's body into the backbone: all tensors, or the adapters where it holds those alone."""
        own, given = backbone.module.state_dict(), part(donor.state, "body/")
        bare = given.keys() == adapters(given).keys()
        theirs = donor.settings.get("backbone", type(self).backbone)
        if bare and theirs.partition("@")[0] != self.backbone.partition("@")[0]:
            raise UsageError(f"start: the adapters of '{donor.path}' belong to the backbone '{theirs}'", help=f"use backbone={theirs}")
        wanted = adapters(own) if bare else own
        backbone.module.load_state_dict(own | transplant(wanted, given, donor.path))

    def _features(self, x: Tensor) -> Float[Tensor, "n d"]:
        device = next(self.backbone_.module.parameters()).device

        def block(rows: Tensor) -> Tensor:
            with autocast(device):
                return self.backbone_.features(self.spec_.to_model(rows).to(device)).float().cpu()

        with torch.no_grad():
            return in_chunks(block, x, size=32)

    def _probe(self, feed: Feed, run: Run) -> Head:
        """The head at its optimum on frozen features of the real rows."""
        z, y, w = self._features(feed.real.x), feed.real.y, feed.class_weight[feed.real.y]
        head = Head.over(z, len(feed.spec.classes))
        penalty = choose_penalty(
            head.standardise(z), y, feed.real.units, w, feed.log_prior, len(feed.spec.classes), run.seed_for("finetune", "probe")
        )
        return fit_head(head, z, y, w, penalty, feed.log_prior)

    def _train(self, feed: Feed, run: Run) -> "Finetune":
        body, head, device = self.backbone_.module, self.head_.to(run.device), run.device
        stack = [free for layer in layers(body) if (free := [p for p in layer if p.requires_grad])]
        groups = [*discounted(stack, self.lr, self.decay), {"params": head.linear.parameters(), "lr": self.head_lr}]
        adamw = torch.optim.AdamW(groups, weight_decay=self.weight_decay, fused=True)
        seed = run.seed_for("finetune", "batches")

        def judge(x: Tensor) -> Tensor:
            with autocast(device):
                z = self.backbone_.features(x.to(device))
            return head(z.float())

        def step(t: int) -> dict[str, Tensor]:
            release(stack, t, self.steps, self.unfreeze)
            return learn(body, judge, adamw, feed, feed.batch(t, self.batch, seed), t, self.steps, self.smoothing)

        def rate(t: int) -> float:
            return cosine(t, self.steps, warmup=self.steps // 4)

        self.curves_ = descend(step, {"body": body, "head": head, "adamw": adamw}, steps=self.steps, run=run, name="finetune", rate=rate)
        release(stack, self.steps, self.steps, 0.0)
        self.head_ = head.cpu().eval()
        return self

    def predict(self, samples: Samples) -> Float[Tensor, "n k"]:
        with torch.no_grad():
            return self.head_(self._features(samples.x)).softmax(1)

    def state(self) -> dict[str, Tensor]:
        body = self.backbone_.module.state_dict()
        kept = adapters(body) if self.lora and not self.start else body
        return {f"body/{k}": v for k, v in kept.items()} | {f"head/{k}": v for k, v in self.head_.state_dict().items()}

    def restore(self, data: Data, state: dict[str, Tensor]) -> "Finetune":
        self.spec_, self.backbone_ = data.spec, self._backbone(data, torch.device("cpu"))
        self._load(state)
        return self

    def _load(self, state: dict[str, Tensor]) -> None:
        body, net, head = part(state, "body/"), self.backbone_.module, part(state, "head/")
        net.load_state_dict(net.state_dict() | body if self.lora else body)
        self.head_ = Head(head["mean"].clone(), head["sd"].clone(), len(self.spec_.classes)).eval()
        self.head_.load_state_dict(head)


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin so, without that beginning."""
    return {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}


def replant(head: Head, given: dict[str, Tensor], rows: Rows) -> None:
    """Gives mapped classes the old head's rows, rewritten for the standardisation of this head: the logits stay what they were."""
    raw = given["linear.weight"] / given["sd"]
    bias = given["linear.bias"] + raw @ (head.mean - given["mean"])
    with torch.no_grad():
        head.linear.weight.copy_(graft(head.linear.weight, raw * head.sd, rows))
        head.linear.bias.copy_(graft(head.linear.bias, bias, rows))
