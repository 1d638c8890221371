"""One search: Optuna proposes policies in batches, every rung of a batch is scored together, and results are told in order.

A batch is as large whatever the number of workers, and its trials are scored by memoised pieces of work. So a search that was
killed is replayed from its first trial in no time, asks for the very same policies, and goes on where it was.
"""

import contextlib
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from augmind.core.errors import AugmindError
from augmind.core.pool import Item
from augmind.core.registry import find
from augmind.core.store import write_json
from augmind.core.types import Choice, Classical, Policy
from augmind.job import Job
from augmind.teaching import candidates, default_policy, space_of

from .book import book_of, quiet, working_study, written
from .score import rungs, same, scored
from .space import IMAGINE, Space
from .winner import SOURCE, Trial, balanced, search_inputs, strongest, study_seed, winner

if TYPE_CHECKING:
    import optuna

BATCH = 4
"""Trials that are proposed and scored together."""
ATTEMPTS = 10
"""Proposals of a sampler that repeats itself before one of them is scored again."""
LOOKS = 2 / 3
"""Part of the trials, after those that a search begins with, that may go to plug-ins that no trial has used yet."""
EXPLAINED = 12
"""Different policies, at least, from which it is told what mattered."""
START = 10
"""Trials, those that a search begins with among them, before the sampler learns from results."""
DEFAULT = "default policy"
EARLIER = "earlier run"
LENT = "related dataset"
"""What the first policy that learns one is called, after its classical arm."""


@dataclass
class Candidate:
    """A trial under way."""

    trial: "optuna.trial.Trial"
    number: int
    name: str
    params: dict[str, Any]
    policy: Policy
    rights: list[Any] = field(default_factory=list)
    state: str = "running"
    why: str = ""

    @property
    def incumbent(self) -> bool:
        return bool(self.name)


def space(job: Job, learner: str) -> Space:
    """The space of a learner under a plan."""
    counts = job.real.counts(len(job.spec.classes))
    uneven = bool(counts.max() > 1.5 * counts[counts > 0].min())
    by_steps = space_of(learner) == "rows"
    balances = ("none", "weights", *(("oversample",) if by_steps else ()), "logit_adjustment") if uneven else ("none",)
    keys = [k for k in (*job.plan.generators, *job.plan.variants) if space_of(learner) == "features" or find_space(k) == "rows"]
    return Space(
        learner=job.learner(learner),
        spec=job.spec,
        classical=tuple(c for c in job.classical(space_of(learner)) if c.names != "alone" and not find("transforms", c.transform.name).needs),
        names=bool(job.namings),
        source=bool(job.plan.source),
        generators={k: job.generator(k) for k in keys},
        screens=job.plan.screens,
        ratio=job.plan.ratio,
        balances=balances,
    )


def find_space(key: str) -> str:
    return find("generators", key.partition("~")[0]).space


class Search:
    """The search of one fold and learner. `pieces` gives the work that is due next, `learn` takes its results."""

    def __init__(self, job: Job, fold: str, learner: str) -> None:
        self.job, self.fold, self.learner = job, fold, learner
        self.space, self.rungs = space(job, learner), rungs(job, learner)
        self.batch: list[Candidate] = []
        self.done: list[Candidate] = []
        self.rung = 0
        self.tried: set[str] = set()
        self.study = working_study(f"{job.about['fingerprint']} {learner} {fold}")
        self.book = book_of(job, self.study.study_name)
        arms = [c for c in candidates(job, learner) if c in self.space.classical]
        self.waiting = [(c.name, default_policy(job, learner, c, generators=False)) for c in arms]
        self.waiting += [(f"{EARLIER}, {i + 1}", p) for i, p in enumerate(earlier(job, self.space))]
        own = [self._lent] if self.space.source else []
        own += [self._defaults] if self.space.generators else []
        self.phases = [self._balanced, *own, self._unseen]

    @property
    def open(self) -> bool:
        return bool(self.batch) or len(self.done) < self.job.plan.trials or bool(self.waiting) or len(self.phases) > 1

    def pieces(self) -> list[Item]:
        """The scores that are due now, one item for each policy that is new."""
        if not self.batch:
            self.batch, self.rung = self._ask(), 0
        rung, root = self.rungs[self.rung], {"folder": str(self.job.folder), "fold": self.fold}
        return [
            Item(
                name=f"try {self.learner} {self.fold} {c.number} {self.rung}",
                function="augmind.search.score:score",
                args={**root, "policy": c.policy.to_json(), **asdict(rung)},
            )
            for c in self.batch
            if c.state == "running"
        ]

    def _ask(self) -> list[Candidate]:
        while not self.waiting and self.phases:
            self.waiting += [(name, p) for name, p in self.phases.pop(0)() if same(p) not in self.tried]
        left = len(self.waiting) or self.job.plan.trials - len(self.done)
        return [self._propose(len(self.done) + i) for i in range(min(BATCH, left))]

    def _best(self) -> Policy:
        """The best policy so far; what earlier runs found was tuned, and is none."""
        own = [c for c in self.done if not c.name.startswith(EARLIER)]
        return max(own, key=self._value).policy

    def _balanced(self) -> list[tuple[str, Policy]]:
        """The best classical arm with every treatment of imbalance, where classes are uneven."""
        best = self._best().classical
        arms = [replace(best, name=f"{best.name}+{b}", balance=b) for b in self.space.balances[1:]]
        return [(arm.name, default_policy(self.job, self.learner, arm, generators=False)) for arm in arms]

    def _lent(self) -> list[tuple[str, Policy]]:
        """The best classical arm with what a related dataset lends."""
        best = self._best()
        return [(f"{best.classical.name}, {LENT}", replace(best, source=True))]

    def _defaults(self) -> list[tuple[str, Policy]]:
        """Synthetic rows alone, and the default policy: synthetic rows on top of the best arm; once where these are one. A related dataset is
        beside them where it is beside that."""
        best = self._best()
        arms = {DEFAULT: best.classical, "synthetic alone": Classical(name="none")}
        made = {n: replace(default_policy(self.job, self.learner, arm, generators=True), source=best.source) for n, arm in arms.items()}
        return list(made.items())[: len({same(p) for p in made.values()})]

    def _unseen(self) -> list[tuple[str, Policy]]:
        """One policy for every transform, then every mixing, that no trial has used, with its own defaults; a part of the trials at most."""
        none = replace(default_policy(self.job, self.learner, Classical(name="none"), generators=False), source=self._best().source)
        seen = {(f, getattr(c.policy.classical, f).name) for c in self.done for f in ("transform", "mixing")}
        out = []
        for part in ("transform", "mixing"):
            fresh = [n for n in self.space.options(part) if (part, n) not in seen]
            out += [replace(none, classical=replace(none.classical, name="searched", **{part: Choice(name=n)})) for n in fresh]
        return [("", policy) for policy in out[: max(0, int(LOOKS * (self.job.plan.trials - len(self.done))))]]

    def _propose(self, number: int) -> Candidate:
        """The next policy to begin with, or one of the sampler that was not tried before, if it has any."""
        import optuna

        name, policy, trial, params = "", None, None, {}
        for attempt in range(ATTEMPTS):
            self.study.sampler = sampler(self.job, self.fold, self.learner, number, attempt, bool(self.space.generators))
            if given := bool(self.waiting):
                name, policy = self.waiting.pop(0)
                self.study.enqueue_trial(self.space.params(policy))
            trial = self.study.ask()
            params = self.space.suggest(trial)
            policy = policy or self.space.policy(params)
            if given or attempt + 1 == ATTEMPTS or same(policy) not in self.tried:
                break
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
            policy = None
        assert trial is not None and policy is not None
        self.tried.add(same(policy))
        trial.set_user_attr("policy", policy.to_json())
        trial.set_user_attr("name", name)
        return Candidate(trial, number, name, params, policy)

    def learn(self) -> None:
        """Takes the results of `pieces`, in the order of the trials; ends those that cannot win and goes to the next rung."""
        import optuna

        rung, live = self.rungs[self.rung], [c for c in self.batch if c.state == "running"]
        for c in live:
            result = scored(self.job, self.fold, c.policy, rung)
            if result.failed:
                c.state, c.why = "failed", result.failed
                self.study.tell(c.trial, state=optuna.trial.TrialState.FAIL)
                continue
            c.rights.append((rung, result.right, result.y))
            c.trial.report(self._value(c), step=self.rung + 1)
        last = self.rung + 1 == len(self.rungs)
        for c in live:
            if c.state != "running":
                continue
            if last:
                c.state = "complete"
                self.study.tell(c.trial, self._value(c))
            elif c.trial.should_prune() and not c.incumbent:  # asked of incumbents too, or the pruner would not count them
                c.state = "pruned"
                self.study.tell(c.trial, state=optuna.trial.TrialState.PRUNED)
        if last or all(c.state != "running" for c in self.batch):
            self.done += self.batch
            written(self.book, self.study, [c.trial for c in self.batch])
            self.batch = []
            self.job.run(f"search {self.learner} {self.fold}").event("progress", done=len(self.done), total=self.job.plan.trials, best=self.best())
        self.rung += 1

    def _value(self, c: Candidate) -> float:
        """Balanced accuracy on what has been scored, whole trainings only where there are any."""
        if not c.rights:
            return 0.0
        whole = [r for r in c.rights if r[0].whole] or c.rights
        return balanced(torch.cat([r[1] for r in whole]), torch.cat([r[2] for r in whole]))

    def best(self) -> float:
        """The highest value of a finished trial so far."""
        return max((self._value(c) for c in self.done if c.state == "complete"), default=0.0)

    def conclude(self) -> None:
        """Writes what the search found; the last piece of work of a search."""
        plain = {same(c.policy) for c in self.done if c.name and not c.name.startswith(EARLIER)}

        def trial(c: Candidate) -> Trial:
            measured = {"value": self._value(c), "right": pooled(c, 1), "y": pooled(c, 2)}
            known = same(c.policy) in plain
            return Trial(number=c.number, name=c.name, policy=c.policy, params=c.params, plain=known, **measured)

        trials = [trial(c) for c in self.done if c.state == "complete"]
        undrawn = {lent: [t for t in trials if not t.policy.generators and t.policy.source is lent] for lent in (False, True)}
        if not all(undrawn[lent] for lent in {False, self.space.source}):
            why = "; ".join(dict.fromkeys(c.why for c in self.done if c.why)) or "nothing was tried"
            text = f"no policy without synthetic rows could be scored for {self.learner} in fold {self.fold}: {why[:300]}"
            raise AugmindError(text, help="use another --learner, or search without --start")
        found = {"winner": winner(trials), "best": strongest(trials), "classical": strongest(undrawn[False])}
        found |= {SOURCE: strongest(undrawn[True])} if undrawn[True] else {}

        def told(t: Trial) -> dict[str, Any]:
            return {"number": t.number, "name": t.name, "value": t.value, "policy": t.policy.to_json()}

        record = {
            "fold": self.fold, "learner": self.learner, **{role: told(t) for role, t in found.items()},
            "importance": self._importance(), "rungs": [asdict(r) for r in self.rungs],
            "trials": [
                {"number": c.number, "name": c.name, "state": c.state, "why": c.why, "value": self._value(c), "rungs": len(c.rights),
                 "params": c.params, "policy": c.policy.to_json()}
                for c in self.done
            ],
        }  # fmt: skip
        inputs = search_inputs(self.job, self.fold, self.learner)
        self.job.store.stage("search", inputs, lambda tmp: write_json(tmp / "search.json", record))

    def _importance(self) -> dict[str, float]:
        """Share of the variance of the value that each parameter explains (fANOVA, Hutter et al. 2014); empty for few policies.

        A parameter that a policy makes no use of counts as if it stood at the middle of its range, so only what it does is explained.
        """
        import optuna

        seen = {same(c.policy): c for c in self.done if c.state == "complete"}.values()
        if len(seen) < EXPLAINED or len({self._value(c) for c in seen}) < 2:
            return {}
        with quiet():
            bare = optuna.create_study(direction="maximize")
            for c in seen:
                params = self.space.params(c.policy)
                bare.add_trial(optuna.trial.create_trial(params=params, distributions=c.trial.distributions, value=self._value(c)))
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self.job.config.seed)
            return {k: float(v) for k, v in optuna.importance.get_param_importances(bare, evaluator=evaluator).items() if v > 0}


def pooled(c: Candidate, column: int) -> torch.Tensor:
    return torch.cat([r[column] for r in c.rights if r[0].whole])


def sampler(job: Job, fold: str, learner: str, number: int, attempt: int, imagining: bool) -> "optuna.samplers.BaseSampler":
    """The sampler of one trial. Odd trials use synthetic rows, even ones do not."""
    import optuna

    seed = study_seed(job, fold, learner, number, attempt)
    with quiet():
        made: optuna.samplers.BaseSampler
        if job.plan.sampler == "random":
            made = optuna.samplers.RandomSampler(seed=seed)
        elif job.plan.sampler == "gp":
            made = optuna.samplers.GPSampler(seed=seed, n_startup_trials=START)
        else:
            made = optuna.samplers.TPESampler(seed=seed, n_startup_trials=START, constant_liar=True)
        return optuna.samplers.PartialFixedSampler({IMAGINE: imagining and number % 2 == 1}, made)


def earlier(job: Job, own: Space) -> list[Policy]:
    """Winners of earlier runs that this space can express, as more policies to begin with."""
    out: list[Policy] = []
    for record in job.plan.earlier:
        policy = Policy.from_json(record)
        with contextlib.suppress(KeyError, ValueError):
            made = own.policy(own.params(policy))
            if made not in out:
                out.append(made)
    return out
