"""Generators side by side: how near their rows come to real rows that they have not seen, after equal steps and after equal time.

    python -m benchmarks.families --data FOLDER --arms gan transformer_gan transformer_gan:share=true [--per 50] [--seeds 3] [--steps 400] [--time]

FOLDER holds `images/fashion_mnist_small.zip`. An arm is a generator with settings, NAME:SETTING=VALUE,SETTING=VALUE. A data seed draws `per` rows of
each class to learn from; 1,000 rows of an arm are held against 1,000 held-out ones by the metrics of the package on its features. `--time` trains
every other arm once more, for as long as the first arm took: the steps are those that its own rate gives, in seconds of the processor, so a busy
machine disturbs little. The first line is what 1,000 other real rows reach. Expected: a minute or two a line and seed on one core with 400 steps.
"""

import argparse
import json
import tempfile
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from augmind.core.registry import make
from augmind.core.run import Run
from augmind.core.seeds import row_seeds
from augmind.core.types import Choice, Data, Samples, Spec
from augmind.modalities.image.codec import ImageCodec

from .lowdata import SETS, TEST_PER_CLASS, interval, read

METRICS = {"frechet": 0, "kid": 3, "density": 2, "coverage": 3}
"""What is told, and to how many digits."""
Rows = dict[str, tuple[torch.Tensor, torch.Tensor]]


def value(text: str) -> Any:
    """A setting as it was typed: a number, true or false, or a word."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def arm(text: str) -> Choice:
    name, _, settings = text.partition(":")
    return Choice(name=name, settings={k: value(v) for k, _, v in (part.partition("=") for part in settings.split(",") if part)})


def of_each(y: torch.Tensor, order: torch.Tensor, first: int, last: int) -> torch.Tensor:
    """Places of the first to the last row of every class in this order."""
    return torch.cat([order[y[order] == k][first:last] for k in y.unique()])


def grids(x: np.ndarray) -> torch.Tensor:
    """Pictures (n, h, w) or (n, h, w, c) as stored rows (n, c, h, w)."""
    rows = torch.from_numpy(x)
    return rows[:, None] if rows.ndim == 3 else rows.permute(0, 3, 1, 2).contiguous()


class Bench:
    """Rows of a set, features of the held-out ones, and what is measured against them."""

    def __init__(self, folder: Path, name: str = "fashion") -> None:
        found = read(folder / "images" / SETS[name])
        self.rows: Rows = {k: (grids(x), torch.from_numpy(np.unique(y, return_inverse=True)[1])) for k, (x, y) in found.items()}
        self.spec = Spec(kind="continuous", shape=tuple(self.rows["train"][0].shape[1:]), classes=tuple(np.unique(found["train"][1])))
        self.codec = ImageCodec(self.spec)
        self.metrics = {name: make("metrics", Choice(name=name)) for name in METRICS}
        x, y = self.rows["test"]
        held, other = (of_each(y, torch.arange(len(y)), n, n + TEST_PER_CLASS) for n in (0, TEST_PER_CLASS))
        self.held = self.codec.embed(x[held])
        self.floor = self.figures(x[other])

    @cached_property
    def features(self) -> torch.Tensor:
        """Those of all rows of the training part."""
        return self.codec.embed(self.rows["train"][0])

    def figures(self, x: torch.Tensor) -> dict[str, float]:
        return self.against(self.held, self.codec.embed(x))

    def against(self, real: torch.Tensor, z: torch.Tensor) -> dict[str, float]:
        """The metrics of drawn features against real ones."""
        return {name: metric.measure(real, z) for name, metric in self.metrics.items()}

    def order(self, seed: int) -> torch.Tensor:
        """In which order a data seed takes the rows of the training part."""
        return torch.from_numpy(np.random.default_rng(1000 + seed).permutation(len(self.rows["train"][1])))

    def data(self, per: int, seed: int) -> Data:
        x, y = self.rows["train"]
        rows = of_each(y, self.order(seed), 0, per)
        train = Samples.real(x[rows], y[rows], z=self.features[rows])
        return Data(train=train, val=train.take([]), spec=self.spec, codec=self.codec)

    def cell(self, choice: Choice, per: int, seed: int, steps: int) -> dict[str, float]:
        """One training, what it took and what its rows are worth."""
        generator = make("generators", Choice(name=choice.name, settings=choice.settings | {"steps": steps}))
        with tempfile.TemporaryDirectory() as folder:
            started = time.process_time()
            generator.fit(self.data(per, seed), Run(folder=Path(folder), seed=seed))
            seconds = time.process_time() - started
        y = torch.arange(TEST_PER_CLASS * len(self.spec.classes)) % len(self.spec.classes)
        figures = self.figures(self.spec.to_store(generator.sample(y, row_seeds(len(y), "families", seed))))
        return {"steps": generator.curves.steps, "seconds": seconds, "usable": float(generator.curves.usable), **figures}


def told(what: str, cells: list[dict[str, float]]) -> str:
    """A line of the table: means over data seeds with 95 % t intervals."""
    column = {k: np.array([c[k] for c in cells]) for k in cells[0]}
    rate = column["steps"].sum() / column["seconds"].sum()
    parts = [what, f"{column['steps'].mean():.0f}", f"{column['seconds'].mean():.0f}", f"{rate:.1f}"]
    for name, digits in METRICS.items():
        mean, half = interval(column[name])
        parts.append(f"{mean:.{digits}f} ± {half:.{digits}f}")
    return f"| {' | '.join(parts)} | {column['usable'].mean():.0%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", default=["gan", "transformer_gan", "transformer_gan:share=true"])
    parser.add_argument("--per", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--time", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(args.data)
    print("| rows | steps | seconds | steps a second | Frechet distance | kernel distance | density | coverage | passed by the watchman |")
    print("|---|---|---|---|---|---|---|---|---|")
    print(f"| other real rows | | | | {' | '.join(f'{bench.floor[k]:.{d}f}' for k, d in METRICS.items())} | |", flush=True)
    took: list[float] = []
    for text in args.arms:
        cells = [bench.cell(arm(text), args.per, seed, args.steps) for seed in range(args.seeds)]
        print(told(text, cells), flush=True)
        took.append(sum(c["seconds"] for c in cells))
    for text, own in zip(args.arms[1:] if args.time else [], took[1:], strict=False):
        steps = max(50, round(args.steps * took[0] / own))
        print(told(f"{text}, time of the first", [bench.cell(arm(text), args.per, seed, steps) for seed in range(args.seeds)]), flush=True)


if __name__ == "__main__":
    main()
