"""Values of a record as words: numbers with fixed digits, a dash for what is missing, strings without control characters."""

import math
import unicodedata
from dataclasses import dataclass
from typing import Any

DASH = "–"
MINUS = "−"
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn"}
JOINERS = {"\u200c", "\u200d"}


@dataclass(frozen=True)
class Scale:
    """How a metric is shown: times `factor`, with `digits` decimals; `up` says that higher is better, None that neither is.

    `about` says what it is, in plain words."""

    label: str
    factor: float = 100.0
    digits: int = 1
    up: bool | None = True
    about: str = ""

    @property
    def unit(self) -> str:
        return "%" if self.factor == 100 else ""

    @property
    def spoken(self) -> str:
        """The label inside a sentence; abbreviations stay as they are."""
        return self.label.lower() if self.label[1:].islower() else self.label

    @property
    def heading(self) -> str:
        return f"{self.label}, %" if self.unit else self.label


METRICS = {
    "balanced_accuracy": Scale("Balanced accuracy"),
    "accuracy": Scale("Accuracy"),
    "macro_f1": Scale("Macro F1"),
    "recall": Scale("Recall"),
    "precision": Scale("Precision"),
    "roc_auc": Scale("ROC-AUC"),
    "pr_auc": Scale("PR-AUC"),
    "ece": Scale("Calibration error", up=False),
    "log_loss": Scale("Log loss", factor=1.0, digits=3, up=False),
    "chrf": Scale("chrF", factor=1.0),
    "bleu": Scale("BLEU", factor=1.0),
}
QUALITY = {
    "frechet": Scale("Fréchet distance", factor=1.0, digits=1, up=False),
    "kid": Scale("KID", factor=1.0, digits=3, up=False),
    "precision": Scale("Precision", factor=1.0, digits=2),
    "recall": Scale("Recall", factor=1.0, digits=2),
    "density": Scale("Density", factor=1.0, digits=2),
    "coverage": Scale("Coverage", factor=1.0, digits=2),
    "distinct_1": Scale("Distinct-1", factor=1.0, digits=2, about="different words per word: low where the same words come again and again"),
    "distinct_2": Scale("Distinct-2", factor=1.0, digits=2, about="the same for pairs of words"),
    "novel_4_grams": Scale("New runs of 4 words", factor=1.0, digits=2, about="share of the runs of four words that no real row has"),
    "round_trip_db": Scale(
        "Way back to waves, dB", factor=1.0, digits=1, up=False, about="how far the spectrograms of the waves are from those drawn, root mean square"
    ),
    "round_trip_db_real": Scale("Way back of real rows, dB", factor=1.0, digits=1, up=None, about="the same for real rows, to compare with"),
    "self_bleu": Scale("Self-BLEU", factor=1.0, digits=2, up=False, about="how much each row repeats the others, from 0 to 1 (all are the same)"),
    "self_bleu_real": Scale("Self-BLEU of real rows", factor=1.0, digits=2, up=None, about="the same for as many real rows, to compare with"),
    "abusive": Scale("Rude words", up=False, about="share of rows with rude or sexual words, by the word lists of their languages"),
    "abusive_real": Scale("Rude words in real rows", up=None, about="the same of the real rows, to compare with"),
}
KNOWLEDGE = {
    "rows": "the labelled rows",
    "source": "a related dataset",
    "unlabelled": "unlabelled rows",
    "pretrained": "a pretrained model",
}


def scale_of(metric: str) -> Scale:
    """How this metric is shown; an unknown one is a plain figure, higher being better."""
    return METRICS.get(metric) or Scale(metric.replace("_", " ").capitalize(), factor=1.0, digits=3)


def clean(text: object) -> str:
    """The text without control, bidirectional-override and unassigned characters; line breaks become spaces."""
    text = str(text)
    if text.isprintable():
        return text
    out = []
    for c in text:
        if c in "\n\r\t":
            out.append(" ")
        elif c in JOINERS or unicodedata.category(c) not in INVISIBLE:
            out.append(c)
    return "".join(out)


def number(value: object) -> float | None:
    """The value as a finite float; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        value = float(value)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def plain(value: object, scale: Scale = Scale("", factor=1.0), sign: bool = False) -> str:
    """A figure of this scale: "74.2"; with `sign` "+1.2"."""
    x = number(value)
    if x is None:
        return DASH
    text = f"{abs(x) * scale.factor:.{scale.digits}f}"
    zero = float(text) == 0
    if x < 0 and not zero:
        return MINUS + text
    return "+" + text if sign and not zero else text


def interval(low: object, high: object, scale: Scale, sign: bool = False) -> str:
    """ "71.0 to 77.5"; empty if an end is missing."""
    if number(low) is None or number(high) is None:
        return ""
    return f"{plain(low, scale, sign)} to {plain(high, scale, sign)}"


def probability(p: object) -> str:
    x = number(p)
    if x is None:
        return DASH
    return "< 0.001" if x < 0.001 else f"{x:.3f}" if x < 0.1 else f"{x:.2f}"


def whole(value: object) -> str:
    """A count with thin group separators: "12 345"."""
    x = number(value)
    return DASH if x is None else f"{round(x):,}".replace(",", "\u202f")


def duration(seconds: object) -> str:
    """ "8.1 s", "2 min 31 s", "3 h 05 min"."""
    x = number(seconds)
    if x is None or x < 0:
        return DASH
    if x < 60:
        return f"{x:.1f} s" if x < 10 else f"{x:.0f} s"
    whole_seconds = round(x)
    if whole_seconds < 3600:
        return f"{whole_seconds // 60} min {whole_seconds % 60:02d} s"
    return f"{whole_seconds // 3600} h {whole_seconds % 3600 // 60:02d} min"


def anything(value: Any) -> str:
    """Any JSON value in one line: for settings and for facts that the page knows no special form of."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", MINUS)
    if isinstance(value, dict):
        return ", ".join(f"{k}: {anything(v)}" for k, v in value.items()) or DASH
    if isinstance(value, list | tuple):
        return ", ".join(anything(v) for v in value) or DASH
    return clean(value)


def table(record: object, name: str) -> dict[str, Any]:
    """The mapping `record[name]`; empty where it is missing or something else."""
    value = record.get(name) if isinstance(record, dict) else None
    return value if isinstance(value, dict) else {}


def items(record: object, name: str) -> list[Any]:
    """The list `record[name]`; empty where it is missing or something else."""
    value = record.get(name) if isinstance(record, dict) else None
    return list(value) if isinstance(value, list | tuple) else []


def entries(record: object, name: str) -> list[dict[str, Any]]:
    """The mappings in the list `record[name]`."""
    return [v for v in items(record, name) if isinstance(v, dict)]
