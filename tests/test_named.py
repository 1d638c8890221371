"""Class names as rows, and the linear baseline of words: what is said of a class, where it stands in a training, what is fitted."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

import augmind
from augmind.cli.options import meanings
from augmind.config import config
from augmind.core.errors import UsageError
from augmind.core.feed import Feed
from augmind.core.registry import find, make
from augmind.core.run import Run
from augmind.core.types import Choice, Classical, Policy, Samples, Spec
from augmind.modalities.text.backbones.hashed import grams
from augmind.modalities.text.codec import TextCodec
from augmind.modalities.text.learners.textcnn import Textcnn, buckets
from augmind.modalities.text.learners.tfidf import Tfidf, counted, fitted
from augmind.record import spelled
from rows import sentences

NONE = make("transforms", Choice(name="none"))


def fed(data, **changes) -> Feed:
    return replace(Feed(real=data.train, spec=data.spec, codec=data.codec, transform=NONE, mixing=NONE), **changes)


def named(data, *texts: str) -> Samples:
    x = data.codec.encode(texts)
    key = -1 - torch.arange(len(texts))
    return Samples.real(x, torch.arange(len(texts)), key, unit=key, z=data.codec.embed(x))


# What is said of a class


def test_a_class_is_said_in_sentences_of_its_own_script():
    codec = TextCodec(Spec(kind="tokens", shape=(64,), classes=()))
    rows = codec.named(["sad_tweet", "差评", "хорошо"])
    assert [k for _, k in rows] == [0, 0, 0, 1, 1, 1, 2]
    assert rows[1] == ("This is sad tweet.", 0) and rows[4] == ("这是差评。", 1) and rows[6] == ("хорошо", 2)


@pytest.mark.parametrize("names", [["0", "1"], ["good", "!"], ["very good", "very_good"]])
def test_names_that_say_nothing_make_no_rows(names):
    assert TextCodec(Spec(kind="tokens", shape=(64,), classes=())).named(names) == []


def test_only_sentences_that_fit_into_a_row_are_said():
    codec = TextCodec(Spec(kind="tokens", shape=(32,), classes=()))
    assert codec.named(["liked it by somebody", "b{0}d"]) == [
        ("liked it by somebody", 0), ("This is liked it by somebody.", 0), ("b{0}d", 1), ("This is b{0}d.", 1), ("A text of this kind: b{0}d.", 1)
    ]  # fmt: skip
    assert codec.named(["a review by somebody who liked it", "a review by somebody who hated it"]) == []


# Where these rows stand in a training


def test_named_rows_weigh_as_much_as_real_ones_and_come_in_batches():
    data = sentences(12)
    feed = fed(data, named=named(data, "river", "road", "kitchen"), views=data.train + data.train, synthetic=data.val, share=0.5)
    rows, w = feed.table()
    assert len(rows) == 12 * 3 + 3 + 12 and (rows.key < 0).sum() == 3
    real, own, drawn = w[:36].sum(), w[36:39], w[39:].sum()
    assert torch.allclose(own, (real / 12).expand(3)) and drawn == pytest.approx(float(real + own.sum()))
    seen = torch.cat([feed.batch(t, 10, 0).x[:5] for t in range(3)])
    assert {bytes(r) for r in seen.numpy()} == {bytes(r) for r in torch.cat([data.train.x, feed.named.x]).numpy()}


def test_oversampling_reaches_named_rows_in_tables():
    data = sentences(30)
    few = data.train.take([i for i in range(30) if data.train.y[i] != 1 or i < 7])
    _, w = fed(data, named=named(data, "river", "road", "kitchen"), balance="oversample").table()
    assert torch.allclose(w, torch.ones(33))
    _, w = replace(fed(data, named=named(data, "river", "road", "kitchen"), balance="oversample"), real=few).table()
    assert w[-2] == pytest.approx(float(w[:-3][few.y == 1][0])) and w[-2] > 2 * w[-1]


def test_a_policy_keeps_what_it_does_with_names_and_old_ones_had_none():
    policy = Policy(learner=Choice(name="probe"), classical=Classical(name="names", names="beside"))
    assert Policy.from_json(policy.to_json()) == policy
    record = policy.to_json()
    del record["classical"]["names"]
    assert Policy.from_json(record).classical.names == "none"


def test_a_run_uses_what_the_classes_are_said_to_mean(tmp_path):
    lines = ["text,label,split"]
    data = sentences(72)
    for part, split in ((data.train, "train"), (data.val, "test")):
        texts = data.codec.decode(part.x)
        lines += [f'"{t}",{k},{split}' for t, k in zip(texts, part.y.tolist(), strict=True) if split == "train" or k < 2]
    kept = [line for line in lines if ",2,train" not in line]
    (tmp_path / "d.csv").write_text("\n".join(kept))
    told = {"0": "river boat water fish swims", "1": "engine wheel road brake drives"}
    options = {"text": "text", "label": "label", "split": "split", "preset": "quick", "seeds": 1, "jobs": 0, "generators": "feature"}
    options |= {"learner": "probe,tfidf"}
    run = augmind.expand(tmp_path / "d.csv", tmp_path / "r", **options, describe=told)
    (scores,) = (c["scores"] for c in run.record["choices"] if c["learner"] == "probe")
    assert {"none", "class names", "eda", "class names+eda", "typos", "mixup", "class names alone"} == set(scores)
    assert scores["class names alone"] > 0.9
    chosen = [c["learner"] for c in run.record["choices"] if c["classical"] == "class names alone"]
    assert [f["about"]["learners"] for f in run.record["findings"] if f["code"] == "AM607"] == ([chosen] if chosen else [])
    with pytest.raises(UsageError, match="unknown class in --describe 'x'"):
        augmind.expand(tmp_path / "d.csv", tmp_path / "s", **options, describe={"x": "y"})
    with pytest.raises(UsageError, match="--describe leaves classes without words"):
        augmind.expand(tmp_path / "d.csv", tmp_path / "u", **options, describe={"0": "good"})
    silent = augmind.expand(tmp_path / "d.csv", tmp_path / "t", **options, dry_run=True)
    arms = {space: augmind.api.Finished(silent.folder).intact().classical(space) for space in ("rows", "features")}
    assert not [c for own in arms.values() for c in own if c.names != "none"]
    assert [[c.mixing.name for c in own if c.mixing.name != "none"] for own in arms.values()] == [["splice"], ["mixup"]]


def test_class_names_with_an_equals_sign_are_described_in_quotes():
    pairs = ['a=b"c', "plain", '"x"']
    told = [f"{json.dumps(name)}=words of = {i}" for i, name in enumerate(pairs)]
    assert meanings(told) == {name: f"words of = {i}" for i, name in enumerate(pairs)}
    assert meanings(["0=a bad review"]) == {"0": "a bad review"} and meanings(None) is None
    made = config(data="d", describe={"a=b": "one thing", "c": "another = thing"})
    words = shlex.split(spelled(made, "d", Path("r")))
    assert meanings(words[words.index("--describe") + 1 :][:2]) == made.describe
    assert "--no-explain" in shlex.split(spelled(config(data="d", explain=False), "d", Path("r")))
    for wrong in ("a", "=b", "a=", "a= ", '"a=b"='):
        with pytest.raises(UsageError, match="is not CLASS=WORDS"):
            meanings([wrong])


# The network of words


@pytest.mark.parametrize("cell", ["cnn", "lstm"])
def test_the_network_of_words_learns_and_reads_each_row_alone(tmp_path, cell):
    data = sentences(60)
    made = Textcnn(steps=60 if cell == "cnn" else 200, width=32, batch=16, cell=cell).fit(fed(data), Run(folder=tmp_path))
    assert (made.predict(data.val).argmax(1) == data.val.y).float().mean() > 0.9
    x = data.codec.encode(["The river.", "", "word " * 12, "味道很好"])
    together = made.net_(x)
    alone = torch.cat([made.net_(row[None]) for row in x])
    assert torch.allclose(together, alone, atol=1e-5) and torch.isfinite(together).all()


def test_words_share_the_vectors_of_their_pieces():
    shared = set(buckets("swimming")) & set(buckets("swims"))
    assert len(shared) >= 3 and not set(buckets("swims")) & set(buckets("road")) and len(buckets("")) == 1


# The linear baseline


def test_weighing_is_that_of_scikit_learn_up_to_the_hash(tmp_path):
    data = sentences(12)
    made = Tfidf().fit(fed(data), Run(folder=tmp_path))
    texts = data.codec.decode(data.train.x)
    words = TfidfVectorizer(analyzer=grams, sublinear_tf=True)
    theirs = words.fit_transform(texts)
    ours = made._weighed(counted(data.codec, data.train.x))
    assert np.allclose((ours @ ours.T).toarray(), (theirs @ theirs.T).toarray(), atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_lies_at_the_minimum_of_its_objective(classes):
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(30, 5)), np.arange(30) % classes, rng.uniform(0.5, 2, 30)
    weight, bias = (torch.from_numpy(v).requires_grad_() for v in fitted(csr_matrix(x), y, w / w.mean(), 0.1, classes))
    logits = torch.from_numpy(x) @ weight.T + bias
    loss = (torch.from_numpy(w / w.mean()) * torch.nn.functional.cross_entropy(logits, torch.from_numpy(y), reduction="none")).mean()
    (loss + 0.05 * weight.square().sum()).backward()
    assert weight.grad.abs().max() < 1e-4 and bias.grad.abs().max() < 1e-4


def test_a_class_without_rows_is_never_said_and_one_class_is_certain(tmp_path):
    data = sentences(24)
    two = replace(data, train=data.train.take(data.train.y != 1))
    p = Tfidf().fit(fed(two), Run(folder=tmp_path)).predict(data.val)
    assert p[:, 1].max() < 1e-6 and (p.argmax(1) == data.val.y)[data.val.y != 1].float().mean() > 0.9
    one = replace(data, train=data.train.take(data.train.y == 2))
    assert torch.allclose(Tfidf().fit(fed(one), Run(folder=tmp_path)).predict(data.val)[:, 2], torch.ones(24))


def test_transforms_reach_the_baseline_and_consistency_does_not(tmp_path):
    data = sentences(24)
    plain, changed = (
        Tfidf(penalty=0.01).fit(fed(data, transform=make("transforms", Choice(name=name))), Run(folder=tmp_path)) for name in ("none", "eda")
    )
    assert len(changed.columns_) > len(plain.columns_)
    consistency = make("transfers", Choice(name="consistency"))
    assert not consistency.suits(Tfidf) and consistency.suits(find("learners", "probe"))
    with pytest.raises(UsageError, match="does not compare rows"):
        consistency.train(Tfidf(), fed(data), Run(folder=tmp_path))


def test_logit_adjustment_takes_the_prior_out_of_the_bias(tmp_path):
    data = sentences(48)
    few = replace(data, train=data.train.take([i for i in range(48) if data.train.y[i] != 1 or i < 12]))
    plain, adjusted = (Tfidf(penalty=0.01).fit(fed(few, balance=b), Run(folder=tmp_path)) for b in ("none", "logit_adjustment"))
    prior = (few.train.counts(3).float() / len(few.train)).log().numpy()
    assert np.allclose(plain.bias_ - adjusted.bias_, prior) and np.allclose(plain.weight_, adjusted.weight_)


@pytest.mark.slow
def test_counted_features_are_no_knowledge_from_elsewhere(tmp_path):
    data = sentences(72)
    rows = [f'"{t}",{data.spec.classes[k]}' for t, k in zip(data.codec.decode(data.train.x), data.train.y.tolist(), strict=True)]
    (tmp_path / "d.csv").write_text("\n".join(["text,label", *rows]))
    options = {"text": "text", "label": "label", "preset": "quick", "seeds": 1, "jobs": 1, "test": 0.3, "learner": "probe,tfidf"}
    run = augmind.expand(tmp_path / "d.csv", tmp_path / "r", **options)
    assert {tuple(a["knowledge"]) for a in run.record["arms"]} == {("rows",)}
    assert [g["knowledge"] for g in run.record["generators"]] == ["rows"]
    text = run.report.read_text()
    assert "that can be shown" in text and "no parts with a fixed place" in text
