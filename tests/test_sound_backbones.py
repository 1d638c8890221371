"""Published encoders of sounds as backbones: tiny models of every family, made here, pass through the same code as published ones."""

import json
import shutil
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import soxr
import torch
import transformers
from safetensors.torch import load_file, save_file

import augmind
from augmind.core.errors import MachineError, UsageError
from augmind.core.run import Run
from augmind.core.seeds import seeded
from augmind.core.types import Backbone, Data, Samples, Spec
from augmind.modalities.audio.backbones.hub import TOGETHER
from augmind.modalities.audio.backbones.select import select
from augmind.modalities.audio.codec import AudioCodec
from augmind.nn.layers import layers
from augmind.nn.weights import cache_folder, content, located, pull
from augmind.planning import sources
from hearing import folder, hum
from test_learners import feed, learner

BLOCKS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
WAVES = BLOCKS | {"conv_dim": (8, 8, 8), "conv_kernel": (10, 8, 4), "conv_stride": (5, 8, 4), "num_feat_extract_layers": 3}
WAVES |= {"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
HEARS = {"spec_size": 32, "num_mel_bins": 16, "window_size": 4, "patch_embeds_hidden_size": 8, "depths": [1, 1], "num_hidden_layers": 2}
HEARS |= {"num_attention_heads": [2, 2], "hidden_size": 16, "projection_dim": 12}
READS = BLOCKS | {"vocab_size": 32, "max_position_embeddings": 16, "projection_dim": 12}
CALLED = {"d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 16, "num_mel_bins": 16, "max_source_positions": 50}
CALLED |= {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 16, "vocab_size": 32, "max_target_positions": 8}
CALLED |= dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 1)
MEL = {"feature_size": 16, "sampling_rate": 16_000}
SECOND = MEL | {"max_length_s": 1, "frequency_max": 8000}
BOTH = {"text_config": READS, "projection_dim": 12}
KINDS = {
    "wav2vec2": ("Wav2Vec2Model", WAVES, "Wav2Vec2FeatureExtractor", {}),
    "hubert": ("HubertModel", WAVES, "Wav2Vec2FeatureExtractor", {"return_attention_mask": True}),
    "wavlm": ("WavLMModel", WAVES, "Wav2Vec2FeatureExtractor", {"do_normalize": False}),
    "ast": ("ASTModel", BLOCKS | {"num_mel_bins": 32, "max_length": 64}, "ASTFeatureExtractor", {"num_mel_bins": 32, "max_length": 64}),
    "clap": ("ClapModel", BOTH | {"audio_config": HEARS}, "ClapFeatureExtractor", SECOND | {"truncation": "rand_trunc"}),
    "fused": ("ClapModel", BOTH | {"audio_config": HEARS | {"enable_fusion": True, "fusion_type": "aff_2d"}}, "ClapFeatureExtractor", SECOND),
    "whisper": ("WhisperModel", CALLED, "WhisperFeatureExtractor", MEL | {"chunk_length": 1}),
}
"""Class, settings, feature extractor and its settings."""
WIDTH = {"clap": 12, "fused": 12}
SPEC = Spec(kind="continuous", shape=(1, 40, 32), classes=("a", "b"), bounded=True, rate=8000)


def model(kind: str, at: Path, **changes) -> str:
    name, settings, extractor, its = KINDS[kind]
    made = getattr(transformers, name)
    with seeded(0):
        made(made.config_class(**settings | changes)).save_pretrained(at)
    getattr(transformers, extractor)(**its).save_pretrained(at)
    return str(at)


@pytest.fixture(scope="module", params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def home(kind, tmp_path_factory) -> str:
    return model(kind, tmp_path_factory.mktemp(kind))


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return AudioCodec(SPEC).encode([hum(hertz, seconds=0.3, seed=i) for i, hertz in enumerate((150, 260, 420, 900))])


# What a row becomes


def test_features_are_those_of_the_row_alone(kind, home, x):
    codec = AudioCodec(SPEC, home)
    z = codec.embed(x)
    assert z.shape == (4, WIDTH.get(kind, 16)) and z.isfinite().all() and codec.reads() == home and codec.pretrained and codec.trainable
    assert codec.embed(x[:0]).shape == (0, z.shape[1])
    apart = torch.cdist(z, z)[0, 1:].min()
    assert (codec.embed(x[1:2]) - z[1:2]).norm() < 0.01 * apart and (codec.embed(x.flip(0)).flip(0) - z).norm(dim=1).max() < 0.01 * apart


def test_gradients_reach_the_network_and_not_the_rows(home, x):
    backbone = select(home, SPEC)
    assert isinstance(backbone, Backbone) and not backbone.module.training and backbone.name == home
    rows = SPEC.to_model(x[:2]).requires_grad_()
    z = backbone.features(rows)
    assert z.shape == (2, backbone.width) and z.dtype == torch.float32
    z.square().sum().backward()
    idle = {name for name, p in backbone.module.named_parameters() if p.requires_grad and p.grad is None}
    assert rows.grad is None and not {n for n in idle if not n.startswith("masked_spec_embed") and "fusion" not in n and "mel_conv2d" not in n}
    assert len(layers(backbone.module)) >= 3
    assert backbone.features(rows[:0]).shape == (0, backbone.width)


def test_waves_are_heard_as_the_extractor_of_the_model_wants_them(tmp_path, x):
    backbone = select(model("wav2vec2", tmp_path), SPEC)
    waves = [soxr.resample(w, 8000, 16_000) for w in AudioCodec(SPEC).decode(x)]
    rows = torch.stack([torch.from_numpy((w - w.mean()) / np.sqrt(w.var() + 1e-7)) for w in waves])
    with torch.no_grad():
        theirs = transformers.Wav2Vec2Model.from_pretrained(tmp_path)(rows).last_hidden_state.mean(1)
        torch.testing.assert_close(backbone.features(SPEC.to_model(x)), theirs, atol=1e-3, rtol=1e-3)


def test_features_of_clap_are_those_that_texts_are_compared_with(tmp_path, x):
    backbone = select(model("clap", tmp_path), SPEC)
    net, extractor = transformers.ClapModel.from_pretrained(tmp_path), transformers.ClapFeatureExtractor.from_pretrained(tmp_path)
    waves = backbone.waves(SPEC.to_model(x))
    with torch.no_grad():
        theirs = net.get_audio_features(**extractor(waves, sampling_rate=16_000, return_tensors="pt")).pooler_output
        ours = backbone.features(SPEC.to_model(x))
    assert "text" not in "".join(dict(backbone.module.named_modules()))
    torch.testing.assert_close(torch.nn.functional.normalize(ours), theirs, atol=1e-4, rtol=1e-3)


def test_of_the_half_minute_of_whisper_the_part_counts_that_a_row_fills(tmp_path, x):
    backbone = select(model("whisper", tmp_path), SPEC)
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(tmp_path)
    heard = extractor(backbone.waves(SPEC.to_model(x)), sampling_rate=16_000, return_tensors="pt").input_features
    assert heard.shape[-1] == 100
    with torch.no_grad():
        last = backbone.module(heard).last_hidden_state
        torch.testing.assert_close(backbone.features(SPEC.to_model(x)), last[:, :16].mean(1), atol=1e-4, rtol=1e-4)


def test_the_way_to_waves_is_as_exact_beside_a_network_in_half_precision(tmp_path, x):
    backbone = select(model("wav2vec2", tmp_path), SPEC)
    plain = backbone.waves(SPEC.to_model(x))
    with torch.autocast("cpu", torch.bfloat16):
        assert all(np.array_equal(a, b) for a, b in zip(plain, backbone.waves(SPEC.to_model(x)), strict=True))


def test_few_rows_at_once_pass_through_the_network(tmp_path, x):
    backbone, seen = select(model("ast", tmp_path), SPEC), []
    backbone.module.register_forward_pre_hook(lambda net, _, given: seen.append(len(given["input_values"])), with_kwargs=True)
    with torch.no_grad():
        assert backbone.features(SPEC.to_model(x).repeat(5, 1, 1, 1)).shape == (20, 16)
    assert sum(seen) == 20 and max(seen) <= TOGETHER


# Learning


@pytest.mark.parametrize("lora", [0, 4])
def test_it_learns_in_depth_and_is_restored(lora, tmp_path, x):
    where, y = model("wav2vec2", tmp_path / "m"), torch.tensor([0, 0, 1, 1])
    data = Data(train=Samples.real(x, y), val=Samples.real(x, y), spec=SPEC, codec=AudioCodec(SPEC, where))
    settings = {"backbone": where, "steps": 2, "batch": 8, "unfreeze": 0.5, "decay": 0.8, "lora": lora}
    taught = learner("finetune", **settings).fit(feed(data), Run(folder=tmp_path))
    before, state = select(where, SPEC).module.state_dict(), taught.state()
    body = {k.removeprefix("body/"): v for k, v in state.items() if k.startswith("body/")}
    assert all("lora_" in k for k in body) if lora else any(not torch.equal(v, before[k]) for k, v in body.items())
    restored = learner("finetune", **settings).restore(data, state)
    torch.testing.assert_close(restored.predict(data.val), taught.predict(data.val))


def test_a_plan_knows_the_files_that_it_was_made_with(tmp_path):
    where = Path(model("ast", tmp_path))
    before = sources({}, AudioCodec(SPEC, str(where)))
    assert before == {"backbone": content(where)}


# Names, files, and what is missing


def test_what_is_not_here_is_told_with_the_command_that_gets_it(tmp_path):
    folder(tmp_path / "d", per_class=3)
    with pytest.raises(MachineError, match="backbone 'facebook/absent' are not on this machine") as caught:
        augmind.expand(tmp_path / "d", tmp_path / "r", backbone="facebook/absent")
    assert "augmind models pull facebook/absent" in caught.value.help
    with pytest.raises(MachineError, match="'facebook/absent' is not on this machine") as caught:
        select("facebook/absent", SPEC)
    assert "augmind models pull facebook/absent" in caught.value.help and "'speech' or 'mfcc'" in caught.value.help
    with pytest.raises(UsageError, match="unknown backbone of sounds 'wav2vec2'") as caught:
        AudioCodec(SPEC, "wav2vec2")
    assert all(name in caught.value.help for name in ("mfcc", "speech", "facebook/wav2vec2-base", "a folder"))


def test_a_model_that_was_pulled_is_opened_by_its_name(tmp_path, monkeypatch, x):
    published = Path(model("ast", tmp_path / "hub"))
    (published / "pytorch_model.bin").write_bytes(b"a pickle")

    def fetched(name, local_dir, allow_patterns):
        Path(local_dir).mkdir(parents=True)
        for file in published.iterdir():
            if any(fnmatch(file.name, pattern) for pattern in allow_patterns):
                shutil.copy(file, local_dir)

    monkeypatch.setenv("AUGMIND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.snapshot_download", fetched)
    monkeypatch.setattr("huggingface_hub.list_repo_files", lambda name: [f.name for f in published.iterdir()])
    assert pull("somebody/ast", str) == located("somebody/ast") == cache_folder() / "somebody--ast"
    assert {f.name for f in cache_folder().glob("*/*")} == {"config.json", "model.safetensors", "preprocessor_config.json"}
    a, b = (select(name, SPEC) for name in ("somebody/ast", str(published)))
    with torch.no_grad():
        torch.testing.assert_close(a.features(SPEC.to_model(x)), b.features(SPEC.to_model(x)))
    (cache_folder() / "somebody--ast" / "model.safetensors").write_bytes(b"half")
    with pytest.raises(MachineError, match="'somebody/ast' cannot be opened as a backbone") as caught:
        select("somebody/ast", SPEC)
    assert "delete" in caught.value.help and "augmind models pull somebody/ast" in caught.value.help


def test_a_file_without_the_mask_that_only_training_needs_is_whole(tmp_path, x):
    """As facebook/wav2vec2-base-960h is: a head beside the network, old names of the normed convolution, no embedding of masks."""
    config = transformers.Wav2Vec2Config(**WAVES, vocab_size=8)
    with seeded(0):
        transformers.Wav2Vec2ForCTC(config).save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    new, old = ("parametrizations.weight.original0", "parametrizations.weight.original1"), ("weight_g", "weight_v")
    old_names = {k.replace(new[0], old[0]).replace(new[1], old[1]): v for k, v in tensors.items() if "masked_spec_embed" not in k}
    assert old_names.keys() != tensors.keys()
    whole = select(str(tmp_path), SPEC)
    save_file(old_names, tmp_path / "model.safetensors", metadata={"format": "pt"})
    state = torch.get_rng_state()
    bare = select(str(tmp_path), SPEC)
    assert torch.equal(state, torch.get_rng_state()), "the global random state was used"
    with torch.no_grad():
        torch.testing.assert_close(bare.features(SPEC.to_model(x)), whole.features(SPEC.to_model(x)))
    gone = next(k for k in old_names if "attention" in k)
    save_file({k: v for k, v in old_names.items() if k != gone}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MachineError, match="its weights lack"):
        select(str(tmp_path), SPEC)


@pytest.mark.parametrize("damage", ["no extractor", "no sounds", "foreign code", "pickles", "a text model", "no features"])
def test_what_cannot_be_opened_is_one_sentence(damage, tmp_path):
    where = Path(model("wav2vec2", tmp_path))
    about = where / "preprocessor_config.json"
    if damage == "no extractor":
        about.unlink()
    elif damage == "no sounds":
        about.write_text('{"image_processor_type": "ViTImageProcessor", "size": 32}')
        transformers.ViTModel(transformers.ViTConfig(**BLOCKS, image_size=32, patch_size=8)).save_pretrained(where)
    elif damage == "foreign code":
        about.write_text(json.dumps({"feature_extractor_type": "Mine", "auto_map": {"AutoFeatureExtractor": "mine.Mine"}}))
        (where / "mine.py").write_text("raise SystemExit('foreign code was run')")
    elif damage == "pickles":
        (where / "model.safetensors").rename(where / "part.bin")
        (where / "model.safetensors.index.json").write_text('{"weight_map": {"a": "part.bin"}}')
    elif damage == "a text model":
        transformers.BertModel(transformers.BertConfig(**BLOCKS, vocab_size=32)).save_pretrained(where)
    else:
        config = transformers.EncodecConfig(
            num_filters=2, hidden_size=8, codebook_size=8, codebook_dim=8, upsampling_ratios=[4, 4], num_lstm_layers=1
        )
        transformers.EncodecModel(config).save_pretrained(where)
        transformers.EncodecFeatureExtractor(sampling_rate=24_000).save_pretrained(where)
    with pytest.raises(MachineError, match="holds no backbone that can be opened") as caught:
        select(str(where), SPEC)
    assert "or use the backbone 'speech' or 'mfcc'" in caught.value.help
