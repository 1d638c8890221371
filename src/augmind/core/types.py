"""The nouns that every other module speaks in. Read this page first.

`Spec` says what one example looks like, `Samples` holds many as columns, `Codec` is the only thing that knows the
modality, `Data` is what a plug-in may see (there is no test set in it), `Policy` is what a search may decide.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Literal, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor, nn

SIDES = range(8, 257)
"""Sides that a grid may be brought to."""
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""What the International Press Telecommunications Council calls the work of trained models: files of synthetic rows are marked with it."""
REAL = -1
"""Value of `Samples.maker` for rows of the dataset itself."""


class Knowledge(Enum):
    """Where what a generator or learner knows comes from; the report shows it beside every gain."""

    rows = "the labelled rows alone"
    source = "a related dataset"
    unlabelled = "an unlabelled pool"
    pretrained = "a model trained elsewhere"


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What ONE example looks like: all that a plug-in may ask about the data.

    `bounded` examples are stored as uint8 in 0..255 and modelled as float32 in [-1, 1]; the others are float32 throughout, but
    for tokens, which are whole numbers throughout. `parts` names the parts of a row that is made of several, such as a pair.
    `rate`, samples a second, says that rows show waves: grids (1, bands, moments of 10 ms); 0 for everything else.
    `sides` says, where the parts of a row are of several kinds, what each is; their values follow each other in it (see `core.sides`).
    """

    kind: Literal["continuous", "tokens"]
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    bounded: bool = True
    parts: tuple[str, ...] = ()
    rate: int = 0
    sides: tuple["Spec", ...] = ()

    def to_model(self, x: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "n ..."]:
        """Stored rows to what networks see: uint8 0..255 becomes float32 in [-1, 1]. Rows of tokens stay as they are."""
        if self.kind == "tokens":
            return x
        return x.float().div_(127.5).sub_(1.0) if self.bounded else x.float()

    def to_store(self, x: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "n ..."]:
        """Inverse of `to_model`; rounds to the nearest stored value and clips to the range."""
        if self.kind == "tokens":
            return x
        if not self.bounded:
            return x.float()
        return x.float().add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "Spec":
        sides = tuple(cls.from_json(side) for side in record.get("sides", ()))
        return cls(**{**record, **{k: tuple(record.get(k, ())) for k in ("shape", "classes", "parts")}, "sides": sides})


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Columns of labelled rows, immutable; what every stage takes and returns.

    x      (n, *shape)  stored values (see `Spec`)
    y      (n,) int64   class index
    maker  (n,) int64   `REAL`, or an index into `makers`
    key    (n,) int64   the real row's id, or the seed that a generator drew the row from
    makers              names of the generators in this set
    z      (n, d) or None   features of `Codec.embed`, carried along so that no row is embedded twice
    group  (n,) int64 or None   subject, site or sensitive attribute, as a code
    unit   (n,) int64 or None   rows with the same number belong together (near duplicates, one group): no fold parts them
    soft   (n, k) or None   of synthetic rows, how much of each class a row counts for: a soft label times a weight, of mean 1 over the rows
    """

    x: Shaped[Tensor, "n ..."]
    y: Int[Tensor, " n"]
    maker: Int[Tensor, " n"]
    key: Int[Tensor, " n"]
    makers: tuple[str, ...] = ()
    z: Float[Tensor, "n d"] | None = None
    group: Int[Tensor, " n"] | None = None
    unit: Int[Tensor, " n"] | None = None
    soft: Float[Tensor, "n k"] | None = None

    @classmethod
    def real(cls, x: Tensor, y: Tensor, key: Tensor | None = None, **columns: Any) -> "Samples":
        """Rows of the dataset; `key` defaults to 0..n-1."""
        key = torch.arange(len(y)) if key is None else key
        return cls(x=x, y=y, maker=torch.full((len(y),), REAL), key=key, **columns)

    @classmethod
    def synthetic(cls, generator: str, x: Tensor, y: Tensor, seeds: Tensor, **columns: Any) -> "Samples":
        """Rows drawn by `generator`, one seed a row."""
        return cls(x=x, y=y, maker=torch.zeros(len(y), dtype=torch.long), key=seeds, makers=(generator,), **columns)

    def __len__(self) -> int:
        return len(self.y)

    def take(self, keep: Tensor | Sequence[int]) -> "Samples":
        """The rows at these positions, or where this mask is true."""
        keep = torch.as_tensor(keep)
        if keep.dtype != torch.bool:
            keep = keep.long()
        cut = {f: getattr(self, f)[keep] for f in ("x", "y", "maker", "key")}
        cut |= {f: v[keep] for f in ("z", "group", "unit", "soft") if (v := getattr(self, f)) is not None}
        return dataclasses.replace(self, **cut)

    def with_features(self, z: Float[Tensor, "n d"]) -> "Samples":
        return dataclasses.replace(self, z=z)

    def __add__(self, other: "Samples") -> "Samples":
        """Rows of both, in order. A column that one side lacks is dropped."""
        makers = tuple(dict.fromkeys(self.makers + other.makers))

        def renumber(s: "Samples") -> Tensor:
            lookup = torch.tensor([makers.index(m) for m in s.makers] + [REAL])
            return lookup[s.maker]

        optional: dict[str, Tensor | None] = {}
        for column in ("z", "group", "unit", "soft"):
            a, b = getattr(self, column), getattr(other, column)
            optional[column] = None if a is None or b is None else torch.cat([a, b])
        return dataclasses.replace(
            self,
            x=torch.cat([self.x, other.x]),
            y=torch.cat([self.y, other.y]),
            maker=torch.cat([renumber(self), renumber(other)]),
            key=torch.cat([self.key, other.key]),
            makers=makers,
            **optional,
        )

    @property
    def units(self) -> Int[Tensor, " n"]:
        """`unit`, or one of its own for every row."""
        return torch.arange(len(self)) if self.unit is None else self.unit

    def counts(self, classes: int) -> Int[Tensor, " k"]:
        """Rows per class."""
        return torch.bincount(self.y, minlength=classes)


@runtime_checkable
class Backbone(Protocol):
    """A pretrained network as a feature extractor: rows in model space in, features out."""

    width: int
    name: str

    @property
    def module(self) -> nn.Module:
        """The network itself, for training and saving."""
        ...

    def features(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        """Differentiable features of rows in model space, in the network's present mode (train or eval)."""
        ...


@runtime_checkable
class Codec(Protocol):
    """The only modality-specific protocol: natives (what people see, read or hear) to stored rows and back."""

    name: ClassVar[str]
    suffix: ClassVar[str]
    """How files of one row end, with the dot."""

    classical: ClassVar[tuple["Classical", ...]]
    """Candidate classical arms, the most promising first."""

    @property
    def pretrained(self) -> bool:
        """Whether its features come from a model that was trained elsewhere."""
        ...

    @property
    def trainable(self) -> bool:
        """Whether `backbone` gives a network that can be trained further."""
        ...

    def encode(self, natives: Sequence[Any]) -> Shaped[Tensor, "n ..."]: ...
    def decode(self, x: Shaped[Tensor, "n ..."]) -> list[Any]: ...
    def files(self, x: Shaped[Tensor, "n ..."], synthetic: Sequence[bool]) -> list[bytes]:
        """Each row as the bytes of a file; synthetic ones carry a machine-readable mark."""
        ...

    def reads(self) -> str:
        """The folder or Hub id of its features' model, "" for what comes with augmind. Raises `UsageError` for a name that can be none."""
        ...

    def embed(self, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n d"]: ...
    def backbone(self, name: str | None = None) -> Backbone: ...
    def tiles(self, x: Shaped[Tensor, "n ..."]) -> UInt8[Tensor, "n h w c"] | None:
        """Each row in 3 or 4 channels of colour, for a sheet that shows many; None where rows are nothing to look at."""
        ...

    def preview(self, x: Shaped[Tensor, "n ..."], beside: Shaped[Tensor, "n ..."] | None = None) -> list[str]:
        """HTML of each row; what the row of `beside` does not have is marked, where rows have parts to mark."""
        ...

    def figures(self, x: Shaped[Tensor, "n ..."], real: Shaped[Tensor, "m ..."]) -> dict[str, float]:
        """Figures of synthetic rows that only this kind of data has, by name; empty if there are none."""
        ...

    def named(self, meanings: Sequence[str]) -> list[tuple[Any, int]]:
        """Natives made of what the classes mean, in words, each with its class; none where words are no rows, or a class has no word."""
        ...

    def variants(self, x: Shaped[Tensor, "n ..."]) -> list[Shaped[Tensor, "n ..."]]:
        """Label-preserving near copies (mirrored, shifted), the first being `x` itself; copy detection looks under them."""
        ...


class Joint(Protocol):
    """What the codec of rows of several sides has besides (`Spec.sides`)."""

    @property
    def codecs(self) -> tuple[Codec, ...]:
        """The codec of each side."""
        ...

    @property
    def widths(self) -> tuple[int, ...]:
        """How many of the features, which follow each other, are of each side."""
        ...


@dataclass(frozen=True, kw_only=True)
class Data:
    """What plug-ins and the search receive. There is no test set in it, so they cannot look at one.

    `pool` holds rows without labels (their `y` means nothing), with features; `key` is their place among all of them. `source` holds rows of a
    related dataset, with features; their classes are others, numbered after those of `spec`. `says` holds, class by class, the texts that are
    spoken in the training rows, where that is known.
    """

    train: Samples
    val: Samples
    spec: Spec
    codec: Codec
    pool: Samples | None = None
    source: Samples | None = None
    says: tuple[tuple[str, ...], ...] = ()

    @property
    def classes(self) -> int:
        return len(self.spec.classes)

    @property
    def widths(self) -> tuple[int, ...]:
        """How many features each side has; none where rows have no sides of several kinds."""
        return cast(Joint, self.codec).widths if self.spec.sides else ()

    def features(self) -> "Data":
        """The same rows with their features as the values: what generators and learners of feature space model."""
        if self.train.z is None:
            raise ValueError("rows have no features yet; call pipeline.embedded first")
        sides = tuple(Spec(kind="continuous", shape=(width,), classes=(), bounded=False) for width in self.widths)
        parts = self.spec.parts if sides else ()
        spec = dataclasses.replace(self.spec, kind="continuous", shape=(self.train.z.shape[1],), bounded=False, parts=parts, sides=sides)
        beside = {name: None if rows is None else as_features(rows) for name, rows in (("pool", self.pool), ("source", self.source))}
        return dataclasses.replace(self, train=as_features(self.train), val=as_features(self.val), spec=spec, **beside)


def as_features(samples: Samples) -> Samples:
    """Rows whose values are their features."""
    if samples.z is None:
        raise ValueError("rows have no features")
    return dataclasses.replace(samples, x=samples.z)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A plug-in by name with its settings: plain JSON."""

    name: str
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        inside = ", ".join(f"{k}={v}" for k, v in sorted(self.settings.items()) if not isinstance(v, dict))
        return f"{self.name}({inside})" if inside else self.name


@dataclass(frozen=True, kw_only=True)
class Classical:
    """One classical arm: a transform of each row, a mixing of rows, a treatment of imbalance, and what the class names are used for.

    names  "beside": rows made of the class names (`Codec.named`) are learnt beside the real ones; "alone": instead of them (zero-shot)
    """

    name: str
    transform: Choice = Choice(name="none")
    mixing: Choice = Choice(name="none")
    balance: Literal["none", "weights", "oversample", "logit_adjustment"] = "none"
    names: Literal["none", "beside", "alone"] = "none"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """All that a search decides; plain JSON.

    `ratio` is synthetic rows per real row; `share` is the part of every training batch that is synthetic; `source`: a related dataset is learnt
    from first, and beside (decision 0011). `weigh` names the screen whose score is the weight of a synthetic row, "" for none; `soft`: the part of a
    synthetic row's label that is what the judges of label agreement take it for (decision 0013). `believed`: of rows that got a label all are taught,
    the doubtful ones too, each by what is believed of it (decision 0010).
    """

    learner: Choice
    classical: Classical
    generators: tuple[Choice, ...] = ()
    screens: tuple[Choice, ...] = ()
    transfer: Choice = Choice(name="mix")
    ratio: float = 1.0
    share: float = 0.25
    source: bool = False
    weigh: str = ""
    soft: float = 0.0
    believed: bool = False

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, r: dict[str, Any]) -> "Policy":
        def choice(c: dict[str, Any]) -> Choice:
            return Choice(**c)

        classical = r["classical"]
        return cls(
            learner=choice(r["learner"]),
            classical=Classical(
                name=classical["name"],
                transform=choice(classical["transform"]),
                mixing=choice(classical["mixing"]),
                balance=classical["balance"],
                names=classical.get("names", "none"),
            ),
            generators=tuple(choice(c) for c in r["generators"]),
            screens=tuple(choice(c) for c in r["screens"]),
            transfer=choice(r["transfer"]),
            ratio=r["ratio"],
            share=r["share"],
            source=r.get("source", False),
            weigh=r.get("weigh", ""),
            soft=r.get("soft", 0.0),
            believed=r.get("believed", False),
        )
