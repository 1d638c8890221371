"""What a split promises: nothing that belongs together is parted, classes keep their shares, the test rows are sealed."""

import dataclasses
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from augmind.core.errors import DataError, UsageError
from augmind.core.folds import assign, inner_folds
from augmind.core.seeds import stream
from augmind.data.clean import clean
from augmind.data.split import Split, Table, split, units
from augmind.testing import toy_samples
from rows import COPIES, dataset, noisy, patterns


def toy(n=60, classes=3, **columns):
    data = toy_samples(n, (1, 8, 8), classes)
    return dataset(data.x, data.y, **columns)


def with_kin(d, kin):
    return d.with_rows([dataclasses.replace(r, kin=kin.get(r.id, -1)) for r in d.rows])


def codes(s):
    return [f.code for f in s.findings]


def sides(s):
    return [(set(f.train), set(f.test)) for f in s.folds]


def test_repeated_folds_test_every_row_once_in_each_repetition_and_differ():
    data = toy(24)
    once, thrice = split(data, folds=3, seed=1), split(data, folds=3, repeats=3, seed=1)
    assert len(thrice.folds) == 9 and thrice.folds[:3] == once.folds
    rounds = [thrice.folds[i : i + 3] for i in (0, 3, 6)]
    assert all(sorted(i for f in r for i in f.test) == sorted(i for f in once.folds for i in f.test) for r in rounds)
    assert len({frozenset(frozenset(f.test) for f in r) for r in rounds}) == 3


def test_planted_copies_never_stand_on_both_sides_in_fifty_seeds():
    x = patterns(40)
    near = torch.cat([f(x[:10]) for f in COPIES.values()])
    y = [i % 2 for i in range(40)] + [i % 2 for i in range(10)] * len(COPIES) + [i % 2 for i in range(10)]
    d = clean(dataset(torch.cat([x, near, x[:10]]), y))
    original = {i: i for i in range(40)} | {40 + i: i % 10 for i in range(len(near))}
    assert len(d.samples) == 40 + len(near)
    for seed in range(50):
        for test in (None, 0.3) if seed < 10 else (None,):
            for fold in split(d, folds=5, test=test, seed=seed).folds:
                assert not {original[i] for i in fold.train} & {original[i] for i in fold.test}


def test_groups_never_stand_on_both_sides_even_through_kin():
    groups = [i % 12 for i in range(96)]
    d = with_kin(toy(96, groups=groups), {0: 0, 13: 0, 26: 1, 39: 1})
    for seed in range(50):
        for fold in split(d, folds=4, seed=seed, group_aware=True).folds:
            joined = [{0: 1, 2: 3}.get(groups[i], groups[i]) for i in range(96)]
            assert not {joined[i] for i in fold.train} & {joined[i] for i in fold.test}


def test_units_join_kin_and_groups_through_each_other():
    assert units([-1, 5, 5, -1, 9, 9]).tolist() == [0, 1, 1, 3, 4, 4]
    assert units([-1, 5, 5, -1, 9, 9], [0, 1, 2, 2, 0, -1]).tolist() == [0, 1, 1, 1, 0, 0]


def test_without_group_awareness_groups_may_be_parted():
    d = toy(96, groups=[i // 48 for i in range(96)])
    assert len(split(d, folds=5).folds) == 5


@pytest.mark.parametrize("counts", [(40, 40, 40), (101, 33, 7), (50, 3, 9), (1000, 5, 200)])
@pytest.mark.parametrize("shares", [[0.2] * 5, [1 / 3] * 3, [0.75, 0.25], [0.9, 0.1]])
def test_every_part_has_its_share_of_every_class_within_one_row(counts, shares):
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    for seed in range(3):
        part = assign(y, torch.arange(len(y)), shares, seed)
        for k, n in enumerate(counts):
            got = torch.bincount(part[y == k], minlength=len(shares))
            assert all(abs(int(g) - share * n) < 1 for g, share in zip(got, shares, strict=True))
        assert all(abs(int(g) - share * len(y)) < len(counts) for g, share in zip(torch.bincount(part), shares, strict=True))


def test_units_of_many_sizes_are_spread_as_evenly_as_scikit_learn_does():
    ours, theirs = [], []
    for seed in range(10):
        rng = stream("units", seed)
        unit = torch.randint(0, 60, (300,), generator=rng)
        y = (unit % 3 + (torch.rand(300, generator=rng) < 0.2).long()) % 3
        reference = torch.zeros(300, dtype=torch.long)
        for k, (_, rows) in enumerate(StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(y, y, unit)):
            reference[torch.from_numpy(rows)] = k
        for part, out in ((assign(y, unit, [0.2] * 5, seed), ours), (reference, theirs)):
            assert all(len(part[unit == u].unique()) == 1 for u in unit.unique())
            table = torch.stack([torch.bincount(y[part == f], minlength=3) for f in range(5)]).float()
            out.append(float(table.std(0).mean()))
    assert sum(ours) <= sum(theirs) * 1.1


def test_small_datasets_are_cross_validated_and_every_row_is_tested_once():
    s = split(toy(60), folds=5)
    assert s.mode == "cv" and codes(s) == ["AM125"]
    assert sorted(i for f in s.folds for i in f.test) == list(range(60))
    assert all(sorted(f.train + f.test) == list(range(60)) for f in s.folds)


def test_large_datasets_and_wishes_get_one_held_out_part():
    big = dataset(torch.arange(2000).reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4).to(torch.uint8), [i % 4 for i in range(2000)])
    s = split(big, folds=5)
    assert s.mode == "holdout" and len(s.folds) == 1 and len(s.folds[0].test) == 500
    s = split(toy(60), folds=5, test=0.2)
    assert s.mode == "holdout" and len(s.folds[0].test) == 12


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    d = toy(60)
    assert split(d, folds=5, seed=3) == split(d, folds=5, seed=3)
    assert split(d, folds=5, seed=3).folds != split(d, folds=5, seed=4).folds


def test_a_given_test_split_is_respected():
    splits = ["test" if i >= 48 else "val" if i >= 36 else "train" if i >= 6 else "" for i in range(60)]
    d = toy(60, splits=splits)
    s = split(d, folds=5)
    assert s.mode == "given" and s.findings == () and sides(s) == [(set(range(48)), set(range(48, 60)))]
    other = split(d, folds=5, test=0.25)
    assert other.mode == "holdout" and codes(other) == ["AM124"]


def test_training_rows_nearly_in_the_given_test_split_are_left_out_and_named():
    x = patterns(40)
    x = torch.cat([x, noisy(x[3:5])])
    d = clean(dataset(x, [i % 2 for i in range(40)] + [1, 0], splits=["train"] * 40 + ["test"] * 2))
    s = split(d, folds=5)
    assert codes(s) == ["AM121"] and s.findings[0].about["rows"] == [3, 4]
    assert not set(s.folds[0].train) & {3, 4} and s.folds[0].test == (40, 41)


def test_groups_across_a_given_split_are_reported_and_left_out_on_request():
    d = toy(60, splits=["test" if i >= 50 else "train" for i in range(60)], groups=[i % 30 for i in range(60)])
    shared = {i for i in range(50) if i % 30 >= 20}
    s = split(d, folds=5)
    assert codes(s) == ["AM122"] and set(s.folds[0].train) == set(range(50))
    s = split(d, folds=5, group_aware=True)
    assert codes(s) == ["AM122"] and set(s.folds[0].train) == set(range(50)) - shared


def test_a_class_missing_from_the_given_test_split_is_said():
    d = toy(60, splits=["test" if i >= 40 and i % 3 else "train" for i in range(60)])
    s = split(d, folds=5)
    assert codes(s) == ["AM123"] and s.findings[0].about == {"classes": ["class 0"]}


def test_the_seal_changes_with_any_test_row_and_only_then():
    d = toy(60, splits=["test" if i >= 48 else "train" for i in range(60)])
    sealed = split(d, folds=5).sealed

    def changed(id, **fields):
        return split(d.with_rows([dataclasses.replace(r, **fields) if r.id == id else r for r in d.rows]), folds=5).sealed

    assert changed(50, digest="other") != sealed != changed(50, label="class 9")
    assert changed(50, status="corrupt") != sealed != changed(10, split="test")
    assert changed(10, digest="other") == sealed == changed(50, about={"width": 1})


def test_a_split_survives_json():
    s = split(toy(60), folds=5, seed=1)
    assert Split.from_json(json.loads(json.dumps(s.to_json()))) == s


@pytest.mark.parametrize("few", [1, 2])
def test_a_class_too_small_to_be_tested_is_refused_by_name_and_count(few):
    d = dataset(patterns(20 + few), [0] * 10 + [1] * 10 + [2] * few)
    with pytest.raises(DataError, match=f"class 'class 2' has {few} row") as error:
        split(d, folds=5)
    assert "--drop-rare" in error.value.help


def test_a_small_class_lowers_the_number_of_folds():
    d = dataset(patterns(23), [0] * 10 + [1] * 10 + [2] * 3)
    s = split(d, folds=5)
    assert len(s.folds) == 3 and codes(s) == ["AM120", "AM125"]
    assert all(sum(i >= 20 for i in f.train) == 2 for f in s.folds)


def test_few_groups_lower_the_number_of_folds():
    s = split(toy(60, groups=[i % 3 for i in range(60)], classes=4), folds=5, group_aware=True)
    assert len(s.folds) == 3 and "AM120" in codes(s)


@pytest.mark.parametrize("wish", [{}, {"test": 0.4}])
def test_two_groups_leave_none_to_choose_on_and_three_do(wish):
    """What is learnt from is parted once more, for choices: that must not fail after the plan was shown."""
    with pytest.raises(DataError, match=r"all 60 rows are of two groups .* three are needed") as error:
        split(toy(60, groups=[i // 3 % 2 for i in range(60)]), folds=5, group_aware=True, **wish)
    assert "leave --group out" in error.value.help
    d = toy(60, groups=[i // 3 % 3 for i in range(60)])
    group = dict(zip(d.samples.key.tolist(), d.samples.group.tolist(), strict=True))
    for fold in split(d, folds=5, group_aware=True, **wish).folds:
        kept = d.samples.take([i for i, k in enumerate(d.samples.key.tolist()) if k in fold.train])
        assert len({group[i] for i in fold.train}) == 2 and len(inner_folds(kept.y, kept.group, 3, 0)) == 2


def test_one_group_beside_a_given_test_split_is_refused():
    d = toy(60, splits=["test" if i >= 40 else "train" for i in range(60)], groups=[int(i >= 40) for i in range(60)])
    with pytest.raises(DataError, match="beside the given test split are of one"):
        split(d, folds=5, group_aware=True)
    assert split(d, folds=5).mode == "given"


def test_impossible_wishes_are_refused():
    d = toy(60)
    with pytest.raises(DataError, match="no groups"):
        split(d, folds=5, group_aware=True)
    with pytest.raises(DataError, match="one group, 'g7'"):
        split(toy(60, groups=[7] * 60), folds=5, group_aware=True)
    with pytest.raises(DataError, match=r"all rows of class 'class 0'.* are of one group"):
        split(toy(60, groups=[0 if i % 3 == 0 else 1 + i % 4 for i in range(60)]), folds=5, group_aware=True)
    with pytest.raises(DataError, match="class 'class 1' has 0 rows to learn from"):
        split(toy(60, splits=["test" if i % 3 == 1 else "train" for i in range(60)]), folds=5)
    for wish in ({"test": 0.0}, {"test": 1.0}, {"test": 25.0}):
        with pytest.raises(UsageError, match="fraction"):
            split(d, folds=5, **wish)
    with pytest.raises(UsageError, match="1 folds"):
        split(d, folds=1)


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 3), min_size=8, max_size=60),
    units=st.integers(2, 30),
    folds=st.integers(2, 6),
    test=st.none() | st.floats(0.05, 0.6),
    seed=st.integers(0, 2**40),
)
def test_a_split_is_sound_or_refused(labels, units, folds, test, seed):
    names = sorted(set(labels))
    y = [names.index(k) for k in labels]
    kin = {i: u for i, u in enumerate(torch.randint(0, units, (len(y),), generator=stream("kin", seed)).tolist()) if u < units // 2}
    d = with_kin(dataset(torch.zeros(len(y), 1, 2, 2, dtype=torch.uint8), y), kin)
    try:
        s = split(d, folds=folds, test=test, seed=seed)
    except DataError:
        small = min(y.count(k) for k in range(len(names))) < 8
        assert small or kin
        return
    assert len(s.folds) <= folds
    for fold in s.folds:
        assert fold.test and sorted(fold.train + fold.test) == list(range(len(y)))
        assert not {kin[i] for i in fold.train if i in kin} & {kin[i] for i in fold.test if i in kin}
        assert all(sum(y[i] == k for i in fold.train) >= 2 for k in range(len(names)))
        assert len({kin.get(i, -1 - i) for i in fold.train}) >= 2
    if s.mode == "cv":
        assert sorted(i for f in s.folds for i in f.test) == list(range(len(y)))


@settings(max_examples=60, deadline=None)
@given(labels=st.lists(st.integers(0, 4), min_size=2, max_size=40), units=st.integers(2, 40), k=st.integers(2, 6), seed=st.integers(0, 9))
def test_inner_folds_part_rows_but_no_unit_and_survive_tiny_classes(labels, units, k, seed):
    y, unit = torch.tensor(labels), torch.arange(len(labels)) % units
    folds = inner_folds(y, unit, k, seed)
    assert 2 <= len(folds) <= k
    assert sorted(i for _, val in folds for i in val.tolist()) == list(range(len(labels)))
    for train, val in folds:
        assert sorted(train.tolist() + val.tolist()) == list(range(len(labels)))
        assert not set(unit[train].tolist()) & set(unit[val].tolist())
    if units >= len(labels):
        doubles = {c for c in labels if labels.count(c) > 1}
        assert all(doubles <= set(y[train].tolist()) for train, _ in folds)


def test_units_of_several_classes_may_take_a_class_into_one_fold():
    """Class 0 stands in two units, and yet both go to one side: the other training part lacks it, and nothing is parted or lost."""
    y, unit = torch.tensor([1, 2, 0, 1, 0, 1, 1, 1]), torch.tensor([1, 0, 3, 3, 0, 1, 2, 1])
    folds = inner_folds(y, unit, 2, 1)
    assert [0 in y[train] for train, _ in folds] == [True, False]
    assert sorted(torch.cat([val for _, val in folds]).tolist()) == list(range(8))


def test_inner_folds_of_one_unit_are_refused():
    with pytest.raises(DataError, match="belong together"):
        inner_folds(torch.tensor([0, 1, 0]), torch.zeros(3, dtype=torch.long), 3, 0)


def test_rows_that_are_nearly_all_alike_are_named_as_the_reason():
    alike = Table(with_kin(toy(30), {i: i // 3 % 3 for i in range(30)}), False).impossible("2 folds")
    assert "30 of 30 rows are near duplicates of others, and such rows are never parted" in str(alike)
    assert "never parted" not in str(Table(with_kin(toy(30), {0: 0, 1: 0}), False).impossible("2 folds"))
