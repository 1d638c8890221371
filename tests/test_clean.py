"""Copies, contradictions and near copies: what is set aside, what is kept together, what is left alone."""

import dataclasses
import math
from collections import Counter

import pytest
import torch
from torch.nn.functional import interpolate

from augmind.core.errors import DataError
from augmind.core.seeds import stream
from augmind.core.types import Spec
from augmind.data.clean import clean, drop_rare
from augmind.data.neighbours import components, neighbours, robust_z
from augmind.testing import ToyCodec, toy_samples
from rows import COPIES, dataset, noisy, patterns


def codes(d):
    return [f.code for f in d.findings]


def test_later_exact_copies_are_set_aside_with_a_reason():
    x = patterns(6)
    x = torch.cat([x, x[1:3], x[1:2]])
    d = clean(dataset(x, [0, 1, 0, 1, 0, 1, 1, 0, 1]))
    assert d.samples.key.tolist() == list(range(6))
    assert [(r.id, r.status, r.reason) for r in d.bad()] == [
        (6, "duplicate", "same as class 1/0001.png"),
        (7, "duplicate", "same as class 0/0002.png"),
        (8, "duplicate", "same as class 1/0001.png"),
    ]
    assert d.row(1).kin == d.row(6).kin == d.row(8).kin >= 0 and codes(d) == ["AM110"]


def test_rows_that_contradict_each_other_are_all_set_aside():
    x = patterns(4)
    d = clean(dataset(torch.cat([x, x[:1], x[:1]]), [0, 1, 0, 1, 1, 0]))
    assert [r.id for r in d.bad()] == [0, 4, 5] and codes(d) == ["AM111"]
    assert d.row(4).reason == "same content as class 0/0000.png, but labelled 'class 1' here and 'class 0' there"


@pytest.mark.parametrize("label", [0, 1])
def test_a_training_row_that_is_in_the_given_test_split_is_set_aside_and_the_test_row_stays(label):
    x = patterns(4)
    d = clean(dataset(torch.cat([x, x[:1]]), [0, 1, 0, 1, label], splits=["train"] * 4 + ["test"]))
    assert d.samples.key.tolist() == [1, 2, 3, 4] and codes(d) == ["AM112"]
    assert "test row class" in d.row(0).reason and ("labelled" in d.row(0).reason) == (label == 1)


def test_nothing_left_is_an_error():
    x = patterns(1)
    with pytest.raises(DataError, match="no row is left"):
        clean(dataset(torch.cat([x, x]), [0, 1]))


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("shape", [(1, 24, 24), (3, 40, 32)])
def test_near_copies_stay_but_share_a_kin(name, shape):
    x = patterns(60, shape)
    d = clean(dataset(torch.cat([x, COPIES[name](x[:20])]), list(range(2)) * 40))
    assert len(d.samples) == 80
    assert all(d.row(i).kin == d.row(60 + i).kin >= 0 for i in range(20))
    assert {d.row(i).kin for i in range(20, 60)} == {-1}
    assert len({d.row(i).kin for i in range(20)}) == 20


def test_several_near_copies_of_one_row_form_one_cluster():
    x = patterns(60)
    d = clean(dataset(torch.cat([x, *(f(x[:1]) for f in COPIES.values())]), [0, 1] * 33))
    assert {d.row(i).kin for i in (0, *range(60, 66))} == {0} and len({r.kin for r in d.rows}) == 2


def test_rows_of_one_class_that_merely_look_alike_do_not_melt_together():
    data = toy_samples(300, (1, 24, 24), classes=3)
    d = clean(dataset(data.x, data.y))
    assert sum(r.kin >= 0 for r in d.rows) <= 6


def test_real_digits_copies_are_found_and_look_alikes_are_not():
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = torch.from_numpy(digits.images[:600] * 255 / 16)[:, None]
    x = interpolate(x, size=(20, 20), mode="bicubic").clamp(0, 255).to(torch.uint8)
    x = x[[i for i, pair in enumerate(components(600, ((a, b) for a, b, _ in all_pairs(x)))[0]) if pair == i]]
    n = len(x)
    rows = [torch.arange(k, n, 20) for k in range(len(COPIES))]
    both = torch.cat([x, *(copy(x[r]) for r, copy in zip(rows, COPIES.values(), strict=True))])
    pairs = {(a, b) for a, b, _ in all_pairs(both)}
    found = [(int(i), n + j) in pairs for j, i in enumerate(torch.cat(rows))]
    false = {i for a, b in pairs if b < n for i in (a, b)}
    assert n > 500 and sum(found) >= 0.95 * len(found) and len(false) <= 0.02 * n


def all_pairs(x):
    from augmind.data.neighbours import GRIDS

    spec = Spec(kind="continuous", shape=tuple(x.shape[1:]), classes=("a",))
    return neighbours(x, spec, ToyCodec(spec)).pairs(GRIDS)


def test_clusters_are_capped_and_it_is_said():
    x = patterns(31)
    bit = torch.randint(0, 2, (60, 1, 24, 24), generator=stream("bits"), dtype=torch.uint8)
    d = clean(dataset(torch.cat([x, x[:1].clamp(max=254) + bit]), [i % 2 for i in range(91)]))
    assert max(Counter(r.kin for r in d.rows if r.kin >= 0).values()) == 20 and codes(d) == ["AM113", "AM114"]


def test_cleaning_twice_changes_no_row():
    x = patterns(30)
    once = clean(dataset(torch.cat([x, noisy(x[:5]), x[:2]]), [0, 1] * 18 + [0]))
    again = clean(once)
    assert again.rows == once.rows and torch.equal(again.samples.key, once.samples.key)


def test_rows_without_content_are_not_compared():
    x = torch.cat([patterns(10), *(torch.full((1, 1, 24, 24), v, dtype=torch.uint8) for v in (10, 12, 200))])
    d = clean(dataset(x, [0, 1] * 6 + [0]))
    assert [r.id for r in d.rows if r.about.get("flat")] == [10, 11, 12] and "AM116" in codes(d)
    assert all(r.kin == -1 for r in d.rows)


def test_a_row_unlike_all_others_is_flagged_and_kept():
    data = toy_samples(90, (1, 24, 24), classes=3)
    strange = torch.randint(0, 256, (1, 1, 24, 24), generator=stream("x"), dtype=torch.uint8)
    d = clean(dataset(torch.cat([data.x, strange]), torch.cat([data.y, torch.zeros(1, dtype=torch.long)])))
    assert [r.id for r in d.rows if "outlier" in r.about] == [90] and len(d.samples) == 91 and "AM115" in codes(d)


class Sentences(ToyCodec):
    def decode(self, x):
        words = ["the", "old", "new", "film", "story", "actor", "music", "ending", "plot", "is", "was", "never", "always"]
        words += ["quite", "very", "good", "bad", "dull", "bright", "slow", "quick", "warm", "cold", "loud", "late"]
        return [" ".join(words[int(t)] for t in row if t < len(words)) for row in x]


def test_sentences_with_one_word_changed_are_near_copies():
    x = torch.stack([torch.randperm(25, generator=stream("s", i))[:10] for i in range(60)])
    copies = x[:15].clone()
    copies[:, 4] = (copies[:, 4] + 1) % 25
    d = clean(dataset(torch.cat([x, copies]), [i % 2 for i in range(75)], codec=Sentences, kind="tokens", bounded=False))
    assert sum(d.row(i).kin == d.row(60 + i).kin >= 0 for i in range(15)) >= 14
    assert sum(d.row(i).kin >= 0 for i in range(15, 60)) <= 2


def test_feature_rows_without_a_grid_are_compared_whole():
    x = torch.randn(60, 40, generator=stream("v"))
    d = clean(dataset(torch.cat([x, x[:10] * 1.01 + 0.02]), [0, 1] * 35, bounded=False))
    assert all(d.row(i).kin == d.row(60 + i).kin >= 0 for i in range(10))
    assert all(d.row(i).kin == -1 for i in range(10, 60))


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_handful_of_rows_can_be_cleaned(n):
    assert len(clean(dataset(patterns(n), [0] * n)).samples) == n


def test_known_kin_is_kept():
    d = dataset(patterns(12), [0, 1] * 6)
    rows = [dataclasses.replace(r, kin=7) if r.id in (3, 9) else r for r in d.rows]
    d = clean(d.with_rows(rows))
    assert d.row(3).kin == d.row(9).kin == 0 and sum(r.kin >= 0 for r in d.rows) == 2


def test_rare_classes_are_dropped_and_labels_renumbered():
    d = drop_rare(dataset(patterns(9), [0, 0, 0, 1, 2, 2, 2, 2, 1]))
    assert d.spec.classes == ("class 0", "class 2") == d.codec.spec.classes
    assert d.samples.y.tolist() == [0, 0, 0, 1, 1, 1, 1] and [r.id for r in d.bad()] == [3, 8]
    assert drop_rare(d) is d
    with pytest.raises(DataError, match="under two classes"):
        drop_rare(dataset(patterns(5), [0, 0, 0, 0, 1]))


def test_components_and_robust_z_have_their_closed_forms():
    assert components(6, [(4, 5), (1, 2), (2, 5)]) == ([0, 1, 1, 3, 1, 1], 0)
    assert components(5, [(0, 1), (1, 2), (3, 4)], cap=2) == ([0, 0, 2, 3, 3], 1)
    z = robust_z(torch.tensor([1.0, 2.0, 3.0, 4.0, 100.0]))
    assert z[2] == 0 and math.isclose(float(z[4]), 97 / 1.4826, rel_tol=1e-5)
    assert torch.equal(robust_z(torch.ones(4)), torch.zeros(4))
