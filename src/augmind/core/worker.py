"""One worker process: reads work items as JSON lines, answers with JSON lines. No pickle crosses the pipe.

It dies with its parent: when standard input closes, whatever is under way is dropped (finished stages are on disk).
"""

import importlib
import json
import os
import queue
import sys
import threading
import traceback
from typing import Any

from .errors import AugmindError

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}
"""What every process of a run has in its environment unless the user set it: nothing is fetched, nothing is told."""


def call(function: str, args: dict[str, Any]) -> Any:
    """Calls "package.module:function" with keyword arguments."""
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)(**args)


def answer(item: dict[str, Any]) -> dict[str, Any]:
    """The result of an item, or its error as data."""
    name = item["name"]
    try:
        return {"result": call(item["function"], item["args"])}
    except AugmindError as error:
        return failure(type(error).__name__, str(error), error.help, error.code)
    except MemoryError:
        return failure("MachineError", f"{name}: out of memory", "use fewer --jobs or a smaller --size", "ENV-004")
    except Exception as error:  # noqa: BLE001  the parent reports it
        return failure("AugmindError", f"{name}: {type(error).__name__}: {error}", "", "RUN-000", traceback.format_exc())


def failure(kind: str, message: str, help: str, code: str, trace: str = "") -> dict[str, Any]:
    return {"error": {"class": kind, "message": message, "help": help, "code": code, "trace": trace}}


def one_thread() -> None:
    """One thread a process: results then do not depend on the number of cores, and busy cores are not fought over."""
    import torch

    torch.set_num_threads(1)


def main() -> None:
    for name, value in OFFLINE.items():
        os.environ.setdefault(name, value)
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lines: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    one_thread()
    while True:
        item = json.loads(lines.get())
        pipe.write(json.dumps(answer(item)) + "\n")
        pipe.flush()


if __name__ == "__main__":
    main()
