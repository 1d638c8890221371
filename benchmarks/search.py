"""Does the search find what is planted, and does it beat random search at as many trials?

    python -m benchmarks.search [--seeds 10] [--trials 20]

Digits stand anywhere on a larger ground; a nearest-neighbour learner; four classical transforms of pictures and three planted
ones: `anywhere` (the best: rows may be rolled to any place), `swap` (harmful: labels of other rows) and `idle` (irrelevant).
For every seed (data, folds and sampler) and sampler: the winner's transform, and balanced accuracy of the searched arm and of
the best arm that every search begins with, on sealed rows. Nothing is generated. Expected: about 20 s a seed and sampler.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

import augmind
from augmind.core.store import read_json

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
SAMPLERS = ("tpe", "gp", "random")


def outcome(folder: Path, seed: int, sampler: str, trials: int) -> dict:
    """Winner, its inner and outer score, and the trial at which the best transform was first seen among the leaders."""
    from runs import scattered

    data = folder / f"digits-{seed}.npz"
    if not data.exists():
        scattered(data, train=12, test=80, seed=seed)
    options = {"preset": "quick", "seeds": 1, "learner": ("nearest",), "generators": (), "jobs": 0, "seed": seed}
    run = augmind.expand(data, folder / f"{sampler}-{seed}", search=True, trials=trials, sampler=sampler, **options)
    (path,) = (run.folder / "stages").glob("search-*/search.json")
    found = read_json(path)
    arms = {a["arm"]: a["metrics"]["balanced_accuracy"]["mean"] for a in run.record["arms"]}
    incumbent = max((t for t in found["trials"] if t["name"]), key=lambda t: t["value"])
    transform = found["winner"]["policy"]["classical"]["transform"]["name"]
    return {"transform": transform, "inner": found["winner"]["value"], "outer": arms["searched"], "incumbent": incumbent["value"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS), choices=SAMPLERS)
    args = parser.parse_args()
    from runs import plant_search

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        plant_search(folder / "site")
        sys.path.insert(0, str(folder / "site"))
        table = {s: [outcome(folder, seed, s, args.trials) for seed in range(args.seeds)] for s in args.samplers}
    ranks = np.mean([rankdata([-table[s][i]["outer"] for s in args.samplers]) for i in range(args.seeds)], axis=0)
    for sampler, rank in zip(args.samplers, ranks, strict=True):
        rows = table[sampler]
        best, harm = (sum(r["transform"] == name for r in rows) for name in ("anywhere", "swap"))
        inner, outer, first = (100 * np.mean([r[k] for r in rows]) for k in ("inner", "outer", "incumbent"))
        print(f"{sampler:7} best found {best}/{len(rows)}, harmful won {harm}/{len(rows)}; inner {inner:.1f}, sealed {outer:.1f}, "
              f"optimism {inner - outer:+.1f}, best incumbent (inner) {first:.1f}; mean rank {rank:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
