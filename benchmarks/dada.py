"""CIFAR-10 with few rows, set beside the figures of DADA (arXiv:1809.00981): a network from scratch, real rows against GAN rows.

    python -m benchmarks.dada --data FOLDER [--per 50 100 200] [--seeds 5] [--preset quick]

FOLDER holds `images/cifar10_small.zip`. Each cell is `augmind expand --learner cnn` on rows drawn with its own data seed, tested on
1,000 rows that no choice sees. Published figures chose the best epoch on the test set and another network, so levels do not
compare; what compares is what each says of generated rows against classical augmentation. Finished cells are not repeated.
Expected: about 4 minutes a cell on 2 cores.
"""

import argparse
from pathlib import Path

import numpy as np

from .lowdata import SETS, interval, read, run_cell

PUBLISHED = {50: (39.5, 45.6), 100: (47.0, 52.0), 200: (56.8, 61.8)}
"""Accuracy of DADA's table by rows a class: classical augmentation alone, and with its GAN."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--per", type=int, nargs="+", default=list(PUBLISHED), choices=list(PUBLISHED))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--out", type=Path, default=Path(".bench/dada"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = read(args.data / "images" / SETS["cifar"])
    print("| per class | real | best classical | with generated rows | gain over classical | published: classical | with its GAN | gain |")
    print("|---|---|---|---|---|---|---|---|")
    for per in args.per:
        cells = [run_cell(rows, "cifar", per, seed, ("cnn",), args.out, times=(1,), preset=args.preset)["cnn"] for seed in range(args.seeds)]
        real, classical, ours = (np.array([c[arm] for c in cells]) for arm in ("real", "classical", "synthetic+classical"))
        told = [f"{m:.1f} ± {h:.1f}" for m, h in map(interval, (real, classical, ours))]
        gain, half = interval(ours - classical)
        theirs, gan = PUBLISHED[per]
        print(f"| {per} | {' | '.join(told)} | {gain:+.1f} ± {half:.1f} | {theirs} | {gan} | {gan - theirs:+.1f} |", flush=True)


if __name__ == "__main__":
    main()
