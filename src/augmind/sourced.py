"""What the verdict says of a related dataset, or of rows that got a label, whose gain without any drawn row is told apart from that of synthetic
rows, and of arms that have learners of their own."""

from dataclasses import replace

from .compare import POOL, SOURCE
from .verdict import RIVALS, Verdict, fallback, points

NAMED = {SOURCE: ("The related dataset helps", "does", "it"), POOL: ("The pseudo-labelled rows help", "do", "them")}
"""An arm that draws nothing as the subject of a sentence."""


def with_twin(v: Verdict, control: str, *, single: bool, imagined: bool, learners: tuple[str, str] = ("", "")) -> Verdict:
    """A verdict that names the related dataset, or the rows that got a label, whose arm is `control`: it alone where nothing was `imagined`, else
    after what is said of synthetic rows.

    Where synthetic rows are not recommended, that arm is, if its gains over "classical" and over "real" both exclude zero; a `single` seed on
    one training set proves nothing. `learners` are those of that arm and of the others, each chosen before a test row was seen.
    """
    helps, do, it = NAMED[control]
    subject = helps.rpartition(" ")[0]
    gains = {rival: d for rival in ("classical", "real") if (d := v.differences.get(f"{control} vs {rival}"))}
    against, d = min(gains.items(), key=lambda item: item[1].low)
    proven = d.low > 0 and not single
    whose = f" for {learners[0]} with {it}" if learners[0] != learners[1] else ""
    rival = RIVALS[against] + (f" of {learners[1]} without" if whose else "")
    sure = f"{points(d.estimate)} points{whose} against {rival} ({100 * v.level:g}% interval {points(d.low)} to {points(d.high)})"
    if proven:
        sentence = f"{helps} without any drawn row, {sure}."
    elif d.high < 0 and not single:
        sentence = f"{subject} {do} harm, {sure}."
    else:
        sentence = f"No gain from t{subject[1:]} is proven, {sure}" + ("; one seed proves none." if single else ".")
    arm = control if proven else fallback(v.differences)
    if not imagined:
        return replace(v, use_synthetic=False, arm=arm, sentence=sentence)
    return replace(v, arm=v.arm if v.use_synthetic else arm, sentence=f"{v.sentence} {sentence}")


def with_learners(v: Verdict, made: str, learners: tuple[str, str]) -> Verdict:
    """A verdict that names the learner with the `made` rows and the one without, where these are two."""
    if learners[0] == learners[1]:
        return v
    return replace(v, sentence=f"{v.sentence} It is {learners[0]} that learns from the {made} rows, and {learners[1]} that is best without them.")
