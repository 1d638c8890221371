"""Translation: what is taken away, that it is learnt to be given back, and the verb that does it."""

import json

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import augmind
from augmind.cli import main
from augmind.cli.translate import TASKS
from augmind.core.errors import DataError, UsageError, WrongSpec
from augmind.core.run import Run
from augmind.core.seeds import row_seeds
from augmind.core.types import Data, Samples, Spec
from augmind.data.load import unlabelled
from augmind.generators.translate import Translate
from augmind.modalities.image.codec import ImageCodec
from augmind.nn.degrade import DEGRADATIONS, blocky, factor_of, saturated, turned
from augmind.nn.pix2pix import PatchCritic, Translator
from augmind.translation import Request, apply, gathered, translate
from hearing import folder as sounds
from runs import digit_rows
from runs import folder as folders

SEEDS = row_seeds(6, "translate")


def smooth(n: int = 6, channels: int = 3, side: int = 24) -> torch.Tensor:
    at = torch.linspace(-1, 1, side)
    ramps = torch.stack([torch.sin(2 * at + i) for i in range(n)])
    return (ramps[:, None, :, None] * torch.ones(channels)[:, None, None] * 0.8 + 0.2 * at).clamp(-1, 1)


# What is taken away


@pytest.mark.parametrize("task", DEGRADATIONS)
def test_a_degradation_is_a_function_of_each_row_and_its_seed(task):
    x, spoil = smooth(), DEGRADATIONS[task]
    out = spoil(x, SEEDS)
    assert out.shape == x.shape and out.min() >= -1 and out.max() <= 1 and not torch.equal(out, x)
    assert torch.allclose(spoil(x[2:4], SEEDS[2:4]), out[2:4], atol=1e-5)


def test_what_is_lost_is_what_the_task_says():
    x = smooth()
    grey = DEGRADATIONS["colourise"](x, SEEDS)
    assert torch.allclose(grey[:, 0], torch.einsum("bchw,c->bhw", x, torch.tensor([0.299, 0.587, 0.114])), atol=1e-6)
    assert torch.equal(grey[:, 0], grey[:, 1]) and torch.allclose(DEGRADATIONS["colourise"](grey, SEEDS), grey, atol=1e-5)
    means = blocky(x).view(6, 3, 6, 4, 6, 4)
    assert factor_of(24, 24) == 4 and factor_of(12, 12) == 2
    assert torch.equal(means, means[..., :1, :, :1].expand_as(means)) and torch.allclose(blocky(x).mean((2, 3)), x.mean((2, 3)), atol=1e-5)
    hidden = (DEGRADATIONS["inpaint"](x, SEEDS) != x).any(1)
    part = hidden.double().mean((1, 2))
    assert part.min() > 0.05 and part.max() < 0.4
    noise = (DEGRADATIONS["denoise"](torch.zeros(200, 1, 16, 16), row_seeds(200, "n"))).std((1, 2, 3))
    assert noise.min() > 0.08 and noise.max() < 0.52 and noise.std() > 0.05
    flat = torch.full((1, 1, 12, 12), 0.3)
    assert torch.equal(DEGRADATIONS["edges"](flat, SEEDS[:1]), -torch.ones_like(flat))
    flat[..., 6:] = -0.9
    assert (DEGRADATIONS["edges"](flat, SEEDS[:1])[0, 0, 5, 5:7] > 0.5).all()


def test_another_look_keeps_what_is_to_be_seen():
    x = smooth()
    turn = turned(x, torch.tensor([0.0, 2 * torch.pi / 3] * 3))
    assert torch.allclose(turn[::2], x[::2], atol=1e-6) and torch.allclose(turn[1::2], x[1::2].roll(1, 1), atol=1e-6)
    assert torch.allclose(saturated(x, torch.zeros(6, 1, 1, 1)), x.mean(1, keepdim=True).expand_as(x)) and torch.equal(
        saturated(x, torch.ones(6, 1, 1, 1)), x
    )
    grey = smooth(channels=1).expand(-1, 3, -1, -1)
    out = DEGRADATIONS["style"](grey, SEEDS)
    assert torch.allclose(out[:, :1].expand_as(out), out, atol=1e-5), "grey stays grey"
    alike = [torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1] for a, b in zip(out, grey, strict=True)]
    assert min(alike) > 0.9
    alpha = torch.cat([x, smooth(channels=1) / 2], 1)
    assert torch.equal(DEGRADATIONS["style"](alpha, SEEDS)[:, 3:], alpha[:, 3:])


def test_rows_of_another_look_come_out_in_that_of_those_that_were_learnt(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(60):
        bright = np.kron(rng.random((4, 4, 1)), np.ones((4, 4, 1)))
        for look, colours in (("brown", (1.0, 0.6, 0.3)), ("blue", (0.3, 0.6, 1.0))):
            (tmp_path / look).mkdir(exist_ok=True)
            Image.fromarray((255 * bright * colours).astype(np.uint8)).save(tmp_path / look / f"{i:02d}.png")
    found = translate(Request(data=str(tmp_path / "brown"), task="style", steps=100, width=8), tmp_path / "out")
    assert found["gains"]["psnr"]["low"] > 0 and "better than as given" in found["sentence"]
    apply(tmp_path / "out", str(tmp_path / "blue"), tmp_path / "styled")
    brown, blue, styled = (
        np.stack([np.asarray(Image.open(f)).astype(float) for f in sorted((tmp_path / name).rglob("*.png"))]) for name in ("brown", "blue", "styled")
    )
    assert np.abs(styled - brown).mean() < 0.6 * np.abs(blue - brown).mean()


# The networks


@pytest.mark.parametrize(
    ("inputs", "outputs", "height", "width"), [(3, 3, 32, 32), (1, 3, 9, 13), (3, 1, 8, 40), (1, 1, 100, 30), (3, 3, 6, 6), (1, 1, 64, 4)]
)
def test_the_networks_take_grids_of_any_size(inputs, outputs, height, width):
    x = torch.rand(2, inputs, height, width)
    answer = Translator(inputs, outputs, height, width, hidden=8)(x)
    assert answer.shape == (2, outputs, height, width)
    if inputs == outputs:
        assert torch.equal(answer, x)  # it begins as the identity
    assert PatchCritic(inputs, outputs, 8)(x, answer).shape[:2] == (2, 1)


# The generator


def digits(per_class: int = 12) -> Data:
    x, y = digit_rows(per_class, 3)
    spec = Spec(kind="continuous", shape=(1, 8, 8), classes=("0", "1", "2"))
    rows = Samples.real(torch.from_numpy(x)[:, None], torch.from_numpy(y))
    return Data(train=rows, val=rows, spec=spec, codec=ImageCodec(spec))


def test_a_row_begins_as_a_real_row_of_its_class_and_only_what_was_hidden_is_new(tmp_path):
    data = digits()
    made = Translate(steps=200, task="inpaint", width=8).fit(data, Run(folder=tmp_path))
    y = torch.tensor([0, 1, 2] * 40)
    seeds = row_seeds(120, "rows")
    at = made.origins(y, seeds)
    assert torch.equal(data.train.y[at], y) and len(set(at.tolist())) > 30
    out, real = made.sample(y, seeds), data.spec.to_model(data.train.x[at])
    given = DEGRADATIONS["inpaint"](real, seeds)
    hidden = given != real
    assert (out - real).abs()[hidden].mean() < 0.9 * (given - real).abs()[hidden].mean()
    assert (out - real).abs()[~hidden].mean() < 0.15
    again = Translate(steps=200, task="inpaint", width=8).restore(data.spec, made.state())
    assert torch.equal(again.sample(y, seeds), out) and torch.allclose(made.sample(y[5:9], seeds[5:9]), out[5:9], atol=1e-5)


def test_colour_needs_colour(tmp_path):
    with pytest.raises(WrongSpec, match="three channels"):
        Translate(steps=50, task="colourise").fit(digits(), Run(folder=tmp_path))


# The verb


def folder(root, n=60, side=16, colour=True):
    """Tiles whose colour follows from their brightness, so that it can be learnt."""
    rng = np.random.default_rng(0)
    for i in range(n):
        bright = np.kron(rng.random((4, 4)), np.ones((side // 4, side // 4)))
        rows = np.stack([bright, 1 - bright, bright**2], -1) if colour else bright
        path = root / f"part {i % 2}" / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((rows * 255).astype(np.uint8)).save(path)
    return root


def test_colour_that_follows_from_brightness_is_learnt_and_told_with_intervals(tmp_path):
    asked = Request(data=str(folder(tmp_path / "rows")), task="colourise", steps=250, width=8)
    found = translate(asked, tmp_path / "out")
    assert found["rows"] + found["learnt"] == 60 and found["rows"] == 12
    gain = found["gains"]["psnr"]
    assert gain["low"] > 1.0 and gain["low"] < gain["mean"] < gain["high"] and "better than as given" in found["sentence"]
    assert set(found["arms"]) == {"as given", "translated"} and set(found["arms"]["translated"]) == {"psnr", "ssim", "features"}
    files = sorted((tmp_path / "out" / "held-out").rglob("*.png"))
    assert len(files) == 12 and b"trainedAlgorithmicMedia" in files[0].read_bytes()
    with Image.open(tmp_path / "out" / "sheet.png") as made:
        assert made.width == 3 * 128
    before = (tmp_path / "out" / "translator.safetensors").stat().st_mtime_ns
    assert translate(asked, tmp_path / "out") == found
    assert (tmp_path / "out" / "translator.safetensors").stat().st_mtime_ns == before
    grey = folder(tmp_path / "grey", n=10, colour=False)
    assert apply(tmp_path / "out", str(grey), tmp_path / "coloured") == {"rows": 10, "left_out": []}
    with Image.open(next((tmp_path / "coloured").rglob("*.png"))) as made:
        assert made.mode == "RGB" and made.size == (16, 16)
    with pytest.raises(UsageError, match="other settings"):
        translate(Request(data=asked.data, task="colourise", steps=300, width=8), tmp_path / "out")
    with pytest.raises(UsageError, match="not an empty folder"):
        apply(tmp_path / "out", str(grey), tmp_path / "coloured")


def test_two_folders_are_pairs_by_the_names_of_their_files(tmp_path):
    wanted = folder(tmp_path / "b", n=40)
    for file in wanted.rglob("*.png"):
        own = tmp_path / "a" / file.relative_to(wanted)
        own.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(file) as made:
            Image.fromarray(255 - np.asarray(made.convert("L"))).save(own)
    Image.new("L", (16, 16)).save(tmp_path / "a" / "lonely.png")
    found = translate(Request(data=str(tmp_path / "a"), task=str(wanted), steps=200, width=8), tmp_path / "out")
    assert found["rows"] + found["learnt"] == 40 and found["arms"]["translated"]["psnr"]["mean"] > 14 and found["sentence"].startswith("b:")
    for file in wanted.rglob("*.png"):
        file.rename(file.with_name(f"other-{file.name}"))
    with pytest.raises(DataError, match="no file of 'b' has the name"):
        translate(Request(data=str(tmp_path / "a"), task=str(wanted), steps=50), tmp_path / "again")


def test_an_interrupted_training_goes_on_and_gives_what_it_would_have_given(tmp_path, monkeypatch):
    monkeypatch.setattr("augmind.core.loop.CHECKPOINT_SECONDS", 0.0)
    asked = Request(data=str(folder(tmp_path / "rows", n=20)), task="denoise", steps=120, width=8)
    whole = translate(asked, tmp_path / "whole")

    class Stopped(Run):
        def progress(self, done, total, **fields):
            if (self.folder / "checkpoint" / "translate.safetensors").exists():
                raise KeyboardInterrupt

    monkeypatch.setattr("time.monotonic", iter(range(10**6)).__next__)
    with pytest.raises(KeyboardInterrupt):
        translate(asked, tmp_path / "part", lambda folder: Stopped(folder=folder, checkpoints=folder / "checkpoint"))
    monkeypatch.undo()
    assert translate(asked, tmp_path / "part") == whole


@pytest.mark.parametrize(
    ("make", "task", "error", "why"),
    [
        (lambda root: folder(root, n=4), "denoise", DataError, "too few"),
        (lambda root: folder(root, colour=False), "colourise", DataError, "colour"),
        (lambda root: folder(root), "sharpen", UsageError, "sharpen"),
        (lambda root: root, "denoise", DataError, "no file or folder"),
    ],
)
def test_what_cannot_be_learnt_from_is_one_sentence_and_leaves_nothing(tmp_path, make, task, error, why):
    with pytest.raises(error, match=why):
        translate(Request(data=str(make(tmp_path / "rows")), task=task, steps=50), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_rows_without_labels_are_read_wherever_they_lie(tmp_path):
    found = unlabelled(folder(tmp_path / "rows", n=6))
    assert len(found.samples) == 6 and found.spec.classes == ("all",)
    (tmp_path / "rows" / "notes.txt").write_text("x")
    (tmp_path / "rows" / "bad.png").write_bytes(b"\x89PNG no")
    statuses = sorted(row.status for row in unlabelled(tmp_path / "rows").rows)
    assert statuses == ["corrupt", *["ok"] * 6, "stray"]
    (tmp_path / "empty").mkdir()
    for where, why in ((tmp_path / "empty", "no row"), (tmp_path / "rows" / "notes.txt", "neither a folder")):
        with pytest.raises(DataError, match=why):
            unlabelled(where)


def test_pairs_whose_targets_are_alike_are_never_parted(tmp_path):
    """Three frames of one scene, each under a mask of its own, stand on one side of the split."""
    rng, scenes = np.random.default_rng(1), []
    for i in range(30):
        scenes += [rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)] if i % 3 == 0 else [scenes[-1]]
        for where, rows in (("masks", rng.integers(0, 255, (16, 16), dtype=np.uint8)), ("scenes", scenes[-1])):
            (tmp_path / where).mkdir(exist_ok=True)
            Image.fromarray(rows).save(tmp_path / where / f"{i:02d}.png")
    pairs = gathered(Request(data=str(tmp_path / "masks"), task=str(tmp_path / "scenes"), test=0.3))
    assert len(pairs.names) == 30
    scene = {side: {int(pairs.names[i]) // 3 for i in getattr(pairs, side).tolist()} for side in ("learnt", "held_out")}
    assert scene["learnt"] and scene["held_out"] and not scene["learnt"] & scene["held_out"]


def test_sounds_are_made_clearer_and_translated_by_what_was_learnt(tmp_path):
    clips = sounds(tmp_path / "clips", per_class=8)
    found = translate(Request(data=str(clips), task="denoise", steps=60, width=8), tmp_path / "out")
    assert found["gains"]["psnr"]["mean"] > 0 and next((tmp_path / "out" / "held-out").rglob("*.wav"))
    fast = tmp_path / "fast"
    fast.mkdir()
    soundfile.write(fast / "a.wav", 0.3 * np.sin(np.arange(32000) / 9), 32000)
    assert apply(tmp_path / "out", str(fast), tmp_path / "clear")["rows"] == 1
    wave, rate = soundfile.read(tmp_path / "clear" / "a.wav")
    assert rate == soundfile.info(next(clips.rglob("*.wav"))).samplerate and np.abs(wave).max() > 0.01
    pictures = folder(tmp_path / "pictures", n=4)
    with pytest.raises(DataError, match="another kind"):
        apply(tmp_path / "out", str(pictures), tmp_path / "none")


def test_those_who_are_heard_on_held_out_files_were_not_learnt_from(tmp_path):
    clips = sounds(tmp_path / "clips", per_class=8)
    for i, file in enumerate(sorted(clips.rglob("*.wav"))):
        file.rename(file.with_name(f"{i}_{'abcd'[i % 4]}.wav"))
    pairs = gathered(Request(data=str(clips), task="denoise", test=0.25, group="*_{}.wav"))
    who = {side: {pairs.names[i][-1] for i in getattr(pairs, side).tolist()} for side in ("learnt", "held_out")}
    assert who["learnt"] | who["held_out"] == set("abcd") and not who["learnt"] & who["held_out"] and who["held_out"]
    with pytest.raises(UsageError, match="names a column, and files without labels have none"):
        gathered(Request(data=str(clips), task="denoise", group="speaker"))


def test_files_that_changed_and_a_folder_inside_are_refused(tmp_path):
    rows = folder(tmp_path / "rows", n=20)
    asked = Request(data=str(rows), task="denoise", steps=50, width=8)
    with pytest.raises(UsageError, match="lies inside the dataset"):
        translate(asked, rows / "out")
    translate(asked, tmp_path / "out")
    next(rows.rglob("*.png")).unlink()
    with pytest.raises(DataError, match="changed since"):
        translate(asked, tmp_path / "out")


def test_files_of_one_name_and_two_endings_stay_apart(tmp_path):
    rows = folder(tmp_path / "rows", n=24)
    for file in sorted(rows.rglob("*.png"))[::2]:
        with Image.open(file) as made:
            made.transpose(Image.Transpose.ROTATE_90).save(file.with_suffix(".bmp"))
    found = translate(Request(data=str(rows), task="denoise", steps=50, width=8, test=0.5), tmp_path / "out")
    assert len(list((tmp_path / "out" / "held-out").rglob("*.png"))) == found["rows"] >= 16


def test_the_command_teaches_and_refuses_in_words(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def said(*words):
        code = 0
        try:
            main(["translate", *map(str, words)])
        except SystemExit as stop:
            code = stop.code
        told = capsys.readouterr()
        return code, " ".join((told.out + told.err).split())

    assert ", ".join(DEGRADATIONS) == TASKS
    rows = folder(tmp_path / "rows", n=20)
    code, text = said(rows, "--task", "super-resolution", "--steps", 50, "--width", 8, "--json")
    assert code == 0 and set(json.loads(text[text.index("{") : text.rindex("}") + 1])["arms"]) == {"as given", "bicubic", "translated"}
    assert (tmp_path / "rows-super-resolution" / "sheet.png").is_file()
    assert said(rows, "--by", "rows-super-resolution", "--out", "new") == (0, "20 rows in new")
    for words, why in (
        ((rows,), "--task"),
        ((rows, "--task", "denoise", "--steps", 1), "steps=1 is not allowed"),
        ((rows, "--by", rows), "holds no translator"),
        ((rows, "--by", rows, "--task", "edges"), "give one of them"),
        ((rows, "--by", rows, "--size", 64), "--size is about learning, and --by learns nothing"),
    ):
        code, text = said(*words)
        assert code == 2 and why in text and "Traceback" not in text


def test_noise_of_sounds_adds_power_as_it_does_in_the_air():
    """Bands far above the noise stay as they are, silence is filled: in decibels nothing of the kind happens to all cells alike."""
    from augmind.modalities.audio.codec import AudioCodec
    from augmind.nn.degrade import degradation

    spec = Spec(kind="continuous", shape=(1, 40, 64), classes=("a",), bounded=True, rate=8000)
    codec = AudioCodec(spec)
    t = np.arange(5120) / 8000
    x = spec.to_model(codec.encode([0.5 * np.sin(2 * np.pi * 440 * t)] * 12))
    spoilt = degradation("denoise", spec, codec)(x, row_seeds(12, "noise"))
    loud, quiet = x > 0.5, x < -0.2
    assert (spoilt - x)[loud].abs().mean() < 0.05 and (spoilt - x)[quiet].mean() > 0.2
    assert len({round(float(v), 2) for v in spoilt.mean((1, 2, 3))}) > 3, "of several kinds and strengths"
    assert torch.equal(degradation("denoise", spec, codec)(x[3:4], row_seeds(12, "noise")[3:4]), spoilt[3:4])


def test_files_that_cannot_be_read_are_told(tmp_path, capsys):
    folders(tmp_path / "d", per_class=8, side=16)
    (tmp_path / "d" / "digit 0" / "broken.png").write_bytes(b"no picture")
    found = augmind.translate(tmp_path / "d", "inpaint", tmp_path / "out", steps=50, width=8)
    assert len(found["left_out"]) == 1 and "broken.png" in found["left_out"][0]
    told = apply(tmp_path / "out", str(tmp_path / "d"), tmp_path / "again")
    assert told["rows"] == 24 and "broken.png" in told["left_out"][0]
