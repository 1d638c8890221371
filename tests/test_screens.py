"""Screens against planted truth: copies, wrong labels, defects and repetitions among fresh real rows."""

import dataclasses

import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import pad

from augmind.core.registry import find, names
from augmind.core.run import Run
from augmind.core.types import Data, Samples, Spec, as_features
from augmind.data.neighbours import neighbours, rule_for
from augmind.nn.neighbours import standardise
from augmind.testing import ToyCodec, toy_data
from rows import patterns

DEFAULT = ("agreement", "fidelity", "novelty", "duplicates", "diversity")


def digits(per_class=20, seed=0, fresh=30):
    """`per_class` digits of each class and, as `val`, fresh ones in mixed order; features are the values themselves."""
    values, labels = (torch.tensor(a) for a in load_digits(return_X_y=True))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    values, labels = values[order].float(), labels[order]
    found = [torch.nonzero(labels == k)[:, 0] for k in range(10)]
    train = torch.cat([f[:per_class] for f in found])
    val = torch.cat([f[per_class : per_class + fresh] for f in found])
    val = val[torch.randperm(len(val), generator=torch.Generator().manual_seed(seed + 1))]
    spec = Spec(kind="continuous", shape=(1, 8, 8), classes=tuple("0123456789"))

    def rows(at):
        return Samples.real(as_bytes(values[at] * 255 / 16).reshape(-1, 1, 8, 8), labels[at], z=values[at])

    return Data(train=rows(train), val=rows(val), spec=spec, codec=ToyCodec(spec))


def as_bytes(x):
    return x.round().clamp(0, 255).to(torch.uint8)


def redrawn(data, x, y):
    """Synthetic rows with the features that the codec of `data` would give."""
    z = x.flatten(1).float() * 16 / 255 if data.spec.shape == (1, 8, 8) else data.codec.embed(x)
    return Samples.synthetic("planted", x, y, torch.arange(len(y)), z=z)


def passed(name, data, rows, tmp_path, kept=None):
    screen = find("screens", name)().fit(data, Run(folder=tmp_path))
    score = screen.score(rows, kept)
    assert ((score >= 0) & (score <= 1)).all() and 0 < screen.cut < 1
    return score >= screen.cut


def relabelled(rows, seed=0):
    """Every label replaced by a wrong one."""
    shift = torch.randint(1, 10, (len(rows),), generator=torch.Generator().manual_seed(seed))
    return dataclasses.replace(rows, y=(rows.y + shift) % 10)


def share(mask):
    return float(mask.float().mean())


@pytest.mark.parametrize("per_class", [10, 20, 50])
def test_fresh_real_rows_pass_all_screens_together(per_class, tmp_path):
    data = digits(per_class)
    together = torch.stack([passed(name, data, data.val, tmp_path) for name in DEFAULT]).all(0)
    assert share(together) >= 0.85


@pytest.mark.parametrize("seed", [0, 1])
def test_wrong_labels_among_good_rows_are_rejected(seed, tmp_path):
    data = digits(50, seed)
    wrong = torch.arange(len(data.val)) % 5 == 0
    mixed = dataclasses.replace(data.val, y=torch.where(wrong, relabelled(data.val, seed).y, data.val.y))
    kept = passed("agreement", data, mixed, tmp_path)
    assert share(~kept[wrong]) >= 0.9 and share(~kept[~wrong]) <= 0.1


def test_wrong_labels_are_mostly_rejected_with_ten_rows_a_class(tmp_path):
    data = digits(10)
    assert share(~passed("agreement", data, relabelled(data.val), tmp_path)) >= 0.7


def test_a_mislabelled_real_row_does_not_vouch_for_its_own_copy(tmp_path):
    data = digits(20)
    data = dataclasses.replace(data, train=dataclasses.replace(data.train, y=data.train.y.index_fill(0, torch.tensor([3]), 7)))
    copy = data.train.take([3])
    assert data.train.y[3] == 7 and not passed("agreement", data, copy, tmp_path)[0]


def test_two_mislabelled_rows_do_not_vouch_for_a_row_between_them(tmp_path):
    """Rows 0..19 are zeros; each of ten pairs of them in turn is labelled 7."""
    rejected = 0
    for i in range(0, 20, 2):
        data = digits(20)
        data = dataclasses.replace(data, train=dataclasses.replace(data.train, y=data.train.y.index_fill(0, torch.tensor([i, i + 1]), 7)))
        between = data.train.x[i].float().lerp(data.train.x[i + 1].float(), 0.5)[None]
        rejected += not bool(passed("agreement", data, redrawn(data, as_bytes(between), torch.tensor([7])), tmp_path))
    assert rejected >= 9


def test_fresh_rows_are_lost_alike_whether_their_nearest_rows_stand_in_one_fold_or_in_two(tmp_path):
    lost: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    for seed in range(3):
        data = digits(20, seed, fresh=100)
        screen = find("screens", "agreement")().fit(data, Run(folder=tmp_path))
        a, b = screen.judges_._sources(standardise(data.val.z, data.train.z), data.val.y).unbind(1)
        for one in lost:
            lost[one].append(screen.score(data.val)[(a == b) == one] < screen.cut)
    assert all(share(torch.cat(found)) <= 0.09 for found in lost.values()) and len(torch.cat(lost[True])) > 200


def test_rows_that_belong_together_are_judged_by_others(tmp_path):
    """A zero labelled 7 that stands in the data four times, as one unit, does not vouch for a fifth."""
    data = digits(20)
    at = torch.cat([torch.arange(200), torch.zeros(3, dtype=torch.long)])
    train = dataclasses.replace(data.train.take(at), y=data.train.y[at].masked_fill(at == 0, 7), unit=at)
    data = dataclasses.replace(data, train=train)
    assert not passed("agreement", data, redrawn(data, data.train.x[:1], torch.tensor([7])), tmp_path)[0]


def test_classes_of_one_row_are_left_unjudged_and_few_rows_never_crash(tmp_path):
    whole = digits(5)
    for keep in ([0], [0, 5], [0, 5, 10], [0, 1, 2, 3, 4, 5], list(range(0, 50, 5))):
        data = dataclasses.replace(whole, train=whole.train.take(keep))
        for name in DEFAULT:
            assert passed(name, data, data.val, tmp_path).shape == (len(data.val),)
    single = dataclasses.replace(whole, train=whole.train.take([0, 1, 2, 3, 4, 5]))
    assert passed("agreement", single, whole.val.take(whole.val.y == 1), tmp_path).all()


def planted(x):
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    return {
        "plain": x,
        "flipped": x.flip(-1),
        "noised": as_bytes(x.float() + 8 * noise),
        "shifted": pad(x, (1, 0, 0, 0))[..., :-1],
        "dimmed": as_bytes(x.float() * 0.8),
    }


@pytest.mark.parametrize("data", [digits(20), digits(50, 1), toy_data(60, seed=1), toy_data(90, (3, 32, 32))], ids=["20", "50", "toy", "toy 3x32x32"])
def test_copies_of_training_rows_are_rejected_and_fresh_rows_are_not(data, tmp_path):
    originals = data.train.take(range(0, len(data.train), max(1, len(data.train) // 30)))
    screen = find("screens", "novelty")().fit(data, Run(folder=tmp_path))
    for how, x in planted(originals.x).items():
        copies = redrawn(data, x, originals.y)
        assert share(screen.score(copies) < screen.cut) >= 0.95, how
        positions, distances = screen.nearest(copies)
        assert share(data.train.key[positions] == originals.key) >= 0.95, how
        assert distances.median() < screen.nearest(data.val)[1].median(), how
    assert share(screen.score(data.val) < screen.cut) <= 0.05


def few_digits(rows, seed=0):
    """So many training digits in all, of whatever class, and fresh ones. On 8 x 8 cells many digits nearly are others, shifted by one."""
    data = digits(10, seed, fresh=10)
    return dataclasses.replace(data, train=data.train.take(torch.randperm(100, generator=torch.Generator().manual_seed(seed))[:rows]))


def few_patterns(rows, seed=0, fresh=100):
    """Grids of 28 x 28, a quarter of whose variance is that of their class."""
    y = torch.arange(rows + fresh) % 4
    common, own = (patterns(n, (1, 28, 28), seed=s).float() - 128 for n, s in ((4, 1000 + seed), (len(y), seed)))
    x = as_bytes(128 + 0.5 * common[y] + 0.75**0.5 * own)
    spec = Spec(kind="continuous", shape=(1, 28, 28), classes=tuple("0123"))
    samples = Samples.real(x, y, z=ToyCodec(spec).embed(x))
    return Data(train=samples.take(range(rows)), val=samples.take(range(rows, rows + fresh)), spec=spec, codec=ToyCodec(spec))


def paired(data, x):
    """Which rows the rule of `augmind.data` pairs with a training row when each is laid among the training rows."""
    rows = (torch.cat([data.train.x, one[None]]) for one in x)
    found = (neighbours(r, data.spec, data.codec).pairs(rule_for(data.spec)) for r in rows)
    return torch.tensor([any(j == len(data.train) for _, j, _ in pairs) for pairs in found])


@pytest.mark.parametrize("rows", [24, 48])
@pytest.mark.parametrize(("how", "least"), [("noise 20", 0.95), ("noise 40", 0.85), ("mixed 3 : 1", 0.9)])
def test_of_few_rows_too_near_duplicates_are_rejected(rows, how, least, tmp_path):
    near, rejected = 0, 0
    for seed in range(3):
        data, rng = few_digits(rows, seed), torch.Generator().manual_seed(seed)
        x = data.train.x.float()
        if how == "mixed 3 : 1":
            x = 0.75 * x + 0.25 * x[torch.randperm(rows, generator=rng)]
        else:
            x = x + float(how.split()[1]) * torch.randn(x.shape, generator=rng)
        copies = redrawn(data, as_bytes(x), data.train.y)
        flagged = paired(data, copies.x)
        near, rejected = near + int(flagged.sum()), rejected + int((flagged & ~passed("novelty", data, copies, tmp_path)).sum())
    assert near >= 2 * rows and rejected >= least * near


@pytest.mark.parametrize("rows", [24, 48])
def test_of_few_rows_fresh_ones_pass(rows, tmp_path):
    for make, least in ((few_patterns, 0.95), (few_digits, 0.9)):
        fresh = [passed("novelty", d, d.val, tmp_path) for d in (make(rows, seed) for seed in range(4))]
        assert share(torch.cat(fresh)) >= least


def test_what_scores_nothing_is_a_near_duplicate_by_the_rule_of_the_data(tmp_path):
    data = few_digits(24, 3)
    rng = torch.Generator().manual_seed(0)
    x = torch.cat([data.val.x, *(as_bytes(data.train.x.float() + sd * torch.randn(data.train.x.shape, generator=rng)) for sd in (20, 40, 60))])
    rows = redrawn(data, x, torch.zeros(len(x), dtype=torch.long))
    screen = find("screens", "novelty")().fit(data, Run(folder=tmp_path))
    zero = screen.score(rows) == 0
    assert zero.sum() >= 40 and paired(data, x)[zero].all()


def test_a_copy_of_a_row_that_the_data_holds_nearly_twice_is_found(tmp_path):
    data = few_digits(24)
    twins = as_bytes(data.train.x.float() + 6 * torch.randn(data.train.x.shape, generator=torch.Generator().manual_seed(0)))
    y, unit = data.train.y.repeat(2), torch.arange(24).repeat(2)
    x = torch.cat([data.train.x, twins])
    data = dataclasses.replace(data, train=Samples.real(x, y, z=x.flatten(1).float() * 16 / 255, unit=unit))
    third = as_bytes(data.train.x[:24].float() + 20 * torch.randn(data.train.x[:24].shape, generator=torch.Generator().manual_seed(1)))
    assert share(passed("novelty", data, redrawn(data, third, y[:24]), tmp_path)) <= 0.05


def test_copies_are_found_whatever_label_they_carry_and_in_features_alone(tmp_path):
    data = digits(20)
    assert share(passed("novelty", data, relabelled(data.train), tmp_path)) == 0
    by_features = data.features()
    rng = torch.Generator().manual_seed(0)
    near = data.train.z + 0.3 * torch.randn(data.train.z.shape, generator=rng)
    copies = Samples.synthetic("planted", near, data.train.y, torch.arange(len(near)), z=near)
    assert share(passed("novelty", by_features, copies, tmp_path)) <= 0.05
    assert share(passed("novelty", data, copies, tmp_path)) <= 0.05
    assert share(passed("novelty", by_features, as_features(data.val), tmp_path)) >= 0.95
    screen = find("screens", "novelty")().fit(data, Run(folder=tmp_path))
    assert torch.equal(screen.nearest(copies)[0], torch.arange(len(near)))


def test_blank_grids_are_judged_by_their_features_alone(tmp_path):
    data = digits(20)
    blank = dataclasses.replace(data.val, x=torch.full_like(data.val.x, 90))
    assert share(passed("novelty", data, blank, tmp_path)) >= 0.95


def test_rows_unlike_the_real_ones_are_rejected_however_few_there_are(tmp_path):
    rng = torch.Generator().manual_seed(0)
    for per_class in (2, 5, 20):
        data = digits(per_class)
        noise = torch.rand((100, 64), generator=rng) * 16
        strange = dataclasses.replace(data.val.take(range(100)), z=noise)
        assert share(passed("fidelity", data, strange, tmp_path)) <= 0.1
        longer = dataclasses.replace(data.val, z=data.val.z * 30)
        assert share(passed("fidelity", data, longer, tmp_path)) == 0
        assert share(passed("fidelity", data, data.val, tmp_path)) >= 0.93


def test_of_repeated_rows_the_first_stays(tmp_path):
    data = digits(20)
    rng = torch.Generator().manual_seed(0)
    again = dataclasses.replace(data.val, z=data.val.z + 0.1 * torch.randn(data.val.z.shape, generator=rng))
    kept = passed("duplicates", data, data.val + again + data.val, tmp_path)
    n = len(data.val)
    assert share(kept[:n]) >= 0.98 and not kept[n:].any()
    assert not passed("duplicates", data, again, tmp_path, kept=data.val).any()
    one = data.val.take([0] * 1000)
    assert torch.equal(passed("duplicates", data, one, tmp_path), torch.arange(1000) == 0)


def test_a_generator_that_repeats_two_rows_is_thinned_and_a_good_one_is_not(tmp_path):
    data = digits(20, fresh=100)
    assert share(passed("diversity", data, data.val, tmp_path)) >= 0.97
    collapsed = torch.cat([torch.nonzero(data.train.y == k)[:2, 0] for k in range(10)]).repeat(100)
    rows = data.train.take(collapsed)
    rng = torch.Generator().manual_seed(0)
    rows = dataclasses.replace(rows, z=rows.z + 0.5 * torch.randn(rows.z.shape, generator=rng))
    kept = passed("diversity", data, rows, tmp_path)
    assert share(kept) <= 0.7 and kept[:20].all()
    assert share(passed("diversity", data, rows, tmp_path, kept=rows)) <= share(kept) / 2


@pytest.mark.parametrize("name", [n for n in names("screens") if not find("screens", n).refuses(toy_data(3).spec)])
def test_every_screen_is_repeatable_and_takes_no_rows_and_any_kind_of_row(name, tmp_path):
    data = toy_data(30)
    screen = find("screens", name)().fit(data, Run(folder=tmp_path))
    again = find("screens", name)().fit(data, Run(folder=tmp_path))
    assert torch.equal(screen.score(data.val), again.score(data.val)) and screen.reason
    assert screen.score(data.val.take([])).shape == (0,)
    assert screen.score(as_features(data.val)).shape == (30,)
    tokens = Spec(kind="tokens", shape=(7,), classes=data.spec.classes)
    x = torch.arange(30 * 7).reshape(30, 7)
    sentences = Data(train=dataclasses.replace(data.train, x=x), val=dataclasses.replace(data.val, x=x + 1), spec=tokens, codec=data.codec)
    screen = find("screens", name)()
    screen.require(tokens)
    assert screen.fit(sentences, Run(folder=tmp_path)).score(sentences.val).shape == (30,)
