"""Work items for the tests of the pool."""

import os
import signal
from pathlib import Path

from augmind.core.errors import Diverged


def add(a: int, b: int) -> int:
    print("noise on standard output must not break the protocol")
    return a + b


def fail() -> None:
    raise Diverged("went to infinity", help="lower the rate")


def crash() -> None:
    raise RuntimeError("a bug")


def die_once(marker: str) -> str:
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
