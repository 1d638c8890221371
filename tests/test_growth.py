"""The learning curve: laws with a closed-form answer, nested parts."""

import numpy as np
import pytest
import torch
from torch import Tensor

from augmind.core.types import Samples
from augmind.growth import FARTHEST, STEEPEST, fit_law, further, nested, worth


def points(scale=2.0, exponent=0.5, noise=0.0, sizes=(100, 200, 400)):
    draw = np.random.default_rng(0)
    return [{"rows": n, "seed": s, "error": scale * n**-exponent * float(np.exp(noise * draw.normal()))} for s in range(3) for n in sizes]


def test_a_power_law_is_found_again():
    rows = np.array([50.0, 100, 200])
    law = fit_law(rows, 3 * rows**-0.4)
    assert (law.scale, law.exponent) == pytest.approx((3, 0.4))
    assert law.rows(law.error(777)) == pytest.approx(777)


def test_errors_that_rise_or_vanish_stay_within_bounds():
    rows = np.array([50.0, 100, 200])
    rising = fit_law(rows, np.array([0.1, 0.2, 0.3]))
    assert rising.exponent == 0 and rising.error(1e9) == pytest.approx(rising.error(10))
    assert fit_law(rows, np.array([0.5, 0.01, 0.0])).exponent == STEEPEST
    one = fit_law(np.array([50.0, 50.0]), np.array([0.2, 0.2]))
    assert (one.exponent, one.error(1000)) == pytest.approx((0, 0.2))


def test_a_gain_is_worth_as_many_rows_as_the_law_says():
    """err = 2 / sqrt(n): 0.1 at 400 rows, 0.08 at 625."""
    found = worth(points(), 400, gain=0.02, se=0.0)
    assert found.rows == pytest.approx(225) and (found.low, found.high) == pytest.approx((225, 225))
    assert "about 225 more real rows (95 % interval 225 to 225) beside the 400" in found.told


def test_doubt_about_the_gain_and_the_curve_widens_the_answer():
    of_gain, of_curve = worth(points(), 400, 0.02, 0.005), worth(points(noise=0.05), 400, 0.02, 0.0)
    assert of_gain.low < 225 < of_gain.high and of_curve.low < of_curve.rows < of_curve.high
    assert worth(points(), 400, 0.02, 0.03).low == 0


def test_what_cannot_be_told_is_not_told():
    assert worth(points(exponent=0.0, scale=0.3), 400, 0.02, 0.01).rows is None
    single = [{"rows": n, "seed": k, "error": 0.2} for k, n in enumerate((100, 104, 98))]
    assert worth(single, 400, 0.1, 0.01).rows is None and "too few groups" in worth(single, 400, 0.1, 0.01).told
    far = worth(points(exponent=0.1, scale=0.5), 400, 0.15, 0.001)
    assert far.rows is None and f"beyond {FARTHEST * 400:,.0f}" in far.told
    assert worth(points(), 400, 0.2, 0.01).rows is None
    for nothing in (0.0, -0.01, float("nan")):
        assert "no gain" in worth(points(), 400, nothing, 0.01).told


def test_a_loss_is_worth_rows_that_are_missing():
    law = fit_law(np.array([100.0, 200, 400]), 2 * np.array([100.0, 200, 400]) ** -0.5)
    assert further(law, 400, 0.0) == pytest.approx(0, abs=1e-9) and further(law, 400, -0.1) == pytest.approx(-300)


def test_parts_are_nested_stratified_and_part_no_unit():
    y = torch.arange(240) % 4
    unit = torch.where(torch.arange(240) < 80, torch.arange(240) // 5, torch.arange(240))
    rows = Samples.real(torch.zeros(240, 1), y, unit=unit)
    quarter, half, whole = nested(rows, 0)
    assert bool((quarter <= half).all()) and bool(whole.all())
    assert int(quarter.sum()) == pytest.approx(60, abs=6) and int(half.sum()) == pytest.approx(120, abs=6)
    assert all(int((quarter & (y == k)).sum()) == pytest.approx(15, abs=4) for k in range(4))
    for mask in (quarter, half):
        assert not set(unit[mask].tolist()) & set(unit[~mask].tolist())
    assert any(not torch.equal(quarter, nested(rows, seed)[0]) for seed in (1, 2))


def test_no_class_is_lost_in_a_small_part():
    rows = Samples.real(torch.zeros(42, 1), torch.tensor([0] * 40 + [1, 1]))
    parts: list[Tensor] = nested(rows, 3)
    assert all((rows.y[mask] == 1).any() for mask in parts)
    assert bool((parts[0] <= parts[1]).all())
