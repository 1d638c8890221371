"""VGG (arXiv:1409.1556), with or without batch norms, from the safetensors of a repository in the format of timm."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from augmind.nn.published import Published

from .prepare import MEAN, SD, to_colour, to_size, to_statistics

WEIGHTS, BODY = "model.safetensors", "features."


class Vgg:
    """Global average of the last map; the fully connected layers above it, nine tenths of the published weights, are not read.

    The form of the network is read from the names of its tensors. Raises `MachineError` for a model that is not on this
    machine or has another form.
    """

    def __init__(self, published: Published, pixels: int = 0) -> None:
        self.name = f"{published.model}@{pixels}" if pixels else published.model
        self.module = opened(published)
        says = published.says().get("pretrained_cfg", {})
        self.mean, self.sd = tuple(says.get("mean", MEAN)), tuple(says.get("std", SD))
        self.pixels: int = pixels or says.get("input_size", [3, 224, 224])[1]
        self.width = len(list(self.module.parameters())[-1])

    def features(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        x = to_size(to_colour(x), self.pixels, self.pixels)
        return self.module(to_statistics(x, self.mean, self.sd)).mean((2, 3)).float()


def opened(published: Published) -> nn.Sequential:
    """The convolutional part with its weights, trainable, in eval mode."""
    from safetensors import SafetensorError, safe_open

    path = published.file(WEIGHTS)
    if path is None:
        raise published.missing(FileNotFoundError(f"no {WEIGHTS}"))
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {k.removeprefix(BODY): file.get_tensor(k) for k in file.keys() if k.startswith(BODY)}  # noqa: SIM118
        return stacked(tensors).eval()
    except (SafetensorError, ValueError, RuntimeError) as error:
        raise published.missing(error) from error


def stacked(tensors: dict[str, Tensor]) -> nn.Sequential:
    """The network whose tensors are called so: each convolution, its norm if any, a ReLU, and max-pooling where a number is left out.

    Raises `ValueError` or `RuntimeError` where they do not make such a network.
    """
    places = [int(k.removesuffix(".weight")) for k in tensors if k.endswith(".weight")]
    if not places:
        raise ValueError(f"no tensor is called {BODY}0.weight")
    net = nn.Sequential()
    with torch.device("meta"):
        for place in range(max(places) + 3):
            weight = tensors.get(f"{place}.weight")
            if weight is None:
                net.append(nn.MaxPool2d(2) if net and isinstance(net[-1], nn.ReLU) else nn.ReLU(inplace=True))
            elif weight.ndim == 4:
                net.append(nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1))
            else:
                net.append(nn.BatchNorm2d(len(weight)))
                tensors = {f"{place}.num_batches_tracked": torch.tensor(0)} | tensors
    net.load_state_dict(tensors, assign=True)
    return net.requires_grad_()
