"""A related dataset: nothing of it is tested, it helps where its rows vary alike, and what it gives is not called imagination."""

import json
import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import augmind
from augmind.compare import best_learner
from augmind.core.errors import DataError, UsageError
from augmind.core.feed import LENT, Consistency, Feed, cyclic
from augmind.core.plugin import Learner
from augmind.core.registry import find, make, names
from augmind.core.run import Run
from augmind.core.seeds import stream
from augmind.core.types import Choice, Data, Samples, Spec
from augmind.data.load import load
from augmind.data.related import related
from augmind.figures import Predictions
from augmind.job import Job
from augmind.learners.probe import together
from augmind.nn.lessons import Lessons
from augmind.record import CHOSEN, build, cells
from augmind.sourced import with_twin
from augmind.teaching import weighed
from augmind.testing import ToyCodec, toy_data, toy_samples
from augmind.verdict import Verdict, verdict
from runs import TINY, digit_rows, folder

SMALL = TINY | {"learner": ("probe", "cnn"), "generators": ("feature",), "seeds": 1, "folds": None}
NONE = partial(make, choice=Choice(name="none"))


def saved(path, x, y, tx=None, ty=None):
    tested = {} if tx is None else {"test_images": tx, "test_labels": ty}
    np.savez(path, train_images=x, train_labels=y, **tested)
    return path


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Six rows of each of the digits 0 to 4, 20 tested; 30 rows of each of the others, with four tested rows among them."""
    root = tmp_path_factory.mktemp("related")
    (x, y), (tx, ty), (more, other) = digit_rows(6, 5), digit_rows(20, 5, skip=80), digit_rows(30, 10, skip=6)
    data = saved(root / "digits.npz", x, y, tx, ty)
    x, y = np.concatenate([more[other > 4], tx[::25]]), np.concatenate([other[other > 4], [5, 5, 6, 6]])
    return data, saved(root / "others.npz", x, y)


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    return augmind.expand(digits[0], tmp_path_factory.mktemp("run") / "r", source=str(digits[1]), **SMALL)


# What is lent

VARIED = Spec(kind="continuous", shape=(10,), classes=("a", "b", "c"), bounded=False)


AXIS = torch.nn.functional.normalize(torch.tensor([1.0, -1, 2, 1, -2, 1, 1, -1, 2, -1]), dim=0)


def varied(n: int, seed: int, first: int = 0) -> Samples:
    """Rows of three classes of their own, all of which vary alike: five times as much along one axis as elsewhere."""
    rng, y = stream("varied", seed), torch.arange(n) % 3
    z = torch.randn(n, 10, generator=rng) + 5 * torch.randn(n, 1, generator=rng) * AXIS + torch.randn(3, 10, generator=stream("means", first))[y]
    return Samples.real(z, y + first, z=z)


def feed(real: Samples, spec: Spec, **changes: Any) -> Feed:
    return Feed(real=real, spec=spec, codec=ToyCodec(spec), transform=NONE("transforms"), mixing=NONE("mixing"), **changes)


def test_rows_that_vary_alike_help_a_linear_head(tmp_path):
    test, run = varied(3000, 2), Run(folder=tmp_path)
    found = []
    for source in (None, varied(600, 3, first=3)):
        p = make("learners", Choice(name="probe")).fit(feed(varied(9, 1), VARIED, source=source), run).predict(test)
        found.append((p.argmax(1) == test.y).float().mean().item())
    assert found[1] > found[0] + 0.08


def test_a_head_pays_for_the_source_beside_consistency(tmp_path):
    """Both penalties together are those of the stacked differences, each with its own weight, whatever the numbers of rows."""
    rows, run = varied(9, 1), Run(folder=tmp_path)
    moved = replace(varied(9, 4), y=rows.y)
    asked = {"views": moved, "consistency": Consistency(weight=2.0, loss="kl", ramp=0.0, partner="transform")}
    heads = [make("learners", Choice(name="probe", settings={"penalty": 0.1})).fit(feed(rows, VARIED, **asked, source=source), run).state()
             for source in (None, varied(60, 3, first=3))]  # fmt: skip
    assert (heads[0]["linear.weight"] - heads[1]["linear.weight"]).abs().max() > 1e-3
    rng = stream("both")
    a, b, w = (torch.randn(*shape, generator=rng) for shape in ((4, 3), (7, 3), (3, 2)))
    stacked, weight = together((a, 2.0), (b, 5.0))
    assert float(weight * (stacked @ w).square().sum(1).mean()) == pytest.approx(
        float(2 * (a @ w).square().sum(1).mean() + 5 * (b @ w).square().sum(1).mean()), rel=1e-5
    )
    assert together((None, 1.0), (b, 5.0)) == (b, 5.0) and together((None, 1.0), (None, 2.0)) == (None, 0.0)


def test_what_is_drawn_has_the_means_of_the_dataset_and_varies_as_related_rows_do(tmp_path):
    data = Data(train=varied(9, 1), val=varied(0, 1), spec=VARIED, codec=ToyCodec(VARIED), source=varied(3000, 3, first=3))
    made = make("generators", Choice(name="feature")).fit(data, Run(folder=tmp_path))
    x = made.sample(torch.zeros(3000, dtype=torch.long), torch.arange(3000))
    off = x - data.train.x[data.train.y == 0].mean(0)
    assert torch.allclose(off.mean(0), torch.zeros(10), atol=0.4) and 4.5 < float((off @ AXIS).std()) < 5.5
    assert 0.8 < float((off - (off @ AXIS)[:, None] * AXIS).square().sum(1).mean() / 9) ** 0.5 < 1.2
    back, one = make("generators", Choice(name="feature")).restore(VARIED, made.state()), (torch.tensor([1]), torch.tensor([5]))
    assert len(made.state()["mean"]) == 4 and torch.equal(back.sample(*one), made.sample(*one))


LEARNT = [n for n in names("generators") if find("generators", n).borrows and find("generators", n).space == "rows"]


def patterns() -> tuple[Data, Samples]:
    """Two rows of each of six patterns under noise with 600 of six others, and fresh rows of the first six."""
    rows, fresh = (toy_samples(n, classes=12, seed=seed) for n, seed in ((600, 1), (600, 2)))
    few, source = rows.take(rows.y < 6).take(range(12)), rows.take(rows.y >= 6)
    spec = replace(toy_data().spec, classes=tuple("abcdef"))
    return Data(train=few, val=few.take([]), spec=spec, codec=ToyCodec(spec), source=source), fresh.take(fresh.y < 6)


def test_lessons_begin_with_the_source_and_keep_it_beside():
    data, _ = patterns()
    lessons, alone = Lessons(data=data, steps=40), Lessons(data=replace(data, source=None), steps=40)
    assert (lessons.total, alone.total, len(lessons.spec.classes), len(alone.spec.classes)) == (80, 40, 12, 6)
    own = [(lessons.rows.y[lessons.batch(t, 8, "a")] < 6).tolist() for t in range(80)]
    assert own == [[False] * 8] * 40 + [[True, False] * 4] * 40
    seen = torch.cat([lessons.batch(t, 8, "a") for t in range(37)])
    assert len(seen.unique()) == len(seen) and torch.equal(alone.batch(3, 8, "a"), cyclic(12, 3, 8, "a"))
    assert alone.looks == (0.5, 0.75, 1.0) and lessons.looks == (0.75, 0.875, 1.0)
    assert int((lessons.rows.y[lessons.batch(50, 9, "a")] < 6)[:4].sum()) == 2
    chance = torch.where(lessons.rows.y % 2 == 0, 1.0, 0.0)
    for t, own in ((39, 0), (40, 4)):
        picked = lessons.rows.y[lessons.picked(t, 8, chance)]
        assert (picked % 2 == 0).all() and int((picked < 6).sum()) == own


def test_a_new_class_begins_among_those_that_were_learnt():
    lessons, table = Lessons(data=patterns()[0], steps=40), torch.nn.Embedding(13, 500)
    with torch.no_grad():
        table.weight[6:12] += 5
    before = table.weight.detach().clone()
    lessons.initialise(39, table)
    assert torch.equal(table.weight, before)
    lessons.initialise(40, table)
    assert torch.equal(table.weight[6:], before[6:]) and (table.weight[:6].mean(1) - 5).abs().max() < 0.3
    apart = torch.pdist(table.weight[:6]).mean() / torch.pdist(before[6:12]).mean()
    assert 0.7 < apart < 1.3
    own = torch.nn.Embedding(7, 500)
    lessons.narrowed(own, table.state_dict())
    assert torch.equal(own.weight, torch.cat([table.weight[:6], before[12:]]))


@pytest.mark.parametrize("name", LEARNT)
def test_a_training_that_never_met_the_dataset_is_of_no_use(name, tmp_path):
    made = make("generators", Choice(name=name, settings={"steps": 60, "width": 16, "batch": 8}))
    curves = made.fit(patterns()[0], Run(folder=tmp_path, deadline=time.monotonic() - 1)).curves
    assert not curves.usable and curves.steps == 50 and "before the dataset was met" in curves.findings[-1].text


@pytest.mark.parametrize("name", LEARNT)
def test_a_generator_learns_the_source_first_and_knows_the_classes_of_the_dataset_alone(name, tmp_path):
    data, _ = patterns()
    made = make("generators", Choice(name=name, settings={"steps": 50, "width": 16, "batch": 8})).fit(data, Run(folder=tmp_path))
    y, seeds = torch.arange(12) % 6, torch.arange(12)
    bare = make("generators", Choice(name=name, settings={"width": 16}))
    assert made.curves.steps > 50 and made.curves.planned == 100
    assert torch.allclose(bare.restore(data.spec, made.state()).sample(y, seeds), made.sample(y, seeds), atol=1e-5)
    with pytest.raises(IndexError):
        made.sample(torch.tensor([8]), torch.tensor([0]))


def test_what_is_drawn_comes_nearer_to_fresh_rows_after_a_source(tmp_path):
    data, fresh = patterns()
    frechet, found, y = make("metrics", Choice(name="frechet")), [], torch.arange(120) % 6
    for given in (data, replace(data, source=None)):
        made = make("generators", Choice(name="diffusion", settings={"steps": 60, "width": 16})).fit(given, Run(folder=tmp_path / str(len(found))))
        x = data.spec.to_store(made.sample(y, torch.arange(120)))
        found.append(frechet.measure(fresh.x.float().flatten(1), x.float().flatten(1)))
    assert found[0] < 0.95 * found[1]


def test_half_of_a_batch_is_related_and_the_other_half_is_as_it_was():
    real, source = varied(9, 1), varied(300, 3, first=3)
    alone, beside = feed(real, VARIED), feed(real, VARIED, source=source)
    b = beside.batch(3, 16, seed=0)
    assert (beside.outputs, alone.outputs) == (6, 3) and b.y.shape == (16, 6)
    own = round((1 - LENT) * 16)
    assert (b.y.argmax(1) >= 3).tolist() == [False] * own + [True] * (16 - own)
    assert torch.equal(b.x[:own], alone.batch(3, own, seed=0).x)
    seen = torch.cat([beside.batch(t, 16, seed=0).x[own:] for t in range(300 // 8)])
    assert len(seen.unique(dim=0)) == len(seen)


@pytest.mark.parametrize(("name", "rate"), [("cnn", 0), ("crnn", 8000)])
def test_a_network_that_learnt_related_classes_needs_fewer_rows(name, rate, tmp_path):
    """Of twelve smooth patterns under noise, six are the dataset's; each has two rows."""
    rows, test = (toy_samples(n, classes=12, seed=seed) for n, seed in ((600, 1), (600, 2)))
    spec, run = replace(toy_data().spec, classes=tuple("abcdef"), rate=rate), Run(folder=tmp_path)
    few, source, test = rows.take(rows.y < 6).take(range(12)), rows.take(rows.y >= 6), test.take(test.y < 6)

    def learner(steps: int) -> Learner:
        return make("learners", Choice(name=name, settings={"steps": steps, "width": 16}))

    first, found = learner(80).fit(feed(replace(source, y=source.y - 6), spec), run), []
    for changes in ({}, {"source": source, "begun": first.state()}):
        p = learner(20).fit(feed(few, spec, **changes), run).predict(test)
        assert p.shape == (len(test), 6) and torch.allclose(p.sum(1), torch.ones(len(test)), atol=1e-4)
        found.append((p.argmax(1) == test.y).float().mean().item())
    assert found[1] > found[0] + 0.1


@pytest.mark.parametrize("transfer", [n for n in names("transfers") if find("transfers", n).suits(find("learners", "cnn"))])
def test_every_way_of_transfer_goes_with_a_source(transfer, tmp_path):
    few, spec, run = toy_samples(9, classes=3, seed=1), toy_data().spec, Run(folder=tmp_path)
    source = replace(more := toy_samples(60, classes=3, seed=2), y=more.y + 3)
    learner = make("learners", Choice(name="cnn", settings={"steps": 4, "width": 16}))
    first = replace(learner).fit(feed(more, spec), run).state()
    given = feed(few, spec, source=source, begun=first, synthetic=toy_samples(12, classes=3, seed=3), share=0.5)
    p = make("transfers", Choice(name=transfer)).train(learner, given, run).predict(few)
    assert p.shape == (9, 3) and torch.allclose(p.sum(1), torch.ones(9), atol=1e-4)


def test_a_backbone_begins_from_what_it_learnt_there(tmp_path):
    data, source, run = toy_data(9), toy_samples(60, classes=4, seed=3), Run(folder=tmp_path)

    def state(given: Feed, steps: int, lr: float) -> dict[str, Tensor]:
        settings = {"steps": steps, "backbone": "toy", "lr": lr, "weight_decay": 1e-4}
        return make("learners", Choice(name="finetune", settings=settings)).fit(given, run).state()

    begun = state(feed(source, replace(data.spec, classes=tuple("abcd"))), 20, 1e-3)
    beside = {"source": replace(source, y=source.y + 3), "begun": begun}
    from_there, alone = (state(feed(data.train, data.spec, **changes), 2, 1e-5) for changes in (beside, {}))
    moved = [(s["body/projection"] - begun["body/projection"]).abs().max() for s in (from_there, alone)]
    assert moved[0] < 1e-4 < moved[1] and len(from_there["head/linear.bias"]) == 3


# The rows


def test_no_row_of_the_dataset_comes_back(digits):
    found = related(digits[1], load(digits[0]))
    (told,) = found.findings
    assert told.about["copies"] == 4 and len(found.samples) == told.about["rows"] <= 150 and found.classes == tuple("56789")
    tested = {row.tobytes() for row in digit_rows(20, 5, skip=80)[0]}
    assert not any(row.numpy().tobytes() in tested for row in found.samples.x)


def test_a_table_is_read_by_the_columns_of_the_dataset_where_it_has_them(digits, tmp_path):
    x, y = digit_rows(8, 10, skip=40)
    for i, row in enumerate(x[y > 4]):
        Image.fromarray(row).save(tmp_path / f"{i}.png")
    lines = [f"{i}.png,{k},x{i}" for i, k in enumerate(y[y > 4])]
    (tmp_path / "t.csv").write_text("\n".join(["scan,finding,id", *lines]))
    for wrong in ({}, {"label": "class", "column": "scan"}):
        with pytest.raises(DataError, match=r"^--source: 't\.csv' has no") as caught:
            related(tmp_path / "t.csv", load(digits[0]), **wrong)
        assert "as those of the dataset" in caught.value.help
    assert related(tmp_path / "t.csv", load(digits[0]), label="finding", column="scan").classes == tuple("56789")
    assert related(digits[1], load(digits[0]), label="finding", column="scan").classes == tuple("56789")


def test_classes_of_one_name_are_told_and_small_ones_left_out(digits, tmp_path):
    x, y = digit_rows(8, 5, skip=40)
    (left, same) = related(saved(tmp_path / "same.npz", x[:-7], y[:-7]), load(digits[0])).findings
    assert left.about["classes"] == 4 and left.about["small"] == 1
    assert same.level == "warning" and same.about["classes"] == list("0123")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere", "no file or folder '.*nowhere', which --source names"),
        ("one.npz", "has one class only"),
        ("colour.npz", "they have 3 channels, those of the dataset 1 channel$"),
        ("texts.csv", "they have no channels, those of the dataset 1 channel$"),
        ("itself.npz", "fewer than two classes"),
    ],
)
def test_a_source_that_lends_nothing_is_told(digits, tmp_path, source, said):
    x, y = digit_rows(8, 3, skip=40)
    saved(tmp_path / "one.npz", x, np.zeros_like(y))
    saved(tmp_path / "colour.npz", np.repeat(x[..., None], 3, 3) + np.arange(3, dtype=np.uint8) * 40, y)
    saved(tmp_path / "itself.npz", *digit_rows(6, 5))
    (tmp_path / "texts.csv").write_text("text,label\n" + "".join(f"row {i} of it,{'ab'[i % 2]}\n" for i in range(12)))
    with pytest.raises((UsageError, DataError), match=said):
        augmind.expand(digits[0], tmp_path / "r", source=str(tmp_path / source), until="plan", **SMALL)


def test_two_places_to_begin_from_are_told(digits, tmp_path):
    with pytest.raises(UsageError, match="both say where learners begin"):
        augmind.expand(digits[0], tmp_path / "r", source=str(digits[1]), until="plan", **SMALL | {"start": "RUN"})


def test_texts_have_none(digits, tmp_path):
    texts = tmp_path / "t.csv"
    texts.write_text("text,label\n" + "".join(f"row {i} of it,{'ab'[i % 2]}\n" for i in range(12)))
    with pytest.raises(UsageError, match="--source is about pictures or sounds"):
        related(digits[1], load(texts, text="text", label="label"))


# The verdict


def judged(right: dict[str, float], seeds: int = 3) -> Verdict:
    """The verdict where each arm answers that part of 400 rows rightly."""
    y, cells = np.arange(400) % 2, []
    for arm, part in right.items():
        for seed in range(seeds):
            rng = np.random.default_rng([seed, len(arm)])
            wrong = rng.permutation(400) >= round(400 * part)
            cells.append(Predictions(arm=arm, fold=0, seed=seed, ids=np.arange(400), y=y, p=np.eye(2)[np.where(wrong, 1 - y, y)], unit=None))
    primary = list(right)[-1]
    found = verdict(cells, mode="given", classes=("a", "b"), primary=primary)
    return with_twin(found, "source", single=seeds == 1, imagined=primary != "source")


ALONE = {"real": 0.6, "classical": 0.65}


def test_a_gain_of_the_source_is_called_its_own():
    found = judged(ALONE | {"source": 0.9})
    assert (found.arm, found.use_synthetic) == ("source", False)
    assert found.sentence.startswith("The related dataset helps without any drawn row, +25.0 points against the best classical arm")


def test_synthetic_rows_have_to_beat_the_source_and_not_the_classical_arm():
    found = judged(ALONE | {"source": 0.9, "synthetic+source": 0.9})
    assert (found.arm, found.use_synthetic) == ("source", False)
    assert "against the related dataset without synthetic rows" in found.sentence and "The related dataset helps" in found.sentence
    better = judged(ALONE | {"source": 0.75, "synthetic+source": 0.95})
    assert (better.arm, better.use_synthetic) == ("synthetic+source", True) and "The related dataset helps" in better.sentence


def test_no_gain_harm_and_one_seed_are_no_recommendation():
    none, harm, one = judged(ALONE | {"source": 0.66}), judged(ALONE | {"source": 0.4}), judged(ALONE | {"source": 0.9}, seeds=1)
    assert none.arm == harm.arm == one.arm == "classical"
    assert "No gain from the related dataset is proven" in none.sentence and "does harm" in harm.sentence and "one seed" in one.sentence


# The run


def test_a_run_compares_what_is_lent_with_and_without_drawn_rows(run):
    arms = {(a["learner"], a["arm"]): a for a in run.record["arms"]}
    assert [arm for learner, arm in arms if learner == "probe"] == ["real", "classical", "source", "synthetic+source"]
    assert [arm for learner, arm in arms if learner == "cnn"][:3] == ["real", "classical", "source"]
    assert all(("source" in a["knowledge"]) == ("source" in arm) for (_, arm), a in arms.items())
    assert arms["probe", "source"]["kind"] == "control" and "related dataset" in arms["probe", "source"]["policy"]
    verdict = run.record["verdict"]
    assert verdict["primary_arm"] == "synthetic+source" and "related dataset" in verdict["sentence"]
    assert {"source vs classical", "source vs real"} <= verdict["differences"].keys()
    (feature,) = run.record["generators"]
    assert feature["knowledge"] == "source" and feature["kept"] > 10
    assert any(f["code"] == "AM139" for f in run.record["findings"])
    assert any(note.startswith("cnn learns the related dataset first") for note in run.record["plan"]["notes"])
    assert "related dataset" in run.report.read_text() and "--source" in run.record["command"]


def test_which_learner_has_the_source_is_chosen_on_inner_folds_as_that_without_is(run, monkeypatch):
    job = Job(run.folder)
    plain = best_learner(job, "0")
    assert all(0 <= weighed(job, "0", name) <= 1 for name in ("probe", "cnn"))
    alone = {name: {(c.arm, c.seed): c.p for c in cells(job, name)} for name in ("probe", "cnn")}
    for best in alone:
        monkeypatch.setattr("augmind.compare.weighed", lambda job, fold, name, best=best: float(name == best))
        assert (best_learner(job, "0", "source"), best_learner(job, "0", "synthetic+source"), best_learner(job, "0")) == (best, best, plain)
        for c in cells(job, CHOSEN):
            assert np.array_equal(c.p, alone[best if "source" in c.arm else plain][c.arm, c.seed])
        record = build(job)
        assert record["verdict"]["learner"] == (best if "source" in record["verdict"]["arm"] else plain)
        assert (f"for {best} with it against" in record["verdict"]["sentence"]) is (best != plain)
        assert any(a["learner"] == CHOSEN for a in record["arms"]) is (best != plain)


def test_the_same_command_goes_on_and_without_the_source_it_is_another_run(digits, run):
    taught = list((run.folder / "stages").glob("lend-*"))
    made = {p: p.stat().st_mtime_ns for p in (run.folder / "stages").glob("[a-z]*")}
    again = augmind.expand(digits[0], run.folder, source=str(digits[1]), **SMALL)
    assert len(taught) == 1 and again.record["verdict"] == run.record["verdict"]
    assert {p: p.stat().st_mtime_ns for p in (run.folder / "stages").glob("[a-z]*")} == made
    with pytest.raises((UsageError, DataError)):
        augmind.expand(digits[0], run.folder, **SMALL)


def test_without_generators_the_verdict_is_about_the_source_in_cross_validation_too(digits, tmp_path):
    asked = SMALL | {"generators": (), "folds": 2}
    found = augmind.expand(folder(tmp_path / "data", per_class=8, classes=3), tmp_path / "r", source=str(digits[1]), **asked)
    v = found.record["verdict"]
    assert v["primary_arm"] == "source" and not v["use_synthetic"] and v["sentence"].count("related dataset") == 1
    policy = augmind.load_policy(found.folder)
    assert policy.policy.source is (v["arm"] == "source") and json.loads((found.folder / "policy.json").read_text())["source"] is policy.policy.source
    assert any("related dataset" in said for said in policy.left_out) is policy.policy.source


def test_a_run_as_a_source_stands_for_its_dataset_and_as_data_is_told(digits, tmp_path):
    other = augmind.expand(digits[1], tmp_path / "other", dry_run=True, **SMALL)
    (other.folder / "stages").mkdir(exist_ok=True)
    made = augmind.expand(digits[0], tmp_path / "r", source=str(other.folder), dry_run=True, **SMALL)
    assert json.loads((made.folder / "config.json").read_text())["config"]["source"] == str(digits[1].resolve())
    for given in ({"data": other.folder}, {"data": digits[0], "unlabelled": str(other.folder)}):
        with pytest.raises(UsageError, match="is a run and no dataset"):
            augmind.expand(out=tmp_path / "no", dry_run=True, **given, **SMALL)
    assert not (tmp_path / "no").exists()


def test_a_search_asks_whether_to_learn_the_source_and_what_drawn_rows_add_to_it(digits, tmp_path):
    asked = SMALL | {"search": True, "trials": 9, "explain": False}
    made = augmind.expand(digits[0], tmp_path / "r", source=str(digits[1]), **asked)
    for found in made.searches:
        lent = [t for t in found["trials"] if t["policy"]["source"]] if "trials" in found else []
        assert found["source"]["policy"]["source"] and not found["source"]["policy"]["generators"] and not found["classical"]["policy"]["source"]
        assert "related dataset" in found["source"]["words"] and lent == []
    arms = {(a["learner"], a["arm"]): a for a in made.record["arms"]}
    assert [arm for learner, arm in arms if learner == "probe"] == ["real", "classical", "source", "synthetic+source", "searched"]
    assert all(("source" in a["knowledge"]) == ("related dataset" in a["policy"]) for (name, _), a in arms.items() if name != CHOSEN)
    verdict = made.record["verdict"]
    assert verdict["primary_arm"] == "searched" and {"searched vs source", "source vs classical"} <= verdict["differences"].keys()
    assert len(list((made.folder / "stages").glob("lend-*"))) == 1 and not list((made.folder / "stages").glob("weigh-*"))
    for search in made.record["search"]:
        shares = {t["policy"]["source"] for t in search["trials"]}
        assert shares == {False, True} and "source" in search["trials"][0]["params"]
