"""Few labelled pictures and a related dataset of other classes: what it adds without any drawn row, and what drawing from what it taught adds.

    python -m benchmarks.source --data FOLDER [--sets cifar fashion] [--per 10] [--source 600] [--seeds 5] [--learners cnn probe] [--steps 400]

FOLDER holds `images/fashion_mnist_idx` and `images/cifar10_small.zip`. A data seed deals the ten classes: five are the dataset's, with `per` labelled
rows each, and five the source's, with `source` rows each; 200 rows a class, the same for all seeds, are tested. Each cell is `augmind expand DATA
--source OTHERS --preset quick`; the oracle is its best classical arm with five times as many rows and no source. Prints what part of the way from the
best classical arm to the oracle the source covers with nothing drawn, and with synthetic rows on top. Finished cells are not repeated. Expected:
about 15 minutes a cell and oracle on one core with `cnn`.
"""

import argparse
import io
from pathlib import Path

import numpy as np

import augmind
from augmind.core.store import atomic_write, write_json

from .lowdata import note, told
from .unlabelled import Rows, rows_named

TESTED, MORE = 200, 5
"""Rows a class that are tested, and how many times as many rows the oracle has."""
ARMS = ("real", "classical", "source", "synthetic+source", "oracle")


def cell_data(rows: Rows, name: str, per: int, source: int, seed: int, out: Path) -> tuple[Path, Path, Path]:
    """The labelled and the tested rows, the same with `MORE` times as many labels, and the rows of the other classes, each as an .npz."""
    (x, y), (tx, ty) = rows["train"], rows["test"]
    rng = np.random.default_rng(1000 + seed)
    classes, order = rng.permutation(np.unique(y)), rng.permutation(len(y))
    own, others = classes[:5], classes[5:]
    test = np.concatenate([np.flatnonzero(ty == k)[:TESTED] for k in own])
    files = {}
    for many, which, n in (("few", own, per), ("oracle", own, MORE * per), ("source", others, source)):
        files[many] = out / f"{name}-{per}-{seed}-{many}-{n}.npz"
        if not files[many].exists():
            drawn, buffer = np.concatenate([order[y[order] == k][:n] for k in which]), io.BytesIO()
            tested = {} if many == "source" else {"test_images": tx[test], "test_labels": ty[test]}
            np.savez_compressed(buffer, train_images=x[drawn], train_labels=y[drawn], **tested)
            atomic_write(files[many], buffer.getvalue())
    return files["few"], files["oracle"], files["source"]


def run_cell(rows: Rows, name: str, seed: int, asked: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Balanced accuracy in points by learner and arm, the oracle among them."""
    learners: dict[str, dict[str, float]] = {learner: {} for learner in asked.learners}
    data, oracle, source = cell_data(rows, name, asked.per, asked.source, seed, asked.out)
    given = {"preset": "quick", "learner": tuple(asked.learners), "seeds": asked.trainings, "jobs": asked.jobs, "explain": False}
    given |= {"steps": {"cnn": asked.steps}} if "cnn" in asked.learners else {}
    run = augmind.expand(data, asked.out / f"run-{data.stem}-{asked.source}", source=str(source), generators=tuple(asked.generators), **given)
    note(learners, run.record, oracle=False)
    print(f"{name} {seed}: {run.record['verdict']['sentence']}", flush=True)
    note(learners, augmind.expand(oracle, asked.out / f"run-{oracle.stem}", generators=(), **given).record, oracle=True)
    return learners


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["cifar", "fashion"], choices=["cifar", "fashion"])
    parser.add_argument("--per", type=int, default=10)
    parser.add_argument("--source", type=int, default=600, help="rows of each class of the source")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trainings", type=int, default=1, help="trainings a cell")
    parser.add_argument("--learners", nargs="+", default=["cnn", "probe"])
    parser.add_argument("--generators", nargs="*", default=["vae", "feature"])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(".bench/source"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, object]] = []
    for name in args.sets:
        rows = rows_named(name, args.data)
        cells = [run_cell(rows, name, seed, args) for seed in range(args.seeds)]
        for learner in args.learners:
            lines += told(name, learner, [c[learner] for c in cells], ARMS)
    write_json(args.out / "source.json", {"seeds": args.seeds, "per": args.per, "source": args.source, "rows": lines})


if __name__ == "__main__":
    main()
