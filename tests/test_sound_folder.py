"""Folders and tables of sounds: what is read, what is set aside with which words, and a whole run."""

import csv
import os
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile
import torch
from PIL import Image

import augmind
from augmind.core.errors import DataError, UsageError
from augmind.core.store import read_json
from augmind.data.clean import clean
from augmind.data.split import split
from augmind.job import Job
from augmind.modalities.audio.read import read
from hearing import folder, hum, wav
from speaking import pretend


def test_a_folder_of_sounds_is_a_dataset_of_spectrograms(tmp_path):
    data = augmind.load(folder(tmp_path / "clips"))
    assert data.codec.name == "audio" and data.spec.rate == 8000 and data.spec.shape == (1, 40, 48) and data.spec.classes == ("high", "low", "middle")
    assert len(data.samples) == 24 and data.samples.x.dtype == torch.uint8 and (data.samples.x > 128).any((1, 2, 3)).all()
    about = data.rows[0].about
    assert about["rate"] == 8000 and about["channels"] == 1 and 0.25 < about["length"] <= about["seconds"] + 0.02
    (told,) = [f for f in data.findings if f.code == "AM105"]
    assert "8,000 samples a second" in told.text and "0.48 seconds" in told.text
    again = augmind.load(tmp_path / "clips")
    assert torch.equal(again.samples.x, data.samples.x) and again.fingerprint == data.fingerprint


def test_a_table_of_paths_to_sounds_gives_the_same_rows_with_groups(tmp_path):
    root = folder(tmp_path / "clips")
    files = sorted(root.rglob("*.wav"))
    lines = ["audio,label,speaker", *(f"clips/{f.relative_to(root)},{f.parent.name},s{i % 4}" for i, f in enumerate(files))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    table, clips = augmind.load(tmp_path / "t.csv", label="label", group="speaker"), augmind.load(root)
    assert torch.equal(table.samples.x, clips.samples.x) and len(set(table.samples.group.tolist())) == 4


def test_groups_come_from_the_names_of_files(tmp_path):
    root = folder(tmp_path / "clips")
    for i, file in enumerate(sorted(root.rglob("*.wav"))):
        file.rename(file.with_name(f"take_{'ab'[i % 2]}-{i % 4}_{i}.wav"))
    data = augmind.load(root, group="*_{}_*")
    assert {(r.source.split("_")[1], r.group) for r in data.rows} == {(name, name) for name in ("a-0", "b-1", "a-2", "b-3")}
    assert len(set(data.samples.group.tolist())) == 4 and "by '*_{}_*'" in data.findings[0].text and "AM140" not in {f.code for f in data.findings}
    (loose,) = [f for f in augmind.load(root).findings if f.code == "AM140"]
    assert loose.level == "warning" and "counts as independent" in loose.text
    assert {r.group for r in augmind.load(root, group="{}/*").rows} == {"high", "low", "middle"}
    files = [f"clips/{f.relative_to(root)},{f.parent.name}" for f in sorted(root.rglob("*.wav"))]
    (tmp_path / "t.csv").write_text("\n".join(["file,label", *files, "clips/low/gone.wav,low"]))
    table = augmind.load(tmp_path / "t.csv", group="*_{}_*")
    assert torch.equal(table.samples.group, data.samples.group) and [r.reason for r in table.bad()] == ["no such file 'clips/low/gone.wav'"]
    (root / "low" / "plain.wav").write_bytes(wav(hum(310)))
    with pytest.raises(DataError, match=r"the name 'plain\.wav' does not fit --group"):
        augmind.load(root, group="*_{}_*")
    with pytest.raises(UsageError, match="2 places for the group"):
        augmind.load(root, group="{}_{}")
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 8, 8), np.uint8), y=np.array([0, 1, 0, 1]))
    with pytest.raises(UsageError, match="pattern of the names of files, and rows of"):
        augmind.load(tmp_path / "a.npz", group="*_{}_*")


def test_a_column_that_may_say_who_is_heard_is_named_and_not_taken(tmp_path):
    folder(tmp_path / "clips", per_class=4)
    lines = [f"clips/{f.parent.name}/{f.name},{f.parent.name},{i % 2}" for i, f in enumerate(sorted((tmp_path / "clips").rglob("*.wav")))]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,Speaker", *lines]))
    told, taken = (augmind.load(tmp_path / "t.csv", group=group) for group in (None, "Speaker"))
    assert "--group Speaker would keep rows of one 'Speaker' on one side" in told.findings[0].text and not any(r.group for r in told.rows)
    assert "would keep" not in taken.findings[0].text and {r.group for r in taken.rows} == {"0", "1"}


@pytest.mark.parametrize("rate", [np.array([8000, 8000]), np.array(8000.5), np.array(3)])
def test_a_rate_of_arrays_that_cannot_be_is_refused(rate, tmp_path):
    x, y = np.zeros((4, 40, 48, 1), np.uint8), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "a.npz", x=x, y=y, rate=rate)
    with pytest.raises(DataError, match=r"'rate' of 'a.npz' is no rate"):
        augmind.load(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=np.zeros((4, 40, 48, 3), np.uint8), y=y, rate=np.array(8000))
    with pytest.raises(DataError, match=r"a row of a sound is .bands, columns"):
        augmind.load(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", x=x + np.arange(4, dtype=np.uint8)[:, None, None, None], y=y, rate=np.array(8000), classes=np.array(["dog", "cat"]))
    assert augmind.load(tmp_path / "c.npz").spec.classes == ("cat", "dog")
    np.savez(tmp_path / "e.npz", x=x + np.arange(4, dtype=np.uint8)[:, None, None, None], y=y, classes=np.array([{"no": 1}, "cat"], dtype=object))
    assert augmind.load(tmp_path / "e.npz").spec.classes == ("0", "1")
    np.savez(tmp_path / "d.npz", train_x=x, train_y=y, test_x=x[:, :, :40], test_y=y, rate=np.array(8000))
    assert {row.reason for row in augmind.load(tmp_path / "d.npz", max_bad=0.6).bad()} == {
        "has 40 bands and 40 columns at 8,000 samples a second, unlike the other rows"
    }
    with pytest.raises(UsageError, match="these are rows already"):
        augmind.load(tmp_path / "c.npz", chunk=1.0)


def test_what_rows_lose_on_the_way_back_to_waves_is_told(tmp_path):
    (told,) = [f for f in augmind.load(folder(tmp_path / "clips")).findings if f.code == "AM141"]
    assert 0 < told.about["mel_db"] < told.about["log_spectral_db"] < 20 and 0.5 < told.about["stoi"] <= 1
    assert f"STOI) is {told.about['stoi']:.2f} of 1" in told.text


def test_rates_channels_and_formats_of_one_sound_are_one_row(tmp_path):
    root = folder(tmp_path / "clips")
    wave = hum(300, 8000, 0.4)
    soundfile.write(root / "low" / "a.flac", wave, 8000)
    soundfile.write(root / "low" / "b.wav", np.stack([wave] * 8, 1), 8000)
    import soxr

    soundfile.write(root / "low" / "c.wav", soxr.resample(wave, 8000, 44100), 44100, subtype="FLOAT")
    data = augmind.load(root)
    x = {r.source: data.samples.x[data.samples.key == r.id][0].float() for r in data.rows if r.source[:5] in ("low/a", "low/b", "low/c")}
    a, b, c = (x[f"low/{n}"] for n in ("a.flac", "b.wav", "c.wav"))
    assert (a - b).abs().max() <= 3 and (a - c)[:, :30][a[:, :30] > 128].abs().mean() < 4
    assert {f.text.split(":")[0] for f in data.findings if f.code == "AM137"} == {"files of several rates"}


BAD = {
    "empty": (b"", "it is empty: its length is 0 bytes"),
    "one sample": (wav(np.array([0.5], np.float32)), "shorter than 10 milliseconds: 1 sample"),
    "text": (b"this is no sound at all, only words", "it cannot be decoded: Format not recognised"),
    "nan": (wav(np.array([0.1, np.nan] * 900, np.float32), subtype="FLOAT"), "not finite"),
    "cancelled": (wav(np.stack([hum(300), -hum(300)], 1)), "channels cancel each other"),
    "silent": (wav(np.zeros(4000, np.float32)), "silent"),
    "fast": (wav(hum(300), 8000)[:24] + struct.pack("<I", 768_000) + wav(hum(300), 8000)[28:], "768,000 samples a second"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_set_aside_with_its_reason(name, tmp_path):
    content, why = BAD[name]
    root = folder(tmp_path / "clips")
    (root / "low" / "bad.wav").write_bytes(content)
    bad = augmind.load(root).bad()
    assert [r.reason for r in bad if why in r.reason] == [r.reason for r in bad] and len(bad) == bool(why)


def test_384_khz_and_a_header_that_promises_too_much_are_read_and_told(tmp_path):
    root = folder(tmp_path / "clips")
    (root / "low" / "fast.wav").write_bytes(wav(hum(300, 384_000, 0.3), 384_000))
    (root / "low" / "short.wav").write_bytes(wav(hum(320))[:-3000])
    data = augmind.load(root)
    assert not data.bad() and data.spec.rate == 8000
    assert any("ends before" in f.text and "low/short.wav" in f.text for f in data.findings if f.code == "AM137")


def test_ten_minutes_at_384_khz_are_read_in_bounded_memory(tmp_path):
    """A wave of more than 48,000 samples a second is brought to that while it is read, so that no decoder holds all of it."""
    import soxr

    wave = hum(300, 384_000, 0.5)
    short, whole = read(wav(wave, 384_000)), soxr.resample(wave, 384_000, 48_000)
    assert short.rate == 48_000 and short.facts["rate"] == 384_000 and len(short.wave) == len(whole) and np.abs(short.wave - whole).max() < 1e-3
    root = folder(tmp_path / "clips")
    with soundfile.SoundFile(root / "low" / "long.flac", "w", 384_000, 1, "PCM_16") as file:
        for _ in range(598):
            file.write(hum(200, 384_000, 1.0))
    assert not augmind.load(root).bad()


def test_what_is_too_long_is_refused_before_it_is_whole_in_memory(tmp_path):
    root = folder(tmp_path / "clips")
    soundfile.write(root / "low" / "long.flac", np.tile(hum(200), 1600), 8000)
    (bad,) = augmind.load(root).bad()
    assert bad.source == "low/long.flac" and "longer than 10 minutes" in bad.reason


def test_options_about_pictures_are_refused(tmp_path):
    with pytest.raises(UsageError, match="--size is about pictures"):
        augmind.load(folder(tmp_path / "clips"), size=32)


def long_clips(root):
    """Six files a class of 1.3 to 2.5 seconds, one of them with a silence of a second within."""
    for k, name in enumerate(("high", "low")):
        (root / name).mkdir(parents=True)
        for i in range(6):
            wave = np.concatenate([hum(900 - 600 * k + 10 * j + 3 * i, seconds=0.1) for j in range(13 + 2 * i)])
            wave = np.concatenate([wave[:4000], np.zeros(8000, np.float32), wave[4000:]]) if i == 0 else wave
            (root / name / f"{i}.wav").write_bytes(wav(wave))
    return root


def test_long_sounds_are_cut_to_rows_that_never_cross_a_split(tmp_path):
    root = long_clips(tmp_path / "clips")
    data = augmind.load(root, chunk=0.48)
    assert data.spec.shape == (1, 40, 48) and [r.source for r in data.rows if r.about["piece"] == "3 of 5"][-1] == "low/5.wav@0.96s"
    of = Counter(r.source.rpartition("@")[0] for r in data.rows)
    assert of["low/1.wav"] == 3 and of["low/5.wav"] == 5 and of["low/0.wav"] == 4  # 1.5 s, 2.3 s, and 2.3 s of which a second is silent
    assert {r.label for r in data.rows if r.source.startswith("low/")} == {"low"}
    (told,) = [f.text for f in data.findings if f.code == "AM105"]
    assert f"12 files were cut to {len(data.rows)} rows, those of one file on one side of every split; 2 silent pieces are none" in told
    again, alone = augmind.load(root, chunk=0.48), augmind.load(root)
    assert again.fingerprint == data.fingerprint and len(alone.samples) == 12
    parts = split(cleaned := clean(data), folds=3)
    (told,) = [f.about["clusters"] for f in cleaned.findings if f.code == "AM113"]  # two pieces that are nearly silent
    assert [{cleaned.row(i).whole for i in ids} for ids in told] == [{"high/0.wav", "low/0.wav"}]
    sides = [
        {data.row(k).source.rpartition("@")[0] for k in fold.train} & {data.row(k).source.rpartition("@")[0] for k in fold.test}
        for fold in parts.folds
    ]
    assert sides == [set(), set(), set()]


def test_a_run_on_pieces_of_sounds(tmp_path):
    options = {
        "preset": "quick",
        "seeds": 1,
        "folds": 2,
        "jobs": 0,
        "learner": ("probe",),
        "generators": ("feature",),
        "chunk": 0.48,
        "explain": False,
    }
    run = augmind.expand(long_clips(tmp_path / "clips"), tmp_path / "r", **options)
    assert run.record["arms"] and "those of one file on one side" in " ".join(f["text"] for f in run.record["findings"])


@pytest.mark.parametrize(("given", "why"), [({"chunk": 9.0}, "--chunk 9 is not allowed"), ({"chunk": 0.0}, "--chunk 0 is not allowed")])
def test_a_length_of_pieces_that_cannot_be_is_refused(given, why, tmp_path):
    with pytest.raises(UsageError, match=why):
        augmind.load(folder(tmp_path / "clips"), **given)
    (tmp_path / "t.csv").write_text("text,label\na,0\nb,1\nc,0\nd,1\n")
    with pytest.raises(UsageError, match="cuts sounds"):
        augmind.load(tmp_path / "t.csv", text="text", label="label", chunk=1.0)


@pytest.mark.parametrize("sounds", [1, 8])
def test_pictures_among_sounds_are_refused_in_a_folder_and_in_a_table(sounds, tmp_path):
    root = folder(tmp_path / "clips", per_class=sounds)
    Image.new("RGB", (32, 32)).save(root / "low" / "cover.png")
    names = [f"clips/{f.relative_to(root)},{f.parent.name}" for f in sorted(root.rglob("*.*"))]
    (tmp_path / "t.csv").write_text("\n".join(["file,label", *names]))
    for source in (root, tmp_path / "t.csv"):
        with pytest.raises(DataError, match=r"some files of the dataset are pictures and others sounds: '.*', '.*'"):
            augmind.load(source)


def test_sounds_without_endings_or_class_folders(tmp_path):
    root = folder(tmp_path / "clips")
    for file in root.rglob("*.wav"):
        file.rename(file.with_suffix(""))
    assert augmind.load(root).spec.rate == 8000
    (tmp_path / "flat").mkdir()
    for i in range(3):
        (tmp_path / "flat" / f"{i}.wav").write_bytes(wav(hum(300)))
    with pytest.raises(DataError, match="3 sounds but no class folders"):
        augmind.load(tmp_path / "flat")


def test_datasets_of_hugging_face_that_hold_sounds_are_read_in_both_forms(tmp_path):
    import datasets

    root = folder(tmp_path / "clips", per_class=4)
    files = sorted(root.rglob("*.wav"))
    names = ["high", "low", "middle"]
    features = datasets.Features({"clip": datasets.Audio(), "label": datasets.ClassLabel(names=names)})
    rows = {"clip": [{"bytes": f.read_bytes(), "path": None} for f in files], "label": [names.index(f.parent.name) for f in files]}
    data = datasets.Dataset(pa.Table.from_pydict(rows, schema=features.arrow_schema))  # `datasets` itself needs torchcodec to make it
    data.save_to_disk(tmp_path / "hf")
    data.to_parquet(tmp_path / "train.parquet")
    clips = augmind.load(root)
    for source in (tmp_path / "hf", tmp_path / "train.parquet"):
        found = augmind.load(source)
        assert torch.equal(found.samples.x, clips.samples.x) and found.spec == clips.spec


def test_sounds_get_the_whole_job(tmp_path, monkeypatch):
    """With a picture generator that knows nothing of sounds, with speech, and files that play."""
    pretend(monkeypatch)
    options = {"preset": "quick", "seeds": 1, "test": 0.25, "jobs": 0, "learner": ("probe",), "generators": ("vae", "tts"), "steps": {"vae": 50}}
    run = augmind.expand(folder(tmp_path / "clips"), tmp_path / "r", **options)
    arms = Counter(a["arm"] for a in run.record["arms"])
    assert {"real", "classical"} <= set(arms) and run.verdict["sentence"].endswith(".")
    assert {g["name"]: g["knowledge"] for g in run.record["generators"]} == {"vae": "rows", "tts": "pretrained"}
    (choice, *_) = run.record["choices"]
    assert {"none", "wave", "specaugment", "wave+specaugment"} <= set(choice["scores"]) and "flip" not in choice["scores"]
    assert any(g["kept"] for g in run.record["generators"]) and "data:audio/wav" in run.report.read_text()
    out = run.export(tmp_path / "out", rows="real")
    wave, rate = soundfile.read(next(out.rglob("*.wav")))
    assert rate == 8000 and len(wave) == 48 * 80 and np.abs(wave).max() > 0.05
    import datasets

    file = run.export(tmp_path / "p", to="parquet", rows="real") / "train.parquet"
    table = datasets.load_dataset("parquet", data_files=str(file), split="train")
    assert isinstance(table.features["audio"], datasets.Audio)
    assert augmind.load(file).spec.rate == 8000
    assert read_json(tmp_path / "r" / "plan.json")["shape"] == [1, 40, 48]
    bigger = run.export(tmp_path / "bigger", to="flac", originals=True)
    given = {f"{f.parent.name}/{f.name}": f.read_bytes() for f in (tmp_path / "clips").rglob("*.wav")}
    rows = list(csv.DictReader((bigger / "rows.csv").read_text().splitlines()))
    back = {r["source"]: (bigger / r["split"] / r["file_name"]).read_bytes() for r in rows if r["synthetic"] == "False"}
    assert back == given and {Path(r["file_name"]).suffix for r in rows if r["synthetic"] == "True"} == {".flac"}
    assert "the files that were given" in (bigger / "README.md").read_text()
    arrays = run.export(tmp_path / "arrays", to="npz", rows="real")
    for place in (arrays, arrays / "dataset.npz"):
        again, used = augmind.load(place), Job(run.folder).dataset()
        assert (again.spec.rate, again.spec.classes) == (8000, used.spec.classes)
        assert {(r.digest, r.label) for r in again.rows} == {(used.row(int(k)).digest, used.row(int(k)).label) for k in used.samples.key}
    assert run.export(tmp_path / "folder", to="audiofolder").is_dir() and "--to audiofolder" in run.record["next"][0]
    with pytest.raises(UsageError, match="npz holds arrays"):
        run.export(tmp_path / "n", to="npz", originals=True)
    file = next((tmp_path / "clips").rglob("*.wav"))
    os.utime(file, (0, 0))
    run.export(tmp_path / "touched", originals=True)
    file.write_bytes(wav(hum(440, seconds=soundfile.info(file).duration)))
    os.utime(file, (0, 0))
    with pytest.raises(DataError, match="1 of the 24 files of the run are gone or changed"):
        run.export(tmp_path / "late", originals=True)
    run.export(tmp_path / "made", rows="synthetic", originals=True)
    assert not (tmp_path / "late").exists() and not (tmp_path / "n").exists()
