"""Why: what the models look at, which synthetic rows moved them, which test rows stay hard, and what a generator draws.

Everything here looks at what a comparison left behind: predictions, the models of seed 0 in fold 0, drawn rows and their features.
Nothing is trained but small linear heads, and the sealed rows have been opened before. What a learner or a generator cannot be asked
is left out with the reason.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn.functional import avg_pool2d

from augmind.compare import arms_with_rows, best_learner, policy_of, predictions, primary, test_rows
from augmind.core.registry import make
from augmind.core.seeds import stable_seed
from augmind.core.store import read_json, read_table, write_json
from augmind.core.tensors import load_tensors, save_tensors
from augmind.core.types import Samples, as_features
from augmind.figures import Predictions
from augmind.job import Job
from augmind.pipeline import known, shard_path, trained
from augmind.robust import model_path, restored, some
from augmind.shards import read_shard
from augmind.teaching import shards_of

from .attribution import ROWS, SIDE, attribution, cannot
from .hardest import hardest
from .imagined import CLASSES, NEAREST, STEPS, closest, strips
from .influence import MADE, REAL, SHOWN, influence_record

FOLD = "0"
SIGHT = 64
"""Cells a side beyond which a grid is averaged down before it is shown."""


def pair(job: Job) -> tuple[str, str]:
    """The arms that are held against each other: the best classical one and that of the verdict; where these are one, real rows alone and it."""
    if primary(job) not in arms_with_rows(job, lambda fold: best_learner(job, fold, primary(job))):
        return ("real", "classical")
    return ("real" if same_policy(job, "classical", primary(job)) else "classical", primary(job))


def same_policy(job: Job, *which: str) -> bool:
    """Whether these arms follow one policy."""
    learner = best_learner(job, FOLD, primary(job))
    first, *others = (policy_of(job, FOLD, learner, arm) for arm in which)
    return all(policy == first for policy in others)


def waits_for(job: Job, names: Sequence[str]) -> tuple[str, ...]:
    """Which of these items of the graph the stage may need: models of fold 0, and the draws that are handed over."""
    taught = {f"teach {arm} {learner} {FOLD} 0" for arm in ("real", "classical", primary(job)) for learner in job.plan.learners}
    return tuple(n for n in names if n in taught or n.startswith(("weigh ", "beside ")) or (n.startswith("draw ") and n.endswith(f" {job.final}")))


def explain_inputs(job: Job) -> dict[str, Any]:
    learner = best_learner(job, FOLD, primary(job))
    taught = {arm: model_path(job, FOLD, learner, arm).name for arm in pair(job)}
    drawn = {g: shard_path(job, job.final, g).name for g in job.generators("rows")}
    sizes = (ROWS, SIDE, REAL, MADE, SHOWN, STEPS, CLASSES, NEAREST)
    return {"learner": learner, "taught": taught, "drawn": drawn, "sizes": sizes, "seed": job.config.seed}


def explain(folder: str) -> None:
    """Maps, influences and strips of rows: `explain.json` and `explain.safetensors`."""
    job = Job(Path(folder))

    def work(tmp: Path) -> None:
        run, tensors = job.run("explanation"), dict[str, Tensor]()
        looked = looked_at(job, tensors)
        run.progress(1, 3)
        moved = moved_by(job)
        run.progress(2, 3)
        drawn = [imagined(job, g, tensors) for g in job.generators("rows")]
        run.progress(3, 3)
        write_json(tmp / "explain.json", {"attribution": looked, "influence": moved, "generators": drawn})
        save_tensors(tmp / "explain.safetensors", tensors)

    job.store.stage("explain", explain_inputs(job), work)


def looked_at(job: Job, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Maps of the test rows of fold 0 that the two arms judge most differently, under the models of seed 0."""
    learner = best_learner(job, FOLD, primary(job))
    if why := cannot(job.spec):
        return {"learner": learner, "why": why}
    if same_policy(job, *pair(job)):
        return {"learner": learner, "why": "both arms follow the same policy, so there is nothing to tell apart"}
    before, after = (predictions(job, FOLD, learner, arm, 0) for arm in pair(job))
    y = before["y"]
    gap = (after["p"] - before["p"]).gather(1, y[:, None])[:, 0].abs()
    wanted = gap.argsort(descending=True, stable=True)[:ROWS]
    rows = test_rows(job, FOLD, with_features=False)
    where = {int(k): i for i, k in enumerate(rows.key)}
    rows = rows.take([where[int(i)] for i in before["ids"][wanted]])
    models = {arm: restored(job, FOLD, learner, arm) for arm in pair(job)}
    maps, told = attribution(models, rows, job.fold_rows(FOLD), job.spec, job.codec)
    tensors |= {f"map/{arm}": found for arm, found in maps.items()}
    return {"learner": learner, **told}


def moved_by(job: Job) -> dict[str, Any]:
    """The influence of the synthetic rows that the verdict's arm was taught from in fold 0, on inner validation rows."""
    policy = policy_of(job, FOLD, best_learner(job, FOLD, primary(job)), pair(job)[1])
    seed, made = stable_seed(job.config.seed, "explain"), None
    cuts = {c.name: make("screens", c).cut for c in policy.screens if c.settings}
    for key, path in (shards_of(job, FOLD, policy) if policy.generators else {}).items():
        rows = read_shard(path, key, cuts=cuts)
        if rows is not None and len(rows):
            bare = some(as_features(rows), MADE, seed)
            made = bare if made is None else made + bare
    if made is None:
        return {"why": "the arm of the verdict was taught from no synthetic row"}
    real = some(job.fold_rows(FOLD), REAL, seed)
    return {"fold": FOLD, **influence_record(real, job.inner_parts(real, FOLD), made, job.spec.classes, seed)}


def imagined(job: Job, generator: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Strips of one generator's rows and its draws nearest to real rows, in the fold that is handed over."""
    plugin, facts = trained(job, job.final, generator)
    if plugin is None:
        return {"generator": generator, "why": f"it was {'not needed' if facts['status'] == 'not needed' else 'left out'}: {facts['why']}"}
    path = shard_path(job, job.final, generator)
    table = read_table(path / "table.parquet")
    told, rows = strips(plugin, table, load_tensors(path / "rows.safetensors")["x"], job.spec)
    tensors |= {f"strip/{generator}/{i}": x for i, x in enumerate(rows)}
    return {"generator": generator, "kept": sum(table["kept"]), "strips": told, "closest": closest(table)}


def explain_record(job: Job, found: Sequence[Predictions]) -> dict[str, Any]:
    """Everything that explains a run, as JSON; `found` are the cells of the learner of the verdict."""
    stage = job.need(job.store.path("explain", explain_inputs(job)), "explanation")
    told = read_json(stage / "explain.json")
    if "why" not in told["attribution"]:
        maps = load_tensors(stage / "explain.safetensors")
        for i, row in enumerate(told["attribution"]["rows"]):
            for own in row["arms"]:
                own["map"] = [[round(v, 4) for v in line] for line in maps[f"map/{own['arm']}"][i].tolist()]
    return {"arms": list(pair(job)), "hardest": hardest(found, pair(job), mode=job.split.mode, classes=job.spec.classes), **told}


# Rows as people see them


def with_previews(job: Job, told: Mapping[str, Any]) -> dict[str, Any]:
    """The same record with a preview (`html`) of every row that it names, as the gallery has them."""
    tests = Shown(job, *(test_rows(job, fold, with_features=False) for fold in job.folds))
    real = Shown(job, job.real, *(known(job, fold) for fold in {*job.folds, job.final} if job.plan.conditioned))
    hard = told["hardest"] | {"rows": [r | {"html": tests.by_key(r["id"])} for r in told["hardest"]["rows"]]}
    looked, moved = dict(told["attribution"]), dict(told["influence"])
    if "rows" in looked:
        looked["rows"] = [r | {"html": still(tests.by_key(r["id"]))} for r in looked["rows"]]
    drawn = {}
    for kind in ("helpful", "harmful"):
        if kind in moved:
            moved[kind] = [r | drawn_preview(job, FOLD, r, real, drawn) for r in moved[kind]]
    strips = load_tensors(job.store.path("explain", explain_inputs(job)) / "explain.safetensors")
    generators = []
    for g in told["generators"]:
        shown = dict(g)
        if "strips" in g:
            x = [strips[f"strip/{g['generator']}/{i}"] for i in range(len(g["strips"]))]
            shown["strips"] = [s | {"html": [still(preview(job, row)) for row in rows]} for s, rows in zip(g["strips"], x, strict=True)]
            shown["closest"] = [c | drawn_preview(job, job.final, c | {"generator": g["generator"]}, real, drawn) for c in g["closest"]]
        generators.append(shown)
    return {**told, "hardest": hard, "attribution": looked, "influence": moved, "generators": generators}


def preview(job: Job, row: Tensor) -> str:
    """One stored row as HTML; a large grid is averaged down first, so that the page stays small. What shows a wave is heard as it is."""
    times = round(max(row.shape[1:]) / SIGHT) if row.ndim == 3 and not job.spec.rate else 1
    if times > 1:
        row = job.spec.to_store(avg_pool2d(job.spec.to_model(row[None]), times, ceil_mode=True))[0]
    return job.codec.preview(row[None])[0]


def still(html: str) -> str:
    """The first part of a preview, for rows that are shown in passing."""
    return re.sub(r"<br><(\w+)[^>]*></\1>", "", html)


class Shown:
    """Previews of rows by their keys."""

    def __init__(self, job: Job, *rows: Samples) -> None:
        self.job = job
        self.rows = {int(k): x for part in rows for k, x in zip(part.key, part.x, strict=True)}

    def by_key(self, key: int) -> str:
        return preview(self.job, self.rows[key]) if key in self.rows else ""


def drawn_preview(job: Job, fold: str, row: Mapping[str, Any], real: Shown, opened: dict[str, Any]) -> dict[str, str]:
    """A synthetic row and the real row nearest to it; rows of feature space have no looks of their own."""
    path = shard_path(job, fold, row["generator"])
    if path.name not in opened:
        table = read_table(path / "table.parquet", ["seed", "nearest_row"])
        where = {int(seed): i for i, seed in enumerate(table["seed"])}
        opened[path.name] = (where, table["nearest_row"], load_tensors(path / "rows.safetensors").get("x"))
    where, nearest, x = opened[path.name]
    i = where[int(row["seed"])]
    return {"html": "" if x is None else preview(job, x[i]), "nearest": real.by_key(int(nearest[i]))}
