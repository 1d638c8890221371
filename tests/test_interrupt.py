"""Ctrl-C at every stage of a run, during imports, and twice: one sentence, exit code 130, and the same command goes on."""

import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from augmind.core.store import Store
from runs import figures, folder

KINDS = ("train-vae", "teach", "report")
KINDS += (
    ("prepare", "features", "choose", "quality", "draw-vae", "draw-feature", "train-feature", "views", "sealed", "calibrate", "wanted")
    if "AUGMIND_EVERY" in os.environ
    else ()
)
"""Kinds of stages; the others, which are made as these are, by hand: AUGMIND_EVERY=1 pytest tests/test_interrupt.py"""
SECONDS = 90
HOLD = """
import os, time

kind, mkdir, replace = os.environ["HELD"], os.mkdir, os.replace

def held_mkdir(path, *args, **options):
    mkdir(path, *args, **options)
    if os.path.basename(path).startswith("." + kind + "-") and str(path).endswith(".tmp"):
        time.sleep(60)

def held_replace(a, b, **options):
    if kind == "report" and os.path.basename(b) == "report.json":
        time.sleep(60)
    replace(a, b, **options)

os.mkdir, os.replace = held_mkdir, held_replace
"""
"""Runs at the start of Python in the command and in its workers: a stage of one kind, however quick, lasts until the signal comes."""


def start(data: Path, out: Path, *flags: str, **environment: str) -> subprocess.Popen[str]:
    """The command in a process group of its own, as a shell starts it."""
    verb = ["-m", "augmind", "expand", str(data), "--out", str(out), "--preset", "quick", "--quiet", "--jobs", "1", "--test", "0.25", "--seeds", "1"]
    verb += ["--learner", "probe", "--generators", "vae,feature", "--steps", "vae=50", "--want", "digit 0=4", "--no-explain"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        [sys.executable, *flags, *verb], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=env
    )


def until(process: subprocess.Popen[str], moment: Callable[[], bool]) -> bool:
    """Waits for a moment; false if the process came to its end before."""
    end = time.monotonic() + SECONDS
    while process.poll() is None:
        if moment():
            return True
        assert time.monotonic() < end
        time.sleep(0.002)
    return False


def under_way(out: Path, kind: str) -> bool:
    """Whether a stage of this kind is being made right now."""
    if kind == "report":
        return (out / "events.jsonl").is_file() and '"started", "label": "verdict and report"' in (out / "events.jsonl").read_text()
    try:
        return any(name.startswith(f".{kind}-") and name.endswith(".tmp") for name in os.listdir(out / "stages"))  # noqa: PTH208  quick
    except FileNotFoundError:
        return False


def forget(out: Path, kind: str) -> None:
    """Finished stages of this kind have to be made again: an earlier round may have come past them."""
    if out.is_dir():
        store = Store(out)
        for name in store.finished():
            if name.startswith(f"{kind}-"):
                store.forget(name)


def below(pid: int) -> list[int]:
    """All processes that a process has started, and those they have."""
    parents = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found, new = [], [pid]
    while new:
        new = [child for child, parent in parents.items() if parent in new]
        found += new
    return found


def alive(pid: int) -> bool:
    try:
        return (Path(f"/proc/{pid}") / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def control_c(process: subprocess.Popen[str], times: int = 1, pause: float = 0.0) -> tuple[int, str]:
    """Interrupts the whole group as a terminal does; the exit code and standard error, once nothing of it is left alive."""
    workers = below(process.pid)
    for i in range(times):
        time.sleep(pause if i else 0.0)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=SECONDS)
    end = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(alive, workers)), "a worker outlived the command"
    return process.returncode, err


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("data") / "digits", per_class=8, classes=3)


@pytest.mark.timeout(900)
def test_control_c_at_every_stage_and_the_same_command_goes_on(data, tmp_path):
    """One run folder, interrupted once in each kind of stage; what comes out in the end is what an undisturbed run gives."""
    whole, out = start(data, tmp_path / "whole"), tmp_path / "stopped"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(HOLD)
    for kind in KINDS:
        forget(out, kind)
        process = start(data, out, HELD=kind, PYTHONPATH=str(tmp_path / "site"))
        assert until(process, lambda kind=kind: under_way(out, kind)), kind
        code, err = control_c(process)
        assert code == 130 and "the same command" in err.lower() and "continues" in err and len(err.splitlines()) == 1, err
        assert Store(out).damaged() == []
    last = start(data, out)
    for process in (last, whole):
        process.communicate(timeout=2 * SECONDS)
        assert process.returncode == 0
    assert not list(out.rglob(".*.tmp")) and Store(out).damaged() == []
    assert figures(out) == figures(tmp_path / "whole")


@pytest.mark.parametrize("module", ["cyclopts", "rich.console", "pydantic", "torch"])
def test_control_c_while_modules_are_imported(module, data, tmp_path):
    """Python tells what it imports; the signal comes just after this module or one inside it."""
    process = start(data, tmp_path / "r", "-X", "importtime")
    assert process.stderr is not None
    for line in process.stderr:
        if line.rpartition("|")[2].strip().startswith(module):
            break
    else:
        raise AssertionError(f"{module} was not imported")
    code, err = control_c(process)
    assert code in (130, -signal.SIGINT) and "Traceback" not in err, err[-2000:]
    assert not (tmp_path / "r" / "report.json").exists()


@pytest.mark.parametrize("pause", [0.0, 0.02, 0.2])
def test_control_c_twice_ends_without_a_traceback_and_goes_on(pause, data, tmp_path):
    """The second one may come while the first is being answered: then the process just ends."""
    out = tmp_path / "r"
    process = start(data, out)
    assert until(process, lambda: under_way(out, "prepare"))
    code, err = control_c(process, times=2, pause=pause)
    assert code in (130, -signal.SIGINT) and "Traceback" not in err, err
    assert Store(out).damaged() == []
    with Store(out).lock():
        Store(out).sweep()
    assert not [p for p in (out / "stages").iterdir() if p.name.endswith(".tmp")]


def test_control_c_while_an_archive_is_unpacked_leaves_nothing_in_the_temporary_folder(data, tmp_path):
    packed, temporary, out = tmp_path / "digits.zip", tmp_path / "t", tmp_path / "r"
    temporary.mkdir()
    with zipfile.ZipFile(packed, "w") as z:
        for path in sorted(data.rglob("*.png")):
            z.write(path, path.relative_to(data))
    process = start(packed, out, TMPDIR=str(temporary))
    assert until(process, lambda: any(temporary.rglob("*.png")))
    code, err = control_c(process)
    assert code == 130 and "Traceback" not in err and list(temporary.rglob("*")) == []


@pytest.mark.parametrize("ignored", [False, True])
def test_a_system_that_asks_it_to_end_finds_nothing_left(ignored, data, tmp_path):
    """SIGTERM, as `timeout`, `docker stop` and schedulers send it, also to a background job, which ignores Ctrl-C: as Ctrl-C, and no temporary folder
    stays behind."""
    was = signal.signal(signal.SIGINT, signal.SIG_IGN) if ignored else None
    out, temp = tmp_path / "r", tmp_path / "temp"
    temp.mkdir()
    process = start(data, out, TMPDIR=str(temp))
    if was is not None:
        signal.signal(signal.SIGINT, was)
    assert until(process, lambda: under_way(out, "prepare")) and list(temp.glob("augmind-*"))
    process.terminate()
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130 and "continues" in err and not list(temp.glob("augmind-*"))
