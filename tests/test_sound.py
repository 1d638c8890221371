"""Sounds: what is read of files, spectrograms and the way back."""

import io

import numpy as np
import pytest
import soundfile
import torch

from augmind.core.errors import MachineError, WrongSpec
from augmind.modalities.audio.mel import FLOOR, Mel, power_of, stored
from augmind.modalities.audio.read import NoSound, fitted, levelled, needed, read, resampled, trimmed

RATE = 8000
MEL = Mel(rate=RATE, bands=40, frames=64)


def sine(hertz, seconds=0.64, rate=RATE, peak=1.0):
    return (peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def chirp(low, high, seconds=0.64, rate=RATE, peak=0.3):
    t = np.arange(round(seconds * rate)) / rate
    return (peak * np.sin(2 * np.pi * (low * t + (high - low) * t**2 / (2 * seconds)))).astype(np.float32)


def file(wave, rate=RATE, format="WAV", **kind) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, wave, rate, format=format, **kind)
    return out.getvalue()


def rows(*waves):
    return torch.from_numpy(np.stack([fitted(w, MEL.samples) for w in waves])).float()


# Spectrograms


def test_a_sine_of_full_scale_is_the_top_value_of_its_band_and_nothing_far_away():
    places = MEL.filters.argmax(1) * RATE / MEL.window
    for band in (8, 20, 36):
        x = MEL.encode(rows(sine(float(places[band]))))[0, 0, :, 8:56]
        assert (x.float().mean(1).argmax()) == band and abs(float(x[band].float().mean()) - 255) < 3
        far = [b for b in range(40) if abs(float(places[b] - places[band])) > 400]
        assert float(x[far].float().mean()) < 40


def test_ten_decibels_less_are_as_many_steps_everywhere():
    loud = MEL.encode(rows(chirp(200, 3000)))[0].float()
    soft = MEL.encode(rows(chirp(200, 3000) * 10**-0.5))[0].float()
    heard = soft > 0
    assert heard.float().mean() > 0.15 and ((loud - soft)[heard] - 10 * 255 / -FLOOR).abs().max() <= 1.01
    assert MEL.encode(torch.zeros(1, MEL.samples)).sum() == 0


def test_bytes_stand_for_decibels_and_back():
    decibels = torch.linspace(FLOOR + 1, 0, 200)
    back = 10 * power_of(stored(10 ** (decibels / 10))).log10()
    assert (back - decibels).abs().max() <= -FLOOR / 255 / 2 + 1e-4
    assert power_of(stored(torch.zeros(3))).sum() == 0


def test_a_spectrogram_turned_into_a_wave_has_that_spectrogram():
    noise = np.random.default_rng(0).normal(0, 0.1, 5000).astype(np.float32)
    words = rows(chirp(200, 3000), sine(440, peak=0.2) * np.hanning(5120).astype(np.float32), noise)
    x = MEL.encode(words)
    waves = MEL.decode(x)
    again = MEL.encode(waves)
    off, loud = (again.float() - x.float()) * -FLOOR / 255, x > 80
    assert off.square().mean().sqrt() < 4 and off[loud].abs().mean() < 1
    assert ((waves.std(1) / words.std(1)) - 1).abs().max() < 0.15 and waves.shape == words.shape
    assert torch.equal(waves[1], MEL.decode(x[1:2])[0]) and torch.equal(waves, MEL.decode(x))
    assert MEL.decode(torch.zeros_like(x)).abs().max() == 0


def test_sizes_that_no_spectrogram_has_are_refused():
    assert (MEL.hop, MEL.window, MEL.samples) == (80, 256, 5120)
    for told in ({"rate": 500}, {"bands": 200}, {"frames": 4}):
        with pytest.raises(WrongSpec, match="no spectrogram has"):
            Mel(**{"rate": RATE, "bands": 40, "frames": 64} | told)


# Files


@pytest.mark.parametrize(("format", "kind"), [("WAV", {}), ("WAV", {"subtype": "FLOAT"}), ("FLAC", {}), ("OGG", {}), ("MP3", {}), ("AIFF", {})])
def test_a_sound_is_the_same_in_every_format(format, kind):
    wave = chirp(200, 1500)
    found = read(file(wave, format=format, **kind))
    assert found.rate == RATE and found.facts["channels"] == 1 and not found.facts["truncated"] and found.facts["clipped"] == 0
    a, b = (MEL.encode(rows(levelled(w))).float() for w in (wave, found.wave))
    assert (a - b)[a > 120].abs().mean() < 8 and abs(found.facts["peak"] - 0.3) < 0.05


def test_channels_are_averaged_and_silence_at_the_ends_goes():
    wave = np.concatenate([np.zeros(4000), sine(300, 0.2), np.zeros(1000), sine(300, 0.2), np.zeros(3000)]).astype(np.float32)
    found = read(file(np.stack([wave, wave / 2], 1)))
    assert found.facts["channels"] == 2 and found.facts["seconds"] == round(len(wave) / RATE, 4)
    assert np.allclose(found.wave, trimmed(wave * 0.75, RATE), atol=1e-3) and 4200 <= len(found.wave) <= 4700


def test_clipped_samples_are_counted_where_several_stand_in_a_row():
    loud = np.clip(sine(100, 0.5) * 2, -1, 1)
    assert abs(read(file(loud, subtype="FLOAT")).facts["clipped"] - float((np.abs(loud) >= 0.999).mean())) < 0.01
    assert read(file(sine(2000, 0.5), subtype="FLOAT")).facts["clipped"] == 0.0


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b"RIFF" + bytes(60), "cannot be decoded"),
        (b"<html>no such page</html>", "cannot be decoded"),
        (file(np.zeros(0, np.float32)), "holds no sample"),
        (file(np.zeros(8000, np.float32)), "is silent"),
        (file(np.stack([sine(300), -sine(300)], 1)), "channels cancel each other"),
        (file(np.array([0.1, np.nan, 0.2], np.float32), subtype="FLOAT"), "not finite"),
        (file(sine(1, 0.1, 900), rate=900), "900 samples a second"),
        (file(np.ones((50, 40), np.float32) * 0.1), "40 channels"),
    ],
    ids=["empty", "header", "page", "no-sample", "zeros", "cancels", "nan", "slow", "wide"],
)
def test_what_is_no_sound_is_told_in_words(content, why):
    with pytest.raises(NoSound, match=why):
        read(content)


@pytest.mark.parametrize("format", ["WAV", "AIFF"])
def test_a_file_that_ends_early_is_told_and_what_there_is_is_read(format):
    whole = file(chirp(200, 1500, 2.0), format=format)
    found = read(whole[: len(whole) // 2])
    assert found.facts["truncated"] and abs(found.facts["seconds"] - 1) < 0.01 and not read(whole).facts["truncated"]


@pytest.mark.parametrize("format", ["FLAC", "OGG"])
def test_compressed_files_that_end_early_are_no_sounds(format):
    whole = file(chirp(200, 1500, 2.0), format=format)
    with pytest.raises(NoSound, match="cannot be decoded"):
        read(whole[: len(whole) // 2])


def test_of_an_mp3_that_ends_early_what_is_missing_is_silence():
    whole = file(chirp(200, 1500, 2.0), format="MP3")
    found = [read(whole[: len(whole) // 2]) for _ in range(3)]
    assert all(np.array_equal(f.wave, found[0].wave) for f in found) and found[0].facts["peak"] < 0.5 and 0.5 < len(found[0].wave) / RATE < 1.5


def test_values_far_beyond_full_scale_are_damage():
    with pytest.raises(NoSound, match="far beyond full scale"):
        read(file(sine(300) * 1e6, subtype="FLOAT"))


def test_a_header_written_before_the_length_was_known_is_no_fault():
    whole = bytearray(file(chirp(200, 1500)))
    at = whole.index(b"data") + 4
    whole[at : at + 4] = b"\xff\xff\xff\xff"
    assert not read(bytes(whole)).facts["truncated"]


def test_another_rate_is_the_same_sound():
    wave = sine(440, 1.0, 16_000)
    assert np.abs(resampled(wave, 16_000, RATE)[200:-200] - sine(440, 1.0)[200:-200]).max() < 0.01
    assert resampled(wave, 16_000, 16_000) is wave


def test_loudness_is_one_for_all_unless_peaks_would_be_cut():
    for wave in (sine(300, peak=0.01), sine(300)):
        assert abs(10 * np.log10(np.square(levelled(wave)).mean()) + 20) < 0.01
    click = np.zeros(8000, np.float32)
    click[100] = 0.2
    assert np.abs(levelled(click)).max() == pytest.approx(1.0) and not levelled(np.zeros(9, np.float32)).any()


def test_short_waves_stand_in_the_middle_and_of_long_ones_the_loudest_part_is_kept():
    assert fitted(np.ones(4, np.float32), 8).tolist() == [0, 0, 1, 1, 1, 1, 0, 0]
    long = np.concatenate([np.full(5, 0.1), np.ones(4), np.full(5, 0.1)])
    assert fitted(long, 4).tolist() == [1, 1, 1, 1] and len(fitted(long, 14)) == 14


def test_without_its_packages_the_way_is_told(monkeypatch):
    needed()
    monkeypatch.setitem(__import__("sys").modules, "soxr", None)
    with pytest.raises(MachineError, match="sounds need the package 'soxr'") as error:
        needed()
    assert "augmind[audio]" in error.value.help
