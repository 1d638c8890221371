"""The pieces of work, each a pure function of what was asked: prepare, try noises, learn back, make pairs, learn, translate."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from augmind.core.errors import DataError
from augmind.core.seeds import row_seeds, stable_seed, stream
from augmind.core.store import read_json, read_table, write_json, write_table
from augmind.core.tensors import load_tensors, save_tensors
from augmind.data.parallel import Pair, load, monolingual, part_of, sealed
from augmind.modalities.text.parallel.augment import NOISES, back_translated, back_translated_by, noisy, paraphrased
from augmind.modalities.text.parallel.decode import translated
from augmind.modalities.text.parallel.score import Scores
from augmind.modalities.text.parallel.screens import Candidate, Judged, Screens
from augmind.modalities.text.parallel.translator import Batches, Translator, trained
from augmind.modalities.text.parallel.vocabulary import MOST, PAD, Vocabulary
from augmind.modalities.text.words import plain

from .job import Job, open_seal, write_pairs

INNER = 0.2
"""Share of the training pairs on which the noises are tried, `MOST_INNER` at most."""
MOST_INNER = 200


def prepare(folder: str) -> dict[str, Any]:
    """Reads, cleans and splits the pairs; learns the vocabulary from those that are not sealed."""
    job = Job(Path(folder))
    c = job.wish

    def work(path: Path) -> None:
        corpus, split = sealed(load(c.data, text=c.text, target=c.target, split=c.split, max_bad=c.max_bad), c.test, c.seed)
        train, test = ([corpus.rows[i] for i in ids] for ids in (split.train, split.test))
        known = {plain(r.target) for r in train}
        pool = monolingual(c.unlabelled, c.target, {plain(r.target) for r in test}, known) if c.unlabelled else []
        write_pairs(path / "train.parquet", train)
        write_pairs(path / "sealed.parquet", test)
        write_pairs(path / "aside.parquet", [r for r in corpus.rows if r.status != "ok"])
        write_table(path / "monolingual.parquet", {"target": pool})
        if len({r.unit for r in train}) < 2:
            raise DataError("all training pairs share a text or a translation, so nothing can be tried on some of them", help="give more pairs")
        texts = [side for r in train for side in (r.text, r.target)] + pool
        vocabulary = Vocabulary.learnt(texts, c.setting("translator.tokens"))
        vocabulary.write(path / "vocabulary.json")
        findings = [vars(f) for f in corpus.findings]
        if cut := vocabulary.cut([side for r in (*train, *test) for side in (r.text, r.target)]):
            text = f"{cut:,} texts and translations have more than {MOST - 1} tokens and are learnt and translated up to there; give sentences"
            findings.append({"code": "AM153", "level": "warning", "text": text, "about": {"texts": cut}})
        facts = {"name": corpus.name, "mode": split.mode, "sealed": split.hash, "rows": len(train), "test_rows": len(test)}
        facts |= {"aside": len(corpus.rows) - len(corpus.good), "monolingual": len(pool), "findings": findings}
        write_json(path / "corpus.json", facts)

    return read_json(job.store.stage("prepare", job.prepare_inputs, work) / "corpus.json")


# Training


def mixture(vocabulary: Vocabulary, real: Sequence[Candidate], synthetic: Sequence[Candidate], batch: int, share: float, seed: int) -> Batches:
    """Batches of real pairs, of which `share` is replaced by synthetic ones; the real ones at a step are the same for all arms."""
    pools = [(vocabulary.ids([p.text for p in pool]), vocabulary.ids([p.target for p in pool])) for pool in (real, synthetic) if pool]
    new = min(batch - 1, max(1, round(share * batch))) if synthetic else 0

    def batches(t: int) -> tuple[torch.Tensor, torch.Tensor]:
        picks = [torch.randint(len(pools[0][0]), (batch,), generator=stream("real", seed, t))[: batch - new]]
        if new:
            picks.append(torch.randint(len(pools[1][0]), (new,), generator=stream("synthetic", seed, t)))
        sides = ([pool[side][at] for pool, at in zip(pools, picks, strict=True)] for side in (0, 1))
        text, target = (together(parts) for parts in sides)
        return text, target

    return batches


def together(parts: list[torch.Tensor]) -> torch.Tensor:
    """Rows of several widths as one block, no wider than its longest row."""
    width = max(int((part != PAD).sum(1).max()) for part in parts)
    return torch.cat([torch.nn.functional.pad(part, (0, max(0, width - part.shape[1])), value=PAD)[:, :width] for part in parts])


def candidates(rows: Sequence[Pair]) -> list[Candidate]:
    return [Candidate(text=r.text, target=r.target, row=i) for i, r in enumerate(rows)]


def taught(
    job: Job, real: Sequence[Candidate], synthetic: Sequence[Candidate], seed: int, label: str, stage: Path
) -> tuple[Translator, dict[str, Any]]:
    """A translator of these pairs, and how its training went."""
    c = job.wish
    first = stable_seed(c.seed, "seed", seed)
    batches = mixture(job.vocabulary, real, synthetic, c.setting("translator.batch"), c.share, first)
    net, curves = trained(len(job.vocabulary), job.shape, batches, job.plan.updates, job.run(label, stage, first), first)
    facts = {"steps": curves.steps, "seconds": round(curves.seconds, 2), "points": curves.points, "findings": [vars(f) for f in curves.findings]}
    return net, facts


# Choosing the noise


def try_inputs(job: Job, noise: str) -> dict[str, Any]:
    return {**job.learning, "noise": noise, "share": job.wish.share, "seed": job.wish.seed, "beams": job.wish.setting("translator.beams")}


def attempt(folder: str, noise: str) -> float:
    """chrF on an inner part of the training pairs after learning from the rest with this noise: what the choice is made on."""
    job = Job(Path(folder))
    stage = job.store.path("attempt", try_inputs(job, noise))

    def work(path: Path) -> None:
        share = min(INNER, MOST_INNER / len(job.train))
        held = set(part_of(job.train, share, stable_seed(job.wish.seed, "inner")))
        inside, outside = [r for r in job.train if r.id not in held], [r for r in job.train if r.id in held]
        seed = stable_seed(job.wish.seed, "attempt", noise)
        new = noise_pairs(inside, noise, min(job.plan.synthetic, len(inside)), seed)
        net, facts = taught(job, candidates(inside), [p for p, _ in new], -1, f"try {noise}", stage)
        outputs = translated(net, job.vocabulary, [r.text for r in outside], beams=job.wish.setting("translator.beams"))
        chrf = Scores("chrf", outputs, [r.target for r in outside]).corpus()
        write_json(path / "facts.json", facts | {"chrf": chrf, "rows": len(outside)})

    return read_json(job.store.stage("attempt", try_inputs(job, noise), work) / "facts.json")["chrf"]


def attempts(job: Job) -> dict[str, float]:
    """chrF of every noise on the inner part."""
    return {name: read_json(job.store.path("attempt", try_inputs(job, name)) / "facts.json")["chrf"] for name in NOISES}


def chosen_noise(job: Job) -> str:
    """The noise that did best on the inner part; the first of equals."""
    scores = attempts(job)
    return max(NOISES, key=lambda name: scores[name])


def noise_pairs(rows: Sequence[Pair], noise: str, n: int, seed: int) -> list[tuple[Candidate, int]]:
    """New pairs with their seeds; every row is taken as often as any other, one time more or less."""
    at, seeds = dealt(len(rows), n, seed), row_seeds(n, seed, noise).tolist()
    made = noisy([r.text for r in rows], [r.target for r in rows], noise, at, seeds)
    return list(zip(made, seeds, strict=True))


def dealt(rows: int, n: int, seed: int) -> list[int]:
    """`n` positions among so many rows, each as often as any other, one time more or less."""
    rounds = [torch.randperm(rows, generator=stream("dealt", seed, k)) for k in range(-(-n // rows))]
    return torch.cat(rounds)[:n].tolist()


# Making pairs


def reverse_inputs(job: Job, seed: int) -> dict[str, Any]:
    return {**job.learning, "reverse": True, "seed": [job.wish.seed, seed]}


def reverse(folder: str, seed: int) -> None:
    """The translator from translations to texts that back-translation draws from, learnt from the real training pairs."""
    job = Job(Path(folder))
    stage = job.store.path("reverse", reverse_inputs(job, seed))

    def work(path: Path) -> None:
        turned = [Candidate(text=r.target, target=r.text, row=i) for i, r in enumerate(job.train)]
        net, facts = taught(job, turned, [], seed, f"reverse {seed}", stage)
        save_tensors(path / "model.safetensors", net.state_dict())
        write_json(path / "facts.json", facts)

    job.store.stage("reverse", reverse_inputs(job, seed), work)


def screens_inputs(job: Job) -> dict[str, Any]:
    return {"seed": job.wish.seed, "from": job.prepared.name}


def calibrate(folder: str) -> None:
    """The screens, learnt once from the real training pairs for all that are made."""
    job = Job(Path(folder))

    def work(path: Path) -> None:
        rows, folds = job.train, stable_seed(job.wish.seed, "screens") % 2**31
        Screens.learnt([r.text for r in rows], [r.target for r in rows], [r.unit for r in rows], folds, path)

    job.store.stage("screens", screens_inputs(job), work)


def make_inputs(job: Job, maker: str, seed: int) -> dict[str, Any]:
    c = job.wish
    base = {"maker": maker, "n": job.plan.synthetic, "seed": [c.seed, seed], "screens": screens_inputs(job)}
    if maker == "backtranslation":
        read = job.plan.sources.get(maker)
        return base | settings_of(job, maker) | {"source": read, "reverse": None if read else reverse_inputs(job, seed), "from": job.prepared.name}
    if maker == "paraphrase":
        return base | settings_of(job, maker) | {"source": job.plan.sources[maker], "from": job.prepared.name}
    return base | {"noise": chosen_noise(job), "from": job.prepared.name}


def settings_of(job: Job, maker: str) -> dict[str, Any]:
    """How a maker draws, and with which model."""
    return {key: job.wish.setting(f"{maker}.{key}") for key in ("temperature", "top_p", "model")}


def make(folder: str, maker: str, seed: int) -> dict[str, Any]:
    """New pairs of one maker for one seed, each judged: `table.parquet` with scores and reasons, and facts."""
    job = Job(Path(folder))
    inputs = make_inputs(job, maker, seed)

    def work(path: Path) -> None:
        base = stable_seed(job.wish.seed, maker, seed)
        name = chosen_noise(job) if maker == "noise" else maker
        rows = job.train
        if maker == "backtranslation":
            new = back_pairs(job, seed, base)
        elif maker == "paraphrase":
            new = other_wordings(job, base)
        else:
            new = noise_pairs(rows, name, job.plan.synthetic, base)
        screens = Screens.opened([r.text for r in rows], [r.target for r in rows], job.store.path("screens", screens_inputs(job)))
        judged = screens.judge([pair for pair, _ in new])
        cuts = screens.cuts()
        write_table(path / "table.parquet", columns_of(rows, name, new, judged, list(cuts)))
        reasons = {key: sum(j.rejected_by == key for j in judged) for key in cuts}
        facts = {"maker": name, "drawn": len(new), "kept": sum(not j.rejected_by for j in judged), "rejected": reasons}
        write_json(path / "facts.json", facts | {"cuts": cuts, "window": screens.window, "alignment": screens.cut, "copied": screens.copied})

    return read_json(job.store.stage(f"make-{maker}", inputs, work) / "facts.json")


def columns_of(rows: Sequence[Pair], name: str, new: list[tuple[Candidate, int]], judged: list[Judged], screens: list[str]) -> dict[str, Any]:
    """New pairs with where they came from, what each screen gave them, and what rejected them ("" for nothing)."""
    columns: dict[str, Any] = {
        "text": [p.text for p, _ in new],
        "target": [p.target for p, _ in new],
        "maker": [name] * len(new),
        "seed": [s for _, s in new],
        "of_row": [rows[p.row].origin if p.row >= 0 else "" for p, _ in new],
        "position": [p.row for p, _ in new],
        "rejected_by": [j.rejected_by for j in judged],
    }
    return columns | {f"score_{key}": [j.scores.get(key) for j in judged] for key in screens}


def back_pairs(job: Job, seed: int, base: int) -> list[tuple[Candidate, int]]:
    """Pairs translated back, from monolingual sentences where there are any, else from the translations of the training pairs."""
    n, c, pool = job.plan.synthetic, job.wish, job.monolingual
    sentences = pool or [r.target for r in job.train]
    at, seeds = dealt(len(sentences), n, base), row_seeds(n, base, "backtranslation").tolist()
    targets, rows = [sentences[i] for i in at], [-1 if pool else i for i in at]
    if model := c.models.get("backtranslation"):
        made = back_translated_by(model, targets, rows, seeds, c.setting("backtranslation.top_p"))
    else:
        net = Translator(len(job.vocabulary), job.shape)
        net.load_state_dict(load_tensors(job.store.path("reverse", reverse_inputs(job, seed)) / "model.safetensors"))
        made = back_translated(net.eval(), job.vocabulary, targets, rows, seeds, c.setting("backtranslation.temperature"))
    return list(zip(made, seeds, strict=True))


def other_wordings(job: Job, base: int) -> list[tuple[Candidate, int]]:
    """Pairs whose texts a language model says in other words."""
    n, rows = job.plan.synthetic, job.train
    at, seeds = dealt(len(rows), n, base), row_seeds(n, base, "paraphrase").tolist()
    made = paraphrased([r.text for r in rows], [r.target for r in rows], at, seeds, **settings_of(job, "paraphrase"))
    return list(zip(made, seeds, strict=True))


def made(job: Job, maker: str, seed: int) -> dict[str, list[Any]]:
    """The table of `make`."""
    return read_table(job.store.path(f"make-{maker}", make_inputs(job, maker, seed)) / "table.parquet")


def kept(job: Job, maker: str, seed: int) -> list[Candidate]:
    """The pairs that passed all screens."""
    rows = made(job, maker, seed)
    parts = zip(rows["text"], rows["target"], rows["position"], rows["rejected_by"], strict=True)
    return [Candidate(text=text, target=target, row=row) for text, target, row, rejected in parts if not rejected]


# The comparison


def learn_inputs(job: Job, arm: str, seed: int) -> dict[str, Any]:
    makers = [make_inputs(job, maker, seed) for maker in job.wish.arms[arm]]
    beams = job.wish.setting("translator.beams")
    return {**job.learning, "arm": arm, "seed": [job.wish.seed, seed], "makers": makers, "share": job.wish.share if makers else 0, "beams": beams}


def learn(folder: str, arm: str, seed: int) -> None:
    """One training of an arm, then what it makes of the test rows, which are opened only now."""
    job = Job(Path(folder))
    inputs = learn_inputs(job, arm, seed)
    stage = job.store.path("learn", inputs)

    def work(path: Path) -> None:
        synthetic = [pair for maker in job.wish.arms[arm] for pair in kept(job, maker, seed)]
        net, facts = taught(job, candidates(job.train), synthetic, seed, f"learn {arm} {seed}", stage)
        test = open_seal(job)
        outputs = translated(net, job.vocabulary, [r.text for r in test], beams=job.wish.setting("translator.beams"))
        write_json(path / "facts.json", facts | {"synthetic": len(synthetic)})
        write_table(path / "outputs.parquet", {"id": [r.id for r in test], "output": outputs})

    job.store.stage("learn", inputs, work)


def outputs(job: Job, arm: str, seed: int) -> list[str]:
    """Translations of the test rows, in their order."""
    return read_table(job.store.path("learn", learn_inputs(job, arm, seed)) / "outputs.parquet")["output"]


def training_facts(job: Job, arm: str, seed: int) -> dict[str, Any]:
    return json.loads((job.store.path("learn", learn_inputs(job, arm, seed)) / "facts.json").read_text("utf-8"))
