"""A network that somebody published, on this machine: safetensors alone are read, no code of its folder is run, nothing is fetched."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from augmind.core.errors import MachineError, first_line
from augmind.core.seeds import seeded

from .quiet import silent
from .weights import cache_folder, located

CONFIG, INDEX = "config.json", "model.safetensors.index.json"
SPARE = ("pooler.", "masked_spec_embed")
"""How tensors begin that files may lack: a pooler that was never trained, and the mask that only training with masks needs."""


@dataclass(frozen=True)
class Published:
    """A model of `transformers`, by folder or Hub id: `org/name` in augmind's own cache or in that of the Hub.

    `instead` names the backbones that errors advise where it cannot be had.
    """

    model: str
    instead: str

    def file(self, name: str) -> Path | None:
        """One of its files; None where it is not on this machine. Raises `MachineError` for a name that no model can have."""
        if Path(self.model).is_dir():
            path = Path(self.model) / name
            return path if path.is_file() else None
        if (own := cache_folder() / self.model.replace("/", "--") / name).is_file():
            return own
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            found = try_to_load_from_cache(self.model, name)
        except HFValidationError as error:
            raise self.missing(error) from error
        return Path(found) if isinstance(found, str) else None

    def says(self, name: str = CONFIG) -> dict[str, Any]:
        """What one of its JSON files says; empty where it has none. Raises `MachineError` for a file that is no JSON."""
        path = self.file(name)
        try:
            return json.loads(path.read_text("utf-8")) if path else {}
        except ValueError as error:
            raise self.missing(error) from error

    def folder(self) -> Path:
        """Where its files lie. Raises `MachineError` where there are none."""
        if path := self.file(CONFIG):
            return path.parent
        raise self.missing(FileNotFoundError(f"no {CONFIG}"))

    def opened(self, kinds: Mapping[str, str] = MappingProxyType({})) -> Any:
        """The network in eval mode and float32; a pooler that the file has no weights for is left out.

        `kinds` names classes of `transformers` for types of model that `AutoModel` is not meant for. Raises `MachineError` for a model that
        is not on this machine or cannot be opened.
        """
        folder = self.folder()
        import transformers
        from safetensors import SafetensorError

        kind = getattr(transformers, kinds.get(str(self.says().get("model_type")), "AutoModel"))
        where: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._demand_safetensors()
            with seeded(0), silent():
                net, told = kind.from_pretrained(str(folder), use_safetensors=True, dtype=torch.float32, output_loading_info=True, **where)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise self.missing(error) from error
        if absent := {key for key in told["missing_keys"] if not key.startswith(SPARE)}:
            raise self.missing(ValueError(f"its weights lack {min(absent)}"))
        if any(key.startswith("pooler.") for key in told["missing_keys"]):
            net.pooler = None
        return net.eval()

    def _demand_safetensors(self) -> None:
        """Raises `ValueError` where the index of weights in parts names files of another kind: those would be read as pickles."""
        index = self.says(INDEX)
        parts = index.get("weight_map", {}) if isinstance(index, dict) else None
        if not isinstance(parts, dict) or not all(str(name).endswith(".safetensors") for name in parts.values()):
            raise ValueError(f"{INDEX} names files that are not safetensors")

    def missing(self, error: Exception) -> MachineError:
        """The error for a model that is not here, or cannot be opened, with the command that gets it."""
        said = first_line(error.args[0] if len(error.args) == 1 else error)
        if Path(self.model).is_dir():
            reason = f"the folder '{self.model}' holds no backbone that can be opened: {said}"
            way = f"a model's folder has a config.json and model.safetensors; or use the backbone {self.instead}"
        elif here := located(self.model):
            reason = f"'{self.model}' cannot be opened as a backbone: {said}"
            again = f"delete '{here}' and get it again with: augmind models pull {self.model}"
            way = f"choose another model, or the backbone {self.instead}; if its files are damaged, {again}"
        else:
            reason = f"backbone '{self.model}' is not on this machine"
            way = f"fetch it once with 'augmind models pull {self.model}', give a model's folder, or use the backbone {self.instead}"
        return MachineError(reason, help=way, code="ENV-004")
