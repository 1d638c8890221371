"""Wishes become a plan; wrong wishes are refused in one sentence."""

import pytest

import augmind
from augmind.config import config, make_plan, plan_of
from augmind.core.errors import DataError, UsageError
from augmind.data.load import load
from augmind.presets import PRESETS, seconds

SIZES = {"mode": "cv", "folds": 3, "rows": 200, "test_rows": 0, "classes": 10, "shape": (1, 28, 28), "imbalanced": False}


@pytest.mark.parametrize(("text", "value"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), (30, 30), (None, None)])
def test_budgets_are_times(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("options", "says", "helps"),
    [
        ({"budget": "soon"}, "budget 'soon' is not a time", "10m"),
        ({"preset": "fast"}, "preset='fast' is not allowed", "preset"),
        ({"seed": -1}, "seed=-1 is not allowed", "seed"),
        ({"generators": ("vea",)}, "unknown generator 'vea'", "did you mean 'vae'"),
        ({"learner": ("cn",)}, "unknown learner 'cn'", "did you mean 'cnn'"),
        ({"sede": 1}, "unknown option 'sede'", "did you mean 'seed'"),
        ({"want": {"cat": 0}}, "want", "--help"),
        ({"search": True, "storage": "postgresql://me:secret@host/studies"}, "holds a password", "$NAME"),
        ({"set": {"lm.attribute": ["x"]}}, "unknown setting of lm 'attribute'", "did you mean 'attributes'"),
        ({"share": 0.95}, "share=0.95 is not allowed", "share"),
    ],
)
def test_wrong_wishes_are_refused_in_one_sentence(options, says, helps):
    with pytest.raises(UsageError) as caught:
        config(data="x", **options)
    assert says in str(caught.value) and helps in caught.value.help and "\n" not in str(caught.value)


def test_one_name_stands_for_a_list_of_one():
    assert config(data="x", generators="vae", learner="probe, cnn").model_dump(include={"generators", "learner"}) == {
        "generators": ("vae",),
        "learner": ("probe", "cnn"),
    }
    assert config(data="x", generators=["vae", "gan"]).generators == ("vae", "gan")


def test_settings_that_are_lists_may_be_parted_by_commas():
    given = {"lm.attributes": "shorter, as a tweet", "llm.attributes": ["a, b"], "lm.model": "a,b", "llm.paraphrase": True}
    assert config(data="x", set=given).set == given | {"lm.attributes": ["shorter", "as a tweet"]}


@pytest.mark.parametrize("size", [8, 256, 7, 257])
def test_a_size_is_allowed_by_the_configuration_if_it_is_by_the_loader(size, tmp_path):
    found = []
    for ask in (lambda: config(data="x", size=size), lambda: load(tmp_path / "none", size=size)):
        try:
            ask()
        except UsageError:
            found.append("refused")
        except DataError:
            found.append("allowed")
        else:
            found.append("allowed")
    assert found == ["refused" if size in (7, 257) else "allowed"] * 2


def test_a_plan_survives_json_and_does_not_depend_on_jobs():
    plans = [make_plan(config(data="x", preset="quick", jobs=j), **SIZES) for j in (1, 4)]
    assert type(plans[0]).from_json(plans[0].to_json()) == plans[0]
    assert plans[0].steps == plans[1].steps and plans[0].learners == plans[1].learners
    assert plans[0].estimates["seconds"] > plans[1].estimates["seconds"]


def test_a_budget_scales_steps_and_nothing_else():
    plain = make_plan(config(data="x", preset="balanced", jobs=2), **SIZES)
    tight = make_plan(config(data="x", preset="balanced", jobs=2, budget=plain.estimates["seconds"] / 2), **SIZES)
    assert all(tight.steps[k] < plain.steps[k] for k in plain.steps)
    assert (tight.folds, tight.seeds, tight.learners) == (plain.folds, plain.seeds, plain.learners)
    assert tight.estimates["seconds"] == pytest.approx(plain.estimates["seconds"] / 2, rel=0.15)


def test_steps_that_were_named_are_not_scaled():
    asked = config(data="x", preset="balanced", jobs=2, budget="30m", steps={"vae": 70})
    assert make_plan(asked, **SIZES).steps["vae"] == 70


def test_an_impossible_budget_is_told():
    plan = make_plan(config(data="x", preset="balanced", jobs=2, budget="5s"), **SIZES)
    assert any("too small" in note for note in plan.notes)


def test_presets_grow():
    steps = [[PRESETS[p].steps[g] for p in ("quick", "balanced", "thorough")] for g in ("vae", "gan", "diffusion", "cnn")]
    assert all(a < b <= c for a, b, c in steps)


def test_settings_of_plug_ins_reach_the_plan_over_those_of_the_preset():
    asked = config(data="x", preset="quick", set={"finetune.lora": 8, "diffusion.points": 8, "vae.beta": 0.5})
    settings = make_plan(asked, **SIZES).settings
    assert settings["finetune"] == {"lora": 8} and settings["diffusion"]["points"] == 8 and settings["vae"] == {"beta": 0.5}
    for wrong, told in (("finetune.lra", "lora"), ("vea.beta", "vae"), ("cnn.steps", "--steps"), ("vae.kinds", "beta")):
        with pytest.raises(UsageError) as caught:
            config(data="x", set={wrong: 1})
        assert told in str(caught.value) + caught.value.help


def test_text_gets_the_plug_ins_that_can_take_it_unless_others_are_asked_for():
    sizes = {**SIZES, "kind": "tokens", "shape": (128,)}
    plan = make_plan(config(data="x", preset="balanced"), **sizes, trainable=False)
    assert make_plan(config(data="x", preset="balanced"), **sizes).learners == ("probe", "finetune", "tfidf", "textcnn")
    with pytest.raises(UsageError, match="nothing to train"):
        make_plan(config(data="x", learner="finetune"), **sizes, trainable=False)
    assert plan.generators == ("feature",) and plan.learners == ("probe", "tfidf", "textcnn")
    assert any("--generators lm,feature" in note for note in plan.notes)
    assert not any("--generators" in note for note in make_plan(config(data="x", preset="balanced", generators="feature"), **sizes).notes)
    assert make_plan(config(data="x", generators=("vae",)), **sizes).generators == ("vae",)


def test_a_plan_says_what_was_set_aside(tmp_path):
    lines = ["text,label", *(f"number {i} of the rows,{'ab'[i % 2]}" for i in range(20)), f"{'x' * 2_000_000},a", "no label here,"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    augmind.expand(tmp_path / "t.csv", tmp_path / "r", text="text", preset="quick", jobs=0, dry_run=True)
    first, *_ = plan_of(tmp_path / "r").notes
    assert first.startswith("2 rows were set aside, the first: t.csv:22: ") and "augmind inspect lists them" in first
