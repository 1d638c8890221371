"""Rows of sounds: the codec, its features, and transforms of spectrograms against the same done to waves."""

import io

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from augmind.core.errors import WrongSpec
from augmind.core.run import Run
from augmind.core.types import Data, Samples, Spec
from augmind.modalities.audio.codec import MARK, AudioCodec, flac
from augmind.modalities.audio.mixing.background import Background
from augmind.modalities.audio.screens.recording import Recording
from augmind.modalities.audio.transforms._levels import levels
from augmind.modalities.audio.transforms._spoken import audible, contours, let_through, warped
from augmind.modalities.audio.transforms.specaugment import SpecAugment
from augmind.modalities.audio.transforms.wave import Wave, bands_at
from augmind.modalities.image.transforms.flip import Flip
from augmind.report.snippet import inert

RATE = 8000
SPEC = Spec(kind="continuous", shape=(1, 40, 64), classes=("a", "b"), rate=RATE)
CODEC = AudioCodec(SPEC)


def tone(hertz, seconds=0.5, rate=RATE, harmonics=6):
    """A hum of some harmonics, louder in the middle."""
    t = np.arange(round(seconds * rate)) / rate
    own = [k for k in range(1, harmonics + 1) if k * hertz < rate / 2]
    return (0.2 * np.hanning(len(t)) * sum(np.sin(2 * np.pi * k * hertz * t) / k for k in own)).astype(np.float32)


def soft(x):
    return SPEC.to_model(x)


def test_rows_go_to_files_and_come_back_alike():
    x = CODEC.encode([tone(200), tone(500, 0.3), tone(900, 1.2)])
    assert x.shape == (3, 1, 40, 64) and x.dtype == torch.uint8
    waves = [soundfile.read(io.BytesIO(blob), dtype="float32") for blob in CODEC.files(x, [False] * 3)]
    assert {rate for _, rate in waves} == {RATE} and {len(w) for w, _ in waves} == {CODEC.mel.samples}
    again = CODEC.encode([w for w, _ in waves])
    heard = x > 128
    apart = (again.float() - x.float()) * 80 / 255
    assert all((own[mask] - own[mask].median()).abs().mean() < 2.0 for own, mask in zip(apart, heard, strict=True))  # levels may differ
    assert CODEC.decode(x[:0]) == [] and CODEC.encode([]).shape == (0, 1, 40, 64)


def test_synthetic_files_say_so_and_are_the_same_bytes_every_time():
    x = CODEC.encode([tone(300), tone(400)])
    first, second = CODEC.files(x, [True, False])
    assert soundfile.SoundFile(io.BytesIO(first)).comment == MARK and soundfile.SoundFile(io.BytesIO(second)).comment == ""
    assert CODEC.files(x[:1], [True])[0] == first


def test_a_flac_file_holds_the_samples_and_the_mark_of_the_wav_file():
    (data,) = CODEC.files(CODEC.encode([tone(300)]), [True])
    packed = flac(data)
    with soundfile.SoundFile(io.BytesIO(packed)) as file, soundfile.SoundFile(io.BytesIO(data)) as plain:
        assert file.format == "FLAC" and file.comment == MARK and file.samplerate == RATE
        assert np.array_equal(file.read(dtype="int16"), plain.read(dtype="int16"))
    assert packed == flac(data)


def test_what_no_microphone_gives_is_no_recording_and_other_recordings_are(tmp_path):
    x = CODEC.encode(
        [tone(hertz, seconds) + 0.001 * noise(hertz, seconds) for hertz, seconds in zip(range(200, 400, 10), np.linspace(0.3, 0.6, 20), strict=True)]
    )
    y, z = torch.arange(20) % 2, torch.zeros(20, 3)
    screen = Recording().fit(Data(train=Samples.real(x, y, z=z), val=Samples.real(x[:0], y[:0]), spec=SPEC, codec=CODEC), Run(folder=tmp_path))

    def passed(rows):
        return screen.score(Samples.synthetic("toy", rows, y[: len(rows)], y[: len(rows)])).tolist()

    assert passed(CODEC.encode([tone(700, 0.45), tone(150, 0.4, harmonics=2) + 0.003 * noise(3, 0.4)])) == [1, 1]
    spoilt = {
        "silent": torch.zeros_like(x[:2]),
        "soft": (x[:2].float() - 100).clamp(0).to(torch.uint8),
        "loud": x[:2].clamp(min=240),
        "cut off": torch.where(x[:2] > 120, 255, x[:2]).to(torch.uint8),
        "hiss": x[:2].clamp(min=150),
    }
    assert {name: passed(rows) for name, rows in spoilt.items()} == {name: [0, 0] for name in spoilt}


def noise(seed, seconds):
    return np.random.default_rng(seed).standard_normal(round(seconds * RATE)).astype(np.float32)


def test_features_tell_sounds_apart_and_depend_on_the_row_alone():
    low, high = ([tone(base + 5 * i) for i in range(6)] for base in (150, 600))
    x = CODEC.encode(low + high)
    z = CODEC.embed(x)
    assert torch.equal(z[3:5], CODEC.embed(x[3:5])) and z.isfinite().all()
    near = torch.cdist(z, z).fill_diagonal_(torch.inf).argmin(1)
    assert ((near < 6) == (torch.arange(12) < 6)).all()


@pytest.mark.parametrize("frames", [32, 64, 400])
def test_a_tile_shows_low_tones_at_the_bottom_and_is_not_too_wide_for_a_sheet(frames):
    codec = AudioCodec(Spec(kind="continuous", shape=(1, 40, frames), classes=("a", "b"), rate=RATE))
    tiles = codec.tiles(codec.encode([tone(hertz, frames / 100, harmonics=1) for hertz in (150, 3000)]))
    _, height, width, _ = tiles.shape
    assert tiles.dtype == torch.uint8 and tiles.shape[3] == 3 and width == frames and height % 40 == 0 and width <= 2.5 * height
    low, high = tiles.float().sum(3).mean(2).argmax(1) / height
    assert low > 0.8 and high < 0.3
    assert codec.tiles(codec.encode([])).shape == (0, height, width, 3)


def test_a_preview_is_a_picture_and_a_player_and_survives_the_report():
    (html,) = CODEC.preview(CODEC.encode([tone(300)]))
    kept = str(inert(html))
    assert kept.count("data:image/png") == 1 and kept.count("data:audio/wav") == 1 and "<audio controls" in kept
    assert "src" not in str(inert('<audio src="https://x.org/a.wav" onplay="x()"></audio>'))
    import base64

    picture = Image.open(io.BytesIO(base64.b64decode(html.split("base64,")[1].split('"')[0])))
    assert picture.size == (64, 40)


@pytest.mark.parametrize("change", [{"shape": (3, 40, 64)}, {"rate": 0}, {"bounded": False}, {"shape": (40,)}])
def test_other_rows_are_refused(change):
    import dataclasses

    with pytest.raises(WrongSpec, match="sounds cannot have shape"):
        AudioCodec(dataclasses.replace(SPEC, **change))


def test_pictures_are_mirrored_and_sounds_are_not():
    picture = Spec(kind="continuous", shape=(1, 40, 64), classes=("a",))
    assert Flip.refuses(SPEC) and not Flip.refuses(picture) and Wave.refuses(picture) and not Wave.refuses(SPEC)
    assert Spec.from_json(SPEC.to_json()) == SPEC and Spec.from_json({k: v for k, v in SPEC.to_json().items() if k != "rate"}).rate == 0


# Transforms


def changed(which, amount, x, **settings):
    """`x` after one of the changes alone, by an amount that is given."""
    wave = Wave(**settings)

    def drawn(x, most, rng):
        return torch.full((len(x),), amount if most == which else 0.0)

    wave._drawn = drawn
    return wave._moved(x, torch.Generator().manual_seed(0))


def test_nothing_moves_where_nothing_is_drawn():
    x = soft(CODEC.encode([tone(250), tone(700)]))
    assert torch.allclose(changed(-1.0, 0.0, x), x, atol=1e-4)
    assert torch.allclose(bands_at(40, torch.ones(1)), torch.linspace(-1, 1, 40)[None], atol=1e-5)


@pytest.mark.parametrize("factor", [0.88, 1.12])
def test_another_pitch_looks_as_if_all_frequencies_were_multiplied(factor):
    from augmind.modalities.audio.transforms.wave import PITCH

    x, there = (soft(CODEC.encode([tone(f)])) for f in (400, 400 * factor))
    y = changed(PITCH, float(np.log(factor)), x)
    shown = [v[0, 0, :, 20:44].clamp(min=-0.7).mean(1) for v in (x, y, there)]
    assert (shown[1] - shown[2]).abs().mean() < 0.45 * (shown[0] - shown[2]).abs().mean()


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_another_speed_makes_sounds_longer_or_shorter(factor):
    from augmind.modalities.audio.transforms.wave import SPEED

    def length(v):
        return float((levels(v[0, 0]).sum(0) > levels(v[0, 0]).sum(0).max() * 1e-2).sum())

    x = soft(CODEC.encode([tone(400)]))
    assert length(changed(SPEED, float(np.log(factor)), x)) == pytest.approx(length(x) / factor, abs=2.5)


def test_noise_lies_below_the_sound_by_what_was_drawn():
    x = soft(CODEC.encode([tone(300)] * 200))
    wave = Wave(probability=1.0)
    power = levels(x)
    more = wave._noisy(power, torch.Generator().manual_seed(1)) - power
    below = 10 * (power.mean((1, 2, 3)) / more.mean((1, 2, 3))).log10()
    assert below.min() > 4.0 and below.max() < 31.0 and 15 < below.mean() < 20 and (more >= 0).all()


def test_an_echo_adds_what_comes_later_and_never_more_than_the_sound():
    power = torch.zeros(50, 1, 4, 64)
    power[..., 10] = 1.0
    heard = Wave(probability=1.0)._echoed(power, torch.Generator().manual_seed(1))
    assert torch.equal(heard[..., :11], power[..., :11]) and (heard[..., 11:].sum(-1) <= 1.0 + 1e-4).all() and heard[..., 11:].max() > 0.01
    fall = heard[:, 0, 0, 12] / heard[:, 0, 0, 11]
    assert ((10 * fall.log10() < -60 / 0.4 * 0.01 + 1e-3) & (10 * fall.log10() > -60 / 0.05 * 0.01 - 1e-3)).all()


def test_transforms_are_functions_of_rows_and_seed_and_keep_the_range():
    x, y = soft(CODEC.encode([tone(200 + 20 * i) for i in range(16)])), torch.eye(2).repeat(8, 1)
    for made in (Wave(), Wave(masks=2), SpecAugment(), Wave(prosody=1.0, channel=1.0), Background()):
        (a, _), (b, _), (c, _) = made.apply(x, y, 1), made.apply(x, y, 1), made.apply(x, y, 2)
        assert torch.equal(a, b) and not torch.equal(a, c) and a.min() >= -1 and a.max() <= 1 and a.shape == x.shape


def test_contours_are_smooth_of_mean_zero_and_change_tempo_but_not_length():
    rng = torch.Generator().manual_seed(0)
    found = contours(300, 100, rng)
    assert found.abs().max() <= 1 and found.mean(1).abs().max() < 1e-5 and found.diff(dim=1).abs().max() < 0.15 and found.std() > 0.2
    at = warped(found * np.log(1.3))
    assert torch.allclose(at[:, 0], -torch.ones(300)) and torch.allclose(at[:, -1], torch.ones(300)) and (at.diff(dim=1) > 0).all()
    assert torch.allclose(warped(torch.zeros(1, 100))[0], torch.linspace(-1, 1, 100), atol=1e-5)
    speed = at.diff(dim=1) * 99 / 2
    assert speed.max() < 1.3**2 and speed.min() > 1.3**-2


def test_a_contour_of_energy_moves_no_sound_and_one_of_pitch_no_silence():
    x = soft(CODEC.encode([tone(400)] * 60))
    quiet = x <= -1
    said = Wave(probability=1.0, prosody=1.0)._said(x, torch.Generator().manual_seed(3))
    assert said.shape == x.shape and not torch.equal(said, x)
    assert (said[quiet] <= -0.5).double().mean() > 0.9
    place = levels(said).sum(3)[:, 0].argmax(1)
    assert place.float().std() > 0 and (place - levels(x).sum(3)[0, 0].argmax()).abs().max() <= 4
    assert torch.equal(Wave(probability=1.0, prosody=1e-9)._said(x, torch.Generator().manual_seed(3)).argmax(2), x.argmax(2))


def test_a_narrow_channel_passes_its_bands_and_falls_beyond():
    loss = let_through(41, torch.tensor([0.25, 0.0]), torch.tensor([0.75, 1.0]), 120.0)
    assert torch.equal(loss[1], torch.zeros(41)) and torch.equal(loss[0, 10:31], torch.zeros(21))
    assert loss[0, 0] == pytest.approx(-30.0, abs=1e-4) and loss[0, 40] == pytest.approx(-30.0, abs=1e-4) and (loss[0, :11].diff() > 0).all()


def test_a_codec_leaves_out_what_lies_far_below_the_loudest_band_of_its_moment():
    power = torch.tensor([1.0, 1e-2, 1e-4]).view(1, 1, 3, 1).repeat(2, 1, 1, 2) * torch.tensor([1.0, 1e-3])
    kept = audible(power, torch.tensor([30.0, torch.inf]))
    assert torch.equal(kept[1], power[1]) and torch.equal(kept[0, 0, :2], power[0, 0, :2]) and (kept[0, 0, 2] == 0).all()


def test_a_background_is_another_row_as_far_below_as_was_drawn_and_labels_stay():
    x, y = soft(CODEC.encode([tone(200 + 100 * i) for i in range(8)])), torch.eye(8)
    out, labels = Background(probability=1.0, nearest=10.0, furthest=10.0).apply(x, y, 0)
    assert labels is y
    more, own = levels(out) - levels(x), levels(x)
    below = 10 * (own.mean((1, 2, 3)) / more.mean((1, 2, 3))).log10()
    assert torch.allclose(below, torch.full((8,), 10.0), atol=0.2)
    likeness = torch.einsum("nb,mb->nm", *(v.mean((1, 3)) / v.mean((1, 3)).norm(dim=1, keepdim=True) for v in (more, own)))
    assert (likeness.argmax(1) != torch.arange(8)).all() and sorted(likeness.argmax(1).tolist()) == list(range(8))
    alone, silent = x[:1], -torch.ones_like(x)
    assert Background(probability=1.0).apply(alone, y[:1], 0)[0] is alone
    assert torch.equal(Background(probability=1.0).apply(silent, y, 0)[0], silent)
    some = (Background(probability=0.5).apply(x.repeat(20, 1, 1, 1), y.repeat(20, 1), 0)[0] == x.repeat(20, 1, 1, 1)).flatten(1).all(1)
    assert 0.3 < some.double().mean() < 0.7


def test_specaugment_hides_no_more_than_it_may_and_whole_runs():
    x = torch.arange(40 * 64.0).view(1, 1, 40, 64).repeat(100, 1, 1, 1) / 2560
    out, _ = SpecAugment(masks=1, part=0.2).apply(x, torch.zeros(100, 1), 0)
    hidden = out != x
    rows, columns = hidden[:, 0].all(2).sum(1), hidden[:, 0].all(1).sum(1)
    assert rows.max() <= 8 and columns.max() <= 13 and rows.max() > 4 and columns.max() > 6
    assert torch.equal(hidden[:, 0], hidden[:, 0].all(2)[:, :, None] | hidden[:, 0].all(1)[:, None, :])
    assert torch.allclose(out[hidden], torch.full_like(out[hidden], float(x[0].mean())))
