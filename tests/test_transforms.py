"""Classical transforms and mixing: closed-form answers, invariances, and PIL as the oracle of colours and tones."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from augmind.core.registry import make, names
from augmind.core.seeds import stream
from augmind.core.types import Choice, Spec
from augmind.modalities.image.codec import ImageCodec
from augmind.modalities.image.transforms import _geometry as geometry
from augmind.modalities.image.transforms import _operations as operations
from augmind.modalities.image.transforms import _photometry as tones

ALL = [("transforms", n) for n in ("none", "flip", "flip_crop", "randaugment", "trivialaugment")] + [
    ("mixing", n) for n in ("none", "mixup", "cutmix")
]


def plugin(kind, name, **settings):
    return make(kind, Choice(name=name, settings=settings))


def batch(n=12, shape=(3, 16, 16), classes=4):
    x = torch.rand((n, *shape), generator=stream("batch", n, shape)) * 2 - 1
    return x, torch.eye(classes)[torch.arange(n) % classes]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 11), (4, 32, 32), (3, 256, 256)])
@pytest.mark.parametrize(("kind", "name"), ALL)
def test_every_transform_keeps_shape_range_and_label_mass_and_repeats_itself(kind, name, shape):
    x, y = batch(3 if shape[1] > 100 else 12, shape)
    before = x.clone()
    a, soft = plugin(kind, name).apply(x, y, 7)
    again, _ = plugin(kind, name).apply(x, y, 7)
    assert a.shape == x.shape and a.dtype == torch.float32 and a.min() >= -1 - 1e-5 and a.max() <= 1 + 1e-5
    torch.testing.assert_close(soft.sum(1), torch.ones(len(x)))
    assert torch.equal(a, again) and torch.equal(x, before)
    if kind == "transforms":
        assert torch.equal(soft, y)


@pytest.mark.parametrize(("kind", "name"), [k for k in ALL if k[1] != "none"])
def test_another_seed_gives_another_batch(kind, name):
    x, y = batch(32)
    assert not torch.equal(plugin(kind, name).apply(x, y, 1)[0], plugin(kind, name).apply(x, y, 2)[0])


def test_every_classical_arm_of_the_codec_exists():
    for arm in ImageCodec(Spec(kind="continuous", shape=(3, 8, 8), classes=("a",))).classical:
        assert arm.transform.name in names("transforms") and arm.mixing.name in names("mixing")


def test_mirroring_twice_changes_nothing():
    x, y = batch()
    flip = plugin("transforms", "flip", probability=1.0)
    once, _ = flip.apply(x, y, 0)
    assert torch.equal(once, x.flip(-1)) and torch.equal(flip.apply(once, y, 0)[0], x)


def test_shifts_reflect_the_border_and_stay_within_the_pad():
    assert geometry.reflect(torch.arange(-2, 7), 5).tolist() == [2, 1, 0, 1, 2, 3, 4, 3, 2]
    x = torch.arange(9.0).expand(200, 1, 9, 9) / 8
    moved = geometry.shift_and_mirror(x, 1 / 9, False, stream("s"))
    assert {tuple(r.tolist()) for r in (moved[:, 0, 4] * 8).round().long()} == {
        (0, 1, 2, 3, 4, 5, 6, 7, 8),
        (1, 0, 1, 2, 3, 4, 5, 6, 7),
        (1, 2, 3, 4, 5, 6, 7, 8, 7),
    }


def test_mixup_is_linear_in_rows_and_labels():
    y = torch.eye(32)
    x = y.view(32, 2, 4, 4) * 2 - 1
    mixed, soft = plugin("mixing", "mixup", probability=1.0).apply(x, y, 3)
    torch.testing.assert_close((mixed.flatten(1) + 1) / 2, soft)
    assert ((soft > 0).sum(1) <= 2).all() and (soft.max(1).values < 1).any()


def test_cutmix_label_weight_is_the_area_that_is_left():
    k = 8
    x = (torch.arange(k) / k * 2 - 1).view(k, 1, 1, 1).expand(k, 1, 10, 12)
    mixed, soft = plugin("mixing", "cutmix", probability=1.0).apply(x, torch.eye(k), 5)
    own = (mixed == x).flatten(1).float().mean(1)
    torch.testing.assert_close(soft.diagonal(), own)
    assert (own < 1).any()


def test_mixing_leaves_unchosen_rows_alone():
    x, y = batch(400)
    for name in ("mixup", "cutmix"):
        mixed, _ = plugin("mixing", name, probability=0.25).apply(x, y, 0)
        changed = (mixed != x).flatten(1).any(1).float().mean()
        assert 0.15 < changed < 0.35


def bytes_of(x):
    return (x * 255).round().to(torch.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("operation", "oracle", "amount", "slack"),
    [
        (tones.equalize, lambda p, a: ImageOps.equalize(p), 0.0, 0),
        (tones.autocontrast, lambda p, a: ImageOps.autocontrast(p), 0.0, 1),
        (tones.posterize, lambda p, a: ImageOps.posterize(p, int(a)), 5.0, 0),
        (tones.solarize, lambda p, a: ImageOps.solarize(p, round(a * 255)), 0.6, 0),
        (tones.brightness, lambda p, a: ImageEnhance.Brightness(p).enhance(a), 1.4, 1),
        (tones.contrast, lambda p, a: ImageEnhance.Contrast(p).enhance(a), 0.3, 1),
        (tones.colour, lambda p, a: ImageEnhance.Color(p).enhance(a), 1.7, 2),
        (tones.sharpness, lambda p, a: ImageEnhance.Sharpness(p).enhance(a), 1.8, 2),
    ],
)
def test_tones_are_those_of_pil(operation, oracle, amount, slack, channels):
    rng = stream("pil", channels)
    coarse = torch.rand((2, channels, 6, 6), generator=rng)
    x = torch.nn.functional.interpolate(coarse, (24, 24), mode="bilinear").mul(200).add(20).round() / 255
    ours = bytes_of(operation(x, torch.full((2,), amount))).int()
    for row, picture in zip(ours, x, strict=True):
        native = Image.fromarray(bytes_of(picture).permute(1, 2, 0).squeeze(-1).numpy())
        theirs = torch.from_numpy(np.array(oracle(native, amount))).view(24, 24, channels).permute(2, 0, 1).int()
        assert (row - theirs).abs().max() <= slack


@pytest.mark.parametrize("name", operations.GEOMETRIC)
def test_geometric_operations_undo_each_other_in_the_middle(name):
    smooth = torch.nn.functional.interpolate(torch.randn(1, 1, 4, 4, generator=stream("g")), (40, 60), mode="bicubic").clamp(-1, 1)
    which = torch.tensor([operations.NAMES.index(name)])
    there = operations.move(smooth, which, torch.tensor([0.6]))
    back = operations.move(there, which, torch.tensor([-0.6]))
    middle = (slice(None), slice(None), slice(14, 26), slice(22, 38))
    assert (there - smooth)[middle].abs().max() > 0.15
    assert (back - smooth)[middle].abs().max() < 0.1


def test_full_rotation_strength_is_thirty_degrees_on_any_aspect():
    x = torch.full((1, 1, 61, 91), -1.0)
    x[0, 0, 30, 45:] = 1.0
    turned = operations.move(x, torch.tensor([operations.NAMES.index("rotate")]), torch.tensor([1.0]))[0, 0]
    rows, columns = (turned[:, 55:70] > 0).nonzero().unbind(1)
    slope = np.polyfit(columns.numpy(), rows.numpy(), 1)[0]
    assert abs(abs(np.degrees(np.arctan(slope))) - 30) < 2


def test_each_row_draws_its_own_operation():
    x = torch.nn.functional.interpolate(torch.randn(1, 3, 4, 4, generator=stream("g")), (24, 24), mode="bicubic").clamp(-1, 1)
    out = operations.perturb(x.expand(200, -1, -1, -1), torch.ones(200), stream("p"))
    assert len({tuple(r.flatten()[:40].tolist()) for r in out}) > 15


def test_alpha_moves_with_the_picture_but_keeps_its_tones():
    x, y = batch(64, (4, 16, 16))
    x[:, 3] = 0.5
    for name in ("randaugment", "trivialaugment"):
        out, _ = plugin("transforms", name).apply(x, y, 1)
        torch.testing.assert_close(out[:, 3], x[:, 3], atol=1e-5, rtol=0)
