"""What a plan will cost: wall time, disk and memory, from constants measured once."""

import math
from typing import TYPE_CHECKING, Any

from .core.registry import find

if TYPE_CHECKING:
    from .config import Plan

STEP_SECONDS = {
    "vae": 0.027,
    "flow": 0.02,
    "delta": 0.008,
    "ensemble": 0.3,
    "gan": 0.045,
    "vanilla_gan": 0.03,
    "wgan_gp": 0.09,
    "transformer_gan": 0.085,
    "diffusion": 0.085,
    "cnn": 0.036,
    "crnn": 0.025,
    "finetune": 0.45,
    "textcnn": 0.02,
    "text_vae": 0.08,
    "wavegan": 0.052,
    "apart": 0.027,
    "translate": 0.05,
}
"""One thread, batch 64, 28 x 28 values a row; costs grow with the number of values (measured by
`python -m benchmarks.speed`; `crnn`, which that leaves out, took 0.09 s for 40 x 56; `wavegan` 0.26 s for a second at 8 kHz, 40 x 100, in its
batches of 16)."""
SIZED = ("cnn", "crnn")
"""Learners that cost more for larger rows."""
INNER_SPLITS = 2
INNER_ARMS = 4
"""What the choice of a classical arm costs a learner that trains by steps: this many candidates on so many inner splits."""
LENDING = 3.0
"""Steps of a learner on a related dataset for one of its own; they come before those that are equal in all arms."""
LABELLER = "pseudo"
"""A generator beside whose rows the classical arm is chosen once more."""
FEATURE_SECONDS = 0.0045
"""Embedding one row on one thread with the default backbone."""

ROW_SECONDS = {"lm": 0.2, "fluency": 0.06, "labeller": 0.3, "tts": 0.9, "pretrained": 60.0}
"""What a language model takes on one thread to write a row, to read it, and to say of which class it is (SmolLM2-135M, rows of 25 tokens), and what
another takes to say it (a network of the size of MMS-TTS, a second long); what a pipeline of the size of Stable Diffusion 2.1 takes to vary one at
512 x 512 in two steps."""
ADAPT_SECONDS = {"pretrained": 180.0}
"""A step of those that train only where they are told to adapt: of four rows at 512 x 512, three of the denoiser and one of the encoder each."""
ON_GPU = {"pretrained": 0.01}
"""Of both the part that a GPU takes, by those who published such; it was not measured here."""
NAMED = ("tts", "pretrained")
"""Those that read a model only where one is named."""
DRAWN = 4.0
"""Rows that are drawn for one that passes the screens."""
OPENING_SECONDS = 40.0
"""What it takes on one thread to open a language model, for the training and the drawing of a fold."""
MODEL_MB = {"pretrained": 6500}
LANGUAGE_MB = 1000
"""Memory of a model in a worker, beside the rest: of Stable Diffusion 2.1 in float32, of a language model (SmolLM2-135M)."""
WEIGHTS_MB, LEAST_PART = {"pretrained": 5200}, 0.001
"""What the files weigh of the model that the constants are of, and the least part of its costs that a smaller one is expected to have."""


def reads(name: str, settings: dict[str, Any]) -> bool:
    """Whether one of `ROW_SECONDS` works with a model on this machine."""
    return not settings.get("url") and (name not in NAMED or bool(settings.get("model")))


def part_here(name: str) -> float:
    """The part of its time on one thread that a plug-in takes on this machine."""
    if name not in ON_GPU:
        return 1.0
    import torch

    return ON_GPU[name] if torch.cuda.is_available() else 1.0


def part_of(name: str, settings: dict[str, Any]) -> float:
    """How large the model that a plug-in reads is beside the one that its constants are of, by its files; 1 where they are not here."""
    if name not in WEIGHTS_MB:
        return 1.0
    from .nn.weights import located

    folder = located(str(settings.get("model", "")))
    files = [file for file in folder.rglob("*/*.safetensors") if file.is_file()] if folder else []
    whole = [file for file in files if ".fp16" not in file.name]
    size = sum(file.stat().st_size for file in whole or files) / 1e6
    return max(LEAST_PART, size / WEIGHTS_MB[name]) if size else 1.0


def training_seconds(plan: "Plan", generator: str) -> float:
    """What a training by steps is expected to take on one thread, or on the GPU of those that use one."""
    steps = plan.steps.get(generator, 0)
    if generator in ADAPT_SECONDS:
        settings = plan.settings.get(generator, {})
        learns = settings.get("adapt", "none") != "none"
        return steps * learns * ADAPT_SECONDS[generator] * part_here(generator) * part_of(generator, settings)
    first = plan.source > 0 and find("generators", generator).borrows
    return steps * (1 + first) * STEP_SECONDS.get(generator, 0.0) * max(1.0, math.prod(plan.shape) / 784)


def estimate(plan: "Plan", *, imbalanced: bool, jobs: int) -> dict[str, float]:
    """Expected wall seconds, of which fixed; disk and memory in MB. From constants measured once: a guide, not a promise."""
    values, rows = math.prod(plan.shape), plan.rows
    size = max(1.0, values / 784)
    trainings = plan.folds + (plan.mode == "cv")
    generate = trainings * sum(training_seconds(plan, g) for g in plan.generators)
    embed = FEATURE_SECONDS * (rows * (1 + 3 * plan.views) + trainings * rows * plan.ratio * 3 + plan.test_rows + plan.source)
    reading = [n for n in (*plan.generators, *plan.screens) if n in ROW_SECONDS and reads(n, plan.settings.get(n, {}))]
    parts = {n: part_of(n, plan.settings.get(n, {})) for n in reading}
    generate += plan.folds * rows * plan.ratio * plan.seeds * DRAWN * sum(ROW_SECONDS[n] * part_here(n) * parts[n] for n in reading)
    generate += plan.folds * OPENING_SECONDS * sum(parts.values())
    arms = 4 * plan.seeds + INNER_ARMS * INNER_SPLITS + (3 * INNER_SPLITS if imbalanced else 0) + (LENDING + INNER_SPLITS) * bool(plan.source)
    arms += INNER_ARMS * INNER_SPLITS * (LABELLER in plan.generators)
    learn = plan.folds * arms * sum(plan.steps.get(n, 0) * STEP_SECONDS.get(n, 0.0) * (size if n in SIZED else 1.0) for n in plan.learners)
    probes = plan.folds * (4 * plan.seeds + 8 * plan.inner_folds) * 0.5
    fixed = (embed + probes) / max(1, jobs) + 12
    if plan.trials:
        generate *= 1 + plan.folds * plan.splits * (1 + len(plan.variants) / max(1, len(plan.generators))) / trainings
        tries = plan.folds * plan.trials * (1 + plan.splits) / 2
        learn += tries * sum(plan.steps.get(n, 0) * STEP_SECONDS.get(n, 0.7) * (size if n in SIZED else 1.0) or 0.7 for n in plan.learners)
    stored = rows * (1 + trainings * plan.ratio * 2) * (values + 2 * 1280 * 4) + trainings * 20e6
    models = max((MODEL_MB.get(n, LANGUAGE_MB) * parts[n] for n in reading), default=0)
    return {
        "seconds": round(fixed + (generate + learn) / max(1, jobs), 1),
        "fixed_seconds": round(fixed, 1),
        "disk_mb": round(stored / 1e6 + 5, 1),
        "memory_mb": round(max(1, jobs) * (900 + models) + (rows + plan.source) * (values * 5 + 1280 * 12) / 1e6, 1),
    }
