"""Networks of `transformers`: safetensors alone are read, and no code of a model is run."""

from typing import Any

import torch

from augmind.core.errors import MachineError, UsageError, first_line
from augmind.nn.quiet import quiet
from augmind.nn.weights import needed


def opened(name: str, kind: Any, what: str) -> tuple[Any, Any]:
    """(tokenizer, network) in eval mode and float32; `kind` is an Auto class. Raises `MachineError` for a model that is not here or needs a package
    that is not, `UsageError` for one that is none of this kind."""
    tokenizer, net, _ = loaded(name, kind, what)
    return tokenizer, net


def opened_whole(name: str, kind: Any, what: str) -> tuple[Any, Any]:
    """`opened`, for networks of which nothing may be missing: raises `UsageError` too where the files lack weights, which would be random."""
    tokenizer, net, told = loaded(name, kind, what)
    if lacking := sorted({*told["missing_keys"], *(key for key, *_ in told["mismatched_keys"])}):
        text = f"'{name}' cannot be opened as a {what}: {len(lacking)} of its weights are missing or of another size, such as {lacking[0]}"
        raise UsageError(text, help=f"give a folder or the Hub id of a {what} with all of its safetensors")
    return tokenizer, net


def loaded(name: str, kind: Any, what: str) -> tuple[Any, Any, dict[str, Any]]:
    """`opened`, with what `transformers` says of the weights."""
    from safetensors import SafetensorError
    from transformers import AutoTokenizer

    quiet()
    source = needed(name, what)
    given: dict[str, Any] = {"trust_remote_code": False, "use_safetensors": True, "dtype": torch.float32, "output_loading_info": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        net, told = kind.from_pretrained(source, **given)
    except ImportError as error:
        text = f"'{name}' needs a package that is not installed to be opened as a {what}: {first_line(error)}"
        raise MachineError(text, help=f"install what is named there, or give another {what}", code="ENV-004") from error
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        text = f"'{name}' cannot be opened as a {what}: {first_line(error)}"
        raise UsageError(text, help=f"give a folder or the Hub id of a {what} with safetensors") from error
    return tokenizer, net.eval(), told
