"""Texts of nearly the same words: all are found, none falsely, whatever their case and signs, and never on both sides of the seal."""

import numpy as np
import torch

from augmind.core.types import Spec
from augmind.data.clean import clean
from augmind.data.minhash import alike, folded, jaccard, shingles
from augmind.data.neighbours import components
from augmind.data.split import split
from augmind.modalities.text.codec import TextCodec
from rows import dataset


def written(n, seed=0, length=12, vocabulary=400):
    """Texts of random words."""
    rng = np.random.default_rng(seed)
    return [" ".join(f"w{k}" for k in rng.integers(0, vocabulary, length)) for _ in range(n)]


def texts(rows, labels, splits=None):
    codec = TextCodec(Spec(kind="tokens", shape=(128,), classes=()))
    return dataset(codec.encode(rows), labels, splits=splits, codec=TextCodec, kind="tokens", bounded=False)


def test_pairs_are_those_of_the_definition():
    rows, rng = written(120, length=16), np.random.default_rng(1)
    for i in range(120):
        own = rows[i].split()
        for k in rng.choice(len(own), 1 + i % 3, replace=False):
            own[k] = f"w{rng.integers(400)}"
        rows.append(" ".join(own))
    told = {(i, j): s for i, j, s in alike(rows)}
    every = {(i, j): jaccard(*(shingles(folded(rows[k])) for k in (i, j))) for i in range(240) for j in range(i + 1, 240)}
    true = {pair for pair, s in every.items() if s >= 0.6}
    assert len(true) > 60 and set(told) <= true and len(told) >= 0.98 * len(true)
    assert all(abs(s - every[pair]) < 1e-5 for pair, s in told.items())
    assert list(told.values()) == sorted(told.values(), reverse=True) and alike(rows) == alike(rows)
    assert jaccard(*(shingles(folded(t)) for t in ("a b c", "A b, d"))) == 3 / 7


def test_case_signs_and_spaces_make_no_difference():
    rows = [
        "It's a GOOD film, really!",
        "it's  a good film -- really",
        "味道很好，下次再来！",
        "味道很好 下次再来",
        "!!!",
        "???",
        "Straße",
        "STRASSE",
        "",
    ]
    assert alike(rows) == [(0, 1, 1.0), (2, 3, 1.0), (6, 7, 1.0)]
    assert alike([]) == [] == alike(["alone"])


def test_many_copies_with_one_word_changed_are_one_cluster():
    rows = written(200)
    copies = [rows[7].replace(rows[7].split()[k % 12], f"other{k}", 1) for k in range(40)]
    cluster, _ = components(240, [(i, j) for i, j, _ in alike(rows + copies)])
    assert {cluster[200 + k] for k in range(40)} == {7} == {i for i in range(200) if cluster[i] == 7}


def test_the_same_words_never_stand_on_both_sides_of_a_split():
    rows = written(60) + [t + "!" * k for k in range(1, 31) for t in ("so good", "SO good")]
    labels = [0] * 30 + [1] * 30 + [0, 1] * 30
    d = clean(texts(rows, labels))
    assert len({d.row(i).kin for i in range(60, 120)}) == 1 and d.row(60).kin >= 0 and "AM114" not in {f.code for f in d.findings}
    for fold in split(d, folds=3).folds:
        assert set(range(60, 120)) <= set(fold.train) or set(range(60, 120)) <= set(fold.test)


def test_a_training_row_that_is_a_test_row_in_other_case_is_not_learnt_from():
    rows = written(40)
    given = ["train"] * 30 + ["test"] * 10 + ["train"] * 2
    one = rows[35].split()
    found = split(clean(texts([*rows, rows[33].upper() + ".", " ".join([*one[:5], "new", *one[6:]])], [0, 1] * 21, given)), folds=3)
    assert found.mode == "given" and set(found.folds[0].train) == set(range(30))
    assert [f.about["rows"] for f in found.findings if f.code == "AM121"] == [[40, 41]]


def test_of_many_rows_copies_and_outliers_are_told_by_words_shared_and_a_sample(monkeypatch):
    rows = written(120, vocabulary=60)
    strange = " ".join(f"z{k}" for k in range(12))
    all_of_them = [*rows, *(t.title() for t in rows[:10]), strange]
    exact = clean(texts(all_of_them, [i % 2 for i in range(131)]))
    monkeypatch.setattr("augmind.data.neighbours.EXACT", 100)
    monkeypatch.setattr("augmind.data.neighbours.SAMPLE", 50)
    d = clean(texts(all_of_them, [i % 2 for i in range(131)]))
    for found in (exact, d):
        assert all(found.row(i).kin == found.row(120 + i).kin >= 0 for i in range(10)) and "outlier" in found.row(130).about
    assert sum(r.kin >= 0 for r in d.rows) == 20 and torch.equal(d.samples.x, exact.samples.x)
