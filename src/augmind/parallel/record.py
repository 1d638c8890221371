"""`report.json`, `report.html` and `corpus.parquet` of a run of translations, gathered from its stages."""

from collections import Counter
from pathlib import Path
from typing import Any

from augmind.conduct import time_before, versions
from augmind.core.run import Finding
from augmind.core.store import atomic_write, read_json, write_json, write_table
from augmind.modalities.text.parallel.score import Scores
from augmind.modalities.text.parallel.screens import REASONS
from augmind.record import quoted, spelled

from .config import PRIMARY
from .handover import enlarged
from .job import Job, open_seal, spent_since
from .stages import attempts, chosen_noise, made, make_inputs, outputs, settings_of, training_facts
from .verdict import conclusion

EXAMPLES, SHOWN = 4, 6
"""Examples of each kind (gained, lost, in between), and new pairs of each maker."""


def conclude(folder: str, since: float | None = None) -> None:
    """Writes `report.json`, `report.html` and `corpus.parquet` into the run folder."""
    from augmind.report.parallel import render

    job = Job(Path(folder))
    record = build(job, since)
    write_json(job.folder / "report.json", record)
    write_json(job.folder / "policy.json", record["verdict"]["policy"])
    write_table(job.folder / "corpus.parquet", enlarged(job))
    atomic_write(job.folder / "report.html", render(record).encode())


def build(job: Job, since: float | None) -> dict[str, Any]:
    test = open_seal(job)
    references = [r.target for r in test]
    said = {arm: [outputs(job, arm, seed) for seed in range(job.plan.seeds)] for arm in job.wish.arms}
    found = conclusion(said, references, [r.unit for r in test], job.wish.seed)
    makers = [maker_record(job, maker) for maker in job.wish.makers]
    for arm in found["arms"]:
        arm["knowledge"] = knowledge(job, arm["arm"])
        arm["policy"] = policy_of(job, arm["arm"], {m["name"] for m in makers if not m["kept"]})
    findings = [Finding(**f) for f in job.about["findings"]] + found["findings"] + of_makers(makers) + of_trainings(job)
    command, folder = spelled(job.wish, job.record["data"], job.folder), quoted(str(job.folder))
    notes = [Finding("AM001", "info", note) for note in job.plan.notes]
    verdict = found["verdict"]
    return {
        "name": job.about["name"], "command": command, "reproduce": command, "versions": versions(), "started": job.record["started"],
        "seconds": round(time_before(job.folder) + spent_since(since), 1), "seed": job.wish.seed, "preset": job.wish.preset,
        "verdict": verdict | {"policy": recommended(job, verdict["arm"])}, "rows": found["rows"], "arms": found["arms"],
        "plan": job.plan.to_json(), "signatures": found["signatures"], "corpus": {k: v for k, v in job.about.items() if k != "findings"},
        "choices": [{"fold": 0, "learner": "translator", "classical": chosen_noise(job), "scores": attempts(job), "chosen": True}],
        "generators": makers, "examples": examples(test, said), "gallery": {m: gallery(job, m) for m in job.wish.makers},
        "findings": [vars(f) for f in notes + findings], "wanted": {}, "next": [f"augmind export {folder} --to csv --out DIR"],
    }  # fmt: skip


def knowledge(job: Job, arm: str) -> list[str]:
    """Where what an arm knows comes from."""
    makers = job.wish.arms[arm]
    known = {"rows"} | ({"unlabelled"} if job.wish.unlabelled and "backtranslation" in makers else set())
    return sorted(known | ({"pretrained"} if job.plan.sources.keys() & set(makers) else set()))


def policy_of(job: Job, arm: str, empty: set[str]) -> str:
    """What an arm does, in words; of makers in `empty` no pair passed the screens."""
    models = job.wish.models
    back = models.get("backtranslation", "a translator learnt from the same pairs")
    ways = {"noise": chosen_noise(job), "backtranslation": f"translated back by {back}", "paraphrase": f"other words by {models.get('paraphrase')}"}
    told = (ways[maker] + (", of which no pair passed" if maker in empty else "") for maker in job.wish.arms[arm])
    return "; ".join(told) or "nothing added"


def recommended(job: Job, arm: str) -> dict[str, Any]:
    """The recommended arm as plain JSON."""
    c, makers = job.wish, job.wish.arms[arm]
    policy: dict[str, Any] = {"task": "translation", "arm": arm, "makers": list(makers), "share": c.share, "ratio": c.ratio}
    policy |= {"noise": chosen_noise(job)} if "noise" in makers else {}
    return policy | {maker: settings_of(job, maker) for maker in makers if maker != "noise"}


def maker_record(job: Job, maker: str) -> dict[str, Any]:
    """What was drawn and kept over all seeds, and the cuts of the screens."""
    each = [read_json(job.store.path(f"make-{maker}", make_inputs(job, maker, seed)) / "facts.json") for seed in range(job.plan.seeds)]
    rejected = Counter[str]()
    for facts in each:
        rejected.update({k: n for k, n in facts["rejected"].items() if n})
    told = {"drawn": sum(f["drawn"] for f in each), "kept": sum(f["kept"] for f in each), "least_kept": min(f["kept"] for f in each)}
    reasons = {name: REASONS[name] for name in rejected}
    return {"name": maker, "maker": each[0]["maker"], **told, "rejected": dict(rejected), "reasons": reasons, "cuts": each[0]["cuts"]}


def of_makers(makers: list[dict[str, Any]]) -> list[Finding]:
    """AM220 where so few pairs passed that an arm had nothing, or little, to learn from."""
    few = [m for m in makers if m["kept"] < 0.1 * m["drawn"]]
    text = "{name}: {kept} of {drawn} pairs passed the screens; its arm learnt from little else than the real pairs"
    return [Finding("AM220", "warning", text.format(**m), {"maker": m["name"]}) for m in few]


def of_trainings(job: Job) -> list[Finding]:
    """What the trainings of the comparison had to say."""
    return [Finding(**f) for arm in job.wish.arms for seed in range(job.plan.seeds) for f in training_facts(job, arm, seed)["findings"]]


def examples(test: list[Any], said: dict[str, list[list[str]]]) -> list[dict[str, Any]]:
    """Test rows with what the real and the primary arm made of them (first seed): most gained, most lost, and in between."""
    references = [r.target for r in test]
    scores = {arm: Scores("chrf", said[arm][0], references).rows() for arm in ("real", PRIMARY)}
    gain = [b - a for a, b in zip(scores["real"], scores[PRIMARY], strict=True)]
    order = sorted(range(len(test)), key=lambda i: (-gain[i], i))
    middle = max(0, len(order) // 2 - EXAMPLES // 2)
    kinds = {"most gained": order[:EXAMPLES], "in between": order[middle : middle + EXAMPLES], "most lost": order[-EXAMPLES:][::-1]}
    seen, out = set[int](), []
    for kind, rows in kinds.items():
        for i in rows:
            if i not in seen:
                seen.add(i)
                told = {arm: {"output": said[arm][0][i], "chrf": scores[arm][i]} for arm in ("real", PRIMARY)}
                out.append({"kind": kind, "text": test[i].text, "reference": references[i], **told})
    return out


def gallery(job: Job, maker: str) -> dict[str, list[dict[str, Any]]]:
    """The first new pairs of the first seed that were kept, and that were rejected, beside the texts that their rows had."""
    rows, out = made(job, maker, 0), {"kept": [], "rejected": []}
    for i, reason in enumerate(rows["rejected_by"]):
        part = out["rejected" if reason else "kept"]
        if len(part) < SHOWN:
            at = rows["position"][i]
            old = job.train[at].text if at >= 0 else ""
            about = {"text": rows["text"][i], "target": rows["target"][i], "old": old, "row": f"{rows['maker'][i]}:{rows['seed'][i]}"}
            part.append(about | {"reason": REASONS.get(reason, ""), "of": rows["of_row"][i]})
    return out
