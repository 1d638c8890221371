"""The six kinds of plug-in, as abstract dataclasses: fields are hyper-parameters, constructors do nothing else.

Learned state lives in attributes that end in `_`. A plug-in is one file in the folder of its kind, found by its file name.
"""

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from jaxtyping import Float, Int, Shaped
from torch import Tensor

from .errors import UsageError, WrongSpec
from .loop import Curves
from .tune import ranges
from .types import Data, Knowledge, Samples, Spec

if TYPE_CHECKING:
    from .feed import Feed
    from .run import Finding, Run

Space = Literal["rows", "features"]
"""Whether a plug-in works on the rows themselves or on their features (`Codec.embed`)."""


PLAIN: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    str: ((str,), 'text (a number as text in double quotes: "5")'),
    float: ((float, int), "a number"),
    int: ((int,), "a whole number"),
}
"""Types of fields that are held against what they are given, with their names."""


@dataclass(kw_only=True)
class Plugin(ABC):
    """Base of all plug-ins. `kinds` and `axes` say which `Spec` it can take (`axes`: lengths of `Spec.shape`)."""

    kinds: ClassVar[frozenset[str]] = frozenset({"continuous"})
    axes: ClassVar[tuple[int, ...]] = (1, 3)
    waves: ClassVar[bool | None] = None
    """Whether its rows must show waves (`Spec.rate`), or must not; None: it takes both."""
    borrows: ClassVar[bool] = False
    """Whether it learns from a related dataset too, where there is one (`Data.source`, `Feed.source`)."""
    sided: ClassVar[bool] = False
    """Whether its rows must have sides of several kinds (`Spec.sides`)."""

    def __post_init__(self) -> None:
        for name, allowed in ranges(type(self)).items():
            value = getattr(self, name)
            if not allowed.allows(value):
                raise UsageError(f"{self.name()}: {name}={value!r} is not allowed", help=f"{name} may be {allowed}")
        for field in dataclasses.fields(self):
            kinds, told = PLAIN.get(field.type, ((object,), ""))
            value = getattr(self, field.name)
            if not isinstance(value, kinds) or (isinstance(value, bool) and field.type in (int, float)):
                raise UsageError(f"{self.name()}: {field.name}={value!r} is not allowed", help=f"{field.name} may be {told}")

    @classmethod
    def name(cls) -> str:
        """The name by which people call it: its file's name."""
        return cls.__module__.rpartition(".")[2]

    def settings(self) -> dict[str, Any]:
        """The hyper-parameters as plain JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def refuses(cls, spec: Spec) -> str:
        """Why this plug-in cannot take such data; empty if it can."""
        if spec.kind not in cls.kinds:
            return f"'{cls.name()}' takes {' or '.join(sorted(cls.kinds))} data, not {spec.kind}"
        if len(spec.shape) not in cls.axes:
            wants = " or ".join({1: "vectors (d,)", 3: "grids (channels, height, width)"}.get(a, f"{a} axes") for a in cls.axes)
            return f"'{cls.name()}' takes {wants}, not shape {spec.shape}"
        if cls.sided and not spec.sides:
            return f"'{cls.name()}' takes rows that join several kinds"
        if cls.waves is not None and cls.waves != bool(spec.rate):
            return f"'{cls.name()}' takes grids that show {'waves' if cls.waves else 'no waves'}"
        return ""

    def ready(self) -> None:
        """Looks for what it needs on this machine before any work begins. Raises `MachineError` with the way to what is missing."""
        return

    def sent_to(self) -> str:
        """Where rows are sent to be worked on, for the plan to say so; empty for nowhere."""
        return ""

    def source(self) -> str:
        """What it reads beside its settings, as a hash of its content, so that other content makes other results; empty for nothing."""
        return ""

    def require(self, spec: Spec) -> None:
        """Raises `WrongSpec` if this plug-in cannot take such data."""
        if reason := self.refuses(spec):
            raise WrongSpec(reason, help="choose another plug-in of this kind, or another size")


@dataclass(kw_only=True)
class Generator(Plugin):
    """Learns p(x | y) from rows and draws new ones.

    `sample` is a pure function of each row's label and seed: the same pair gives the same row whatever else is in the batch.
    """

    space: ClassVar[Space] = "rows"
    knowledge: ClassVar[Knowledge] = Knowledge.rows

    @property
    def curves(self) -> Curves:
        """How the training of a fitted generator went; `fit` leaves it in `curves_`."""
        return self.__dict__["curves_"]

    @property
    def known(self) -> Knowledge:
        """Where what it knows comes from with these settings."""
        return self.knowledge

    @abstractmethod
    def fit(self, data: Data, run: "Run") -> "Generator":
        """Trains on `data.train` (and may look at `data.val`).

        Raises `WrongSpec` for data that it cannot model and `Diverged` if training cannot be kept finite.
        """

    @abstractmethod
    def sample(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n ..."]:
        """Rows (n, *shape) in model space ([-1, 1] where `Spec.bounded`), one for each label and seed."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Everything that `sample` needs, as named tensors."""

    @abstractmethod
    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Generator":
        """The inverse of `state`: after it, `sample` gives the very same rows."""

    def notes(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> list[str]:
        """What there is to say of each row of `sample(y, seeds)` beside its label, such as the words that are spoken in it; empty for nothing."""
        return []

    def bill(self, data: Data, rows: int) -> str:
        """What drawing so many rows is likely to cost beside this machine's time, for the plan to say; empty for nothing."""
        return ""

    def remarks(self) -> list["Finding"]:
        """What is to be said of the rows drawn until now, such as what they have cost."""
        return []


@dataclass(kw_only=True)
class Latent(Generator):
    """A generator that decodes rows from latents: these can be moved, and rows can be decoded as mixtures of classes."""

    @abstractmethod
    def latents(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n l"]:
        """What the rows of these labels and seeds are decoded from; row i is a function of (y[i], seeds[i])."""

    @abstractmethod
    def decode(self, z: Float[Tensor, "n l"], y: Int[Tensor, " n"] | Float[Tensor, "n k"], seeds: Int[Tensor, " n"]) -> Shaped[Tensor, "n ..."]:
        """Rows like those of `sample`, of labels or of mixtures of all classes (parts that add up to 1); what chance decides beside the latents is a
        function of the seeds."""

    def sample(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Shaped[Tensor, "n ..."]:
        y, seeds = y.cpu(), seeds.cpu()
        return self.decode(self.latents(y, seeds), y, seeds)


@dataclass(kw_only=True)
class Labeller(Generator):
    """A generator that draws no new rows: it labels those of `Data.pool`, and all that it has is its `stock`.

    Rows of which it is sure are handed over with their labels; networks may learn from all of them, by what it believes of each.
    """

    knowledge: ClassVar[Knowledge] = Knowledge.unlabelled

    @abstractmethod
    def stock(self) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        """Labels and keys of the rows of a fitted one, class by class, the surest first; `sample` gives the rows of these keys."""

    @abstractmethod
    def beliefs(self) -> Float[Tensor, "n k"]:
        """For the rows of `stock` the probability of each class."""

    @abstractmethod
    def sure(self) -> Int[Tensor, " k"]:
        """How many rows of each class, the first of its `stock`, are sure enough to be handed over."""


@dataclass(kw_only=True)
class Screen(Plugin):
    """Judges synthetic rows, one score in [0, 1] a row, higher is better; a row below the cut is rejected with `reason`.

    `fit` calibrates on real rows alone; rows are then scored in any number of calls.
    """

    axes: ClassVar[tuple[int, ...]] = (1, 2, 3)
    reason: ClassVar[str]
    """What is wrong with a rejected row, in words a person reads: "looks like another class"."""
    needs: ClassVar[str] = ""
    """A setting without which it can say nothing: it takes part in a run where that is given."""
    calibrated: ClassVar[bool] = True
    """Whether it says something of real rows too, so that its false alarms can be counted."""

    @abstractmethod
    def fit(self, data: Data, run: "Run") -> "Screen":
        """Calibrates on the real training rows, which carry their features in `z`."""

    @abstractmethod
    def score(self, synthetic: Samples, kept: Samples | None = None) -> Float[Tensor, " n"]:
        """Scores in [0, 1]. `kept` holds synthetic rows that were accepted earlier, for screens that compare rows with rows."""

    @property
    @abstractmethod
    def cut(self) -> float:
        """The least score that passes."""

    def bill(self, data: Data, rows: int) -> str:
        """What judging so many rows asks of others, for the plan to say; empty for nothing."""
        return ""

    def remarks(self) -> "list[Finding]":
        """What a person should know of the rows judged so far."""
        return []


@dataclass(kw_only=True)
class Transform(Plugin):
    """Classical augmentation or mixing of a batch: cheap, label-preserving or label-mixing, no learned state."""

    needs: ClassVar[str] = ""
    """A setting without which it can do nothing: it takes part in a run where that is given, as an arm of its own."""
    settled: ClassVar[bool] = False
    """Whether its settings come from the codec and say what it is; of the others learners of feature space see copies by their defaults."""

    @abstractmethod
    def apply(self, x: Float[Tensor, "b ..."], y: Float[Tensor, "b k"], seed: int) -> tuple[Tensor, Tensor]:
        """A new batch in model space and its soft labels (b, k), a pure function of the arguments."""


@dataclass(kw_only=True)
class Learner(Plugin):
    """The downstream classifier whose accuracy is what augmentation is for."""

    space: ClassVar[Space] = "rows"
    knowledge: ClassVar[Knowledge] = Knowledge.rows
    compares: ClassVar[bool] = True
    """Whether it learns from the pairs of a consistency term."""
    spreads: ClassVar[bool] = False
    """Whether it can take rows for Gaussians (`Feed.spread`)."""
    ignores: ClassVar[frozenset[str]] = frozenset()
    """Settings of transfers that make no difference to it."""

    @abstractmethod
    def fit(self, feed: "Feed", run: "Run") -> "Learner":
        """Trains for a number of steps that does not depend on how many rows the feed holds."""

    @abstractmethod
    def predict(self, samples: Samples) -> Float[Tensor, "n k"]:
        """Class probabilities."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Everything that `predict` needs beyond the backbone, as named tensors."""

    @abstractmethod
    def restore(self, data: Data, state: dict[str, Tensor]) -> "Learner":
        """The inverse of `state`."""


@dataclass(kw_only=True)
class Transfer(Plugin):
    """How synthetic rows reach a learner: mixed into batches, as pretraining, ..."""

    needs_synthetic: ClassVar[bool] = False
    """Whether it does nothing where there are no synthetic rows."""

    @classmethod
    def suits(cls, learner: type[Learner]) -> bool:
        """Whether it can train learners of this class."""
        return issubclass(learner, Learner)

    def idle(self, transformed: bool, synthetic: bool) -> bool:
        """Whether it comes to nothing more than `mix` where rows are not transformed, or where there are no synthetic rows."""
        return self.needs_synthetic and not synthetic

    @abstractmethod
    def train(self, learner: Learner, feed: "Feed", run: "Run") -> Learner: ...


@dataclass(kw_only=True)
class Metric(Plugin):
    """One figure about a synthetic set against real rows, computed on features."""

    higher_is_better: ClassVar[bool]
    label: ClassVar[str]
    limits: ClassVar[tuple[float, float]] = (float("-inf"), float("inf"))
    """Between which values it lies."""

    @abstractmethod
    def measure(self, real: Float[Tensor, "n d"], synthetic: Float[Tensor, "m d"]) -> float: ...
