"""Planted truth for the watchman: collapsed and copying generators are caught, healthy and blurry ones are left alone."""

import dataclasses
from functools import cache
from pathlib import Path

import pytest
import torch
from torch.nn.functional import avg_pool2d, interpolate

from augmind.core.run import Run
from augmind.core.seeds import row_noise
from augmind.core.types import Samples, Spec
from augmind.nn.watch import Spread, binomial_bound, novelty, spread, watch
from augmind.testing import toy_data, toy_samples

SHAPE, CLASSES, POOL = (1, 16, 16), 3, 300


class Planted:
    """Generators whose truth is known, over one toy dataset of 8 rows a class and fresh rows of the same kind."""

    def __init__(self, seed: int) -> None:
        self.data = toy_data(8 * CLASSES, SHAPE, CLASSES, seed=seed)
        self.fresh = toy_samples(POOL * CLASSES, SHAPE, CLASSES, seed=900 + seed)
        self.model = self.data.spec.to_model

    def of_class(self, rows: Samples, y, seeds, modes=10**9):
        own = [rows.x[rows.y == k] for k in range(CLASSES)]
        return self.model(torch.stack([own[k][s % min(modes, len(own[k]))] for k, s in zip(y.tolist(), seeds.tolist(), strict=True)]))

    def healthy(self, y, seeds):
        return self.of_class(self.fresh, y, seeds)

    def constant(self, y, seeds):
        return self.model(self.fresh.x[:1]).expand(len(y), *SHAPE)

    def one_row_a_class(self, y, seeds):
        return self.of_class(self.fresh, y, seeds, modes=1) + 0.01 * row_noise(seeds, SHAPE)

    def three_rows(self, y, seeds):
        return self.model(self.fresh.x[seeds % 3]) + 0.01 * row_noise(seeds, SHAPE)

    def three_rows_a_class(self, y, seeds):
        return self.of_class(self.fresh, y, seeds, modes=3) + 0.01 * row_noise(seeds, SHAPE)

    def one_class(self, y, seeds):
        return self.healthy(torch.zeros_like(y), seeds)

    def copies(self, y, seeds):
        return self.of_class(self.data.train, y, seeds) + 0.03 * row_noise(seeds, SHAPE)

    def mirrored_copies(self, y, seeds):
        return 0.9 * self.copies(y, seeds).flip(-1) + 0.05

    def blurry(self, y, seeds):
        x = self.healthy(y, seeds)
        return interpolate(avg_pool2d(x, 2), scale_factor=2.0)


@cache
def planted_and_watchman(seed: int):
    planted = Planted(seed)
    return planted, watch(planted.healthy, planted.data, Run(folder=Path("unused"), seed=seed))


def codes(generator):
    """What the watchman says of this planted generator over 20 datasets."""
    out = []
    for seed in range(20):
        planted, watchman = planted_and_watchman(seed)
        watchman.sample = getattr(planted, generator)
        finding = watchman(100)
        out.append(finding.code if finding else "")
    return out


@pytest.mark.parametrize("generator", ["constant", "one_row_a_class", "three_rows", "three_rows_a_class", "one_class"])
def test_every_collapsed_generator_is_caught(generator):
    assert codes(generator) == ["AM211"] * 20


@pytest.mark.parametrize("generator", ["copies", "mirrored_copies"])
def test_every_generator_that_repeats_training_rows_is_caught(generator):
    assert codes(generator) == ["AM212"] * 20


@pytest.mark.parametrize("generator", ["healthy", "blurry"])
def test_a_generator_that_draws_fresh_rows_is_left_alone(generator):
    assert sum(map(bool, codes(generator))) <= 1


def vectors(seed, rows=8):
    """Two Gaussian classes in 12 dimensions, as features of their own."""
    rng = torch.Generator().manual_seed(seed)
    y = torch.arange(2 * rows) % 2
    x = torch.randn(2 * rows, 12, generator=rng) * torch.linspace(0.1, 10, 12) + 3 * y[:, None]
    spec = Spec(kind="continuous", shape=(12,), classes=("a", "b"), bounded=False)
    samples = Samples.real(x, y)
    return dataclasses.replace(toy_data(), train=samples, val=samples, spec=spec)


def test_vectors_are_watched_at_the_scale_of_each_dimension(tmp_path):
    said = {"fresh": 0, "constant": 0, "copies": 0}
    for seed in range(20):
        data, run = vectors(seed), Run(folder=tmp_path, seed=seed)
        own = [data.train.x[data.train.y == k] for k in range(2)]
        generators = {
            "fresh": lambda y, s: row_noise(s, (12,)) * torch.linspace(0.1, 10, 12) + 3 * y[:, None],
            "constant": lambda y, s: 3.0 * y[:, None] + 0.01 * row_noise(s, (12,)),
            "copies": lambda y, s, own=own: torch.stack([own[k][i % 8] for k, i in zip(y.tolist(), s.tolist(), strict=True)]) + 0.001,
        }
        for name, generator in generators.items():
            said[name] += bool(watch(generator, data, run)(1))
    assert said["fresh"] <= 1 and said["constant"] == 20 and said["copies"] == 20


def test_the_verdict_does_not_depend_on_when_it_is_asked(tmp_path):
    planted = Planted(0)
    watchman = watch(planted.copies, planted.data, Run(folder=tmp_path))
    first, later = watchman(10), watchman(500)
    assert first and later and first.about["copies"] == later.about["copies"] and later.about["step"] == 500


def test_too_few_rows_to_tell_are_no_finding(tmp_path):
    data = toy_data(3, SHAPE, 3)
    assert watch(lambda y, s: torch.zeros(len(y), *SHAPE), data, Run(folder=tmp_path))(1) is None


def test_spread_of_points_on_a_line_has_its_closed_form():
    z, y = torch.tensor([[0.0], [1.0], [3.0], [10.0], [12.0], [10.0]]), torch.tensor([0, 0, 0, 1, 1, 1])
    seen = spread(z, y)
    assert seen.nearest == pytest.approx(2 / 3, abs=1e-4)
    assert seen.pairs == pytest.approx(4 / 3, abs=1e-4)
    assert spread(torch.cat([z[:3], z[:3]]), y).apart < 0 < seen.apart
    assert isinstance(seen, Spread)


def test_novelty_is_zero_for_a_copy_and_one_among_equals():
    corners = torch.eye(8)
    assert novelty(corners[:1], corners[None]).item() == pytest.approx(0, abs=1e-3)
    assert novelty(corners, corners[None], own=torch.arange(8)).tolist() == pytest.approx([1.0] * 8, abs=1e-4)
    assert novelty(corners[:1].flip(1), torch.stack([corners, corners.flip(1)])).item() == pytest.approx(0, abs=1e-3)


def test_binomial_bound_is_exceeded_only_by_chance():
    draws = torch.distributions.Binomial(90, torch.tensor(0.02)).sample((20_000,))
    assert (draws > binomial_bound(90, 0.02)).float().mean() < 0.002
