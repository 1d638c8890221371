"""kill -9 at random moments, then the same command: the same figures as an undisturbed run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runs import figures, folder

KILLS = int(os.environ.get("AUGMIND_KILLS", "1"))
"""More by hand: AUGMIND_KILLS=20 pytest tests/test_kill.py"""


def command(data: Path, out: Path) -> list[str]:
    verb = [sys.executable, "-m", "augmind", "expand", str(data), "--out", str(out), "--preset", "quick", "--quiet"]
    return [*verb, "--test", "0.25", "--seeds", "1", "--generators", "vae,feature", "--steps", "vae=120", "cnn=20", "--no-explain"]


@pytest.mark.timeout(1200)
def test_a_killed_run_ends_with_the_same_figures(tmp_path):
    """Moments are spread over a run. A run that ends before its moment is compared, and the next one is begun and killed."""
    data = folder(tmp_path / "digits", per_class=8, classes=3)
    started = time.monotonic()
    subprocess.run(command(data, tmp_path / "whole"), check=True, capture_output=True)
    whole, expected = time.monotonic() - started, figures(tmp_path / "whole")
    kills, survived = 0, 0
    while kills < KILLS:
        out = tmp_path / f"killed {survived}"
        process = subprocess.Popen(command(data, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=2.5 + 0.6 * whole * ((kills * 0.6180339887) % 1))
            assert process.returncode == 0 and figures(out) == expected
            survived += 1
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    subprocess.run(command(data, tmp_path / f"killed {survived}"), check=True, capture_output=True)
    assert figures(tmp_path / f"killed {survived}") == expected
    print(f"{kills} kills, {survived + 1} runs ended with the same figures")
