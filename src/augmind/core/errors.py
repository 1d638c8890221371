"""Every error that a person can cause or meet, in one tree.

    AugmindError                exit 1   something inside augmind failed
    ├── UsageError              exit 2   an option, name or setting is wrong
    │   └── WrongSpec           exit 2   a plug-in was given data that it cannot model
    ├── DataError               exit 3   the dataset is missing, empty, unreadable or unsafe
    ├── MachineError            exit 4   disk, memory, permission or a model is missing
    ├── NothingLeft             exit 5   no synthetic row passed the screens
    └── Diverged                exit 1   a generator's training could not be kept finite
    Interrupted                 exit 130 Ctrl-C; everything finished so far is kept

A message names the thing, its value, what is allowed and the next step. The command line prints it without a traceback.
"""

import difflib
from collections.abc import Iterable


class AugmindError(Exception):
    """Base of all errors; `exit_code` is what the command line returns, `code` is stable and documented."""

    exit_code = 1
    code = "RUN-001"

    def __init__(self, message: str, *, help: str = "", code: str = "") -> None:
        super().__init__(message)
        self.help = help
        self.trace = ""
        self.code = code or type(self).code


class UsageError(AugmindError):
    exit_code, code = 2, "USE-001"


class WrongSpec(UsageError):
    code = "USE-002"


class DataError(AugmindError):
    exit_code, code = 3, "DATA-001"


class MachineError(AugmindError):
    exit_code, code = 4, "ENV-001"


class NothingLeft(AugmindError):
    exit_code, code = 5, "SCREEN-001"


class Diverged(AugmindError):
    code = "RUN-002"


class Interrupted(KeyboardInterrupt):
    """The user stopped the run; it continues with the same command."""

    exit_code = 130


def first_line(error: object, most: int = 150) -> str:
    """What an error of a library says, in one line that fits into a sentence; its kind, where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:most]


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is not in `known`: says the nearest name and lists all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return UsageError(f"unknown {kind} '{name}'", help=f"{hint}known: {', '.join(known) or 'none'}")
