"""Low-rank adapters (LoRA, arXiv:2106.09685): a large network is bent by a few small matrices while its own weights stay."""

from torch import Tensor, nn

from augmind.core.errors import UsageError

ADAPTER = "lora_"
"""Stands in the name of every tensor of an adapter."""


def adapt(net: nn.Module, rank: int) -> nn.Module:
    """Puts an adapter of this rank, which at first changes nothing, into every linear layer and ungrouped convolution; the rest is frozen.

    The network is changed in place. The initial values come from torch's global random state. Raises `UsageError` where
    nothing fits.
    """
    names = [name for name, part in net.named_modules() if fits(part)]
    if not names:
        raise UsageError(f"lora={rank}: '{type(net).__name__}' has no layer that an adapter fits", help="lora=0 trains all of it")
    return put_into(net, rank, names)


def put_into(net: nn.Module, rank: int, names: list[str]) -> nn.Module:
    """`adapt`, in the layers of these names alone."""
    from peft import LoraConfig, inject_adapter_in_model

    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=names), net)
    return net


def fits(part: nn.Module) -> bool:
    """A subclass may compute something else, so only the layers themselves."""
    return type(part) is nn.Linear or (type(part) is nn.Conv2d and part.groups == 1)


def adapters(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of adapters among those of a network."""
    return {k: v for k, v in state.items() if ADAPTER in k}
