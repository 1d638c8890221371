"""Waves from spectrograms by HiFi-GAN: its weights, its rows, and what stays as it was without it."""

import io
import pickle

import numpy as np
import pytest
import soundfile
import torch
from torch.nn.utils.parametrizations import weight_norm

from augmind.core.errors import DataError, MachineError
from augmind.core.tensors import load_tensors
from augmind.core.types import Spec
from augmind.modalities.audio.codec import MARK, VOICED, AudioCodec
from augmind.modalities.audio.distances import mel_distance, spectral_distance
from augmind.modalities.audio.mel import Mel, power_of
from augmind.modalities.audio.vocoder import BANDS, EDGE, HOP, RATE, Generator, Vocoder, filters, heard, installed, safetensors_of

MEL = Mel(rate=8000, bands=40, frames=64)


def small() -> Generator:
    """A random network, loud enough that its waves are no silence."""
    torch.manual_seed(0)
    made = Generator(16)
    for value in made.parameters():
        torch.nn.init.normal_(value, std=0.6 * value[0].numel() ** -0.5 if value.ndim > 1 else 0.1)
    return made.eval().requires_grad_(False)


def spec(mel: Mel = MEL) -> Spec:
    return Spec(kind="continuous", shape=(1, mel.bands, mel.frames), classes=("a", "b"), bounded=True, rate=mel.rate)


def rows(mel: Mel = MEL):
    """Three tones that begin and end softly, far apart in loudness."""
    t = np.arange(mel.samples) / mel.rate
    waves = [peak * np.hanning(len(t)) * np.sin(2 * np.pi * hertz * t) for hertz, peak in ((300, 0.5), (700, 0.05), (1500, 0.2))]
    return mel.encode(torch.from_numpy(np.stack(waves)).float())


def normed(net: Generator) -> Generator:
    """The same network as it is trained, each weight a length and a direction."""
    for module in net.modules():
        if isinstance(module, torch.nn.Conv1d | torch.nn.ConvTranspose1d):
            weight_norm(module, dim=0)
            module.parametrizations.weight.original0.mul_(1.5)
    return net


def checkpoint(net: Generator, path) -> None:
    """As it was published: parts of a weight are called weight_g and weight_v."""
    names = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    told = {}
    for name, value in net.state_dict().items():
        for new, old in names.items():
            name = name.replace(new, old)
        told[name] = value
    torch.save({"generator": told}, path)


@pytest.fixture
def pulled(tmp_path, monkeypatch):
    """A small network where `augmind models pull hifigan` would put it."""
    monkeypatch.setenv("AUGMIND_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "models").mkdir(parents=True)
    checkpoint(normed(small()), tmp_path / "g.pth")
    safetensors_of(tmp_path / "g.pth", tmp_path / "cache" / "models" / "hifigan")
    return tmp_path / "cache" / "models" / "hifigan"


# Weights


def test_a_checkpoint_becomes_the_same_network_without_its_norms(tmp_path):
    net = normed(small())
    checkpoint(net, tmp_path / "g.pth")
    safetensors_of(tmp_path / "g.pth", tmp_path / "made")
    plain = Generator(16)
    plain.load_state_dict(load_tensors(tmp_path / "made" / "model.safetensors"))
    x = torch.randn(2, BANDS, 9)
    with torch.inference_mode():
        assert torch.allclose(plain(x), net(x), atol=1e-4) and plain(x).shape == (2, 9 * HOP) and plain(x).std() > 0.01
    assert (tmp_path / "made" / "config.json").is_file()


def test_code_in_a_checkpoint_is_never_run(tmp_path):
    class Bad:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    torch.save({"generator": Bad()}, tmp_path / "zip.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"generator": Bad()}))
    (tmp_path / "noise.pth").write_bytes(bytes(range(200)))
    torch.save({"generator": {"conv_pre.bias": torch.zeros(16)}}, tmp_path / "other.pth")
    torch.save({"discriminator": {}}, tmp_path / "none.pth")
    for name in ("zip", "plain", "noise", "other", "none"):
        with pytest.raises(DataError, match=f"'{name}.pth' is no checkpoint of the generator"):
            safetensors_of(tmp_path / f"{name}.pth", tmp_path / "made")
    assert not (tmp_path / "written").exists() and not (tmp_path / "made").exists()


def test_damaged_weights_are_told(pulled):
    (pulled / "model.safetensors").write_bytes((pulled / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(MachineError, match="the vocoder 'hifigan' cannot be read") as caught:
        AudioCodec(spec()).files(rows(), [True] * 3)
    assert "augmind models pull hifigan" in caught.value.help


# Rows


@pytest.mark.parametrize(("rate", "bands", "frames"), [(8000, 40, 64), (16_000, 64, 33), (4000, 20, 50), (22_050, 80, 40)])
def test_waves_have_the_rate_and_length_of_the_rows(rate, bands, frames):
    mel = Mel(rate=rate, bands=bands, frames=frames)
    waves = Vocoder(mel, small()).decode(rows(mel))
    assert waves.shape == (3, mel.samples) and waves.isfinite().all()
    assert Vocoder(mel, small()).decode(rows(mel)[:0]).shape == (0, mel.samples)


def test_a_row_sounds_the_same_alone_and_among_others_every_time():
    made, x = Vocoder(MEL, small()), rows()
    waves = made.decode(x)
    assert torch.equal(waves[1:2], made.decode(x[1:2])) and torch.equal(waves.flip(0), made.decode(x.flip(0)))


def test_each_row_is_as_loud_as_it_says_and_silence_is_silent():
    x = rows()
    waves = Vocoder(MEL, small()).decode(x)
    found, said = (p.sum((1, 2)) for p in (MEL.power(waves), power_of(x[:, 0])))
    assert (10 * (found / said).log10()).abs().max() < 2.0
    assert Vocoder(MEL, small()).decode(torch.zeros_like(x[:1])).abs().max() < 1e-3


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050])
def test_the_network_hears_a_click_when_it_sounds_and_as_loud_as_it_is(rate):
    wave = torch.zeros(1, rate // 2)
    wave[0, rate // 4] = 0.5
    found = heard(wave, rate)
    assert found.shape == (1, BANDS, -(-RATE // 2 // HOP) + 2 * EDGE)
    assert found[0, :40].sum(0).argmax() == EDGE + RATE // 4 // HOP
    clear = found[0, :40] > -5
    assert clear.any() and ((heard(2 * wave, rate) - found)[0, :40][clear] - np.log(2)).abs().max() < 0.01
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(rate // 2) / rate)[None]
    magnitude = (filters() @ torch.full((513,), 256.0)).max().log()  # of a spectrum as high as a sine of full scale is
    loudest = heard(tone, rate)[0, :, 20:30]
    assert loudest.amax(0).std() < 0.1 and -2 < loudest.max() - magnitude < 0.5 and heard(0 * tone, rate).max() < -11


# The codec


def test_without_weights_it_is_griffin_lim_as_ever():
    codec, x = AudioCodec(spec()), rows()
    assert installed(MEL) is None
    assert torch.equal(torch.from_numpy(np.stack(codec.decode(x))), MEL.decode(x).clamp(-1, 1))
    assert [soundfile.SoundFile(io.BytesIO(f)).comment for f in codec.files(x[:2], [True, False])] == [MARK, ""]


def test_where_it_is_installed_exported_files_are_its_own_and_say_so(pulled):
    codec, x = AudioCodec(spec()), rows()
    files = codec.files(x, [True, False, False])
    heard = [soundfile.read(io.BytesIO(f), dtype="float32")[0] for f in files]
    own = Vocoder(MEL, installed(MEL).generator).decode(x).clamp(-1, 1)
    assert all(np.abs(a - b.numpy()).max() < 1e-4 for a, b in zip(heard, own, strict=True))
    assert [soundfile.SoundFile(io.BytesIO(f)).comment for f in files] == [f"{MARK}; {VOICED}", VOICED, VOICED]
    assert codec.files(x[1:2], [False])[0] == files[1] and codec.files(x[:0], []) == []
    assert installed(Mel(rate=44_100, bands=64, frames=32)) is None


def test_rows_features_and_reports_do_not_change_with_it(pulled, tmp_path, monkeypatch):
    t = np.arange(4000) / 8000
    waves = [np.hanning(4000) * np.sin(2 * np.pi * hertz * t) for hertz in (200, 450)]

    def seen():
        codec = AudioCodec(spec())
        x = codec.encode(waves)
        noisy = [corrupt(codec.spec.to_model(x), 2, torch.arange(2)) for corrupt in codec.corruptions.values()]
        told = [x, codec.embed(x), *codec.variants(x), *noisy, *map(torch.from_numpy, codec.decode(x))]
        return codec.preview(x), told

    assert installed(MEL)
    shown, with_it = seen()
    monkeypatch.setenv("AUGMIND_CACHE", str(tmp_path / "nothing"))
    assert installed(MEL) is None
    again, without = seen()
    assert shown == again and all(torch.equal(a, b) for a, b in zip(with_it, without, strict=True))


# How far waves are from others


def test_distances_are_decibels():
    wave = torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, (2, MEL.samples))).float()
    for distance in (spectral_distance, mel_distance):
        assert distance(MEL, wave, wave).abs().max() == 0
        assert torch.allclose(distance(MEL, wave / 10**0.5, wave), torch.full((2,), 10.0), atol=0.5)
        assert (distance(MEL, torch.zeros_like(wave), wave) > 20).all()
