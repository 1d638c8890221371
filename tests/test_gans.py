"""The adversarial games as published: their losses in closed form, and that both learn what classes look like."""

import math

import pytest
import torch

from augmind.core.run import Run
from augmind.core.seeds import row_seeds
from augmind.core.types import Data, Samples, Spec
from augmind.generators._painter import truncated
from augmind.generators.vanilla_gan import VanillaGan, critic_loss, minimax, non_saturating
from augmind.generators.wgan_gp import WganGp, slope_penalty
from augmind.modalities.image.codec import ImageCodec
from runs import digit_rows


def test_the_losses_are_those_of_the_paper():
    undecided, sure = torch.zeros(4), torch.full((4,), -8.0)
    assert critic_loss(undecided, undecided) == pytest.approx(2 * math.log(2))
    assert minimax(undecided) == pytest.approx(-math.log(2)) and non_saturating(undecided) == pytest.approx(math.log(2))
    slopes = []
    for loss in (minimax, non_saturating):
        logit = sure.clone().requires_grad_()
        loss(logit).backward()
        assert logit.grad is not None
        slopes.append(float(logit.grad.abs().sum()))
    assert slopes[0] < 1e-3 and slopes[1] == pytest.approx(1.0, abs=1e-3)  # where the critic is sure the minimax game teaches nothing


def test_the_penalty_asks_for_a_slope_of_one():
    w = torch.tensor([0.6, 0.8])
    real, fake = torch.randn(50, 2), torch.randn(50, 2)
    for size, wanted in ((1.0, 0.0), (3.0, 4.0), (0.5, 0.25)):
        assert slope_penalty(lambda rows, size=size: size * rows @ w, real, fake) == pytest.approx(wanted, abs=1e-5)


def test_truncated_noise_is_normal_within_its_limit_and_draws_rows_that_are_more_alike(tmp_path):
    z = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0))
    for limit in (0.5, 1.0, 2.0):
        found, u = truncated(z, limit)[:, 0].double(), torch.special.ndtr(z[:, 0].double())
        within = torch.special.ndtr(found)
        assert found.abs().max() <= limit and torch.equal(found.argsort(), z[:, 0].argsort())
        edge = torch.special.ndtr(torch.tensor(-limit, dtype=torch.float64))
        assert (within - edge - u * (1 - 2 * edge)).abs().max() < 1e-6
    spec = Spec(kind="continuous", shape=(1, 8, 8), classes=("0", "1"))
    x, y = digit_rows(20, 2)
    rows = Samples.real(torch.from_numpy(x)[:, None], torch.from_numpy(y))
    data = Data(train=rows, val=rows, spec=spec, codec=ImageCodec(spec))
    whole = VanillaGan(steps=60, lr=1e-3).fit(data, Run(folder=tmp_path))
    few = VanillaGan(steps=60, lr=1e-3, truncation=0.3).restore(spec, whole.state())
    same = VanillaGan(steps=60, lr=1e-3, truncation=4.0).restore(spec, whole.state())
    asked, seeds = torch.zeros(40, dtype=torch.long), row_seeds(40, "truncated")
    assert torch.equal(same.sample(asked, seeds), whole.sample(asked, seeds))
    assert few.sample(asked, seeds).std(0).mean() < 0.5 * whole.sample(asked, seeds).std(0).mean()


@pytest.mark.parametrize("made", [VanillaGan(steps=250, lr=1e-3), VanillaGan(steps=250, lr=1e-3, critic_steps=2), WganGp(steps=120, lr=1e-3)])
def test_rows_of_a_class_look_like_it(made, tmp_path):
    x, y = digit_rows(60, 2)
    spec = Spec(kind="continuous", shape=(1, 8, 8), classes=("0", "1"))
    rows = Samples.real(torch.from_numpy(x)[:, None], torch.from_numpy(y))
    made.fit(Data(train=rows, val=rows, spec=spec, codec=ImageCodec(spec)), Run(folder=tmp_path))
    asked = torch.arange(60) % 2
    out = made.sample(asked, row_seeds(60, "gan"))
    means = torch.stack([spec.to_model(rows.x[rows.y == k]).mean(0) for k in (0, 1)])
    near = (out[:, None] - means).square().flatten(2).sum(2).argmin(1)
    assert (near == asked).double().mean() > 0.9 and out[asked == 0].std(0).mean() > 0.05
