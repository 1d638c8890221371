"""Work items on worker processes: results, order, errors as they were raised, death of a worker."""

import os
from pathlib import Path

import pytest

from augmind.core.errors import AugmindError, Diverged, MachineError
from augmind.core.pool import Item, Workers


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def item(name: str, function: str, after: tuple[str, ...] = (), **args: object) -> Item:
    return Item(name=name, function=f"pieces:{function}", args=args, after=after)


@pytest.mark.parametrize("jobs", [0, 2])
def test_items_run_after_what_they_wait_for(jobs):
    seen: list[tuple[str, str]] = []
    with Workers(jobs) as workers:
        results = workers.run(
            [item("c", "add", ("a", "b"), a=3, b=4), item("a", "add", a=1, b=1), item("b", "add", a=2, b=2)],
            lambda i, state: seen.append((i.name, state)),
        )
    assert results == {"a": 2, "b": 4, "c": 7}
    assert seen.index(("c", "started")) > max(seen.index(("a", "done")), seen.index(("b", "done")))


def test_workers_are_offline_unless_a_download_is_allowed(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    found = []
    for online in (False, True):
        with Workers(1, online=online) as workers:
            found.append(workers.run([Item(name="env", function="os:getenv", args={"key": "HF_HUB_OFFLINE"})])["env"])
    assert found == ["1", "0"]


def test_errors_keep_their_class_sentence_and_help():
    with Workers(1) as workers:
        with pytest.raises(Diverged, match="went to infinity") as caught:
            workers.run([item("x", "fail")])
        assert caught.value.help == "lower the rate"
        with pytest.raises(AugmindError, match="x: RuntimeError: a bug"):
            workers.run([item("x", "crash")])
        assert workers.run([item("y", "add", a=1, b=2)]) == {"y": 3}


def test_a_killed_worker_is_replaced_once_and_then_told(tmp_path):
    with Workers(1) as workers:
        assert workers.run([item("x", "die_once", marker=str(tmp_path / "m"))]) == {"x": "alive"}
        with pytest.raises(MachineError, match="x: the worker process died twice"):
            workers.run([item("x", "die")])


def test_a_worker_that_cannot_start_is_told_by_what_it_printed(tmp_path, monkeypatch):
    """A module of the standard library is shadowed by one that does not load."""
    (tmp_path / "queue.py").write_text("raise ImportError('libgomp.so.1: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "log.txt").write_text("an earlier line\n")
    with Workers(1, log=tmp_path / "log.txt") as workers, pytest.raises(MachineError, match=r"x: .* without an answer \(exit status 1\)") as caught:
        workers.run([item("x", "add", a=1, b=1)])
    assert "ImportError: libgomp.so.1: cannot open shared object file" in caught.value.help and "log.txt" in caught.value.help
    assert "memory" not in caught.value.help and caught.value.code == "ENV-001"
