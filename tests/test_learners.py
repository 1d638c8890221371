"""Learners and transfers: they learn, they answer the closed-form questions, and they can be put away and taken out again."""

import dataclasses
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch

from augmind.core.errors import DataError, UsageError
from augmind.core.feed import ROUNDS, Feed, Schedule
from augmind.core.registry import make
from augmind.core.run import Run
from augmind.core.seeds import row_seeds, stable_seed, stream
from augmind.core.types import Choice, Data, Samples, Spec
from augmind.modalities.image.codec import ImageCodec
from augmind.nn.heads import PENALTIES, Head, choose_penalty, cross_entropy, fit_head
from augmind.nn.resnet import Resnet
from augmind.testing import toy_data, toy_samples


def learner(name, **settings):
    return make("learners", Choice(name=name, settings=settings))


def feed(data, balance="none", transform="none", mixing="none", **changes):
    return Feed(
        real=data.train,
        spec=data.spec,
        codec=data.codec,
        transform=make("transforms", Choice(name=transform)),
        mixing=make("mixing", Choice(name=mixing)),
        balance=balance,
        **changes,
    )


def stripes(n=24, side=32):
    """Pictures of stripes across, stripes down and checks, at random phases under noise, with the codec of pictures."""
    rng, place, y = stream("stripes", n), torch.arange(side) // 4 % 2, torch.arange(2 * n) % 3
    phase = torch.randint(side, (2 * n, 2), generator=rng)
    across, down = (torch.stack([place.roll(int(p)) for p in column]).float() for column in phase.T)
    across, down = across[:, :, None].expand(-1, -1, side), down[:, None, :].expand(-1, side, -1)
    drawn = torch.stack([across, down, (across - down).abs()], 1)[torch.arange(2 * n), y] * 100 + 80
    x = (drawn + torch.randn(drawn.shape, generator=rng) * 20).clamp(0, 255).to(torch.uint8)[:, None]
    spec = Spec(kind="continuous", shape=(1, side, side), classes=("across", "down", "checks"))
    halves = (Samples.real(x[:n], y[:n]), Samples.real(x[n:], y[n:]))
    return Data(train=halves[0], val=halves[1], spec=spec, codec=ImageCodec(spec))


def accuracy(model, samples):
    p = model.predict(samples)
    assert p.dtype == torch.float32
    torch.testing.assert_close(p.sum(1), torch.ones(len(samples)), atol=1e-5, rtol=0)
    return (p.argmax(1) == samples.y).float().mean().item()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("cnn", {"steps": 40, "batch": 16, "width": 16}),
        ("probe", {}),
        ("finetune", {"backbone": "lite0@32", "steps": 12, "batch": 16}),
    ],
)
def test_a_learner_learns_toy_data_and_survives_its_state(name, settings, tmp_path):
    data = stripes() if name == "finetune" else toy_data()
    model = learner(name, **settings).fit(feed(data), Run(folder=tmp_path))
    assert accuracy(model, data.val) > 0.9
    again = learner(name, **settings).restore(data, {k: v.clone() for k, v in model.state().items()})
    torch.testing.assert_close(again.predict(data.val), model.predict(data.val), atol=1e-6, rtol=0)
    assert model.predict(data.val.take([])).shape == (0, 3)
    torch.testing.assert_close(model.predict(data.val.take([5])), model.predict(data.val)[5:6], atol=2e-2, rtol=0)


@pytest.mark.parametrize("name", ["cnn", "probe"])
def test_the_same_seed_gives_the_same_learner(name, tmp_path):
    data = toy_data()
    settings = {"steps": 5, "batch": 16, "width": 16} if name == "cnn" else {}
    a, b = (learner(name, **settings).fit(feed(data, mixing="mixup"), Run(folder=tmp_path, seed=4)).predict(data.val) for _ in range(2))
    assert torch.equal(a, b)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (1, 64, 130), (4, 256, 256)])
def test_the_network_takes_any_grid_and_shrinks_large_ones_first(shape):
    net = Resnet(shape, classes=5, width=8).eval()
    x = torch.randint(0, 256, (2, *shape), dtype=torch.uint8, generator=stream(shape))
    net.standardise_by(x, lambda rows: rows.float())
    torch.testing.assert_close(net.mean.flatten(), x.float().mean((0, 2, 3)), atol=1e-3, rtol=0)
    torch.testing.assert_close(net.sd.flatten(), x.float().std((0, 2, 3), correction=0), atol=1e-2, rtol=0)
    assert net(x.float()).shape == (2, 5)
    stem = net.stem(x.float() - 128)
    assert stem.shape[2] * stem.shape[3] <= 60 * 60


def problem(n=240, d=12, seed=0):
    """Three overlapping Gaussian classes with soft-looking weights."""
    rng = stream("problem", seed)
    y = torch.arange(n) % 3
    z = torch.randn((n, d), generator=rng) + torch.randn((3, d), generator=stream("centres"))[y] * 0.7
    return z, y, torch.rand(n, generator=rng) + 0.5


@pytest.mark.parametrize(("n", "d"), [(240, 12), (30, 60)])
def test_the_probe_finds_the_optimum_of_sklearn(n, d):
    from sklearn.linear_model import LogisticRegression

    z, y, w = problem(n, d)
    penalty = 0.03
    head = fit_head(Head.over(z, 3), z, y, w, penalty)
    standard = ((z - z.mean(0)) / (z.std(0, correction=0) + 1e-2)).double().numpy()
    oracle = LogisticRegression(C=1 / (penalty * n), tol=1e-8, max_iter=2000).fit(standard, y.numpy(), sample_weight=w.double().numpy())
    ours = head(z).softmax(1).detach().numpy()
    assert np.abs(ours - oracle.predict_proba(standard)).max() < 1e-3
    assert np.abs(head.linear.weight.detach().numpy() - oracle.coef_).max() < 2e-3


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_refused(value):
    z, y, w = problem(30, 4)
    z[3, 1] = value
    with pytest.raises(DataError, match="features are not finite"):
        fit_head(Head.over(z, 3), z, y, w, 0.1)


def test_a_setting_of_another_type_is_refused_in_one_sentence():
    """Without the types that these tests check."""
    code = """
from augmind.core.errors import UsageError
from augmind.core.registry import make
from augmind.core.types import Choice
for name, given in (("textcnn", {"vectors": 5}), ("lm", {"paraphrase": "no"}), ("llm", {"price_read": "x"})):
    try:
        make("learners" if name == "textcnn" else "generators", Choice(name=name, settings=given))
    except UsageError as error:
        print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    wrong = ("textcnn: vectors=5", "lm: paraphrase='no'", "llm: price_read='x'")
    assert said == [f"{what} is not allowed" for what in wrong]


def test_weighting_rows_equals_repeating_them():
    z, y, _ = problem(60)
    twice = torch.arange(60).repeat_interleave(torch.where(y == 0, 2, 1))
    head = Head.over(z, 3)
    weighted = fit_head(head, z, y, torch.where(y == 0, 2.0, 1.0) * 60 / len(twice), 0.1)(z)
    repeated = fit_head(head, z[twice], y[twice], torch.ones(len(twice)), 0.1)(z)
    torch.testing.assert_close(weighted, repeated, atol=2e-3, rtol=0)


def test_the_penalty_is_strong_for_noise_and_weak_for_signal():
    y, w = torch.arange(90) % 3, torch.ones(90)
    noise = torch.randn((90, 50), generator=stream("noise"))
    signal = torch.eye(3)[y] * 2 + torch.randn((90, 3), generator=stream("signal")) * 0.1
    unit = torch.arange(90)
    assert choose_penalty(noise, y, unit, w, None, 3, 0) == max(PENALTIES)
    assert choose_penalty(signal, y, unit, w, None, 3, 0) == min(PENALTIES)


def test_rows_that_belong_together_do_not_vouch_for_each_other_in_the_choice_of_the_penalty():
    """Noise repeated six times looks like signal as long as a repetition may stand on either side."""
    y, noise = torch.arange(30) % 3, torch.randn((30, 40), generator=stream("repeated noise"))
    z, y, unit = noise.repeat(6, 1), y.repeat(6), torch.arange(30).repeat(6)
    assert choose_penalty(z, y, torch.arange(180), torch.ones(180), None, 3, 0) == min(PENALTIES)
    assert choose_penalty(z, y, unit, torch.ones(180), None, 3, 0) == max(PENALTIES)


def test_cross_entropy_of_soft_labels_is_their_closed_form():
    logits = torch.tensor([[0.2, 0.8], [0.5, 0.5]]).log()
    y, w = torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([2.0, 1.0])
    expected = -(2 * 0.5 * (np.log(0.2) + np.log(0.8)) + np.log(0.5)) / 2
    torch.testing.assert_close(cross_entropy(logits, y, w).item(), float(expected))
    prior = torch.tensor([0.9, 0.1]).log()
    adjusted = (logits + prior).log_softmax(1)
    torch.testing.assert_close(cross_entropy(logits, y, w, prior), -(w * (y * adjusted).sum(1)).mean())


def skewed(data, keep=3):
    """The same data with only `keep` rows of class 0, all of it overlapping noise."""
    rows = torch.cat([(data.train.y == 0).nonzero()[:keep, 0], (data.train.y != 0).nonzero()[:, 0]])
    return dataclasses.replace(data, train=data.train.take(rows))


def noisy(n, seed, d=8):
    rng = stream("noisy", seed)
    y = torch.arange(n) % 3
    z = torch.randn((n, d), generator=rng) + 0.6 * torch.randn((3, d), generator=stream("noisy centres"))[y]
    return Samples.real(z, y, z=z)


def test_logit_adjustment_raises_the_recall_of_the_rare_class(tmp_path):
    spec = Spec(kind="continuous", shape=(8,), classes=("a", "b", "c"), bounded=False)
    data = skewed(dataclasses.replace(toy_data(), train=noisy(240, 0), val=noisy(600, 1), spec=spec), keep=8)

    def recall(balance):
        model = learner("probe", penalty=0.01).fit(feed(data, balance), Run(folder=tmp_path))
        rare = data.val.take(data.val.y == 0)
        return accuracy(model, rare)

    assert recall("logit_adjustment") > recall("none") + 0.15
    assert recall("weights") > recall("none") + 0.1


def test_logit_adjustment_reaches_the_trained_network_too(tmp_path):
    data = skewed(toy_data(60, (1, 8, 8)), keep=2)
    shift = []
    for balance in ("none", "logit_adjustment"):
        model = learner("cnn", steps=20, batch=16, width=16).fit(feed(data, balance), Run(folder=tmp_path))
        shift.append(model.predict(data.val)[:, 0].mean())
    assert shift[1] > shift[0]


def synthetic(data, n=24):
    """Rows a perfect generator would draw."""
    rows = toy_samples(n, data.spec.shape, data.classes, seed=9)
    return Samples.synthetic("oracle", rows.x, rows.y, row_seeds(n, "oracle"), z=data.codec.embed(rows.x))


def test_mixing_in_good_synthetic_rows_helps_a_starved_learner(tmp_path):
    data = toy_data(150, classes=6)
    few = dataclasses.replace(data, train=data.train.take(torch.arange(6)))
    mix = make("transfers", Choice(name="mix"))

    def score(**changes):
        return accuracy(mix.train(learner("probe", penalty=0.1), feed(few, **changes), Run(folder=tmp_path)), data.val)

    assert score(synthetic=synthetic(data, 120), share=0.75) > score()


def test_pretraining_uses_as_many_steps_and_ends_on_real_rows(tmp_path):
    data = toy_data()
    pretrain = make("transfers", Choice(name="pretrain", settings={"part": 0.4}))
    begun = learner("cnn", steps=40, batch=16, width=16)
    model = pretrain.train(begun, feed(data, synthetic=synthetic(data)), Run(folder=tmp_path))
    assert accuracy(model, data.val) > 0.9
    assert model.curves_.steps == 24
    alone = begun.fit(feed(data), Run(folder=tmp_path))
    without = pretrain.train(learner("cnn", steps=40, batch=16, width=16), feed(data), Run(folder=tmp_path))
    assert torch.equal(without.predict(data.val), alone.predict(data.val))


def test_pretraining_a_learner_that_is_fitted_at_once_is_refused_with_the_way_out(tmp_path):
    data = toy_data()
    with pytest.raises(UsageError, match="probe") as caught:
        make("transfers", Choice(name="pretrain")).train(learner("probe"), feed(data, synthetic=synthetic(data)), Run(folder=tmp_path))
    assert "mix" in caught.value.help


@pytest.mark.parametrize(("course", "share"), [("falling", 0.25), ("rising", 0.4), ("falling", 0.7)])
def test_a_schedule_shows_as_many_synthetic_rows_as_a_fixed_share_and_every_row_equally_often(course, share):
    data, steps = toy_data(12), 101
    scheduled = feed(data, synthetic=synthetic(data), share=share, schedule=Schedule(course=course, steps=steps))
    seen = [scheduled.batch(t, 16, 0) for t in range(steps)]
    real = {row.numpy().tobytes() for row in data.spec.to_model(data.train.x)}
    counts, times = [], Counter[bytes]()
    for batch in seen:
        rows = [row.numpy().tobytes() for row in batch.x]
        counts.append(sum(row not in real for row in rows))
        times.update(rows)
    line = np.linspace(1, -1, steps) * (1 if course == "falling" else -1) * min(share, 1 - share)
    assert np.allclose(counts, np.clip(16 * (share + line), 0, 15), atol=0.5 + 1e-9)
    assert sum(counts) == pytest.approx(16 * share * steps, abs=0.01 * 16 * steps)
    for kind in (True, False):
        often = [n for row, n in times.items() if (row in real) == kind]
        assert len(often) == (len(data.train) if kind else 24) and max(often) - min(often) <= 1
    assert torch.equal(seen[50].x, scheduled.batch(50, 16, 0).x)


def test_a_learner_that_is_fitted_at_once_has_no_schedule(tmp_path):
    data = toy_data()
    with pytest.raises(UsageError, match="probe") as caught:
        make("transfers", Choice(name="schedule")).train(learner("probe"), feed(data, synthetic=synthetic(data)), Run(folder=tmp_path))
    assert "mix" in caught.value.help


def test_features_are_mixed_with_their_labels():
    data, mixing = toy_data().features(), make("mixing", Choice(name="mixup", settings={"probability": 1.0}))
    plain = feed(data)
    rows, weight = dataclasses.replace(plain, mixing=mixing).features_table(3)
    given, even = plain.features_table(3)
    head = torch.randn(given.x.shape[1], len(data.spec.classes), generator=stream("head"))
    soft, losses = torch.nn.functional.one_hot(given.y, len(data.spec.classes)).float(), []
    for i in range(ROUNDS):
        x, y = mixing.apply(given.x, soft, stable_seed(3, "mixing", i))
        losses.append((even * -(y * (x @ head).log_softmax(1)).sum(1)).sum())
    own = -(rows.x @ head).log_softmax(1).gather(1, rows.y[:, None])[:, 0]
    assert (weight * own).sum() == pytest.approx(float(sum(losses)) / ROUNDS, rel=1e-4)
    assert weight.sum() == pytest.approx(float(even.sum()), rel=1e-5) and len(rows) > ROUNDS * len(given)
    assert torch.equal(rows.x, rows.z) and given.x.shape == plain.real.x.shape
    assert not torch.equal(rows.x, dataclasses.replace(plain, mixing=mixing).features_table(4)[0].x)


@pytest.mark.parametrize("balance", ["weights", "oversample"])
def test_mixed_features_keep_the_treatment_of_imbalance(balance):
    y = (torch.arange(1000) >= 900).long()
    real = Samples.real(torch.randn(1000, 4, generator=stream("rows")), y).with_features(torch.randn(1000, 4, generator=stream("rows")))
    data = Data(train=real, val=real.take([]), spec=Spec(kind="continuous", shape=(4,), classes=("a", "b"), bounded=False), codec=toy_data().codec)
    rows, weight = feed(data, balance, mixing="mixup").features_table(0)
    assert weight[rows.y == 0].sum() / weight.sum() == pytest.approx(0.5, abs=0.05)


def test_finetuning_starts_from_the_probe_and_can_continue(tmp_path):
    data = stripes(12)
    model = learner("finetune", backbone="lite0@32", batch=8, steps=2).fit(feed(data), Run(folder=tmp_path))
    later = learner("finetune", backbone="lite0@32", batch=8, steps=1).fit_from(model.state(), feed(data), Run(folder=tmp_path))
    assert later.predict(data.val).shape == (12, 3)
