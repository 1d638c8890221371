"""Parameters carried from one network to another of the same form: the body as it is, the head class by class."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from augmind.core.errors import UsageError, unknown

Rows = dict[int, list[int]]
"""For a new class the old classes whose rows of the head it takes over."""


def label_map(labels: str, old: tuple[str, ...], new: tuple[str, ...]) -> Rows:
    """Which old classes each new class takes over: "old=new, old2=new2" by their names; names that stand on both sides map by themselves.

    A name that is written in `labels` maps only as it says there. Several old names may map to one new name, and one old name to
    several. Names that hold "=" or "," cannot be written. Raises `UsageError`.
    """
    said = [tuple(part.strip() for part in pair.split("=")) for pair in labels.split(",") if pair.strip()]
    for pair in said:
        if len(pair) != 2:
            raise UsageError(f"labels: '{'='.join(pair)}' is no pair of names", help="write old=new, pairs apart by commas")
        for name, known, side in zip(pair, (old, new), ("start", "data"), strict=True):
            if name not in known:
                raise unknown(f"class of the {side} in labels", name, known)
    spoken = ({pair[0] for pair in said}, {pair[1] for pair in said})
    same = [(name, name) for name in new if name in old and name not in spoken[0] and name not in spoken[1]]
    out: Rows = {}
    for a, b in (*said, *same):
        out.setdefault(new.index(b), []).append(old.index(a))
    return out


def graft(own: Float[Tensor, "k ..."], given: Float[Tensor, "j ..."], rows: Rows) -> Float[Tensor, "k ..."]:
    """The head's rows with those of mapped classes replaced by the old rows, several by their mean."""
    out = own.clone()
    for new, old in rows.items():
        out[new] = given[old].mean(0)
    return out


def narrowed(head: nn.Linear, classes: int) -> nn.Linear:
    """The head of the first classes alone: its probabilities are those of the whole one, given that it is one of these."""
    out = nn.Linear(head.in_features, classes, device="meta")
    out.weight, out.bias = nn.Parameter(head.weight.detach()[:classes].clone()), nn.Parameter(head.bias.detach()[:classes].clone())
    return out


def transplant(own: Mapping[str, Tensor], given: Mapping[str, Tensor], name: str, channels: tuple[int, int] = (0, 0)) -> dict[str, Tensor]:
    """The tensors of `given`, made to fit those of `own`; `name` says in errors whose they are.

    Only the number of input channels may differ, `channels` says (there, here): see `rechannelled`. Raises `UsageError` for
    a tensor that is not in both or has another shape.
    """
    for k in (*given, *own):
        if k not in given or k not in own:
            side = "this network lacks" if k in given else "the file lacks"
            raise UsageError(f"cannot start from '{name}': {side} '{k}'", help=HELP)
    out: dict[str, Tensor] = {}
    for k, v in given.items():
        there, here = tuple(v.shape), tuple(own[k].shape)
        if there != here and len(there) > 2 and (there[1], here[1]) == channels and there[:1] + there[2:] == here[:1] + here[2:]:
            out[k] = rechannelled(v, here[1])
        elif there != here:
            raise UsageError(f"cannot start from '{name}': '{k}' is {there} there and {here} here", help=HELP)
        else:
            out[k] = v.clone()
    return out


HELP = "give this learner the settings of the one that was saved, or another start"


def rechannelled(weight: Float[Tensor, "d c ..."], channels: int) -> Float[Tensor, "d e ..."]:
    """The first convolution for another number of channels: the mean over the old ones, repeated and scaled.

    A grid whose channels are all alike gets the answer that it got before.
    """
    mean = weight.mean(1, keepdim=True) * (weight.shape[1] / channels)
    return torch.cat([mean] * channels, 1)
