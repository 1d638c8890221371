"""The run folder survives crashes at every write, full disks, bit flips and a second process."""

import contextlib
import errno
import io
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from augmind.core.errors import AugmindError, MachineError, UsageError
from augmind.core.store import Store, atomic_write, read_json, write_json
from augmind.core.tensors import load_tensors, save_tensors, tensor_meta


class Crash(BaseException):
    """The process dies here."""


def failing(monkeypatch, name: str, at: int, error: BaseException):
    """`os.<name>` raises at its `at`-th call (before doing anything)."""
    original, calls = getattr(os, name), []

    def wrapper(*args, **kwargs):
        calls.append(args)
        if len(calls) == at:
            raise error
        return original(*args, **kwargs)

    monkeypatch.setattr(os, name, wrapper)
    return calls


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
def test_a_crash_at_any_write_leaves_the_old_file_or_the_new_one(tmp_path, monkeypatch, call):
    path = tmp_path / "a.json"
    write_json(path, {"v": 1})
    for at in range(1, 5):
        with monkeypatch.context() as patch:
            failing(patch, call, at, Crash())
            try:
                write_json(path, {"v": 2})
                survived = True
            except Crash:
                survived = False
        value = read_json(path)
        assert value in ({"v": 1}, {"v": 2}) and (not survived or value == {"v": 2})
        assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
        write_json(path, {"v": 1})


def test_a_full_disk_is_one_clear_sentence_and_the_old_file_stays(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    atomic_write(path, b"old")
    failing(monkeypatch, "fsync", 1, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(MachineError, match=r"disk is full: cannot write .*a\.bin' \(3 bytes needed\)") as caught:
        atomic_write(path, b"new")
    assert caught.value.exit_code == 4 and path.read_bytes() == b"old"


def test_a_stage_is_real_only_when_renamed_and_in_the_ledger(tmp_path, monkeypatch):
    """Dies once at each rename and each fsync of a stage; afterwards the stage is absent or whole, never half."""
    for call in ("replace", "fsync"):
        for at in range(1, 6):
            folder = tmp_path / f"{call}{at}"
            store = Store(folder)
            with monkeypatch.context() as patch:
                failing(patch, call, at, Crash())
                with contextlib.suppress(Crash):
                    store.stage("s", {"a": 1}, lambda tmp: [write_json(tmp / f"{i}.json", i) for i in range(2)])
            again = Store(folder)
            again.sweep()
            final = again.path("s", {"a": 1})
            assert again.done(final) == final.exists()
            made = again.stage("s", {"a": 1}, lambda tmp: [write_json(tmp / f"{i}.json", i) for i in range(2)])
            assert [read_json(made / f"{i}.json") for i in range(2)] == [0, 1]
            assert again.damaged() == []


class Points:
    """Fail-points: the process ends, without any clean-up, at the `at`-th of them."""

    def __init__(self, at: int) -> None:
        self.at, self.passed = at, 0

    def pass_by(self) -> None:
        self.passed += 1
        if self.passed == self.at:
            os._exit(9)

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same function with a fail-point before it and one after it."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.pass_by()
            result = call(*args, **kwargs)
            self.pass_by()
            return result

        return wrapped

    def plant(self) -> None:
        """Fail-points around every open for writing, write, fsync and rename, and every statement and commit of SQLite.

        A write goes to the disk in two halves, with a fail-point between them.
        """
        points, plain_open, connect = self, io.open, sqlite3.connect

        class Writer(io.FileIO):
            def write(self, data: Any, /) -> int:
                half = len(data) // 2
                points.pass_by()
                super().write(data[:half])
                points.pass_by()
                super().write(data[half:])
                points.pass_by()
                return len(data)

        class Ledger(sqlite3.Connection):
            def execute(self, *args: Any) -> sqlite3.Cursor:
                return points.around(super().execute)(*args)

            def commit(self) -> None:
                points.around(super().commit)()

            def __exit__(self, *args: Any) -> Any:
                return points.around(super().__exit__)(*args)

        def opened(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            return self.around(Writer)(file, "w") if mode == "wb" else plain_open(file, mode, *args, **kwargs)

        io.open = opened
        sqlite3.connect = lambda *args, **kwargs: connect(*args, **kwargs, factory=Ledger)
        os.fsync, os.replace = self.around(os.fsync), self.around(os.replace)


def two_files(tmp: Path) -> None:
    write_json(tmp / "a.json", {"v": "new"})
    save_tensors(tmp / "b.safetensors", {"t": torch.arange(6.0)})


def in_a_child(work: Callable[[], None], at: int) -> int:
    """Does the work in a child process that ends at the `at`-th fail-point; its exit status: 9 there, 0 if it came to its end."""
    child = os.fork()
    if not child:
        try:
            Points(at).plant()
            work()
        except BaseException:  # noqa: BLE001  the child must never go on as a test
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_crash_at_every_write_leaves_everything_old_or_new(tmp_path, capsys):
    """The process dies at fail-point k = 1, 2, ... until it comes to its end; each time the folder opens whole and goes on."""
    base = tmp_path / "base"
    old = Store(base).stage("old", 1, lambda tmp: write_json(tmp / "o.json", "kept")).relative_to(base)
    write_json(base / "plan.json", {"v": "old"})
    k, states = 0, set()

    def work(folder: Path) -> None:
        write_json(folder / "plan.json", {"v": "new"})
        Store(folder).stage("new", 2, two_files)

    while True:
        k += 1
        folder = tmp_path / f"run{k}"
        shutil.copytree(base, folder)
        status = in_a_child(lambda folder=folder: work(folder), k)
        assert status in (0, 9)
        store = Store(folder)
        store.sweep()
        final, finished = store.path("new", 2), store.finished()
        plan = read_json(folder / "plan.json")["v"]
        assert plan in ("old", "new") and store.damaged() == []
        assert read_json(folder / old / "o.json") == "kept" and old.name in finished
        assert final.exists() == store.done(final) == (final.name in finished)
        if final.exists():
            assert set(finished[final.name]["files"]) == {"a.json", "b.safetensors"}
        assert {p.name for p in (folder / "stages").iterdir()} == {old.name} | ({final.name} if final.exists() else set())
        assert not list(folder.glob(".*.tmp"))
        states.add((plan, final.exists()))
        made = store.stage("new", 2, two_files)
        assert read_json(made / "a.json") == {"v": "new"} and torch.equal(load_tensors(made / "b.safetensors")["t"], torch.arange(6.0))
        assert store.damaged() == [] and set(store.finished()) == {old.name, made.name}
        shutil.rmtree(folder)
        if not status:
            break
    assert k > 50 and states == {("old", False), ("new", False), ("new", True)}
    with capsys.disabled():
        print(f"\ncrash consistency: K = {k - 1} fail-points")


def test_a_ledger_that_is_none_is_one_sentence_and_a_full_one_is_a_full_disk(tmp_path, monkeypatch):
    connect, folder = sqlite3.connect, tmp_path / "run"
    Store(folder).stage("old", 1, lambda tmp: write_json(tmp / "o.json", "kept"))

    def many(tmp: Path) -> None:
        for j in range(40):
            write_json(tmp / f"{'n' * 200}{j}.json", j)

    class Full(sqlite3.Connection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.execute("pragma max_page_count=1")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *args, **kwargs: connect(*args, **kwargs, factory=Full))
        with pytest.raises(MachineError, match=r"disk is full: cannot write .*run\.db") as caught:
            Store(folder).stage("more", 1, many)
    assert caught.value.code == "ENV-002"
    store = Store(folder)
    store.sweep()
    assert store.damaged() == [] and any(name.startswith("old") for name in store.finished())
    for name in ("run.db-wal", "run.db-shm"):
        (folder / name).unlink(missing_ok=True)
    (folder / "run.db").write_bytes(b"this is no ledger" * 99)
    with pytest.raises(AugmindError, match=r"cannot read .*run\.db") as told:
        Store(folder)
    assert told.value.code == "RUN-004" and "delete it" in told.value.help


def test_a_checkpoint_that_cannot_be_opened_is_dropped_and_a_good_one_is_kept(tmp_path):
    store = Store(tmp_path)
    good, bad = (store.checkpoints(store.path(name, 1)) / "vae.safetensors" for name in ("a", "b"))
    for path in (good, bad):
        save_tensors(path, {"t": torch.arange(3)})
    bad.write_bytes(bad.read_bytes()[:20])
    store.sweep()
    assert good.is_file() and not bad.exists()


def test_a_finished_stage_is_not_made_again_and_other_inputs_are_another_stage(tmp_path):
    store, calls = Store(tmp_path), []
    for inputs in (1, 1, 2):
        store.stage("s", inputs, lambda tmp, inputs=inputs: calls.append(inputs))
    assert calls == [1, 2]


def test_work_that_fails_leaves_nothing(tmp_path):
    store = Store(tmp_path)

    def work(tmp: Path) -> None:
        write_json(tmp / "half.json", 1)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.stage("s", 1, work)
    assert not store.finished() and not [p for p in (tmp_path / "stages").iterdir() if p.is_dir()]


def test_every_single_bit_flip_is_noticed(tmp_path):
    store = Store(tmp_path)
    path = store.stage("s", 1, lambda tmp: save_tensors(tmp / "t.safetensors", {"a": torch.arange(9.0)})) / "t.safetensors"
    good = path.read_bytes()
    for bit in range(0, len(good) * 8, 37):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        assert len(store.damaged()) == 1
    path.write_bytes(good)
    assert store.damaged() == []


def test_tensors_round_trip_with_their_header(tmp_path):
    tensors = {"a": torch.randn(3, 2), "b": torch.arange(5), "c": torch.zeros(0, 4)}
    save_tensors(tmp_path / "t.safetensors", tensors, {"k": [1, "x"]})
    for name, value in load_tensors(tmp_path / "t.safetensors").items():
        assert torch.equal(value, tensors[name])
    assert tensor_meta(tmp_path / "t.safetensors") == {"k": [1, "x"]}


def test_a_second_process_is_refused_and_a_dead_one_is_not_waited_for(tmp_path):
    store = Store(tmp_path)
    head = "from pathlib import Path; from augmind.core.store import Store"
    code = f"{head}\nwith Store(Path({str(tmp_path)!r})).lock(): print('in', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "in\n"
        with pytest.raises(UsageError, match=f"in use by process {other.pid} on "), store.lock():
            pass
        other.kill()
        other.wait()
        with store.lock():
            pass


def test_not_finite_numbers_become_null_in_json(tmp_path):
    write_json(tmp_path / "a.json", {"x": float("nan"), "y": [float("inf"), 1.5]})
    assert read_json(tmp_path / "a.json") == {"x": None, "y": [None, 1.5]}
