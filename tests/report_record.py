"""A realistic run record, with small generated pictures, for the tests of the report."""

import base64
import io
import random
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image

CLASSES = ("ankle boot", "bag", "coat", "dress", "pullover", "sandal", "shirt", "sneaker", "t-shirt", "trousers")
ARMS: dict[str, dict[str, Any]] = {
    "real": {"label": "real rows alone", "knowledge": ["rows"], "policy": "none", "level": 0.712},
    "classical": {"label": "best classical", "knowledge": ["rows"], "policy": "trivialaugment + mixup", "level": 0.748},
    "twin": {"label": "control: same knowledge", "knowledge": ["rows", "unlabelled"], "policy": "trivialaugment + pseudo-labels", "level": 0.751},
    "synthetic": {"label": "synthetic on best classical", "knowledge": ["rows"], "policy": "trivialaugment + mixup, vae, 2x", "level": 0.744},
}
METRICS = {"balanced_accuracy": 0.0, "accuracy": 0.004, "macro_f1": -0.008, "recall": 0.0, "precision": 0.006}
METRICS |= {"roc_auc": 0.21, "pr_auc": 0.07, "ece": -0.62, "log_loss": 0.2}
GROUPS = {"north ward": 58, "south ward": 54, "city": 41, "harbour": 31, "isle": 16}
CORRUPTIONS = ("gaussian_noise", "shot_noise", "defocus", "brightness", "contrast", "pixelate", "jpeg", "haze")


def picture(seed: int, label: int, size: int = 28) -> str:
    """A codec's preview: a small PNG of a smooth blob whose form depends on the label."""
    rng = np.random.default_rng(1000 * label + seed)
    v, u = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    waves = sum(np.cos((label + 2) * (a * u + b * v) + c) for a, b, c in rng.normal(size=(3, 3)))
    grid = 128 + 60 * waves * np.exp(-1.4 * (u**2 + v**2)) + rng.normal(size=(size, size)) * 9
    out = io.BytesIO()
    Image.fromarray(grid.clip(0, 255).astype(np.uint8)).save(out, "PNG")
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}">'


def rows(learner: str, shift: float) -> list[dict[str, Any]]:
    draw = random.Random(learner)
    out = []
    for seed in range(3):
        for fold in range(3):
            luck = draw.gauss(0, 0.012)
            for arm, a in ARMS.items():
                base = a["level"] + shift + luck + draw.gauss(0, 0.008)
                here = {"learner": learner, "arm": arm, "fold": fold, "seed": seed}
                out += [{**here, "metric": m, "value": base + d if m != "log_loss" else 1.6 - base} for m, d in METRICS.items()]
                hard = {c: base - 0.3 + 0.06 * i + draw.gauss(0, 0.03) for i, c in enumerate(CLASSES)}
                out += [{**here, "metric": f"recall/{c}", "value": min(1.0, max(0.0, v))} for c, v in hard.items()]
    return out


def arm(learner: str, name: str, measured: list[dict[str, Any]]) -> dict[str, Any]:
    def values(of: str, metric: str) -> list[float]:
        return [r["value"] for r in measured if (r["arm"], r["metric"]) == (of, metric)]

    def difference(to: str) -> dict[str, Any]:
        if name == to:
            return {"estimate": None, "low": None, "high": None, "p": None, "p_holm": None}
        gap = fmean(a - b for a, b in zip(values(name, "balanced_accuracy"), values(to, "balanced_accuracy"), strict=True))
        return {
            "estimate": gap,
            "low": gap - 0.017,
            "high": gap + 0.018,
            "p": 0.0004 if abs(gap) > 0.02 else 0.61,
            "p_holm": 0.0016 if abs(gap) > 0.02 else 0.61,
        }

    means = {m: fmean(values(name, m)) for m in METRICS}
    return {
        "learner": learner,
        "arm": name,
        **{k: v for k, v in ARMS[name].items() if k != "level"},
        "metrics": {m: {"mean": v, "low": v - 0.021, "high": v + 0.023} for m, v in means.items()},
        "difference_real": difference("real"),
        "difference_classical": difference("classical"),
    }


def generator(name: str, fold: str, **changes: Any) -> dict[str, Any]:
    curve = [110 - 40 * (1 - 0.93**i) + 3 * ((7 * i) % 5 - 2) / (1 + i / 9) for i in range(60)]
    return {
        "name": name,
        "fold": fold,
        "knowledge": "rows",
        "settings": {"width": 32, "lr": 0.001},
        "steps": 1000,
        "planned": 1000,
        "seconds": 8.1,
        "curves": {"elbo": curve, "kl": [v / 9 for v in curve[::-1]], "reconstruction": [v * 0.8 for v in curve]},
        "findings": [],
        "drawn": 400,
        "kept": 210,
        "rejected": {"agreement": 120, "novelty": 3, "typicality": 67},
        "quality": {
            "frechet": {"value": 381.2, "low": 352.0, "high": 408.0},
            "kid": {"value": 0.38, "low": 0.31, "high": 0.44},
            "precision": {"value": 0.6, "low": 0.55, "high": 0.66},
            "recall": {"value": 0.08, "low": 0.04, "high": 0.11},
            "density": {"value": 0.32, "low": 0.27, "high": 0.38},
            "coverage": {"value": 0.26, "low": 0.21, "high": 0.3},
        },
        "status": "ok",
        "why": "",
        **changes,
    }


def ends(mean: float, half: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - half, "high": min(1.0, mean + half)}


def confusion() -> dict[str, Any]:
    def counts(level: float) -> list[list[float]]:
        out = np.full((len(CLASSES), len(CLASSES)), 20 * (1 - level) / 9)
        np.fill_diagonal(out, 20 * level)
        out[6, 8], out[6, 6] = out[6, 8] + 4, out[6, 6] - 4
        return ((out * 3).round() / 3).tolist()

    return {"classes": list(CLASSES), "arms": [{"arm": name, "counts": counts(a["level"])} for name, a in ARMS.items()]}


def fairness() -> dict[str, Any]:
    """The synthetic arm is worse in one group and so widens the gap."""

    def arm(name: str, level: float) -> dict[str, Any]:
        groups = []
        for i, (group, rows) in enumerate(GROUPS.items()):
            mean = level - 0.03 * i - (0.12 if name == "synthetic" and group == "harbour" else 0.0)
            figures = {"balanced_accuracy": ends(mean, 0.8 / rows**0.5), "ece": ends(0.1 + i / 50, 0.04)}
            groups.append({"group": group, "rows": rows, **figures, "recall": {c: ends(mean - 0.02 * j, 0.1) for j, c in enumerate(CLASSES[:4])}})
        value = 0.21 if name == "synthetic" else 0.09
        widening = {"estimate": value - 0.09, "low": value - 0.17, "high": value + 0.01, "best": "north ward", "worst": "harbour"}
        if name == "synthetic":
            widening |= {"estimate": 0.12, "low": 0.03, "high": 0.21}
        widening["than"] = "real" if name == "classical" else "classical"
        gap = {"value": value, "best": "north ward", "worst": "harbour", "chance": 0.114}
        return {"arm": name, "groups": groups, "gap": gap, "widening": None if name == "real" else widening}

    counts = [{"group": g, "real": n, "test": n, "synthetic": 3 * n // 2 if g != "harbour" else 9} for g, n in GROUPS.items()]
    arms = [arm(name, a["level"]) for name, a in ARMS.items()]
    return {"arms": arms, "least": 20, "level": 0.95, "more": 0, "findings": [], "column": "ward", "counts": counts}


def growth() -> dict[str, Any]:
    draw = random.Random("growth")
    points = [
        {"rows": round(89 * part) + seed % 2, "seed": seed, "error": 1.9 * (89 * part) ** -0.42 * (1 + draw.gauss(0, 0.04))}
        for seed in range(3)
        for part in (0.25, 0.5, 1.0)
    ]
    told = "The gain equals about 31 more real rows (95 % interval 0 to 118) beside the 134 that there are."
    return {
        "learner": "probe", "fold": "0", "validation": 45, "points": points, "rows": 134, "law": {"scale": 1.9, "exponent": 0.42}, "gain": 0.02,
        "doubling": {"mean": 0.061, "low": 0.048, "high": 0.07}, "worth": {"rows": 31.0, "low": 0.0, "high": 118.0, "most": 1340.0, "told": told},
    }  # fmt: skip


def robustness() -> dict[str, Any]:
    def arm(name: str, level: float) -> dict[str, Any]:
        cells = {c: [level * (1 - 0.03 * (i % 4 + 1) * s) for s in (1, 2, 3)] for i, c in enumerate(CORRUPTIONS)}
        corrupted = fmean(v for row in cells.values() for v in row)
        gain = None if name == "classical" else {"estimate": corrupted - 0.64, "low": corrupted - 0.66, "high": corrupted - 0.62}
        drop = {"estimate": level - corrupted, "low": level - corrupted - 0.03, "high": level - corrupted + 0.03}
        return {"arm": name, "clean": level, "corrupted": corrupted, "cells": cells, "drop": drop, "gain": gain}

    return {"corruptions": list(CORRUPTIONS), "severities": [1, 2, 3], "rows": 200, "arms": [arm(n, a["level"]) for n, a in ARMS.items()]}


def gallery(each: int = 6) -> dict[str, Any]:
    def drawn(label: int, i: int) -> dict[str, Any]:
        name = ("vae", "flow")[i % 2]
        return {
            "html": picture(100 + i, label),
            "nearest": picture(i, label),
            "generator": name,
            "row": f"{name}:{1234 + i}",
            "scores": {"agreement": 0.93 - i / 50},
        }

    def refused(i: int, score: float) -> dict[str, Any]:
        return {
            "html": picture(300 + i, i),
            "nearest": picture(i, i),
            "label": CLASSES[i],
            "generator": "vae",
            "score": score,
        }

    return {
        "classes": [
            {"class": c, "real": [picture(i, k) for i in range(each)], "synthetic": [drawn(k, i) for i in range(each)]} for k, c in enumerate(CLASSES)
        ],
        "rejected": [
            {"reason": "looks like another class", "screen": "agreement", "rows": [refused(i, 0.21 + i / 40) for i in range(8)]},
            {"reason": "is a copy of a training row", "screen": "novelty", "rows": [refused(i, 0.02) for i in range(3)]},
        ],
    }


def record(each: int = 6) -> dict[str, Any]:
    """The whole record; `each` pictures of every kind in the gallery."""
    measured = {learner: rows(learner, shift) for learner, shift in (("probe", 0.0), ("convnet", -0.08))}
    better = generator("flow", "all", knowledge="unlabelled", seconds=64.2, kept=331, rejected={"agreement": 66, "novelty": 3})
    better["quality"] = {k: {e: v * (0.7 if k in ("frechet", "kid") else 1.2) for e, v in q.items()} for k, q in better["quality"].items()}
    return {
        "name": "fashion-200",
        "command": "augmind expand data/fashion --out runs/fashion-200",
        "versions": {"augmind": "0.1.0", "torch": "2.13.0", "python": "3.11.7", "platform": "Linux x86_64"},
        "started": "2026-11-02T09:14:07",
        "seconds": 151.2,
        "seed": 0,
        "preset": "quick",
        "verdict": {
            "use_synthetic": False,
            "sentence": "Train with classical augmentation (trivialaugment + mixup); synthetic rows showed no gain on this data.",
            "arm": "classical",
            "gain": -0.004,
            "interval": [-0.021, 0.013],
            "against": "best classical",
            "p": 0.6,
            "certifiable": 0.024,
            "primary": "balanced_accuracy",
            "primary_arm": "synthetic",
            "level": 0.95,
        },
        "rows": [r for part in measured.values() for r in part],
        "arms": [arm(learner, name, part) for learner, part in measured.items() for name in ARMS],
        "plan": {"mode": "cv", "folds": 3, "seeds": 3, "rows": 200, "classes": 10, "estimates": {"seconds": 170, "memory_gb": 1.4, "trainings": 72}},
        "choices": [
            {
                "fold": f,
                "learner": learner,
                "classical": "trivialaugment + mixup",
                "scores": {"none": 0.69 + f / 100, "flip": 0.71, "trivialaugment": 0.735, "trivialaugment + mixup": 0.742, "mixup": 0.729},
            }
            for learner in measured
            for f in range(3)
        ],
        "generators": [
            generator("vae", "all"),
            better,
            generator(
                "gan",
                "all",
                steps=430,
                curves={"generator": [1.0, 1.4, 0.9, float("nan"), 3.1, 7.7], "critic": [1.3, 1.1, 0.7, 0.3, 0.1, 0.02]},
                findings=["AM203 rows of three classes look alike: mode collapse"],
                drawn=400,
                kept=0,
                rejected={"diversity": 400},
                quality={},
                status="dropped",
                why="It drew nearly the same row for every seed, so none of its rows was used.",
            ),
        ],
        "screens": [
            {
                "name": "agreement",
                "reason": "looks like another class",
                "cut": 0.5,
                "rejected": 231,
                "false_alarm": {"value": 0.04, "low": 0.02, "high": 0.08},
            },
            {
                "name": "typicality",
                "reason": "is unlike any real row",
                "cut": 0.05,
                "rejected": 67,
                "false_alarm": {"value": 0.05, "low": 0.03, "high": 0.1},
            },
            {
                "name": "novelty",
                "reason": "is a copy of a training row",
                "cut": 0.1,
                "rejected": 6,
                "false_alarm": {"value": 0.01, "low": 0.0, "high": 0.04},
            },
        ],
        "health": {
            "counts": {"train": {c: 20 - (i % 3) for i, c in enumerate(CLASSES)}, "test": dict.fromkeys(CLASSES, 6)},
            "corrupt": [
                {"source": "coat/017.png", "reason": "truncated after 2 kB"},
                {"source": "dress/03.jpg", "reason": 'not a picture (starts with "<html")'},
            ],
            "set_aside": [{"source": "bag/010.png", "status": "duplicate", "reason": "same as bag/009.png"}],
            "duplicates": 2,
            "near_duplicates": 5,
            "outliers": [{"source": "shirt/044.png", "score": 0.02}, "bag/009.png"],
            "label_issues": [
                {"source": "shirt/012.png", "label": "shirt", "suggested": "pullover", "score": 0.08},
                {"source": "coat/008.png", "label": "coat", "suggested": "dress", "score": 0.13},
            ],
            "imbalance": 1.11,
            "leaks": 0,
            "sizes": {"28x28": 196, "32x28": 4},
        },
        "findings": [
            {"code": "AM101", "level": "info", "text": "2 exact duplicates were merged."},
            {"code": "AM211", "level": "problem", "text": "gan was dropped: its rows are nearly the same for every seed."},
            {
                "code": "AM201",
                "level": "warning",
                "text": "gan: the loss was not finite at step 401; training went on from step 350 at half the rate.",
            },
        ],
        "confusion": confusion(),
        "fairness": fairness(),
        "growth": growth(),
        "robustness": robustness(),
        "gallery": gallery(each),
        "wanted": {c: {"asked": 40, "got": 40 if i % 4 else 31} for i, c in enumerate(CLASSES)},
        "reproduce": "augmind expand data/fashion --out runs/fashion-200 --preset quick --seed 0",
        "next": ["augmind export runs/fashion-200 --format imagefolder", "augmind expand data/fashion --preset thorough"],
    }
