"""Normalising flows: densities that are densities, likelihoods that are those of a known distribution, rows that follow it."""

import pytest
import torch

from augmind.core.run import Run
from augmind.core.seeds import row_seeds, stream
from augmind.core.types import Data, Samples, Spec
from augmind.generators.flow import KINDS, Flow
from augmind.testing import ToyCodec


def vectors(x, y, classes: int = 2) -> Data:
    spec = Spec(kind="continuous", shape=(x.shape[1],), classes=tuple(f"c{k}" for k in range(classes)), bounded=False)
    rows = Samples.real(x, y)
    return Data(train=rows, val=rows.take([]), spec=spec, codec=ToyCodec(spec))


def gaussian(n: int, seed: str) -> tuple[torch.Tensor, torch.Tensor, torch.distributions.MultivariateNormal]:
    """Two classes of correlated normal rows in three dimensions."""
    mix, y = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.0, 0.3, 0.1]]), torch.arange(n) % 2
    x = torch.randn(n, 3, generator=stream(seed)) @ mix.T + 2.0 * y[:, None]
    return x, y, torch.distributions.MultivariateNormal(torch.zeros(3), mix @ mix.T)


@pytest.mark.parametrize("kind", KINDS)
def test_the_density_of_every_class_integrates_to_one_and_is_the_true_one_nearly(kind, tmp_path):
    x, y, truth = gaussian(400, "learnt")
    flow = Flow(kind=kind, steps=120, noise=0.0).fit(vectors(x, y), Run(folder=tmp_path))
    side, places = 48, [torch.linspace(-4.5, 4.5, 48), torch.linspace(-4.5, 4.5, 48), torch.linspace(-1.7, 1.7, 48)]
    grid = torch.cartesian_prod(*places)
    for k in (0, 1):
        p = flow.log_prob(Samples.real(grid + 2.0 * k, torch.full((len(grid),), k))).exp()
        assert float(p.sum()) * (9 / (side - 1)) ** 2 * (3.4 / (side - 1)) == pytest.approx(1.0, abs=0.03)
    fresh, labels, _ = gaussian(400, "fresh")
    own, true = flow.log_prob(Samples.real(fresh, labels)).mean(), truth.log_prob(fresh - 2.0 * labels[:, None]).mean()
    assert float(true - own) == pytest.approx(0.05, abs=0.15)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_drawn_has_the_density_that_is_told(kind, tmp_path):
    """Rows come from noise by the same map: the noise of a row gives the row, and its density is that of the noise by the change of variables."""
    x, y, _ = gaussian(60, "few")
    flow = Flow(kind=kind, steps=60).fit(vectors(x, y), Run(folder=tmp_path))
    net = flow.net_.eval()
    noise = torch.randn(3, generator=stream("one"))
    label = torch.zeros(1, dtype=torch.long)
    with torch.enable_grad():
        slope = torch.autograd.functional.jacobian(lambda e: net.draw(label, e[None], 1.0)[0], noise)
    drawn = net.draw(label, noise[None], 1.0)
    expected = -0.5 * noise.square().sum() - 1.5 * torch.tensor(2 * torch.pi).log() - torch.linalg.slogdet(slope).logabsdet
    assert float(net.log_prob(drawn, label).detach()) == pytest.approx(float(expected.detach()), abs=2e-3)


def test_it_learns_what_no_gaussian_says(tmp_path):
    """A bent class: the likelihood of held-out rows passes that of the Gaussian that the flow begins at."""
    draw = stream("bent")
    first = torch.randn(600, 1, generator=draw)
    x = torch.cat([first, first.square() + 0.2 * torch.randn(600, 1, generator=draw), 0.2 * torch.randn(600, 2, generator=draw)], 1)
    y = torch.zeros(600, dtype=torch.long)
    data = vectors(x[:400], y[:400], 1)
    begun, taught = (Flow(steps=n, noise=0.05).fit(data, Run(folder=tmp_path)) for n in (50, 400))
    held = Samples.real(x[400:], y[400:])
    assert float(taught.log_prob(held).mean()) > float(begun.log_prob(held).mean()) + 0.1
    z = taught.sample(torch.zeros(500, dtype=torch.long), row_seeds(500, "bent"))
    assert torch.corrcoef(torch.stack([z[:, 0].square(), z[:, 1]]))[0, 1] > 0.8


def test_the_likelihood_is_told_and_temperature_draws_nearer_to_the_middle(tmp_path):
    x, y, _ = gaussian(80, "told")
    data = vectors(x, y)
    flow = Flow(steps=50).fit(data, Run(folder=tmp_path))
    (told,) = [f for f in flow.curves_.findings if f.code == "AM233"]
    assert told.about["nats"] == pytest.approx(float(flow.log_prob(data.train).mean()))
    labels, seeds = torch.zeros(300, dtype=torch.long), row_seeds(300, "cold")
    cold = Flow(steps=50, temperature=0.5).fit(data, Run(folder=tmp_path)).sample(labels, seeds)
    assert cold.std(0).mean() < 0.75 * flow.sample(labels, seeds).std(0).mean()
