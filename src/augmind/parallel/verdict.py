"""Whether synthetic pairs earn their place: chrF and BLEU of every arm, paired differences with intervals, and one sentence.

A score of a corpus is no mean over rows, so its variance over rows comes from a paired bootstrap (Koehn 2004): every arm and seed is scored on the
same samples of test rows. What training seeds add is taken from their spread with the Student quantile of as many seeds: three seeds drawn with
replacement would make intervals too narrow. Both are joined as `augmind.spread` joins them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from augmind.core.run import Finding
from augmind.core.seeds import stable_seed
from augmind.modalities.text.parallel.score import METRICS, Scores
from augmind.spread import Component, Spread, combined
from augmind.verdict import Difference, holm

from .config import PRIMARY

SAMPLES = 1000
LEVEL = 0.95
RIVALS = ("noise", "real")
"""The best classical arm first."""
NAMES = {
    "real": "real pairs alone",
    "noise": "real pairs with noise (best classical)",
    "backtranslation": "back-translated pairs",
    "paraphrase": "texts in other words",
    "all": "all synthetic pairs",
}
FEW = 100
"""Test rows under which intervals are wide."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """A score of one arm: by seed, and by seed in every sample of the test rows."""

    by_seed: Float[np.ndarray, " s"]
    sampled: Float[np.ndarray, "s b"]

    def __sub__(self, other: "Measured") -> "Measured":
        return Measured(by_seed=self.by_seed - other.by_seed, sampled=self.sampled - other.sampled)


def samples(units: Sequence[int], seed: int, n: int = SAMPLES) -> Float[np.ndarray, "n rows"]:
    """How often each row stands in each sample; rows of a unit are drawn together."""
    _, of = np.unique(np.array(units), return_inverse=True)
    many = int(of.max()) + 1
    drawn = np.random.default_rng(stable_seed("bootstrap", seed)).multinomial(many, np.full(many, 1 / many), size=n)
    return drawn[:, of].astype(float)


def measured(outputs: Sequence[Sequence[str]], references: Sequence[str], metric: str, weights: Float[np.ndarray, "b n"]) -> Measured:
    """One arm: translations by seed, each in the order of the references."""
    scores = [Scores(metric, own, references) for own in outputs]
    return Measured(by_seed=np.array([s.corpus() for s in scores]), sampled=np.stack([s.resampled(weights) for s in scores]))


def interval(found: Measured, rows: int) -> Spread:
    """The mean over seeds with its interval for fresh test rows and fresh trainings; `rows` independent test rows.

    Seeds count with what their spread shows beyond the luck of the rows, which the samples hold already. One seed: the rows alone.
    """
    s = len(found.by_seed)
    parts = [Component(float(found.sampled.mean(0).var(ddof=1)), max(1.0, rows - 1.0))]
    if s > 1:
        luck = (found.sampled - found.by_seed[:, None]).var(0, ddof=1).mean() / s
        parts.append(Component(max(0.0, float(found.by_seed.var(ddof=1) / s - (s - 1) / s * luck)), s - 1.0))
    mean, there = float(found.by_seed.mean()), [p for p in parts if p.variance > 0]
    if there:
        return combined(mean, there, LEVEL)
    return Spread(estimate=mean, se=0.0, df=1.0, low=mean, high=mean, p=1.0 if mean == 0 else 0.0, certifiable=0.0, detectable=0.0)


def compared(by_arm: Mapping[str, Measured], rows: int, units: int) -> dict[str, Difference]:
    """Every arm against every rival, "<arm> vs <rival>", the primary arm first; p corrected within the primary's and within all others (Holm)."""
    order = sorted(by_arm, key=lambda arm: (arm != PRIMARY, arm in RIVALS))
    pairs = [(a, b) for a in order for b in RIVALS if a != b and (a, b) != ("real", "noise")]
    found = {}
    for a, b in pairs:
        d = interval(by_arm[a] - by_arm[b], units)
        found[f"{a} vs {b}"] = Difference(**vars(d), rows=rows, seeds=len(by_arm[a].by_seed), p_holm=d.p)
    main = {name: d for name, d in found.items() if name.startswith(f"{PRIMARY} vs ")}
    return holm(main) | holm({name: d for name, d in found.items() if name not in main})


def conclusion(outputs: Mapping[str, Sequence[Sequence[str]]], references: Sequence[str], units: Sequence[int], seed: int) -> dict[str, Any]:
    """Arms with their scores, single measurements, the verdict and what is to be said of it.

    outputs   arm -> seed -> translations
    units     test rows of one number have a side in common
    """
    weights, rows, independent = samples(units, seed), len(references), len(set(units))
    table = {m: {arm: measured(own, references, m, weights) for arm, own in outputs.items()} for m in METRICS}
    differences = {m: compared(table[m], rows, independent) for m in METRICS}
    arms = []
    for arm in outputs:
        metrics = {}
        for m in METRICS:
            found = interval(table[m][arm], independent)
            metrics[m] = {"mean": found.estimate, "low": max(0.0, found.low), "high": min(100.0, found.high)}
        against = {to: differences["chrf"].get(f"{arm} vs {rival}") for to, rival in (("real", "real"), ("classical", "noise"))}
        about = {"learner": "translator", "arm": arm, "label": NAMES[arm], "metrics": metrics, "policy": ""}
        about["kind"] = {"real": "real", "noise": "classical"}.get(arm, "synthetic")
        arms.append(about | {f"difference_{to}": asdict(d) if d else None for to, d in against.items()})
    measurements = [
        {"learner": "translator", "arm": arm, "fold": 0, "seed": s, "metric": m, "value": float(value)}
        for m in METRICS
        for arm in outputs
        for s, value in enumerate(table[m][arm].by_seed)
    ]
    decided = verdict(differences)
    signatures = {m: Scores(m, next(iter(outputs.values()))[0], references).signature for m in METRICS}
    findings = remarks(outputs, rows, decided["single"])
    return {"arms": arms, "rows": measurements, "verdict": decided, "signatures": signatures, "findings": findings}


def verdict(differences: Mapping[str, Mapping[str, Difference]]) -> dict[str, Any]:
    """Recommends `PRIMARY` only if its gain in chrF over noise and over the real pairs both exclude zero, each at the full level, and there are two
    seeds or more; else noise, or the real pairs where noise is shown to do harm."""
    chrf = differences["chrf"]
    main = {rival: chrf[f"{PRIMARY} vs {rival}"] for rival in RIVALS}
    failed = [rival for rival, d in main.items() if d.low <= 0]
    against = (failed or list(RIVALS))[0]
    d = main[against]
    single = d.seeds == 1
    use = not failed and not single
    return {
        "use_synthetic": use,
        "arm": PRIMARY if use else "real" if chrf["noise vs real"].high < 0 else "noise",
        "sentence": sentence(d, differences["bleu"][f"{PRIMARY} vs {against}"], NAMES[against], use=use, single=single),
        "gain": d.estimate,
        "interval": [d.low, d.high],
        "against": against,
        "p": d.p,
        "certifiable": d.certifiable,
        "level": LEVEL,
        "margin": 0.0,
        "primary": "chrf",
        "primary_arm": PRIMARY,
        "learner": "translator",
        "single": single,
        "differences": {m: {name: asdict(x) for name, x in of.items()} for m, of in differences.items()},
    }


def points(x: float) -> str:
    return f"{round(x, 1) + 0.0:+.1f}"


def sentence(d: Difference, bleu: Difference, rival: str, *, use: bool, single: bool) -> str:
    """The verdict in one plain sentence."""
    sure = f"{100 * LEVEL:g}% interval {points(d.low)} to {points(d.high)}"
    size = f"{d.seeds} seed{'s' * (d.seeds > 1)}, {d.rows:,} test pairs"
    beside = f"BLEU {points(bleu.estimate)} ({points(bleu.low)} to {points(bleu.high)})"
    least = f"this test set could certify no gain below {d.certifiable:.1f} chrF"
    if use:
        return f"Use the synthetic pairs: {points(d.estimate)} chrF over {rival} ({sure}; {size}); {beside}; {least}."
    why = "they do harm" if d.high < 0 else "no gain is proven"
    start = f"Do not use synthetic pairs here, {why}: {points(d.estimate)} chrF against {rival}"
    if single:
        return f"{start} ({sure} for the test rows alone), but one seed cannot tell a gain from a lucky training; repeat with 3 seeds or more."
    return f"{start} ({sure}; {size}); {beside}; {least}."


def remarks(outputs: Mapping[str, Sequence[Sequence[str]]], rows: int, single: bool) -> list[Finding]:
    """AM601 one seed, AM603 few test rows, AM604 the same translations as a rival."""
    out = []
    if single:
        out.append(Finding("AM601", "warning", "one seed: the intervals cover the choice of test rows, not the luck of a training", {"seeds": 1}))
    if rows < FEW:
        out.append(Finding("AM603", "warning", f"few test rows: {rows}; intervals are wide and only large gains can be certified", {"rows": rows}))
    same = [rival for rival in RIVALS if all(list(a) == list(b) for a, b in zip(outputs[PRIMARY], outputs[rival], strict=True))]
    out += [Finding("AM604", "info", f"synthetic pairs and {NAMES[rival]} give every test row the same translation") for rival in same]
    return out
