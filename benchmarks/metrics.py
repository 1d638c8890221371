"""Metrics against their peers: time, memory and agreement on two sets of feature rows.

    python -m benchmarks.metrics [--rows 10000] [--width 1280] [--threads 2] [--repeats 1]

Every measurement runs in a process of its own, ours and the peer's in turn: CPU seconds and wall seconds of the computation (not
of imports and drawing), and the peak memory of the whole process. Features are rectified random mixtures, as those of a network.
The kernel distance of torchmetrics is the mean over its default 100 random subsets of 1,000 rows, ours that over all pairs, so
they agree up to the noise of the subsets. Expected with the defaults on 2 cores: about a minute; every ratio below 1 and our
peak below 2 GiB.
"""

import argparse
import contextlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

Figures = dict[str, float]


def drawn(rows: int, width: int) -> tuple[Tensor, Tensor]:
    """Two overlapping sets of correlated, rectified features."""
    rng = torch.Generator().manual_seed(0)
    mix = torch.randn((64, width), generator=rng) / 8
    real = torch.randn((rows, 64), generator=rng) @ mix + 0.3 * torch.randn((rows, width), generator=rng)
    synthetic = (torch.randn((rows, 64), generator=rng) * 0.9 + 0.1) @ mix + 0.3 * torch.randn((rows, width), generator=rng)
    return real.relu_(), synthetic.relu_()


def ours_prdc() -> Callable[[Tensor, Tensor], Figures]:
    from augmind.metrics._manifold import measured

    return lambda real, synthetic: measured(real, synthetic, 5)


def peer_prdc() -> Callable[[Tensor, Tensor], Figures]:
    from prdc import compute_prdc

    def compute(real: Tensor, synthetic: Tensor) -> Figures:
        with contextlib.redirect_stdout(io.StringIO()):
            return {k: float(v) for k, v in compute_prdc(real.numpy(), synthetic.numpy(), nearest_k=5).items()}

    return compute


def ours_frechet() -> Callable[[Tensor, Tensor], Figures]:
    from augmind.metrics.frechet import Frechet

    return lambda real, synthetic: {"frechet": Frechet().measure(real, synthetic)}


def peer_frechet() -> Callable[[Tensor, Tensor], Figures]:
    from torchmetrics.image.fid import FrechetInceptionDistance

    def compute(real: Tensor, synthetic: Tensor) -> Figures:
        features = nn.Identity()
        features.num_features = real.shape[1]  # pyright: ignore[reportArgumentType]
        metric = FrechetInceptionDistance(feature=features)
        metric.update(real, real=True)
        metric.update(synthetic, real=False)
        return {"frechet": float(metric.compute())}

    return compute


def ours_kid() -> Callable[[Tensor, Tensor], Figures]:
    from augmind.metrics.kid import Kid

    return lambda real, synthetic: {"kid": Kid().measure(real, synthetic)}


def peer_kid() -> Callable[[Tensor, Tensor], Figures]:
    from torchmetrics.image.kid import KernelInceptionDistance

    def compute(real: Tensor, synthetic: Tensor) -> Figures:
        metric = KernelInceptionDistance(feature=nn.Identity(), subset_size=min(1000, len(real)))
        metric.update(real, real=True)
        metric.update(synthetic, real=False)
        return {"kid": float(metric.compute()[0])}

    return compute


TASKS = {
    "precision, recall, density, coverage": (ours_prdc, peer_prdc, "prdc"),
    "Frechet distance": (ours_frechet, peer_frechet, "torchmetrics"),
    "kernel distance": (ours_kid, peer_kid, "torchmetrics"),
}


def measured_here(task: str, side: int, rows: int, width: int, threads: int) -> dict[str, object]:
    """One measurement in this process."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    compute = TASKS[task][side]()
    real, synthetic = drawn(rows, width)
    compute(real[:100], synthetic[:100])
    cpu, wall = time.process_time(), time.perf_counter()
    figures = compute(real, synthetic)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"figures": figures, "cpu": cpu, "wall": wall, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def measured_apart(task: str, side: int, options: argparse.Namespace) -> dict[str, object]:
    """One measurement in a process of its own."""
    sizes = ["--rows", str(options.rows), "--width", str(options.width), "--threads", str(options.threads)]
    command = [sys.executable, "-m", "benchmarks.metrics", *sizes, "--task", task, "--side", str(side)]
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(options.threads))
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--task", choices=list(TASKS), help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        print(json.dumps(measured_here(options.task, options.side, options.rows, options.width, options.threads)))
        return
    print(f"{options.rows} x {options.rows} rows of {options.width} features, {options.threads} threads, median of {options.repeats}\n")
    print("| metric | ours cpu s | peer cpu s | cpu ratio | wall ratio | ours peak GiB | peer peak GiB | largest difference | peer |")
    print("|---|---|---|---|---|---|---|---|---|")
    for task, (_, _, peer) in TASKS.items():
        runs = [[measured_apart(task, side, options) for side in (0, 1)] for _ in range(options.repeats)]
        cpu, wall, peak = ([statistics.median(pair[side][key] for pair in runs) for side in (0, 1)] for key in ("cpu", "wall", "peak"))
        a, b = (runs[0][side]["figures"] for side in (0, 1))
        gap = max(abs(a[k] - b[k]) for k in a)
        print(
            f"| {task} | {cpu[0]:.1f} | {cpu[1]:.1f} | {cpu[0] / cpu[1]:.2f} | {wall[0] / wall[1]:.2f} "
            f"| {peak[0]:.2f} | {peak[1]:.2f} | {gap:.1e} | {peer} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
