"""Any picture backbone that transformers can open, by Hub id or folder: ResNet, ViT, DINOv2, ConvNeXt and their like."""

import inspect
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from augmind.nn.published import Published

from .prepare import MEAN, SD, to_colour, to_size, to_statistics

FILE = "preprocessor_config.json"
STRETCH = "interpolate_pos_encoding"
"""The argument of models that take other sizes than their own only when they are told."""


class HubBackbone:
    """The pooled output where the model was trained with one, else the class token, else the mean over places.

    Raises `MachineError` for a model that is not on this machine or cannot be opened.
    """

    def __init__(self, published: Published, pixels: int = 0) -> None:
        self.name = f"{published.model}@{pixels}" if pixels else published.model
        self.module = published.opened()
        says = published.says(FILE)
        self.mean, self.sd = tuple(says.get("image_mean") or MEAN), tuple(says.get("image_std") or SD)
        own = side(getattr(self.module.config, "image_size", None))
        self.pixels = pixels or side(says.get("crop_size")) or side(says.get("size")) or own or 224
        stretched = own != self.pixels and STRETCH in inspect.signature(self.module.forward).parameters
        self.options = {STRETCH: True} if stretched else {}
        with torch.inference_mode():
            self.width: int = self.features(torch.zeros(1, 3, self.pixels, self.pixels)).shape[1]

    def features(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        x = to_size(to_colour(x), self.pixels, self.pixels)
        out = self.module(pixel_values=to_statistics(x, self.mean, self.sd), **self.options)
        pooled = getattr(out, "pooler_output", None)
        if pooled is not None:
            return pooled.flatten(1).float()
        last = out.last_hidden_state
        if last.ndim == 4:
            return last.mean((2, 3)).float()
        has_class_token = hasattr(getattr(self.module, "embeddings", None), "cls_token")
        return (last[:, 0] if has_class_token else last.mean(1)).float()


def side(size: Any) -> int:
    """The side of a square input in pixels from any of the ways models write it; 0 if they do not."""
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge")
    if isinstance(size, list | tuple):
        size = size[0] if size else 0
    return int(size or 0)
