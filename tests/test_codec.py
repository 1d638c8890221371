"""Pictures to bytes and back, and their features."""

import base64
import io
import re
import time

import numpy as np
import pytest
import torch
from PIL import Image

from augmind.core.errors import MachineError, UsageError, WrongSpec
from augmind.core.seeds import stream
from augmind.core.types import Backbone, Codec, Spec
from augmind.modalities.image.codec import ImageCodec


def codec(*shape):
    return ImageCodec(Spec(kind="continuous", shape=shape, classes=("a", "b")))


def noise(n, *shape):
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=stream("noise", n, shape))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 12), (4, 16, 8)])
def test_pictures_survive_a_round_trip(shape):
    x = noise(3, *shape)
    assert torch.equal(codec(*shape).encode(codec(*shape).decode(x)), x)
    assert codec(*shape).encode([]).shape == (0, *shape)


def test_every_mode_becomes_the_mode_of_the_spec():
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    assert codec(1, 8, 8).encode([red]).unique().tolist() == [76]
    assert codec(4, 8, 8).encode([red])[0, :, 0, 0].tolist() == [255, 0, 0, 255]
    assert codec(3, 8, 8).encode([Image.new("L", (8, 8), 7), red.convert("P")])[:, :, 0, 0].tolist() == [[7, 7, 7], [255, 0, 0]]
    sixteen_bits = Image.fromarray(np.full((8, 8), 65535, dtype=np.uint16))
    assert codec(1, 8, 8).encode([sixteen_bits]).unique().tolist() == [255]


def test_transparency_shows_white():
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert codec(3, 8, 8).encode([clear]).unique().tolist() == [255]
    assert codec(4, 8, 8).encode([clear]).unique().tolist() == [0]


def test_other_sizes_are_resized_whole():
    half = Image.new("L", (40, 20), 0)
    half.paste(200, (20, 0, 40, 20))
    x = codec(1, 10, 10).encode([half])[0, 0]
    assert x.shape == (10, 10) and x[:, 0].max() < 10 and x[:, -1].min() > 190


def test_preview_holds_the_picture_enlarged_without_smoothing():
    x = noise(2, 3, 8, 8)
    html = codec(3, 8, 8).preview(x)[1]
    data = re.fullmatch(r'<img src="data:image/png;base64,([^"]+)" width="64" height="64" alt="picture of 8 by 8 pixels">', html)[1]
    pixels = torch.from_numpy(np.array(Image.open(io.BytesIO(base64.b64decode(data))))).permute(2, 0, 1)
    assert torch.equal(pixels[:, ::8, ::8], x[1]) and torch.equal(pixels[:, 7::8, 7::8], x[1])


def test_variants_are_the_picture_and_its_mirror_image():
    x = noise(2, 3, 8, 8)
    same, mirrored = codec(3, 8, 8).variants(x)
    assert torch.equal(same, x) and torch.equal(mirrored[..., 0], x[..., -1])


def test_shapes_that_are_no_pictures_are_refused():
    with pytest.raises(WrongSpec, match="shape"):
        codec(2, 8, 8)


def test_the_codec_keeps_the_protocol():
    c = codec(1, 8, 8)
    assert isinstance(c, Codec) and isinstance(c.backbone("lite0@32"), Backbone)
    assert c.classical[0].name == "none" and "trivialaugment+mixup" in {a.name for a in c.classical}


def test_features_do_not_depend_on_the_other_rows():
    c = codec(3, 16, 16)
    x = noise(40, 3, 16, 16)
    z = c.embed(x)
    assert z.shape == (40, 1280) and z.dtype == torch.float32
    torch.testing.assert_close(c.embed(x[35:37]), z[35:37], atol=1e-3, rtol=1e-2)
    assert torch.equal(c.embed(x[:3]), c.embed(x[:3]))


def test_grey_features_are_those_of_the_same_picture_in_colour():
    x = noise(2, 1, 16, 16)
    torch.testing.assert_close(codec(1, 16, 16).embed(x), codec(3, 16, 16).embed(x.expand(-1, 3, -1, -1)))


def test_folding_keeps_features_and_training_copies_are_fresh():
    from augmind.modalities.image.backbones.lite0 import Lite0

    x = torch.rand(2, 3, 64, 64, generator=stream("x")) * 2 - 1
    net = Lite0(64)
    with torch.no_grad():
        before = net.features(x)
        torch.testing.assert_close(net.fold().features(x), before, atol=1e-3, rtol=1e-3)
    c = codec(3, 8, 8)
    a, b = c.backbone(), c.backbone()
    assert a.module is not b.module and all(p.requires_grad for p in a.module.parameters())
    a.features(x).sum().backward()
    assert next(a.module.parameters()).grad is not None


def test_an_unknown_backbone_is_named_with_the_known_ones():
    with pytest.raises(UsageError, match="lite1") as caught:
        codec(3, 8, 8).backbone("lite1")
    assert "lite0" in caught.value.help


SMALL = {
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
    "vit": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "image_size": 32, "patch_size": 8},
    "dinov2": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_ratio": 1, "image_size": 28, "patch_size": 14},
    "convnext": {"hidden_sizes": [4, 4, 8, 16], "depths": [1, 1, 1, 1]},
}


@pytest.mark.parametrize("kind", SMALL)
def test_any_hub_family_opens_from_a_folder(kind, tmp_path):
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    AutoModel.from_config(AutoConfig.for_model(kind, **SMALL[kind])).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "size": {"height": 32}}')
    backbone = codec(1, 16, 16).backbone(str(tmp_path))
    assert backbone.width == 16 and backbone.pixels == 32 and backbone.mean == (0.5, 0.5, 0.5)
    x = torch.rand(2, 1, 16, 16) * 2 - 1
    backbone.features(x).sum().backward()
    assert any(p.grad is not None for p in backbone.module.parameters())
    z = ImageCodec(codec(1, 16, 16).spec, str(tmp_path)).embed(noise(2, 1, 16, 16))
    assert z.shape == (2, 16) and torch.isfinite(z).all()


def test_a_missing_model_fails_at_once_with_the_next_step():
    import transformers  # noqa: F401  (its import is not what is timed)

    started = time.monotonic()
    with pytest.raises(MachineError, match="facebook/dinov2-small' is not on this machine") as caught:
        codec(3, 8, 8).backbone("facebook/dinov2-small@96")
    assert caught.value.exit_code == 4 and "augmind models pull facebook/dinov2-small" in caught.value.help
    assert time.monotonic() - started < 5


def test_a_folder_without_a_usable_model_is_named(tmp_path):
    with pytest.raises(MachineError, match="holds no backbone"):
        codec(3, 8, 8).backbone(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "vit", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}')
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(MachineError, match="holds no backbone"):
        codec(3, 8, 8).backbone(str(tmp_path))
