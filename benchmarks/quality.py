"""Quality at equal time: our generators beside those of pythae and diffusers, each trained on the same rows for as long, on one thread.

    python -m benchmarks.quality --data FOLDER [--sets cifar fashion] [--per 50 600] [--seconds 60] [--seeds 3] [--arms vae ddpm ...] [--kept]

FOLDER holds `images/cifar10_small.zip` and `images/fashion_mnist_small.zip` (600 and 300 rows of each class to learn from; where `per` is more, all
are taken). An arm is NAME:SETTING=VALUE,SETTING=VALUE; arms that differ only in how they draw share a training. Time is that of the processor
(`time.process_time`), so a busy machine disturbs little. Ours take the steps that short trials of their own say will fill it, since their rates
fall over a training whose length they know; peers (`peers.py`) are stopped when it is over. 1,000 drawn rows (`--rows`) are held against 1,000 of the
test part, which nobody learns from, by the metrics of the package on its features. `labels`: whether rows of a wanted class can be drawn.
`nearness`: median distance of drawn rows to the nearest row that was learnt from, over that of fresh rows: well below 1, they are copies. Medians
over data seeds; the first line is what 1,000 other fresh rows reach. `--kept` measures against rows of the training part that were not learnt from,
for choices. Peers are no dependencies: where one is missing, the benchmark says what to install and goes on. Finished cells are
kept in `--out` and not repeated: remove it where a generator has changed. Expected: two minutes a line and seed on one free core with 60 seconds.
"""

import argparse
import importlib.util
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from augmind.core.registry import make
from augmind.core.run import Run
from augmind.core.seeds import row_seeds
from augmind.core.types import Choice, Data

from .families import METRICS, Bench, arm, of_each
from .lowdata import SETS, TEST_PER_CLASS
from .peers import PEERS, Clock, Peer

ARMS = (
    "vae",
    "vae:draw=density",
    "diffusion",
    "flow",
    "gan",
    "pythae_vae:draw=normal",
    "pythae_vae:draw=gmm",
    "pythae_rhvae:draw=gmm",
    "ddpm",
)
AFTERWARDS = {"draw", "points", "guidance", "temperature"}
"""Settings that matter to drawing alone, but for the VampPrior, which is learnt."""
TRIALS = (50, 100)
"""Steps of the two short trainings that say how many fit into the time."""
COLUMNS = {"steps": 0, "training": 0, "drawing": 1, **METRICS, "nearness": 2}
"""What is told of an arm, and to how many digits; times in seconds of the processor."""


def parts(choice: Choice) -> tuple[Choice, dict[str, Any]]:
    """What an arm trains, and how it draws."""
    drawn = {k: v for k, v in choice.settings.items() if k in AFTERWARDS and v != "vamp"}
    return Choice(name=choice.name, settings={k: v for k, v in choice.settings.items() if k not in drawn}), drawn


class Ours:
    """A generator of the package, trained for so many seconds."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self.rates: dict[int, tuple[float, float]] = {}

    def fit(self, data: Data, seconds: float, seed: int) -> dict[str, float]:
        key = len(data.train)
        if key not in self.rates:
            _, few, many = (self._trained(data, n, seed)[1] for n in (TRIALS[0], *TRIALS))  # the first one imports
            whole = many / TRIALS[1]
            each = min(whole, max(0.7 * whole, (many - few) / (TRIALS[1] - TRIALS[0])))
            self.rates[key] = each, many - TRIALS[1] * each
        each, fixed = self.rates[key]
        self.generator, took = self._trained(data, max(50, round((seconds - fixed) / each)), seed)
        return {"steps": self.generator.curves.steps, "training": took}

    def _trained(self, data: Data, steps: int, seed: int) -> tuple[Any, float]:
        generator = make("generators", Choice(name=self.choice.name, settings=self.choice.settings | {"steps": steps}))
        with tempfile.TemporaryDirectory() as folder:
            started = time.process_time()
            generator.fit(data, Run(folder=Path(folder), seed=seed))
            return generator, time.process_time() - started

    def draw(self, y: torch.Tensor, seed: int, settings: dict[str, Any]) -> torch.Tensor:
        usual = make("generators", Choice(name=self.choice.name, settings=self.choice.settings)).settings()
        for name in AFTERWARDS & usual.keys():
            setattr(self.generator, name, settings.get(name, usual[name]))
        return self.generator.sample(y, row_seeds(len(y), "quality", seed))


class Theirs:
    """A peer with the same face."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice

    def fit(self, data: Data, seconds: float, seed: int) -> dict[str, float]:
        self.peer: Peer = PEERS[self.choice.name](**self.choice.settings)
        clock = Clock(seconds)
        self.peer.fit(data, clock, seed)
        return {"steps": clock.steps, "training": clock.spent}

    def draw(self, y: torch.Tensor, seed: int, settings: dict[str, Any]) -> torch.Tensor:
        return self.peer.draw(y, seed, **settings)


def nearest(z: torch.Tensor, learnt: torch.Tensor) -> float:
    """Median distance of rows to the nearest one that was learnt from."""
    return torch.cdist(z.float(), learnt.float()).amin(1).median().item()


class Cell:
    """One set, size and data seed: what was learnt from, and what drawn rows are held against."""

    def __init__(self, bench: Bench, per: int, seed: int, kept: bool) -> None:
        self.bench, self.seed, self.data = bench, seed, bench.data(per, seed)
        self.fresh = bench.held
        if kept:
            rows = of_each(bench.rows["train"][1], bench.order(seed), per, per + TEST_PER_CLASS)
            if len(rows) < TEST_PER_CLASS * len(bench.spec.classes):
                raise SystemExit(f"--kept needs {TEST_PER_CLASS} rows of each class beside the {per} that are learnt from: lower --per")
            self.fresh = bench.features[rows]
        self.apart = nearest(self.fresh, self.learnt)

    @property
    def learnt(self) -> torch.Tensor:
        assert self.data.train.z is not None
        return self.data.train.z

    def measured(self, trained: Ours | Theirs, drawn: dict[str, Any], rows: int) -> dict[str, float]:
        y = torch.arange(rows) % self.data.classes
        started = time.process_time()
        x = self.data.spec.to_store(trained.draw(y, self.seed, drawn))
        took = time.process_time() - started
        z = self.bench.codec.embed(x)
        return {"drawing": took, **self.bench.against(self.fresh, z), "nearness": nearest(z, self.learnt) / self.apart}


def missing(name: str) -> str:
    """What to install for a peer that is not here; empty where it is."""
    package = PEERS[name].package if name in PEERS else ""
    return "" if not package or importlib.util.find_spec(package) else f"{name} is left out: pip install {package}"


def line(what: str, labels: bool, cells: list[dict[str, float]]) -> str:
    values = [f"{median(c[k] for c in cells):.{digits}f}" for k, digits in COLUMNS.items()]
    return f"| {what} | {'yes' if labels else 'no'} | {' | '.join(values)} |"


def table(name: str, per: int, bench: Bench, arms: list[Choice], args: argparse.Namespace) -> None:
    """Trains, draws, measures and prints one set and size."""
    print(f"\n{name}, {per} rows of each class, {args.rows} drawn, {args.seconds:g} s, {args.seeds} data seeds\n")
    print("| rows | labels | steps | training, s | drawing, s | Frechet distance | kernel distance | density | coverage | nearness |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    print(f"| other fresh rows | | | | | {' | '.join(f'{bench.floor[k]:.{d}f}' for k, d in METRICS.items())} | 1.00 |", flush=True)
    trained: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for choice in arms:
        trained.setdefault(str(parts(choice)[0]), []).append((str(choice), parts(choice)[1]))
    cells = {seed: Cell(bench, per, seed, args.kept) for seed in range(args.seeds)}
    for choice in {str(parts(c)[0]): parts(c)[0] for c in arms}.values():
        one = Theirs(choice) if choice.name in PEERS else Ours(choice)
        found: dict[str, list[dict[str, float]]] = {}
        for seed, cell in cells.items():
            keys = {what: f"{name} {per} {seed} {args.seconds:g} {args.rows} {args.kept} {what}" for what, _ in trained[str(choice)]}
            if not all(key in args.done for key in keys.values()):
                fitted = one.fit(cell.data, args.seconds, seed)
                for what, drawn in trained[str(choice)]:
                    args.done[keys[what]] = fitted | cell.measured(one, drawn, args.rows)
                args.out.write_text(json.dumps(args.done, indent=1))
            for what, key in keys.items():
                found.setdefault(what, []).append(args.done[key])
        for what, own in found.items():
            print(line(what, choice.name not in PEERS or PEERS[choice.name].labels, own), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["cifar", "fashion"], choices=list(SETS))
    parser.add_argument("--per", type=int, nargs="+", default=[50, 600])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1000, help="rows that are drawn")
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    parser.add_argument("--kept", action="store_true", help="measure against kept training rows, not the test part")
    parser.add_argument("--out", type=Path, default=Path(".bench/quality.json"))
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.done = json.loads(args.out.read_text()) if args.out.exists() else {}
    torch.set_num_threads(1)
    arms = [arm(text) for text in args.arms]
    for text in dict.fromkeys(filter(None, (missing(choice.name) for choice in arms))):
        print(text)
    arms = [choice for choice in arms if not missing(choice.name)]
    for name in args.sets:
        bench = Bench(args.data, name)
        most = int(torch.bincount(bench.rows["train"][1]).min())
        for per in dict.fromkeys(min(per, most) for per in args.per):
            table(name, per, bench, arms, args)


if __name__ == "__main__":
    main()
