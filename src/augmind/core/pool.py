"""Work items run on worker processes in the order that their dependencies allow, both cores busy.

An item is a pure function of JSON arguments that leaves its result in the run folder, so it may be lost and repeated.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from . import errors
from .errors import AugmindError
from .worker import answer, failure, one_thread

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**29), "MALLOC_TOP_PAD_": str(2**26)}
"""glibc keeps freed buffers instead of giving them back: networks ask for the same ones again and again, and every new page is a fault."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """`name` is what people read; `function` is "module:function"; `after` names items that must have ended before."""

    name: str
    function: str
    args: dict[str, Any]
    after: tuple[str, ...] = ()


@dataclass
class Workers:
    """A pool of worker processes; `jobs=0` does everything in this process, for tests and debugging."""

    jobs: int
    log: Path | None = None
    online: bool = False
    _free: list[subprocess.Popen[str]] = field(default_factory=list)
    _all: list[subprocess.Popen[str]] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _log: IO[str] | None = None
    _temp: tempfile.TemporaryDirectory[str] | None = None
    _proven: set[int] = field(default_factory=set)
    """Processes that have answered."""
    _stopping: bool = False

    def __enter__(self) -> "Workers":
        self._log = self.log.open("a", encoding="utf-8") if self.log else None
        if self.jobs == 0:
            one_thread()
        else:
            self._temp = tempfile.TemporaryDirectory(prefix="augmind-", ignore_cleanup_errors=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for worker in self._all:
            worker.kill()
            worker.wait()
            for stream in (worker.stdin, worker.stdout):
                with contextlib.suppress(BrokenPipeError):
                    if stream:
                        stream.close()
        if self._temp:
            self._temp.cleanup()
        if self._log:
            self._log.close()

    def _start(self) -> subprocess.Popen[str]:
        environment = {**ALLOCATOR, **os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
        if self.online:
            environment.setdefault("HF_HUB_OFFLINE", "0")
            environment.setdefault("HF_DATASETS_OFFLINE", "0")
        if self._temp:
            environment["TMPDIR"] = self._temp.name  # a killed worker cannot clear up what it unpacked
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "augmind.core.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log or subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=environment,
            start_new_session=True,
        )
        with self._guard:
            self._all.append(worker)
            if self._stopping:
                worker.kill()
        return worker

    def _ask(self, item: Item) -> dict[str, Any]:
        record = {"name": item.name, "function": item.function, "args": item.args}
        if self.jobs == 0:
            return answer(record)
        worker: subprocess.Popen[str] | None = None
        printed = self._printed()
        for _ in range(2):
            with self._guard:
                if self._stopping:
                    break
                worker = self._free.pop() if self._free else None
            worker = worker or self._start()
            line = ""
            if worker.stdin and worker.stdout:
                try:
                    worker.stdin.write(json.dumps(record) + "\n")
                    worker.stdin.flush()
                    line = worker.stdout.readline()
                except (BrokenPipeError, ValueError):
                    line = ""
            if line:
                with self._guard:
                    self._free.append(worker)
                    self._proven.add(worker.pid)
                return json.loads(line)
        code = worker.wait() if worker else None
        if worker and worker.pid not in self._proven and worker.returncode > 0:
            text = f"{item.name}: the worker process ended twice without an answer (exit status {code})"
            return failure("MachineError", text, f"it printed last: {self._last_line(printed)}", "ENV-001")
        text = f"{item.name}: the worker process died twice (exit status {code})"
        return failure("MachineError", text, "probably out of memory: use --jobs 1 or a smaller --size", "ENV-004")

    def _printed(self) -> int:
        """How much the workers have printed, in bytes."""
        return self.log.stat().st_size if self.log and self.log.is_file() else 0

    def _last_line(self, since: int) -> str:
        """The last line that the workers printed after so many bytes."""
        if not self.log or not self.log.is_file():
            return "nothing that was kept"
        with self.log.open("rb") as f:
            f.seek(since)
            lines = f.read().decode("utf-8", "replace").strip().splitlines()
        return f"{lines[-1].strip()} (all of it is in {self.log})" if lines else "nothing"

    def run(self, items: Sequence[Item], on_change: Callable[[Item, str], None] = lambda item, state: None) -> dict[str, Any]:
        """Results by item name. `on_change(item, "started" | "done" | "failed")` is called from this thread."""
        self._stopping = False
        results: dict[str, Any] = {}
        waiting, running = list(items), dict[Future[dict[str, Any]], Item]()
        with ThreadPoolExecutor(max(1, self.jobs)) as threads:
            try:
                while waiting or running:
                    ready = [i for i in waiting if all(a in results for a in i.after)]
                    if not ready and not running:
                        raise ValueError(f"items wait for items that do not exist: {[i.name for i in waiting]}")
                    for item in ready[: max(1, self.jobs) - len(running)]:
                        waiting.remove(item)
                        on_change(item, "started")
                        running[threads.submit(self._ask, item)] = item
                    ended, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                    for future in ended:
                        item = running.pop(future)
                        reply = future.result()
                        error = revive(reply["error"]) if "error" in reply else None
                        on_change(item, "failed" if error else "done")
                        if error:
                            raise error
                        results[item.name] = reply["result"]
            except BaseException:
                with self._guard:
                    self._stopping = True
                    for worker in self._all:
                        worker.kill()
                raise
        return results


def revive(record: dict[str, Any]) -> AugmindError:
    """The error that a worker met, as an exception of the same class."""
    kind = getattr(errors, record["class"], AugmindError)
    error = kind(record["message"], help=record["help"], code=record["code"])
    error.trace = record["trace"]
    return error
