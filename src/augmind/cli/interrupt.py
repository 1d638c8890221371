"""Ctrl-C, and the wish of a system that the process ends (SIGTERM), as the command line answers them: never a traceback, always a way out, and a
run folder that goes on."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

ASKED = (signal.SIGINT, signal.SIGTERM)


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
    """The first Ctrl-C, or SIGTERM, unwinds as `KeyboardInterrupt`; from then on another one ends the process at once, which no run minds. What the
    caller ignores, as Ctrl-C in a background job, stays ignored."""
    main = threading.current_thread() is threading.main_thread()
    before = {number: handler for number in ASKED if main and (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)}

    def first(_number: int, _frame: FrameType | None) -> None:
        for number in before:
            signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt

    for number in before:
        signal.signal(number, first)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is first:
                signal.signal(number, handler)


def ours() -> bool:
    """Whether Ctrl-C may be answered here: in the main thread, and unless it is ignored as in a background job."""
    return threading.current_thread() is threading.main_thread() and callable(signal.getsignal(signal.SIGINT))
