"""Shapes and types of every annotated function are checked while the tests run."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from jaxtyping import install_import_hook

hook = install_import_hook("augmind", "beartype.beartype")
