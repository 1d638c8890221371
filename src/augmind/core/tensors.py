"""Named tensors in files: safetensors, which hold no code."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from .store import atomic_write, damaged_file


def save_tensors(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any] | None = None) -> None:
    """Named tensors as one safetensors file; `meta` travels in its header as JSON."""
    from safetensors.torch import save

    header = {"augmind": json.dumps(meta or {}, default=str)}
    atomic_write(path, save({k: v.detach().contiguous().cpu() for k, v in tensors.items()}, metadata=header))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Raises `AugmindError` for a damaged file; never runs code from it."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise damaged_file(path, error) from error


def tensor_meta(path: Path) -> dict[str, Any]:
    """Raises `AugmindError` for a damaged file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as f:
            return json.loads((f.metadata() or {}).get("augmind", "{}"))
    except (OSError, SafetensorError) as error:
        raise damaged_file(path, error) from error
