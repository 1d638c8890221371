"""Does the search beat random search on real sets, and is what it recommends no worse than what every search begins with?

    python -m benchmarks.policies --data FOLDER [--sets fashion cifar chest] [--seeds 5] [--trials 24] [--learner probe]
                                  [--samplers tpe random]

FOLDER holds `images/`: Fashion-MNIST, CIFAR-10 and chest X-rays. For every set and seed, which draws the training rows
and seeds everything else, one run without a search and one for each sampler with as many trials, all tested on the same sealed
rows, balanced accuracy in points. Printed for each set: the searched arm of each sampler on sealed rows; the mean ranks of the
samplers by the best score that they found on inner folds and by their arm on sealed rows; and the lead of each arm, with a 95 % t
interval over seeds, over the classical arm and over the default synthetic policy, both chosen without a search on inner folds. The
network from scratch gets 150 steps. Finished runs are not repeated. Expected: 1:30 minutes for each set and seed with the probe.
"""

import argparse
import io
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

import augmind
from augmind.api import Finished
from augmind.core.store import atomic_write

from .lowdata import SETS, interval, read

SAMPLERS = ("tpe", "gp", "random")
PER = {"fashion": (20, 100), "cifar": (20, 100), "chest": (50, 200)}
"""Training and test rows of a class."""
OPTIONS: dict[str, dict] = {"probe": {"generators": ("feature",)}, "cnn": {"generators": ("vae",), "steps": {"cnn": 150, "vae": 200}}}
Rows = dict[str, tuple[np.ndarray, np.ndarray]]


def chest(path: Path) -> Rows:
    """Training and test pictures; the archive is read without pickle."""
    with np.load(path) as found:
        return {k: (found[f"{k}_images"], found[f"{k}_labels"].ravel()) for k in ("train", "test")}


def rows_of(folder: Path, name: str) -> Rows:
    return chest(folder / "pneumoniamnist.npz") if name == "chest" else read(folder / SETS[name])


def cell(rows: Rows, name: str, seed: int, out: Path) -> Path:
    """Training and test rows of every class as one .npz, the training rows drawn with the seed."""
    rng, (train, test) = np.random.default_rng(2000 + seed), PER[name]
    (x, y), (tx, ty) = rows["train"], rows["test"]
    a = np.concatenate([rng.permutation(np.flatnonzero(y == k))[:train] for k in np.unique(y)])
    b = np.concatenate([np.flatnonzero(ty == k)[:test] for k in np.unique(ty)])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, train_images=x[a], train_labels=y[a], test_images=tx[b], test_labels=ty[b])
    if not out.exists():
        atomic_write(out, buffer.getvalue())
    return out


def outcomes(data: Path, out: Path, seed: int, learner: str, trials: int, samplers: list[str]) -> dict[str, float]:
    """Balanced accuracy in points: "classical" and "default" without a search, what each sampler recommends, and its best inner score."""
    options = {"preset": "quick", "seeds": 3, "seed": seed, "learner": (learner,), "track": ("none",), **OPTIONS[learner]}
    plain = arms(augmind.expand(data, out / "plain", **options))
    found = {"classical": plain["classical"], "default": plain.get("synthetic+classical", float("nan"))}
    for sampler in samplers:
        run = augmind.expand(data, out / sampler, search=True, sampler=sampler, trials=trials, **options)
        found[sampler] = arms(run)["searched"]
        found[f"best of {sampler}"] = 100 * run.searches[0]["best"]["value"]
    return found


def arms(run: Finished) -> dict[str, float]:
    return {a["arm"]: 100 * a["metrics"]["balanced_accuracy"]["mean"] for a in run.record["arms"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=list(PER), choices=list(PER))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--learner", default="probe", choices=("probe", "cnn"))
    parser.add_argument("--samplers", nargs="+", default=["tpe", "random"], choices=SAMPLERS)
    parser.add_argument("--out", type=Path, default=Path(".bench/policies"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    ranks: dict[str, list[np.ndarray]] = {"inner": [], "sealed": []}
    leads = [(sampler, rival) for sampler in args.samplers for rival in ("classical", "default")]
    heads = [*args.samplers, *(f"{s}, rank {kind}" for kind in ranks for s in args.samplers), *(f"{s} over {rival}" for s, rival in leads)]
    print(f"| set | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}")
    for name in args.sets:
        rows, found = rows_of(args.data / "images", name), []
        for seed in range(args.seeds):
            data = cell(rows, name, seed, args.out / f"{name}-{seed}.npz")
            found.append(outcomes(data, args.out / f"{args.learner}-{name}-{seed}", seed, args.learner, args.trials, args.samplers))
        table = {k: np.array([f[k] for f in found]) for k in found[0]}
        cells = [f"{table[s].mean():.1f}" for s in args.samplers]
        for kind, title in (("inner", "best of {}"), ("sealed", "{}")):
            own = [rankdata([-f[title.format(s)] for s in args.samplers]) for f in found]
            ranks[kind] += own
            cells += [f"{r:.2f}" for r in np.mean(own, axis=0)]
        cells += ["{:+.1f} ± {:.1f}".format(*interval(table[s] - table[rival])) for s, rival in leads]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    for kind, own in ranks.items():
        print(f"mean rank, {kind}: " + ", ".join(f"{s} {r:.2f}" for s, r in zip(args.samplers, np.mean(own, axis=0), strict=True)))


if __name__ == "__main__":
    main()
