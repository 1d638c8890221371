"""Speech by a model of `transformers`: what a row depends on, who speaks, and what is refused."""

import json
import shutil
import subprocess
import sys

import pytest
import torch

import augmind
import bark
from augmind.config import config, make_plan
from augmind.core.errors import MachineError, UsageError, WrongSpec
from augmind.core.registry import find
from augmind.core.run import Run
from augmind.core.seeds import row_seeds
from augmind.core.tensors import load_tensors, save_tensors
from augmind.modalities.audio import voices
from augmind.modalities.audio.generators.tts import Tts
from augmind.modalities.audio.voices import NOISES, SPEEDS, Voice, Voices
from augmind.modalities.audio.weights import CHECKS, READS
from augmind.nn import weights
from augmind.nn.transformer import opened_whole
from hearing import folder
from test_tts import data_of
from vits import tiny


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """The folder of a model of four speakers."""
    return tiny(tmp_path_factory.mktemp("models") / "four", speakers=4)


@pytest.fixture(autouse=True)
def without_espeak(monkeypatch):
    monkeypatch.setattr("augmind.modalities.audio.speech.find_library", lambda name: None)


def fitted(tmp_path, model, *classes, **settings) -> Tts:
    return Tts(model=str(model), **settings).fit(data_of(*classes), Run(folder=tmp_path))


def test_a_row_is_a_function_of_its_label_and_seed_and_comes_back_from_its_file(spoken, tmp_path):
    made = fitted(tmp_path, spoken, "yes", "nothing")
    y, seeds = torch.arange(20) % 2, row_seeds(20, 0, "t")
    before = torch.get_rng_state()
    rows = made.sample(y, seeds)
    assert torch.equal(before, torch.get_rng_state())
    assert rows.shape == (20, 1, 40, 64) and rows.abs().max() <= 1 and (rows.amax((1, 2, 3)) > 0).all()
    assert len(rows.flatten(1).unique(dim=0)) == 20
    save_tensors(tmp_path / "s.safetensors", made.state())
    again = Tts(**made.settings()).restore(made.spec_, load_tensors(tmp_path / "s.safetensors"))
    some = torch.tensor([13, 2, 7])
    assert torch.equal(again.sample(y[some], seeds[some]), rows[some]) and again.sample(y[:0], seeds[:0]).shape == (0, 1, 40, 64)
    assert not torch.equal(made.sample(1 - y[:1], seeds[:1]), rows[:1])


def test_all_speakers_speak_at_speeds_and_with_noise_of_people(spoken, tmp_path):
    own = voices.voices(str(spoken))
    heard = [fitted(tmp_path, spoken, "yes", "no")._voice(own, seed) for seed in range(300)]
    assert {v.speaker for v in heard} == {0, 1, 2, 3}
    for drawn, (low, high) in (([v.speed for v in heard], SPEEDS), ([v.noise for v in heard], NOISES)):
        assert low <= min(drawn) < low + 0.05 and high - 0.05 < max(drawn) <= high
    calm = fitted(tmp_path, spoken, "yes", "no", spread=0.0)
    assert {(v.speed, v.noise) for v in (calm._voice(own, seed) for seed in range(30))} == {(1.0, 1.0)}


def test_speaker_speed_noise_and_seed_are_heard(spoken):
    own = Voices(str(spoken))
    plain = own.spoken("hello there", Voice(), 1)
    assert own.rate == 16_000 and plain.ndim == 1 and plain.any()
    assert (own.spoken("hello there", Voice(), 1) == plain).all()
    for other in (
        own.spoken("hello there", Voice(speaker=2), 1),
        own.spoken("hello there", Voice(noise=1.4), 1),
        own.spoken("hello there", Voice(), 2),
    ):
        assert len(other) != len(plain) or (other != plain).any()
    slow, fast = (len(own.spoken("hello there", Voice(speed=speed), 1)) for speed in SPEEDS)
    assert slow > 1.4 * fast
    assert (own.spoken("hello there", Voice(), 1) == plain).all(), "speed and noise of a row stay with it"


def test_a_model_of_one_speaker_speaks(tmp_path):
    made = fitted(tmp_path, tiny(tmp_path / "one"), "yes", "no")
    assert made.sample(torch.tensor([0, 1]), torch.tensor([5, 6])).amax((1, 2, 3)).min() > 0


def test_a_model_that_samples_its_voice_speaks_by_the_seed_alone(tmp_path):
    model = bark.tiny(tmp_path / "bark")
    made = fitted(tmp_path, model, "yes", "?!")
    (told,) = made.curves.findings
    assert told.about == {"classes": ["?!"]}
    y, seeds = torch.tensor([0, 0, 1]), torch.tensor([5, 6, 7])
    rows = made.sample(y, seeds)
    assert rows[:2].amax((1, 2, 3)).min() > 0 and not torch.equal(rows[0], rows[1]) and (rows[2] == -1).all()
    again = Tts(**made.settings()).restore(made.spec_, made.state())
    assert torch.equal(again.sample(y[1:2], seeds[1:2]), rows[1:2])
    with pytest.raises(UsageError, match="has one of its own"):
        Tts(model=str(model), rate=1.2).ready()
    with pytest.raises(UsageError, match=r"spread=0.5 is about models that take a pace"):
        Tts(model=str(model), spread=0.5).ready()
    assert made.notes(y, seeds) == ['"yes"', '"yes"', '"?!"']


def test_classes_that_it_cannot_speak_or_whose_letters_it_lacks_are_told(spoken, tmp_path):
    made = fitted(tmp_path, spoken, "?!", "Yes", "Zürich")
    mute, cut = made.curves.findings
    assert (
        mute.code == cut.code == "AM223" and mute.about == {"classes": ["?!"]} and cut.about == {"classes": ["Zürich"]} and "ü of Zürich" in cut.text
    )
    silent, heard = made.sample(torch.tensor([0, 1]), torch.tensor([1, 1]))
    assert (silent == -1).all() and heard.max() > 0
    assert not fitted(tmp_path, spoken, "7", "8", describe={"7": "seven", "8": "eight"}).curves.findings
    with pytest.raises(WrongSpec, match="can speak none of the classes") as caught:
        fitted(tmp_path, spoken, "да", "нет")
    assert "--describe" in caught.value.help


def test_what_a_tokenizer_lacks_is_told_with_the_package(tmp_path):
    romanised, phonemized = tiny(tmp_path / "a", is_uroman=True), tiny(tmp_path / "b", phonemize=True)
    assert not fitted(tmp_path, romanised, "yes", "no").curves.findings
    with pytest.raises(MachineError, match="needs the package uroman") as caught:
        fitted(tmp_path, romanised, "да", "нет")
    assert "pip install uroman" in caught.value.help
    with pytest.raises(MachineError, match="needs the package phonemizer"):
        fitted(tmp_path, phonemized, "yes", "no")


def test_a_package_that_a_model_needs_is_told_by_its_name(spoken, tmp_path, monkeypatch):
    def lacking(*_args, **_settings):
        raise ImportError("\nFastSpeech2ConformerTokenizer requires the g2p-en library but it was not found in your environment.")

    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", lacking)
    from transformers import AutoModelForTextToWaveform

    with pytest.raises(MachineError, match=r"needs a package that is not installed .* requires the g2p-en library") as caught:
        opened_whole(str(spoken), AutoModelForTextToWaveform, "speech model")
    assert caught.value.code == "ENV-004"


def test_espeak_is_not_needed_and_a_language_of_its_own_is_refused(spoken, tmp_path):
    Tts(model=str(spoken)).ready()
    assert Tts(model=str(spoken)).source() == weights.content(spoken)
    with pytest.raises(MachineError, match="espeak-ng"):
        Tts().ready()
    with pytest.raises(UsageError, match="language='de' is about espeak-ng"):
        Tts(model=str(spoken), language="de")


def test_models_that_are_none_are_one_sentence(spoken, tmp_path):
    with pytest.raises(MachineError, match="'facebook/mms-tts-eng' are not on this machine") as caught:
        Tts(model="facebook/mms-tts-eng").ready()
    assert "augmind models pull facebook/mms-tts-eng" in caught.value.help
    with pytest.raises(UsageError, match="'espeak-ng' is no speech model"):
        Tts(model="espeak-ng").ready()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="a folder without config"):
        Tts(model=str(tmp_path / "empty")).ready()
    for said, told in (('{"model_type": "gpt2"}', "of the kind 'gpt2'"), ("{}", "of the kind 'unknown'"), ("[", "cannot be read")):
        (tmp_path / "empty" / "config.json").write_text(said)
        with pytest.raises(UsageError, match=told):
            Tts(model=str(tmp_path / "empty")).ready()


@pytest.mark.parametrize("harm", ["cut", "gone", "pickled", "lacking", "no letters", "nan"])
def test_damaged_models_are_one_sentence(spoken, tmp_path, harm):
    copy = tmp_path / harm
    shutil.copytree(spoken, copy)
    file = copy / "model.safetensors"
    if harm == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif harm == "no letters":
        (copy / "vocab.json").unlink()
    elif harm in ("lacking", "nan"):
        state = load_tensors(file)
        lost = {k: v for k, v in state.items() if "conv_post" not in k}
        save_tensors(file, lost if harm == "lacking" else lost | {k: v * float("nan") for k, v in state.items() if k not in lost}, {"format": "pt"})
    else:
        file.unlink()
        if harm == "pickled":
            torch.save({"a": torch.zeros(1)}, copy / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"cannot be opened as a speech model|cannot speak"):
        fitted(tmp_path, copy, "yes", "no").sample(torch.tensor([0]), torch.tensor([1]))


def test_weights_in_the_names_of_older_files_are_read(spoken, tmp_path):
    """MMS-TTS was published with weight_g and weight_v."""
    old = tmp_path / "old"
    shutil.copytree(spoken, old)
    state = load_tensors(old / "model.safetensors")
    names = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    renamed = {next((k.replace(a, b) for a, b in names.items() if a in k), k): v for k, v in state.items()}
    assert renamed.keys() != state.keys()
    save_tensors(old / "model.safetensors", renamed, {"format": "pt"})
    assert (Voices(str(old)).spoken("hello", Voice(), 1) == Voices(str(spoken)).spoken("hello", Voice(), 1)).all()


def plan(**options):
    facts = {"mode": "cv", "folds": 3, "rows": 100, "test_rows": 0, "classes": 2, "shape": (1, 40, 100), "imbalanced": False, "rate": 8000}
    return make_plan(config(data="clips", preset="quick", jobs=1, **options), **facts)


def test_with_a_model_it_takes_part_without_espeak_and_its_time_is_counted(spoken):
    usual, asked = plan(), plan(set={"tts.model": str(spoken)})
    assert "tts" not in usual.generators and any("espeak" in note for note in usual.notes)
    assert asked.generators[0] == "tts" and not any("espeak" in note for note in asked.notes)
    assert asked.estimates["seconds"] > usual.estimates["seconds"] + 100
    absent = plan(set={"tts.model": "someone/absent"})
    assert "tts" not in absent.generators and any("augmind models pull someone/absent" in note for note in absent.notes)


def test_a_run_says_what_it_reads_and_refuses_a_model_that_is_not_there(spoken, tmp_path):
    clips = folder(tmp_path / "clips", per_class=4)
    run = augmind.expand(clips, tmp_path / "r", dry_run=True, set={"tts.model": str(spoken)})
    assert json.loads((run.folder / "plan.json").read_text())["sources"]["tts"] == weights.content(spoken)
    with pytest.raises(MachineError, match="someone/absent"):
        augmind.expand(clips, tmp_path / "s", dry_run=True, set={"tts.model": "someone/absent"})


@pytest.mark.parametrize("generators", [[], ["--generators", "tts"]])
def test_a_missing_model_is_told_before_torch_is_imported_and_a_present_one_not(spoken, tmp_path, generators):
    (tmp_path / "d.csv").write_text("path,label\na.wav,x\n")
    said = {"none": "someone/absent", "one": str(spoken)}
    for which, model in said.items():
        words = {"data": str(tmp_path / "d.csv"), "options": {"set": {"tts.model": model}, "generators": tuple(generators[1:]) or None}}
        tried = f"try:\n    refuse_absent(**{words!r})\n    print('fine', 'torch' in sys.modules)\n"
        tried += "except MachineError as e:\n    print(e.help, 'torch' in sys.modules)"
        code = f"import sys; from augmind.cli.absent import refuse_absent; from augmind.core.errors import MachineError\n{tried}"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split()[-1] == "False" and ("fine" in done.stdout if which == "one" else "pull someone/absent" in done.stdout)


def test_what_is_looked_for_early_are_settings_of_generators():
    for key in READS:
        part, field = key.split(".")
        assert find("generators", part).__dataclass_fields__[field].default == "" and part in CHECKS
