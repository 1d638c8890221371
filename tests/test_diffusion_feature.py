"""Flow, Gaussian prior, U-Net and the two generators on them: closed forms, invariances, known limits."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from augmind.core.run import Run
from augmind.core.seeds import row_noise, row_seeds, stream
from augmind.core.types import Data, Knowledge, Samples, Spec
from augmind.generators.diffusion import Diffusion, directions
from augmind.generators.feature import Feature
from augmind.nn.flow import SOLVERS, between
from augmind.nn.gaussian import ClassGaussian, shrinkage
from augmind.nn.mlp import Mlp
from augmind.nn.symmetry import CONDITIONS, Symmetry
from augmind.nn.unet import UNet
from augmind.testing import ToyCodec, toy_data


def vectors(n: int, d: int, classes: int = 2, seed: int = 0) -> Data:
    """Rows from Gaussians with means far apart and a shared covariance of decaying variances."""
    rng = stream("vectors", seed)
    y = torch.arange(n) % classes
    mean = torch.randn((classes, d), generator=stream("means", d)) * 3
    x = mean[y] + torch.randn((n, d), generator=rng) * torch.linspace(2.0, 0.2, d)
    spec = Spec(kind="continuous", shape=(d,), classes=tuple("abcdef"[:classes]), bounded=False)
    samples = Samples.real(x, y)
    return Data(train=samples, val=samples, spec=spec, codec=ToyCodec(spec))


def gaussian(d: int = 6, rank: int = 2) -> ClassGaussian:
    basis = torch.linalg.qr(torch.randn((d, d), generator=stream("basis"))).Q[:, :rank]
    mean = torch.randn((3, d), generator=stream("mean"))
    return ClassGaussian(mean=mean, basis=basis, variance=torch.tensor([4.0, 2.0][:rank]), floor=torch.tensor(0.25))


def dense(g: ClassGaussian) -> torch.Tensor:
    d = len(g.basis)
    inside = g.basis @ g.basis.T
    return g.basis @ g.variance.diag() @ g.basis.T + g.floor * (torch.eye(d) - inside)


@pytest.mark.parametrize("shape", [(30, 8), (12, 40)])
def test_shrinkage_is_that_of_scikit_learn(shape):
    x = torch.randn(shape, generator=stream("rows"))
    assert shrinkage(x) == pytest.approx(ledoit_wolf_shrinkage(x.numpy(), assume_centered=True), abs=1e-4)


def test_gaussian_keeps_the_trace_and_finds_the_directions():
    data = vectors(4000, 12)
    g = ClassGaussian.fit(data.train.x, data.train.y, 2, rank=4)
    true = torch.linspace(2.0, 0.2, 12).square()
    assert dense(g).trace().item() == pytest.approx(true.sum().item(), rel=0.05)
    torch.testing.assert_close(g.variance, true[:4], rtol=0.15, atol=0)
    torch.testing.assert_close(g.basis.T @ g.basis, torch.eye(4), atol=1e-5, rtol=0)


def test_gaussian_without_two_rows_of_a_class_takes_the_spread_of_all():
    x = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]])
    g = ClassGaussian.fit(x, torch.arange(3), 4, rank=1)
    torch.testing.assert_close(g.mean[3], x.mean(0))
    assert torch.isfinite(dense(g)).all() and g.variance.item() > 1


def test_draws_have_the_mean_and_covariance_of_the_gaussian():
    g = gaussian()
    y = torch.ones(20_000, dtype=torch.long)
    x = g.draw(y, torch.randn((20_000, 6), generator=stream("draws")), spread=0.5)
    torch.testing.assert_close(x.mean(0), g.mean[1], atol=0.05, rtol=0)
    torch.testing.assert_close(x.T.cov(), 0.5 * dense(g), atol=0.08, rtol=0)


def test_denoiser_is_the_posterior_mean_of_a_gaussian():
    g, t = gaussian(), torch.tensor([0.1, 0.5, 0.99])
    x, y = torch.randn((3, 6), generator=stream("x")), torch.tensor([0, 1, 2])
    for i, a in enumerate((1 - t).tolist()):
        seen = a**2 * dense(g) + (1 - a) ** 2 * torch.eye(6)
        gain = a * dense(g) @ torch.linalg.inv(seen)
        expected = g.mean[i] + gain @ (x[i] - a * g.mean[i])
        torch.testing.assert_close(g.denoise(x, t, y)[i], expected, atol=1e-5, rtol=1e-4)
        left = (dense(g) - a * gain @ dense(g)).trace() / 6
        torch.testing.assert_close(g.doubt(t)[i], left.sqrt(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("solver", "points", "error"), [("euler", 200, 0.05), ("heun", 30, 0.05)])
def test_solvers_walk_a_gaussian_flow_to_its_covariance(solver, points, error):
    g = gaussian()
    y = torch.zeros(4000, dtype=torch.long)
    noise = torch.randn((4000, 6), generator=stream("noise"))
    x = SOLVERS[solver](lambda x, t: (x - g.denoise(x, t, y)) / t[:, None], noise, points)
    torch.testing.assert_close(x, g.draw(y, noise), atol=error, rtol=error)


def test_interpolant_starts_at_data_and_ends_at_noise():
    x, e = torch.randn(3, 2), torch.randn(3, 2)
    torch.testing.assert_close(between(x, e, torch.tensor([0.0, 0.5, 1.0])), torch.stack([x[0], (x[1] + e[1]) / 2, e[2]]))


def test_symmetry_reorders_cells_and_says_how():
    x = torch.arange(64.0).reshape(1, 1, 8, 8).expand(40, 1, 8, 8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        moved = Symmetry.draw(40, 8, 8, 1.0)
        still = Symmetry.draw(40, 8, 8, 0.0)
    assert torch.equal(still(x), x) and not still.condition.any()
    out = moved(x)
    assert torch.equal(out.flatten(1).sort(1).values, x.flatten(1).sort(1).values)
    for row, (down, right, mirrored) in zip(out, moved.condition.tolist(), strict=True):
        expected = (x[0].flip(2) if mirrored else x[0]).roll((round(down), round(right)), (1, 2))
        assert torch.equal(row, expected)
    assert moved.condition[:, 2].unique().tolist() == [0.0, 1.0]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (1, 13, 21), (2, 40, 50), (4, 64, 64), (1, 9, 70)])
def test_unet_takes_grids_of_any_size_and_starts_at_zero(shape):
    c, h, w = shape
    net = UNet(2 * c, c, h, w, hidden=16, classes=4, conditions=CONDITIONS)
    out = net(torch.randn(2, 2 * c, h, w), torch.rand(2), torch.tensor([0, 3]), torch.zeros(2, CONDITIONS))
    assert out.shape == (2, *shape) and not out.any()


def test_unet_depends_on_time_class_and_condition():
    torch.manual_seed(0)
    net = UNet(2, 1, 8, 8, hidden=16, classes=3, conditions=CONDITIONS)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.1)
    x, t, y, c = torch.randn(1, 2, 8, 8), torch.tensor([0.5]), torch.tensor([1]), torch.zeros(1, CONDITIONS)
    base = net(x, t, y)
    torch.testing.assert_close(net(x, t, y, c), base)
    for other in (net(x, t + 0.2, y), net(x, t, y + 1), net(x, t, y, c + 1)):
        assert (other - base).abs().max() > 1e-3


def test_mlp_starts_at_zero_and_depends_on_its_class():
    torch.manual_seed(0)
    net = Mlp(10, 5, hidden=16, classes=3)
    x, t = torch.randn(2, 10), torch.rand(2)
    assert not net(x, t, torch.tensor([0, 1])).any()
    torch.nn.init.normal_(net.last.weight)
    assert (net(x, t, torch.tensor([0, 1])) - net(x, t, torch.tensor([2, 1])))[0].abs().max() > 1e-3


def test_untrained_diffusion_draws_from_the_gaussian_around_class_means(tmp_path):
    data = vectors(400, 5)
    diffusion = Diffusion(steps=50, lr=1e-4, width=16, points=64, augment=0.0).fit(data, Run(folder=tmp_path))
    diffusion.net_.last.weight.data.zero_()
    diffusion.net_.last.bias.data.zero_()
    y, seeds = torch.arange(600) % 2, row_seeds(600, "draw")
    x = diffusion.sample(y, seeds)
    expected = diffusion.prior_.draw(y, row_noise(seeds, (5,))) * diffusion.scale_ + diffusion.centre_
    torch.testing.assert_close(x, expected, atol=0.1, rtol=0.05)


@pytest.mark.parametrize(("shape", "expected"), [((1, 28, 28), 256), ((3, 64, 64), 256), ((3, 128, 128), 85), ((3, 256, 256), 64)])
def test_the_basis_of_the_prior_stays_small_for_large_rows(shape, expected):
    assert directions(math.prod(shape)) == expected


def test_diffusion_learns_what_a_gaussian_cannot_say(tmp_path):
    y = torch.zeros(512, dtype=torch.long)
    angle = torch.rand(512, generator=stream("angles")) * 2 * torch.pi
    ring = Samples.real(torch.stack([angle.cos(), angle.sin()], 1) * 3, y)
    spec = Spec(kind="continuous", shape=(2,), classes=("ring",), bounded=False)
    data = Data(train=ring, val=ring, spec=spec, codec=ToyCodec(spec))
    diffusion = Diffusion(steps=600, batch=128, points=16).fit(data, Run(folder=tmp_path))
    radius = diffusion.sample(y[:256], row_seeds(256, "ring")).norm(dim=1)
    assert abs(radius.mean() - 3) < 0.25 and radius.std() < 0.5
    flat = diffusion.prior_.draw(y[:256], row_noise(row_seeds(256, "ring"), (2,))).norm(dim=1) * 3
    assert radius.std() < 0.5 * flat.std()


@pytest.fixture(scope="module")
def digits() -> tuple[Data, LogisticRegression]:
    """Ten 8 x 8 digits a class to learn from, and a judge taught by the others."""
    x, y = load_digits(return_X_y=True)
    grids = torch.tensor(np.round(x * 255 / 16), dtype=torch.uint8).reshape(-1, 1, 8, 8)
    label = torch.tensor(y)
    few = torch.cat([(label == k).nonzero().squeeze(1)[:10] for k in range(10)])
    rest = torch.ones(len(y), dtype=torch.bool)
    rest[few] = False
    spec = Spec(kind="continuous", shape=(1, 8, 8), classes=tuple("0123456789"))
    codec = ToyCodec(spec)
    train, val = (Samples.real(grids[i], label[i]).with_features(codec.embed(grids[i])) for i in (few, rest.nonzero().squeeze(1)[:100]))
    judge = LogisticRegression(max_iter=500).fit(x[rest.numpy()] / 16, y[rest.numpy()])
    return Data(train=train, val=val, spec=spec, codec=codec), judge


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory) -> Diffusion:
    return Diffusion(steps=120, width=16, points=5).fit(digits[0], Run(folder=tmp_path_factory.mktemp("digits")))


def test_a_short_training_draws_digits_that_a_judge_recognises(digits, trained):
    data, judge = digits
    y = torch.arange(100) % 10
    x = data.spec.to_store(trained.sample(y, row_seeds(100, "digits")))
    assert judge.score(x.flatten(1).numpy() / 255, y.numpy()) > 0.7
    assert len(x.flatten(1).unique(dim=0)) == 100
    assert trained.curves_.points["loss"][-1] < trained.curves_.points["loss"][0]


def test_guidance_makes_classes_purer(digits, trained):
    data, judge = digits
    guided = dataclasses.replace(trained, guidance=3.0).restore(data.spec, trained.state())
    y, seeds = torch.arange(100) % 10, row_seeds(100, "guided")

    def sure(g: Diffusion) -> float:
        x = g.sample(y, seeds).flatten(1).add(1).div(2).numpy()
        return float(judge.predict_proba(x)[np.arange(100), y.numpy()].mean())

    assert sure(guided) > sure(trained)


def test_feature_draws_have_class_means_and_shared_covariance(tmp_path):
    data = vectors(3000, 8)
    feature = Feature(spread=1.0).fit(data, Run(folder=tmp_path))
    y = torch.arange(6000) % 2
    x = feature.sample(y, row_seeds(6000, "feature"))
    for k in range(2):
        torch.testing.assert_close(x[y == k].mean(0), data.train.x[data.train.y == k].mean(0), atol=0.15, rtol=0)
        torch.testing.assert_close(x[y == k].T.cov().diagonal(), torch.linspace(2.0, 0.2, 8).square(), rtol=0.15, atol=0.02)


def test_feature_spread_scales_the_covariance(tmp_path):
    data, run = vectors(200, 8), Run(folder=tmp_path)
    y, seeds = torch.zeros(50, dtype=torch.long), row_seeds(50, "spread")
    one, four = (Feature(spread=s).fit(data, run).sample(y, seeds) - data.train.x[data.train.y == 0].mean(0) for s in (0.5, 2.0))
    torch.testing.assert_close(2 * one, four, atol=1e-4, rtol=1e-4)


def test_feature_state_is_small_for_many_features_and_few_rows(tmp_path):
    rng = stream("wide")
    x, y = torch.randn((60, 1280), generator=rng), torch.arange(60) % 3
    spec = Spec(kind="continuous", shape=(1280,), classes=("a", "b", "c"), bounded=False)
    samples = Samples.real(x, y)
    feature = Feature().fit(Data(train=samples, val=samples, spec=spec, codec=ToyCodec(spec)), Run(folder=tmp_path))
    assert sum(v.numel() for v in feature.state().values()) < 1280 * 70
    drawn = feature.sample(y, row_seeds(60, "w"))
    assert drawn.std().item() == pytest.approx(1.0, abs=0.1)
    assert Feature.knowledge is Knowledge.pretrained


def test_a_class_without_rows_is_drawn_around_the_mean_of_all(tmp_path):
    data = vectors(100, 4)
    wider = dataclasses.replace(data, spec=dataclasses.replace(data.spec, classes=("a", "b", "c")))
    x = Feature().fit(wider, Run(folder=tmp_path)).sample(torch.full((2000,), 2), row_seeds(2000, "none"))
    torch.testing.assert_close(x.mean(0), data.train.x.mean(0), atol=0.2, rtol=0)


def test_diffusion_may_be_trained_on_grids_without_bounds(tmp_path):
    data = toy_data(shape=(1, 8, 12))
    x = data.spec.to_model(data.train.x) * 7 + 40
    spec = dataclasses.replace(data.spec, bounded=False)
    samples = dataclasses.replace(data.train, x=x)
    free = Data(train=samples, val=samples, spec=spec, codec=ToyCodec(spec))
    drawn = Diffusion(steps=50, width=16, points=4).fit(free, Run(folder=tmp_path)).sample(data.train.y, row_seeds(24, "free"))
    assert abs(drawn.mean() - x.mean()) < 1 and 0.5 < drawn.std() / x.std() < 1.5


class Killed(Run):
    """A run that ends abruptly at its first look at the clock, after the first checkpoint."""

    def out_of_time(self) -> bool:
        raise KeyboardInterrupt


def test_killed_training_goes_on_to_the_same_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("augmind.core.loop.CHECKPOINT_SECONDS", -1.0)
    data, make = vectors(60, 5), lambda: Diffusion(steps=100, width=16, points=4)
    whole = make().fit(data, Run(folder=tmp_path / "whole", seed=3))
    folder = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        make().fit(data, Killed(folder=folder, seed=3, checkpoints=folder))
    assert list(folder.glob("*.safetensors"))
    resumed = make().fit(data, Run(folder=folder, seed=3, checkpoints=folder))
    y, seeds = torch.arange(20) % 2, row_seeds(20, "resumed")
    assert torch.equal(resumed.sample(y, seeds), whole.sample(y, seeds))
