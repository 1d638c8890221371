"""The policy that a run recommends, as an augmentation for any PyTorch training.

    policy = augmind.load_policy("runs/data", seed=0)
    loader = DataLoader(dataset, batch_size=64, shuffle=True, collate_fn=policy.collate)

or row by row inside a Dataset: `row = policy(row)`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn.functional import one_hot
from torch.utils.data import default_collate, get_worker_info

from .core.errors import UsageError
from .core.plugin import Transform
from .core.registry import make
from .core.seeds import stable_seed
from .core.types import Policy, Spec
from .data.natives import is_native, to_bytes, to_native, to_row, to_texts

BYTE = 255.0
TEXTS = Spec(kind="tokens", shape=(1,), classes=(), bounded=False)
ABOVE_ONE = 2.0
"""Floats with no value above this are taken as 0..1, others as 0..255."""
SLACK = 0.25
"""Values that overshot their range in a resize, by up to so much below 0 or this part of it above, are clipped; others were standardised."""


def load_policy(path: str | Path | dict[str, Any], *, seed: int = 0, classes: int | None = None) -> "PolicyTransform":
    """The policy in a run folder, in a `policy.json` or in a dict of its content.

    `classes` is how many classes there are, for soft labels; a run folder knows it. Raises `UsageError` for anything else.
    """
    if isinstance(path, dict):
        return PolicyTransform(parsed(path, "the dict"), seed=seed, classes=classes, texts=of_texts(path), rate=rate_of(path))
    if not isinstance(path, str | Path):
        raise UsageError(f"a policy is read from a path or a dict, not from {type(path).__name__}", help="give a run folder or its policy.json")
    file = Path(path) / "policy.json" if Path(path).is_dir() else Path(path)
    if not file.is_file():
        unfinished = (file.parent / "config.json").is_file()
        known = f"finish the run first: augmind resume {file.parent}" if unfinished else "give a finished run folder or its policy.json"
        raise UsageError(f"'{path}' holds no policy", help=known)
    plan, record = file.with_name("plan.json"), read(file)
    if classes is None and plan.is_file():
        classes = int(read(plan)["classes"])
    return PolicyTransform(parsed(record, f"'{file}'"), seed=seed, classes=classes, texts=of_texts(record), rate=rate_of(record))


def of_texts(record: Any) -> bool:
    """Whether this is the policy of a run on texts."""
    return isinstance(record, dict) and record.get("rows") == "texts"


def rate_of(record: Any) -> int:
    """Samples a second of the sounds that a policy is of; 0 for a policy of other rows."""
    found = record.get("rate", 0) if isinstance(record, dict) else 0
    return found if isinstance(found, int) else 0


def read(file: Path) -> Any:
    """The content of a JSON file. Raises `UsageError` for another file."""
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"'{file}' cannot be read as JSON: {error}", help="give a finished run folder or its policy.json") from error


def parsed(record: Any, where: str) -> Policy:
    """A policy from JSON. Raises `UsageError` for other content."""
    wrong = UsageError(f"{where} is not a policy of augmind", help="give a finished run folder or its policy.json")
    if not isinstance(record, dict):
        raise wrong
    if record.get("task") == "translation":
        text = f"{where} says how to make pairs of texts and translations, which is no transform of rows"
        raise UsageError(text, help="augmind export writes the pairs that it made")
    try:
        return Policy.from_json(record)
    except (KeyError, TypeError) as error:
        raise wrong from error


def buildable(record: Any, where: str) -> Policy:
    """A policy all of whose plug-ins and numbers are allowed. Raises `UsageError` that names where it came from."""
    policy = parsed(record, where)
    c = policy.classical
    parts = [("learners", policy.learner), ("transforms", c.transform), ("mixing", c.mixing), ("transfers", policy.transfer)]
    try:
        for kind, choice in [*parts, *(("generators", g) for g in policy.generators), *(("screens", s) for s in policy.screens)]:
            make(kind, choice)
        if not 0 <= float(policy.share) < 1 or float(policy.ratio) < 0:
            raise UsageError(f"share={policy.share} and ratio={policy.ratio} are not allowed")
        if not 0 <= float(policy.soft) <= 1 or not isinstance(policy.weigh, str) or not isinstance(policy.believed, bool):
            raise UsageError(f"weigh={policy.weigh!r}, soft={policy.soft} and believed={policy.believed!r} are not allowed")
    except (UsageError, TypeError, ValueError) as error:
        raise UsageError(f"{where} is no policy that can be made here: {error}", help="give another finished run") from error
    return policy


LEAST_BANDS = 8
"""Of a row of a sound."""


class PolicyTransform:
    """The classical part of a policy: a transform of every row, then a mixing of the rows of a batch.

    `policy(x, y)` takes a batch (n, channels, height, width) of bytes, of floats 0..1 or of floats 0..255, or a list of rows;
    it gives the same type, range, dtype and device back, and y as soft labels (n, classes) where the policy mixes, else as it
    came. `policy(x)`, for a batch, a list or one row, transforms only, as mixing concerns labels; `policy.mix(x, y)` does
    that alone. A row is a tensor (channels, height, width) or what PIL opens. Floats have to come before they are standardised.

    Every call draws anew: the draw is a function of `seed` and of the number of the call. In a worker of a DataLoader it also
    depends on the worker's seed, which the loader draws for each epoch from its `generator` (torch's global one by default),
    so neither workers nor epochs repeat each other; a loader with a seeded generator repeats the whole training.

    Of a policy of `texts` rows are strings, or pairs (tuples) of them: one, a list, or what a loader makes of them. Where it mixes features,
    `policy.mix(z, y)` does that, and `policy(x)` does not. Of a policy of sounds rows are grids (1, bands, columns), as `augmind.load`
    makes them.

    What a policy says beyond that is not done here; `left_out` lists it.
    """

    def __init__(self, policy: Policy, *, seed: int = 0, classes: int | None = None, texts: bool = False, rate: int = 0) -> None:
        self.policy, self.seed, self.classes, self.texts, self.rate, self.calls = policy, seed, classes, texts, rate, 0
        self.transform: Transform = make("transforms", policy.classical.transform)
        self.mixing: Transform = make("mixing", policy.classical.mixing)

    @property
    def transforms(self) -> bool:
        return self.policy.classical.transform.name != "none"

    @property
    def mixes(self) -> bool:
        return self.policy.classical.mixing.name != "none"

    @property
    def mixes_features(self) -> bool:
        """Whether what is mixed are features, as texts themselves cannot be."""
        return self.mixes and self.texts and bool(self.mixing.refuses(TEXTS))

    @property
    def left_out(self) -> tuple[str, ...]:
        """What of the policy has to come from elsewhere, in words."""
        from .shards import made_by

        p = self.policy
        out = [f"the learner ({p.learner.name})"]
        if p.generators:
            names = ", ".join(g.name for g in p.generators)
            out.append(f"the {made_by([g.name for g in p.generators])} rows ({names}; {p.share:.0%} of every batch), which `augmind export` writes")
        if p.believed:
            out.append("the other rows of the pool, taught with what its labeller believes of each")
        if p.weigh or p.soft:
            out.append("the weights and soft labels of synthetic rows")
        if self.mixes_features:
            out.append(f"the mixing of features ({p.classical.mixing}), which policy.mix(z, y) does")
        if p.transfer.name != "mix":
            out.append(f"the transfer of synthetic rows ({p.transfer})")
        if p.source:
            out.append("what the related dataset lends (the learner learns from it first, and beside)")
        if p.classical.names != "none":
            out.append("rows made of the class names" + (" instead of real ones" if p.classical.names == "alone" else ""))
        if p.classical.balance != "none":
            out.append(f"the treatment of imbalance ({p.classical.balance})")
        return tuple(out)

    def __repr__(self) -> str:
        c = self.policy.classical
        done = ", then ".join(str(x) for x in (c.transform, c.mixing) if x.name != "none") or "rows stay as they are"
        return f"<augmind policy: {done}; seed {self.seed}. Not part of it: {'; '.join(self.left_out)}>"

    def __call__(self, x: Any, y: Any = None) -> Any:
        """Rows, or (rows, labels) where labels are given; see the class. Raises `UsageError` for rows and labels of other kinds."""
        if self.rate and not is_grid(x):
            text = "this policy is of sounds and takes rows (1, bands, columns), not waves"
            raise UsageError(text, help="augmind.load(FOLDER).samples.x holds those of files")
        draw, labels = self._draw(), y if self.mixes and not self.mixes_features else None
        if self.texts:
            rows, soft = self._texts(x, labels, draw)
        elif isinstance(x, Tensor) and x.ndim in (2, 4):
            rows, soft = self._batch(x, labels, draw)
        elif isinstance(x, list | tuple):
            rows, soft = self._rows(x, labels, draw)
        else:
            found, soft = self._rows([x], None if labels is None else torch.as_tensor(labels)[None], draw)
            rows, soft = found[0], None if soft is None else soft[0]
        if y is None:
            return rows
        return rows, y if soft is None else soft

    def mix(self, x: Float[Tensor, "n ..."], y: Tensor) -> tuple[Tensor, Tensor]:
        """Mixing alone, of a batch of floats at any scale whose rows went through `policy(row)` before."""
        draw = self._draw()
        if not self.mixes:
            return x, y
        out, soft = self.mixing.apply(x.float().cpu(), self._labels(y, len(x)).cpu(), stable_seed(draw, "mixing"))
        return out.to(x), soft.to(y.device)

    def collate(self, rows: Sequence[Any]) -> Any:
        """A `collate_fn`: torch's own, then this policy on the first two columns (rows and labels), or on the only one."""
        batch = default_collate(list(rows))
        if isinstance(batch, Tensor) or (self.texts and all(isinstance(row, str) for row in batch)):
            return self(batch)
        if not isinstance(batch, list | tuple) or len(batch) < 2 or not isinstance(batch[0], list | tuple if self.texts else Tensor):
            text = f"the dataset gives {type(batch).__name__}, not rows or (row, label, ...)"
            raise UsageError(text, help="collate it in a function of your own that calls policy(x, y)")
        changed = (*self(batch[0], batch[1]), *batch[2:])
        return type(batch)(*changed) if hasattr(batch, "_fields") else type(batch)(changed)

    def _draw(self) -> int:
        """The seed of the next call."""
        worker = get_worker_info()
        self.calls += 1
        return stable_seed(self.seed, "policy", "" if worker is None else worker.seed, self.calls)

    def _labels(self, y: Any, rows: int) -> Float[Tensor, "n k"]:
        """Soft labels of class indices, one for each row; soft ones stay."""
        y = torch.as_tensor(y)
        if y.ndim and len(y) != rows:
            raise UsageError(f"there are {rows} rows and {len(y)} labels", help="give one label for each row")
        if y.ndim == 2 and y.is_floating_point():
            return y.float()
        if y.ndim != 1 or y.is_floating_point() or y.is_complex():
            raise UsageError(
                f"labels of shape {tuple(y.shape)} and type {y.dtype} cannot be mixed", help="give class indices (n,) or soft labels (n, k)"
            )
        if self.classes is None:
            raise UsageError("this policy mixes rows, and nothing says how many classes there are", help="load_policy(path, classes=10)")
        if len(y) and not 0 <= int(y.min()) <= int(y.max()) < self.classes:
            text = f"labels {int(y.min())} to {int(y.max())} do not fit {self.classes} classes"
            raise UsageError(text, help=f"number the classes from 0 to {self.classes - 1}, or give load_policy(path, classes=...)")
        return one_hot(y.long(), self.classes).float()

    def _texts(self, x: Any, y: Any, draw: int) -> tuple[Any, Tensor | None]:
        """Texts transformed and, where there are labels, mixed, with their soft labels."""
        one = isinstance(x, str)
        rows: list[Any] = [x] if one else list(x) if isinstance(x, list | tuple) else [None]
        if not all(isinstance(side, str) for row in rows for side in (row if isinstance(row, tuple) else (row,))):
            raise UsageError(f"this policy is of texts and takes strings, not {type(x).__name__}", help="give a string, a list of them, or of pairs")
        labels = None if y is None else self._labels(torch.as_tensor(y)[None] if one else y, len(rows))
        if not rows or (not self.transforms and labels is None):
            return x, None
        none = torch.zeros(len(rows), 1)
        out, soft = self.transform.apply(to_bytes(rows), none if labels is None else labels, stable_seed(draw, "transform"))
        if labels is not None:
            out, soft = self.mixing.apply(out, soft, stable_seed(draw, "mixing"))
        told = to_texts(out, rows)
        soft = None if labels is None else soft
        return (told[0], None if soft is None else soft[0]) if one else (told, soft)

    def _batch(self, x: Shaped[Tensor, "n ..."], y: Any, draw: int) -> tuple[Tensor, Tensor | None]:
        """A batch transformed and, where there are labels, mixed, with its soft labels."""
        if (not self.transforms and y is None) or not len(x):
            return x, None
        limit, soft = high(x), None if y is None else self._labels(y, len(x))
        spec = Spec(kind="continuous", shape=tuple(x.shape[1:]), classes=(), rate=self.rate)
        self.transform.require(spec)
        self.mixing.require(spec)
        none = torch.zeros(len(x), 1)
        rows, mixed = self.transform.apply(to_model(x.cpu(), limit), none if soft is None else soft.cpu(), stable_seed(draw, "transform"))
        if soft is None:
            return from_model(rows, limit, x), None
        rows, mixed = self.mixing.apply(rows, mixed, stable_seed(draw, "mixing"))
        return from_model(rows, limit, x), mixed.to(soft.device)

    def _rows(self, x: Sequence[Any], y: Any, draw: int) -> tuple[list[Any], Tensor | None]:
        """A list of rows, as `_batch`; rows of several sizes are transformed one by one."""
        for row in x:
            if not isinstance(row, Tensor) and not is_native(row):
                text = f"a policy takes tensors, what PIL opens, or lists of them, not {type(row).__name__}"
                raise UsageError(text, help="give a batch (n, channels, height, width)")
        rows, soft = [row if isinstance(row, Tensor) else to_row(row) for row in x], None
        if len({(row.shape, row.dtype) for row in rows}) == 1:
            batch, soft = self._batch(torch.stack(rows), y, draw)
            rows = list(batch)
        elif y is None:
            rows = [self._batch(row[None], None, stable_seed(draw, i))[0][0] for i, row in enumerate(rows)]
        else:
            raise UsageError("rows of several sizes cannot be mixed", help="bring them to one size first")
        return [to_native(row) if is_native(old) else row for row, old in zip(rows, x, strict=True)], soft


def is_grid(x: Any) -> bool:
    """Whether a batch, a list of rows or one row is of grids (1, bands, columns) rather than waves."""
    row = x[0] if (isinstance(x, list | tuple) and x) or (isinstance(x, Tensor) and x.ndim == 4 and len(x)) else x
    if not isinstance(row, Tensor):
        return isinstance(row, list | tuple)
    return row.ndim > 3 or (row.ndim == 3 and len(row) == 1 and row.shape[1] >= LEAST_BANDS)


def high(x: Tensor) -> float:
    """The upper end of the range of a batch. Raises `UsageError` where it is neither bytes nor floats 0..1 or 0..255."""
    if x.dtype == torch.uint8:
        return BYTE
    if not x.is_floating_point():
        raise UsageError(f"rows of type {x.dtype} cannot be augmented", help="give bytes (torch.uint8) or floats")
    low, top = float(x.min()), float(x.max())
    limit = 1.0 if top <= ABOVE_ONE else BYTE
    if not -SLACK <= low <= top <= (1 + SLACK) * BYTE:
        text = f"rows have values from {low:.3g} to {top:.3g}; a policy takes 0..1 or 0..255"
        raise UsageError(text, help="apply the policy before the rows are standardised, or clip them")
    return limit


def to_model(x: Shaped[Tensor, "n ..."], limit: float) -> Float[Tensor, "n ..."]:
    """Rows in 0..limit to -1..1."""
    return (x.float() / (limit / 2) - 1).clamp_(-1, 1)


def from_model(x: Float[Tensor, "n ..."], limit: float, like: Tensor) -> Tensor:
    """The inverse of `to_model`, of the type and on the device of `like`."""
    x = (x + 1) * (limit / 2)
    return (x.round().clamp(0, BYTE) if like.dtype == torch.uint8 else x).to(like)
