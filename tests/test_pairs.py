"""Pairs of texts: what makes a row a pair and what cannot, what relates the sides, what never crosses from one to the other, the whole job."""

import csv
import io
import json
import shlex
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import augmind
from augmind.cli import main
from augmind.cli.options import given as settings
from augmind.core.errors import DataError, UsageError
from augmind.core.feed import Feed
from augmind.core.registry import make
from augmind.core.run import Run
from augmind.core.types import Choice, Samples, Spec
from augmind.learners.finetune import Finetune
from augmind.modalities.text.backbones.select import shared
from augmind.modalities.text.codec import PREVIEW, TextCodec
from augmind.modalities.text.endpoint import content
from augmind.modalities.text.fewshot import line_of, row_of
from augmind.modalities.text.generators.llm import asked
from augmind.modalities.text.generators.lm import Lm, listed
from augmind.modalities.text.learners.tfidf import told
from augmind.modalities.text.rows import rows_of, texts_of
from augmind.modalities.text.screens.form import Form
from augmind.modalities.text.screens.ngrams import Ngrams
from augmind.modalities.text.sides import as_row, sides_of
from language import answering, said, tiny_encoder, tiny_language, tiny_rewriters
from rows import pairs, sentences

NAMES = ("premise", "hypothesis")
SIDE = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=40)
NONE = make("transforms", Choice(name="none"))


def codec(length=128, parts=NAMES):
    return TextCodec(Spec(kind="tokens", shape=(length,), classes=("no", "yes"), bounded=False, parts=parts))


def fed(data, transform=NONE) -> Feed:
    return Feed(real=data.train, spec=data.spec, codec=data.codec, transform=transform, mixing=NONE)


def table(path, data, names=NAMES, **more):
    """The training rows of a dataset of pairs as a table."""
    rows = zip(data.codec.decode(data.train.x), data.train.y.tolist(), strict=True)
    with path.open("w", newline="", encoding="utf-8") as f:
        sheet = csv.DictWriter(f, [*names, "label", *more])
        sheet.writeheader()
        sheet.writerows(dict(zip(names, sides_of(row), strict=True)) | {"label": data.spec.classes[k], **more} for row, k in rows)
    return path


def read(path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_pairs_that_share_a_side_are_told_unless_a_group_keeps_them_together(tmp_path):
    rows = ["premise,hypothesis,label"] + [f"The boat number {i // 3} left.,It was {i} o'clock.,{'yes' if i % 2 else 'no'}" for i in range(12)]
    copies = ["A dog barked.,It was late.,no"] * 5
    (tmp_path / "d.csv").write_text("\n".join([*rows, *copies]))
    found, kept = (augmind.load(tmp_path / "d.csv", text=NAMES, label="label", group=group).findings for group in (None, "premise"))
    (told,) = [f for f in found if f.code == "AM135"]
    assert told.about["side"] == "premise" and len(told.about["rows"]) == 12 and "--group premise" in told.text
    assert not [f for f in kept if f.code == "AM135"]


# Bytes and back


@given(SIDE, SIDE, st.integers(12, 60))
def test_a_pair_keeps_both_sides_however_short_its_row_is(first, second, length):
    (row,) = texts_of(rows_of([as_row([first, second])], length))
    kept = sides_of(row)
    assert len(kept) == 2 and first.startswith(kept[0]) and second.startswith(kept[1])
    whole = len(as_row([first, second]).encode()) <= length
    assert (kept == [first, second]) == whole and (whole or sum(len(k.encode()) for k in kept) > length - 8)
    shorter = min(len(first.encode()), len(second.encode()))
    assert all(len(k.encode()) >= min(shorter, (length - 1) // 2) - 3 for k in kept)


def test_a_mark_inside_a_side_makes_no_third_one():
    assert sides_of(as_row(["a\x1eb", "c"])) == ["a b", "c"] and sides_of(as_row(["a\x1eb"])) == ["a b"]


# Tables


def test_two_columns_make_pairs_and_no_cell_can_forge_one(tmp_path):
    lines = [{"premise": f"one\x1e{i} two", "hypothesis": f" three\x1e\x1ffour {i} ", "label": "ab"[i % 2]} for i in range(12)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    data = augmind.load(tmp_path / "t.jsonl", text=NAMES)
    assert data.spec.parts == NAMES and Spec.from_json(json.loads(json.dumps(data.spec.to_json()))) == data.spec
    assert [sides_of(t) for t in data.codec.decode(data.samples.x)] == [[f"one {i} two", f"three  four {i}"] for i in range(12)]
    assert data.rows[0].about == {"words": 6, "characters": 22, "script": "Latin", "controls": 3}
    assert torch.equal(augmind.load(tmp_path / "t.jsonl", text="premise, hypothesis").samples.x, data.samples.x)
    alone = augmind.load(tmp_path / "t.jsonl", text="premise")
    assert alone.spec.parts == () and all(len(sides_of(t)) == 1 for t in alone.codec.decode(alone.samples.x))


def test_a_row_with_an_empty_side_is_set_aside_with_the_name_of_that_side(tmp_path):
    good = [{"premise": f"one {i}", "hypothesis": f"two {i}", "label": "ab"[i % 2]} for i in range(20)]
    bad = [{"premise": "", "hypothesis": "x"}, {"premise": "x", "hypothesis": " \x1e "}, {"premise": "x", "hypothesis": True}]
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps({"label": "a"} | line) for line in [*good, *bad]))
    data = augmind.load(tmp_path / "t.jsonl", text=NAMES)
    assert [r.reason for r in data.bad()] == [
        "premise: it is empty",
        "hypothesis: it is empty",
        "hypothesis: it holds bool, not text; another column is named with --text",
    ]


def test_scripts_and_addresses_are_looked_for_on_both_sides(tmp_path):
    lines = ["zh,en,label", *(f"味道很好{i},it tastes good {i},{'ab'[i % 2]}" for i in range(8)), "打13912345678,mail a@b.org,a"]
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    data = augmind.load(tmp_path / "t.csv", text=("zh", "en"))
    assert {r.about["script"] for r in data.rows} == {"Han and Latin"} and not {f.code for f in data.findings} & {"AM126"}
    assert data.rows[-1].about["personal"] == ["e-mail address", "telephone number"]


def test_columns_that_make_no_pair_are_told_in_one_sentence(tmp_path):
    file = table(tmp_path / "t.csv", pairs(), more="x")
    for text, kind, sentence in (
        ("premise,hypotesis", DataError, "no column 'hypotesis'"),
        ("premise,premise", UsageError, "names 'premise' twice"),
        ("premise,hypothesis,more", UsageError, "names 3 columns"),
        ((), UsageError, "names 0 columns"),
    ):
        with pytest.raises(kind, match=sentence):
            augmind.load(file, text=text)
    (tmp_path / "comma.csv").write_text('"a,b",label\n' + "\n".join(f"text {i},{'xy'[i % 2]}" for i in range(8)))
    assert augmind.load(tmp_path / "comma.csv", text="a,b").spec.parts == ()


def test_copies_are_told_by_both_sides(tmp_path):
    rows = [
        ("a b c", "d e f", "x"),
        ("d e f", "a b c", "y"),
        ("a b c", "d e g", "x"),
        ("a b c", "d e f", "x"),
        ("q r", "s t", "y"),
        ("u v", "w", "y"),
    ]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,label", *(",".join(r) for r in rows)]))
    health = augmind.inspect(tmp_path / "t.csv", text="a,b")
    assert [r.reason for r in health.dataset.rows if r.status == "duplicate"] == ["same as t.csv:2"]


# Features and learners


@pytest.mark.parametrize("backbone", ["hash", "encoder"])
def test_features_of_a_pair_are_both_sides_their_distance_and_their_product(backbone, tmp_path):
    name = str(tiny_encoder(tmp_path)) if backbone == "encoder" else backbone
    own, read = replace(codec(), backbone_name=name), shared(name)
    first, second = ["a dog runs", "a dog runs", "味道很好"], ["the cat sleeps", "a dog runs", ""]
    z, back = (own.embed(own.encode([as_row(p) for p in zip(*sides, strict=True)])) for sides in ((first, second), (second, first)))
    u, v = read(first), read(second)
    torch.testing.assert_close(z, torch.cat([u, v, (u - v).abs(), u * v], 1))
    torch.testing.assert_close(back, torch.cat([v, u, (u - v).abs(), u * v], 1))
    assert not torch.allclose(z[0], back[0]) and torch.equal(z[1], back[1]) and not z[1][2 * read.width : 3 * read.width].any()
    if backbone == "encoder":
        torch.testing.assert_close(own.backbone().features(own.encode([as_row(p) for p in zip(first, second, strict=True)])), z, atol=1e-5, rtol=0)
        assert own.backbone().width == z.shape[1]


def directed(n: int, seed: int):
    """Pairs whose class is the order of their sides: which of them swims."""
    data, rng = pairs(n, seed), np.random.default_rng(seed)
    for part in (data.train, data.val):
        rows = [
            ["the fish swims", f"a {w} loaf bakes"][:: 1 if k else -1] for k, w in zip(part.y.tolist(), rng.choice(["big", "old"], n), strict=True)
        ]
        part.x[:] = data.codec.encode([as_row(r) for r in rows])
        part.z[:] = data.codec.embed(part.x)
    return data


@pytest.mark.parametrize(("name", "settings"), [("tfidf", {}), ("probe", {}), ("textcnn", {"steps": 60, "width": 16}), ("finetune", {})])
def test_learners_tell_the_sides_apart_and_survive_their_state(name, settings, tmp_path):
    data = directed(40, 3)
    if name == "finetune":
        settings = {"backbone": str(tiny_encoder(tmp_path / "encoder")), "steps": 30, "lr": 3e-3}
        data = replace(data, codec=replace(data.codec, backbone_name=settings["backbone"]))
    made = make("learners", Choice(name=name, settings=settings)).fit(fed(data), Run(folder=tmp_path))
    p = made.predict(data.val)
    assert (p.argmax(1) == data.val.y).float().mean() > 0.95
    again = make("learners", Choice(name=name, settings=settings)).restore(data, made.state())
    torch.testing.assert_close(again.predict(data.val), p, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["tfidf", "probe"])
def test_what_the_sides_have_in_common_is_learnt(name, tmp_path):
    data = pairs(120, seed=1)
    made = make("learners", Choice(name=name)).fit(fed(data), Run(folder=tmp_path))
    assert (made.predict(data.val).argmax(1) == data.val.y).float().mean() > 0.8


def test_grams_of_a_pair_are_told_apart_shared_and_crossed():
    found = told(as_row(["Big dog", "big cat"]))
    assert {"1wbig", "2wbig", "=wbig", "1wdog", "2wcat", "xwdog wcat", "xwbig wbig"} <= set(found)
    assert not {"wbig", "2wdog", "=wdog", "xwcat wdog", "1bdog big", "bdog big"} & set(found)


def test_a_model_of_single_texts_is_no_start_for_pairs(tmp_path):
    from augmind.core.tensors import save_tensors
    from augmind.nn.starting import opened

    meta = {"learner": {"name": "finetune", "settings": {}}, "spec": sentences(6).spec.to_json()}
    save_tensors(tmp_path / "m.safetensors", {"x": torch.zeros(1)}, meta)
    with pytest.raises(UsageError, match="rows of 1 parts, not of 2"):
        opened(str(tmp_path / "m.safetensors"), Finetune.name(), "", codec().spec)


# Transforms


@pytest.mark.parametrize("name", ["eda", "typos", "masked", "backtranslation"])
def test_a_transform_changes_one_side_and_nothing_crosses(name):
    transform = make("transforms", Choice(name=name, settings=tiny_rewriters().get(name, {"part": 0.2})))
    first, second = "the quick dog jumps over a lazy old fox", "an apple pie bakes within seven warm kitchens"
    x, changed = rows_of([as_row([first, second])] * 30, 120), [0, 0]
    out, _ = transform.apply(x, torch.zeros(30, 2), 5)
    for row in texts_of(out):
        a, b = sides_of(row)
        assert a == first or b == second
        changed[0] += a != first
        changed[1] += b != second
    assert min(changed) > 3
    assert torch.equal(out, transform.apply(x, torch.zeros(30, 2), 5)[0])


# Rows written by language models


def test_lists_show_both_sides_on_one_line_and_read_them_back():
    rows = [as_row(["one\n2. Ignore | hypothesis: all", "two"]), as_row(["a", "b"])]
    shown = ["1. premise: one 2. Ignore / hypothesis: all | hypothesis: two", "2. premise: a | hypothesis: b", "3. premise:"]
    assert listed(rows, "yes", names=NAMES).split("\n") == ["Different pairs of texts of the kind: yes", *shown]
    assert row_of(line_of(rows[1], NAMES), NAMES) == rows[1]
    assert row_of(line_of(as_row(["x y", "z"]), ("a|\nb", "c:")), ("a|\nb", "c:")) == as_row(["x y", "z"])
    for line in (
        "premise: a man walks",
        "premise: a | hypothesis:",
        "premise: | hypothesis: b",
        "premise: a | hypothesis: b | c",
        "a | b",
        "premise: a\x1eb",
        "",
    ):
        assert len(sides_of(row_of(line, NAMES))) == 1, line


@given(SIDE, SIDE)
def test_a_line_gives_its_pair_back(first, second):
    flat = [" ".join(s.replace("|", "/").split()) for s in (first, second)]
    if all(flat):
        assert sides_of(row_of(line_of(as_row([first, second]), NAMES), NAMES)) == flat


@pytest.mark.parametrize(
    ("answer", "sides"),
    [
        ('{"premise": "a  b", "hypothesis": "c\\u001ed"}', ["a b", "c d"]), ('```json\n{"hypothesis": "d",\n "premise": "c"}\n```', ["c", "d"]),
        ('{"premise": "a", "hypothesis": "b"}\nHope this helps!', ["a", "b"]), ('{"premise": "a"}', [""]), ('"alone"', ["alone"]),
        ('{"premise": "a", "hypothesis": 3}', [""]), ("Sure: a, b", ["Sure: a, b"]), ("[1]", [""]),
    ],
)  # fmt: skip
def test_a_reply_is_a_pair_only_as_an_object_with_both_sides(answer, sides):
    assert sides_of(content(said(answer), NAMES)) == sides


def test_pairs_are_asked_for_as_objects_and_single_texts_as_before():
    prompt = asked([{"premise": 'say "hi"', "hypothesis": "x"}], "1", names=NAMES)
    assert json.loads(prompt[prompt.index("\n[") : prompt.rindex("]") + 1]) == [{"premise": 'say "hi"', "hypothesis": "x"}]
    assert 'keys "premise" and "hypothesis"' in prompt and "pairs of texts of one kind" in prompt and "one more pair of texts" in prompt
    assert asked(["a"], "1").endswith("Reply with it alone, as one JSON string.") and "Here are texts of one kind" in asked(["a"], "1")


def test_a_language_model_writes_pairs_as_a_function_of_label_and_seed_and_form_rejects_what_lacks_a_side(tmp_path, monkeypatch):
    data, run = pairs(30), Run(folder=tmp_path)
    made = Lm(model=str(tiny_language(tmp_path / "tiny")), prompts=2, examples=3).fit(data, run)
    prompt = made._language().tokenizer.decode(made.lists_[1][0])
    assert prompt.endswith("4. premise:") and prompt.count("| hypothesis: The ") == 3
    y, seeds = torch.tensor([0, 1, 1]), torch.tensor([3, 4, 5])
    assert torch.equal(made.sample(y, seeds)[1:2], made.sample(y[1:2], seeds[1:2]))
    good = sides_of(data.codec.decode(data.train.x)[0])
    lines = [f" {good[0]} | hypothesis: {good[1]}", f" {good[0]}", f" {good[0]} | {good[1]}", f" {good[0]} | hypothesis: 味道很好"]
    monkeypatch.setattr(type(made._language()), "lines", lambda self, prompt, seeds, **told: [lines[s] for s in seeds])
    x = made.sample(torch.zeros(4, dtype=torch.long), torch.arange(4))
    assert sides_of(data.codec.decode(x)[0]) == good
    form = Form().fit(data, run)
    assert form.score(Samples.synthetic("lm", x, torch.zeros(4, dtype=torch.long), torch.arange(4))).tolist() == [1, 0, 0, 0]
    assert form.score(data.train).min() == 1 and Form().fit(sentences(9), run).score(data.train).max() == 0


def test_the_side_that_has_copied_most_is_what_counts(tmp_path):
    data = pairs(20)
    own = [sides_of(t) for t in data.codec.decode(data.train.x)]
    fresh = "nobody has ever said any of this before"
    rows = [as_row([own[0][0], fresh]), as_row([fresh, own[1][1]]), as_row([fresh, fresh]), as_row([own[2][1], fresh])]
    scores = Ngrams().fit(data, Run(folder=tmp_path)).score(Samples.synthetic("lm", data.codec.encode(rows), torch.zeros(4).long(), torch.arange(4)))
    assert scores.tolist() == [0, 0, 1, 0]


# What people see, and the whole job


def test_the_sides_stand_one_below_the_other_with_marks_of_their_own():
    own = codec(2048, ("a<b", "c"))
    (shown,) = own.preview(own.encode([as_row(["the dog ran", "a cat <sat>"])]), own.encode([as_row(["the dog sat", "a cat ran"])]))
    first, second = shown.split("<br>")
    assert first == '<b>a&lt;b</b> <span class="text" dir="auto">the dog <mark>ran</mark></span>'
    assert second == '<b>c</b> <span class="text" dir="auto">a cat &lt;<mark>sat</mark>&gt;</span>'
    (long,) = own.preview(own.encode([as_row(["x " * 400, "end"])]))
    assert "end" in long and len(long) < PREVIEW + 100 and "<br>" not in own.preview(own.encode(["alone"]))[0]
    assert own.files(own.encode([as_row(["one\ntwo", "three"])]), [True]) == [b"one two\nthree"]
    found = own.figures(own.encode([as_row(["one two", "three four"])]), own.encode([as_row(["one two", "x"])]))
    assert found["distinct_2"] == 1.0 and "novel_4_grams" not in found


def test_class_names_make_no_pairs():
    assert codec().named(["entailment", "contradiction"]) == []


def test_pairs_get_the_whole_job_and_come_back_as_two_columns(tmp_path, monkeypatch):
    monkeypatch.setenv("AUGMIND_CACHE", str(tmp_path / "cache"))
    names = ("source", "seed text")
    file = table(tmp_path / "nli.csv", pairs(60, seed=2), names)
    options = {
        "text": names,
        "label": "label",
        "preset": "quick",
        "seeds": 1,
        "test": 0.3,
        "jobs": 0,
        "learner": "tfidf",
        "generators": "llm",
    }
    asked = {"llm.url": answering(), "llm.model": "m", "llm.attributes": ["short", "as a note"]}
    run = augmind.expand(file, tmp_path / "run", set=asked, describe={"same": "on one topic"}, **options)
    arms = {a["arm"]: a["metrics"]["balanced_accuracy"]["mean"] for a in run.record["arms"]}
    assert arms["real"] > 0.7 and not any("class names" in name or "splice" in name for c in run.record["choices"] for name in c["scores"])
    rows = run.table()
    assert "form" in rows["rejected_by"] and any(rows["kept"])
    said = shlex.split(run.record["reproduce"])
    back = settings(said[said.index("--set") + 1 : said.index("--set") + 4])
    assert back == asked
    assert "--text 'source,seed text'" in run.record["reproduce"] and "<br>" in run.report.read_text()
    known = {(r[names[0]], r[names[1]], r["label"]) for r in read(file)}
    out = run.export(tmp_path / "csv", to="csv")
    rows, held = (read(out / f"{split}.csv") for split in ("train", "test"))
    real = {(r[names[0]], r[names[1]], r["label"]) for r in [*rows, *held] if r["synthetic"] == "False"}
    assert real == known and any(r["synthetic"] == "True" and r[names[0]] and r[names[1]] for r in rows)
    assert all(r["row_source"].startswith("nli.csv:") == (r["synthetic"] == "False") for r in rows)
    found = pq.read_table(run.export(tmp_path / "pq", to="parquet") / "train.parquet").to_pylist()
    assert [(r[names[0]], r[names[1]]) for r in found] == [(r[names[0]], r[names[1]]) for r in rows]
    lines = [json.loads(line) for line in (run.export(tmp_path / "jl", to="jsonl") / "train.jsonl").read_text("utf-8").splitlines()]
    assert [(r[names[0]], r[names[1]]) for r in lines] == [(r[names[0]], r[names[1]]) for r in rows]
    whole = run.export(tmp_path / "files", to="imagefolder")
    for r in pq.read_table(whole / "train" / "metadata.parquet").to_pylist():
        assert (whole / "train" / r["file_name"]).read_text().split("\n") == [r[names[0]], r[names[1]]]
    again = augmind.load(tmp_path / "csv" / "train.csv", text=names, label="label")
    assert len(again.samples) == len(rows)
    drawn = run.sample("same", 3, tmp_path / "more")
    more = read(tmp_path / "more" / "train.csv")
    assert len(more) == drawn > 0 and all(r[names[0]] and r[names[1]] and r["label"] == "same" for r in more)
    assert run.why(f"llm:{more[0]['seed']}")["label"] == "same"
    assert augmind.load_policy(run.folder).policy.learner.name == "tfidf"


def test_the_command_line_takes_two_columns_by_comma(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = table(tmp_path / "nli.csv", pairs(40))
    main(["inspect", str(file), "--text", "premise,hypothesis", "--label", "label"])
    assert "40 of 40" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["expand", str(file), "--text", "premise,hypothesis", "--label", "label", "--describe", "same=on one topic"])
    assert ended.value.code == 2 and "is about single texts, or pairs that a language model writes" in " ".join(capsys.readouterr().err.split())
