"""What a finished search has to say beside the comparison: its winners, what mattered, how optimistic it was."""

from collections import Counter
from dataclasses import replace
from typing import Any

from .compare import SEARCHED, best_learner, policy_of
from .core.run import Finding
from .core.types import Policy
from .job import Job
from .search.score import same
from .search.winner import ROLES, search_record
from .verdict import Verdict, points

PRIMARY = "balanced_accuracy"


def searches(job: Job, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As `winners`, with every trial, and the inner score of the winner less what it gave on rows that no choice saw."""
    out = []
    for told in winners(job):
        cell = (SEARCHED, told["learner"], told["fold"], PRIMARY)
        own = [r["value"] for r in rows if (r["arm"], r["learner"], r["fold"], r["metric"]) == cell]
        outer, inner = sum(own) / len(own), told["winner"]["value"]
        trials = search_record(job, str(told["fold"]), told["learner"])["trials"]
        out.append(told | {"trials": trials, "inner": inner, "outer": outer, "optimism": inner - outer})
    return out


def winners(job: Job) -> list[dict[str, Any]]:
    """What each search found: the policies of `winner.ROLES`, in words too.

    `tried` counts different policies; a sampler may come back to one.
    """
    out = []
    for fold in job.folds if job.plan.trials else ():
        for learner in job.plan.learners:
            record = search_record(job, fold, learner)
            states = Counter(t["state"] for t in record["trials"])
            different = len({same(Policy.from_json(t["policy"])) for t in record["trials"]})
            told = {role: {**record[role], "words": in_words(Policy.from_json(record[role]["policy"]))} for role in ROLES if role in record}
            counts = {"tried": different, "pruned": states["pruned"], "failed": states["failed"]}
            out.append({"fold": int(fold), "learner": learner, **counts, **told, "importance": record["importance"]})
    return out


def in_words(policy: Policy) -> str:
    """A policy in one line."""
    c = policy.classical
    parts = [c.name if c.name != "searched" else " + ".join(str(x) for x in (c.transform, c.mixing) if x.name != "none") or "none"]
    if c.name == "searched" and c.balance != "none":
        parts.append(f"balance by {c.balance}")
    if policy.transfer.name != "mix":
        parts.append(str(policy.transfer))
    if policy.source:
        parts.append("from the related dataset on")
    if policy.generators:
        parts.append(f"{policy.share:.0%} of every batch from {', '.join(map(str, policy.generators))}")
    if policy.weigh:
        parts.append(f"rows weighed by {policy.weigh}")
    if policy.soft:
        parts.append(f"{policy.soft:.0%} of a synthetic row's label by the judges")
    if policy.believed:
        parts.append("of rows that got a label all, by what is believed of each")
    return "; ".join(parts)


def of_most(job: Job, arm: str) -> tuple[str, list[Policy]]:
    """The learner that most folds chose for an arm, and what the arm does in each of these folds."""
    folds = [(best_learner(job, f, arm), f) for f in job.folds]
    learner = Counter(n for n, _ in folds).most_common(1)[0][0]
    return learner, [policy_of(job, f, n, arm) for n, f in folds if n == learner]


def imagines(job: Job) -> bool:
    """Whether any winner of the learner that most folds chose uses synthetic rows, so that one can be handed over."""
    return any(p.generators for p in of_most(job, SEARCHED)[1])


def disagreement(policies: list[Policy], chosen: int) -> list[Finding]:
    """Says so where the searches of several folds found several policies: then the interval is about searching, not about one of them."""
    different = len({same(p) for p in policies})
    if different < 2:
        return []
    text = f"the searches of {len(policies)} folds found {different} policies; the interval is about searching for one, and policy.json holds"
    return [Finding("AM606", "info", f"{text} that of fold {chosen + 1}: {in_words(policies[chosen])}", {"policies": different})]


def without_use(job: Job, v: Verdict) -> Verdict:
    """A verdict about a searched policy that uses no synthetic rows recommends that policy, or a simpler arm, and no synthetic rows."""
    if imagines(job):
        return v
    where, those = (" in all searches", "those") if len(winners(job)) > 1 else ("", "one")
    tried = sum(w["tried"] for w in winners(job))
    start = f"Do not use synthetic data here: of {tried} policies tried{where}, {those} without synthetic rows won"
    low, high = v.interval
    gain = f"{points(v.gain)} points against {v.against} ({100 * v.level:g}% interval {points(low)} to {points(high)})"
    return replace(v, use_synthetic=False, sentence=f"{start}; it gave {gain}.")
