"""What a search may decide, assembled from the plug-ins' own fields, and the policy that each point of it stands for.

The space is static: every trial names every parameter, so that relative samplers and importances see all of them. Numbers are
places in 0..1 on the range of the field (`core.tune`); fields of one name share one parameter across the plug-ins of a kind.
"""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from augmind.core.registry import find, make, names
from augmind.core.tune import Range, place_of, placed, ranges, rounded
from augmind.core.types import Choice, Classical, Policy, Spec

if TYPE_CHECKING:
    from optuna.trial import Trial

IMAGINE = "imagine"
"""Whether a policy uses synthetic rows: every other one that the sampler proposes does."""
OFF = "off"
LEAST_SHARE, MOST_SHARE = 0.05, 0.6
LEAST_AMOUNT = 0.2
"""Least part of the kept synthetic rows that is used."""
SOFT = (0.0, 0.5, 1.0)
"""Parts of a synthetic row's label that its judges may give."""
JUDGE = "agreement"
"""The screen whose judges do."""
KINDS = {"transform": "transforms", "mixing": "mixing", "transfer": "transfers"}
Params = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Space:
    """The choices that one learner has on one dataset.

    `generators` are keys of the plan (a generator's name, or "name~1" for its other settings); `ratio` is that of the plan. A
    learner of feature space gets transforms with their own defaults, whose copies are embedded once, and the mixings
    of its classical arms.
    """

    learner: Choice
    spec: Spec
    classical: tuple[Classical, ...]
    generators: dict[str, Choice]
    screens: tuple[str, ...]
    ratio: float
    balances: tuple[str, ...]
    names: bool = False
    """Whether rows made of the class names can be learnt beside the real ones."""
    source: bool = False
    """Whether there is a related dataset to begin with."""

    @property
    def by_steps(self) -> bool:
        """Whether the learner trains on batches, transformed afresh at every step."""
        return find("learners", self.learner.name).space == "rows"

    def options(self, field: str) -> tuple[str, ...]:
        """Plug-ins that this data and learner can take, the one that does nothing first."""
        if field == "mixing" and not self.by_steps:
            own = (c.mixing.name for c in self.classical)
            return tuple(dict.fromkeys(["none", *(n for n in own if n != "none" and find("mixing", n).refuses(self.spec))]))
        kind, learner = KINDS[field], find("learners", self.learner.name)
        fit = [n for n in names(kind) if not find(kind, n).refuses(self.spec)]
        fit = [n for n in fit if (find(kind, n).suits(learner) if field == "transfer" else not find(kind, n).needs)]
        first = "mix" if field == "transfer" else "none"
        return (first, *(n for n in fit if n != first))

    def fields(self, field: str) -> dict[str, list[tuple[str, Range]]]:
        """Tunable fields of the plug-ins of one kind: name -> (plug-in, range) of all that have it."""
        out: dict[str, list[tuple[str, Range]]] = {}
        for name in self.options(field):
            for setting, allowed in self._settings(field, name).items():
                out.setdefault(setting, []).append((name, allowed))
        return out

    def _settings(self, field: str, name: str) -> dict[str, Range]:
        """What of one plug-in makes a difference to the learner."""
        if field == "transform" and not self.by_steps:
            return {}
        deaf = find("learners", self.learner.name).ignores if field == "transfer" else frozenset()
        return {s: r for s, r in ranges(find(KINDS[field], name)).items() if s not in deaf}

    def cuts(self) -> dict[str, Range]:
        """Screens whose cut may be made stricter."""
        found = {n: ranges(find("screens", n)).get("lost") for n in self.screens}
        return {n: r for n, r in found.items() if r is not None}

    def weights(self) -> tuple[str, ...]:
        """Screens whose score may weigh synthetic rows, "" for none first."""
        return ("", *(n for n in self.cuts() if JUDGE in self.screens))

    def makers(self) -> dict[str, tuple[str, ...]]:
        """For every generator the settings that it was trained with, by key."""
        out: dict[str, tuple[str, ...]] = {}
        for key, choice in self.generators.items():
            out[choice.name] = (*out.get(choice.name, ()), key)
        return out

    # From a trial to a policy

    def suggest(self, trial: "Trial") -> Params:
        """One value for every parameter of the space."""
        params: Params = {IMAGINE: trial.suggest_categorical(IMAGINE, (False, True))}
        params["balance"] = trial.suggest_categorical("balance", self.balances)
        if self.names:
            params["names"] = trial.suggest_categorical("names", ("none", "beside"))
        if self.source:
            params["source"] = trial.suggest_categorical("source", (False, True))
        for field in KINDS:
            params[field] = trial.suggest_categorical(field, self.options(field))
            for setting in self.fields(field):
                params[f"{field}.{setting}"] = trial.suggest_float(f"{field}.{setting}", 0.0, 1.0)
        for maker, keys in self.makers().items():
            params[f"generator.{maker}"] = trial.suggest_categorical(f"generator.{maker}", (OFF, *keys))
        if self.generators:
            params["share"] = trial.suggest_float("share", LEAST_SHARE, MOST_SHARE)
            params["amount"] = trial.suggest_float("amount", LEAST_AMOUNT, 1.0)
            for screen in self.cuts():
                params[f"cut.{screen}"] = trial.suggest_float(f"cut.{screen}", 0.0, 1.0)
            if len(self.weights()) > 1:
                params["weigh"] = trial.suggest_categorical("weigh", self.weights())
                params["soft"] = trial.suggest_categorical("soft", SOFT)
        return params

    def policy(self, params: Params) -> Policy:
        """The policy that these parameters stand for; parameters that do not apply have no effect on it."""
        classical = Classical(
            name="searched",
            transform=self._choice("transform", params),
            mixing=self._choice("mixing", params),
            balance=params["balance"],
            names=params.get("names", "none"),
        )
        classical = next((c for c in self.classical if dataclasses.replace(c, name="searched") == classical), classical)
        transfer = self._choice("transfer", params)
        used = [key for m in self.makers() if (key := params[f"generator.{m}"]) != OFF] or [own[0] for own in self.makers().values()]
        makers = tuple(self.generators[key] for key in used if params[IMAGINE])
        transfer = self._at_work(transfer, classical, bool(makers))
        common: dict[str, Any] = {"learner": self.learner, "classical": classical, "transfer": transfer, "source": params.get("source", False)}
        if not makers:
            return Policy(**common, ratio=0.0, share=0.0)
        screens = tuple(self._screen(n, params.get(f"cut.{n}", 0.0)) for n in self.screens)
        told: dict[str, Any] = {"ratio": rounded(params["amount"] * self.ratio), "share": rounded(params["share"])}
        told |= {"weigh": params.get("weigh", ""), "soft": params.get("soft", 0.0)}
        return Policy(**common, generators=makers, screens=screens, **told)

    def _choice(self, field: str, params: Params) -> Choice:
        name = params[field]
        found = self._settings(field, name)
        default = {f.name: f.default for f in dataclasses.fields(find(KINDS[field], name))}
        at_default = {s: placed(r, place_of(r, default[s])) for s, r in found.items()}
        settings = {s: placed(r, params[f"{field}.{s}"]) for s, r in found.items()}
        return Choice(name=name, settings={s: v for s, v in settings.items() if v != at_default[s]})

    def _at_work(self, transfer: Choice, classical: Classical, synthetic: bool) -> Choice:
        """A transfer, or "mix" where it has nothing to work on: policies that do the same are one policy."""
        idle = make("transfers", transfer).idle(classical.transform.name != "none", synthetic)
        return Choice(name="mix") if idle else transfer

    def _screen(self, name: str, place: float) -> Choice:
        allowed = self.cuts().get(name)
        return Choice(name=name, settings={"lost": placed(allowed, place)} if allowed and place > 0 else {})

    # From a policy to parameters, for the points that a search begins with

    def params(self, policy: Policy) -> Params:
        """Parameters whose policy this is; the others at the middle of their range, a share or amount beyond its range at the end of it.

        Raises `ValueError` for a policy with a part that is not in the space.
        """
        if policy.classical.names == "alone":
            raise ValueError("a policy without real rows is no point of the space")
        balance = policy.classical.balance
        out: Params = {IMAGINE: bool(policy.generators), "balance": balance if balance in self.balances else self.balances[0]}
        out |= {"names": policy.classical.names} if self.names else {}
        out |= {"source": policy.source} if self.source else {}
        for field, choice in (("transform", policy.classical.transform), ("mixing", policy.classical.mixing), ("transfer", policy.transfer)):
            if choice.name not in self.options(field):
                raise ValueError(f"{choice.name} is no {field} of this space")
            out[field] = choice.name
            made = find(KINDS[field], choice.name)(**choice.settings)
            for setting, owners in self.fields(field).items():
                own = dict(owners).get(choice.name)
                out[f"{field}.{setting}"] = 0.5 if own is None else place_of(own, getattr(made, setting))
        keys = {key for key, choice in self.generators.items() if choice in policy.generators}
        for maker, own in self.makers().items():
            out[f"generator.{maker}"] = next((k for k in own if k in keys), OFF)
        if self.generators:
            out["share"] = min(max(policy.share, LEAST_SHARE), MOST_SHARE) if policy.generators else 0.25
            out["amount"] = min(max(policy.ratio / self.ratio, LEAST_AMOUNT), 1.0) if policy.generators else 1.0
            settings = {c.name: c.settings for c in policy.screens}
            for screen, allowed in self.cuts().items():
                out[f"cut.{screen}"] = place_of(allowed, settings.get(screen, {}).get("lost", allowed.low))
            if len(self.weights()) > 1:
                out["weigh"] = policy.weigh if policy.weigh in self.weights() else ""
                out["soft"] = min(SOFT, key=lambda part: abs(part - policy.soft))
        return out
