"""Metrics against peers, closed forms and invariances; intervals against the truth."""

import contextlib
import io
import math

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from augmind.core.errors import UsageError
from augmind.core.registry import find, make, names
from augmind.core.types import Choice
from augmind.metrics import bootstrap
from augmind.nn import neighbours
from augmind.nn.neighbours import nearest, polar, standardise

MANIFOLD = ("precision", "recall", "density", "coverage")


def metric(name, **settings):
    return make("metrics", Choice(name=name, settings=settings))


def draw(n, seed, d=32):
    return torch.randn((n, d), generator=torch.Generator().manual_seed(seed)) * torch.linspace(0.2, 2, d)


def digits(n, m):
    x = torch.tensor(load_digits(return_X_y=True)[0]).float()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return x[order[:n]], x[order[n : n + m]]


def pairs():
    real, other = digits(500, 400)
    rng = torch.Generator().manual_seed(1)
    return {
        "random": (draw(300, 1), draw(400, 2) + 0.1),
        "few rows": (draw(30, 3, d=64), draw(24, 4, d=64)),
        "fresh digits": (real, other),
        "noisy digits": (real, other + 3 * torch.randn(other.shape, generator=rng)),
    }


@pytest.mark.parametrize("case", list(pairs()))
def test_precision_recall_density_and_coverage_equal_the_prdc_package(case):
    from prdc import compute_prdc

    real, synthetic = pairs()[case]
    with contextlib.redirect_stdout(io.StringIO()):
        peer = compute_prdc(real.double().numpy(), synthetic.double().numpy(), nearest_k=5)
    ours = {name: metric(name).measure(real, synthetic) for name in MANIFOLD}
    assert ours == pytest.approx({name: float(peer[name]) for name in MANIFOLD}, abs=1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", list(pairs()))
def test_frechet_and_kernel_distance_equal_torchmetrics(case):
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    real, synthetic = (rows[: min(map(len, pairs()[case]))] for rows in pairs()[case])
    features = nn.Identity()
    features.num_features = real.shape[1]
    peer = FrechetInceptionDistance(feature=features).set_dtype(torch.float64)
    peer.update(real.double(), real=True)
    peer.update(synthetic.double(), real=False)
    assert metric("frechet").measure(real, synthetic) == pytest.approx(float(peer.compute()), rel=1e-4)
    peer = KernelInceptionDistance(feature=features, subsets=1, subset_size=len(real))
    peer.update(real.double(), real=True)
    peer.update(synthetic.double(), real=False)
    kernel = float(peer.compute()[0])
    assert metric("kid").measure(real, synthetic) == pytest.approx(kernel, rel=1e-5, abs=1e-6)


def with_moments(n, mean, scales, seed):
    """n rows whose sample mean and unbiased sample covariance are exactly `mean` and diag(scales^2)."""
    x = draw(n, seed, d=len(scales)).double()
    q, _ = torch.linalg.qr(x - x.mean(0))
    return (q * math.sqrt(n - 1) * scales + mean).float()


@pytest.mark.parametrize("n", [16, 200])
def test_frechet_distance_of_gaussians_is_the_formula(n):
    a, b = torch.linspace(0.5, 2, 12, dtype=torch.float64), torch.linspace(3, 0.1, 12, dtype=torch.float64)
    shift = torch.linspace(-1, 1, 12, dtype=torch.float64)
    expected = float(shift.square().sum() + (a - b).square().sum())
    found = metric("frechet").measure(with_moments(n, 0 * shift, a, 1), with_moments(200, shift, b, 2))
    assert found == pytest.approx(expected, rel=1e-4)


def test_frechet_distance_survives_features_that_never_vary():
    real, synthetic = draw(200, 1), draw(300, 2)
    dead = torch.zeros(1, 8)
    more = metric("frechet").measure(torch.cat([real, dead.expand(200, 8)], 1), torch.cat([synthetic, dead.expand(300, 8)], 1))
    assert more == pytest.approx(metric("frechet").measure(real, synthetic), rel=1e-6)


def test_kernel_distance_is_the_mean_over_pairs_and_its_parts_agree():
    a, b = draw(40, 1).double(), draw(50, 2).double() + 0.3

    def mean(x, y, same):
        k = (x @ y.T / x.shape[1] + 1) ** 3
        return (k.sum() - k.diagonal().sum()) / (len(x) * (len(x) - 1)) if same else k.mean()

    expected = float(mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False))
    assert metric("kid").measure(a.float(), b.float()) == pytest.approx(expected, rel=1e-4)
    many = draw(2000, 3), draw(2500, 4) + 0.5
    assert metric("kid", most=600).measure(*many) == pytest.approx(metric("kid").measure(*many), rel=0.1)


def test_kernel_distance_of_one_distribution_is_zero_on_average():
    found = torch.tensor([metric("kid").measure(draw(60, 2 * i), draw(80, 2 * i + 1)) for i in range(40)])
    assert abs(found.mean()) < 3 * found.std() / 40**0.5 and (found < 0).any()


def test_a_set_against_itself_is_perfect():
    x = draw(120, 1)
    assert {name: metric(name).measure(x, x) for name in MANIFOLD} == dict.fromkeys(MANIFOLD, 1.0)
    assert metric("frechet").measure(x, x) == pytest.approx(0, abs=1e-5)


def test_far_sets_share_nothing_and_one_mode_is_precise_without_recall():
    real = torch.cat([draw(100, 1), draw(100, 2) + 50])
    assert [metric(name).measure(real, draw(90, 3) - 500) for name in MANIFOLD] == [0, 0, 0, 0]
    mode = draw(400, 4) * 0.7
    assert metric("precision").measure(real, mode) > 0.9
    assert metric("recall").measure(real, mode) < 0.5 and metric("coverage").measure(real, mode) <= 0.5


def test_figures_ignore_order_rotation_translation_and_the_size_of_blocks(monkeypatch):
    real, synthetic = draw(150, 1), draw(130, 2) * 1.1
    figures = {name: find("metrics", name)().measure(real, synthetic) for name in names("metrics") if name != "kid"}
    turn, _ = torch.linalg.qr(torch.randn((32, 32), generator=torch.Generator().manual_seed(5)))
    monkeypatch.setattr(neighbours, "ENTRIES", 1000)
    order = torch.randperm(130, generator=torch.Generator().manual_seed(6))
    moved = {name: metric(name).measure(real @ turn + 3, (synthetic @ turn + 3)[order]) for name in figures}
    assert moved == pytest.approx(figures, rel=1e-3)
    whole = metric("kid").measure(real, synthetic)
    assert metric("kid").measure(real, synthetic[order]) == pytest.approx(whole, rel=1e-5)


def test_too_few_rows_are_a_finding_and_not_a_crash():
    metrics = {name: metric(name) for name in names("metrics")}
    for n in (0, 1, 2, 11):
        intervals, findings = bootstrap(metrics, draw(n, 1), draw(200, 2))
        assert all(map(math.isnan, (v for found in intervals.values() for v in found)))
        assert [f.code for f in findings] == ["AM501"] and str(n) in findings[0].text
    intervals, findings = bootstrap(metrics, draw(12, 1), draw(12, 2))
    assert [f.code for f in findings] == ["AM503", "AM502"]
    assert all(math.isfinite(found.value) and math.isnan(found.low) for found in intervals.values())
    assert [f.code for f in bootstrap({"kid": metric("kid")}, draw(12, 1), draw(12, 2))[1]] == ["AM503"]


@pytest.mark.parametrize("k", [0, -3])
def test_a_manifold_needs_a_neighbour(k):
    with pytest.raises(UsageError, match="k="):
        metric("precision", k=k)


def test_intervals_cover_the_value_that_repeated_samples_have_on_average():
    metrics = {name: metric(name) for name in names("metrics")}
    runs = [bootstrap(metrics, draw(100, 2 * i), draw(140, 2 * i + 1) + 0.15, resamples=16, seed=i)[0] for i in range(24)]
    for name in metrics:
        values = torch.tensor([run[name].value for run in runs])
        truth = float(values.mean())
        covered = sum(run[name].low <= truth <= run[name].high for run in runs)
        width = sum(run[name].high - run[name].low for run in runs) / len(runs)
        assert covered >= 19, name
        assert width < 3 * 3.92 * float(values.std()), name


def test_intervals_are_repeatable_and_stay_within_the_limits():
    metrics = {name: metric(name) for name in MANIFOLD}
    x, y = draw(60, 1), draw(60, 2)
    first, again = (bootstrap(metrics, x, y, seed=3)[0] for _ in range(2))
    assert first == again != bootstrap(metrics, x, y, seed=4)[0]
    assert all(0 <= found.low <= found.value <= found.high for found in first.values())
    assert first["coverage"].high <= 1 and first["recall"].high <= 1


def test_neighbours_are_exact_even_for_nearly_equal_rows_far_from_the_origin(monkeypatch):
    monkeypatch.setattr(neighbours, "ENTRIES", 50_000)
    base = draw(200, 1) + 300
    query = base[:50] + 1e-3 * draw(50, 2)
    distances, positions = nearest(query, base, 3)
    expected = torch.cdist(query.double(), base.double(), compute_mode="donot_use_mm_for_euclid_dist").topk(3, largest=False)
    assert torch.equal(positions, expected.indices)
    torch.testing.assert_close(distances, expected.values.float(), rtol=1e-5, atol=0)
    distances, positions = nearest(base, base, 1, skip_self=True)
    assert (distances > 0).all() and (positions[:, 0] != torch.arange(200)).all()


def test_polar_rows_are_near_when_they_point_alike_and_have_like_lengths():
    z = torch.tensor([[3.0, 4.0], [6.0, 8.0], [0.0, 0.0]])
    assert torch.allclose(polar(z)[:2], torch.tensor([[0.6, 0.8, math.log(5)], [0.6, 0.8, math.log(10)]]))
    assert torch.isfinite(polar(z)).all()


def test_standardising_does_not_blow_up_a_feature_that_rarely_varies():
    reference = torch.cat([draw(50, 1), torch.full((50, 1), 1e-4)], 1)
    fresh = torch.cat([draw(50, 2), torch.full((50, 1), 2.0)], 1)
    assert standardise(fresh, reference).abs().max() < 10
    assert standardise(reference, reference).mean(0).abs().max() < 1e-5
