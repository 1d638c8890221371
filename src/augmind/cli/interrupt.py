"""Ctrl-C as the command line answers it: never a traceback, always a way out, and a run folder that goes on."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def abrupt() -> Iterator[None]:
    """Ctrl-C ends the process at once and without a word: for the time in which nothing has begun."""
    if not ours():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def gentle() -> Iterator[None]:
    """The first Ctrl-C unwinds as `KeyboardInterrupt`; from then on another one ends the process at once, which no run minds."""
    if not ours():
        yield
        return

    def first(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is first:
            signal.signal(signal.SIGINT, before)


def ours() -> bool:
    """Whether Ctrl-C may be answered here: in the main thread, and unless it is ignored as in a background job."""
    return threading.current_thread() is threading.main_thread() and callable(signal.getsignal(signal.SIGINT))
