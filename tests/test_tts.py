"""Speech as a generator: what is said, in which voices, and what is told where nothing can be."""

import csv
import json
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
import soundfile
import torch

import augmind
from augmind.core.errors import DataError, MachineError, UsageError, WrongSpec
from augmind.core.run import Run
from augmind.core.seeds import row_seeds
from augmind.core.types import Data, Samples, Spec
from augmind.job import Job
from augmind.modalities.audio.codec import AudioCodec
from augmind.modalities.audio.generators.tts import PITCHES, RANGES, SPEEDS, Tts
from augmind.modalities.audio.speech import FILES
from hearing import folder
from speaking import RATE, hum, pretend


@pytest.fixture
def speaker(monkeypatch):
    pretend(monkeypatch)


def data_of(*classes: str) -> Data:
    spec = Spec(kind="continuous", shape=(1, 40, 64), classes=classes, rate=8000)
    rows = Samples.real(torch.randint(0, 255, (2 * len(classes), 1, 40, 64)).to(torch.uint8), torch.arange(2 * len(classes)) % len(classes))
    return Data(train=rows, val=rows, spec=spec, codec=AudioCodec(spec))


def fitted(tmp_path, *classes: str, **settings) -> Tts:
    return Tts(**settings).fit(data_of(*classes), Run(folder=tmp_path))


@pytest.mark.usefixtures("speaker")
def test_what_is_said_is_the_name_in_words_or_what_the_class_is_said_to_mean(tmp_path):
    made = fitted(tmp_path, "stop_sign", "7", "go-now", "--", describe={"7": "seven"})
    assert made.texts_ == [["stop sign"], ["seven"], ["go now"], ["--"]]
    assert fitted(tmp_path, "a", "b", say="the letter {}").texts_ == [["the letter a"], ["the letter b"]]
    assert fitted(tmp_path, "हिन्दी", "don't", "C++", "3.5").texts_ == [["हिन्दी"], ["don't"], ["C++"], ["3.5"]]
    with pytest.raises(UsageError, match="say='hello' is not allowed"):
        Tts(say="hello")


@pytest.mark.usefixtures("speaker")
def test_what_the_rows_of_a_class_say_is_spoken_for_it_and_what_has_no_sound_is_left_out(tmp_path):
    data = replace(data_of("happy", "sad"), says=(("good day", "well done", "?!"), ()))
    made = Tts(say="so: {}", describe={"sad": "oh no"}).fit(data, Run(folder=tmp_path))
    assert made.texts_ == [["so: good day", "so: well done", "so: ?!"], ["so: oh no"]]
    made = Tts().fit(data, Run(folder=tmp_path))
    (told,) = made.curves.findings
    assert made.texts_ == [["good day", "well done"], ["sad"]] and told.about == {"classes": ["sad"]} and "their names are spoken" in told.text
    said = Counter(made._said(0, seed).text for seed in range(400))
    assert min(said["good day"], said["well done"]) > 150 and sum(said.values()) == 400
    assert made._said(1, 3).text == "sad"
    mute = Tts(describe={"sad": "oh no"}).fit(replace(data, says=(("good day",), ("...",))), Run(folder=tmp_path))
    assert mute.texts_ == [["good day"], ["oh no"]] and not mute.curves.findings
    y, seeds = torch.tensor([0, 1, 0]), row_seeds(3, 0, "t")
    assert torch.equal(Tts().restore(made.spec_, made.state()).sample(y, seeds), made.sample(y, seeds))


@pytest.mark.usefixtures("speaker")
def test_a_frame_or_a_column_says_what_is_spoken_and_only_training_rows_speak(tmp_path):
    clips = folder(tmp_path / "clips", classes=("low", "high"))
    files = sorted(clips.rglob("*.wav"))
    with (tmp_path / "clips.csv").open("w") as f:
        f.write("file,label,words,split\n")
        rows = ((p.relative_to(tmp_path), p.parent.name, f"{p.parent.name} {i}", "train" if i % 4 else "test") for i, p in enumerate(files))
        csv.writer(f).writerows(rows)
    options = {"preset": "quick", "generators": ("tts",), "dry_run": True}
    job = Job(augmind.expand(tmp_path / "clips.csv", tmp_path / "r", say="words", **options).folder)
    own = job.data(job.fold_rows("0")).says
    assert [len(texts) for texts in own] == [6, 6] and all(text.startswith("high ") for text in own[0])
    assert not {text for texts in own for text in texts} & {f"{p.parent.name} {i}" for i, p in enumerate(files) if i % 4 == 0}
    framed = Job(augmind.expand(clips, tmp_path / "s", say="go {}", **options).folder)
    assert framed.choice("generators", "tts", framed.plan).settings["say"] == "go {}" and framed.data(framed.real).says == ()
    with pytest.raises(DataError, match="no column 'word'") as caught:
        augmind.expand(tmp_path / "clips.csv", tmp_path / "u", say="word", **options)
    assert "words" in caught.value.help
    with pytest.raises(UsageError, match="--say words names a column") as caught:
        augmind.expand(clips, tmp_path / "v", say="words", **options)
    assert "--say 'the number {}'" in caught.value.help
    with pytest.raises(UsageError, match="--say file names the column of the files themselves"):
        augmind.expand(tmp_path / "clips.csv", tmp_path / "x", say="file", **options)
    with pytest.raises(UsageError, match="both tell what is said"):
        augmind.expand(clips, tmp_path / "y", say="go {}", set={"tts.say": "{} now"}, **options)
    (tmp_path / "gaps.csv").write_text((tmp_path / "clips.csv").read_text().replace("high 1,", ",").replace("high 2,", ","))
    assert "which is empty in 2 of 16 rows" in augmind.load(tmp_path / "gaps.csv", says="words").findings[0].text
    with pytest.raises(UsageError, match="no generator of this run takes words"):
        augmind.expand(clips, tmp_path / "w", say="go {}", **options | {"generators": ("vae",)})


@pytest.mark.usefixtures("speaker")
def test_a_row_is_a_function_of_its_label_and_seed_and_other_seeds_are_other_voices(tmp_path):
    made = fitted(tmp_path, "yes", "no", "maybe")
    y, seeds = torch.arange(100) % 3, row_seeds(100, 0, "t")
    rows = made.sample(y, seeds)
    assert rows.shape == (100, 1, 40, 64) and rows.min() >= -1 and rows.max() <= 1 and (rows.amax((1, 2, 3)) > 0).all()
    some = torch.tensor([40, 3, 77])
    again = Tts().restore(made.spec_, made.state()).sample(y[some], seeds[some])
    assert torch.equal(again, rows[some])
    said = [made._said(0, seed) for seed in range(2000)]
    voices, accents = Counter(s.voice for s in said), Counter(s.voice.partition("+")[0] for s in said)
    assert len(voices) > 400 and set(accents) == set(made.accents_) and min(accents.values()) > 150
    for drawn, (low, high) in (([s.speed for s in said], SPEEDS), ([s.pitch for s in said], PITCHES), ([s.range for s in said], RANGES)):
        assert low <= min(drawn) < low + 5 and high - 5 < max(drawn) <= high


@pytest.mark.usefixtures("speaker")
def test_what_a_row_says_and_in_which_voice_goes_with_it_wherever_it_goes(tmp_path):
    clips = tmp_path / "clips"
    for word in ("low", "high"):
        (clips / word).mkdir(parents=True)
        for i in range(16):
            wave = hum(f"go {word}", voice=f"en+f{i}", speed=130 + 4 * i, pitch=30 + 3 * i, range=40 + i)
            soundfile.write(clips / word / f"{i}.wav", wave, RATE)
    run = augmind.expand(clips, tmp_path / "r", preset="quick", generators=("tts",), learner=("probe",), say="go {}", explain=False, jobs=0)
    table = list(csv.DictReader((run.export(tmp_path / "out") / "rows.csv").read_text().splitlines()))
    spoken = [row for row in table if row["generator"] == "tts"]
    assert spoken and all(row["note"].startswith(f'"go {row["label"]}", en') for row in spoken)
    assert {row["note"] for row in table if row["synthetic"] == "False"} == {""}
    first = spoken[0]
    assert run.why(f"tts:{first['seed']}")["note"] == first["note"] and "words a minute, pitch" in first["note"]
    assert "words a minute" in run.report.read_text()


@pytest.mark.usefixtures("speaker")
def test_without_spread_only_voices_differ_and_one_accent_is_that_one(tmp_path):
    made = fitted(tmp_path, "yes", "no", spread=0.0, language="en-us")
    said = [made._said(1, seed) for seed in range(100)]
    assert {(s.text, s.speed, s.pitch, s.range) for s in said} == {("no", 165, 50, 55)}
    assert {s.voice.partition("+")[0] for s in said} == {"en-us"} and len({s.voice for s in said}) > 30


@pytest.mark.usefixtures("speaker")
def test_voices_rate_and_pitch_are_as_asked(tmp_path):
    made = fitted(tmp_path, "yes", "no", spread=0.0, language="en-us", voices=["f3", "m1"], rate=1.4, pitch=-20)
    said = [made._said(0, seed) for seed in range(60)]
    assert {s.voice for s in said} == {"en-us+f3", "en-us+m1"} and {(s.speed, s.pitch) for s in said} == {(231, 30)}
    low = fitted(tmp_path, "yes", "no", pitch=-40)
    assert min(low._said(0, seed).pitch for seed in range(200)) == 0
    for wrong in ({"voices": ["f33"]}, {"rate": 9.0}, {"pitch": 90}, {"model": "a/b", "voices": ["f3"]}):
        with pytest.raises(UsageError):
            Tts(**wrong)


@pytest.mark.usefixtures("speaker")
def test_classes_that_cannot_be_spoken_are_told(tmp_path):
    (told,) = fitted(tmp_path, "?!", "yes").curves.findings
    assert told.code == "AM223" and told.about == {"classes": ["?!"]} and "--describe" in told.text
    (told,) = fitted(tmp_path, "да", "нет").curves.findings
    assert told.code == "AM223" and "not in Latin letters" in told.text
    assert not fitted(tmp_path, "да", "нет", language="ru").curves.findings
    with pytest.raises(WrongSpec, match="can speak none of the classes") as caught:
        fitted(tmp_path, "?!", "...")
    assert "--describe" in caught.value.help


@pytest.mark.usefixtures("speaker")
def test_accents_that_a_version_lacks_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr("augmind.modalities.audio.generators.tts.ACCENTS", {"en": ("xx", "en", "xx-yy", "en-us")})
    made = fitted(tmp_path, "yes", "no")
    assert made.accents_ == ("en", "en-us") == Tts().restore(made.spec_, made.state()).accents_


def test_a_library_that_is_none_or_damaged_or_too_deep_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("augmind.modalities.audio.speech.find_library", lambda name: None)
    monkeypatch.setenv("AUGMIND_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "models" / "espeak-ng"
    (folder / "espeak-ng-data").mkdir(parents=True)
    with pytest.raises(MachineError, match="holds no library of espeak-ng") as caught:
        Tts().ready()
    assert "delete that folder" in caught.value.help
    (folder / FILES[sys.platform]).write_bytes(b"no library")
    with pytest.raises(MachineError, match="espeak-ng failed: the library cannot be loaded"):
        fitted(tmp_path, "yes", "no")
    monkeypatch.setenv("AUGMIND_CACHE", str(tmp_path / ("deep" * 30)))
    folder.parent.rename(folder := tmp_path / "moved")
    shutil.copytree(folder, tmp_path / ("deep" * 30) / "models")
    with pytest.raises(MachineError, match="of at most 140 bytes") as caught:
        Tts().ready()
    assert "AUGMIND_CACHE" in caught.value.help


@pytest.mark.usefixtures("speaker")
def test_a_voice_that_there_is_not_and_a_library_that_dies_are_one_sentence(tmp_path):
    with pytest.raises(UsageError, match="no voice 'xx'"):
        fitted(tmp_path, "yes", "no", language="xx")
    with pytest.raises(MachineError, match="espeak-ng failed"):
        fitted(tmp_path, "crash", "no")


def test_without_espeak_a_run_goes_on_and_says_how_to_get_it_and_one_that_asks_for_it_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("augmind.modalities.audio.speech.find_library", lambda name: None)
    clips = folder(tmp_path / "clips", per_class=4)
    plan = json.loads((augmind.expand(clips, tmp_path / "r", dry_run=True).folder / "plan.json").read_text())
    assert "tts" not in plan["generators"] and any("augmind models pull espeak-ng" in note for note in plan["notes"])
    with pytest.raises(MachineError, match="espeak-ng, which is not on this machine") as caught:
        augmind.expand(clips, tmp_path / "s", generators=("tts",), dry_run=True)
    assert caught.value.code == "ENV-004"


def test_the_command_line_refuses_it_before_anything_slow_is_loaded(tmp_path):
    clips = folder(tmp_path / "clips", per_class=2)
    code = "import atexit, ctypes.util, sys; ctypes.util.find_library = lambda name: None; from augmind import cli; "
    code += "atexit.register(lambda: print('torch' in sys.modules)); cli.main()"
    done = subprocess.run([sys.executable, "-c", code, "expand", str(clips), "--generators", "tts"], capture_output=True, text=True)
    assert done.returncode == 4 and "augmind models pull espeak-ng" in " ".join(done.stderr.split())
    assert done.stdout.split() == ["False"]


@pytest.mark.usefixtures("speaker")
def test_it_takes_part_by_itself_where_it_can_speak(tmp_path):
    clips = folder(tmp_path / "clips", per_class=4)
    plan = json.loads((augmind.expand(clips, tmp_path / "r", dry_run=True, describe={"low": "deep"}).folder / "plan.json").read_text())
    assert plan["generators"][0] == "tts" and not any("espeak" in note for note in plan["notes"])
    with pytest.raises(UsageError, match="--describe"):
        augmind.expand(clips, tmp_path / "s", generators=("vae",), dry_run=True, describe={"low": "deep"})
