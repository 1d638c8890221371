"""Words, pairs of words and pieces of words, weighted by rarity, and a linear classifier: the honest cheap baseline of text."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from augmind.core.feed import Feed
from augmind.core.folds import inner_folds
from augmind.core.plugin import Learner
from augmind.core.run import Run
from augmind.core.seeds import stable_seed
from augmind.core.tune import tune
from augmind.core.types import Codec, Data, Samples
from augmind.modalities.text.backbones.hashed import grams
from augmind.modalities.text.sides import sides_of

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

BUCKETS = 2**18
PENALTIES = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
FOLDS = 5
CROSSED = 40
"""Words of a side that are set beside words of the other, at most."""
ABSENT = -30.0
"""Logit of a class without a training row."""


@dataclass(kw_only=True)
class Tfidf(Learner):
    """Logistic regression on TF-IDF with sublinear counts, rows of length one, of hashed grams (Joachims 1998; arXiv:0902.2206).

    Rarity is counted on the real rows alone, with one added to each count. A transform and a mixing, which of tokens leaves labels as
    they are, are applied to `copies` copies of every row, which together weigh as much as the rows themselves would. `penalty` multiplies
    half the squared weights beside the mean loss; 0: chosen by cross-validation on the real rows alone. Pairs of a consistency term
    are not looked at. Of a pair of texts see `told`.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"tokens"})
    axes: ClassVar[tuple[int, ...]] = (1,)
    compares: ClassVar[bool] = False

    copies: int = tune(4, 1, 16)
    penalty: float = tune(0.0, 0.0, 1.0)

    def fit(self, feed: Feed, run: Run) -> "Tfidf":
        self.require(feed.spec)
        self.codec_, classes = feed.codec, len(feed.spec.classes)
        counts = counted(feed.codec, feed.real.x)
        self.rarity_ = np.log((1 + len(feed.real)) / (1 + np.bincount(counts.indices, minlength=BUCKETS))) + 1
        rows, w = with_copies(feed, self.copies, run.seed_for("tfidf")).table()
        table = self._weighed(counted(feed.codec, rows.x))
        self.columns_ = np.unique(table.indices)
        table = table[:, self.columns_]
        self.penalty_ = self.penalty or self._chosen(feed, table[: len(feed.real)], run.seed_for("tfidf", "penalty"))
        self.weight_, self.bias_ = fitted(table, rows.y.numpy(), w.numpy(), self.penalty_, classes)
        if feed.log_prior is not None:
            self.bias_ = self.bias_ - feed.log_prior.numpy()
        return self

    def _weighed(self, counts: "csr_matrix") -> "csr_matrix":
        """Counts of every bucket as rows of length one."""
        from sklearn.preprocessing import normalize

        rows: Any = counts.copy()
        rows.data = (1 + np.log(rows.data)) * self.rarity_[rows.indices]
        return normalize(rows, copy=False)  # pyright: ignore[reportReturnType]

    def _chosen(self, feed: Feed, x: "csr_matrix", seed: int) -> float:
        """The penalty with the least cross-entropy on held-out real rows, averaged over classes; folds part no unit."""
        y, classes = feed.real.y, len(feed.spec.classes)
        if len(feed.real.units.unique()) < 2:
            return PENALTIES[0]
        losses, even = np.zeros(len(PENALTIES)), (1 / torch.bincount(y, minlength=classes)[y]).numpy()
        w = feed.class_weight[y].numpy()
        for train, held in inner_folds(y, feed.real.units, FOLDS, seed):
            for i, penalty in enumerate(PENALTIES):
                weight, bias = fitted(x[train.numpy()], y[train].numpy(), w[train.numpy()], penalty, classes)
                logits = torch.from_numpy(x[held.numpy()] @ weight.T + bias)
                losses[i] -= float((logits.log_softmax(1)[range(len(held)), y[held]].numpy() * even[held.numpy()]).sum())
        return PENALTIES[int(losses.argmin())]

    def predict(self, samples: Samples) -> Float[Tensor, "n k"]:
        if not len(samples):
            return torch.empty(0, len(self.bias_))
        rows = self._weighed(counted(self.codec_, samples.x))[:, self.columns_]
        return torch.from_numpy(rows @ self.weight_.T + self.bias_).float().softmax(1)

    def state(self) -> dict[str, Tensor]:
        kept = {"columns": self.columns_, "weight": self.weight_, "bias": self.bias_, "rarity": self.rarity_[self.columns_]}
        others = {"rare": np.array(self.rarity_.max()), "penalty": np.array(self.penalty_)}
        return {name: torch.from_numpy(v) for name, v in (kept | others).items()}

    def restore(self, data: Data, state: dict[str, Tensor]) -> "Tfidf":
        values = {name: v.numpy() for name, v in state.items()}
        self.codec_, self.columns_, self.weight_, self.bias_ = data.codec, values["columns"], values["weight"], values["bias"]
        self.rarity_, self.penalty_ = np.full(BUCKETS, float(values["rare"])), float(values["penalty"])
        self.rarity_[self.columns_] = values["rarity"]
        return self


def counted(codec: Codec, x: Tensor) -> "csr_matrix":
    """How often each gram stands in each row, (n, `BUCKETS`)."""
    from sklearn.feature_extraction import FeatureHasher

    hasher: Any = FeatureHasher(n_features=BUCKETS, input_type="string", alternate_sign=False)
    return hasher.transform(told(row) for row in codec.decode(x))


def told(row: str) -> list[str]:
    """Grams of a text; of a pair those of either side, told apart, those that both have, and words of one beside words of the other
    (the lexical features of arXiv:1508.05326)."""
    first, *rest = sides_of(row)
    if not rest:
        return grams(row)
    a, b = grams(first), grams(" ".join(rest))
    mine, theirs = ([g for g in dict.fromkeys(side) if g[0] == "w"][:CROSSED] for side in (a, b))
    across = [f"x{p} {q}" for p in mine for q in theirs]
    return [f"1{g}" for g in a] + [f"2{g}" for g in b] + [f"={g}" for g in sorted({*a} & {*b})] + across


def with_copies(feed: Feed, copies: int, seed: int) -> Feed:
    """The feed with transformed and mixed copies of its real rows, where it transforms or mixes them at all."""
    if feed.transform.name() == feed.mixing.name() == "none":
        return feed
    soft, views = one_hot(feed.real.y, len(feed.spec.classes)).float(), None
    for i in range(copies):
        x, _ = feed.transform.apply(feed.real.x, soft, stable_seed(seed, i))
        x, _ = feed.mixing.apply(x, soft, stable_seed(seed, i, "mixing"))
        more = replace(feed.real, x=x)
        views = more if views is None else views + more
    return replace(feed, views=views)


def fitted(x: "csr_matrix", y: np.ndarray, w: np.ndarray, penalty: float, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights (k, d) and biases (k,) at the minimum of mean w CE + penalty / 2 ||W||^2, the biases free."""
    from sklearn.linear_model import LogisticRegression

    present, (_, width) = np.unique(y), x.get_shape()
    weight, bias = np.zeros((classes, width)), np.full(classes, ABSENT)
    if len(present) < 2:
        bias[present] = 0.0
        return weight, bias
    both = 2 if len(present) == 2 else 1  # with two classes scikit-learn penalises one vector of weights, the difference of ours
    model: Any = LogisticRegression(C=both / (penalty * len(y)), max_iter=500, tol=1e-5).fit(x, y, sample_weight=w * len(w) / w.sum())
    if len(present) == 2:
        weight[present], bias[present] = np.vstack([-model.coef_, model.coef_]) / 2, np.array([-0.5, 0.5]) * model.intercept_
    else:
        weight[present], bias[present] = model.coef_, model.intercept_
    return weight, bias
