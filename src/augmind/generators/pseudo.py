"""Rows without labels that are given one: self-training and label propagation, counted on as far as they agree with themselves."""

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from augmind.core.errors import WrongSpec
from augmind.core.loop import Curves
from augmind.core.plugin import Labeller
from augmind.core.run import Finding, Run
from augmind.core.tune import tune
from augmind.core.types import Data, Samples, Spec
from augmind.nn.heads import Head, choose_penalty, fit_head
from augmind.nn.likeness import grid, standard
from augmind.nn.neighbours import nearest, standardise

PARTS = 5
"""Parts of the rows without labels: those of a part are labelled by what was learnt from the others."""
CELLS = 16
EVEN = 0.5
"""How far the rows kept of a class go from their share of the pool, as labels see it (0), to an even share of all classes (1)."""
NEAR, HOPS, STAY = 10, 20, 0.9
"""Neighbours of a row in the graph, rounds of spreading, and how much of a row's label comes from its neighbours (alpha of the paper)."""


@dataclass(kw_only=True)
class Pseudo(Labeller):
    """Labels real rows instead of imagining new ones; what it adds is what the rows without labels know.

    Self-training (pseudo-labels; Lee, ICML workshop 2013): a linear head on features learns from the labelled rows, labels the others, and
    learns from both, `rounds` times. Of the rows called each class the surest are taken, the part `keep` of them (class-balanced;
    arXiv:1810.07911), and no row's own label takes part in the next one of it: the head that labels a part learnt from the other parts alone.
    In the end classes are kept more evenly than they were called (`surest`). Networks may learn from all rows by their probabilities (`beliefs`).
    `propagate` is the weight of labels that spread over graphs of nearest neighbours (label spreading; Zhou et al., NIPS
    2004; arXiv:1904.04717) beside the head's. `graph` says who is near: by features, by the values of the rows themselves (grids as they look at
    16 x 16 cells), or the mean of what spreads over either. Rows need features, the better the more they are worth.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"continuous", "tokens"})

    rounds: int = tune(3, 1, 10)
    keep: float = tune(0.5, 0.05, 1.0)
    propagate: float = tune(0.5, 0.0, 1.0)
    graph: str = tune("both", options=("features", "rows", "both"))

    def fit(self, data: Data, run: Run) -> "Pseudo":
        self.require(data.spec)
        if data.pool is None or data.train.z is None or data.pool.z is None:
            raise WrongSpec("'pseudo' labels rows that have no labels, and there are none", help="add --unlabelled FOLDER")
        self.spec_, self.curves_ = data.spec, Curves(steps=self.rounds, planned=self.rounds)
        p = self.labelled(data.train, data.pool, data.classes, run)
        at, y = surest(p, 1.0)
        self.x_, self.y_, self.key_, self.p_ = data.pool.x[at], y, data.pool.key[at], p[at]
        self.sure_ = torch.bincount(surest(p, self.keep, EVEN)[1], minlength=data.classes)
        counts = torch.bincount(y, minlength=data.classes)
        if len(few := [data.spec.classes[k] for k in range(data.classes) if not counts[k]]):
            self.curves_.findings.append(Finding("AM232", "info", f"no row without a label was taken for {', '.join(few)}", {"classes": few}))
        return self

    def labelled(self, train: Samples, pool: Samples, classes: int, run: Run) -> Float[Tensor, "n k"]:
        """Probability of each class for the rows of the pool, each by what was learnt without its own label."""
        assert train.z is not None and pool.z is not None
        both = torch.cat([train.z, pool.z])
        head = Head.over(both, classes)
        weights = len(train) / (classes * torch.bincount(train.y, minlength=classes).clamp(min=1).float())
        penalty = choose_penalty(head.standardise(train.z), train.y, train.units, weights[train.y], None, classes, run.seed_for("pseudo", "penalty"))
        part = torch.randperm(len(pool), generator=run.rng("pseudo", "parts")) % PARTS
        spread = self.spread(train, pool, classes)
        p = self.mixed(fit_head(head, train.z, train.y, weights[train.y], penalty), pool.z, spread)
        for done in range(self.rounds):
            new = torch.empty_like(p)
            for own in range(PARTS):
                others = (part != own).nonzero()[:, 0]
                at, y = surest(p[others], self.keep)
                z, labels = torch.cat([train.z, pool.z[others[at]]]), torch.cat([train.y, y])
                even = len(labels) / (classes * torch.bincount(labels, minlength=classes).clamp(min=1).float())
                learnt = fit_head(Head.over(both, classes), z, labels, even[labels], penalty)
                new[part == own] = self.mixed(learnt, pool.z[part == own], spread[part == own])
            p = new
            run.progress(done + 1, self.rounds)
        return p

    def spread(self, train: Samples, pool: Samples, classes: int) -> Float[Tensor, "n k"]:
        """Probabilities of labels that spread over the asked graphs, their mean; rows of tokens have that of features alone."""
        assert train.z is not None and pool.z is not None
        if not self.propagate:
            return torch.zeros(len(pool), classes)
        own = self.graph != "features" and self.spec_.kind == "continuous"
        views = [(train.z, pool.z)] if self.graph != "rows" or not own else []
        views += [(outlines(train.x), outlines(pool.x))] if own else []
        return torch.stack([spreading(known, train.y, others, classes) for known, others in views]).mean(0)

    def mixed(self, head: Head, z: Float[Tensor, "n d"], spread: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """What the head says and what neighbours say, as the weighted mean of probabilities."""
        with torch.no_grad():
            return (1 - self.propagate) * head(z).softmax(1) + self.propagate * spread

    def stock(self) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        return self.y_, self.key_

    def beliefs(self) -> Float[Tensor, "n k"]:
        return self.p_

    def sure(self) -> Int[Tensor, " k"]:
        return self.sure_

    def sample(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Shaped[Tensor, "n ..."]:
        """The rows of these keys, whose labels are those of `stock`; for other seeds a row of the class, or of any where it has none."""
        y, seeds, order = y.cpu(), seeds.cpu(), self.key_.argsort()
        at = order[torch.searchsorted(self.key_[order], seeds).clamp(max=len(order) - 1)]
        for i in (self.key_[at] != seeds).nonzero()[:, 0].tolist():
            own = (self.y_ == y[i]).nonzero()[:, 0]
            own = own if len(own) else torch.arange(len(order))
            at[i] = own[seeds[i] % len(own)]
        return self.spec_.to_model(self.x_[at])

    def state(self) -> dict[str, Tensor]:
        return {"x": self.x_, "y": self.y_, "key": self.key_, "p": self.p_, "sure": self.sure_}

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Pseudo":
        self.require(spec)
        self.spec_, self.x_, self.y_, self.key_ = spec, *(state[k] for k in ("x", "y", "key"))
        self.p_ = state.get("p", one_hot(self.y_, len(spec.classes)).float())  # runs begun before it was kept
        self.sure_ = state.get("sure", torch.bincount(self.y_, minlength=len(spec.classes)))
        return self


def surest(p: Float[Tensor, "n k"], part: float, even: float = 0.0) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"]]:
    """Positions and labels of this part of the rows called each class, one at least, the surest first; classes follow each other.

    With `even` at 1 each class has the same part of an even share instead, as far as so many rows are called by it; between, the geometric mean of
    both. In a pool where a class is rare an even share of it is mostly wrong ones, and where classes are even their own share follows mistakes.
    """
    sure, label = p.max(1)
    own = [(label == k).nonzero()[:, 0] for k in range(p.shape[1])]
    counts = [part * len(at) ** (1 - even) * (len(p) / p.shape[1]) ** even for at in own]
    rows = torch.cat([at[sure[at].argsort(descending=True, stable=True)[: max(1, round(n))]] for at, n in zip(own, counts, strict=True)])
    return rows, label[rows]


def outlines(x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
    """Rows as vectors: grids at `CELLS` x `CELLS` at most, each of mean 0 and length 1, so that brightness and contrast do not count."""
    return torch.cat([standard(grid(part, CELLS)[None])[0] for part in x.split(1024)]) if x.ndim == 4 else x.float()


def spreading(z: Float[Tensor, "n d"], y: Int[Tensor, " n"], others: Float[Tensor, "m d"], classes: int) -> Float[Tensor, "m k"]:
    """Probabilities of labels that spread over a symmetric graph of nearest neighbours, by scikit-learn; classes of few rows begin with as much as
    the others."""
    from scipy.sparse import csr_matrix
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.semi_supervised import LabelSpreading

    both = torch.cat([z, others])
    both = normalize(standardise(both, both), dim=1)
    n, k = len(both), min(NEAR, len(both) - 1)
    distance, index = nearest(both, both, k, skip_self=True)
    weight = torch.exp(-(distance / distance.mean()).square()).double().flatten().numpy()
    graph = csr_matrix((weight, (np.repeat(np.arange(n), k), index.flatten().numpy())), shape=(n, n))
    graph = (graph + graph.T) / 2
    known = np.concatenate([y.numpy(), np.full(len(others), -1)])
    spread = LabelSpreading(kernel=lambda *_: graph, alpha=STAY, max_iter=HOPS)  # pyright: ignore[reportArgumentType]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = spread.fit(both.numpy(), known)
    told = torch.zeros(len(others), classes)
    told[:, found.classes_] = torch.from_numpy(found.label_distributions_[len(z) :]).float()
    told = told / torch.bincount(y, minlength=classes).clamp(min=1)
    return told / told.sum(1, keepdim=True).clamp(min=1e-12)
