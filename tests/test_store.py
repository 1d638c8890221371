"""The run folder survives crashes at every write, full disks, bit flips and a second process."""

import contextlib
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from augmind.core.errors import MachineError, UsageError
from augmind.core.store import Store, atomic_write, load_tensors, read_json, save_tensors, tensor_meta, write_json


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
