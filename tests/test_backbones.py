"""Backbones by name and from folders: tiny models of every family, made here, pass through the same code as published ones."""

import json
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import batch_norm, conv2d, max_pool2d, relu

from augmind.core.errors import MachineError, UsageError
from augmind.core.run import Run
from augmind.core.seeds import seeded, stream
from augmind.modalities.image.backbones.select import NAMES, select
from augmind.nn.layers import layers
from test_learners import feed, learner, stripes

SMALL = {
    "resnet": ({"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}, 3),
    "convnextv2": ({"hidden_sizes": [4, 4, 8, 16], "depths": [1, 1, 1, 1]}, 5),
    "vit": ({"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16, "image_size": 32, "patch_size": 8}, 5),
    "dinov2": ({"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "mlp_ratio": 1, "image_size": 28, "patch_size": 14}, 4),
}
"""Configurations with the number of layers that fine-tuning tells apart."""


def model(kind, folder, **changes):
    from transformers import AutoConfig, AutoModel

    with seeded(0):
        AutoModel.from_config(AutoConfig.for_model(kind, **SMALL[kind][0] | changes)).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "size": {"height": 32}}')
    return str(folder)


def vgg(folder, norms=False, damage=""):
    """A tiny VGG as timm stores it: two convolutions, pooling, a third, pooling; then the parts that are not read."""
    rng, tensors, place, inside = stream("vgg"), {}, 0, 3
    for width in (4, 6, 0, 8, 0):
        if not width:
            place += 1
            continue
        tensors[f"features.{place}.weight"] = torch.randn((width, inside, 3, 3), generator=rng) * 0.3
        tensors[f"features.{place}.bias"] = torch.randn(width, generator=rng) * 0.1
        place, inside = place + 1, width
        if norms:
            for name in ("weight", "bias", "running_mean", "running_var"):
                tensors[f"features.{place}.{name}"] = torch.rand(width, generator=rng) + 0.5
            place += 1
        place += 1
    tensors |= {"pre_logits.fc1.weight": torch.zeros(2, 8, 7, 7), "head.fc.weight": torch.zeros(5, 2)}
    tensors.pop(damage, None)
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    about = {"input_size": [3, 40, 40], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    (folder / "config.json").write_text(json.dumps({"architecture": "vgg11", "num_classes": 5, "pretrained_cfg": about}))
    return str(folder), tensors


def by_hand(x, tensors, norms):
    x, place = x * 2, 0
    for pooled in (False, True, True):
        x = conv2d(x, tensors[f"features.{place}.weight"], tensors[f"features.{place}.bias"], padding=1)
        if norms:
            place += 1
            mean, var, weight, bias = (tensors[f"features.{place}.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))
            x = batch_norm(x, mean, var, weight, bias)
        x = max_pool2d(relu(x), 2) if pooled else relu(x)
        place += 3 if pooled else 2
    return x.mean((2, 3))


@pytest.mark.parametrize("norms", [False, True])
def test_vgg_computes_what_its_paper_says(norms, tmp_path):
    folder, tensors = vgg(tmp_path / "vgg", norms)
    backbone = select(folder)
    assert backbone.width == 8 and backbone.pixels == 40 and select(f"{folder}@24").pixels == 24
    x = torch.rand(2, 3, 40, 40, generator=stream("x")) * 2 - 1
    z = backbone.features(x)
    torch.testing.assert_close(z, by_hand(x, tensors, norms), atol=1e-5, rtol=1e-4)
    z.sum().backward()
    assert all(p.grad is not None for p in backbone.module.parameters()) and len(layers(backbone.module)) == 3
    assert not backbone.module.training


def test_a_vgg_that_cannot_be_opened_is_named(tmp_path):
    for i, damage in enumerate(("features.2.bias", "features.0.weight")):
        with pytest.raises(MachineError, match="holds no backbone"):
            select(vgg(tmp_path / str(i), damage=damage)[0])
    (tmp_path / "0" / "model.safetensors").unlink()
    with pytest.raises(MachineError, match=r"no model\.safetensors"):
        select(str(tmp_path / "0"))


@pytest.mark.parametrize("kind", SMALL)
def test_every_family_is_taken_apart_into_its_blocks_and_learns_in_depth(kind, tmp_path):
    folder, data = model(kind, tmp_path), stripes(9)
    assert len(layers(select(folder).module)) == SMALL[kind][1]
    settings = {"backbone": folder, "steps": 2, "batch": 8, "unfreeze": 0.5, "decay": 0.8}
    before = select(folder).module.state_dict()
    for lora in (0, 4):
        taught = learner("finetune", **settings, lora=lora).fit(feed(data), Run(folder=tmp_path))
        state = taught.state()
        if lora:
            assert all("lora_" in k for k in state if k.startswith("body/"))
        else:
            assert any(not torch.equal(v, before[k.removeprefix("body/")]) for k, v in state.items() if k.startswith("body/"))
        restored = learner("finetune", **settings, lora=lora).restore(data, state)
        torch.testing.assert_close(restored.predict(data.val), taught.predict(data.val))


def test_a_pooler_that_was_never_trained_is_left_out(tmp_path):
    """A published classifier has none; what opens it would make one up."""
    from transformers import ViTConfig, ViTForImageClassification

    from augmind.modalities.image.backbones.prepare import MEAN, SD, to_statistics

    with seeded(0):
        ViTForImageClassification(ViTConfig(**SMALL["vit"][0])).save_pretrained(tmp_path)
    state = torch.get_rng_state()
    a, b = select(str(tmp_path)), select(str(tmp_path))
    assert torch.equal(state, torch.get_rng_state()), "the global random state was used"
    x = torch.rand(2, 3, 32, 32, generator=stream("x")) * 2 - 1
    with torch.no_grad():
        last = a.module(pixel_values=to_statistics(x, MEAN, SD)).last_hidden_state
        assert torch.equal(a.features(x), b.features(x)) and torch.equal(a.features(x), last[:, 0])


def test_weights_that_lack_a_part_are_refused(tmp_path):
    from safetensors.torch import load_file

    folder = model("vit", tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    gone = next(k for k in tensors if "attention" in k)
    save_file({k: v for k, v in tensors.items() if k != gone}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MachineError, match="lack"):
        select(folder)


@pytest.mark.parametrize("kind", ["vit", "dinov2"])
def test_transformers_take_other_sizes_than_their_own(kind, tmp_path):
    backbone = select(f"{model(kind, tmp_path)}@56")
    assert backbone.pixels == 56 and backbone.features(torch.zeros(1, 3, 20, 20)).shape == (1, 16)


def test_names_stand_for_models_of_the_hub(tmp_path, monkeypatch):
    """A cache of the Hub with tiny models in it, under the names of the published ones."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name, make in (("dinov2-small", lambda f: model("dinov2", f)), ("vgg16", vgg)):
        home = tmp_path / f"models--{NAMES[name].replace('/', '--')}"
        snapshot = home / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
        snapshot.mkdir(parents=True)
        make(snapshot)
        (home / "refs").mkdir()
        (home / "refs" / "main").write_text(snapshot.name)
    assert select("vgg16").width == 8 and select("vgg16@32").pixels == 32
    assert select("vgg16").name == NAMES["vgg16"]
    assert select("dinov2-small@28").width == 16


def test_a_model_that_was_pulled_is_opened_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("AUGMIND_CACHE", str(tmp_path))
    model("vit", tmp_path / "models" / "somebody--vit")
    assert select("somebody/vit").width == 16 and select("somebody/vit@16").pixels == 16
    (tmp_path / "models" / "somebody--vit" / "model.safetensors").write_bytes(b"half")
    with pytest.raises(MachineError, match="'somebody/vit' cannot be opened as a backbone") as caught:
        select("somebody/vit")
    assert "'lite0'" in caught.value.help and "augmind models pull somebody/vit" in caught.value.help


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_is_not_here_is_named_with_the_command_that_gets_it(name, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    started = time.monotonic()
    with pytest.raises(MachineError, match=NAMES[name]) as caught:
        select(f"{name}@64")
    assert f"augmind models pull {NAMES[name]}" in caught.value.help and caught.value.exit_code == 4
    assert time.monotonic() - started < 2


def test_a_missing_model_is_noticed_before_anything_heavy_is_opened():
    code = (
        "import sys\nfrom augmind.core.errors import MachineError\nfrom augmind.modalities.image.backbones.select import select\n"
        "try:\n    select('nobody/has-this')\nexcept MachineError:\n    print('transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(UsageError, match="resnet19") as caught:
        select("resnet19")
    assert "did you mean 'resnet18'" in caught.value.help and all(name in caught.value.help for name in NAMES)
    with pytest.raises(MachineError, match="not on this machine"):
        select("no such/name at all")
