"""`report.json`: everything that a finished run found, gathered from its stages, and the page made of it."""

import json
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from .appraise import calibration, quality_of
from .beside import labellers
from .compare import (
    SEARCHED,
    added,
    arms,
    arms_with_rows,
    best_learner,
    in_full,
    inner_scores,
    judged,
    kept,
    policy_of,
    predictions,
    primary,
    twin,
)
from .conduct import time_before, versions
from .core.plugin import Learner
from .core.registry import find, make
from .core.store import atomic_write, finite, read_json, read_table, write_json
from .core.tensors import load_tensors
from .core.types import Knowledge, Policy
from .data.export import written
from .explain import explain_record, with_previews
from .fairness import fairness_record
from .figures import confusions, table
from .growth import growth_record
from .job import Job
from .pipeline import known, shard_path, shards_by_generator, train_inputs, wanted_inputs
from .robust import robust_record, tested_corrupted
from .searched import disagreement, imagines, in_words, of_most, searches, without_use
from .shards import labels_alone
from .sourced import with_learners, with_twin
from .verdict import TWINS, Predictions, Verdict, differences, fallback, intervals, verdict

CHOSEN = "chosen in each fold"
"""The learners of the verdict: in every fold, and of arms with a related dataset by themselves, the one with the best inner score."""
METRICS = ("balanced_accuracy", "accuracy", "macro_f1", "precision", "recall", "roc_auc", "pr_auc", "ece", "log_loss")
PER_CLASS, PER_REASON = 4, 8
"""Rows of the gallery."""


def cells(job: Job, learner: str) -> list[Predictions]:
    """All predictions of a learner, or of the learner chosen in each fold."""
    out = []

    def named(fold: str, arm: str = primary(job)) -> str:
        return best_learner(job, fold, arm) if learner == CHOSEN else learner

    for fold in job.folds:
        for arm in arms_with_rows(job, named):
            name = named(fold, arm)
            for seed in range(job.plan.seeds):
                p = predictions(job, fold, name, arm, seed)
                columns = {name: p[name].numpy() for name in ("ids", "y", "p", "unit")}
                out.append(Predictions(arm=arm, fold=int(fold), seed=seed, **columns))
    return out


def measured(job: Job, learner: str, found: list[Predictions]) -> list[dict[str, Any]]:
    """One row per arm, fold, seed and metric; with --group also one per group."""
    groups = {r.id: r.group for r in job.rows} if job.config.group else None
    return [{"learner": learner, **row} for row in table(found, job.spec.classes, groups)]


def kind_of(job: Job, arm: str) -> str:
    """How the report marks an arm: "real", "classical", "control" (it knows what synthetic arms know) or "synthetic"."""
    if arm == SEARCHED:
        return "synthetic" if imagines(job) else "classical"
    return "synthetic" if "synthetic" in arm else "control" if arm in TWINS else arm


def arm_records(job: Job, learner: str, found: list[Predictions]) -> list[dict[str, Any]]:
    """Means with intervals and paired differences, per arm."""
    shown, made = differences(found, mode=job.split.mode, primary=primary(job)), added(job)
    out = []
    for arm in dict.fromkeys(c.arm for c in found):
        own = [c for c in found if c.arm == arm]
        metrics = intervals(own, METRICS, mode=job.split.mode, classes=job.spec.classes)
        against = {rival: shown.get(f"{arm} vs {rival}") for rival in ("real", "classical")}
        about = {"learner": learner, "arm": arm, "kind": kind_of(job, arm), "label": in_full(arm, made), "knowledge": knowledge(job, learner, arm)}
        about["policy"] = policy_name(job, learner, arm)
        about["metrics"] = {name: dict(zip(("mean", "low", "high"), values, strict=True)) for name, values in metrics.items()}
        out.append(about | {f"difference_{rival}": asdict(d) if d else None for rival, d in against.items()})
    return out


def knowledge(job: Job, learner: str, arm: str) -> list[str]:
    """Where what this arm knows comes from."""
    found = {Knowledge.rows.name}
    for name in {best_learner(job, f, arm) for f in job.folds} if learner == CHOSEN else {learner}:
        found |= {k.name for k in knows(job, make("learners", job.learner(name)))}
        for policy in (policy_of(job, f, name, arm) for f in job.folds):
            found |= {job.knowledge(make("generators", g)).name for g in policy.generators}
            found |= {Knowledge.source.name} if policy.source else set()
    return sorted(found)


def knows(job: Job, learner: Learner) -> frozenset[Knowledge]:
    """Where what a learner knows comes from; one that begins from a saved model says so."""
    return getattr(learner, "knows", frozenset({job.knowledge(learner)}))


def policy_name(job: Job, learner: str, arm: str) -> str:
    """What the arm does to rows; where folds chose differently, all that were chosen."""
    if learner == CHOSEN:
        named = [best_learner(job, f, arm) for f in job.folds]
        return named[0] if len(set(named)) == 1 else ", ".join(f"{n} in fold {f}" for f, n in zip(job.folds, named, strict=True))
    names = Counter(in_words(policy_of(job, f, learner, arm)) for f in job.folds)
    return ", or ".join(f"{n} ({k} of {len(job.folds)} folds)" if len(names) > 1 else n for n, k in names.most_common())


def generator_record(job: Job, name: str) -> dict[str, Any]:
    """Training, yield and quality of one generator in the fold that is handed over."""
    facts = read_json(job.store.path(f"train-{name}", train_inputs(job, job.final, name)) / "facts.json")
    drawn = read_json(shard_path(job, job.final, name) / "facts.json")
    about = {k: facts[k] for k in ("knowledge", "settings", "status", "why")}
    training = {"steps": facts.get("steps", 0), "planned": facts.get("planned", 0), "seconds": round(facts.get("seconds", 0.0), 1)}
    yielded = {k: drawn[k] for k in ("drawn", "kept", "rejected")}
    quality = quality_of(job, name)
    findings = facts["findings"] + drawn["findings"] + quality["findings"]
    rest = {"curves": facts.get("points", {}), "findings": findings, "quality": quality["figures"]}
    if places := quality.get("map"):
        rest["map"] = {"classes": list(job.spec.classes), **places}
    return {"name": name, "fold": job.final, **about, **training, **yielded, **rest}


def wanted_record(job: Job) -> dict[str, Any]:
    """What was asked for with --want and what was got, by class."""
    out = {name: {"asked": count, "got": 0} for name, count in job.config.want.items()}
    for generator in job.generators("rows"):
        facts = job.store.path(f"wanted-{generator}", wanted_inputs(job, generator)) / "facts.json"
        for name, count in (read_json(facts)["wanted"] if facts.is_file() else {}).items():
            if name in out:
                out[name]["got"] += count["got"]
    return out


def spendings(job: Job) -> list[dict[str, Any]]:
    """AM222 by plug-in: what the whole run has asked of endpoints, all folds and inner splits together."""
    from .modalities.text.endpoint import spending

    parts: dict[str, list[dict[str, Any]]] = {}
    for name in job.store.finished():
        facts = job.folder / "stages" / name / "facts.json"
        for finding in read_json(facts).get("findings", []) if facts.is_file() else []:
            if finding["code"] == "AM222":
                parts.setdefault(finding["about"]["plugin"], []).append(finding["about"])
    return [asdict(spending(some)) for some in parts.values()]


def all_findings(
    job: Job, generators: list[dict[str, Any]], health: dict[str, Any], verdict: Verdict, fairness: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """Coded remarks of all stages, each once, the worst first."""
    found = [*job.about["findings"], *job.split.to_json()["findings"], *health.get("findings", []), *(asdict(f) for f in verdict.findings)]
    found += fairness["findings"] if fairness else []
    found += spendings(job)
    for g in generators:
        found += [f for f in g["findings"] if f["code"] != "AM222"]
        if g["status"] == "dropped":
            found.append({"code": "AM230", "level": "warning", "text": f"{g['name']} was left out: {g['why']}", "about": {}})
    spared = dict.fromkeys(g["name"] for g in generators if g["status"] == "not needed")
    if spared:
        text = f"{', '.join(spared)} had nothing to do where {', '.join(job.plan.first)} supplied enough rows"
        found.append({"code": "AM231", "level": "info", "text": text, "about": {"generators": list(spared)}})
    for name, rows in wanted_record(job).items():
        if rows["got"] < rows["asked"]:
            text = f"asked for {rows['asked']} rows of '{name}': {rows['got']} passed the screens"
            found.append({"code": "AM221", "level": "warning", "text": text, "about": rows})
    if alone := [n for n in job.plan.learners if any(policy_of(job, f, n, "classical").classical.names == "alone" for f in job.folds)]:
        text = f"the best classical arm of {', '.join(alone)} is 'class names alone': it, and synthetic + classical beside it, learn from no real row"
        found.append({"code": "AM607", "level": "info", "text": text, "about": {"learners": alone}})
    found += [{"code": "AM001", "level": "info", "text": note, "about": {}} for note in job.plan.notes]
    unique = {(f["code"], f["text"]): f for f in found}.values()
    return sorted(unique, key=lambda f: ("problem", "warning", "info").index(f["level"]))


def gallery(job: Job) -> dict[str, Any]:
    """Real beside synthetic rows per class, each with its nearest real row, and rejected rows by reason, as previews."""
    real, learnt = job.fold_rows(job.final), known(job, job.final)
    where = {int(k): i for i, k in enumerate(learnt.key)}
    synthetic: dict[str, list[dict[str, Any]]] = {c: [] for c in job.spec.classes}
    rejected: dict[str, list[dict[str, Any]]] = {}
    drawn: list[tuple[dict[str, Any], torch.Tensor, int | None]] = []
    for generator, (purpose, path) in [(g, shard) for g in job.generators("rows") for shard in shards_by_generator(job, g)]:
        table, x = read_table(path / "table.parquet"), load_tensors(path / "rows.safetensors")["x"]
        for i, label in enumerate(table["label"]):
            if purpose == "comparison" and label in job.config.want:
                continue
            scores = {k[len("score_") :]: v[i] for k, v in table.items() if k.startswith("score_")}
            row = {"generator": generator, "row": f"{generator}:{table['seed'][i]}", "label": label, "scores": scores}
            row |= {"note": table["note"][i]} if "note" in table else {}
            why = table["rejected_by"][i]
            mine = [r for r in synthetic[label] if r["generator"] == generator]
            if not why and len(mine) < PER_CLASS:
                synthetic[label].append(row)
                drawn.append((row, x[i], where.get(table["nearest_row"][i])))
            elif why not in ("", "surplus", "unsure") and len([r for r in rejected.get(why, []) if r["generator"] == generator]) < PER_REASON:
                rejected.setdefault(why, []).append(row | {"score": scores.get(why)})
                drawn.append((rejected[why][-1], x[i], where.get(table["nearest_row"][i])))
    own = {name: (real.y == k).nonzero().flatten()[: 2 * PER_CLASS].tolist() for k, name in enumerate(job.spec.classes)}
    seen = sorted({i for rows in own.values() for i in rows} | {near for _, _, near in drawn if near is not None})
    views = dict(zip(seen, job.codec.preview(learnt.x[seen]), strict=True))
    for alone in (True, False):
        if some := [d for d in drawn if (d[2] is None) is alone]:
            beside = None if alone else learnt.x[[near for _, _, near in some]]
            for (row, _, near), html in zip(some, job.codec.preview(torch.stack([x for _, x, _ in some]), beside), strict=True):
                row.update(html=html, nearest="" if near is None else views[near])
    classes = [{"class": name, "real": [views[i] for i in rows], "synthetic": synthetic[name]} for name, rows in own.items()]
    reasons = [{"reason": find("screens", s).reason, "screen": s, "rows": rejected[s]} for s in job.plan.screens if s in rejected]
    return {"classes": classes, "rejected": reasons, "legend": getattr(job.codec, "legend", "")}


def health_record(job: Job) -> dict[str, Any]:
    """The health of the data in the words of the report; test rows are counted, never looked at."""
    health = read_json(job.features_stage / "health.json")
    test = Counter(job.rows[i].label for i in job.split.folds[0].test) if job.split.mode != "cv" else Counter[str]()
    counts = {"train": health["counts"]} | ({"test": {c: test[c] for c in job.spec.classes}} if test else {})
    about = {k: health[k] for k in ("corrupt", "outliers", "imbalance", "sizes", "findings")}
    about |= {"duplicates": sum(r.status == "duplicate" for r in job.rows), "near_duplicates": sum(map(len, health["near"]))}
    about |= {"label_issues": health["label_errors"], "leaks": len(health["leaks"])}
    aside = [{"source": r.source, "status": r.status, "reason": r.reason} for r in job.rows if r.status not in ("ok", "corrupt")]
    return about | {"counts": counts, "set_aside": aside}


def build(job: Job, since: float | None = None) -> dict[str, Any]:
    """The whole record, galleries aside; `since` is when this visit of the run folder began."""
    found = cells(job, CHOSEN)
    made = added(job)
    notes = {"seeds": job.plan.seeds, "made": made}
    decided = verdict(found, mode=job.split.mode, margin=job.config.margin, classes=job.spec.classes, primary=primary(job), notes=notes, made=made)
    decided = without_use(job, decided) if job.plan.trials else decided
    if job.plan.generators and not any(kept(job, job.final, g) for g in job.plan.generators if judged(job, g)):
        decided = with_nothing_to_hand_over(decided)
    if control := twin(job.plan):
        single, both = job.plan.seeds == 1 and job.split.mode != "cv", (of_most(job, control)[0], of_most(job, "classical")[0])
        decided = with_twin(decided, control, single=single, imagined=bool(job.plan.generators), learners=both)
    elif labellers(job):
        decided = with_learners(decided, made, (of_most(job, primary(job))[0], of_most(job, "classical")[0]))
    if decided.arm == SEARCHED:
        decided = replace(decided, findings=(*decided.findings, *disagreement(*recommended(job, decided)[1:])))
    extra = further_figures(job, found, decided)
    rows, about = [], []
    if len({best_learner(job, f, arm) for f in job.folds for arm in arms(job)}) > 1:
        rows += measured(job, CHOSEN, found)
        about += arm_records(job, CHOSEN, found)
    for learner in job.plan.learners:
        found = cells(job, learner)
        rows += measured(job, learner, found)
        about += arm_records(job, learner, found)
    choices = []
    for fold in job.folds:
        best = best_learner(job, fold)
        for learner in job.plan.learners:
            classical, scores = policy_of(job, fold, learner, "classical").classical, inner_scores(job, fold, learner)
            choices.append({"fold": int(fold), "learner": learner, "classical": classical.name, "scores": scores, "chosen": learner == best})
    health = health_record(job)
    generators = [generator_record(job, g) for g in job.plan.generators]
    screens, rejected = calibration(job), Counter[str]()
    for g in generators:
        rejected.update(g["rejected"])
    screen_rows = [
        {
            "name": n,
            "reason": s["reason"],
            "cut": s["cut"],
            "rejected": rejected[n],
            "false_alarm": {k: s[k] for k in ("value", "low", "high")},
            "rows": s["rows"],
        }
        for n, s in screens.items()
    ]
    seconds = time_before(job.folder) + (time.time() - since if since else 0.0)
    return {
        "name": job.about["name"], "command": command(job), "versions": versions(), "started": job.record["started"], "seconds": round(seconds, 1),
        "seed": job.config.seed, "preset": job.config.preset, "verdict": verdict_record(job, decided), "rows": rows, "arms": about,
        "plan": job.plan.to_json(), "choices": choices, "search": searches(job, rows), **extra,
        "generators": generators, "screens": screen_rows, "health": health,
        "findings": all_findings(job, generators, health, decided, extra["fairness"]), "wanted": wanted_record(job), "reproduce": command(job),
        "next": further(job, generators),
    }  # fmt: skip


def with_nothing_to_hand_over(v: Verdict) -> Verdict:
    """Rows may have passed in some folds and none of those that would be handed over: there is nothing to use."""
    if not v.use_synthetic:
        return v
    sentence = "Do not use synthetic data here: rows passed the screens in some folds, but none of those that would be handed over."
    return replace(v, use_synthetic=False, arm=fallback(v.differences), sentence=sentence)


def further(job: Job, generators: list[dict[str, Any]]) -> list[str]:
    """What a person may do next."""
    own = [g["name"] for g in generators if g["kept"] and g["name"] in job.generators("rows") and not labels_alone(g["name"])]
    tables = [read_table(shard_path(job, job.final, g) / "table.parquet", ["label", "rejected_by"]) for g in own]
    kept = Counter(label for t in tables for label, why in zip(t["label"], t["rejected_by"], strict=True) if not why)
    folder, to = quoted(str(job.folder)), "csv" if written(job.codec) else "audiofolder" if job.spec.rate else "imagefolder"
    sample = [f"augmind sample {folder} --label {quoted(label)} -n 50" for label, _ in kept.most_common(1)]
    return [f"augmind export {folder} --to {to} --out DIR", *sample]


def further_figures(job: Job, found: list[Predictions], decided: Verdict) -> dict[str, Any]:
    """Confusion, groups, what the gain is worth in real rows, and robustness, of the learner chosen in each fold."""
    d = None if twin(job.plan) else decided.differences.get(f"{primary(job)} vs classical")
    return {
        "confusion": confusions(found, job.spec.classes),
        "fairness": fairness_record(job, found, decided.arm),
        "explanation": explain_record(job, found) if job.config.explain else None,
        "growth": growth_record(job, d and d.estimate, d and d.se) if job.config.explain else None,
        "robustness": robust_record(job, {f: best_learner(job, f) for f in job.folds}, arms(job)) if tested_corrupted(job) else None,
    }


def recommended(job: Job, v: Verdict) -> tuple[str, list[Policy], int]:
    """The learner that most folds chose, what the verdict's arm does in each of these folds, and which of these policies is handed over.

    It is the one that most folds found; after a search, of those that use synthetic rows if the verdict says so, else of those that do not.
    """
    learner, policies = of_most(job, v.arm)
    fit = [i for i, p in enumerate(policies) if bool(p.generators) == v.use_synthetic] if v.arm == SEARCHED else []
    return learner, policies, max(fit or range(len(policies)), key=lambda i: policies.count(policies[i]))


def verdict_record(job: Job, v: Verdict) -> dict[str, Any]:
    """The verdict as JSON, with the policy that it recommends."""
    learner, policies, chosen = recommended(job, v)
    policy = (
        policies[chosen].to_json() | ({"rows": "texts"} if job.spec.kind == "tokens" else {}) | ({"rate": job.spec.rate} if job.spec.rate else {})
    )
    record = {k: w for k, w in asdict(v).items() if k != "findings"}
    return record | {"interval": list(v.interval), "primary": "balanced_accuracy", "primary_arm": primary(job), "learner": learner, "policy": policy}


def command(job: Job) -> str:
    """The command line that makes this run again."""
    c = job.config
    return spelled(c, job.record["data"], job.folder) + (f" --budget {c.budget:g}s" if c.budget else "")


def spelled(c: BaseModel, data: str, folder: Path) -> str:
    """`augmind expand` with every setting that differs from its default."""
    parts = ["augmind expand", quoted(data), "--out", quoted(str(folder))]
    fields = type(c).model_fields
    for name in fields:
        value = getattr(c, name)
        if name in ("data", "jobs", "track", "budget", "storage") or value == fields[name].get_default(call_default_factory=True):
            continue
        flag = ("--no-" if value is False else "--") + name.replace("_", "-")
        if isinstance(value, bool):
            parts.append(flag)
        elif isinstance(value, dict):
            said = {k: json.dumps(v, ensure_ascii=False) if isinstance(v, list | dict) else v for k, v in value.items()}
            parts += [flag, *(quoted(f"{key_of(name, k)}={v}") for k, v in said.items())]
        elif name == "warm":
            parts += [flag, *map(quoted, value)]
        elif isinstance(value, tuple):
            parts += [flag, quoted(",".join(value))]
        else:
            parts += [flag, quoted(str(value))]
    return " ".join(parts)


def key_of(flag: str, key: str) -> str:
    """A key of KEY=VALUE on the command line; class names that hold the sign are in quotes."""
    return json.dumps(key, ensure_ascii=False) if flag == "describe" and ("=" in key or key.startswith('"')) else key


def quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)


def conclude(folder: str, since: float | None = None) -> None:
    """Writes `report.json`, `report.csv`, `figures.jsonl`, `policy.json` and `report.html` into the run folder."""
    from .report import frame, render

    job = Job(Path(folder))
    record = build(job, since)
    write_json(job.folder / "report.json", record)
    write_json(job.folder / "policy.json", record["verdict"]["policy"])
    atomic_write(job.folder / "report.csv", frame(record).to_csv(index=False).encode())
    atomic_write(job.folder / "figures.jsonl", "".join(json.dumps(finite(row), ensure_ascii=False) + "\n" for row in record["rows"]).encode())
    why = record["explanation"]
    page = record | {"gallery": gallery(job), "explanation": why and with_previews(job, why)}
    atomic_write(job.folder / "report.html", render(page).encode())
