"""The run folder on disk: atomic files, finished stages, one ledger.

A stage is a folder made by a pure function of its inputs. It becomes real when it has been renamed into place *and* its row
stands in the ledger with the hash of every file; anything else found at start-up is swept away and made again.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .errors import AugmindError, MachineError, UsageError

SCHEMA = 1
"""Format of the run folder; a change that old readers cannot open raises it."""


def digest(*parts: object) -> str:
    """A short content hash (blake2b, 16 hex digits) of JSON-able values."""
    text = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def file_digest(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


@contextlib.contextmanager
def disk_errors(path: Path, size: int | None = None) -> Iterator[None]:
    """Turns the errors of a full, read-only or forbidden disk into one clear sentence."""
    try:
        yield
    except OSError as error:
        need = "" if size is None else f" ({size:,} bytes needed)"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise MachineError(
                f"the disk is full: cannot write '{path}'{need}",
                help="free some space and repeat the same command; finished stages are kept",
                code="ENV-002",
            ) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise MachineError(f"cannot write '{path}': {error.strerror}", help="choose a folder that you may write to", code="ENV-003") from error
        raise


def make_folder(path: Path) -> None:
    """Creates a folder and those above it. Raises `MachineError` where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"cannot write '{path}': {error.strerror}", help="choose a folder that you may write to", code="ENV-003") from error


def sync(path: Path) -> None:
    """Brings a file, or the list of what a folder holds, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_below(folder: Path) -> None:
    """Brings every file and folder below a folder, and itself, to the disk."""
    for root, _, names in os.walk(folder, topdown=False):
        for path in (*(Path(root) / name for name in names), Path(root)):
            sync(path)


def atomic_write(path: Path, data: bytes) -> None:
    """After a crash at any moment the file is either the old one or the whole new one."""
    tmp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with disk_errors(path, len(data)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tmp.open("wb") as f:
                f.write(data)
                f.flush()
                os.fsync(f.fileno())
            os.replace(tmp, path)
            sync(path.parent)
        except BaseException:
            tmp.unlink(missing_ok=True)
            raise


def finite(value: Any) -> Any:
    """The same JSON value with NaN and infinities as null: JSON has no word for them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value


def write_json(path: Path, value: Any) -> None:
    atomic_write(path, (json.dumps(finite(value), indent=1, ensure_ascii=False, default=str) + "\n").encode())


AGAIN = "the run folder is damaged; run the same command again"


def damaged_file(path: Path, error: Exception, way: str = AGAIN) -> AugmindError:
    return AugmindError(f"cannot read '{path}': {error}", help=way)


def read_json(path: Path, way: str = AGAIN) -> Any:
    """Raises `AugmindError` for a damaged file, with the way out."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise damaged_file(path, error, way) from error


def write_table(path: Path, columns: dict[str, Any]) -> None:
    """Columns as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    atomic_write(path, sink.getvalue().to_pybytes())


def read_table(path: Path, columns: list[str] | None = None) -> dict[str, list[Any]]:
    """Parquet as columns, all or those named. Raises `AugmindError` for a damaged file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path, columns=columns).to_pydict()
    except (OSError, pa.ArrowException) as error:
        raise damaged_file(path, error) from error


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A folder that no other process works in. The lock of a dead process is free: the operating system releases it."""
    lock, owner = FileLock(folder / ".lock"), folder / ".owner"
    try:
        with lock.acquire(timeout=0.5):
            atomic_write(owner, f"process {os.getpid()} on {socket.gethostname()}".encode())
            try:
                yield
            finally:
                owner.unlink(missing_ok=True)
    except Timeout as error:
        who = owner.read_text() if owner.exists() else "another process"
        raise UsageError(f"'{folder}' is in use by {who}", help="wait for it, or give another --out") from error


class Store:
    """A run folder's stages and ledger. Several worker processes of one run may hold it; `lock` keeps other runs out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with disk_errors(folder):
            (folder / "stages").mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise MachineError(f"cannot write '{folder}': permission denied", help="choose a folder that you may write to", code="ENV-003")
        self.database = folder / "run.db"
        with self._connect() as db:
            db.execute("create table if not exists stages (key text primary key, name text, files text, seconds real, finished real)")
            db.execute(f"pragma user_version={SCHEMA}")

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with disk_errors(self.database):
            try:
                db = sqlite3.connect(self.database, timeout=60)
                try:
                    db.execute("pragma journal_mode=wal")
                    db.execute("pragma synchronous=full")
                    with db:
                        yield db
                finally:
                    db.close()
            except sqlite3.OperationalError as error:
                if "full" in str(error) or "disk I/O" in str(error):
                    raise OSError(errno.ENOSPC, str(error)) from error
                if "readonly" in str(error) or "unable to open" in str(error):
                    raise OSError(errno.EACCES, str(error)) from error
                raise
            except sqlite3.DatabaseError as error:
                text, way = f"cannot read '{self.database}': {error}", "delete it and run the same command again: everything is made anew"
                raise AugmindError(text, help=way, code="RUN-004") from error

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """One process tree a run."""
        return locked(self.folder)

    def sweep(self) -> None:
        """Deletes what an interrupted process left half-made, and checkpoints that cannot be opened: their training begins anew."""
        from safetensors import SafetensorError, safe_open

        done = set(self.finished())
        for path in (self.folder / "stages").iterdir():
            if path.is_file():
                path.unlink(missing_ok=True)
            elif path.name not in done:
                shutil.rmtree(path, ignore_errors=True)
        for path in self.folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)
        for path in (self.folder / "checkpoints").rglob("*.safetensors"):
            try:
                with safe_open(path, framework="np"):
                    pass
            except (OSError, SafetensorError):
                path.unlink(missing_ok=True)

    def finished(self) -> dict[str, dict[str, Any]]:
        """Finished stages by folder name: seconds and hashes of files."""
        with self._connect() as db:
            rows = db.execute("select key, files, seconds from stages order by finished").fetchall()
        return {key: {"files": json.loads(files), "seconds": seconds} for key, files, seconds in rows}

    def path(self, name: str, inputs: Any) -> Path:
        """Where the stage of these inputs lives, finished or not."""
        return self.folder / "stages" / f"{name}-{digest(SCHEMA, name, inputs)}"

    def done(self, path: Path) -> bool:
        with self._connect() as db:
            return path.is_dir() and db.execute("select 1 from stages where key=?", (path.name,)).fetchone() is not None

    def stage(self, name: str, inputs: Any, work: Callable[[Path], None]) -> Path:
        """The folder of this stage; `work(folder)` fills it if it has not been made before.

        A second worker that wants the same stage waits for the first.
        """
        final = self.path(name, inputs)
        if self.done(final):
            return final
        with disk_errors(final), FileLock(self.folder / "stages" / f".{final.name}.lock"):
            if not self.done(final):
                self._make(name, final, work)
        return final

    def _make(self, name: str, final: Path, work: Callable[[Path], None]) -> None:
        started = time.monotonic()
        tmp = final.with_name(f".{final.name}.{os.getpid()}.tmp")
        with disk_errors(final):
            shutil.rmtree(tmp, ignore_errors=True)
            shutil.rmtree(final, ignore_errors=True)
            tmp.mkdir(parents=True)
            try:
                work(tmp)
                files = {str(p.relative_to(tmp)): file_digest(p) for p in sorted(tmp.rglob("*")) if p.is_file()}
                os.replace(tmp, final)
                sync(final.parent)
            except BaseException:
                shutil.rmtree(tmp, ignore_errors=True)
                raise
        with self._connect() as db:
            row = (final.name, name, json.dumps(files), time.monotonic() - started, time.time())
            db.execute("insert or replace into stages values (?, ?, ?, ?, ?)", row)
        shutil.rmtree(self.checkpoints(final), ignore_errors=True)

    def checkpoints(self, stage: Path) -> Path:
        """Where the unfinished training of a stage keeps its state; deleted when the stage is finished."""
        return self.folder / "checkpoints" / stage.name

    def intact(self, file: Path) -> bool:
        """Whether a file of a finished stage is as it was when the stage was finished."""
        files = self.finished().get(file.parent.name, {"files": {}})["files"]
        return file.is_file() and files.get(file.name) == file_digest(file)

    def damaged(self) -> list[str]:
        """Files of finished stages that are missing or whose content has changed."""
        bad: list[str] = []
        for name, record in self.finished().items():
            for file, sha in record["files"].items():
                path = self.folder / "stages" / name / file
                if not path.is_file() or file_digest(path) != sha:
                    bad.append(str(path.relative_to(self.folder)))
        return bad

    def heal(self) -> list[str]:
        """Drops every finished stage with a damaged or missing file, so that it is made again; returns the files."""
        bad = self.damaged()
        for name in {file.split("/")[1] for file in bad}:
            self.forget(name)
        return bad

    def forget(self, name: str) -> None:
        """Drops a stage, so that it is made again."""
        with self._connect() as db:
            db.execute("delete from stages where key=?", (name,))
        shutil.rmtree(self.folder / "stages" / name, ignore_errors=True)
