"""What the machinery of a search costs: its wall time less that of the scores it asked for, with one worker.

    python -m benchmarks.overhead --data FOLDER [--per 20] [--trials 24] [--learner probe,cnn]

FOLDER holds `images/fashion_mnist_small.zip`. Everything between the first and the last score that is not itself a score counts as
machinery: proposing, telling, pruning, replaying, starting pieces of work. Expected: about 3 minutes on 2 cores.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import augmind

from .lowdata import SETS, cell_data, read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--per", type=int, default=20)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--learner", default="probe,cnn")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        data = cell_data(read(args.data / "images" / SETS["fashion"]), args.per, 0, Path(temp) / "data.npz")
        for learner in args.learner.split(","):
            begun, spent, moments = dict[str, float](), list[float](), list[float]()

            def watch(item: Any, state: str, begun: dict = begun, spent: list = spent, moments: list = moments) -> None:
                if item.name.startswith("try "):
                    moments.append(time.monotonic())
                    if state == "started":
                        begun[item.name] = moments[-1]
                    else:
                        spent.append(moments[-1] - begun[item.name])

            options = {"preset": "quick", "trials": args.trials, "generators": ("vae", "feature"), "jobs": 1, "track": ("none",)}
            augmind.expand(data, Path(temp) / learner, search=True, learner=(learner,), until="search", watch=watch, **options)
            wall = moments[-1] - moments[0]
            told = f"{args.trials} trials, {len(spent)} scores in {wall:.1f} s, of which scoring {sum(spent):.1f} s"
            print(f"{learner}: {told}: machinery {100 * (1 - sum(spent) / wall):.1f} %", flush=True)


if __name__ == "__main__":
    main()
