"""What the layout of tensors and bfloat16 are worth to trainings on a CPU: steps a second of networks with and without both, on one thread.

    python -m benchmarks.throughput [--steps 60] [--of cnn gan vae diffusion]

28 x 28 grey, 20 rows a class, batches as by default. The last column is how the package trains on this machine. Times are those of the processor, the
watchman's looks and the first step among them; each way is tried twice in turns, and the better one is told. Expected: three minutes on one core.
"""

import argparse
import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import torch

from augmind.core import loop
from augmind.core.feed import Feed
from augmind.core.registry import make
from augmind.core.run import Run
from augmind.core.types import Choice, Data

from .speed import digits

LEARNERS = ("cnn", "finetune")
WAYS = {"neither": (False, False), "channels last": (True, False), "bfloat16": (False, True), "both": (True, True)}


@contextlib.contextmanager
def way(layout: bool, half: bool) -> Iterator[None]:
    """Trainings inside keep the layout of channels that networks ask for, or do not, and calculate in bfloat16, or do not."""
    contiguous = torch.Tensor.contiguous
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(loop, "has_bfloat16", lambda device: half))
        if not layout:
            stack.enter_context(patch.object(torch.Tensor, "contiguous", lambda x, **_: contiguous(x)))
        yield


def rate(name: str, data: Data, steps: int) -> float:
    """Steps a second of a training."""
    none = {"transform": make("transforms", Choice(name="none")), "mixing": make("mixing", Choice(name="none"))}
    plugin = make("learners" if name in LEARNERS else "generators", Choice(name=name, settings={"steps": steps}))
    given = Feed(real=data.train, spec=data.spec, codec=data.codec, **none) if name in LEARNERS else data
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        plugin.fit(given, Run(folder=Path(folder)))
        return steps / (time.process_time() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--of", nargs="+", default=["cnn", "gan", "vae", "diffusion"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = digits()
    own = loop.has_bfloat16(torch.device("cpu"))
    print(f"bfloat16 is {'used' if own else 'not used'} on this machine by default\n")
    print(f"| steps a second | {' | '.join(WAYS)} |\n|---|{'---|' * len(WAYS)}")
    for name in args.of:
        best = dict.fromkeys(WAYS, 0.0)
        for _ in range(2):
            for text, how in WAYS.items():
                with way(*how):
                    best[text] = max(best[text], rate(name, data, args.steps))
        print(f"| {name} | {' | '.join(f'{v:.1f}' for v in best.values())} |", flush=True)


if __name__ == "__main__":
    main()
