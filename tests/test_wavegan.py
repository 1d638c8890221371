"""Waves drawn sample by sample: the networks, what they learn, and the way from rows to waves and back."""

import dataclasses
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from augmind.config import config, make_plan
from augmind.core.errors import WrongSpec
from augmind.core.run import Run
from augmind.core.seeds import row_seeds, stream
from augmind.core.tensors import load_tensors, save_tensors
from augmind.core.types import Data, Samples, Spec
from augmind.modalities.audio.adversaries import Listener, Singer, coarsest, layers, moved, shifted
from augmind.modalities.audio.codec import AudioCodec
from augmind.modalities.audio.generators.wavegan import Wavegan, steepness
from augmind.modalities.audio.mel import shades, stored
from hearing import hum

QUICK = {"width": 8, "latent": 8, "batch": 16}
RUN = Run(folder=Path("unused"), seed=3)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def data_of(frames: int = 32, rate: int = 4000, rows: int = 36) -> Data:
    """Hums of three pitches, one class each."""
    spec = Spec(kind="continuous", shape=(1, 24, frames), classes=("low", "middle", "high"), rate=rate)
    codec = AudioCodec(spec)
    y = torch.arange(rows) % 3
    x = codec.encode([hum((150, 400, 900)[k] * (1 + 0.01 * (i % 7)), rate, 0.009 * frames, i) for i, k in enumerate(y.tolist())])
    samples = Samples.real(x, y)
    return Data(train=samples, val=samples, spec=spec, codec=codec)


@cache
def fitted(steps: int = 250, seed: int = 3) -> tuple[Wavegan, Data]:
    data = data_of()
    return Wavegan(**QUICK, steps=steps, lr=2e-3).fit(data, dataclasses.replace(RUN, seed=seed)), data


# The networks


@pytest.mark.parametrize(("samples", "count"), [(160, 2), (1280, 3), (8000, 4), (16_384, 5), (32_000, 5)])
def test_networks_fit_waves_of_any_length(samples, count):
    assert layers(samples) == count and 4**count * coarsest(samples) - samples in range(4**count)
    singer, listener = Singer(samples, 3, 2, 5), Listener(samples, 3, 2)
    singer.loudness.fill_(0.1)
    y = torch.tensor([0, 2])
    x = singer(torch.randn(2, 5), y)
    assert x.shape == (2, samples) and listener(x, y).shape == (2,)
    assert singer.waves(100 * torch.randn(2, 5), y).abs().max() <= 1


def test_a_wave_as_long_as_that_of_the_paper_has_its_layers():
    singer, listener = Singer(16_384, 2, 64, 100), Listener(16_384, 2, 64)
    assert singer.start.out_features == 16_384 and [(u.in_channels, u.out_channels) for u in singer.ups] == [
        *((1024, 512), (512, 256), (256, 128), (128, 64), (64, 1)),
    ]
    assert [d.out_channels for d in listener.downs] == [64, 128, 256, 512, 1024] and listener.score.in_features == 16 * 1024


def test_phase_shuffle_moves_activations_and_mirrors_their_ends():
    x = torch.arange(6.0).reshape(1, 1, 6)
    told = {0: [0, 1, 2, 3, 4, 5], 1: [1, 0, 1, 2, 3, 4], 2: [2, 1, 0, 1, 2, 3], -1: [1, 2, 3, 4, 5, 4], -2: [2, 3, 4, 5, 4, 3]}
    for by, expected in told.items():
        assert shifted(x, by).flatten().tolist() == expected
        assert torch.equal(shifted(x, by)[..., 2:4], torch.roll(x, by, -1)[..., 2:4])


def test_the_critic_sees_waves_a_little_earlier_or_later_and_either_way_up():
    torch.manual_seed(0)
    x = torch.randn(64, 100)
    for row, seen in zip(x, moved(x, 0.05), strict=True):
        ways = [torch.roll(row, by)[5:-5] * sign for by in range(-5, 6) for sign in (1, -1)]
        assert any(torch.equal(seen[5:-5], way) for way in ways)
    assert torch.equal(moved(x, 0.0).abs(), x.abs()) and moved(torch.ones(64, 100), 0.05).abs().sum(1).min() == 95


def test_the_penalty_of_a_linear_critic_is_the_square_of_its_slope():
    slope, x = torch.tensor([3.0, -4.0]), torch.randn(5, 2, requires_grad=True)
    torch.testing.assert_close(steepness(x @ slope, x), torch.tensor(25.0))


# What it draws


def test_shades_are_what_is_stored_before_it_is_rounded():
    power = 10 ** (torch.rand(500, generator=stream("power")) * 12 - 10)
    assert torch.equal(shades(power).round().to(torch.uint8), stored(power)) and shades(torch.zeros(1)) == 0 and shades(torch.tensor(10.0)) == 255


def test_rows_keep_their_loudness_on_the_way_to_waves_and_back():
    data = data_of()
    waves = torch.from_numpy(np.stack(data.codec.decode(data.train.x)))
    back = shades(data.codec.mel.power(waves))
    loud = data.train.x[:, 0] > 128
    assert (back - data.train.x[:, 0].float())[loud].mean().abs() < 3  # a decibel


def test_rows_lie_nearest_to_the_real_mean_of_the_class_asked_for():
    generator, data = fitted()
    x, y = data.spec.to_model(data.train.x).flatten(1), torch.arange(60) % 3
    means = torch.stack([x[data.train.y == k].mean(0) for k in range(3)])
    drawn = generator.sample(y, row_seeds(60, "drawn")).flatten(1)
    assert (torch.cdist(drawn, means).argmin(1) == y).float().mean() >= 0.8
    assert drawn.std(0).mean() > 0.02 and generator.curves.steps == 250 and {"critic", "generator"} == set(generator.curves.points)


def test_waves_are_about_as_loud_as_real_ones():
    generator, data = fitted()
    real = np.sqrt(np.mean(np.square(data.codec.decode(data.train.x))))
    with torch.no_grad():
        waves = generator.net_.eval().waves(torch.randn(30, 8, generator=stream("z")), torch.arange(30) % 3)
    assert float(generator.net_.loudness) == pytest.approx(float(real), rel=1e-3)
    assert 0.4 < float(waves.square().mean().sqrt() / real) < 2.5


def test_a_row_is_finite_in_range_and_a_function_of_its_label_and_seed(tmp_path):
    generator, data = fitted()
    y, seeds = torch.arange(70) % 3, row_seeds(70, "rows")
    x = generator.sample(y, seeds)
    assert x.shape == (70, *data.spec.shape) and x.abs().max() <= 1 and x.isfinite().all()
    torch.testing.assert_close(generator.sample(y[5:8], seeds[5:8]), x[5:8], atol=1e-4, rtol=0)
    save_tensors(tmp_path / "g.safetensors", generator.state())
    again = Wavegan(**generator.settings()).restore(data.spec, load_tensors(tmp_path / "g.safetensors"))
    assert torch.equal(again.sample(y, seeds), x)


def test_the_same_seed_trains_the_same_generator_and_another_seed_another():
    y, seeds = torch.arange(6) % 3, row_seeds(6, "seed")
    a, b = (Wavegan(**QUICK, steps=50).fit(data_of(), RUN).sample(y, seeds) for _ in range(2))
    assert torch.equal(a, b)
    other = Wavegan(**QUICK, steps=50).fit(data_of(), dataclasses.replace(RUN, seed=4)).sample(y, seeds)
    assert cosine_similarity(a.flatten(), other.flatten(), 0) < 0.9999 and not torch.allclose(a, other, atol=1e-2)


def test_silent_rows_and_a_class_without_rows_are_borne():
    data = data_of()
    silent = dataclasses.replace(data, train=Samples.real(torch.zeros_like(data.train.x[:8]), torch.arange(8) % 2))
    x = Wavegan(**QUICK, steps=50).fit(silent, RUN).sample(torch.arange(3), torch.arange(3))
    assert x.isfinite().all()


# What is refused, and who asks


def test_what_it_cannot_model_is_refused_in_one_sentence():
    sound = Spec(kind="continuous", shape=(1, 40, 200), classes=("a", "b"), rate=8000)
    assert not Wavegan.refuses(sound)
    assert Wavegan.refuses(dataclasses.replace(sound, shape=(1, 40, 208))) == "'wavegan' makes clips of at most 2 seconds, not of 2.08"
    assert "waves" in Wavegan.refuses(dataclasses.replace(sound, rate=0))
    with pytest.raises(WrongSpec, match="at most 2 seconds"):
        Wavegan().restore(dataclasses.replace(sound, shape=(1, 40, 400)), {})


def test_it_takes_part_only_when_it_is_asked_for_and_its_steps_are_in_the_plan():
    facts = {"mode": "cv", "folds": 3, "rows": 100, "test_rows": 0, "classes": 2, "shape": (1, 40, 100), "imbalanced": False, "rate": 8000}

    def plan(**options):
        return make_plan(config(data="clips", preset="quick", jobs=1, **options), **facts)

    assert "wavegan" not in plan().generators
    asked, long = (plan(generators=("wavegan",), steps={"wavegan": steps}) for steps in (50, 1050))
    assert asked.generators == ("wavegan",) and asked.steps["wavegan"] == 50
    trained = (long.estimates["seconds"] - asked.estimates["seconds"]) / 4  # in three folds, and once for the rows that are handed over
    assert trained == pytest.approx(1000 * 0.26, rel=0.1)
