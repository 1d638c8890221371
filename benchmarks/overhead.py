"""What the machinery of a search costs: wall time in which nothing is trained or scored, with one worker.

    python -m benchmarks.overhead --data FOLDER [--per 20] [--trials 24] [--learner probe,cnn]

FOLDER holds `images/fashion_mnist_small.zip`. Two figures: of the whole `augmind search`, from its first to its last moment, the
part outside all pieces of work (loading, features, training, drawing, scoring); and of the time between the first and the last
score the part outside scores: proposing, telling, pruning, writing down. Expected: about 8 minutes on 2 cores.
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
            begun, spent, moments = dict[str, float](), {"all": 0.0, "scores": 0.0}, list[float]()

            def watch(item: Any, state: str, begun: dict = begun, spent: dict = spent, moments: list = moments) -> None:
                now, scoring = time.monotonic(), item.name.startswith("try ")
                if scoring:
                    moments.append(now)
                if state == "started":
                    begun[item.name] = now
                else:
                    spent["all"] += now - begun[item.name]
                    spent["scores"] += scoring * (now - begun[item.name])

            options = {"preset": "quick", "trials": args.trials, "generators": ("vae", "feature"), "jobs": 1, "track": ("none",)}
            started = time.monotonic()
            augmind.expand(data, Path(temp) / learner, search=True, learner=(learner,), until="search", watch=watch, **options)
            whole, search = time.monotonic() - started, moments[-1] - moments[0]
            parts = f"{100 * (1 - spent['all'] / whole):.1f} % of {whole:.0f} s; {100 * (1 - spent['scores'] / search):.1f} % of the {search:.0f} s"
            print(f"{learner}: {args.trials} trials, {len(moments) // 2} scores; machinery {parts} of proposing and scoring", flush=True)


if __name__ == "__main__":
    main()
