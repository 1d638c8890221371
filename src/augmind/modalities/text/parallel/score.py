"""chrF (Popović 2015) and BLEU (Papineni et al. 2002) as `sacrebleu` counts them (Post 2018, arXiv:1804.08771)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from augmind.core.errors import MachineError
from augmind.modalities.text.words import script

METRICS = ("chrf", "bleu")
UNSPACED = {"Han": "zh", "Japanese": "char", "Thai": "char"}
"""How BLEU finds words in scripts without spaces."""


def needed() -> None:
    """Raises `MachineError` where sacrebleu is missing."""
    try:
        import sacrebleu  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise MachineError(
            "translations are scored by the package 'sacrebleu', which is not installed", help="pip install 'augmind[text]'"
        ) from error


def metric(name: str, references: Sequence[str]) -> Any:
    """sacrebleu's metric with its own settings; BLEU's words are found by the script of the references."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    return CHRF() if name == "chrf" else BLEU(tokenize=UNSPACED.get(script(" ".join(references[:200])), "13a"))


class Scores:
    """The counts of every row, from which the score of any sample of rows follows."""

    def __init__(self, name: str, outputs: Sequence[str], references: Sequence[str]) -> None:
        self.metric = metric(name, references)
        counts = self.metric._extract_corpus_statistics(list(outputs), [list(references)])
        self.counts: Float[np.ndarray, "n k"] = np.array(counts, dtype=float)
        self.signature = str(self.metric.get_signature())

    def corpus(self) -> float:
        """The score of all rows together, 0..100."""
        return self.of(self.counts.sum(0))

    def of(self, counts: Float[np.ndarray, " k"]) -> float:
        return float(self.metric._compute_score_from_stats(counts.round().astype(int).tolist()).score)

    def rows(self) -> list[float]:
        """The score of each row alone, 0..100."""
        return [self.of(row) for row in self.counts]

    def resampled(self, weights: Float[np.ndarray, "b n"]) -> Float[np.ndarray, " b"]:
        """The score of each sample in which row i stands `weights[b, i]` times."""
        return np.array([self.of(row) for row in weights @ self.counts])
