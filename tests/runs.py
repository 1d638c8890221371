"""Small real runs for the tests: datasets made of scikit-learn's digits, generators that plant a known truth."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TINY: dict[str, Any] = {"steps": {"vae": 60, "gan": 50, "diffusion": 50, "cnn": 40}, "seeds": 2, "folds": 2, "preset": "quick", "jobs": 0}


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
from runs import digit_rows


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
        return self.spec_.to_model(torch.stack(out))

    def state(self):
        return {"nothing": torch.zeros(1)}

    def restore(self, spec, state):
        self.spec_ = spec
        return self
'''


def plant(site: Path, truth: str) -> None:
    """Installs a third-party generator named `planted` into a folder, as a package with an entry point would."""
    site.mkdir(parents=True, exist_ok=True)
    (site / f"planted_{truth}.py").write_text(PLANTED.replace("TRUTH", truth))
    info = site / f"planted_{truth}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: planted-{truth}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[augmind.generators]\nplanted_{truth} = planted_{truth}:Planted\n")
