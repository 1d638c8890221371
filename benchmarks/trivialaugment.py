"""TrivialAugment reproduced: our batched operations beside the published definition, one picture at a time in Pillow.

    python -m benchmarks.trivialaugment --data FOLDER [--per 50 100 200] [--seeds 5] [--steps 400]

FOLDER holds `images/cifar10_small.zip`. The network from scratch (`cnn`, its defaults, equal steps) on rows drawn with the data seed,
tested on the 2,000 test rows, accuracy in points with 95 % t intervals over seeds: without augmentation; crop and mirror;
`trivialaugment`; and the same crop and mirror followed by the 14 operations and 31 strengths of the authors' `aug_lib.py`
("fixed_standard", arXiv:2103.10158) in Pillow. Also the time that each takes for a batch of 64. The published figures are of all 50,000 rows and
networks of another size; what is reproduced is the arm, not the table. Expected: 15 minutes on one core.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from augmind.core.feed import Feed
from augmind.core.plugin import Transform
from augmind.core.registry import make
from augmind.core.run import Run
from augmind.core.seeds import stable_seed, stream
from augmind.core.types import Choice, Samples, Spec
from augmind.modalities.image.codec import ImageCodec
from augmind.modalities.image.transforms._geometry import shift_and_mirror

from .lowdata import SETS, interval, read

LEVELS = 30
NEAREST = Image.Transform.AFFINE


def enhanced(kind: Callable) -> Callable:
    return lambda p, v, s: kind(p).enhance(0.1 + 1.8 * v)


PUBLISHED: tuple[Callable[[Image.Image, float, int], Image.Image], ...] = (
    lambda p, v, s: p,
    lambda p, v, s: ImageOps.autocontrast(p),
    lambda p, v, s: ImageOps.equalize(p),
    lambda p, v, s: p.rotate(s * int(30 * v)),
    lambda p, v, s: ImageOps.solarize(p, 256 - int(256 * v)),
    enhanced(ImageEnhance.Color),
    lambda p, v, s: ImageOps.posterize(p, 8 - int(4 * v)),
    enhanced(ImageEnhance.Contrast),
    enhanced(ImageEnhance.Brightness),
    enhanced(ImageEnhance.Sharpness),
    lambda p, v, s: p.transform(p.size, NEAREST, (1, s * 0.3 * v, 0, 0, 1, 0)),
    lambda p, v, s: p.transform(p.size, NEAREST, (1, 0, 0, s * 0.3 * v, 1, 0)),
    lambda p, v, s: p.transform(p.size, NEAREST, (1, 0, s * int(10 * v), 0, 1, 0)),
    lambda p, v, s: p.transform(p.size, NEAREST, (1, 0, 0, 0, 1, s * int(10 * v))),
)


@dataclass(kw_only=True)
class Pillow(Transform):
    """Crop and mirror as the others do, then one operation a picture in Pillow."""

    axes: ClassVar[tuple[int, ...]] = (3,)

    def apply(self, x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        rng = stream("pillow", seed)
        bytes_ = ((shift_and_mirror(x, 1 / 9, True, rng) + 1) * 127.5).round().to(torch.uint8)
        which, level = torch.randint(len(PUBLISHED), (len(x),), generator=rng), torch.randint(LEVELS + 1, (len(x),), generator=rng)
        sign = torch.randint(0, 2, (len(x),), generator=rng) * 2 - 1
        out = []
        for row, w, v, s in zip(bytes_, which.tolist(), level.tolist(), sign.tolist(), strict=True):
            picture = PUBLISHED[w](Image.fromarray(row.permute(1, 2, 0).numpy()), v / LEVELS, s)
            out.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1))
        return torch.stack(out).float() / 127.5 - 1, y


ARMS: dict[str, Callable[[], Transform]] = {
    "none": lambda: make("transforms", Choice(name="none")),
    "crop and mirror": lambda: make("transforms", Choice(name="flip_crop")),
    "trivialaugment": lambda: make("transforms", Choice(name="trivialaugment")),
    "the same in Pillow": Pillow,
}


def accuracy(train: Samples, test: Samples, spec: Spec, transform: Transform, seed: int, steps: int) -> float:
    feed = Feed(real=train, spec=spec, codec=ImageCodec(spec), transform=transform, mixing=make("mixing", Choice(name="none")))
    learner = make("learners", Choice(name="cnn", settings={"steps": steps}))
    with tempfile.TemporaryDirectory() as scratch:
        learner.fit(feed, Run(folder=Path(scratch), seed=stable_seed("trivialaugment", seed)))
    return 100 * float((learner.predict(test).argmax(1) == test.y).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--per", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=400)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = read(args.data / "images" / SETS["cifar"])
    names = tuple(np.unique(found["train"][1]).tolist())

    def samples(x: np.ndarray, y: np.ndarray) -> Samples:
        return Samples.real(torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(), torch.tensor([names.index(k) for k in y]))

    whole, test = samples(*found["train"]), samples(*found["test"])
    spec = Spec(kind="continuous", shape=tuple(whole.x.shape[1:]), classes=names)
    batch, none = spec.to_model(whole.x[:64]), torch.zeros(64, 1)
    for name, made in ARMS.items():
        transform, started = made(), time.perf_counter()
        for seed in range(20):
            transform.apply(batch, none, seed)
        print(f"{name}: {50 * (time.perf_counter() - started):.1f} ms a batch of 64")
    print(f"| per class | {' | '.join(ARMS)} | trivialaugment less Pillow | trivialaugment less crop and mirror |\n|{'---|' * (len(ARMS) + 3)}")
    for per in args.per:
        table: dict[str, list[float]] = {name: [] for name in ARMS}
        for seed in range(args.seeds):
            order = torch.from_numpy(np.random.default_rng(3000 + seed).permutation(len(whole)))
            train = whole.take(torch.cat([order[whole.y[order] == k][:per] for k in range(len(names))]))
            for name, made in ARMS.items():
                table[name].append(accuracy(train, test, spec, made(), seed, args.steps))
        values = {k: np.array(v) for k, v in table.items()}
        told = [f"{m:.1f} ± {h:.1f}" for m, h in map(interval, values.values())]
        ours = values["trivialaugment"]
        told += ["{:+.1f} ± {:.1f}".format(*interval(ours - values[rival])) for rival in ("the same in Pillow", "crop and mirror")]
        print(f"| {per} | {' | '.join(told)} |", flush=True)


if __name__ == "__main__":
    main()
