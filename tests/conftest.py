"""Shapes and types of every annotated function are checked while the tests run; one thread a process, as workers have.

Ctrl-C is heard even where the tests were started in the background of a shell, which makes processes deaf to it.
"""

import os
import signal

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)

UNCHECKED = "augmind.nn.heads"
"""Its inner loss is called hundreds of times a head: a third of a small run would go into checking it."""


def checked(package: Path = Path(__file__).parents[1] / "src" / "augmind") -> list[str]:
    """Every module and subpackage but the one that is left out."""
    own = [f"augmind.{p.stem}" for p in package.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()]
    inner = [f"augmind.nn.{p.stem}" for p in (package / "nn").glob("*.py")]
    return [name for name in {*own, *inner} if name not in ("augmind.nn", UNCHECKED)]


hook = install_import_hook(checked(), "beartype.beartype")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory) -> Iterator[None]:
    """Models that this machine has fetched are none of the tests' business: their cache is empty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUGMIND_OWN_CACHE", os.environ.get("AUGMIND_CACHE", ""))
        patch.setenv("AUGMIND_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
