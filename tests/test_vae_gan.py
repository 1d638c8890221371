"""The autoencoder and the adversarial generator: what they learn, keep, refuse and survive."""

import dataclasses
from functools import cache
from pathlib import Path

import pytest
import torch

from augmind.core.errors import WrongSpec
from augmind.core.run import Run
from augmind.core.seeds import row_seeds
from augmind.core.tensors import load_tensors, save_tensors
from augmind.core.types import Samples, Spec
from augmind.generators.gan import Gan
from augmind.generators.vae import Vae, gaussian_nll, kl
from augmind.nn.adversarial import gradient_penalty, real_variety, variety
from augmind.nn.critics import critic
from augmind.nn.decoders import decoder
from augmind.nn.diffaugment import POLICIES, cutout, saturation, translation
from augmind.nn.ema import ema
from augmind.nn.encoders import encoder
from augmind.nn.posteriors import MARGIN
from augmind.nn.standard import Standard
from augmind.testing import toy_data

SHAPE = (1, 12, 12)
QUICK = {"width": 8, "latent": 8, "batch": 16}
RUN = Run(folder=Path("unused"), seed=3)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def grids():
    return toy_data(30, SHAPE, 3)


def vectors():
    """Three Gaussian classes in 6 dimensions whose scales differ by a thousand."""
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 3
    means = torch.randn(3, 6, generator=rng) * 4
    x = (means[y] + torch.randn(60, 6, generator=rng)) * torch.logspace(-1, 2, 6) + 5
    samples = Samples.real(x, y)
    spec = Spec(kind="continuous", shape=(6,), classes=("a", "b", "c"), bounded=False)
    return dataclasses.replace(grids(), train=samples, val=samples, spec=spec)


MADE = {
    "vae of grids": (Vae, {"steps": 150, "lr": 4e-3}, grids),
    "vae of grids, vamp": (Vae, {"steps": 150, "lr": 4e-3, "draw": "vamp"}, grids),
    "vae of vectors, vamp": (Vae, {"steps": 200, "lr": 4e-3, "draw": "vamp"}, vectors),
    "vae of vectors": (Vae, {"steps": 200, "lr": 4e-3}, vectors),
    "gan of grids": (Gan, {"steps": 200, "lr": 2e-3, "critic_lr": 2e-3}, grids),
    "gan of vectors": (Gan, {"steps": 250, "lr": 2e-3, "critic_lr": 2e-3}, vectors),
}


@cache
def fitted(name):
    plugin, settings, make = MADE[name]
    data = make()
    return plugin(**QUICK, **settings).fit(data, RUN), data


each = pytest.mark.parametrize("name", MADE)


@each
def test_rows_lie_nearest_to_the_real_mean_of_the_class_asked_for(name):
    generator, data = fitted(name)
    real = Standard(data.spec).fit(data.spec.to_model(data.train.x))
    x, y = real(data.spec.to_model(data.train.x)).flatten(1), torch.arange(90) % 3
    means = torch.stack([x[data.train.y == k].mean(0) for k in range(3)])
    drawn = real(generator.sample(y, row_seeds(90, "drawn"))).flatten(1)
    assert (torch.cdist(drawn, means).argmin(1) == y).float().mean() >= 0.9


@each
def test_a_row_is_finite_in_range_and_a_function_of_its_label_and_seed(name):
    generator, data = fitted(name)
    y, seeds = torch.arange(70) % 3, row_seeds(70, "rows")
    x = generator.sample(y, seeds)
    assert x.shape == (70, *data.spec.shape) and torch.isfinite(x).all()
    assert not data.spec.bounded or x.abs().max() <= 1
    scale = x.abs().max().item()
    torch.testing.assert_close(generator.sample(y[5:8], seeds[5:8]), x[5:8], atol=1e-5 * scale, rtol=0)
    other = generator.sample(y[5:8], seeds[15:18])
    assert ((other - x[5:8]).flatten(1).abs().amax(1) > 1e-3).all()


@each
def test_saved_and_restored_it_draws_the_very_same_rows(name, tmp_path):
    generator, data = fitted(name)
    save_tensors(tmp_path / "g.safetensors", generator.state())
    again = type(generator)(**generator.settings()).restore(data.spec, load_tensors(tmp_path / "g.safetensors"))
    y, seeds = torch.arange(20) % 3, row_seeds(20, "again")
    assert torch.equal(again.sample(y, seeds), generator.sample(y, seeds))


@pytest.mark.parametrize("plugin", [Vae, Gan])
def test_the_same_seed_trains_the_same_generator_and_another_seed_another(plugin):
    data, y, seeds = grids(), torch.arange(6) % 3, row_seeds(6, "seed")
    a, b, c = (plugin(**QUICK, steps=50).fit(data, dataclasses.replace(RUN, seed=s)).sample(y, seeds) for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.allclose(a, c, atol=1e-2)


@pytest.mark.parametrize("plugin", [Vae, Gan])
def test_data_that_it_cannot_model_is_refused(plugin):
    tokens = Spec(kind="tokens", shape=(12,), classes=("a",))
    with pytest.raises(WrongSpec, match="tokens"):
        plugin().restore(tokens, {})
    flat = Spec(kind="continuous", shape=(4, 4), classes=("a",))
    with pytest.raises(WrongSpec, match="grids"):
        plugin().fit(dataclasses.replace(grids(), spec=flat), RUN)


@pytest.mark.parametrize("plugin", [Vae, Gan])
def test_broken_rows_met_once_roll_the_training_back(plugin, monkeypatch):
    data, seen = grids(), []
    original = Standard.forward

    def spoilt(self, x):
        seen.append(len(x))
        return original(self, x) * (float("nan") if len(seen) == 70 else 1.0)

    monkeypatch.setattr(Standard, "forward", spoilt)
    generator = plugin(**QUICK, steps=100).fit(data, RUN)
    assert generator.curves_.rollbacks == 1 and generator.curves_.findings[0].code == "AM201"
    assert torch.isfinite(generator.sample(torch.arange(3), torch.arange(3))).all()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 21), (1, 28, 28), (2, 40, 50), (1, 64, 64)])
@pytest.mark.parametrize("bounded", [True, False])
def test_networks_fit_grids_of_any_size(shape, bounded):
    x, y = torch.randn(2, *shape), torch.tensor([0, 1])
    assert decoder(shape, 5, 2, 8, bounded)(torch.randn(2, 5), y).shape == x.shape
    net = encoder(shape, 8)
    assert net(x).shape == (2, net.features)
    assert critic(shape, 2, 8, True)(x, y).shape == (2,)


def test_the_kl_term_comes_in_linearly():
    vae = Vae(steps=1000, warmup=0.2, beta=2.0)
    assert [vae.pressure(t) for t in (0, 50, 100, 200, 900)] == [0.0, 0.5, 1.0, 2.0, 2.0]
    assert Vae(warmup=0.0).pressure(1) == 1.0


def test_kl_and_likelihood_have_their_closed_forms():
    mean, variance = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.25, 4.0]])
    p, q = torch.distributions.Normal(0, 1), torch.distributions.Normal(mean, variance.sqrt())
    assert kl(mean, variance.log()).item() == pytest.approx(torch.distributions.kl_divergence(q, p).sum().item(), rel=1e-5)
    x, off = torch.zeros(4, 10), 0.3
    best = -torch.distributions.Normal(off, off).log_prob(x).sum(1).mean() - 5 * torch.log(torch.tensor(2 * torch.pi))
    assert gaussian_nll(torch.full_like(x, off), x).item() == pytest.approx(best.item(), rel=1e-4)


def test_interpolated_latents_lie_between_two_rows_of_the_class_and_repeat_neither():
    vae, _ = fitted("vae of grids")
    quiet = dataclasses.replace(vae)
    quiet.starts_, quiet.posteriors_ = vae.starts_, vae.posteriors_.clone()
    quiet.posteriors_[1] = -100.0
    y = torch.arange(60) % 3
    for z, k in zip(quiet.latents(y, row_seeds(60, "between")), y.tolist(), strict=True):
        own = vae.posteriors_[0, vae.starts_[k] : vae.starts_[k + 1]]
        a, b = torch.combinations(torch.arange(len(own))).unbind(1)
        pair = own[b] - own[a]
        part = ((z - own[a]) * pair).sum(1) / pair.square().sum(1)
        error = (own[a] + part[:, None] * pair - z).norm(dim=1)
        best = error.argmin()
        assert error[best] < 1e-3 and MARGIN - 1e-3 <= part[best] <= 1 - MARGIN + 1e-3


def test_latents_of_the_fitted_density_have_the_moments_of_those_of_the_rows():
    source, _ = fitted("vae of grids")
    vae = dataclasses.replace(source, draw="density")
    vae.posteriors_, vae.starts_, vae.density_ = source.posteriors_, source.starts_, source.density_
    for k in range(3):
        own = vae.posteriors_[0, vae.starts_[k] : vae.starts_[k + 1]]
        z = vae.latents(torch.full((4000,), k), row_seeds(4000, "density", k))
        assert (z.mean(0) - own.mean(0)).abs().max() < 0.12
    centred = torch.cat(
        [vae.posteriors_[0, vae.starts_[k] : vae.starts_[k + 1]] - vae.posteriors_[0, vae.starts_[k] : vae.starts_[k + 1]].mean(0) for k in range(3)]
    )
    total = centred.square().sum() / (len(centred) - 3) + 8 * vae.posteriors_[1].exp().mean()
    assert float(z.var(0).sum()) == pytest.approx(float(total), rel=0.15)


@pytest.mark.parametrize("draw", ["prior", "posterior", "interpolate", "density", "vamp"])
def test_every_way_to_draw_serves_classes_of_one_row_and_of_none(draw):
    data = toy_data(7, SHAPE, 2)
    train = data.train.take(data.train.y == 0) + data.train.take([1])
    spec = dataclasses.replace(data.spec, classes=("many", "one", "none"))
    vae = Vae(**QUICK, steps=50, draw=draw).fit(dataclasses.replace(data, train=train, spec=spec), RUN)
    x = vae.sample(torch.tensor([0, 1, 2]), torch.tensor([4, 5, 6]))
    assert x.shape == (3, *SHAPE) and torch.isfinite(x).all()


def test_gradient_penalty_of_a_linear_critic_is_its_squared_slope():
    slope, x = torch.tensor([3.0, 4.0]), torch.randn(5, 2, requires_grad=True)
    assert gradient_penalty(x @ slope, x).item() == pytest.approx(25.0)


def test_variety_ignores_brightness_and_contrast_and_is_that_of_real_pairs():
    x = toy_data(2, (1, 14, 14), 2).train.x.float() / 127.5 - 1
    assert variety(x[:1], 0.7 * x[:1] + 0.2) < 0.3 * variety(x[:1], x[1:])
    vectors, y = torch.tensor([[0.0], [5.0], [2.0], [9.0]]), torch.tensor([0, 1, 0, 1])
    assert real_variety(vectors, y).item() == pytest.approx((2 + 4) / 2)
    assert real_variety(vectors, torch.arange(4)).item() == 0


@pytest.mark.parametrize("settings", [{"spectral": True, "r1": 0.0, "diversity": 0.0, "augment": "full"}, {"augment": "none"}])
def test_the_adversarial_game_can_be_played_by_other_rules(settings):
    gan = Gan(**QUICK, steps=50, **settings).fit(grids(), RUN)
    assert gan.curves_.steps == 50 and torch.isfinite(gan.sample(torch.tensor([0]), torch.tensor([0]))).all()


def test_augmentation_of_grids_is_differentiable_and_moves_but_does_not_invent():
    torch.manual_seed(0)
    x = torch.rand(40, 3, 16, 16, requires_grad=True)
    POLICIES["full"](x).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all() and x.grad.abs().sum() > 0
    assert torch.isin(translation(x.detach()), x.detach()).all()
    kept = (cutout(x.detach()) != 0).float().mean((1, 2, 3))
    assert kept.min() >= 1 - (6 / 16) ** 2 - 1e-6 and kept.max() < 1
    torch.testing.assert_close(saturation(x).mean(1), x.mean(1))
    assert torch.equal(saturation(x[:, :1]), x[:, :1])


def test_the_moving_average_follows_fast_at_first_and_slowly_later():
    net = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(net.weight)
    mean = ema(net, 0.9)
    mean.update_parameters(net)
    torch.nn.init.ones_(net.weight)
    seen = []
    for _ in range(200):
        mean.update_parameters(net)
        seen.append(mean.module.weight.item())
    assert seen[0] == pytest.approx(1 - 2 / 11, abs=1e-5)
    assert (1 - seen[150]) / (1 - seen[149]) == pytest.approx(0.9, abs=0.02) or seen[150] == pytest.approx(1.0, abs=1e-4)


def test_standard_scale_is_undone_exactly_and_leaves_bounded_grids_alone():
    data = vectors()
    standard = Standard(data.spec).fit(data.train.x)
    z = standard(data.train.x)
    torch.testing.assert_close(z.mean(0), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(standard.undo(z), data.train.x, atol=1e-3, rtol=1e-5)
    x = grids().spec.to_model(grids().train.x)
    assert torch.equal(Standard(grids().spec).fit(x)(x), x)
