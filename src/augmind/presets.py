"""How much work is done: the presets of `--preset`, and the time of `--budget`."""

import re
from dataclasses import dataclass, field
from typing import Any

from .core.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How much work a preset does. Steps are fixed numbers, so the same seed gives the same result on a fast or slow machine."""

    meaning: str
    folds: int
    seeds: int
    learners: tuple[str, ...]
    steps: dict[str, int]
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    inner_folds: int = 3
    views: int = 2
    rounds: int = 4
    ratio: float = 1.0
    trials: int = 24
    splits: int = 3
    variants: int = 0


UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds(text: Any) -> Any:
    """ "90", "90s", "10m" or "1.5h" as seconds. Raises `UsageError` for anything else."""
    if text is None or isinstance(text, int | float):
        return text
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", str(text))
    if not found:
        raise UsageError(f"the budget '{text}' is not a time", help="write for example --budget 90s, --budget 10m or --budget 1.5h")
    return float(found[1]) * UNITS[found[2] or "s"]


EVERY = ("probe", "late_fusion", "cnn", "crnn", "finetune", "tfidf", "textcnn")
"""Learners, of which a dataset gets those that can take its rows."""
PRESETS = {
    "quick": Preset(
        meaning="a first honest answer in minutes",
        folds=3,
        seeds=3,
        learners=("probe", "late_fusion", "tfidf"),
        steps={
            "vae": 300,
            "flow": 300,
            "delta": 300,
            "ensemble": 300,
            "gan": 300,
            "vanilla_gan": 300,
            "wgan_gp": 150,
            "transformer_gan": 300,
            "diffusion": 250,
            "cnn": 150,
            "crnn": 150,
            "finetune": 40,
            "textcnn": 150,
            "text_vae": 300,
            "wavegan": 400,
            "apart": 300,
            "translate": 300,
            "pretrained": 100,
        },
        settings={"diffusion": {"points": 5}},
        splits=2,
    ),
    "balanced": Preset(
        meaning="every learner, longer training: tens of minutes",
        folds=5,
        seeds=5,
        learners=EVERY,
        steps={
            "vae": 1000,
            "flow": 1000,
            "delta": 600,
            "ensemble": 1000,
            "gan": 1500,
            "vanilla_gan": 1500,
            "wgan_gp": 750,
            "transformer_gan": 1200,
            "diffusion": 1200,
            "cnn": 400,
            "crnn": 400,
            "finetune": 60,
            "textcnn": 400,
            "text_vae": 1000,
            "wavegan": 2000,
            "apart": 1000,
            "translate": 1000,
            "pretrained": 300,
        },
        views=4,
        rounds=6,
        trials=40,
        variants=1,
    ),
    "thorough": Preset(
        meaning="the same with longer training and more seeds: up to an hour or more",
        folds=5,
        seeds=10,
        learners=EVERY,
        steps={
            "vae": 3000,
            "flow": 3000,
            "delta": 1500,
            "ensemble": 3000,
            "gan": 4000,
            "vanilla_gan": 4000,
            "wgan_gp": 2000,
            "transformer_gan": 4000,
            "diffusion": 4000,
            "cnn": 800,
            "crnn": 600,
            "finetune": 80,
            "textcnn": 800,
            "text_vae": 3000,
            "wavegan": 6000,
            "apart": 3000,
            "translate": 3000,
            "pretrained": 1000,
        },
        settings={"diffusion": {"points": 8}},
        views=4,
        rounds=8,
        trials=100,
        variants=2,
    ),
}
