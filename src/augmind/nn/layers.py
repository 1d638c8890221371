"""The layers of any network in their order, and how deep fine-tuning goes: rates that fall with depth, layers released one by one."""

from collections.abc import Iterator

from torch import nn

Layer = list[nn.Parameter]


def layers(net: nn.Module) -> list[Layer]:
    """The parameters of a network as layers, from the input to the output; every parameter is in exactly one.

    A layer is an element of the network's outermost `ModuleList` or `Sequential` (a residual or transformer block, a stage, a
    convolution), or a part beside it (a stem, an embedding, a pooler). Parts of vectors alone, such as norms, belong to the layer
    before them; parameters of no part to the first.
    """
    found: list[Layer] = [[]]
    seen: set[int] = set()
    for part in parts(net):
        own = [p for p in part.parameters() if id(p) not in seen]
        seen |= {id(p) for p in own}
        if found[-1] and any(p.ndim > 1 for p in own):
            found.append([])
        found[-1] += own
    found[0] = [p for p in net.parameters() if id(p) not in seen] + found[0]
    return [layer for layer in found if layer]


def parts(net: nn.Module) -> Iterator[nn.Module]:
    """The modules that `layers` tells apart, in the order in which they were defined."""
    for child in net.children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            yield from child
        elif any(isinstance(m, nn.ModuleList | nn.Sequential) for m in child.modules()):
            yield from parts(child)
        else:
            yield child


def discounted(stack: list[Layer], rate: float, decay: float) -> list[dict[str, object]]:
    """Optimiser groups: the top layer learns at `rate`, each one below it at `decay` times the rate of the one above (arXiv:1801.06146)."""
    return [{"params": layer, "lr": rate * decay**depth} for depth, layer in enumerate(reversed(stack))]


def release(stack: list[Layer], t: int, steps: int, unfreeze: float) -> None:
    """Lets those layers learn that are free at step t (arXiv:1801.06146): a function of t alone, so a training can be resumed.

    None for the first `unfreeze` of the steps; the others fall into one equal stage a layer, and each stage frees the next
    layer from the top. 0: all are free from the first step.
    """
    free = released(len(stack), t, steps, unfreeze)
    for depth, layer in enumerate(reversed(stack)):
        for parameter in layer:
            parameter.requires_grad_(depth < free)


def released(layers: int, t: int, steps: int, unfreeze: float) -> int:
    """How many layers are free at step t."""
    begun, rest = t - unfreeze * steps, (1 - unfreeze) * steps
    if not unfreeze:
        return layers
    return 0 if begun < 0 else min(layers, int(begun / rest * layers) + 1)
