"""Rare classes: what generators add that borrow from the populated ones, beside logit adjustment, and what their twin without sampling does.

    python -m benchmarks.rare --data FOLDER [--sets fashion cifar] [--seeds 5] [--many 50] [--few 5] [--ratio 2] [--share 0.25]

FOLDER holds `images/fashion_mnist_idx` and `images/cifar10_small.zip`. Half of the ten classes have `many` labelled rows and half `few`; which half
turns with the seed, which also draws the rows; 200 rows a class, the same for all seeds, are tested. The learner is the probe on the package's
features; its penalty is chosen on the real rows under logit adjustment, once a seed for all arms. All arms but "plain" adjust logits, the control
"adjusted 1.2" more than they should. Generators draw `ratio` rows for a real one, which are `share` of the whole and pass no screens: as many of each
class as real rows say ("alike"), or of every class as many ("even"), where logits are adjusted by what is taught, as the package does, or by the
frequencies of the real rows alone ("even, real prior"). The twins `isda` draw none. Prints balanced accuracy in points, recall on rare and on
populated classes, the paired differences to both with 95 % t intervals over seeds, and how likely tested rows are under both covariances of
`feature`. Expected: about 20 seconds a seed on one core.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from augmind.core.feed import Feed
from augmind.core.registry import make
from augmind.core.run import Run
from augmind.core.seeds import row_seeds
from augmind.core.store import write_json
from augmind.core.types import Choice, Data, Samples, Spec
from augmind.modalities.image.codec import ImageCodec
from augmind.nn.calibrated import Calibrated
from augmind.nn.gaussian import ClassGaussian

from .lowdata import interval
from .unlabelled import Rows, rows_named

TESTED = 200
"""Rows a class that are tested."""
GENERATORS = {
    "feature, shared": Choice(name="feature"),
    "feature, calibrated": Choice(name="feature", settings={"covariance": "calibrated"}),
    "delta": Choice(name="delta"),
}
TWINS: dict[str, dict[str, Any]] = {
    "isda": {},
    "isda, calibrated": {"covariance": "calibrated"},
    "isda at means": {"around": "means", "strength": 1.0},
    "isda at means, calibrated": {"around": "means", "strength": 1.0, "covariance": "calibrated"},
}
STRONGER = 1.2
CONTROL = f"adjusted {STRONGER}"
"""How much more logits are adjusted in the control, and its name."""
Cell = dict[str, dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class Adjusted(Feed):
    """A feed whose logits are adjusted by the frequencies of the real rows, `tau` times."""

    tau: float = 1.0

    @property
    def log_prior(self) -> Tensor:
        return self.tau * (self.counts.clamp(min=1) / self.counts.sum()).log()


class Bench:
    """The rows of a set, those that are tested with their features, and cells."""

    def __init__(self, rows: Rows, asked: argparse.Namespace) -> None:
        (self.x, self.y), (x, y) = ((torch.from_numpy(x.copy()), torch.from_numpy(np.unique(y, return_inverse=True)[1])) for x, y in rows.values())
        self.x, x = (v[:, None] if v.ndim == 3 else v.permute(0, 3, 1, 2) for v in (self.x, x))
        classes = tuple(str(k) for k in np.unique(rows["train"][1]))
        self.spec, self.asked = Spec(kind="continuous", shape=tuple(self.x.shape[1:]), classes=classes), asked
        self.codec = ImageCodec(self.spec)
        tested = torch.cat([(y == k).nonzero()[:TESTED, 0] for k in range(len(classes))])
        self.test = self.embedded(x[tested], y[tested])

    def embedded(self, x: Tensor, y: Tensor) -> Samples:
        return Samples.real(x.contiguous(), y, z=self.codec.embed(x.contiguous()))

    def data(self, seed: int) -> tuple[Data, Tensor]:
        """The labelled rows of a seed, and which classes are rare."""
        many, order = len(self.spec.classes), torch.from_numpy(np.random.default_rng(1000 + seed).permutation(len(self.y)))
        rare = (torch.arange(many) - seed) % many < many // 2
        counts = torch.where(rare, self.asked.few, self.asked.many).tolist()
        rows = torch.cat([order[self.y[order] == k][:n] for k, n in enumerate(counts)])
        train = self.embedded(self.x[rows], self.y[rows])
        return Data(train=train, val=train.take([]), spec=self.spec, codec=self.codec), rare

    def cell(self, seed: int, folder: Path) -> Cell:
        """Accuracy by arm, in points, and nats a value of tested rows under both covariances."""
        data, rare = self.data(seed)
        run, inside, mix = Run(folder=folder, seed=seed), data.features(), make("transfers", Choice(name="mix"))
        none = {kind: make(kinds, Choice(name="none")) for kind, kinds in (("transform", "transforms"), ("mixing", "mixing"))}
        given: dict[str, Any] = {"real": inside.train, "spec": data.spec, "codec": data.codec, "share": self.asked.share, **none}
        feeds = {"plain": Feed(**given), "adjusted": Adjusted(**given), CONTROL: Adjusted(tau=STRONGER, **given)}
        counts = (self.asked.ratio * data.train.counts(data.classes)).round().long()
        alike, even = torch.repeat_interleave(torch.arange(data.classes), counts), torch.arange(int(counts.sum())) % data.classes
        for name, choice in GENERATORS.items():
            generator = make("generators", choice).fit(inside, run)
            for how, y in (("alike", alike), ("even", even)):
                seeds = row_seeds(len(y), "rare", name, seed)
                x = generator.sample(y, seeds)
                drawn = Samples.synthetic(choice.name, x, y, seeds, z=x)
                feeds[f"{name}, {how}"] = Feed(balance="logit_adjustment", synthetic=drawn, **given)
            feeds[f"{name}, even, real prior"] = Adjusted(synthetic=drawn, **given)
        penalty = make("learners", Choice(name="probe")).fit(feeds["adjusted"], run).penalty_
        found = {name: self.score(mix, feed, rare, run, penalty) for name, feed in feeds.items()}
        for name, settings in TWINS.items():
            found[name] = self.score(make("transfers", Choice(name="isda", settings=settings)), feeds["adjusted"], rare, run, penalty)
        return found | {"likelihood": self.likelihood(inside, rare)}

    def score(self, transfer: Any, feed: Feed, rare: Tensor, run: Run, penalty: float) -> dict[str, float]:
        model = transfer.train(make("learners", Choice(name="probe", settings={"penalty": penalty})), feed, run)
        right = (model.predict(self.test).argmax(1) == self.test.y).double()
        recall = 100 * torch.stack([right[self.test.y == k].mean() for k in range(len(rare))])
        return {"balanced": float(recall.mean()), "rare": float(recall[rare].mean()), "many": float(recall[~rare].mean())}

    def likelihood(self, data: Data, rare: Tensor) -> dict[str, float]:
        given = data.train.x, data.train.y, data.classes, 128
        both = {"shared": Calibrated.shared(ClassGaussian.fit(*given)), "calibrated": Calibrated.fit(*given)}
        assert self.test.z is not None
        out = {}
        for name, g in both.items():
            each = nats(g, self.test.z, self.test.y) / self.test.z.shape[1]
            out |= {f"{name}, {which}": float(each[rare[self.test.y] == own].mean()) for which, own in (("rare", True), ("many", False))}
        return out


def nats(g: Calibrated, x: Tensor, y: Tensor) -> Tensor:
    """Log density of each row under the Gaussian of its class."""
    off, r = x - g.mean[y], g.basis.shape[1]
    along, floor = off @ g.basis, g.floor
    solved = torch.linalg.solve_triangular(g.root[y], along[:, :, None], upper=False)[:, :, 0]
    across = off.square().sum(1) - along.square().sum(1)
    size = 2 * g.root[y].diagonal(dim1=1, dim2=2).log().sum(1) + (x.shape[1] - r) * floor.log()
    return -0.5 * (solved.square().sum(1) + across / floor + size + x.shape[1] * np.log(2 * np.pi))


def told(name: str, cells: list[Cell]) -> list[dict[str, Any]]:
    """One line an arm."""
    out: list[dict[str, Any]] = []
    for arm in (arm for arm in cells[0] if arm != "likelihood"):
        values = {k: np.array([c[arm][k] for c in cells]) for k in cells[0][arm]}
        (mean, half), rare, many = interval(values["balanced"]), values["rare"].mean(), values["many"].mean()
        over = {than: interval(values["balanced"] - np.array([c[than]["balanced"] for c in cells])) for than in ("adjusted", CONTROL)}
        out.append({"set": name, "arm": arm, "mean": mean, "half": half, "rare": rare, "many": many, "over": over})
        against = " | ".join(f"{d:+.1f} ± {d_half:.1f}" for d, d_half in over.values())
        print(f"| {name} | {arm} | {mean:.1f} ± {half:.1f} | {rare:.1f} | {many:.1f} | {against} |", flush=True)
    likely = {k: np.array([c["likelihood"][k] for c in cells]) for k in cells[0]["likelihood"]}
    for which in ("rare", "many"):
        d, d_half = interval(likely[f"calibrated, {which}"] - likely[f"shared, {which}"])
        print(
            f"{name}, {which}: calibrated less shared {d:+.4f} ± {d_half:.4f} nats a value ({likely[f'shared, {which}'].mean():.4f} shared)",
            flush=True,
        )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["fashion", "cifar"], choices=["fashion", "cifar"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--many", type=int, default=50)
    parser.add_argument("--few", type=int, default=5)
    parser.add_argument("--ratio", type=float, default=2.0, help="drawn rows for a real one")
    parser.add_argument("--share", type=float, default=0.25, help="their part of the whole")
    parser.add_argument("--out", type=Path, default=Path(".bench/rare"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    lines: list[dict[str, Any]] = []
    print(
        f"| set | arm | balanced accuracy | rare classes | populated classes | against adjusted | against {CONTROL} |\n|---|---|---|---|---|---|---|"
    )
    for name in args.sets:
        bench = Bench(rows_named(name, args.data), args)
        with tempfile.TemporaryDirectory() as folder:
            lines += told(name, [bench.cell(seed, Path(folder)) for seed in range(args.seeds)])
    write_json(args.out / "rare.json", {"seeds": args.seeds, "many": args.many, "few": args.few, "rows": lines})


if __name__ == "__main__":
    main()
