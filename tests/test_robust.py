"""Corruptions: closed forms, a row's own randomness, growing severity; the figures made of corrupted answers."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from augmind.core.types import Samples
from augmind.modalities.image.corruptions import CONTRAST, CORRUPTIONS, LIGHT, QUALITY, SEVERITIES
from augmind.robust import arm_record, some

SEEDS = torch.tensor([5, 11, 2**52])


def rows(channels: int = 3, side: int = 24) -> Tensor:
    """Smooth rows with an edge, in model space, well inside the range."""
    grid = torch.linspace(-1, 1, side)
    wave = torch.stack([torch.sin(3 * (k + 1) * grid)[:, None] * torch.cos(2 * grid) for k in range(3)])
    x = wave[:, None].repeat(1, channels, 1, 1) * 0.4
    x[..., side // 2 :] += 0.3
    return x


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_corruption_hurts_more_with_severity_and_keeps_shape_range_and_alpha(name, channels):
    x = rows(channels)
    before, colours = x.clone(), min(channels, 3)
    found = [CORRUPTIONS[name](x, severity, SEEDS) for severity in SEVERITIES]
    assert all(f.shape == x.shape and f.dtype == x.dtype and f.abs().max() <= 1 for f in found)
    hurt = [float((f - x)[:, :colours].square().mean()) for f in found]
    assert 0 < hurt[0] < hurt[1] < hurt[2] and torch.equal(x, before)
    assert all(torch.equal(f[:, colours:], x[:, colours:]) for f in found)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_row_is_corrupted_alike_alone_and_among_others(name):
    x = rows()
    together = CORRUPTIONS[name](x, 2, SEEDS)
    alone = CORRUPTIONS[name](x[1:2], 2, SEEDS[1:2])
    assert torch.allclose(together[1:2], alone, atol=1e-6)
    assert CORRUPTIONS[name](x[:0], 2, SEEDS[:0]).shape == x[:0].shape


@pytest.mark.parametrize("name", ["gaussian_noise", "shot_noise", "haze"])
def test_what_is_random_depends_on_the_row_seed(name):
    x = rows()[:1].repeat(2, 1, 1, 1)
    one, two = CORRUPTIONS[name](x, 2, torch.tensor([1, 2]))
    assert not torch.allclose(one, two, atol=0.01)


@pytest.mark.parametrize("side", [8, 17])
def test_small_and_flat_rows_are_possible(side):
    flat = torch.full((3, 1, side, side), 0.25)
    for name in ("defocus", "pixelate", "contrast"):
        assert torch.allclose(CORRUPTIONS[name](flat, 3, SEEDS), flat, atol=1e-5)
    for corrupt in CORRUPTIONS.values():
        assert corrupt(rows(1, side), 3, SEEDS).isfinite().all()


def test_brightness_and_contrast_are_their_formulas():
    x = rows() * 0.3 - 0.2
    assert torch.allclose(CORRUPTIONS["brightness"](x, 2, SEEDS), x + 2 * LIGHT[1], atol=1e-6)
    found = CORRUPTIONS["contrast"](x, 3, SEEDS)
    assert torch.allclose(found.mean((2, 3)), x.mean((2, 3)), atol=1e-6)
    assert torch.allclose(found.std((2, 3)), x.std((2, 3)) * CONTRAST[2], atol=1e-6)


def test_shot_noise_has_the_variance_of_counted_photons():
    x = torch.zeros(1, 1, 128, 128)
    found = (CORRUPTIONS["shot_noise"](x, 1, torch.tensor([3])) + 1) / 2
    assert float(found.mean()) == pytest.approx(0.5, abs=0.005) and float(found.var()) == pytest.approx(0.5 / 100, rel=0.05)


def test_jpeg_is_pillows():
    stored = ((rows() + 1) * 127.5).round().to(torch.uint8)
    found = CORRUPTIONS["jpeg"](stored / 127.5 - 1, 3, SEEDS)
    file = io.BytesIO()
    Image.fromarray(stored[0].permute(1, 2, 0).numpy()).save(file, "JPEG", quality=QUALITY[2])
    wanted = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)
    assert torch.equal(((found[0] + 1) * 127.5).round().to(torch.uint8), wanted)


# What is made of the answers


def test_a_few_rows_hold_all_classes_and_are_the_same_ones_again():
    y = torch.cat([torch.zeros(90), torch.ones(6), torch.full((4,), 2)]).long()
    samples = Samples.real(torch.arange(100)[:, None], y)
    few = some(samples, 12, 7)
    assert few.counts(3).tolist() == [4, 4, 4]
    assert torch.equal(few.key, some(samples, 12, 7).key) and not torch.equal(few.key, some(samples, 12, 8).key)
    assert torch.equal(some(samples, 500, 7).key, samples.key)


def test_figures_of_an_arm_are_means_over_classes():
    y = np.array([0, 0, 0, 1])
    clean = np.array([1.0, 1, 1, 1])
    fog, noise = np.array([1.0, 1, 1, 0]), np.array([1.0, 0, 0, 1])
    answers = {"real": np.stack([clean, clean, fog, fog, noise, noise, noise], 1), "classical": np.stack([clean] * 7, 1)}
    found = arm_record("real", answers, y, np.arange(4), None, ["fog", "noise"])
    assert found["clean"] == 1 and found["cells"]["fog"] == [1, 0.5, 0.5] and found["cells"]["noise"] == pytest.approx([2 / 3] * 3)
    assert found["corrupted"] == pytest.approx((1 + 0.5 + 0.5 + 2) / 6)
    assert found["drop"]["estimate"] == pytest.approx(1 - found["corrupted"]) and found["drop"]["low"] < found["drop"]["estimate"]
    assert found["gain"]["estimate"] == pytest.approx(found["corrupted"] - 1)
    assert arm_record("classical", answers, y, np.arange(4), None, ["fog", "noise"])["gain"] is None
