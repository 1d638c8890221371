"""Rows from pipelines of `diffusers`: what a row depends on, what the pipelines themselves draw, what is learnt of the rows, and what is refused."""

import dataclasses
import json
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("diffusers")

import augmind
from augmind.cli.absent import refuse_absent
from augmind.config import config, make_plan
from augmind.core.errors import MachineError, UsageError, WrongSpec
from augmind.core.run import Run
from augmind.core.seeds import row_seeds, seeded, stable_seed
from augmind.core.tensors import load_tensors, save_tensors
from augmind.core.types import Data, Knowledge
from augmind.cost import part_of
from augmind.modalities.image import pipelines
from augmind.modalities.image.adapt import conditions, diffused, flowed, learnable, word
from augmind.modalities.image.generators.pretrained import Pretrained, hole
from augmind.modalities.image.painting import Manner, Painter, fresh, generators
from augmind.modalities.image.pipelines import hushed
from augmind.nn import weights
from augmind.nn.weights import cache_folder, located, of_pipeline, pull
from augmind.testing import toy_data
from painting import tiny
from runs import TINY, folder

GREY = (1, 16, 16)


def fitted(tmp_path: Path, kind: str = "sd", data: Data | None = None, **settings: Any) -> Pretrained:
    data = toy_data(24, GREY) if data is None else data
    return Pretrained(model=str(tiny(kind)), **{"side": 16, **settings}).fit(data, Run(folder=tmp_path))


def drawn(made: Pretrained, n: int = 6) -> Tensor:
    return made.sample(torch.arange(n) % 3, row_seeds(n, "pretrained"))


WAYS = [("sd", "variation"), ("sd", "inpaint"), ("sd", "prompt"), ("sdxl", "variation"), ("sd3", "variation"), ("sd3", "inpaint"), ("sd3", "prompt")]
WAYS += [("flux", "variation"), ("ddpm", "variation"), ("inpainting", "inpaint")]


# What a row depends on


@pytest.mark.parametrize(("kind", "task"), WAYS)
def test_a_row_is_a_function_of_its_label_and_seed_and_comes_back_from_its_file(kind, task, tmp_path):
    made = fitted(tmp_path, kind, task=task)
    y, seeds = torch.arange(9) % 3, row_seeds(9, "rows")
    state = torch.get_rng_state()
    rows = made.sample(y, seeds)
    assert torch.equal(state, torch.get_rng_state()) and made.known is Knowledge.pretrained
    assert rows.shape == (9, *GREY) and torch.isfinite(rows).all() and rows.abs().max() <= 1 and len(rows.flatten(1).unique(dim=0)) == 9
    save_tensors(tmp_path / "s.safetensors", made.state())
    again = Pretrained(**json.loads(json.dumps(made.settings()))).restore(made.spec_, load_tensors(tmp_path / "s.safetensors"))
    some = torch.tensor([7, 2, 4])
    torch.testing.assert_close(again.sample(y[some], seeds[some]), rows[some], atol=1e-4, rtol=0)
    if kind != "ddpm":
        assert not torch.equal(made.sample(1 - y[:1], seeds[:1]), rows[:1]), "another label gives another row"
    assert not torch.equal(made.sample(y[:1], seeds[:1] + 1), rows[:1]), "another seed gives another row"


def test_colour_and_other_sides_than_squares_are_drawn(tmp_path):
    made = fitted(tmp_path, data=toy_data(24, (3, 20, 12)), side=0)
    painter = made._painter()
    assert painter.grid((3, 20, 12), 0) == (16, 8) and painter.grid((3, 20, 12), 40) == (40, 24) and painter.grid((1, 8, 8), 32) == (32, 32)
    rows = drawn(made)
    assert rows.shape == (6, 3, 20, 12) and (rows[:, 0] != rows[:, 1]).any()


def test_a_class_without_rows_is_drawn_by_words_or_told(tmp_path):
    data = toy_data(24, GREY)
    lacking = dataclasses.replace(data, train=data.train.take(data.train.y != 2))
    made, asked = fitted(tmp_path, data=lacking), fitted(tmp_path, data=lacking, task="prompt")
    y, seeds = torch.full((3,), 2), row_seeds(3, "lacking")
    torch.testing.assert_close(made.sample(y, seeds), asked.sample(y, seeds))
    for kind, task in (("ddpm", "variation"), ("inpainting", "inpaint")):
        with pytest.raises(WrongSpec, match="draws no row without one to begin from, and class 2 has none"):
            fitted(tmp_path, kind, data=lacking, task=task)


def test_many_rows_of_a_class_are_not_all_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("augmind.modalities.image.generators.pretrained.MOST", 3)
    made, data = fitted(tmp_path), toy_data(24, GREY)
    assert made.counts_.tolist() == [3, 3, 3] and len(made.rows_) == 9
    for k, row in zip([0, 0, 0, 1, 1, 1, 2, 2, 2], made.rows_, strict=True):
        assert (data.train.x[data.train.y == k] == row).flatten(1).all(1).any()


# What the pipelines themselves draw


def as_asked(made: Pretrained, k: int, seed: int) -> dict[str, Any]:
    text = f"a photo of {made.meanings_[k]}"
    return {"prompt": text, "generator": torch.Generator().manual_seed(stable_seed("pretrained", seed)), "output_type": "pt"}


@pytest.mark.parametrize("kind", ["sd", "sd3"])
def test_rows_are_those_of_the_pipeline_called_by_hand(kind, tmp_path):
    import diffusers

    seed = 11
    settings = {"strength": 0.75, "points": 4, "guidance": 3.0, "negative": "dark"}
    varied, asked = (fitted(tmp_path, kind, task=task, **settings) for task in ("variation", "prompt"))
    with hushed(), torch.no_grad():
        pipe = diffusers.DiffusionPipeline.from_pretrained(tiny(kind), **({"text_encoder_3": None, "tokenizer_3": None} if kind == "sd3" else {}))
        pipe.set_progress_bar_config(disable=True)
        more = {"num_inference_steps": 4, "guidance_scale": 3.0, "negative_prompt": "dark"}
        by_words = diffusers.AutoPipelineForText2Image.from_pipe(pipe)(**as_asked(asked, 1, seed), **more, height=16, width=16).images
        row = asked.spec_.to_model(varied.rows_[varied._places(torch.tensor([1]), torch.tensor([seed]))])
        begun = diffusers.AutoPipelineForImage2Image.from_pipe(pipe)(
            **as_asked(varied, 1, seed), **more, strength=0.75, image=(row.expand(-1, 3, -1, -1) + 1) / 2
        ).images
    for made, image in ((asked, by_words), (varied, begun)):
        own = made.sample(torch.tensor([1]), torch.tensor([seed]))
        torch.testing.assert_close(own, image.mean(1, keepdim=True) * 2 - 1, atol=1e-4, rtol=0)


def test_a_row_of_nothing_but_noise_is_that_of_an_unconditional_pipeline(tmp_path):
    import diffusers

    painter = fresh(str(tiny("ddpm")))
    with hushed(), torch.no_grad():
        pipe = diffusers.DDPMPipeline.from_pretrained(tiny("ddpm"))
        pipe.set_progress_bar_config(disable=True)
        theirs = pipe(generator=generators([3]), num_inference_steps=50, output_type="np").images
    own = painter.varied(torch.zeros(1, 3, 16, 16), [""], [3], Manner(strength=1.0, points=50))
    torch.testing.assert_close((own + 1) / 2, torch.from_numpy(theirs).permute(0, 3, 1, 2), atol=0.01, rtol=0)


def test_the_less_strength_the_nearer_rows_stay_to_those_that_they_begin_with(tmp_path):
    far = []
    for strength in (0.05, 0.4, 1.0):
        made = fitted(tmp_path, "ddpm", strength=strength, points=20)
        y, seeds = torch.arange(9) % 3, row_seeds(9, "near")
        begun = made.spec_.to_model(made.rows_[made._places(y, seeds)])
        far.append(float((made.sample(y, seeds) - begun).abs().mean()))
    assert far[0] < 0.6 * far[1] < 0.6 * far[2]


@pytest.mark.parametrize("part", [0.1, 0.4, 0.9])
def test_the_hole_has_its_part_of_the_row(part):
    holes = torch.stack([hole((64, 48), part, torch.Generator().manual_seed(i)) for i in range(60)])
    assert set(holes.unique().tolist()) == {0.0, 1.0}
    assert (holes.mean((1, 2, 3)) - part).abs().max() < 0.03
    assert len(holes.flatten(1).unique(dim=0)) > 15 and (holes.sum((1, 2, 3)) > 0).all()


def test_what_is_not_redrawn_stays(tmp_path):
    made = fitted(tmp_path, task="inpaint", part=0.3)
    y, seeds = torch.arange(9) % 3, row_seeds(9, "hole")
    begun = made.spec_.to_model(made.rows_[made._places(y, seeds)])
    changed = ((made.sample(y, seeds) - begun).abs() > 1e-6).float().mean((1, 2, 3))
    assert (changed > 0.2).all() and (changed < 0.4).all()


def test_steps_are_enough_for_the_strength():
    assert [Manner(strength=s, points=p).steps for s, p in ((0.5, 4), (0.05, 1), (0.3, 2), (1.0, 1))] == [4, 20, 4, 1]
    assert all(int(m.steps * m.strength) >= 1 for m in (Manner(strength=s / 100, points=p) for s in range(5, 101) for p in (1, 3, 7)))


def test_classes_are_named_and_described(tmp_path):
    data = toy_data(24, GREY)
    data = dataclasses.replace(data, spec=dataclasses.replace(data.spec, classes=("tabby_cat", "a/b-dog", "7")))
    made = fitted(tmp_path, data=data, task="prompt", say="a drawing of {}, {}", describe={"7": "a goose"})
    texts = made._texts(made._painter(), None)
    assert texts == ("a drawing of tabby cat, tabby cat", "a drawing of a b dog, a b dog", "a drawing of a goose, a goose")


def test_a_pipeline_of_classes_is_asked_by_their_names(tmp_path):
    names = dict(zip(toy_data(9, GREY).spec.classes, ("cat", "dog", "tench"), strict=True))
    made = fitted(tmp_path, "dit", task="prompt", describe=names)
    assert drawn(made).shape == (6, *GREY) and not torch.equal(*(made.sample(torch.tensor([k]), torch.tensor([1])) for k in (0, 1)))
    with pytest.raises(WrongSpec, match="was not trained on it: class 0 does not exist"):
        fitted(tmp_path, "dit", task="prompt")


def test_rows_that_a_safety_checker_blacks_out_are_black_and_told(tmp_path):
    made = fitted(tmp_path, "checked")
    assert (drawn(made) == -1).all()
    (told,) = made.remarks()
    assert told.code == "AM224" and told.about == {"black": 6, "drawn": 6}
    assert not fitted(tmp_path).remarks()


def test_less_memory_gives_nearly_the_same_rows(tmp_path):
    usual, low = (drawn(fitted(tmp_path, task="prompt", memory=memory)) for memory in ("auto", "low"))
    assert (usual - low).abs().mean() < 0.03


def test_weights_in_half_precision_alone_are_opened(tmp_path):
    half = tmp_path / "half"
    shutil.copytree(tiny("sd"), half)
    for part in ("unet", "vae", "text_encoder"):
        file = next((half / part).glob("*.safetensors"))
        save_tensors(file.with_name(file.name.replace(".safetensors", ".fp16.safetensors")), {k: v.half() for k, v in load_tensors(file).items()})
        file.unlink()
        for saved in (half / part).glob("*.safetensors"):
            save_file(load_tensors(saved), saved)
    a, b = (drawn(Pretrained(model=str(m), side=16).fit(toy_data(24, GREY), Run(folder=tmp_path))) for m in (half, tiny("sd")))
    assert (a - b).abs().max() < 0.02


def save_file(tensors: dict[str, Tensor], file: Path) -> None:
    """As published files are."""
    from safetensors.torch import save_file as save

    save(tensors, file, metadata={"format": "pt"})


# What is learnt of the rows


def test_noise_is_put_on_as_published():
    import diffusers

    x = torch.randn(64, 4, 3, 3)
    noisy, times, wanted = flowed(x, 1000.0, 1.0)
    t = times[:, None, None, None] / 1000
    torch.testing.assert_close(noisy - t * wanted, x, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(noisy + (1 - t) * wanted - x, wanted, atol=1e-5, rtol=1e-5)
    assert times.min() > 0 and times.max() < 1000 and flowed(x, 1.0, 3.0)[1].mean() > times.mean() / 1000 + 0.1
    for kind in ("epsilon", "v_prediction", "sample"):
        scheduler = diffusers.DDPMScheduler(prediction_type=kind)
        noisy, times, wanted = diffused(x, scheduler)
        kept = scheduler.alphas_cumprod[times][:, None, None, None]
        back = {
            "epsilon": (noisy - (1 - kept).sqrt() * wanted) / kept.sqrt(),
            "v_prediction": kept.sqrt() * noisy - (1 - kept).sqrt() * wanted,
            "sample": wanted,
        }[kind]
        torch.testing.assert_close(back, x, atol=2e-3 / float(kept.min().sqrt()), rtol=1e-3)


def opened_for(kind: str) -> tuple[Painter, Any]:
    painter = fresh(str(tiny(kind)))
    return painter, painter.ways["prompt"]


def test_a_denoiser_is_told_what_its_pipeline_tells_it():
    _, pipe = opened_for("sd")
    captions = ["a cat", "dogs"]
    given = conditions(pipe, captions, (16, 16))
    torch.testing.assert_close(given["encoder_hidden_states"], pipe.encode_prompt(captions, "cpu", 1, False)[0])
    assert given["sample"].shape == (2, 4, 8, 8)
    _, pipe = opened_for("sdxl")
    given, (words, _, pooled, _) = conditions(pipe, captions, (16, 16)), pipe.encode_prompt(captions, do_classifier_free_guidance=False)
    torch.testing.assert_close(given["encoder_hidden_states"], words)
    torch.testing.assert_close(given["added_cond_kwargs"]["text_embeds"], pooled)
    _, pipe = opened_for("flux")
    given = conditions(pipe, captions, (16, 16))
    assert given["hidden_states"].shape == (2, 16, 16) and given["img_ids"].shape == (16, 3) and given["timestep"].max() == 1
    assert not pipe.transformer._forward_pre_hooks


def words_in(given: dict[str, Any]) -> dict[str, Tensor]:
    """What a denoiser is told of a text."""
    told = given | (given.get("added_cond_kwargs") or {})
    return {name: told[name] for name in ("encoder_hidden_states", "pooled_projections", "text_embeds") if isinstance(told.get(name), Tensor)}


@pytest.mark.parametrize("kind", ["sd", "sdxl", "sd3"])
def test_a_new_word_begins_as_the_class_is_called(kind):
    _, pipe = opened_for(kind)
    with seeded(0):
        before = words_in(conditions(pipe, ["a photo of x y"], (16, 16)))
        learnable(pipe, "inversion", 8, ["q", "x"])
        after = words_in(conditions(pipe, [f"a photo of {word(1)} y"], (16, 16)))
    assert before and before.keys() == after.keys()
    for name, told in before.items():
        torch.testing.assert_close(after[name].detach(), told)
        assert after[name].requires_grad


ADAPTED = [("sd", "lora"), ("sd", "inversion"), ("v", "lora"), ("sdxl", "inversion"), ("sd3", "lora"), ("flux", "lora")]


@pytest.mark.parametrize(("kind", "adapt"), ADAPTED)
def test_what_was_learnt_changes_rows_and_comes_back_from_its_file(kind, adapt, tmp_path):
    told = {"adapt": adapt, "steps": 10, "batch": 2, "lr": 1e-2, "task": "prompt"}
    state = torch.get_rng_state()
    made, plain = fitted(tmp_path, kind, **told), fitted(tmp_path, kind, task="prompt")
    assert torch.equal(state, torch.get_rng_state())
    assert made.curves_.steps == 10 and len(made.curves_.points["loss"]) == 1
    rows = drawn(made)
    assert (rows - drawn(plain)).abs().max() > 1e-3
    save_tensors(tmp_path / "s.safetensors", made.state())
    again = Pretrained(**made.settings()).restore(made.spec_, load_tensors(tmp_path / "s.safetensors"))
    assert torch.equal(drawn(again), rows)
    learnt = [name for name in made.state() if name.startswith("adapter/")]
    assert learnt and all("lora_" in name if adapt == "lora" else "text_encoder" in name for name in learnt)
    assert sum(v.numel() for v in made.state().values()) < 40_000, "the pipeline itself is not stored"


def test_an_adapter_learns_to_take_the_noise_from_the_rows(tmp_path):
    made = fitted(tmp_path, "ddpm", adapt="lora", steps=100, batch=4, lr=1e-2, rank=16)
    loss = made.curves_.points["loss"]
    assert len(loss) == 2 and loss[-1] < 0.97 * loss[0]


def test_a_training_that_was_killed_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("augmind.core.loop.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("augmind.core.loop.SNAPSHOT", 5)
    told, data = {"adapt": "lora", "steps": 10, "batch": 1, "lr": 1e-2}, toy_data(24, GREY)
    whole = fitted(tmp_path, **told)
    run = Run(folder=tmp_path, checkpoints=tmp_path / "checkpoints")

    class Killed(Exception):
        pass

    def progress(self: Run, done: int, total: int, **fields: Any) -> None:
        if done == total:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Run, "progress", progress)
        with pytest.raises(Killed):
            Pretrained(model=str(tiny("sd")), side=16, **told).fit(data, run)
    assert (tmp_path / "checkpoints" / "pretrained.safetensors").is_file()
    again = Pretrained(model=str(tiny("sd")), side=16, **told).fit(data, run)
    assert all(torch.equal(v, again.state()[k]) for k, v in whole.state().items())
    assert any('"resumed"' in line for line in (tmp_path / "events.jsonl").read_text().splitlines())


# What is refused


def test_settings_that_make_no_sense_are_refused():
    for bad, told in (
        ({"task": "paint"}, "one of variation, inpaint, prompt"),
        ({"adapt": "dora"}, "one of none, lora, inversion"),
        ({"memory": "high"}, "one of auto, low"),
        ({"strength": 1.5}, "0.05 to 1"),
        ({"side": 4}, "8 to 2048"),
        ({"say": "a photo"}, "stands for the class"),
    ):
        with pytest.raises(UsageError, match=f"pretrained: {next(iter(bad))}=") as caught:
            Pretrained(**bad)
        assert told in caught.value.help


@pytest.mark.parametrize("shape", [(4, 16, 16), (2, 16, 16)])
def test_rows_of_other_channels_are_refused(shape, tmp_path):
    with pytest.raises(WrongSpec, match="1 or 3 channels"):
        fitted(tmp_path, data=toy_data(9, shape))


@pytest.mark.parametrize(
    ("kind", "settings", "told"),
    [
        ("ddpm", {"task": "prompt"}, "knows no classes and no words, so it can only vary rows"),
        ("ddpm", {"task": "inpaint"}, "knows no classes"),
        ("ddpm", {"adapt": "inversion"}, "learns words, and '.*' reads none"),
        ("dit", {"task": "variation"}, "cannot begin from rows"),
        ("dit", {"task": "prompt", "adapt": "lora"}, "how a DiTPipeline is trained further is not known"),
    ],
)
def test_what_a_pipeline_cannot_do_is_told_before_any_work(kind, settings, told):
    with pytest.raises(UsageError, match=told) as caught:
        Pretrained(model=str(tiny(kind)), **settings).ready()
    assert caught.value.help


def test_a_network_made_for_redrawing_does_nothing_else(tmp_path):
    with pytest.raises(UsageError, match="takes 9 channels of rows with 4") as caught:
        fitted(tmp_path, "inpainting", task="variation")
    assert "pretrained.task=inpaint" in caught.value.help
    with pytest.raises(UsageError, match="takes 9 channels of rows with 4"):
        fitted(tmp_path, "inpainting", task="inpaint", adapt="lora")


def test_pipelines_that_are_not_here_are_told_with_the_command(monkeypatch):
    with pytest.raises(UsageError, match="none is named") as unnamed:
        Pretrained().ready()
    assert "augmind models pull stabilityai/sd-turbo" in unnamed.value.help
    with pytest.raises(MachineError, match="'someone/absent' are not on this machine") as caught:
        Pretrained(model="someone/absent").ready()
    assert "augmind models pull someone/absent" in caught.value.help
    with pytest.raises(MachineError, match="'someone/absent' are not on this machine"):
        Pretrained(model="someone/absent").restore(toy_data(9, GREY).spec, {})
    with pytest.raises(UsageError, match="unknown pipeline 'nonsense'"):
        Pretrained(model="nonsense").ready()
    monkeypatch.setattr(pipelines, "find_spec", lambda name: None)
    with pytest.raises(MachineError, match="the package diffusers, which is not installed") as lacking:
        Pretrained(model=str(tiny("sd"))).ready()
    assert lacking.value.help == 'pip install "augmind[diffusion]"'


def test_a_missing_pipeline_is_told_at_the_command_line(tmp_path):
    (tmp_path / "d.csv").write_text("path,label\n")
    told = {"generators": ("pretrained",)}
    with pytest.raises(UsageError, match="none is named"):
        refuse_absent(tmp_path / "d.csv", told)
    with pytest.raises(MachineError, match="pipeline 'someone/absent'"):
        refuse_absent(tmp_path / "d.csv", told | {"set": {"pretrained.model": "someone/absent"}})
    refuse_absent(tmp_path / "d.csv", told | {"set": {"pretrained.model": str(tiny("sd"))}})


def rewritten(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


HARMS = {
    "no index": ("a folder without config.json", lambda f: (f / "model_index.json").unlink()),
    "no json": ("cannot be read", lambda f: (f / "model_index.json").write_text("{")),
    "own code": ("code of its own", lambda f: rewritten(f / "model_index.json", _class_name=["pipeline", "Mine"])),
    "unknown pipeline": ("a 'Mine', which diffusers", lambda f: rewritten(f / "model_index.json", _class_name="Mine")),
    "unknown library": ("a 'os.system'", lambda f: rewritten(f / "model_index.json", unet=["os", "system"])),
    "unknown class": ("a 'diffusers.NoSuch'", lambda f: rewritten(f / "model_index.json", unet=["diffusers", "NoSuch"])),
    "own noise": ("would depend on those", lambda f: rewritten(f / "model_index.json", scheduler=["diffusers", "DPMSolverSDEScheduler"])),
    "pickles": ("no safetensors in 'unet'", lambda f: (f / "unet" / "diffusion_pytorch_model.safetensors").rename(f / "unet" / "model.bin")),
    "named pickles": (
        "names files that are not safetensors",
        lambda f: (f / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text('{"weight_map": {"a": "../b.bin"}}'),
    ),
    "cut": ("cannot be opened as a pipeline", lambda f: cut(f / "unet" / "diffusion_pytorch_model.safetensors")),
    "lacking": ("'unet' lacks 1 of its weights", lambda f: less(f / "unet" / "diffusion_pytorch_model.safetensors")),
    "lacking words": ("'text_encoder' lacks 1 of its weights", lambda f: less(f / "text_encoder" / "model.safetensors")),
    "other size": ("cannot be opened as a pipeline", lambda f: rewritten(f / "unet" / "config.json", cross_attention_dim=8)),
    "no part": ("cannot be opened as a pipeline", lambda f: shutil.rmtree(f / "vae")),
    "no letters": ("cannot be opened as a pipeline|cannot draw", lambda f: shutil.rmtree(f / "tokenizer")),
    "nan": ("what it drew is not finite", lambda f: nan(f / "vae" / "diffusion_pytorch_model.safetensors")),
}


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def less(file: Path) -> None:
    tensors = load_tensors(file)
    tensors.pop(next(name for name in sorted(tensors) if name.endswith("weight")))
    save_file(tensors, file)


def nan(file: Path) -> None:
    save_file({k: v * float("nan") if "conv_out" in k else v for k, v in load_tensors(file).items()}, file)


@pytest.mark.parametrize("harm", HARMS)
def test_damaged_and_foreign_folders_are_one_sentence(harm, tmp_path):
    told, do = HARMS[harm]
    copy = tmp_path / "pipeline"
    shutil.copytree(tiny("sd"), copy)
    do(copy)
    made = Pretrained(model=str(copy), side=16)
    with pytest.raises(UsageError, match=told) as caught:
        drawn(made.fit(toy_data(9, GREY), Run(folder=tmp_path)))
    assert caught.value.help


# Fetching one


class Hub:
    """A hub of one repository."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = root
        patch.setattr("huggingface_hub.list_repo_files", lambda name: sorted(str(f.relative_to(root)) for f in root.rglob("*") if f.is_file()))
        patch.setattr("huggingface_hub.snapshot_download", self.fetched)

    def fetched(self, name: str, local_dir: Path, allow_patterns: list[str]) -> None:
        for file in (f for f in self.root.rglob("*") if f.is_file()):
            if any(fnmatch(str(file.relative_to(self.root)), pattern) for pattern in allow_patterns):
                target = Path(local_dir) / file.relative_to(self.root)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)


def test_of_a_published_pipeline_its_parts_alone_are_fetched(tmp_path, monkeypatch):
    published = tmp_path / "hub"
    shutil.copytree(tiny("sd"), published)
    for name in ("whole.safetensors", "unet/model.bin", "unet/diffusion_pytorch_model.non_ema.safetensors", "unet/openvino.xml", "old/config.json"):
        (published / name).parent.mkdir(exist_ok=True)
        (published / name).write_bytes(b"not wanted")
    half = published / "vae" / "diffusion_pytorch_model.fp16.safetensors"
    save_file({k: v.half() for k, v in load_tensors(published / "vae" / "diffusion_pytorch_model.safetensors").items()}, half)
    monkeypatch.setenv("AUGMIND_CACHE", str(tmp_path / "cache"))
    Hub(published, monkeypatch)
    place = pull("somebody/tiny", str)
    assert place == located("somebody/tiny") == cache_folder() / "somebody--tiny"
    names = {str(f.relative_to(place)) for f in place.rglob("*") if f.is_file()}
    wanted = {str(f.relative_to(tiny("sd"))) for f in tiny("sd").rglob("*") if f.is_file()}
    assert names == wanted - {"vae/diffusion_pytorch_model.safetensors"} | {"vae/diffusion_pytorch_model.fp16.safetensors"}
    made = Pretrained(model="somebody/tiny", side=16)
    made.ready()
    assert made.source() == weights.content(place)
    assert drawn(made.fit(toy_data(9, GREY), Run(folder=tmp_path))).shape == (6, *GREY)


def test_a_published_pipeline_without_safetensors_is_not_fetched(tmp_path, monkeypatch):
    published = tmp_path / "hub"
    shutil.copytree(tiny("sd"), published)
    (published / "unet" / "diffusion_pytorch_model.safetensors").rename(published / "unet" / "diffusion_pytorch_model.bin")
    monkeypatch.setenv("AUGMIND_CACHE", str(tmp_path / "cache"))
    Hub(published, monkeypatch)
    with pytest.raises(UsageError, match="no safetensors of its 'unet'"):
        pull("somebody/tiny", str)
    assert located("somebody/tiny") is None


def test_weights_in_parts_are_fetched_with_their_index():
    parts = [f"unet/diffusion_pytorch_model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    halves = [f"unet/diffusion_pytorch_model.fp16-0000{i}-of-00002.safetensors" for i in (1, 2)]
    index, of_halves = "unet/diffusion_pytorch_model.safetensors.index.json", "unet/diffusion_pytorch_model.safetensors.index.fp16.json"
    files = ["unet/config.json", *parts, index]
    assert sorted(of_pipeline("a/b", files, ["unet"])) == sorted(files)
    assert sorted(of_pipeline("a/b", [*files, *halves, of_halves], ["unet"])) == sorted(["unet/config.json", *halves, of_halves])


# Whole runs


def test_its_time_is_counted_and_classes_may_be_described(tmp_path):
    facts = {"mode": "cv", "folds": 2, "rows": 30, "test_rows": 0, "classes": 3, "shape": GREY, "imbalanced": False}
    asked = {"data": "d", "preset": "quick", "jobs": 1, "set": {"pretrained.model": "x"}}
    with_it, without = (make_plan(config(**asked, generators=names), **facts) for names in (("pretrained",), ("feature",)))
    assert with_it.estimates["seconds"] > without.estimates["seconds"] + 1000 and with_it.estimates["memory_mb"] > 7000
    learns = make_plan(config(**asked | {"set": {"pretrained.model": "x", "pretrained.adapt": "lora"}}, generators=("pretrained",)), **facts)
    assert learns.estimates["seconds"] > with_it.estimates["seconds"] + 10_000
    small = make_plan(config(**asked | {"set": {"pretrained.model": str(tiny("sd"))}}, generators=("pretrained",)), **facts)
    assert small.estimates["seconds"] < without.estimates["seconds"] + 100 and small.estimates["memory_mb"] < 2000
    shutil.copytree(tiny("sd"), copy := tmp_path / "copy")
    shutil.copy(file := copy / "unet" / "diffusion_pytorch_model.safetensors", file.with_suffix(".fp16.safetensors"))
    (copy / "vae" / "gone.safetensors").symlink_to(tmp_path / "nowhere")
    assert part_of("pretrained", {"model": str(copy)}) == part_of("pretrained", {"model": str(tiny("sd"))}) < 0.01
    told = {"describe": {"digit 0": "a nought"}, "generators": ("pretrained",), "set": {"pretrained.model": str(tiny("sd"))}}
    run = augmind.expand(folder(tmp_path / "d"), tmp_path / "r", **TINY, **told, dry_run=True)
    assert json.loads((run.folder / "plan.json").read_text())["sources"]["pretrained"] == weights.content(tiny("sd"))


def test_a_whole_run_with_a_pipeline(tmp_path):
    said = {"pretrained.model": str(tiny("sd")), "pretrained.side": 16, "pretrained.points": 2}
    told = {**TINY, "seeds": 1, "test": 0.4, "ratio": 0.5, "learner": ("probe",), "generators": ("pretrained",), "set": said}
    run = augmind.expand(folder(tmp_path / "d"), tmp_path / "r", **told)
    (made,) = run.record["generators"]
    assert made["name"] == "pretrained" and made["status"] == "ok" and made["knowledge"] == "pretrained"
    assert {row["arm"] for row in run.record["rows"]} >= {"real", "classical"}
