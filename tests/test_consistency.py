"""Consistency: the closed forms of its loss, which pairs it joins, and what it does to predictions."""

import dataclasses
import math

import pytest
import torch
from torch.nn.functional import one_hot

from augmind.core.feed import Consistency
from augmind.core.registry import make
from augmind.core.run import Run
from augmind.core.seeds import row_seeds, stream
from augmind.core.types import Choice, Data, Samples, Spec
from augmind.nn.consistency import consistency_loss, ramp, untracked
from augmind.nn.heads import Head, calmed, fit_head
from augmind.nn.resnet import Resnet
from augmind.testing import ToyCodec, toy_data
from test_learners import feed, learner, synthetic

P, Q = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]), torch.tensor([[0.2, 0.2, 0.6], [0.1, 0.1, 0.8]])


def test_the_losses_are_their_closed_forms_and_ignore_the_scale_of_probabilities():
    kl = (Q * (Q / P).log()).sum() / 2
    torch.testing.assert_close(consistency_loss(P.log() + 3, Q.log() - 7, "kl"), kl)
    torch.testing.assert_close(consistency_loss(P.log() + 3, Q.log() - 7, "mse"), (P - Q).square().mean())
    for loss in ("kl", "mse"):
        torch.testing.assert_close(consistency_loss(P.log(), P.log() + 1, loss), torch.tensor(0.0), atol=1e-7, rtol=0)


def test_the_gradient_is_that_of_the_difference_and_none_reaches_the_anchor():
    """d KL(q || softmax(u)) / du = softmax(u) - q; for the mean square 2 (p - q) passes through the softmax."""
    u, v = P.log().requires_grad_(), Q.log().requires_grad_()
    consistency_loss(u, v, "kl").backward()
    torch.testing.assert_close(u.grad, (P - Q) / 2)
    assert v.grad is None
    u.grad = None
    consistency_loss(u, v, "mse").backward()
    d = 2 * (P - Q) / P.numel()
    torch.testing.assert_close(u.grad, P * (d - (d * P).sum(1, keepdim=True)))
    assert v.grad is None


def test_the_weight_rises_to_one_and_stays():
    assert ramp(0, 100, 0.3) == pytest.approx(math.exp(-5)) and ramp(15, 100, 0.3) == pytest.approx(math.exp(-5 / 4))
    assert all(ramp(t, 100, 0.3) < ramp(t + 1, 100, 0.3) for t in range(30))
    assert ramp(30, 100, 0.3) == ramp(99, 100, 0.3) == ramp(0, 100, 0.0) == 1.0


def test_passes_that_are_not_tracked_leave_running_statistics_alone():
    net, x = Resnet((1, 8, 8), 3, 8).train(), torch.rand(4, 1, 8, 8, generator=stream("x"))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with untracked(net):
        quiet = net(x)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert torch.equal(net(x), quiet), "the batch's own statistics are used all the same"
    assert any(not torch.equal(v, before[k]) for k, v in net.state_dict().items())
    with untracked(net.eval()):
        inside = net(x)
    assert torch.equal(net(x), inside)


# Pairs


def lines(values, labels, maker="real"):
    """Rows that are their own features."""
    z, y = torch.tensor(values)[:, None], torch.tensor(labels)
    return Samples.real(z, y, z=z) if maker == "real" else Samples.synthetic(maker, z, y, row_seeds(len(y), maker), z=z)


def small(**changes):
    """Six vectors of three classes; class 2 has no synthetic row."""
    spec = Spec(kind="continuous", shape=(1,), classes=("a", "b", "c"), bounded=False)
    real = lines([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0, 0, 1, 1, 2, 2])
    extra = lines([2.1, 0.9, -0.2, 2.0, 9.0], [0, 0, 0, 1, 1], "g")
    return feed(Data(train=real, val=real, spec=spec, codec=ToyCodec(spec)), synthetic=extra, share=0.4, **changes)


def test_the_nearest_synthetic_row_is_of_the_same_class():
    assert small().nearest.tolist() == [2, 1, 3, 3, -1, -1]
    assert dataclasses.replace(small(), synthetic=None).nearest.tolist() == [-1] * 6


def test_without_consistency_a_batch_has_no_anchor():
    batch = feed(toy_data(), transform="trivialaugment").batch(0, 8, 0)
    assert batch.anchor is None and batch.view is None


@pytest.mark.parametrize("mixing", ["none", "mixup"])
def test_the_anchor_is_the_row_before_transform_and_mixing_and_nothing_else_changes(mixing):
    data = toy_data()
    plain = feed(data, transform="trivialaugment", mixing=mixing, synthetic=synthetic(data))
    asked = dataclasses.replace(plain, consistency=Consistency(weight=1.0))
    untouched = dataclasses.replace(plain, transform=make("transforms", Choice(name="none")), mixing=make("mixing", Choice(name="none")))
    unmixed = dataclasses.replace(plain, mixing=make("mixing", Choice(name="none")))
    for t in range(3):
        a, b = asked.batch(t, 16, 5), plain.batch(t, 16, 5)
        assert torch.equal(a.x, b.x) and torch.equal(a.y, b.y) and torch.equal(a.w, b.w)
        assert torch.equal(a.anchor, untouched.batch(t, 16, 5).x)
        assert torch.equal(a.view, unmixed.batch(t, 16, 5).x)
        assert (a.view is a.x) == (mixing == "none")
        again = asked.batch(t, 16, 5)
        assert torch.equal(again.anchor, a.anchor) and torch.equal(again.view, a.view)


def test_a_row_without_transform_has_nothing_to_be_compared_with():
    assert feed(toy_data(), consistency=Consistency(weight=1.0), mixing="mixup").batch(0, 8, 0).anchor is None
    alone = feed(toy_data(), consistency=Consistency(weight=1.0, partner="synthetic"))
    assert alone.batch(0, 8, 0).anchor is None


def test_the_synthetic_partner_is_the_nearest_row_or_the_row_itself():
    asked = small(consistency=Consistency(weight=1.0, partner="synthetic"))
    expected = {0.0: -0.2, 1.0: 0.9, 2.0: 2.0, 3.0: 2.0, 4.0: 4.0, 5.0: 5.0}
    for t in range(4):
        batch = asked.batch(t, 10, 0)
        for x, anchor in zip(batch.x[:6, 0].tolist(), batch.anchor[:6, 0].tolist(), strict=True):
            assert anchor == pytest.approx(expected[x])
        assert torch.equal(batch.anchor[6:], batch.x[6:]), "synthetic rows are their own partners"


def test_rows_without_features_are_embedded_for_their_partners():
    data = toy_data()
    bare = dataclasses.replace(data, train=dataclasses.replace(data.train, z=None))
    assert torch.equal(feed(bare, synthetic=synthetic(data)).nearest, feed(data, synthetic=synthetic(data)).nearest)


def test_pairs_for_learners_that_take_all_at_once():
    ours, theirs = small(consistency=Consistency(weight=1.0, partner="synthetic")).pairs()
    assert ours.x[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0] and theirs.x[:, 0].tolist() == pytest.approx([-0.2, 0.9, 2.0, 2.0])
    views = lines([float(i) for i in range(10, 22)], [0, 0, 1, 1, 2, 2] * 2)
    copies, rows = small(consistency=Consistency(weight=1.0), views=views).pairs()
    assert torch.equal(copies.x, views.x) and rows.x[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0] * 2
    assert small(views=views).pairs() is None and small(consistency=Consistency(weight=1.0)).pairs() is None


# The probe


@pytest.mark.parametrize(("n", "d"), [(40, 6), (12, 30)])
def test_the_probe_stands_at_the_minimum_of_its_penalised_loss(n, d):
    """The gradient of the written-out objective vanishes there, in the whole space of weights."""
    rng, penalty, weight = stream("pairs", n), 0.05, 0.7
    z, y, w = torch.randn((n, d), generator=rng), torch.arange(n) % 3, torch.rand(n, generator=rng) + 0.5
    apart = z[: n // 2] - z[n // 2 :]
    head = fit_head(Head.over(z, 3), z, y, w, penalty, apart=apart, weight=weight)
    u, target = head.standardise(z), one_hot(y, 3).float()
    loss = -(w * (target * head.linear(u).log_softmax(1)).sum(1)).mean() + penalty / 2 * head.linear.weight.square().sum()
    logits = head(z[: n // 2]) - head(z[n // 2 :])
    (loss + weight * logits.square().sum(1).mean()).backward()
    assert head.linear.weight.grad.abs().max() < 1e-3 and head.linear.bias.grad.abs().max() < 1e-3


def test_calming_changes_nothing_without_pairs_weight_or_difference():
    apart = torch.randn((5, 4), generator=stream("apart"))
    torch.testing.assert_close(calmed(apart, 0.0), torch.eye(4))
    torch.testing.assert_close(calmed(apart * 0, 9.0), torch.eye(4))
    inverse = torch.linalg.inv(calmed(apart, 2.0))
    torch.testing.assert_close(inverse.T @ inverse, torch.eye(4) + 2 * apart.T @ apart / 5, atol=1e-5, rtol=1e-4)


def nuisance(n, seed):
    """Two classes told apart by the first of four features; views differ in the second alone, which seems to help by chance."""
    rng = stream("nuisance", seed)
    y = torch.arange(n) % 2
    z = torch.randn((n, 4), generator=rng) + torch.stack([y * 2.0 - 1, y * 2.0 - 1, y * 0.0, y * 0.0], 1)
    moved = z.clone()
    moved[:, 1] += 2 * torch.randn(n, generator=rng)
    return Samples.real(z, y, z=z), Samples.real(moved, y, z=moved)


def probed(tmp_path, **changes):
    real, views = nuisance(60, 0)
    spec = Spec(kind="continuous", shape=(4,), classes=("a", "b"), bounded=False)
    data = Data(train=real, val=real, spec=spec, codec=ToyCodec(spec))
    return learner("probe", penalty=0.01).fit(feed(data, views=views, **changes), Run(folder=tmp_path))


def test_the_probe_turns_away_from_what_differs_between_views(tmp_path):
    before, after = probed(tmp_path), probed(tmp_path, consistency=Consistency(weight=5.0))
    a, b = (m.head_.linear.weight.detach()[1] - m.head_.linear.weight.detach()[0] for m in (before, after))
    assert abs(b[1] / b[0]) < abs(a[1] / a[0]) / 3
    real, views = nuisance(200, 1)
    gap = [(m.predict(real) - m.predict(views)).abs().mean() for m in (before, after)]
    assert gap[1] < gap[0] / 2


# The networks


SETTINGS = {"cnn": {"steps": 40, "batch": 16, "width": 16}, "finetune": {"steps": 60, "batch": 16, "lr": 3e-3, "head_lr": 1e-2}}


@pytest.mark.parametrize(("name", "mixing"), [("cnn", "none"), ("cnn", "mixup"), ("finetune", "none")])
def test_a_vanishing_weight_gives_the_results_of_mixing_alone(name, mixing, tmp_path):
    data, steps = toy_data(), {"steps": 4}
    plain = feed(data, transform="trivialaugment", mixing=mixing, synthetic=synthetic(data))
    none = dataclasses.replace(plain, consistency=Consistency(weight=0.0))
    a, b = (learner(name, **SETTINGS[name] | steps).fit(f, Run(folder=tmp_path)).predict(data.val) for f in (plain, none))
    assert torch.equal(a, b)


@pytest.mark.parametrize(("name", "transform"), [("cnn", "trivialaugment"), ("finetune", "flip")])
def test_consistency_brings_predictions_of_two_views_together(name, transform, tmp_path):
    data, gaps = toy_data(), []
    moved, _ = make("transforms", Choice(name=transform)).apply(data.spec.to_model(data.val.x), one_hot(data.val.y, 3).float(), 3)
    views = dataclasses.replace(data.val, x=data.spec.to_store(moved))
    for way in (Choice(name="mix"), Choice(name="consistency", settings={"weight": 20.0, "ramp": 0.0})):
        model = make("transfers", way).train(learner(name, **SETTINGS[name]), feed(data, transform=transform), Run(folder=tmp_path))
        gaps.append(consistency_loss(model.predict(views).log(), model.predict(data.val).log(), "kl").item())
    assert gaps[1] < 0.5 * gaps[0], gaps
    assert model.curves_.points["consistency"]


def test_synthetic_partners_teach_the_network_too(tmp_path):
    data = toy_data()
    way = make("transfers", Choice(name="consistency", settings={"partner": "synthetic", "loss": "mse", "weight": 10.0, "ramp": 0.0}))
    both = feed(data, synthetic=synthetic(data))
    model = way.train(learner("cnn", **SETTINGS["cnn"]), both, Run(folder=tmp_path))
    assert (model.predict(data.val).argmax(1) == data.val.y).float().mean() > 0.9
    assert model.curves_.points["consistency"][0] > 0
