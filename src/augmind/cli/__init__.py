"""The command line: parse, call, print. Results go to standard output, everything else to standard error.

Exit codes: 0 done, 1 internal error, 2 wrong option, 3 unusable data, 4 the machine (disk, memory, missing model),
5 no synthetic row passed the screens, 130 interrupted.
"""

import os
import sys
import traceback

from .interrupt import abrupt, gentle

with abrupt():
    from cyclopts import CycloptsError

    from augmind.core.errors import AugmindError, UsageError

    from . import look, models, seek, take, translate, work
    from .app import app, err

__all__ = ["app", "look", "main", "models", "seek", "take", "translate", "work"]


def complain(error: AugmindError) -> int:
    """One clear sentence, the next step, the exit code."""
    err.print("error", style="bold red", end=" ")
    err.print(f"[{error.code}]: {error}", soft_wrap=True)
    if error.help:
        err.print(f"help: {error.help}", soft_wrap=True)
    if error.trace and os.environ.get("AUGMIND_DEBUG"):
        err.print(error.trace)
    return error.exit_code


def main(arguments: list[str] | None = None) -> None:
    """The entry point: turns every outcome into an exit code."""
    with gentle():
        outcome(arguments)


def outcome(arguments: list[str] | None) -> None:
    """Runs a command; whatever it meets ends as one sentence and `SystemExit`."""
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except AugmindError as error:
        sys.exit(complain(error))
    except CycloptsError as error:
        sys.exit(complain(UsageError(str(error).strip(), help="augmind --help, or augmind COMMAND --help")))
    except KeyboardInterrupt:
        run = ", or augmind resume RUN," if set(arguments or sys.argv[1:]) & {"expand", "search", "resume", "demo"} else ""
        err.print(f"stopped; everything finished so far is saved. The same command{run} continues.", soft_wrap=True)
        sys.exit(130)
    except MemoryError:
        sys.exit(complain(AugmindError("out of memory", help="use --jobs 1 or a smaller --size", code="ENV-004")))
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:  # noqa: BLE001  the last resort: no traceback unless asked for
        if os.environ.get("AUGMIND_DEBUG"):
            traceback.print_exc()
        sys.exit(complain(AugmindError(f"{type(error).__name__}: {error}", help="set AUGMIND_DEBUG=1 to see where, and please report it")))
