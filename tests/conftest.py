"""Shapes and types of every annotated function are checked while the tests run; one thread a process, as workers have.

Ctrl-C is heard even where the tests were started in the background of a shell, which makes processes deaf to it.
"""

import os
import signal

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from jaxtyping import install_import_hook

torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)
hook = install_import_hook("augmind", "beartype.beartype")
