"""Several generators as one: what weighs them, who draws, and what they may not be."""

import pytest
import torch

from augmind.core.errors import Diverged, UsageError
from augmind.core.loop import Curves
from augmind.core.run import Run
from augmind.core.seeds import row_seeds
from augmind.generators.ensemble import Ensemble
from augmind.generators.gan import Gan
from augmind.generators.vae import Vae
from augmind.nn.stacking import log_density, stacked, width_of
from augmind.testing import toy_data, toy_samples

DATA = toy_data(42)


def test_weights_are_those_of_the_likeliest_mixture():
    sure = torch.tensor([[0.0, -1000.0]] * 8)
    assert torch.allclose(stacked(sure, prior=1.0), torch.tensor([0.9, 0.1]))
    assert torch.allclose(stacked(torch.zeros(5, 4)), torch.full((4,), 0.25))
    said = torch.randn(40, 2, generator=torch.Generator().manual_seed(0)) * 2
    best = stacked(said, prior=1e-9)[0]
    tried = torch.linspace(0.001, 0.999, 999)
    likely = (tried[:, None] * said[:, 0].exp() + (1 - tried[:, None]) * said[:, 1].exp()).log().sum(1)
    assert abs(tried[likely.argmax()] - best) < 0.002
    assert stacked(torch.tensor([[-1.0, -torch.inf]] * 3)).tolist() == [1.0, 0.0]
    with pytest.raises(ValueError, match="no model"):
        stacked(torch.full((3, 2), -torch.inf))


def test_a_kernel_density_is_the_mean_of_its_kernels():
    rows, drawn, width = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [1.0]]), torch.tensor(0.5)
    wanted = torch.tensor([(1 + 2.71828 ** (-2)) / 2, (2.71828 ** (-8) + 2.71828 ** (-2)) / 2]).log()
    assert torch.allclose(log_density(rows, drawn, width), wanted, atol=1e-4)
    assert width_of(torch.tensor([[0.0], [3.0], [5.0]]), torch.tensor([[1.0]])) == 2


def pretend(monkeypatch, plugin, rows):
    """The generator needs no training and draws these rows of each class in turn."""

    def fit(self, data, run):
        self.curves_ = Curves()
        return self

    def sample(self, y, seeds):
        return torch.stack([rows[k][seed % len(rows[k])] for k, seed in zip(y.tolist(), seeds.tolist(), strict=True)])

    monkeypatch.setattr(plugin, "fit", fit)
    monkeypatch.setattr(plugin, "sample", sample)


def test_in_each_class_the_member_draws_that_knows_it(tmp_path, monkeypatch):
    fresh = toy_samples(120, seed=9)
    real, noise = [DATA.spec.to_model(fresh.x[fresh.y == k]) for k in range(3)], torch.rand(40, 1, 16, 16) * 2 - 1
    pretend(monkeypatch, Vae, [real[0], noise, real[2]])
    pretend(monkeypatch, Gan, [noise, real[1], real[2]])
    made = Ensemble(by=["vae", "gan"]).fit(DATA, Run(folder=tmp_path))
    assert (made.weights_.argmax(1)[:2] == torch.tensor([0, 1])).all() and made.weights_[:2].amax(1).min() > 0.75
    assert (made.weights_[2] - 0.5).abs().max() < 0.1
    (told,) = [f for f in made.curves.findings if f.code == "AM234"]
    assert set(told.about["weights"]) == set(DATA.spec.classes) and "of 'class 0' by vae" in told.text


def test_every_member_draws_as_often_as_its_weight_says_and_alone_what_it_would(tmp_path):
    made = Ensemble(by=["vae", "gan"], steps=50).fit(DATA, Run(folder=tmp_path))
    made.weights_ = torch.tensor([[1.0, 0.0], [0.3, 0.7], [0.5, 0.5]])
    y, seeds = torch.arange(400) % 2, row_seeds(400, 0, "e")
    rows = made.sample(y, seeds)
    alone = Ensemble(by=["vae", "gan"], steps=50).restore(made.spec_, made.state())
    assert torch.equal(alone.sample(y[7:9], seeds[7:9]), rows[7:9])
    made.weights_ = torch.tensor([[1.0, 0.0]] * 3)
    same = (made.sample(y, seeds) == rows).flatten(1).all(1)
    assert same[y == 0].all() and 0.2 < same[y == 1].float().mean() < 0.4


def test_a_member_that_fails_has_no_weight_and_none_is_told(tmp_path, monkeypatch):
    def fails(self, data, run):
        raise Diverged("no")

    monkeypatch.setattr("augmind.generators.gan.Gan.fit", fails)
    assert (Ensemble(by=["vae", "gan"], steps=50).fit(DATA, Run(folder=tmp_path)).weights_ == torch.tensor([1.0, 0.0])).all()
    monkeypatch.setattr("augmind.generators.vae.Vae.fit", fails)
    with pytest.raises(Diverged, match="no member"):
        Ensemble(by=["vae", "gan"], steps=50).fit(DATA, Run(folder=tmp_path))


@pytest.mark.parametrize("by", [["vae"], ["vae", "vae"], ["vae", "feature"], ["vae", "pseudo"], ["vae", "ensemble"]])
def test_members_are_several_generators_that_draw_rows(by, tmp_path):
    with pytest.raises(UsageError, match="ensemble: by="):
        Ensemble(by=by).fit(DATA, Run(folder=tmp_path))
