"""Networks of `transformers`: safetensors alone are read, and no code of a model is run."""

from typing import Any

import torch

from augmind.core.errors import UsageError, first_line
from augmind.nn.quiet import quiet
from augmind.nn.weights import needed


def opened(name: str, kind: Any, what: str) -> tuple[Any, Any]:
    """(tokenizer, network) in eval mode and float32; `kind` is an Auto class. Raises `MachineError` for a model that is not here, `UsageError`
    for one that is none of this kind."""
    from safetensors import SafetensorError
    from transformers import AutoTokenizer

    quiet()
    source = needed(name, what)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        net = kind.from_pretrained(source, trust_remote_code=False, use_safetensors=True, dtype=torch.float32)
    except (ImportError, OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        text = f"'{name}' cannot be opened as a {what}: {first_line(error)}"
        raise UsageError(text, help=f"give a folder or the Hub id of a {what} with safetensors") from error
    return tokenizer, net.eval()
