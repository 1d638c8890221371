"""Rows without labels: labelled by what is known of the others, tested like synthetic rows, and handed over with where they came from."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pyarrow.parquet
import pytest
import torch
from PIL import Image
from torch import Tensor

import augmind
from augmind.beside import believes, beside_inputs, beside_path, chosen_beside
from augmind.compare import arms_with_rows, best_learner, policy_of
from augmind.conduct import foreseen
from augmind.core.errors import DataError, UsageError, WrongSpec
from augmind.core.run import Run
from augmind.core.seeds import stream
from augmind.core.store import read_json, read_table
from augmind.core.types import Choice, Classical, Samples
from augmind.data.load import load, unlabelled
from augmind.data.pool import pool, strangers
from augmind.figures import Predictions
from augmind.generators.pseudo import Pseudo, spreading, surest
from augmind.handover import given
from augmind.job import Job
from augmind.pipeline import seen_by, shard_path
from augmind.searched import in_words
from augmind.shards import read_shard
from augmind.sourced import with_learners, with_twin
from augmind.teaching import candidates, chosen, default_policy, synthetic
from augmind.testing import toy_data
from augmind.verdict import Verdict, verdict
from runs import TINY, arrays, digit_rows

SMALL = TINY | {"learner": ("probe",), "seeds": 1, "folds": None}


def saved(root, x, first: int = 0):
    root.mkdir(parents=True, exist_ok=True)
    for i, row in enumerate(x):
        Image.fromarray(row).save(root / f"{first + i:03d}.png")
    return root


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Six labelled digits a class, 20 tested; 30 others without labels, with 7 rows of the dataset and a text among them."""
    root = tmp_path_factory.mktemp("unlabelled")
    data = arrays(root / "digits.npz", train=6, test=20)
    loose = saved(root / "loose" / "deep", digit_rows(30, skip=6)[0])
    (tx, _), (x, _) = digit_rows(20, skip=80), digit_rows(6)
    saved(root / "loose", np.concatenate([tx[::40], x[::30]]), first=900)
    (root / "loose" / "notes.txt").write_text("no row")
    return data, loose.parent


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    return augmind.expand(digits[0], tmp_path_factory.mktemp("run") / "r", unlabelled=str(digits[1]), **SMALL)


# The labels


def test_the_surest_part_of_the_rows_called_each_class_is_taken():
    p = torch.tensor([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.8, 0.2, 0.0], [0.3, 0.7, 0.0], [0.7, 0.3, 0.0]])
    at, y = surest(p, 0.5)
    assert at.tolist() == [0, 2, 3] and y.tolist() == [0, 0, 1]
    called = torch.eye(2)[[0] * 64 + [1] * 4]
    counts = [surest(called, 0.5, even)[1].bincount().tolist() for even in (0.0, 0.5, 1.0)]
    assert counts == [[32, 2], [23, 4], [17, 4]], "their own share, halfway, and an even share of 17 rows as far as there are so many"


def test_labels_spread_along_what_hangs_together():
    """Two rings on a ball, known at opposite ends: most rows are nearer to the row of the other ring that is known."""
    angle = torch.linspace(0, 6.28, 100)
    ring = torch.stack([angle.cos(), angle.sin()], 1)
    z = torch.cat([torch.nn.functional.pad(ring, (0, 1), value=height) for height in (-0.5, 0.5)])
    p = spreading(z[[0, 150]], torch.tensor([0, 1]), z, 3)
    assert torch.allclose(p.sum(1), torch.ones(200)) and not p[:, 2].any()
    assert (p[:100].argmax(1) == 0).float().mean() > 0.9 and (p[100:].argmax(1) == 1).float().mean() > 0.9


def blobs(n: int, seed: int) -> tuple[Tensor, Tensor]:
    rng, y = torch.Generator().manual_seed(seed), torch.arange(n) % 3
    return torch.randn(n, 8, generator=rng) + 2.2 * torch.eye(3, 8)[y], y


def sure_of(made: Pseudo) -> tuple[Tensor, Tensor]:
    """Labels and keys of the rows that are handed over."""
    labels, keys = made.stock()
    first = torch.cat([(labels == k).nonzero()[:n, 0] for k, n in enumerate(made.sure().tolist())])
    return labels[first], keys[first]


@pytest.mark.parametrize("propagate", [0.0, 0.5, 1.0])
def test_rows_without_labels_get_the_right_ones(propagate, tmp_path):
    (z, y), (more, truth) = blobs(9, 0), blobs(600, 1)
    data = toy_data(9)
    shape = data.train.x.shape[1:]
    x = torch.randint(0, 255, (600, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    train = Samples.real(data.train.x, y, z=z)
    kept = Samples.real(x, torch.full((600,), -1), torch.arange(600) + 50, z=more)
    data = type(data)(train=train, val=train.take([]), spec=data.spec, codec=data.codec, pool=kept)
    made = Pseudo(propagate=propagate).fit(data, Run(folder=tmp_path))
    (labels, keys), all_of_them = sure_of(made), made.stock()
    assert (labels == truth[keys - 50]).float().mean() > 0.9 and labels.bincount().max() <= 125 and len(all_of_them[0]) == 600
    believed = made.beliefs()
    assert torch.equal(believed.argmax(1), all_of_them[0]) and torch.allclose(believed.sum(1), torch.ones(600), atol=1e-4)
    assert torch.equal(data.spec.to_store(made.sample(labels, keys)), x[keys - 50])
    back = Pseudo(propagate=propagate).restore(data.spec, made.state())
    assert torch.equal(back.sample(labels, keys), made.sample(labels, keys)) and torch.equal(back.beliefs(), believed)


def test_of_an_uneven_pool_a_common_class_keeps_more(tmp_path):
    """Nine of ten loose rows are of one class: with as many rows of the others most of all labels would be wrong."""
    (z, y), (more, truth) = blobs(12, 0), blobs(2000, 1)
    uneven = torch.cat([(truth == 0).nonzero()[:540, 0], (truth == 1).nonzero()[:30, 0], (truth == 2).nonzero()[:30, 0]])
    data = toy_data(12)
    loose = data.train.x[:1].expand(600, *data.train.x.shape[1:])
    pool = Samples.real(loose, torch.full((600,), -1), torch.arange(600) + 50, z=more[uneven])
    data = type(data)(train=Samples.real(data.train.x, y, z=z), val=data.val, spec=data.spec, codec=data.codec, pool=pool)
    labels, keys = sure_of(Pseudo(graph="features").fit(data, Run(folder=tmp_path)))
    assert (labels == truth[uneven][keys - 50]).float().mean() > 0.55 and labels.bincount()[0] > 120


@pytest.mark.parametrize(("graph", "right"), [("features", False), ("rows", True), ("both", True)])
def test_labels_spread_by_how_rows_look_too_where_features_say_nothing(graph, right, tmp_path):
    """Features are noise; rows of a class are bright where others are dark, at a contrast and a brightness of their own."""
    rng, y = torch.Generator().manual_seed(0), torch.arange(309) % 3
    x = toy_data(9).train.x.new_zeros(309, 1, 12, 12).float()
    for k in range(3):
        x[y == k, :, 4 * k : 4 * k + 4] = 1
    scale, shift = torch.rand(2, 309, 1, 1, 1, generator=rng)
    x = ((20 + 60 * scale) * x + 100 * shift + 6 * torch.randn(x.shape, generator=rng)).clamp(0, 255).to(torch.uint8)
    z = torch.randn(309, 8, generator=rng)
    data = toy_data(9)
    train = Samples.real(x[:9], y[:9], z=z[:9])
    loose = Samples.real(x[9:], torch.full((300,), -1), z=z[9:])
    made = Pseudo(propagate=1.0, graph=graph, keep=1.0)
    made.spec_ = replace(data.spec, shape=(1, 12, 12))
    found = made.spread(train, loose, 3).argmax(1)
    assert bool((found == y[9:]).float().mean() > 0.9) is right


def test_without_such_rows_it_is_refused(tmp_path):
    with pytest.raises(WrongSpec, match="no labels, and there are none"):
        Pseudo().fit(toy_data(9), Run(folder=tmp_path))


# The rows


def test_what_the_dataset_holds_too_is_left_out(digits):
    data, loose = digits
    found = pool(loose, load(data))
    (told,) = found.findings
    assert (told.about["copies"], told.about["unreadable"]) == (7, 1) and len(found.x) == len(found.sources) == told.about["rows"]
    assert 280 <= len(found.x) <= 300 and all(source.startswith("deep/") for source in found.sources)


def test_near_copies_of_test_rows_are_left_out(tmp_path, digits):
    moved = np.clip(digit_rows(20, skip=80)[0][::20].astype(int) + 6, 0, 255).astype(np.uint8)
    saved(tmp_path / "loose", np.concatenate([moved, digit_rows(3, skip=40)[0]]))
    (told,) = pool(tmp_path / "loose", load(digits[0])).findings
    assert told.about["near"] + told.about["copies"] >= 9


def test_rows_of_the_dataset_itself_that_have_no_label_are_a_pool(tmp_path):
    """A table and its folder serve alike; until they do, the plan says what these rows are good for."""
    x, y = digit_rows(30, 2)
    saved(tmp_path / "data", x)
    lines = [f"{i:03d}.png,{'' if 10 <= i < 34 else f'digit {y[i]}'}" for i in range(60)]
    (tmp_path / "data" / "rows.csv").write_text("\n".join(["file,label", *lines]) + "\n")
    for place in ("data", "data/rows.csv"):
        found = pool(tmp_path / place, load(tmp_path / place))
        assert 20 <= len(found.x) <= 24 and all("010.png" <= source < "034.png" for source in found.sources)
    plan = augmind.expand(tmp_path / "data", tmp_path / "r", until="plan", **SMALL)
    (note,) = [n for n in read_json(plan.folder / "plan.json")["notes"] if "--unlabelled" in n]
    assert note.startswith("24 of them have no label") and str(tmp_path / "data") in note
    asked = augmind.expand(tmp_path / "data", tmp_path / "s", until="plan", unlabelled=str(tmp_path / "data"), **SMALL)
    assert not [n for n in read_json(asked.folder / "plan.json")["notes"] if "--unlabelled" in n]


def test_a_table_names_files_that_are_not_there_or_lie_elsewhere(tmp_path):
    saved(tmp_path, digit_rows(2, 2)[0])
    saved(tmp_path / "in", digit_rows(4, 2)[0])
    (tmp_path / "in" / "rows.csv").write_text("file\n../000.png\n" + "".join(f"{i:03d}.png\n" for i in range(9)))
    found = unlabelled(tmp_path / "in" / "rows.csv", max_bad=0.5)
    told = {r.source: r.reason for r in found.rows if r.status == "corrupt"}
    assert told == {"rows.csv:2": "'../000.png' lies outside the dataset's folder", "rows.csv:11": "no such file '008.png'"}
    assert [r.source for r in found.rows if r.status == "ok"] == [f"{i:03d}.png" for i in range(8)]
    (tmp_path / "none.csv").write_text("file\nx.png\n")
    with pytest.raises(DataError, match=r"1 of 1 row of 'none' cannot be read: none.csv:2 \(no such file 'x.png'\)"):
        unlabelled(tmp_path / "none.csv")
    with pytest.raises(DataError, match="lies outside the dataset's folder"):
        unlabelled(tmp_path / "in" / "rows.csv", max_bad=0.1)


def test_the_files_of_a_pool_may_stand_in_the_column_that_those_of_the_dataset_do(tmp_path, digits):
    saved(tmp_path, digit_rows(4, skip=40)[0])
    names = sorted(file.name for file in tmp_path.glob("*.png"))
    (tmp_path / "rows.csv").write_text("\n".join(["scan,other", *(f"{name},{i}" for i, name in enumerate(names))]))
    with pytest.raises(DataError, match="no picture or sound column"):
        pool(tmp_path / "rows.csv", load(digits[0]))
    assert len(pool(tmp_path / "rows.csv", load(digits[0]), column="scan").x) == 40
    assert len(pool(saved(tmp_path / "loose", digit_rows(4, skip=40)[0]), load(digits[0]), column="scan").x) == 40


def test_pictures_within_a_table_are_a_pool_too(tmp_path):
    cells = [
        {"image": {"bytes": b, "path": None}, "label": None}
        for b in (p.read_bytes() for p in sorted(saved(tmp_path / "p", digit_rows(4)[0]).iterdir()))
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(cells), tmp_path / "t.parquet")
    found = unlabelled(tmp_path / "t.parquet")
    assert len(found.samples) == 40 and found.rows[3].source.startswith("t.parquet:")


def test_a_pool_of_another_kind_is_told(tmp_path, digits):
    texts = tmp_path / "t.csv"
    texts.write_text("text,label\n" + "".join(f"row {i} of it,{'ab'[i % 2]}\n" for i in range(12)))
    with pytest.raises(DataError, match="is no file of texts"):
        pool(digits[1], load(texts, text="text", label="label"))
    saved(tmp_path / "same", digit_rows(4)[0])
    with pytest.raises(DataError, match="every row of --unlabelled"):
        pool(tmp_path / "same", load(digits[0]))
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no row that can be read"):
        pool(tmp_path / "none", load(digits[0]))


def test_rows_unlike_the_labelled_ones_are_told(run):
    z = torch.randn(60, 8, generator=stream("strangers")) + 3
    others = torch.randn(200, 8, generator=stream("others")) + 3
    assert not strangers(others, z) and not strangers(others, z[:1])
    (told,) = strangers(others + torch.tensor([6.0] + [0.0] * 7), z)
    assert told.code == "AM142" and told.about["part"] > 0.9 and "look at some" in told.text
    assert not any(f["code"] == "AM142" for f in run.record["findings"])


# The run


def test_a_run_labels_them_first_and_says_where_what_it_knows_comes_from(run):
    plan = json.loads((run.folder / "plan.json").read_text())
    assert plan["first"] == ["pseudo"] and plan["share"] == 0.75 and plan["ratio"] > 2
    found = {g["name"]: g for g in run.record["generators"]}
    assert found["pseudo"]["knowledge"] == "unlabelled" and found["pseudo"]["kept"] > 50
    assert all(g["status"] == "not needed" for name, g in found.items() if name != "pseudo")
    assert any(f["code"] == "AM138" for f in run.record["findings"])
    arms = {a["arm"]: a["metrics"]["balanced_accuracy"]["mean"] for a in run.record["arms"]}
    assert arms["synthetic"] > arms["real"]
    assert {a["arm"]: a["label"] for a in run.record["arms"]}["synthetic+classical"] == "pseudo-labelled + classical"
    page, sentence = run.report.read_text(), run.record["verdict"]["sentence"]
    assert "pseudo-labelled" in sentence and "synthetic" not in sentence and "pseudo-labelled data" in page


def test_networks_learn_from_all_rows_by_what_is_believed_of_each(run):
    job = Job(run.folder)
    fold = job.folds[0]
    path = shard_path(job, fold, "pseudo")
    kept, believed = read_shard(path, "pseudo"), read_shard(path, "pseudo", believed=True)
    assert kept is not None and believed is not None and kept.soft is None and believed.soft is not None
    assert set(kept.key.tolist()) < set(believed.key.tolist()) and torch.allclose(believed.soft.sum(1), torch.ones(len(believed)), atol=1e-4)
    assert torch.equal(believed.soft.argmax(1), believed.y)
    others = believed.soft[~torch.isin(believed.key, kept.key)].max(1).values
    assert read_json(path / "facts.json")["doubtful"] == pytest.approx(float(others.mean()), abs=1e-5)
    arm = job.codec.classical[0]
    for all_of_them, rows in ((True, believed), (False, kept)):
        policy = replace(default_policy(job, "cnn", arm, generators=True), generators=(job.generator("pseudo"),), believed=all_of_them)
        given = synthetic(job, fold, policy, 0)
        assert given is not None and sorted(given.key.tolist()) == sorted(rows.key.tolist()) and (given.soft is not None) == all_of_them
    told = [row for row in columns(run.folder, "pseudo") if row["kept"]]
    assert {row["seed"] for row in told} == set(kept.key.tolist()), "none of the doubtful ones is handed over"


def test_a_network_learns_so_from_a_labeller_that_knows_more_than_it(digits, tmp_path, monkeypatch):
    asked = SMALL | {"learner": ("cnn", "probe"), "generators": ("pseudo",)}
    job = Job(augmind.expand(digits[0], tmp_path / "r", unlabelled=str(digits[1]), **asked).folder)
    told = json.loads((beside_path(job, "0", "cnn") / "choice.json").read_text())["labeller"]
    assert 0.5 < told <= 1 and believes(job, "0", "cnn") == (told > max(chosen(job, "0", "cnn")[1].values()))

    def alone(score: float) -> None:
        monkeypatch.setattr("augmind.beside.chosen", lambda job, fold, name: (Classical(name="none"), {"none": score, "worse": 0.0}))

    alone(told)
    assert not believes(job, "0", "cnn"), "one that knows as much learns nothing of its doubts"
    alone(told - 0.1)
    arms = ("real", "classical", "synthetic", "synthetic+classical")
    assert [policy_of(job, "0", "cnn", arm).believed for arm in arms] == [False, False, True, True]
    assert "what is believed of each" in in_words(policy_of(job, "0", "cnn", "synthetic"))
    assert not policy_of(job, "0", "probe", "synthetic").believed
    for right, taught in ((0.51, True), (0.5, False)):
        with monkeypatch.context() as m:
            m.setattr("augmind.beside.doubtful", lambda *of, right=right: right)
            assert believes(job, "0", "cnn") is taught, "what is more often wrong than right is taught to nobody"
    bound = Job(job.folder)
    bound.__dict__["config"] = job.config.model_copy(update={"ratio": 1.0})
    assert not believes(bound, "0", "cnn"), "a ratio that is asked for is kept"


def test_the_classical_arm_and_the_learner_that_go_with_them_are_chosen_beside_them(run, monkeypatch):
    job = Job(run.folder)
    (learner,) = job.plan.learners
    (arm, real), (told,) = chosen_beside(job, "0", learner), (run.folder / "stages").glob("beside-*/choice.json")
    record = json.loads(told.read_text())
    scores = record["scores"]
    assert list(scores) == [c.name for c in candidates(job, learner)] and scores[arm.name] == max(scores.values()) and 0 < real <= 1
    for name in scores:
        with monkeypatch.context() as m:
            m.setattr("augmind.beside.read_json", lambda path: record | {told: dict.fromkeys(scores, 1.0) for told in ("scores", "real")})
            m.setattr("augmind.beside.chosen", lambda *of, best=name: (None, dict.fromkeys(scores, 0.5) | {best: 0.6}))
            assert chosen_beside(job, "0", learner)[0].name == name, "of equal ones that which is better without these rows"
    other = Classical(name="another", transform=Choice(name="flip_crop"))
    monkeypatch.setattr("augmind.compare.chosen_beside", lambda job, fold, name: (other, 1.0))
    assert policy_of(job, "0", learner, "synthetic+classical").classical == other
    assert "another" not in (policy_of(job, "0", learner, name).classical.name for name in ("real", "classical", "synthetic"))
    two = Job(run.folder)
    two.__dict__["plan"] = replace(job.plan, learners=("probe", "cnn"))
    monkeypatch.setattr("augmind.compare.chosen_beside", lambda job, fold, name: (other, float(name == "cnn")))
    monkeypatch.setattr("augmind.compare.inner_scores", lambda job, fold, name: {"none": float(name == "probe")})
    assert [best_learner(two, "0", name) for name in ("classical", "synthetic+classical")] == ["probe", "cnn"]
    none = {"gain": 0.0, "interval": (0.0, 0.0), "p": 1.0, "certifiable": 0.0, "level": 0.95, "margin": 0.0, "differences": {}}
    v = Verdict(use_synthetic=True, arm="synthetic+classical", sentence="Use the rows.", against="", **none)
    told = with_learners(v, "pseudo-labelled", ("cnn", "probe")).sentence
    assert with_learners(v, "pseudo-labelled", ("cnn", "cnn")) == v
    assert told == "Use the rows. It is cnn that learns from the pseudo-labelled rows, and probe that is best without them."


def test_the_choice_beside_them_waits_for_no_other_where_classes_are_even(digits, tmp_path):
    job = Job(augmind.expand(digits[0], tmp_path / "r", unlabelled=str(digits[1]), dry_run=True, **SMALL).folder)
    (item,) = [i for i in foreseen(job) if i.name == "beside probe 0"]
    assert "choose probe 0" not in item.after and {"draw pseudo 0.0", "draw pseudo 0.1"} <= set(item.after)
    assert beside_inputs(job, "0", "probe")["draws"]


@pytest.fixture(scope="module")
def conditioned(digits, tmp_path_factory):
    return augmind.expand(digits[0], tmp_path_factory.mktemp("run") / "r", unlabelled=str(digits[1]), **SMALL | {"generators": ("pseudo", "feature")})


def test_generators_named_beside_it_learn_from_its_rows_and_have_to_beat_them(conditioned):
    job, record = Job(conditioned.folder), conditioned.record
    assert [a["arm"] for a in record["arms"]] == ["real", "classical", "pool", "synthetic+pool"] and job.plan.rest[0] == job.plan.ratio / 2
    assert [a["kind"] for a in record["arms"]] == ["real", "classical", "control", "synthetic"]
    assert record["verdict"]["primary_arm"] == "synthetic+pool" and "pseudo-labelled rows" in record["verdict"]["sentence"]
    assert "unlabelled" in record["arms"][2]["knowledge"]
    made = {arm: [g.name for g in policy_of(job, "0", "probe", arm).generators] for arm in ("classical", "pool", "synthetic+pool")}
    assert made == {"classical": [], "pool": ["pseudo"], "synthetic+pool": ["pseudo", "feature"]}
    kept = {g["name"]: g["kept"] for g in record["generators"]}
    rows, labelled = seen_by(job, "0", "feature").train, seen_by(job, "0", "pseudo").train
    assert len(rows) == len(labelled) + kept["pseudo"] and torch.equal(rows.key[: len(labelled)], labelled.key)
    more = rows.units[len(labelled) :]
    assert len(rows.key.unique()) == len(rows) and len(more.unique()) == len(more) and more.max() < 0 and kept["feature"] > 0


def test_groups_and_rows_asked_for_by_number_go_with_them(tmp_path, digits):
    (x, y), (tx, ty) = digit_rows(6, 3), digit_rows(9, 3, skip=80)
    data = tmp_path / "grouped.npz"
    np.savez(data, train_images=x, train_labels=y, train_who=np.arange(18) % 6, test_images=tx, test_labels=ty, test_who=6 + np.arange(27) % 3)
    asked = SMALL | {"generators": ("pseudo", "feature", "vae"), "group": "who", "want": {"0": 2}}
    run = augmind.expand(data, tmp_path / "r", unlabelled=str(digits[1]), **asked)
    own = [row for row in columns(run.folder, "vae") if row["kept"]]
    assert own and {row["group"] for row in own} <= {str(i) for i in range(6)}
    tables = [pyarrow.parquet.read_table(f).to_pylist() for f in run.export(tmp_path / "out", "parquet").rglob("train*.parquet")]
    kept = next(g["kept"] for g in run.record["generators"] if g["name"] == "pseudo")
    assert sum(row["generator"] == "pseudo" for table in tables for row in table) == kept


def columns(folder, generator: str) -> list[dict]:
    table = read_table(shard_path(Job(folder), "0", generator) / "table.parquet")
    return [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]


def test_a_network_that_can_learn_from_nothing_that_is_drawn_is_told(tmp_path, digits):
    asked = SMALL | {"generators": ("pseudo", "feature"), "learner": ("cnn",)}
    plan = Job(augmind.expand(digits[0], tmp_path / "r", unlabelled=str(digits[1]), dry_run=True, **asked).folder).plan
    assert any("'cnn' cannot learn from what 'feature' draws" in note for note in plan.notes)


def test_what_they_draw_is_held_against_those_rows_too(conditioned, digits):
    job = Job(conditioned.folder)
    table = read_table(shard_path(job, "0", "feature") / "table.parquet", ["seed", "nearest_row"])
    near, seed = next((n, s) for n, s in zip(table["nearest_row"], table["seed"], strict=True) if n < 0)
    file = conditioned.why(f"feature:{seed}")["nearest_real_row"]
    assert file == job.source_of(near) == job.pool_sources[-1 - near] and (digits[1] / file).is_file()
    key = int(job.real.key[0])
    assert job.source_of(key) == next(row.source for row in job.rows if row.id == key) and job.source_of(10**9) == ""


def test_without_rows_of_theirs_the_others_still_count(conditioned, monkeypatch):
    monkeypatch.setattr("augmind.compare.kept", lambda job, fold, name: 9 * (name == "pseudo"))
    assert arms_with_rows(Job(conditioned.folder), lambda fold: "probe") == ("real", "classical", "pool")


@pytest.mark.parametrize(
    ("right", "arm", "said"),
    [
        ((0.5, 0.9), "pool", "The pseudo-labelled rows help without any drawn row, "),
        ((0.9, 0.5), "classical", "The pseudo-labelled rows do harm, "),
        ((0.7, 0.71), "classical", "No gain from the pseudo-labelled rows is proven, "),
    ],
)
def test_what_the_rows_give_is_told_apart_from_what_is_drawn(right, arm, said):
    shares = {"real": right[0], "classical": right[0], "pool": right[1], "synthetic+pool": right[1]}
    y, cells = np.arange(600) % 2, []
    for i, (name, share) in enumerate(shares.items()):
        for seed in range(3):
            hit = np.random.default_rng([seed, i]).permutation(600) < share * 600
            guess = np.where(hit, y, 1 - y)
            cells.append(Predictions(arm=name, fold=0, seed=seed, ids=np.arange(600), y=y, p=np.eye(2)[guess]))
    found = verdict(cells, mode="given", classes=("a", "b"), primary="synthetic+pool")
    assert not found.use_synthetic and found.against == "the pseudo-labelled rows without synthetic ones"
    told = with_twin(found, "pool", single=False, imagined=True)
    assert told.arm == arm and said in told.sentence and told.sentence.startswith(found.sentence)


def test_seeds_learn_from_all_of_them(digits, run, tmp_path):
    more = augmind.expand(digits[0], tmp_path / "r", unlabelled=str(digits[1]), **SMALL | {"seeds": 2})
    one, two = ({g["name"]: g["kept"] for g in r.record["generators"]}["pseudo"] for r in (run, more))
    assert one == two


def test_they_are_handed_over_as_rows_with_a_source_and_no_mark_of_synthetic_ones(digits, run, tmp_path):
    out = run.export(tmp_path / "out", "parquet")
    tables = [pyarrow.parquet.read_table(f).to_pylist() for f in out.rglob("*.parquet")]
    rows = [row for table in tables for row in table if row["generator"] == "pseudo"]
    assert len(rows) > 50 and not any(row["synthetic"] for row in rows) and all(row["source"].startswith("deep/") for row in rows)
    given = run.export(tmp_path / "given", "parquet", originals=True)
    files = [row for f in given.rglob("*.parquet") for row in pyarrow.parquet.read_table(f).to_pylist() if row["generator"] == "pseudo"]
    assert len(files) == len(rows) and all(row["image"]["bytes"] == (digits[1] / row["source"]).read_bytes() for row in files)


def test_arrays_have_no_files_to_be_handed_over(digits, tmp_path):
    job = Job(augmind.expand(digits[0], tmp_path / "r", preset="quick", generators=("vae",), dry_run=True).folder)
    with pytest.raises(UsageError, match="these are arrays or parts of files"), given(job):
        pass


def test_no_more_rows_can_be_drawn_of_what_was_there(run, tmp_path):
    assert not any("augmind sample" in line for line in run.record["next"])
    with pytest.raises(UsageError, match="'pseudo' draws no rows"):
        run.sample("0", 3, tmp_path / "more", generator="pseudo")
    with pytest.raises(UsageError, match="no generator that draws rows"):
        run.sample("0", 3, tmp_path / "more")
    assert not (tmp_path / "more").exists()


def test_the_same_command_goes_on_and_other_rows_are_refused(digits, run):
    again = augmind.expand(digits[0], run.folder, unlabelled=str(digits[1]), **SMALL)
    assert again.record["verdict"] == run.record["verdict"]
    with pytest.raises((UsageError, DataError)):
        augmind.expand(digits[0], run.folder, **SMALL)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"generators": ("pseudo",)}, "labels the rows of --unlabelled, and there are none"),
        ({"generators": ("vae",), "unlabelled": "POOL"}, "nothing here uses"),
        ({"unlabelled": "POOL/nowhere"}, "no file or folder '.*nowhere', which --unlabelled names"),
    ],
)
def test_wishes_that_do_not_fit_are_told(digits, tmp_path, options, said):
    asked = {k: v.replace("POOL", str(digits[1])) if isinstance(v, str) else v for k, v in options.items()}
    with pytest.raises((UsageError, DataError), match=said):
        augmind.expand(digits[0], tmp_path / "r", until="plan", **SMALL | asked)
    with pytest.raises(UsageError, match="lies inside the dataset"):
        augmind.expand(digits[0], digits[1] / "run", unlabelled=str(digits[1]), **SMALL)


def test_an_archive_is_as_good_as_a_folder(digits, tmp_path):
    with zipfile.ZipFile(tmp_path / "loose.zip", "w") as z:
        for f in sorted(digits[1].rglob("*.png")):
            z.write(f, f.relative_to(digits[1]))
    one, two = pool(tmp_path / "loose.zip", load(digits[0])), pool(digits[1], load(digits[0]))
    assert one.sources == two.sources and torch.equal(one.x, two.x)
