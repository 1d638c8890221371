"""Few labelled pictures and a pool without labels: what labelling the pool adds, beside an oracle that knows the pool's labels.

    python -m benchmarks.unlabelled --data FOLDER [--sets fashion cifar] [--per 10] [--pool 5000] [--seeds 5] [--learners cnn probe] [--steps 500]
                                    [--generators vae feature]

FOLDER holds `images/fashion_mnist_idx` and `images/cifar10_small.zip`. A data seed draws `per` labelled rows of each class and `pool` others; 200
rows a class, the same for all, are tested. Each cell is `augmind expand DATA --unlabelled POOL --preset quick`: what it recommends by itself. The
oracle is its best classical arm where the pool has its true labels. No arm samples anything, unless `--generators` names some: these learn from the
pool under the labels that `pseudo` gives it, and what they draw has to beat the arm "pool", in which those rows are without it. The last column is
what part of the way from the best classical arm to the oracle an arm goes. Finished cells are not repeated. Expected: about 12 minutes a cell and
oracle on one core with `cnn`.
"""

import argparse
import gzip
import io
from pathlib import Path

import numpy as np
from PIL import Image

import augmind
from augmind.core.store import atomic_write, write_json

from .lowdata import note, read, told

TESTED = 200
"""Rows a class that are tested."""
ARMS = ("real", "classical", "synthetic", "synthetic+classical", "pool", "synthetic+pool", "oracle")
Rows = dict[str, tuple[np.ndarray, np.ndarray]]


def fashion(folder: Path) -> Rows:
    """All of Fashion-MNIST."""

    def array(name: str, skip: int) -> np.ndarray:
        return np.frombuffer(gzip.decompress((folder / name).read_bytes()), np.uint8, offset=skip)

    found = {}
    for split, start in (("train", "train"), ("test", "t10k")):
        x = array(f"{start}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
        found[split] = x, np.array([f"class {k}" for k in array(f"{start}-labels-idx1-ubyte.gz", 8)])
    return found


def rows_named(name: str, data: Path) -> Rows:
    """The rows of "fashion" or "cifar" below a folder of data."""
    images = data / "images"
    return fashion(images / "fashion_mnist_idx") if name == "fashion" else read(images / "cifar10_small.zip")


def cell_data(rows: Rows, name: str, per: int, pool: int, seed: int, out: Path) -> tuple[Path, Path, Path]:
    """An .npz of the labelled and the tested rows, the folder of the pool, and an .npz whose training rows are both with true labels."""
    (x, y), (tx, ty) = rows["train"], rows["test"]
    order = np.random.default_rng(1000 + seed).permutation(len(y))
    train = np.concatenate([order[y[order] == k][:per] for k in np.unique(y)])
    rest = np.setdiff1d(order, train, assume_unique=True)
    rest = np.random.default_rng(2000 + seed).permutation(rest)[:pool]
    test = np.concatenate([np.flatnonzero(ty == k)[:TESTED] for k in np.unique(ty)])
    files = out / f"{name}-{per}-{seed}.npz", out / f"{name}-{per}-{seed}-oracle-{pool}.npz"
    for file, own in zip(files, (train, np.concatenate([train, rest])), strict=True):
        if not file.exists():
            buffer = io.BytesIO()
            np.savez_compressed(buffer, train_images=x[own], train_labels=y[own], test_images=tx[test], test_labels=ty[test])
            atomic_write(file, buffer.getvalue())
    folder = out / f"{name}-{per}-{seed}-pool-{pool}"
    folder.mkdir(exist_ok=True)
    for i, row in enumerate(rest):
        path = folder / f"{i:05d}.png"
        if not path.exists():
            Image.fromarray(x[row]).save(path)
    return files[0], folder, files[1]


def run_cell(rows: Rows, name: str, seed: int, asked: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Balanced accuracy in points by learner and arm, the oracle among them."""
    learners: dict[str, dict[str, float]] = {learner: {} for learner in asked.learners}
    data, pool, oracle = cell_data(rows, name, asked.per, asked.pool, seed, asked.out)
    given = {"preset": "quick", "learner": tuple(asked.learners), "seeds": asked.trainings, "jobs": asked.jobs, "explain": False}
    given |= {"steps": {"cnn": asked.steps}} if "cnn" in asked.learners else {}
    drawn = {"generators": ("pseudo", *asked.generators)} if asked.generators else {}
    run = augmind.expand(data, asked.out / "-".join([f"run-{data.stem}-{asked.pool}", *asked.generators]), unlabelled=str(pool), **drawn, **given)
    note(learners, run.record, oracle=False)
    print(f"{name} {seed}: {run.record['verdict']['sentence']}", flush=True)
    note(learners, augmind.expand(oracle, asked.out / f"run-{oracle.stem}", generators=(), **given).record, oracle=True)
    return learners


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["fashion", "cifar"], choices=["fashion", "cifar"])
    parser.add_argument("--per", type=int, default=10)
    parser.add_argument("--pool", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trainings", type=int, default=1, help="trainings a cell")
    parser.add_argument("--learners", nargs="+", default=["cnn", "probe"])
    parser.add_argument("--generators", nargs="*", default=[], help="generators that learn from the pool too")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(".bench/unlabelled"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, object]] = []
    for name in args.sets:
        rows = rows_named(name, args.data)
        cells = [run_cell(rows, name, seed, args) for seed in range(args.seeds)]
        for learner in args.learners:
            lines += told(name, learner, [c[learner] for c in cells], ARMS)
    write_json(args.out / "unlabelled.json", {"seeds": args.seeds, "pool": args.pool, "rows": lines})


if __name__ == "__main__":
    main()
