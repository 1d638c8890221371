"""Small real runs for the tests: datasets made of scikit-learn's digits, generators that plant a known truth."""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from augmind.core import registry

TINY: dict[str, Any] = {"steps": {"vae": 60, "gan": 50, "diffusion": 50, "cnn": 12}, "seeds": 2, "folds": 2, "preset": "quick", "jobs": 0}
TINY |= {"backbone": "lite0@32", "explain": False}
"""Digits have 8 pixels a side: a backbone that sees 32 instead of 128 spares a quarter of the time of a small run, and so do explanations."""


def digit_rows(per_class: int, classes: int = 10, skip: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """8 x 8 digits as bytes, `per_class` rows of each class after the first `skip`."""
    from sklearn.datasets import load_digits

    found = load_digits()
    x, y = (found.images * 15.9).astype(np.uint8), found.target
    rows = np.concatenate([np.flatnonzero(y == k)[skip : skip + per_class] for k in range(classes)])
    return x[rows], y[rows]


def folder(root: Path, per_class: int = 8, classes: int = 3, side: int = 8) -> Path:
    """An image folder of digits: root/CLASS/N.png."""
    x, y = digit_rows(per_class, classes)
    for i, (row, label) in enumerate(zip(x, y, strict=True)):
        path = root / f"digit {label}" / f"{i:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(row).resize((side, side)).save(path)
    return root


NOISE = 80.0
"""Deviation, in 0..255, of the noise on the rows of `noised` and on those of the planted generator of that name."""


def drawn(rng: np.random.Generator, train: int, test: int, x: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and test rows of every class, drawn at random without overlap."""
    order = rng.permutation(len(y))
    mine = [order[y[order] == k] for k in np.unique(y)]
    parts = ([m[:train] for m in mine], [m[train : train + test] for m in mine])
    return [(x[np.concatenate(p)], y[np.concatenate(p)]) for p in parts]


def noised(path: Path, train: int, test: int) -> Path:
    """A .npz of digits under heavy noise, with a given test split."""
    rng = np.random.default_rng(0)
    (x, y), (tx, ty) = drawn(rng, train, test, *digit_rows(90, skip=80))
    x, tx = (np.clip(v + rng.normal(0, NOISE, v.shape), 0, 255).astype(np.uint8) for v in (x, tx))
    np.savez(path, train_images=x, train_labels=y, test_images=tx, test_labels=ty)
    return path


def arrays(path: Path, train: int, test: int) -> Path:
    """A .npz with a given test split."""
    x, y = digit_rows(train)
    tx, ty = digit_rows(test, skip=80)
    np.savez(path, train_images=x, train_labels=y, test_images=tx, test_labels=ty)
    return path


def figures(out: Path) -> str:
    """Everything in the report that is not a time or a path."""
    record = json.loads((out / "report.json").read_text())
    for generator in record["generators"]:
        generator.pop("seconds")
    return json.dumps({k: record[k] for k in ("rows", "verdict", "arms", "choices", "generators", "screens")}, sort_keys=True)


PLANTED = '''
from dataclasses import dataclass
from typing import ClassVar

import torch

from augmind.core.loop import Curves
from augmind.core.plugin import Generator
from augmind.core.seeds import row_noise
from runs import NOISE, digit_rows


@dataclass(kw_only=True)
class Planted(Generator):
    """Draws rows of a known truth, for tests."""

    axes: ClassVar[tuple[int, ...]] = (3,)
    truth: ClassVar[str] = "TRUTH"

    def fit(self, data, run):
        self.spec_, self.curves_ = data.spec, Curves()
        return self

    def sample(self, y, seeds):
        if self.truth == "noise":
            return row_noise(seeds, self.spec_.shape).clamp(-1, 1)
        x, label = digit_rows(70, skip=10)
        out = []
        for k, seed in zip(y.tolist(), seeds.tolist()):
            mine = x[label == k]
            out.append(torch.from_numpy(mine[seed % len(mine)].copy())[None])
        rows = torch.stack(out)
        if self.truth == "noised":
            rows = (rows + NOISE * row_noise(seeds, self.spec_.shape)).clamp(0, 255).to(torch.uint8)
        return self.spec_.to_model(rows)

    def state(self):
        return {"nothing": torch.zeros(1)}

    def restore(self, spec, state):
        self.spec_ = spec
        return self
'''


@contextlib.contextmanager
def installed(monkeypatch: Any, site: Path, *modules: str) -> Iterator[None]:
    """Packages in a folder are found by entry point, here and in workers, as installed ones are; afterwards they are forgotten."""
    here = str(Path(__file__).parent)
    monkeypatch.syspath_prepend(here)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", f"{here}:{site}")
    clear = (registry.names.cache_clear, registry.find.cache_clear)
    for forget in clear:
        forget()
    yield
    for forget in clear:
        forget()
    for module in modules:
        sys.modules.pop(module, None)


def plant(site: Path, truth: str) -> None:
    """Installs a third-party generator named `planted` into a folder, as a package with an entry point would."""
    site.mkdir(parents=True, exist_ok=True)
    (site / f"planted_{truth}.py").write_text(PLANTED.replace("TRUTH", truth))
    info = site / f"planted_{truth}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: planted-{truth}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[augmind.generators]\nplanted_{truth} = planted_{truth}:Planted\n")


SEARCHED = '''
from dataclasses import dataclass
from typing import ClassVar

import torch

from augmind.core.plugin import Learner, Transform
from augmind.core.seeds import stream
from augmind.core.tune import tune


@dataclass(kw_only=True)
class Anywhere(Transform):
    """The best: rows may stand anywhere, so they are rolled to any place."""

    axes: ClassVar[tuple[int, ...]] = (3,)
    reach: float = tune(1.0, 0.0, 1.0)

    def apply(self, x, y, seed):
        rng, (height, width) = stream("anywhere", seed), x.shape[2:]
        down, right = (torch.randint(0, 1 + round(self.reach * (n - 1)), (len(x), 1), generator=rng) for n in (height, width))
        rows, columns = (torch.arange(height) + down) % height, (torch.arange(width) + right) % width
        index = rows[:, :, None] * width + columns[:, None, :]
        return x.flatten(2).gather(2, index.flatten(1)[:, None].expand(-1, x.shape[1], -1)).view_as(x), y


@dataclass(kw_only=True)
class Swap(Transform):
    """The harmful: labels stay, and rows become those of their neighbour in the batch."""

    axes: ClassVar[tuple[int, ...]] = (3,)

    def apply(self, x, y, seed):
        return x.roll(1, 0), y


@dataclass(kw_only=True)
class Idle(Transform):
    """The irrelevant: it changes next to nothing."""

    axes: ClassVar[tuple[int, ...]] = (3,)
    noise: float = tune(0.01, 0.0, 0.02)

    def apply(self, x, y, seed):
        return x + self.noise * torch.randn(x.shape, generator=stream("idle", seed)), y


@dataclass(kw_only=True)
class Nearest(Learner):
    """The nearest of 1,280 rows of its feed: instant, and only as good as what it was fed."""

    axes: ClassVar[tuple[int, ...]] = (3,)

    def fit(self, feed, run):
        self.spec_ = feed.spec
        batches = [feed.batch(t, 64, run.seed) for t in range(20)]
        self.x_, self.y_ = torch.cat([b.x.flatten(1) for b in batches]), torch.cat([b.y for b in batches])
        return self

    def predict(self, samples):
        near = torch.cdist(self.spec_.to_model(samples.x).flatten(1), self.x_).argmin(1)
        return self.y_[near]

    def state(self):
        return {"x": self.x_, "y": self.y_}

    def restore(self, data, state):
        self.spec_, self.x_, self.y_ = data.spec, state["x"], state["y"]
        return self
'''


def plant_search(site: Path) -> None:
    """Installs the transforms `anywhere` (best), `swap` (harmful) and `idle`, and the learner `nearest`."""
    site.mkdir(parents=True, exist_ok=True)
    (site / "planted_search.py").write_text(SEARCHED)
    info = site / "planted_search-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: planted-search\nVersion: 1.0\n")
    transforms = "".join(f"{n.lower()} = planted_search:{n}\n" for n in ("Anywhere", "Swap", "Idle"))
    (info / "entry_points.txt").write_text(f"[augmind.transforms]\n{transforms}[augmind.learners]\nnearest = planted_search:Nearest\n")


def scattered(path: Path, train: int, test: int, classes: int = 4, side: int = 12, seed: int = 0) -> Path:
    """A .npz of digits that stand anywhere on a larger ground, with a given test split."""
    rng = np.random.default_rng(seed)

    def placed(rows: np.ndarray) -> np.ndarray:
        ground = np.pad(rows, ((0, 0), (0, side - 8), (0, side - 8)))
        return np.stack([np.roll(r, tuple(rng.integers(0, side, 2)), (0, 1)) for r in ground])

    (x, y), (tx, ty) = drawn(rng, train, test, *digit_rows(170, classes))
    np.savez(path, train_images=placed(x), train_labels=y, test_images=placed(tx), test_labels=ty)
    return path
