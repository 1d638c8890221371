"""What rare classes borrow: covariances, differences, Gaussians that nobody samples; weights and soft labels of synthetic rows."""

import dataclasses

import pytest
import torch
from torch.nn.functional import one_hot

import augmind
from augmind.core.errors import UsageError
from augmind.core.feed import LEAST, Feed
from augmind.core.registry import make
from augmind.core.run import Run
from augmind.core.seeds import row_seeds, stream
from augmind.core.store import write_table
from augmind.core.tensors import save_tensors
from augmind.core.types import Choice, Classical, Data, Samples, Spec
from augmind.job import Job
from augmind.nn.analogy import PARTNERS, paired
from augmind.nn.calibrated import MOST, Calibrated, distances, moments, own_weights
from augmind.nn.gaussian import ClassGaussian
from augmind.nn.heads import Head, cross_entropy, fit_head
from augmind.nn.isda import Clouds, gains_of
from augmind.shards import read_shard
from augmind.teaching import default_policy, taught
from augmind.teaching import synthetic as synthetic_rows
from augmind.testing import ToyCodec, toy_data
from runs import TINY, folder
from test_learners import feed, learner, problem, synthetic

COUNTS = (200, 200, 20, 2, 1)


def mixed(alike: bool, d: int = 6, counts=COUNTS, seed=0) -> Data:
    """Gaussian classes of these sizes: of one covariance, or each stretched along an axis of its own."""
    y = torch.cat([torch.full((n,), k) for k, n in enumerate(counts)])
    scale = torch.ones(len(counts), d)
    if not alike:
        scale[torch.arange(len(counts)), torch.arange(len(counts)) % d] = 3.0
    x = torch.randn((len(y), d), generator=stream("mixed", seed)) * scale[y] + 5 * one_hot(y, len(counts)).float() @ torch.ones(len(counts), d)
    spec = Spec(kind="continuous", shape=(d,), classes=tuple("abcdefgh"[: len(counts)]), bounded=False)
    rows = Samples.real(x, y, z=x)
    return Data(train=rows, val=rows.take([]), spec=spec, codec=ToyCodec(spec))


def dense(g: Calibrated, k: int) -> torch.Tensor:
    inside = g.basis @ g.basis.T
    return g.basis @ g.root[k] @ g.root[k].T @ g.basis.T + g.floor * (torch.eye(len(g.basis)) - inside)


def weights(data: Data, rank: int = 5) -> torch.Tensor:
    g = ClassGaussian.fit(data.train.x, data.train.y, data.classes, rank)
    return own_weights(*moments(data.train.x @ (g.basis / g.variance.sqrt()), data.train.y, data.classes))


# Covariances


def test_classes_that_differ_keep_their_own_covariance_by_their_counts_and_others_share_one():
    own, alike = weights(mixed(alike=False)), torch.stack([weights(mixed(alike=True, counts=(80,) * 7 + (4,), seed=s)) for s in range(20)])
    assert own[0] == own[1] > 0.9 and own[0] > own[2] > own[3] > 0 and own[4] == 0 and own.max() <= MOST
    assert alike[:, 0].mean() < 0.25 and alike[:, 7].max() < 0.05


def test_the_weight_is_that_of_the_method_of_moments():
    """Two parts of variance as a one-way analysis of variance of outer products would find them, by simulation."""
    counts = (400,) * 6
    data = mixed(alike=False, counts=counts, d=8)
    basis = torch.eye(8)[:, :6]
    true = torch.stack([torch.diag(torch.tensor([9.0 if i == k else 1.0 for i in range(6)])) for k in range(6)])
    between = (true - true.mean(0)).square().sum((1, 2)).mean() * 6 / 5
    within = torch.stack([t.trace() ** 2 + t.square().sum() for t in true]).mean()
    found = own_weights(*moments(data.train.x @ basis, data.train.y, 6))
    assert found[0].item() == pytest.approx(min(MOST, (between / (between + within / 399)).item()), abs=0.01)
    few = mixed(alike=False, counts=(400,) * 5 + (6,), d=8)
    assert own_weights(*moments(few.train.x @ basis, few.train.y, 6))[5].item() == pytest.approx((between / (between + within / 5)).item(), abs=0.1)


def test_a_calibrated_covariance_lies_between_the_shared_one_and_that_of_the_class():
    data = mixed(alike=False)
    g, shared = Calibrated.fit(data.train.x, data.train.y, 5, 5), ClassGaussian.fit(data.train.x, data.train.y, 5, 5)
    w = weights(data)
    assert dense(g, 0)[0, 0] > 7 and dense(g, 1)[0, 0] < 2.5
    torch.testing.assert_close(dense(g, 4), dense(Calibrated.shared(shared), 4), atol=1e-4, rtol=1e-4)
    own = data.train.x[data.train.y == 0] @ g.basis
    torch.testing.assert_close(g.root[0] @ g.root[0].T, torch.lerp(shared.variance.diag(), own.T.cov(), w[0]), rtol=1e-3, atol=1e-3)


def test_draws_of_a_class_have_its_covariance_and_equal_the_shared_ones_where_that_is_shared():
    data = mixed(alike=False)
    g, noise = Calibrated.fit(data.train.x, data.train.y, 5, 4), torch.randn((20_000, 6), generator=stream("noise"))
    x = g.draw(torch.ones(20_000, dtype=torch.long), noise, spread=0.5)
    torch.testing.assert_close(x.mean(0), g.mean[1], atol=0.06, rtol=0)
    torch.testing.assert_close(x.T.cov(), 0.5 * dense(g, 1), atol=0.15, rtol=0.05)
    shared, y = ClassGaussian.fit(data.train.x, data.train.y, 5, 4), torch.arange(50) % 5
    torch.testing.assert_close(Calibrated.shared(shared).draw(y, noise[:50], 0.7), shared.draw(y, noise[:50], 0.7), atol=1e-4, rtol=1e-4)


def test_feature_keeps_the_stretch_of_a_populated_class(tmp_path):
    data = mixed(alike=False)
    made = {kind: make("generators", Choice(name="feature", settings={"covariance": kind})) for kind in ("shared", "calibrated")}
    y = torch.zeros(4000, dtype=torch.long)
    ratio = {}
    for kind, generator in made.items():
        x = generator.fit(data, Run(folder=tmp_path)).sample(y, row_seeds(4000, "stretch"))
        ratio[kind] = float(x[:, 0].var() / x[:, 1].var())
        again = make("generators", Choice(name="feature", settings={"covariance": kind})).restore(data.spec, generator.state())
        assert torch.equal(again.sample(y[:5], torch.arange(5)), generator.sample(y[:5], torch.arange(5)))
    assert ratio["shared"] < 2 < 5 < ratio["calibrated"]


# Gaussians in closed form


def clouds(strength: float, n: int = 6, kind: str = "calibrated") -> tuple[Clouds, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gaussians of three classes, rows to stand for them with labels, and weights of a head."""
    data = mixed(alike=False, counts=(60, 60, 12))
    g = Calibrated.fit(data.train.x, data.train.y, 3, 4)
    if kind == "shared":
        g = Calibrated.shared(ClassGaussian.fit(data.train.x, data.train.y, 3, 4))
    y = torch.arange(n) % 3
    weight = torch.randn((3, 6), generator=stream("weights")) * 0.2
    return Clouds(gaussian=g, strength=torch.full((n,), strength)), torch.randn((n, 6), generator=stream("rows")), y, weight


@pytest.mark.parametrize("kind", ["shared", "calibrated"])
def test_the_bound_is_the_logarithm_of_the_mean_exponential_and_lies_above_the_sampled_loss(kind):
    many, x, y, weight = clouds(0.5, kind=kind)
    logits = x @ weight.T
    bound = -((logits + many.gains(weight, y)).log_softmax(1)[torch.arange(6), y])
    for i, k in enumerate(y.tolist()):
        noise = torch.randn((200_000, 6), generator=stream("draws", i)).double()
        g = many.gaussian.double()
        drawn = x[i] + g.draw(torch.full((200_000,), k), noise, 0.5) - g.mean[k]
        ahead = (drawn @ weight.double().T) - (drawn @ weight[k].double())[:, None]
        exact = ahead.exp().mean(0).sum().log()
        assert bound[i].item() == pytest.approx(exact.item(), rel=0.005)
        assert ahead.exp().sum(1).log().mean().item() < bound[i].item() + 1e-3


def test_without_strength_the_bound_is_cross_entropy_and_its_head_is_the_plain_one():
    z, y, w = problem(120, 6)
    gaussian = Calibrated.fit(Head.over(z, 3).standardise(z), y, 3, 4)
    still, none = Clouds(gaussian=gaussian, strength=torch.zeros(120)), Head.over(z, 3)
    torch.testing.assert_close(still.gains(torch.randn((3, 6), generator=stream("w")), y), torch.zeros(120, 3))
    torch.testing.assert_close(fit_head(none, z, y, w, 0.1, clouds=still)(z), fit_head(Head.over(z, 3), z, y, w, 0.1)(z), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("n", "d"), [(150, 8), (24, 40)])
@pytest.mark.parametrize("kind", ["shared", "calibrated"])
def test_the_head_is_at_the_minimum_of_the_bound(n, d, kind):
    """The slope of the whole, by automatic differentiation in the space of all features, vanishes; a stronger bound has a higher minimum."""
    z, y, w = problem(n, d)
    prior, least = torch.tensor([0.6, 0.3, 0.1]).log(), []
    for strength in (0.0, 0.5, 4.0):
        head = Head.over(z, 3)
        u = head.standardise(z)
        gaussian = Calibrated.fit(u, y, 3, 5) if kind == "calibrated" else Calibrated.shared(ClassGaussian.fit(u, y, 3, 5))
        own = Clouds(gaussian=gaussian, strength=torch.full((n,), strength))
        fit_head(head, z, y, w, 0.05, prior, clouds=own)
        weight = head.linear.weight
        loss = cross_entropy(head(z) + own.gains(weight, y), one_hot(y, 3).float(), w, prior) + 0.05 / 2 * weight.square().sum()
        slopes = torch.autograd.grad(loss, [weight, head.linear.bias])
        assert max(float(s.abs().max()) for s in slopes) < 2e-4
        least.append(loss.item())
    assert least[0] < least[1] < least[2]


def test_gains_come_with_their_slope():
    many, _, y, weight = clouds(0.7)
    at = gains_of(many, y, torch.eye(6))
    own, error = weight.double().T.contiguous().numpy(), torch.randn((6, 3), generator=stream("error")).double().numpy()
    gained, back = at(own)
    slope, tiny = back(error), 1e-6
    for i, j in ((0, 0), (3, 2), (5, 1)):
        moved = own.copy()
        moved[i, j] += tiny
        assert slope[i, j] == pytest.approx(((at(moved)[0] - gained) * error).sum() / tiny, rel=1e-3, abs=1e-5)
    torch.testing.assert_close(distances(weight), torch.cdist(weight, weight).square(), atol=1e-4, rtol=1e-4)


def uneven(seed: int = 0) -> Data:
    """Features of three overlapping classes, the last of them rare."""
    y = torch.cat([torch.full((n,), k) for k, n in enumerate((120, 120, 6))])
    z = torch.randn((len(y), 10), generator=stream("uneven", seed)) + 0.9 * torch.randn((3, 10), generator=stream("uneven centres"))[y]
    spec = Spec(kind="continuous", shape=(10,), classes=("a", "b", "c"), bounded=False)
    rows = Samples.real(z, y, z=z)
    return Data(train=rows, val=rows, spec=spec, codec=ToyCodec(spec))


def isda(**settings):
    return make("transfers", Choice(name="isda", settings=settings))


def test_means_of_classes_teach_what_ever_more_rows_of_feature_come_to(tmp_path):
    """With a weak Gaussian the bound is tight, so a probe taught by 25 drawn rows for a real one is nearer to the twin than to the plain probe."""
    data, run = uneven(), Run(folder=tmp_path)
    generator = make("generators", Choice(name="feature", settings={"spread": 0.1})).fit(data, run)
    y = torch.repeat_interleave(torch.arange(3), 25 * data.train.counts(3))
    drawn = Samples.synthetic("feature", x := generator.sample(y, row_seeds(len(y), "twin")), y, row_seeds(len(y), "twin"), z=x)
    plain = learner("probe", penalty=0.01)
    sampled = plain.fit(feed(data, "logit_adjustment", synthetic=drawn, share=0.25), run).predict(data.val)
    twin = isda(strength=0.1, around="means").train(learner("probe", penalty=0.01), feed(data, "logit_adjustment"), run).predict(data.val)
    alone = learner("probe", penalty=0.01).fit(feed(data, "logit_adjustment"), run).predict(data.val)
    assert (twin - sampled).abs().mean() < 0.3 * (alone - sampled).abs().mean()


def test_a_probe_with_a_related_dataset_adjusts_its_own_classes_and_may_take_rows_for_gaussians(tmp_path):
    data, other = uneven(), uneven(1).train
    lent, run = dataclasses.replace(other, y=other.y + 3), Run(folder=tmp_path)
    adjusted, plain = (learner("probe", penalty=0.01).fit(feed(data, b, source=lent), run).predict(data.val) for b in ("logit_adjustment", "none"))
    assert adjusted[:, 2].mean() > 1.5 * plain[:, 2].mean()
    twin = isda(covariance="calibrated").train(learner("probe", penalty=0.01), feed(data, "logit_adjustment", source=lent), run).predict(data.val)
    assert 0 < (twin - adjusted).abs().max() < 0.5


def test_a_learner_that_cannot_take_rows_for_gaussians_is_told_the_way_out(tmp_path):
    with pytest.raises(UsageError, match="cnn") as caught:
        isda().train(learner("cnn", steps=1), feed(toy_data()), Run(folder=tmp_path))
    assert "mix" in caught.value.help and not isda().idle(transformed=False, synthetic=False)


# Differences


def test_pairs_are_of_one_class_and_never_a_row_with_itself():
    y = torch.tensor([0] * 20 + [1] * 3 + [2])
    rows, anchors, of = paired(y, 4, stream("pairs"))
    assert torch.equal(y[rows], y[anchors]) and torch.equal(of, y[rows]) and (rows != anchors).all()
    assert torch.bincount(of, minlength=4).tolist() == [20 * PARTNERS, 3 * 2, 0, 0]
    assert len(set(zip(rows.tolist(), anchors.tolist(), strict=True))) == len(rows)
    alone = paired(torch.arange(3), 3, stream("pairs"))
    assert (alone[0] != alone[1]).all() and (alone[2] == 0).all() and len(paired(torch.tensor([1]), 3, stream("one"))[0]) == 1


@pytest.fixture(scope="module")
def differing(tmp_path_factory):
    """Classes of one covariance, stretched along an axis, of which the last has three rows; and the generator that learnt them."""
    y = torch.cat([torch.full((n,), k) for k, n in enumerate((150, 150, 3))])
    x = torch.randn((303, 8), generator=stream("differing")) * torch.tensor([3.0] + [0.3] * 7) + 4 * torch.randn((3, 8), generator=stream("at"))[y]
    spec = Spec(kind="continuous", shape=(8,), classes=("a", "b", "c"), bounded=False)
    rows = Samples.real(x, y, z=x)
    data = Data(train=rows, val=rows.take([]), spec=spec, codec=ToyCodec(spec))
    delta = make("generators", Choice(name="delta", settings={"steps": 800, "latent": 4, "width": 64}))
    return data, delta.fit(data, Run(folder=tmp_path_factory.mktemp("delta")))


def test_a_rare_class_varies_as_the_populated_ones_do(differing):
    data, delta = differing
    rare = data.train.x[data.train.y == 2]
    drawn = delta.sample(torch.full((1500,), 2), row_seeds(1500, "delta"))
    assert (drawn.mean(0) - rare.mean(0)).abs().max() < 1.5
    assert drawn[:, 0].std() > 1.2 * rare[:, 0].std(correction=0) and drawn[:, 0].std() > 2.0
    assert drawn[:, 1:].std(0).max() < 1.0


def test_differences_come_from_other_classes(differing):
    _, delta = differing
    y = torch.arange(600) % 3
    anchor, code = delta.picked(y, row_seeds(600, "picked"))
    own = (code >= delta.lent_[y]) & (code < delta.lent_[y + 1])
    assert not own.any() and code.max() < len(delta.codes_) and len(code[y == 2].unique()) > 100
    assert ((anchor >= delta.starts_[y]) & (anchor < delta.starts_[y + 1])).all()


# Weights and soft labels


def told():
    """Toy rows with twelve synthetic ones that count for two classes each, with weights from 0.1 to 1.9."""
    data = toy_data(30, (1, 8, 8))
    extra = synthetic(data, 12)
    weight = torch.linspace(0.1, 1.9, 12)
    soft = (0.75 * one_hot(extra.y, 3) + 0.25 * one_hot((extra.y + 1) % 3, 3)) * weight[:, None]
    return data, dataclasses.replace(extra, soft=soft), weight


def test_a_batch_carries_the_soft_labels_and_weights_of_its_synthetic_rows():
    data, extra, weight = told()
    mixed_in = feed(data, synthetic=extra, share=0.5)
    batch, plain = mixed_in.batch(0, 24, 0), feed(data, synthetic=dataclasses.replace(extra, soft=None), share=0.5).batch(0, 24, 0)
    assert torch.equal(batch.x, plain.x) and torch.equal(batch.y[:12], plain.y[:12]) and torch.equal(batch.w[:12], plain.w[:12])
    torch.testing.assert_close(batch.y.sum(1), torch.ones(24))
    assert set(batch.y[12:].flatten().mul(100).round().int().tolist()) == {0, 25, 75}
    torch.testing.assert_close(batch.w[12:].sort().values, weight, atol=1e-5, rtol=0)


def test_a_table_holds_a_soft_row_once_for_each_class_and_keeps_the_share():
    data, extra, _ = told()
    rows, w = feed(data, synthetic=extra, share=0.4).table()
    drawn = rows.maker >= 0
    assert int(drawn.sum()) == 24 and w[drawn].sum() / w.sum() == pytest.approx(0.4, abs=1e-5)
    mass = torch.zeros(12, 3)
    at = {int(k): i for i, k in enumerate(extra.key)}
    for key, label, own in zip(rows.key[drawn].tolist(), rows.y[drawn].tolist(), w[drawn].tolist(), strict=True):
        mass[at[key], label] += own
    torch.testing.assert_close(mass / mass.sum(), extra.soft / extra.soft.sum(), atol=1e-5, rtol=0)
    tiny = dataclasses.replace(extra, soft=one_hot(extra.y, 3) + 0.5 * LEAST)
    assert int((feed(data, synthetic=tiny).table()[0].maker >= 0).sum()) == 12


def test_what_is_taught_as_prior_is_what_soft_labels_say():
    data, extra, _ = told()
    given: Feed = feed(data, "logit_adjustment", synthetic=extra, share=0.5)
    real = data.train.counts(3) / len(data.train)
    torch.testing.assert_close(given.log_prior.exp(), 0.5 * real + 0.5 * extra.soft.sum(0) / extra.soft.sum())


def test_a_row_of_no_weight_teaches_nothing(tmp_path):
    """Wrong labels at a hundred-thousandth of the weight of right ones do no harm; alike in weight they do."""
    data = toy_data(60)
    right, wrong = synthetic(data, 60), dataclasses.replace(synthetic(data, 60), y=(synthetic(data, 60).y + 1) % 3)
    both = right + wrong
    weight = torch.cat([torch.ones(60), torch.full((60,), 1e-5)])
    weighed = dataclasses.replace(both, soft=one_hot(both.y, 3) * (weight * 120 / weight.sum())[:, None])
    run, given = Run(folder=tmp_path), [feed(data, synthetic=s, share=0.5) for s in (weighed, right, both)]
    taught = [learner("probe", penalty=0.01).fit(own, run).predict(data.val) for own in given]
    assert (taught[0] - taught[1]).abs().max() < 0.02 < (taught[2] - taught[1]).abs().max()


def test_a_shard_tells_what_its_rows_count_for(tmp_path):
    y, keep = torch.tensor([0, 1, 2, 1]), torch.tensor([True, True, False, True])
    judged = torch.tensor([[0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.5, 0.0]])
    z = torch.randn((4, 5), generator=stream("shard"))
    save_tensors(
        tmp_path / "rows.safetensors", {"y": y, "key": torch.arange(4), "z": z, "keep": keep, "part": torch.zeros(4).long(), "judged": judged}
    )
    write_table(tmp_path / "table.parquet", {"score_agreement": [0.5, 0.1, 0.01, float("nan")]})
    assert read_shard(tmp_path, "g").soft is None
    soft, weighed = read_shard(tmp_path, "g", soft=0.5).soft, read_shard(tmp_path, "g", weigh="agreement").soft
    torch.testing.assert_close(soft, torch.tensor([[0.8, 0.2, 0.0], [0.0, 1.0, 0.0], [0.25, 0.75, 0.0]]))
    torch.testing.assert_close(weighed, torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.1, 0.0], [0.0, 1.0, 0.0]]))
    stricter = read_shard(tmp_path, "g", part=0, cuts={"agreement": 0.2}, weigh="agreement", soft=1.0)
    assert stricter.key.tolist() == [0, 3] and stricter.soft[0].tolist() == pytest.approx([0.3, 0.2, 0.0])


def test_the_judges_give_labels_that_follow_the_rows_not_what_they_claim(tmp_path):
    data = uneven()
    screen = make("screens", Choice(name="agreement")).fit(data, Run(folder=tmp_path))
    row = data.train.x[:1] * 0 + data.train.x[data.train.y == 0].mean(0)
    claims = Samples.synthetic("g", row.repeat(2, 1), torch.tensor([0, 1]), torch.arange(2), z=row.repeat(2, 1))
    p = screen.taken_for(claims)
    torch.testing.assert_close(p.sum(1), torch.ones(2))
    assert p.argmax(1).tolist() == [0, 0] and p[:, 0].min() > 0.5
    lone = Data(train=data.train.take(torch.cat([torch.arange(100), torch.tensor([240])])), val=data.val, spec=data.spec, codec=data.codec)
    judged = make("screens", Choice(name="agreement")).fit(lone, Run(folder=tmp_path)).taken_for(dataclasses.replace(claims, y=torch.tensor([2, 2])))
    assert torch.equal(judged, torch.tensor([[0.0, 0.0, 1.0]] * 2)), "a class of one row cannot be judged and keeps its label"


def test_a_run_draws_differences_and_a_policy_weighs_and_softens_its_rows(tmp_path):
    data = folder(tmp_path / "digits", per_class=16, classes=3)
    asked = {"seeds": 1, "test": 0.25, "folds": None, "generators": ("delta", "feature"), "learner": ("probe",), "ratio": 2.0}
    run = augmind.expand(data, tmp_path / "r", **TINY | asked)
    assert [g["name"] for g in run.record["generators"]] == ["delta", "feature"] and set(run.table()["generator"]) == {"delta", "feature"}
    job = Job(run.folder)
    plain = default_policy(job, "probe", Classical(name="none"), generators=True, fold="0")
    policy = dataclasses.replace(plain, weigh="agreement", soft=0.5)
    rows, before = synthetic_rows(job, "0", policy, 0), synthetic_rows(job, "0", plain, 0)
    assert before.soft is None and torch.equal(rows.x, before.x) and rows.soft.sum().item() == pytest.approx(len(rows), rel=1e-4)
    assert rows.soft.sum(1).std() > 0.1 and (rows.soft[torch.arange(len(rows)), rows.y] >= 0.5 * rows.soft.sum(1) - 1e-5).all()
    real = job.fold_rows("0")
    assert taught(job, "0", policy, real, 0, job.run("taught")).predict(real).shape == (len(real), 3)
