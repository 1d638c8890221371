"""Any picture backbone that transformers can open, by Hub id or folder: ResNet, ViT, DINOv2, ConvNeXt and their like."""

import inspect
import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from augmind.core.seeds import seeded

from .files import located, missing
from .prepare import MEAN, SD, to_colour, to_size, to_statistics

FILE = "preprocessor_config.json"
STRETCH = "interpolate_pos_encoding"
"""The argument of models that take other sizes than their own only when they are told."""
INDEX = "model.safetensors.index.json"


class HubBackbone:
    """The pooled output where the model was trained with one, else the class token, else the mean over places.

    Only safetensors are read and no code from the model's folder is run. The network is used only where `download` is
    true. Raises `MachineError` for a model that is not on this machine.
    """

    def __init__(self, model: str, pixels: int = 0, *, download: bool = False) -> None:
        self.name = f"{model}@{pixels}" if pixels else model
        self.module, config = opened(model, download)
        says = preprocessing(model, download)
        self.mean, self.sd = tuple(says.get("image_mean") or MEAN), tuple(says.get("image_std") or SD)
        own = side(getattr(config, "image_size", None))
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


def opened(model: str, download: bool) -> tuple[nn.Module, Any]:
    """The network in eval mode and float32, and its configuration. A pooler that the file has no weights for is left out."""
    if not download and located(model, "config.json") is None:
        raise missing(model, FileNotFoundError("no config.json"))
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModel

    where: dict[str, Any] = {"local_files_only": not download, "trust_remote_code": False}
    try:
        demand_safetensors(model, download)
        config = AutoConfig.from_pretrained(model, **where)
        with seeded(0):
            net, told = AutoModel.from_pretrained(model, config=config, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **where)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise missing(model, error) from error
    absent = {key for key in told["missing_keys"] if not key.startswith("pooler.")}
    if absent:
        raise missing(model, ValueError(f"its weights lack {min(absent)}"))
    if told["missing_keys"]:
        net.pooler = None
    return net.eval(), config


def demand_safetensors(model: str, download: bool) -> None:
    """Raises `ValueError` where the index of weights in parts names files of another kind: those would be read as pickles."""
    index = read(model, INDEX, download)
    parts = index.get("weight_map", {}) if isinstance(index, dict) else None
    if not isinstance(parts, dict) or not all(str(name).endswith(".safetensors") for name in parts.values()):
        raise ValueError(f"{INDEX} names files that are not safetensors")


def preprocessing(model: str, download: bool) -> dict[str, Any]:
    """What the model says about its input; empty if it says nothing."""
    return read(model, FILE, download)


def read(model: str, file: str, download: bool) -> Any:
    """A JSON file of a model; empty if it has none."""
    from transformers.utils.hub import cached_file

    found = cached_file(model, file, local_files_only=not download, _raise_exceptions_for_missing_entries=False)
    return json.loads(Path(found).read_text("utf-8")) if found else {}


def side(size: Any) -> int:
    """The side of a square input in pixels from any of the ways models write it; 0 if they do not."""
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge")
    if isinstance(size, list | tuple):
        size = size[0] if size else 0
    return int(size or 0)
