"""The mixture of posteriors as a prior: its density and its divergence in closed form, whose components a class draws from, what is learnt."""

import dataclasses
import math
from functools import cache
from pathlib import Path

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

from augmind.core.run import Run
from augmind.core.seeds import row_seeds
from augmind.generators.vae import Vae, sampled_kl
from augmind.nn import posteriors as of_rows
from augmind.nn.posteriors import Vamp, log_normal
from augmind.testing import toy_data

RUN = Run(folder=Path("unused"), seed=3)
QUICK = {"width": 8, "latent": 8, "batch": 16, "draw": "vamp", "components": 4}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)


def prior(components: int, classes: int = 2) -> Vamp:
    return Vamp(torch.rand(6, 1, 4, 4), torch.arange(6) % classes, classes, components, True)


def posteriors(n: int, size: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    return 2 * torch.randn(n, size), 0.5 * torch.randn(n, size)


@pytest.mark.parametrize("components", [1, 5])
def test_the_prior_of_a_class_is_the_mixture_of_its_own_posteriors(components):
    mean, log_variance = posteriors(2 * components)
    z, y = torch.randn(20, 3), torch.arange(20) % 2
    told = prior(components).log_prob(z, y, mean, log_variance)
    for k in range(2):
        own = slice(k * components, (k + 1) * components)
        parts = Independent(Normal(mean[own], (0.5 * log_variance[own]).exp()), 1)
        known = MixtureSameFamily(Categorical(torch.ones(components)), parts)
        torch.testing.assert_close(told[y == k], known.log_prob(z[y == k]), atol=1e-4, rtol=1e-4)


def test_with_one_component_the_estimate_is_the_divergence_of_two_gaussians():
    (means, log_variances), (mean, log_variance) = posteriors(2), posteriors(2)
    n, y = 60_000, torch.tensor([0, 1])
    mean, log_variance, y = (v.repeat_interleave(n, 0) for v in (mean, log_variance, y))
    z = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape)
    told = sampled_kl(z, mean, log_variance, prior(1).log_prob(z, y, means, log_variances)).item()
    q, p = (Normal(m, (0.5 * v).exp()) for m, v in ((mean[::n], log_variance[::n]), (means, log_variances)))
    assert told == pytest.approx(kl_divergence(q, p).sum(1).mean().item(), rel=0.02)


def test_a_row_that_is_the_only_component_of_its_class_costs_nothing():
    mean, log_variance = posteriors(2)
    z = mean + (0.5 * log_variance).exp() * torch.randn(2, 3)
    assert sampled_kl(z, mean, log_variance, prior(1).log_prob(z, torch.arange(2), mean, log_variance)).item() == pytest.approx(0, abs=1e-5)
    one_of_four = prior(4).log_prob(z, torch.arange(2), mean.repeat_interleave(4, 0), log_variance.repeat_interleave(4, 0))
    torch.testing.assert_close(one_of_four, log_normal(z, mean, log_variance))


def test_pseudo_inputs_start_near_real_rows_of_their_class_and_stay_in_range(monkeypatch):
    monkeypatch.setattr(of_rows, "APART", 0.05)
    x, y = 2 * torch.rand(9, 1, 4, 4) - 1, torch.tensor([0] * 7 + [1] * 2)
    rows, labels = Vamp(x, y, 3, 5, True)()
    assert labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5 and rows.abs().max() <= 1
    distance = torch.cdist(rows.flatten(1), x.flatten(1))
    for k, own in ((0, x[y == 0]), (1, x[y == 1]), (2, x)):
        assert torch.cdist(rows[labels == k].flatten(1), own.flatten(1)).amin(1).max() < 2 * 0.05 * math.sqrt(16)
    assert len(distance[:5].argmin(1).unique()) == 5  # as many rows as there are, before one stands twice


@cache
def fitted(components: int = 4):
    data = toy_data(30, (1, 12, 12), 3)
    return Vae(**(QUICK | {"components": components}), steps=150, lr=4e-3).fit(data, RUN), data


def test_rows_of_a_class_are_drawn_from_every_component_of_that_class_and_of_no_other():
    vae, _ = fitted()
    quiet = dataclasses.replace(vae)
    quiet.starts_, quiet.posteriors_ = vae.starts_, vae.posteriors_.clone()
    quiet.posteriors_[1] = -100.0
    y = torch.arange(120) % 3
    nearest = torch.cdist(quiet.latents(y, row_seeds(120, "components")), quiet.posteriors_[0]).min(1)
    assert nearest.values.max() < 1e-2 and torch.equal(nearest.indices // 4, y) and len(nearest.indices.unique()) == 12


def test_pseudo_inputs_are_learnt_and_what_is_kept_is_their_posteriors(monkeypatch):
    made: list[Vamp] = []
    original = Vae._vamp
    monkeypatch.setattr(Vae, "_vamp", lambda *given: made.append(original(*given)) or made[-1])
    data, start = toy_data(30, (1, 12, 12), 3), []
    monkeypatch.setattr(Vamp, "to", lambda self, device: start.append(self.rows.detach().clone()) or self)
    vae = Vae(**QUICK, steps=60).fit(data, RUN)
    assert 0.01 < float((made[0].rows - start[0]).detach().abs().mean()) < 0.5
    with torch.no_grad():
        mean, log_variance = vae.net_.posterior(*made[0]())
    torch.testing.assert_close(vae.posteriors_, torch.stack([mean, log_variance]), atol=1e-4, rtol=1e-4)
    assert vae.starts_.tolist() == [0, 4, 8, 12] and "kl" in vae.curves_.points
