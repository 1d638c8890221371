"""Disk full at every stage, folders that may not be written, files in the place of folders: one sentence, and freeing space goes on."""

import ctypes
import errno
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import augmind
from augmind import cli
from augmind.core.errors import MachineError
from augmind.core.store import Store
from runs import TINY, figures, folder

KINDS = ("prepare", "features", "train-vae", "draw-vae", "train-feature", "draw-feature", "views", "wanted", "quality", "calibrate")
KINDS += ("choose", "sealed", "teach", "curve", "explain")
"""In the order of the work."""
OPTIONS: dict[str, Any] = {**TINY, "seeds": 1, "test": 0.25, "learner": ("probe",), "generators": ("vae", "feature"), "want": {"digit 0": 4}}
OPTIONS |= {"steps": {"vae": 50}, "explain": True}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("data") / "digits", per_class=8, classes=3)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> augmind.Finished:
    """An undisturbed run."""
    return augmind.expand(data, tmp_path_factory.mktemp("runs") / "whole", **OPTIONS)


def full(monkeypatch: pytest.MonkeyPatch, where: Callable[[str], bool]) -> list[str]:
    """No space for files whose path is such; the paths that were refused."""
    fsync, refused = os.fsync, []

    def wrapped(handle: int) -> None:
        path = str(Path(f"/proc/self/fd/{handle}").readlink())
        if where(path):
            refused.append(path)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", wrapped)
    return refused


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and the permissions of Linux")


def test_a_disk_that_is_full_at_any_stage_is_one_sentence_and_freeing_space_goes_on(whole, data, tmp_path, monkeypatch):
    """The same run folder meets a full disk once at each kind of stage, and once at the report."""
    out = tmp_path / "r"
    for kind in (*KINDS, "report.json"):
        with monkeypatch.context() as patch:
            place = f"{out}/.report.json." if kind == "report.json" else f"{out}/stages/.{kind}-"
            refused = full(patch, lambda path, place=place: path.startswith(place))
            with pytest.raises(MachineError, match="the disk is full: cannot write") as caught:
                augmind.expand(data, out, **OPTIONS)
        assert len(refused) == 1, kind
        assert caught.value.code == "ENV-002" and caught.value.exit_code == 4 and "finished stages are kept" in caught.value.help
        said, name = str(caught.value), Path(refused[0]).name
        assert str(Path(refused[0]).parent) in said and f"'{name.removeprefix('.').rpartition('.')[0].rpartition('.')[0]}'" in said.replace("/", "'")
        assert "bytes needed" in said
        store = Store(out)
        assert store.damaged() == [] and not any(n.startswith(f"{kind}-") for n in store.finished())
        assert not (out / "report.json").exists()
    assert figures(augmind.expand(data, out, **OPTIONS).folder) == figures(whole.folder)
    assert Store(out).damaged() == [] and not list(out.rglob(".*.tmp"))


def mortal() -> None:
    """Takes from a process of root the right to pass over permission bits, for itself and all that it starts."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):
        libc.prctl(24, capability, 0, 0, 0)


def told(*arguments: object) -> tuple[int, str, str]:
    """Exit code and what was said to a person to whom permission bits apply."""
    verb = [sys.executable, "-m", "augmind", *map(str, arguments)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(verb, capture_output=True, text=True, env=env, preexec_fn=mortal, timeout=120)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def locked(tmp_path):
    """A folder that may be read and not written."""
    path = tmp_path / "locked"
    path.mkdir()
    path.chmod(0o555)
    probe = [sys.executable, "-c", "import os, sys; sys.exit(os.access(sys.argv[1], os.W_OK))", str(path)]
    bound = subprocess.run(probe, preexec_fn=mortal).returncode == 0
    if not bound:
        pytest.skip("permission bits do not bind here")
    yield path
    path.chmod(0o755)


def one_sentence(done: tuple[int, str, str], code: int, *says: str) -> None:
    got, out, err = done
    assert got == code, err
    assert "Traceback" not in out + err and all(s in err for s in says), err
    assert err.startswith("error [") and len(err.strip().splitlines()) <= 2


def test_a_disk_that_is_full_at_an_export_is_one_sentence_and_freeing_space_goes_on(whole, tmp_path, monkeypatch):
    """No space for the fifth file that is written."""
    plain, opened = io.open, []

    def failing(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if str(file).startswith(str(tmp_path)) and mode == "wb":
            opened.append(file)
            if len(opened) == 5:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return plain(file, mode, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(io, "open", failing)
        with pytest.raises(MachineError, match="the disk is full: cannot write") as caught:
            whole.export(tmp_path / "out")
    assert caught.value.code == "ENV-002" and f"'{tmp_path / 'out'}'" in str(caught.value) and list(tmp_path.iterdir()) == []
    assert len(list(whole.export(tmp_path / "out").rglob("*.png"))) >= 24


def test_a_folder_that_may_not_be_written_is_one_sentence(locked, data):
    one_sentence(told("expand", data, "--out", locked / "r", "--quiet"), 4, "ENV-003", f"cannot write '{locked / 'r'}'")
    one_sentence(told("expand", data, "--out", locked, "--quiet"), 4, "ENV-003", str(locked))


def test_a_run_folder_that_became_read_only_is_one_sentence(locked, whole, data, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(whole.folder, copy)
    copy.chmod(0o555)
    try:
        one_sentence(told("resume", copy, "--quiet"), 4, "ENV-003", str(copy))
        one_sentence(told("sample", copy, "--label", "digit 0", "-n", 1, "--out", tmp_path / "s"), 4, "ENV-003", str(copy))
    finally:
        copy.chmod(0o755)


def test_an_output_in_a_place_that_cannot_hold_it_is_one_sentence(data, whole, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("mine")

    def here(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            cli.main([str(a) for a in arguments])
        return int(stop.value.code or 0), *capsys.readouterr()

    one_sentence(here("expand", data, "--out", file, "--quiet", "--jobs", 0), 2, "is not a run folder")
    one_sentence(here("expand", data, "--out", file / "below", "--quiet", "--jobs", 0), 4, "ENV-003", f"cannot write '{file / 'below'}'")
    one_sentence(here("expand", data, "--out", "/proc/augmind", "--quiet", "--jobs", 0), 4, "cannot write '/proc/augmind'")
    one_sentence(here("export", whole.folder, "--out", file, "--to", "npz"), 2, str(file))
    one_sentence(here("export", whole.folder, "--out", file / "below", "--to", "npz"), 4, str(file))
    one_sentence(here("inspect", data, "--out", file / "below"), 4, "ENV-003", str(file))
    assert file.read_text() == "mine"
