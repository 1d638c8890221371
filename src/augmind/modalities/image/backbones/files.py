"""Where the files of a published model lie on this machine: in a folder, or in the cache of the Hub. The network is not used."""

import json
from pathlib import Path
from typing import Any

from augmind.core.errors import MachineError, first_line
from augmind.nn.weights import cache_folder


def located(model: str, file: str) -> Path | None:
    """A file of a model, given as a folder or a Hub id; None where it is not on this machine."""
    if Path(model).is_dir():
        path = Path(model) / file
        return path if path.is_file() else None
    if (own := cache_folder() / model.replace("/", "--") / file).is_file():
        return own
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model, file)
    except HFValidationError as error:
        raise missing(model, error) from error
    return Path(found) if isinstance(found, str) else None


def described(model: str, file: str = "config.json") -> dict[str, Any]:
    """What a model's JSON file says; empty where it has none."""
    path = located(model, file)
    try:
        return json.loads(path.read_text("utf-8")) if path else {}
    except ValueError as error:
        raise missing(model, error) from error


def missing(model: str, error: Exception) -> MachineError:
    """The error for a model that is not here, or cannot be opened, with the command that gets it."""
    if Path(model).is_dir():
        said = error.args[0] if error.args else error
        reason = f"the folder '{model}' holds no backbone that can be opened: {first_line(said)}"
        return MachineError(reason, help="a model's folder has a config.json and model.safetensors; or use the backbone 'lite0'", code="ENV-004")
    advice = f"fetch it once with 'augmind models pull {model}', give a model's folder, or use the backbone 'lite0'"
    return MachineError(f"backbone '{model}' is not on this machine", help=advice, code="ENV-004")
