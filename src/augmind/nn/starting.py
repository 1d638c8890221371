"""Learners that may begin where another one ended: parameter transfer from a saved model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from augmind.core.errors import AugmindError, UsageError
from augmind.core.feed import Feed
from augmind.core.plugin import Learner
from augmind.core.tensors import load_tensors, tensor_meta
from augmind.core.types import Knowledge, Spec

from .transplant import Rows, graft, label_map, transplant

HEAD, OWN = ("head.weight", "head.bias"), ("mean", "sd")
"""Tensors that go class by class; those that every dataset sets for itself."""


@dataclass(frozen=True, kw_only=True)
class Donor:
    """A saved learner: its tensors, settings and spec, and for each new class the old ones that it takes over."""

    path: str
    state: dict[str, Tensor]
    settings: dict[str, Any]
    spec: Spec
    rows: Rows


@dataclass(kw_only=True)
class Starting(Learner):
    """`start` is the `model.safetensors` of a learner of the same kind, taught on other rows; its body and the head's rows of
    classes that map (see `nn.transplant.label_map`) are where the training begins. `labels`: "old=new, old2=new2".

    What such a learner knows comes from `Knowledge.source` too.
    """

    borrows: ClassVar[bool] = True

    start: str = ""
    labels: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels and not self.start:
            raise UsageError(f"{self.name()}: labels={self.labels!r} without a start", help="labels says how the classes of `start` are called here")

    @property
    def knows(self) -> frozenset[Knowledge]:
        """Where what it knows comes from."""
        return frozenset({self.knowledge, Knowledge.source} if self.start else {self.knowledge})

    def donor(self, feed: Feed) -> Donor | None:
        """The learner to start from: what was begun on a related dataset, else a saved one. Raises `UsageError` where it cannot serve."""
        if feed.begun is not None:
            first = len(feed.spec.classes)
            rows = {k: [k - first] for k in range(first, feed.outputs)}
            return Donor(path="the related dataset", state=feed.begun, settings=self.settings(), spec=feed.spec, rows=rows)
        return opened(self.start, self.name(), self.labels, feed.spec) if self.start else None


def carried(own: dict[str, Tensor], donor: Donor, spec: Spec) -> dict[str, Tensor]:
    """The tensors of a new network with the body of the old one, and its rows of the head for classes that map."""
    bodies = [{k: v for k, v in s.items() if k not in (*HEAD, *OWN)} for s in (own, donor.state)]
    body = transplant(bodies[0], bodies[1], donor.path, channels=(donor.spec.shape[0], spec.shape[0]))
    return own | body | {k: graft(own[k], donor.state[k], donor.rows) for k in HEAD}


def opened(path: str, learner: str, labels: str, spec: Spec) -> Donor:
    advice = "give the model.safetensors of a finished run"
    if not Path(path).is_file():
        raise UsageError(f"start: there is no file '{path}'", help=advice)
    try:
        state, meta = load_tensors(Path(path)), tensor_meta(Path(path))
    except AugmindError as error:
        raise UsageError(f"start: '{path}' is no file of tensors that can be read", help=advice) from error
    if "learner" not in meta or "spec" not in meta:
        raise UsageError(f"start: '{path}' does not say which learner it is", help=advice)
    if meta["learner"]["name"] != learner:
        raise UsageError(f"start: '{path}' was learnt by '{meta['learner']['name']}', not by '{learner}'", help="start the same learner from it")
    old = Spec.from_json(meta["spec"])
    if len(old.parts) != len(spec.parts):
        raise UsageError(f"start: '{path}' was learnt on rows of {max(1, len(old.parts))} parts, not of {max(1, len(spec.parts))}", help=advice)
    return Donor(path=path, state=state, settings=meta["learner"]["settings"], spec=old, rows=label_map(labels, old.classes, spec.classes))
