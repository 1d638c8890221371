"""What is known of sounds before any is labelled: a network that has heard speech. And the noises that sounds are tested in."""

import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank

import augmind
import hearing
from augmind.core.errors import DataError, MachineError, UsageError
from augmind.core.feed import Feed
from augmind.core.registry import make
from augmind.core.run import Run
from augmind.core.store import read_json
from augmind.core.types import Choice, Samples, Spec
from augmind.explain import preview
from augmind.job import Job
from augmind.modalities.audio.backbones import speaker
from augmind.modalities.audio.backbones._carried import bands_of
from augmind.modalities.audio.backbones.speech import BANDS, COLUMNS, HIGHEST, LOWEST, RATE, WINDOW, Net, Speech, safetensors_of
from augmind.modalities.audio.codec import AudioCodec
from augmind.modalities.audio.corruptions import RATIOS, active
from augmind.modalities.audio.mel import Mel, power_of
from hearing import folder

SEEDS = torch.tensor([3, 4, 2**52])


def spec(rate: int = 8000, bands: int = 40, frames: int = 64) -> Spec:
    return Spec(kind="continuous", shape=(1, bands, frames), classes=("a", "b"), bounded=True, rate=rate)


def tones(rate: int = 8000, seconds: float = 0.5) -> list[np.ndarray]:
    """Three sounds that begin and end softly."""
    t = np.arange(round(rate * seconds)) / rate
    return [0.3 * np.hanning(len(t)) * sum(np.sin(2 * np.pi * k * hertz * t) / k for k in (1, 2, 3)) for hertz in (180, 310, 540)]


@pytest.fixture
def heard(tmp_path, monkeypatch):
    monkeypatch.setenv("AUGMIND_CACHE", str(tmp_path / "cache"))
    return hearing.pretend(tmp_path / "cache")


# A backbone


@pytest.mark.parametrize("rate", [8000, 16_000])
def test_the_bands_of_the_network_are_those_that_waves_would_give(rate):
    """Noise at 16 kHz through the network's own transform, beside the way from stored bands; below the half of the rows' rate."""
    from scipy.signal import decimate

    mel = Mel(rate=rate, bands=40, frames=96)
    wave = np.convolve(np.random.default_rng(0).normal(0, 0.1, mel.samples * 16_000 // rate), [1, 1.2, 0.5], "same")
    own = decimate(wave, 16_000 // rate).copy() if rate < 16_000 else wave
    ours = bands_of(mel, rate=RATE, window=WINDOW, bands=BANDS, lowest=LOWEST, highest=HIGHEST) @ mel.power(torch.from_numpy(own).float()[None])[0]
    taper = torch.from_numpy(np.hanning(401)[:400]).float()
    theirs = torch.stft(torch.from_numpy(wave).float(), 512, 160, 400, taper, return_complex=True).abs().square() / (taper.sum() / 2) ** 2
    filters = torch.from_numpy(mel_filter_bank(257, 32, 60.0, 3800.0, 16_000, norm="slaney", mel_scale="slaney")).float()
    apart = 10 * (ours.mean(1) / (filters.T @ theirs).mean(1)).log10()
    clear = slice(3, 29)
    offset = apart[clear].mean()
    assert (apart[clear] - offset).abs().max() < 2.0
    assert abs(float(offset)) < 3.0


def test_features_are_those_of_the_row_alone_and_little_changed_by_when_it_is_heard(heard):
    codec = AudioCodec(spec(), "speech")
    x = codec.encode(tones())
    z = codec.embed(x)
    assert z.shape == (3, 192) and codec.pretrained and codec.trainable and codec.reads() == "speech"
    assert torch.allclose(codec.embed(x[1:2]), z[1:2], atol=1e-4) and codec.embed(x[:0]).shape == (0, 192)
    later = torch.cat([x[..., -8:], x[..., :-8]], -1)  # one window: the ends are silent
    assert (codec.embed(later) - z).norm(dim=1).max() < 0.4 * (z[0] - z[1]).norm()


@pytest.mark.parametrize("frames", [32, 148, 300])
def test_rows_of_any_length_are_heard(heard, frames):
    net = Speech(spec(frames=frames))
    seen = net.heard(torch.rand(2, 1, 40, frames) * 2 - 1)
    assert seen.shape == (2, 1, max(frames, COLUMNS), 32) and seen.isfinite().all()
    silent = net.features(torch.full((1, 1, 40, frames), -1.0))
    assert silent.shape == (1, net.width) and silent.isfinite().all()


def test_without_its_weights_the_command_that_gets_them_is_told(tmp_path, monkeypatch):
    folder(tmp_path / "d", per_class=3)
    with pytest.raises(MachineError, match="the backbone 'speech' are not on this machine") as caught:
        augmind.expand(tmp_path / "d", tmp_path / "r", backbone="speech")
    assert "augmind models pull speech" in caught.value.help
    with pytest.raises(UsageError, match="unknown backbone of sounds 'speach'") as caught:
        AudioCodec(spec(), "speach")
    assert "did you mean 'speech'" in caught.value.help
    with pytest.raises(UsageError, match="nothing to train") as caught:
        augmind.expand(tmp_path / "d", tmp_path / "s", learner=("finetune",), dry_run=True)
    assert "--backbone speech" in caught.value.help


def test_damaged_weights_are_told(heard):
    whole = (heard / "model.safetensors").read_bytes()
    for wrong in (whole[:-100], b"\x80\x04no tensors", whole.replace(b"convs.3.bias", b"convs.3.bios")):
        (heard / "model.safetensors").write_bytes(wrong)
        with pytest.raises(MachineError, match="the backbone 'speech' cannot be read") as caught:
            Speech(spec())
        assert "augmind models pull speech" in caught.value.help


def test_weights_come_out_of_an_onnx_file(tmp_path):
    from onnx import TensorProto, helper, numpy_helper, save

    net, nodes, tensors, last = Net(), [], [], "x"
    for i, conv in enumerate(net.convs):
        names = [f"w{i}", *([f"b{i}"] if conv.bias is not None else [])]
        tensors += [numpy_helper.from_array(v.detach().numpy(), n) for n, v in zip(names, (conv.weight, conv.bias), strict=False)]
        nodes += [helper.make_node("Conv", [last, *names], [f"c{i}"]), helper.make_node("LeakyRelu", [f"c{i}"], [f"r{i}"])]
        last = f"r{i}"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", last)]
    save(helper.make_model(helper.make_graph(nodes, "net", ends[:1], ends[1:], tensors)), str(tmp_path / "net.onnx"))
    safetensors_of(tmp_path / "net.onnx", tmp_path / "made")
    from augmind.core.tensors import load_tensors

    found = load_tensors(tmp_path / "made" / "model.safetensors")
    assert found.keys() == net.state_dict().keys() and all(torch.equal(found[k], v) for k, v in net.state_dict().items())


# Whose voice it is


@pytest.fixture
def told_apart(tmp_path, monkeypatch):
    """An encoder of speakers with weights drawn at random, converted as that of the package is."""
    monkeypatch.setenv("AUGMIND_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    net = speaker.Net()
    torch.save({"step": 1, "model_state": net.state_dict() | {"similarity_weight": torch.ones(1)}}, tmp_path / "net.pt")
    (tmp_path / "cache" / "models").mkdir(parents=True)
    speaker.safetensors_of(tmp_path / "net.pt", tmp_path / "cache" / "models" / "speaker")
    return net


@pytest.mark.parametrize(("frames", "starts"), [(32, [0]), (160, [0]), (196, [0]), (197, [0, 77]), (330, [0, 77, 154])])
def test_voices_are_heard_in_pieces_of_160_columns_with_silence_after_short_rows(told_apart, frames, starts):
    """Pieces begin where those of Resemblyzer do at its rate of 1.3, of which the last has to be filled to three quarters."""
    codec = AudioCodec(spec(frames=frames), "speaker")
    x = codec.encode(tones(seconds=frames / 100))
    z = codec.embed(x)
    assert z.shape == (3, 256) and codec.reads() == "speaker" and torch.allclose(z.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.allclose(codec.embed(x[1:2]), z[1:2], atol=1e-5) and codec.embed(x[:0]).shape == (0, 256)
    seen = speaker.Speaker(codec.spec).heard(codec.spec.to_model(x))
    assert seen.shape == (3, len(starts), 160, 40) and not seen[:, -1, max(0, frames - starts[-1]) :].any()
    with torch.no_grad():
        found = torch.stack([told_apart(seen[:, i]) for i in range(len(starts))]).mean(0)
    torch.testing.assert_close(torch.nn.functional.normalize(found, dim=1), z, atol=1e-5, rtol=1e-4)


def test_the_power_that_the_encoder_of_speakers_sees_is_that_of_waves_under_its_own_transform(told_apart):
    codec = AudioCodec(spec(16_000, frames=160), "speaker")
    noise = np.random.default_rng(0).normal(0, 0.1, (3, codec.mel.samples))
    waves = np.stack([np.convolve(row, taps, "same") for row, taps in zip(noise, ([1.0], [1, 1.6, 0.9], [1, -1.2, 0.8]), strict=True)])
    waves = torch.from_numpy(waves / waves.std() * 0.1).float()
    seen = speaker.Speaker(codec.spec).heard(codec.spec.to_model(codec.mel.encode(waves)))[:, 0]
    filters = torch.from_numpy(mel_filter_bank(201, 40, 0.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney")).float()
    theirs = torch.stft(waves, 400, 160, window=torch.hann_window(400), return_complex=True).abs().square()[..., :160]
    apart = 10 * (seen.mean(1) / torch.einsum("fb,nft->ntb", filters, theirs).mean(1)).log10()
    assert apart.abs().max() < 3 and apart.mean().abs() < 1.5


def test_a_checkpoint_that_is_another_network_or_runs_code_is_refused(tmp_path):
    torch.save({"model_state": {"lstm.weight_ih_l0": torch.zeros(3)}}, tmp_path / "other.pt")
    torch.save({"model_state": Spec}, tmp_path / "code.pt")
    for name in ("other.pt", "code.pt"):
        with pytest.raises(DataError, match="no checkpoint of Resemblyzer's encoder"):
            speaker.safetensors_of(tmp_path / name, tmp_path / "made")
    assert not (tmp_path / "made").exists()


# Learning


def test_it_is_trained_further(heard, tmp_path):
    codec, run = AudioCodec(spec(), "speech"), Run(folder=tmp_path)
    x, y = codec.encode(tones() + tones(seconds=0.3)), torch.tensor([0, 1, 1, 0, 1, 1])
    real = Samples.real(x, y, torch.arange(6), z=codec.embed(x))
    none = {"transform": make("transforms", Choice(name="none")), "mixing": make("mixing", Choice(name="none"))}
    model = make("learners", Choice(name="finetune", settings={"backbone": "speech", "steps": 2, "batch": 8}))
    model.fit(Feed(real=real, spec=codec.spec, codec=codec, **none), run)
    assert torch.allclose(model.predict(real).sum(1), torch.ones(6), atol=1e-4)
    before, after = Speech(spec()).module.state_dict(), model.state()
    assert any(not torch.equal(after[f"body/{name}"], value) for name, value in before.items())


def test_a_run_remembers_what_it_was_planned_with(heard, tmp_path):
    data = folder(tmp_path / "d", per_class=5, classes=("low", "high"))
    run = augmind.expand(data, tmp_path / "r", backbone="speech", learner=("finetune",), dry_run=True)
    assert set(read_json(run.folder / "plan.json")["sources"]) >= {"backbone"}


# Noise


def test_noise_lies_as_far_below_the_sound_as_it_says():
    own = spec()
    codec = AudioCodec(own)
    x = codec.encode(tones())
    clean = power_of(x[:, 0])
    for name, corrupt in codec.corruptions.items():
        for severity, ratio in enumerate(RATIOS, 1):
            noisy = power_of(own.to_store(corrupt(own.to_model(x), severity, SEEDS))[:, 0])
            found = 10 * (active(clean) / (noisy - clean).mean((1, 2))).log10()
            assert (found - ratio).abs().max() < 1.0, (name, ratio, found)


def test_a_noisy_spectrogram_is_that_of_the_sum_of_the_waves():
    own = spec()
    codec = AudioCodec(own)
    x = codec.encode(tones())
    noise = codec.corruptions["pink_noise"]
    heard = noise(own.to_model(x), 3, SEEDS)
    waves = torch.stack([torch.from_numpy(w) for w in codec.decode(x)])
    hiss = noise.waves(SEEDS)
    size = (active(codec.mel.power(waves)) / codec.mel.power(hiss).mean((1, 2))).sqrt()
    summed = own.to_model(codec.mel.encode(waves + size[:, None] * hiss))
    assert 40 * float((heard - summed).square().mean().sqrt()) < 5.0  # decibels: whether the two add or cancel is luck
    assert 40 * abs(float((heard - summed).mean())) < 1.5


def test_kinds_of_noise_differ_as_they_are_called():
    own = spec()
    noises = AudioCodec(own).corruptions
    levels = {n: 10 * Mel(rate=8000, bands=40, frames=64).power(f.waves(SEEDS)).mean((0, 2)).log10() for n, f in noises.items()}
    fall = {n: float(v[10] - v[38]) for n, v in levels.items()}
    assert fall["white_noise"] < fall["pink_noise"] < fall["many_voices"]


def test_a_row_is_in_the_same_noise_alone_and_among_others():
    own = spec()
    codec = AudioCodec(own)
    x = own.to_model(codec.encode(tones()))
    for corrupt in codec.corruptions.values():
        assert torch.allclose(corrupt(x, 2, SEEDS)[1:2], corrupt(x[1:2], 2, SEEDS[1:2]), atol=1e-6)
        assert corrupt(x[:0], 2, SEEDS[:0]).shape == (0, 1, 40, 64)
        assert corrupt(torch.full_like(x, -1.0), 3, SEEDS).isfinite().all()


def test_sounds_of_any_length_are_shown_whole(tmp_path):
    """A page makes large pictures smaller; a spectrogram made smaller would be another sound."""
    own = spec(frames=150)
    job = type("Standing", (Job,), {"spec": own, "codec": AudioCodec(own)})(tmp_path)
    (row,) = job.codec.encode(tones(seconds=1.2)[:1])
    assert preview(job, row) == job.codec.preview(row[None])[0]
