"""Decoding in processes of their own: a file that crashes, hangs or bloats its decoder is a bad file, not the end of the program.

Workers speak length-prefixed JSON and bytes over pipes, so nothing is pickled and no `__main__` guard is needed.
"""

import contextlib
import json
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, NamedTuple

from .errors import MachineError

SECONDS, IDLE = 20.0, 0.05
"""How long one file may take of a processor, and of the clock where the decoder uses less than this part of the time: a machine that does other work
beside rejects hardly a file for that."""
MEMORY = 2 << 30
"""Address space of a worker, where the operating system can limit it."""
FEW = 64
"""Up to so many files one worker is started, beyond it one a core."""
BLOCK, BLOCK_BYTES = 32, 8 << 20
"""Files handed to a worker at a time: so many, or so many bytes."""
PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {} import serve; serve()"
"""What a worker runs: `serve` of a module, which calls that of this one."""
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class CannotRead(Exception):
    """This file cannot be used; the message says why in words a person reads."""


File = Path | bytes | CannotRead
"""What to decode: a file, its content, or the reason why there is neither, which comes out as it went in."""


class Answer(NamedTuple):
    """What was read of a file: facts that JSON can hold, and bytes."""

    about: dict[str, Any]
    data: bytes


def send(pipe: IO[bytes], headers: list[dict[str, Any]], chunks: list[bytes]) -> None:
    """One message: a list of headers, and one chunk of bytes (possibly empty) for each."""
    text = json.dumps([h | {"size": len(c)} for h, c in zip(headers, chunks, strict=True)]).encode()
    pipe.write(b"".join([struct.pack("<I", len(text)), text, *chunks]))
    pipe.flush()


def receive(pipe: IO[bytes]) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The headers and chunks of the next message. Raises `EOFError` if the other side has gone."""
    start = pipe.read(4)
    text = pipe.read(struct.unpack("<I", start)[0]) if len(start) == 4 else b""
    if not text:
        raise EOFError
    for header in json.loads(text):
        chunk = pipe.read(header["size"])
        if len(chunk) < header["size"]:
            raise EOFError
        yield header, chunk


def serve(read: Callable[[Path | bytes, Any], Answer]) -> None:
    """The life of a worker: reads requests until the parent has gone. `read` may raise `CannotRead`."""
    import warnings

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    _limit_memory()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    send(answers, [], [])
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            found = [_answer(read, request, data) for request, data in receive(sys.stdin.buffer)]
            send(answers, [about for about, _ in found], [data for _, data in found])


def _answer(read: Callable[[Path | bytes, Any], Answer], request: dict[str, Any], data: bytes) -> Answer:
    try:
        about, found = read(Path(request["path"]) if "path" in request else data, request["how"])
    except CannotRead as error:
        return Answer({"error": str(error)}, b"")
    return Answer({"about": about}, found)


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


class Worker:
    """One decoder process, started when first asked and again after a crash."""

    def __init__(self, program: str) -> None:
        self.program, self.process, self.since = program, None, None
        self.late, self.spent = False, 0.0

    def start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-I", "-c", self.program, json.dumps([p for p in sys.path if p])]
        env = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env)
        self.process: subprocess.Popen[bytes] | None = process
        try:
            list(receive(process.stdout))  # type: ignore[arg-type]
        except EOFError as error:
            self.stop()
            raise MachineError("the process that decodes files cannot be started", help="run 'augmind doctor'") from error
        return process

    def ask(self, files: list[Path | bytes], how: Any) -> list[Answer | CannotRead]:
        """What is in the files, or why nothing is. If the worker dies of a block, each file is tried alone, so that one is at fault."""
        if not files:
            return []
        process = self.process or self.start()
        self.since: float | None = time.monotonic()
        self.spent = spent(process.pid) or 0.0
        requests = [{"how": how} | ({"path": os.fspath(f)} if isinstance(f, Path) else {}) for f in files]
        try:
            send(process.stdin, requests, [f if isinstance(f, bytes) else b"" for f in files])  # type: ignore[arg-type]
            return [_found(*answer) for answer in receive(process.stdout)]  # type: ignore[arg-type]
        except (EOFError, OSError, ValueError):
            self.stop()
        finally:
            self.since = None
        late, self.late = self.late, False
        if len(files) > 1:
            return [answer for file in files for answer in self.ask([file], how)]
        return [CannotRead(f"took longer than {SECONDS:g} s to decode" if late else "crashed the decoder")]

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]


def _found(answer: dict[str, Any], data: bytes) -> Answer | CannotRead:
    return CannotRead(answer["error"]) if "error" in answer else Answer(answer["about"], data)


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Decodes many files in order with bounded memory. `program` is what a worker runs; tests give one that misbehaves."""

    program: str
    workers: int = min(CORES, 8)

    def answers(self, files: Iterable[File], how: Any = None) -> Iterator[Answer | CannotRead]:
        """One answer, or the reason why there is none, for each file, in order; `how` goes to `read` of every worker, as JSON."""
        files = iter(files)
        first = list(islice(files, FEW + 1))
        count = self.workers if len(first) > FEW else 1
        team = [Worker(self.program) for _ in range(count)]
        idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in team:
            idle.put(worker)

        def work(block: list[File]) -> list[Answer | CannotRead]:
            worker = idle.get()
            try:
                answers = iter(worker.ask([f for f in block if not isinstance(f, CannotRead)], how))
                return [f if isinstance(f, CannotRead) else next(answers) for f in block]
            finally:
                idle.put(worker)

        done = threading.Event()
        guard = threading.Thread(target=_guard, args=(team, done), daemon=True)
        guard.start()
        try:
            with ThreadPoolExecutor(count) as threads:
                pending: deque[Future[list[Answer | CannotRead]]] = deque()
                for block in _blocks(chain(first, files)):
                    pending.append(threads.submit(work, block))
                    if len(pending) > 2 * count:
                        yield from pending.popleft().result()
                while pending:
                    yield from pending.popleft().result()
        finally:
            done.set()
            guard.join()
            for worker in team:
                worker.stop()


def _guard(team: list[Worker], done: threading.Event) -> None:
    """Kills a worker that has been busy with one file for too long."""
    while not done.wait(min(0.25, SECONDS / 4)):
        for worker in team:
            since, process = worker.since, worker.process
            if since is None or process is None or (passed := time.monotonic() - since) <= SECONDS:
                continue
            busy = passed if (now := spent(process.pid)) is None else now - worker.spent
            if busy > SECONDS or busy < IDLE * passed:
                worker.late = True
                process.kill()


def spent(pid: int) -> float | None:
    """Seconds of processor that a process has used; None where the operating system does not tell it in /proc."""
    try:
        columns = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return (int(columns[11]) + int(columns[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None


def _blocks(files: Iterator[File]) -> Iterator[list[File]]:
    block: list[File] = []
    size = 0
    for file in files:
        block.append(file)
        size += len(file) if isinstance(file, bytes) else 0
        if len(block) == BLOCK or size > BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block
