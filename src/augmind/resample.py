"""Screened synthetic rows for tables of numbers, in the manner of imbalanced-learn.

from imblearn.pipeline import make_pipeline
model = make_pipeline(augmind.Resampler("feature", random_state=0), LogisticRegression())
"""

import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .core.errors import MachineError, UsageError
from .core.plugin import Generator, Screen
from .core.registry import make
from .core.run import Run
from .core.seeds import row_seeds
from .core.types import Backbone, Choice, Classical, Data, Samples, Spec
from .shards import BLOCK, MOST_DRAWN, Judged, judge

try:
    from imblearn.over_sampling.base import BaseOverSampler
except ImportError as error:
    raise MachineError("augmind.Resampler needs imbalanced-learn, which is not installed", help="pip install imbalanced-learn") from error

ROUNDS = 8
"""Turns of drawing, in each of which what still lacks is drawn."""
FEW = 3
"""Classes of fewer rows say little of their own spread."""
SETTINGS: dict[str, dict[str, Any]] = {"duplicates": {"least": 0.05}}
"""Of screens. A class that grows tenfold in a few dimensions lies closer than the real rows did, so only repetitions count."""
LARGEST = 1e150
"""Greatest absolute value: the square of a greater one overflows."""
REACH = 10.0
"""The constant beside the features, per square root of their number."""


@dataclass(frozen=True)
class Plain:
    """A codec of vectors that are their own features: no files, no backbone, no classical augmentation."""

    spec: Spec
    name: ClassVar[str] = "vector"
    suffix: ClassVar[str] = ""
    classical: ClassVar[tuple[Classical, ...]] = (Classical(name="none"),)

    @property
    def pretrained(self) -> bool:
        return False

    @property
    def trainable(self) -> bool:
        return False

    def encode(self, natives: Sequence[Any]) -> Float[Tensor, "n d"]:
        return torch.as_tensor(np.asarray(natives), dtype=torch.float32)

    def decode(self, x: Float[Tensor, "n d"]) -> list[Any]:
        return list(x.numpy())

    def files(self, x: Float[Tensor, "n d"], synthetic: Sequence[bool]) -> list[bytes]:
        raise UsageError("a bare vector has no file")

    def reads(self) -> str:
        return ""

    def embed(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
        """The values beside a large constant: screens compare directions and lengths, and so they compare the values themselves."""
        return torch.cat([x, x.new_full((len(x), 1), REACH * x.shape[1] ** 0.5)], 1)

    def backbone(self, name: str | None = None) -> Backbone:
        raise UsageError("a bare vector has no backbone")

    def figures(self, x: Float[Tensor, "n d"], real: Float[Tensor, "m d"]) -> dict[str, float]:
        return {}

    def tiles(self, x: Float[Tensor, "n d"]) -> None:
        return None

    def preview(self, x: Float[Tensor, "n d"], beside: Float[Tensor, "n d"] | None = None) -> list[str]:
        return [f"<code>{row.tolist()}</code>" for row in x]

    def named(self, meanings: Sequence[str]) -> list[tuple[Any, int]]:
        return []

    def variants(self, x: Float[Tensor, "n d"]) -> list[Tensor]:
        return [x]


class Scale:
    """Columns of a table that vary, standardised; and back: constant columns as they were, within the range of the real rows,
    whole numbers where all real values are whole."""

    def __init__(self, x: np.ndarray) -> None:
        x = np.asarray(x, dtype=np.float64)
        self.low, self.high = x.min(0), x.max(0)
        if np.abs(x).max() > LARGEST:
            raise ValueError(f"X holds {np.abs(x).max():.3g}; values beyond {LARGEST:g} in size have no deviation that could be told: scale X down")
        self.varying = self.high > self.low
        if not self.varying.any():
            raise ValueError("every column of X is constant, so there is nothing to learn for any class")
        self.centre, self.deviation = x[:, self.varying].mean(0), x[:, self.varying].std(0)
        self.whole = (x == np.rint(x)).all(0)

    def forward(self, x: np.ndarray) -> Float[Tensor, "n v"]:
        return torch.from_numpy(((np.asarray(x, dtype=np.float64)[:, self.varying] - self.centre) / self.deviation).astype(np.float32))

    def undo(self, z: Float[Tensor, "n v"]) -> np.ndarray:
        x = np.tile(self.low, (len(z), 1))
        x[:, self.varying] = z.double().numpy() * self.deviation + self.centre
        return np.where(self.whole, np.rint(x), x).clip(self.low, self.high)


class Resampler(BaseOverSampler):
    """Balances classes with rows that a generator learnt from X and that passed the screens.

    Parameters
    ----------
    generator : "feature" (a Gaussian around each class, in closed form), "vae", or another generator of vectors
    sampling_strategy : as everywhere in imbalanced-learn; "auto" brings every class to the size of the largest
    screens : names of screens, applied in this order: "agreement", "fidelity", "novelty", "duplicates", "diversity"; () for none
    settings : of the generator, e.g. {"steps": 500}
    random_state : int, RandomState or None; None draws differently each time, without touching NumPy's global state

    Columns are standardised inside. A column's synthetic values lie within the range of its real ones and are whole numbers
    where those are. The real rows come first and are not touched. Where fewer rows than wanted pass the screens, after at most
    twelve draws for each, what passed is given and a warning says so. A class of one or two rows borrows its spread from the
    other classes ("feature") or is filled in between its rows ("vae"), with a warning. A generator whose training collapsed or
    learnt its rows by heart gives way to "feature", with a warning.

    Attributes
    ----------
    sampling_strategy_ : dict of class to the number of rows wanted
    synthetic_ : (n_resampled,) bool, which of the rows given are synthetic
    scores_ : dict of columns, one entry for each row that was drawn: label, seed, rejected_by (the screen; "" if it passed;
        "surplus" if more passed than were wanted), row (its position in the result, or -1), and one column of scores a screen
        (NaN where an earlier screen had rejected the row)
    generator_ : the fitted generator
    n_features_in_, feature_names_in_ : as everywhere in scikit-learn
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **BaseOverSampler._parameter_constraints,
        "generator": [str],
        "screens": [tuple, list],
        "settings": [dict, None],
    }

    def __init__(
        self,
        generator="feature",
        *,
        sampling_strategy="auto",
        screens=("agreement", "fidelity", "novelty", "duplicates"),
        settings=None,
        random_state=None,
    ):
        super().__init__(sampling_strategy=sampling_strategy)
        self.generator = generator
        self.screens = screens
        self.settings = settings
        self.random_state = random_state

    def _fit_resample(self, X, y):  # pyright: ignore[reportIncompatibleMethodOverride]
        from scipy import sparse

        dense = X.toarray() if sparse.issparse(X) else np.asarray(X)
        labels, codes = np.unique(y, return_inverse=True)
        asked = dict(self.sampling_strategy_ or {})
        want = torch.tensor([int(asked.get(k, 0)) for k in labels])
        drawn, rows = self._drawn(dense, codes, want, tuple(map(str, labels)))
        self.synthetic_ = np.arange(len(dense) + len(drawn)) >= len(dense)
        self.scores_["label"] = labels[self.scores_["label"]]
        self.scores_["row"] = np.where(self.scores_["row"] < 0, -1, self.scores_["row"] + len(dense))
        more = drawn.astype(X.dtype, copy=False)
        new_y = labels[rows].astype(y.dtype, copy=False)
        whole = sparse.vstack([X, type(X)(more)], format=X.format) if sparse.issparse(X) else np.vstack([X, more])
        return whole, np.hstack([y, new_y])

    def _drawn(self, x: np.ndarray, y: np.ndarray, want: Tensor, classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Synthetic rows in the columns of `x`, and their class codes, sorted by class."""
        scale, seed = Scale(x), seed_of(self.random_state)
        data = as_data(scale.forward(x), torch.from_numpy(y).long(), classes)
        self._warn_of_few(data, want)
        with tempfile.TemporaryDirectory(prefix="augmind-") as folder:
            run = Run(folder=Path(folder), seed=seed, label=self.generator)
            self.generator_ = self._fitted(data, run)
            screens = {n: make("screens", Choice(name=n, settings=SETTINGS.get(n, {}))).fit(data, run) for n in self.screens}
        judged = drawn_and_judged(self.generator_, screens, data, scale, want, seed)
        picked = chosen(judged, want)
        self.scores_ = table(judged, picked)
        self._warn_of_short(judged, np.bincount(self.scores_["label"][self.scores_["row"] >= 0], minlength=len(want)), want, classes)
        rows = judged.all()
        if rows is None:
            return x[:0], y[:0]
        return scale.undo(rows.x[picked]), rows.y[picked].numpy()

    def _fitted(self, data: Data, run: Run) -> Generator:
        """The generator that was asked for, or, with a warning, the Gaussian where its watchman found its training of no use."""
        asked: Generator = make("generators", Choice(name=self.generator, settings=dict(self.settings or {}))).fit(data, run)
        if asked.curves.usable:
            return asked
        text = f"{'; '.join(f.text for f in asked.curves.findings)}; rows are drawn from a Gaussian around each class instead"
        warnings.warn(text, UserWarning, stacklevel=6)
        return make("generators", Choice(name="feature")).fit(data, run)

    def _warn_of_few(self, data: Data, want: Tensor) -> None:
        counts = data.train.counts(data.classes)
        few = [f"{data.spec.classes[k]} ({int(counts[k])})" for k in range(len(want)) if want[k] and counts[k] < FEW]
        if few:
            text = f"classes with fewer than {FEW} rows: {', '.join(few)}; what is drawn for them leans on those rows and on the other classes"
            warnings.warn(text, UserWarning, stacklevel=5)

    def _warn_of_short(self, judged: Judged, got: np.ndarray, want: Tensor, classes: tuple[str, ...]) -> None:
        short = [f"{classes[k]} {int(got[k])} of {int(want[k])}" for k in range(len(want)) if got[k] < want[k]]
        if short:
            by = max(self.screens, key=judged.rejected.count)
            text = (
                f"{self.generator}: too few rows passed the screens after {len(judged.rejected)} were drawn ({', '.join(short)}); most fell to '{by}'"
            )
            warnings.warn(text, UserWarning, stacklevel=5)


def seed_of(random_state: Any) -> int:
    """A seed from what scikit-learn calls a random state; None gives a fresh one."""
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    return int(random_state)


def as_data(x: Float[Tensor, "n v"], y: Int[Tensor, " n"], classes: tuple[str, ...]) -> Data:
    """Standardised rows as plug-ins see them."""
    spec = Spec(kind="continuous", shape=(x.shape[1],), classes=classes, bounded=False)
    codec = Plain(spec)
    train = Samples.real(x, y, z=codec.embed(x))
    return Data(train=train, val=train.take([]), spec=spec, codec=codec)


def drawn_and_judged(generator: Generator, screens: dict[str, Screen], data: Data, scale: Scale, want: Tensor, seed: int) -> Judged:
    """Draws until every class has what is wanted, in at most `ROUNDS` turns and `MOST_DRAWN` rows for each that is wanted."""
    judged, got, tried = Judged(), torch.zeros_like(want), torch.zeros_like(want)
    for turn in range(ROUNDS):
        rate = (got + 1) / (tried + 1)
        missing = (want - got).clamp(min=0)
        ask = torch.minimum((missing / rate.clamp(min=0.1)).ceil().long(), MOST_DRAWN * want - tried)
        if not ask.sum():
            break
        y = torch.repeat_interleave(torch.arange(len(want)), ask)
        seeds = row_seeds(len(y), seed, "resample", turn)
        for start in range(0, len(y), BLOCK):
            block = slice(start, start + BLOCK)
            x = scale.forward(scale.undo(generator.sample(y[block], seeds[block])))
            judge(screens, Samples.synthetic(generator.name(), x, y[block], seeds[block], z=data.codec.embed(x)), judged)
        tried += ask
        kept = judged.kept()
        got = got if kept is None else kept.counts(len(want))
    return judged


def chosen(judged: Judged, want: Tensor) -> Int[Tensor, " n"]:
    """Positions of the first rows of every class that passed, up to what is wanted, sorted by class; the others become "surplus"."""
    rows = judged.all()
    if rows is None:
        return torch.empty(0, dtype=torch.long)
    passed = torch.tensor([why == "" for why in judged.rejected], dtype=torch.bool)
    out = torch.cat([((rows.y == k) & passed).nonzero()[:, 0][: int(n)] for k, n in enumerate(want)])
    for i in set(passed.nonzero()[:, 0].tolist()) - set(out.tolist()):
        judged.rejected[i] = "surplus"
    return out


def table(judged: Judged, picked: Int[Tensor, " n"]) -> dict[str, np.ndarray]:
    """What became of every row that was drawn: class code, seed, rejected_by, row (its place among the picked ones, or -1), scores."""
    rows, place = judged.all(), np.full(len(judged.rejected), -1)
    place[picked.numpy()] = np.arange(len(picked))
    none = np.empty(0, dtype=np.int64)
    y, seed = (none, none) if rows is None else (rows.y.numpy(), rows.key.numpy())
    columns = {"label": y, "seed": seed, "rejected_by": np.array(judged.rejected, dtype=object), "row": place}
    return columns | {f"score_{name}": np.array(scores) for name, scores in judged.scores.items()}
