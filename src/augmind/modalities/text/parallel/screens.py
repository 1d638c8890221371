"""Judges of synthetic pairs, calibrated on real pairs alone: lengths, copies, alignment, duplicates.

Each gives a score in [0, 1], higher is better, and a cut; the first screen that a pair fails is why it is rejected.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from augmind.core.folds import inner_folds
from augmind.core.store import read_json, write_json
from augmind.modalities.text.words import plain

from .align import Filed, aligned, spoken

FOLDS = 5
EDGE = 0.005
"""Share of the real pairs beyond each end of the window of lengths."""
LOST = 0.05
"""Share of the real pairs that the cut of the alignment would lose."""
COPIED = 0.7
"""Share of words in common from which a pair counts as a copy at the earliest."""
REASONS = {
    "empty": "one side is empty",
    "lengths": "one side is too long for the other",
    "copy": "the translation copies the text",
    "alignment": "the words do not translate each other",
    "duplicates": "the pair is there already",
}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A synthetic pair; `row` is the position among the real pairs that it was made of, -1 for none."""

    text: str
    target: str
    row: int = -1


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the screens say of a pair; `rejected_by` is empty where it passed all."""

    scores: dict[str, float]
    rejected_by: str


def ratio(text: str, target: str) -> float:
    """Log of the letters of the translation for one of the text."""
    return math.log(max(1, len(target)) / max(1, len(text)))


def common(text: str, target: str) -> float:
    """Share of the words of the longer side that both sides have."""
    a, b = Counter(spoken(text)), Counter(spoken(target))
    return (a & b).total() / max(1, a.total(), b.total())


@dataclass
class Screens:
    """Screens learnt from real pairs. A pair made of a real one is scored by a model of alignment that has not seen that one."""

    window: tuple[float, float]
    copied: float
    cut: float
    fold: list[int]
    models: Filed
    seen: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def learnt(cls, texts: Sequence[str], targets: Sequence[str], units: Sequence[int], seed: int, folder: Path) -> "Screens":
        """Screens whose parts are written into a folder, for `opened`. `units`: pairs of one number share a side, and are seen by a model together
        or not at all."""
        parts = inner_folds(torch.zeros(len(texts), dtype=torch.long), torch.tensor(list(units)), FOLDS, seed)
        fold, held = [0] * len(texts), [0.0] * len(texts)
        pairs = list(zip(texts, targets, strict=True))
        for k, (inside, outside) in enumerate(parts):
            known = [pairs[int(i)] for i in inside]
            model = aligned([text for text, _ in known], [target for _, target in known])
            model.write(folder / f"model-{k}")
            for i in map(int, outside):
                fold[i], held[i] = k, model.score(*pairs[i])
        low, high = np.quantile([ratio(*pair) for pair in pairs], [EDGE, 1 - EDGE]).tolist()
        copied = max(COPIED, float(np.quantile([common(*pair) for pair in pairs], 1 - EDGE)))
        facts = {"window": [low, high], "copied": copied, "cut": float(np.quantile(held, LOST)), "fold": fold, "models": len(parts)}
        write_json(folder / "screens.json", facts)
        return cls.opened(texts, targets, folder)

    @classmethod
    def opened(cls, texts: Sequence[str], targets: Sequence[str], folder: Path) -> "Screens":
        """Those that were learnt from these pairs, of whose models one at a time is in memory."""
        facts = read_json(folder / "screens.json")
        low, high = facts["window"]
        seen = {(plain(a), plain(b)) for a, b in zip(texts, targets, strict=True)}
        return cls((low, high), facts["copied"], facts["cut"], facts["fold"], Filed(folder, facts["models"]), seen)

    def cuts(self) -> dict[str, float]:
        """The least score that passes, by screen."""
        return {"empty": 1.0, "lengths": 1.0, "copy": 1 - self.copied, "alignment": squashed(self.cut), "duplicates": 1.0}

    def alignments(self, pairs: Sequence[Candidate]) -> list[float]:
        """Of a model that has not seen the real pair that one was made of; the mean of all models where it was made of none."""
        found = [0.0] * len(pairs)
        for k, model in enumerate(self.models):
            for i, pair in enumerate(pairs):
                if pair.row < 0:
                    found[i] += model.score(pair.text, pair.target) / len(self.models)
                elif self.fold[pair.row] == k:
                    found[i] = model.score(pair.text, pair.target)
        return found

    def judge(self, pairs: Sequence[Candidate]) -> list[Judged]:
        """What is said of pairs, one after the other: one that passes is remembered, so that the same pair does not pass again."""
        return [self._judged(pair, alignment) for pair, alignment in zip(pairs, self.alignments(pairs), strict=True)]

    def _judged(self, pair: Candidate, alignment: float) -> Judged:
        own = plain(pair.text), plain(pair.target)
        if not all(own):
            return Judged(scores={"empty": 0.0}, rejected_by="empty")
        scores = {
            "empty": 1.0,
            "lengths": float(self.window[0] <= ratio(pair.text, pair.target) <= self.window[1]),
            "copy": 0.0 if own[0] == own[1] else 1 - common(pair.text, pair.target),
            "alignment": squashed(alignment),
            "duplicates": float(own not in self.seen),
        }
        failed = {
            "lengths": not scores["lengths"],
            "copy": own[0] == own[1] or common(pair.text, pair.target) > self.copied,
            "alignment": scores["alignment"] < squashed(self.cut),
            "duplicates": not scores["duplicates"],
        }
        rejected_by = next((name for name, bad in failed.items() if bad), "")
        if not rejected_by:
            self.seen.add(own)
        return Judged(scores=scores, rejected_by=rejected_by)


def squashed(x: float) -> float:
    """Any number into (0, 1), rising."""
    return 1 / (1 + math.exp(-x))
