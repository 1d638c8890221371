"""Texts: what is read and what is refused, bytes and back, edits that leave labels alone, features, and the whole job."""

import csv
import html
import io
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import augmind
from augmind.core.errors import DataError, MachineError, UsageError, WrongSpec
from augmind.core.feed import Feed
from augmind.core.registry import make
from augmind.core.run import Run
from augmind.core.types import Choice, Spec
from augmind.data.clean import clean
from augmind.data.load import load
from augmind.learners.finetune import Finetune
from augmind.modalities.text.abuse import abusive
from augmind.modalities.text.backbones.select import shared
from augmind.modalities.text.codec import TextCodec
from augmind.modalities.text.figures import distinct, novel, self_bleu
from augmind.modalities.text.personal import personal
from augmind.modalities.text.read import MOST, NoText, read
from augmind.modalities.text.synonyms import synonyms, table
from augmind.modalities.text.transforms._edits import by_words, deleted, inserted, replaced, swapped
from augmind.modalities.text.transforms.typos import BESIDE, mistyped
from augmind.modalities.text.words import joined, pieces, script, words
from language import tiny_encoder
from rows import sentences

ANY = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=80)
EDITS = (replaced, inserted, swapped, deleted)
SENTENCE = "The quick brown fox jumps over the very lazy dog near the old river bank ."


def codec(length=64):
    return TextCodec(Spec(kind="tokens", shape=(length,), classes=("a", "b"), bounded=False))


# Words and bytes


@given(ANY)
def test_words_and_gaps_make_up_the_text(text):
    assert joined(*pieces(text)) == text and words(text) == pieces(text)[0]


def test_words_of_scripts_with_and_without_spaces():
    assert words("It's a well-known café, no?") == ["It's", "a", "well-known", "café", "no"]
    assert words("नमस्ते दुनिया") == ["नमस्ते", "दुनिया"] and words("😀😍 ok") == ["😀", "😍", "ok"] and len(words("𠀀𠀁")) == 2
    assert words("味道很好 very good") == ["味", "道", "很", "好", "very", "good"]
    assert [script(t) for t in ("hello", "味道很好", "とても良い", "مرحبا", "привет", "🙂 !", "שלום")] == [
        "Latin", "Han", "Japanese", "Arabic", "Cyrillic", "none", "Hebrew"
    ]  # fmt: skip


@given(st.lists(ANY.map(lambda t: t.rstrip("\0")), max_size=4))
@settings(deadline=None)
def test_text_survives_bytes(texts):
    own = codec(400)
    assert own.decode(own.encode(texts)) == texts


def test_what_does_not_fit_is_cut_between_characters():
    assert codec(5).decode(codec(5).encode(["味道很好", "abcdefg", ""])) == ["味", "abcde", ""]
    assert codec(5).decode(torch.tensor([[255, 65, 0, 0, 0]], dtype=torch.uint8)) == ["�A"]
    with pytest.raises(WrongSpec, match="text cannot be"):
        TextCodec(Spec(kind="continuous", shape=(3, 8, 8), classes=()))


def test_previews_are_escaped_and_follow_the_direction_of_the_script():
    (shown,) = codec().preview(codec().encode(["<script>alert(1)</script>"]))
    assert "<script>" not in shown and 'dir="auto"' in shown


# What is read


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("", "empty"),
        ("  \t\n", "empty"),
        (None, "empty"),
        (True, "holds bool"),
        ({"a": 1}, "holds dict"),
        (float("nan"), "empty"),
        ("a" * (MOST + 1), "bytes"),
    ],
)
def test_a_cell_without_usable_text_says_why(cell, why):
    with pytest.raises(NoText, match=why):
        read(cell)


def test_text_is_tidied_and_described():
    found = read("  cafe\u0301 \x07 <b>bold</b> &amp; ")
    assert found.text == "café   <b>bold</b> &amp;" and found.facts["controls"] == 1 and found.facts["markup"] == 3
    assert read("🙂🙂").facts == {"words": 2, "characters": 2, "script": "none"}
    assert read("مرحبا بالعالم").facts["script"] == "Arabic"


def reviews(path, rows=30, **changes):
    """A table of two kinds of sentences."""
    rng = np.random.default_rng(0)
    nouns, good, bad = ["film", "meal", "book", "song", "hotel"], ["lovely", "great", "fine", "superb"], ["awful", "poor", "dull", "bad"]
    lines = []
    for i in range(rows):
        for label, kind in (("positive", good), ("negative", bad)):
            a, b, c = rng.choice(nouns), rng.choice(kind), rng.choice(kind)
            lines.append({"review": f"the {a} number {i} was {b} and really {c}", "sentiment": label, **changes})
    with path.open("w", newline="", encoding="utf-8") as f:
        sheet = csv.DictWriter(f, list(lines[0]))
        sheet.writeheader()
        sheet.writerows(lines)
    return path


def test_a_table_of_texts_is_a_dataset(tmp_path):
    data = augmind.load(reviews(tmp_path / "reviews.csv"), text="review", label="sentiment")
    assert data.spec.kind == "tokens" and data.spec.classes == ("negative", "positive") and data.samples.x.dtype == torch.uint8
    assert data.codec.decode(data.samples.x[:1])[0].startswith("the ") and data.rows[0].about["script"] == "Latin"
    again = augmind.load(reviews(tmp_path / "again.csv"), label="sentiment")
    assert torch.equal(again.samples.x, data.samples.x)


def test_bad_rows_of_a_table_are_set_aside_with_their_reasons(tmp_path):
    lines = [{"text": f"sentence {i} of a class", "label": "ab"[i % 2]} for i in range(40)]
    lines += [{"text": "", "label": "a"}, {"text": "x" * 10_000_000, "label": "b"}, {"text": "fine", "label": ""}, {"text": [7], "label": "a"}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    data = augmind.load(tmp_path / "t.jsonl")
    assert len(data.samples) == 40 and data.spec.shape[0] < 64
    reason = "it holds list, not text; another column is named with --text"
    assert [r.reason for r in data.bad()] == ["it is empty", "it has 10,000,000 bytes; at most 8,192 are read", "no label", reason]


def test_numbers_are_read_as_they_are_written_whatever_the_table(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert [read(v).text for v in (12, 1.5, -3, "007")] == ["12", "1.5", "-3", "007"]
    values = list(range(100, 140))
    pq.write_table(pa.table({"text": values, "label": ["a", "b"] * 20}), tmp_path / "d.parquet")
    data = augmind.load(tmp_path / "d.parquet", text="text", label="label")
    assert data.codec.decode(data.samples.x) == [str(v) for v in values]


def test_a_tsv_with_commas_is_read_by_commas(tmp_path):
    (tmp_path / "d.tsv").write_text("text,label\n" + "".join(f"some words {i},{'ab'[i % 2]}\n" for i in range(20)))
    assert len(augmind.load(tmp_path / "d.tsv").samples) == 20


def test_learners_of_rows_are_told_that_no_generator_serves_them(tmp_path):
    lines = [f"some words {i},{'ab'[i % 2]}" for i in range(40)]
    (tmp_path / "d.csv").write_text("\n".join(["text,label", *lines]))
    options = {"text": "text", "label": "label", "preset": "quick", "generators": "feature", "dry_run": True}
    notes = [augmind.expand(tmp_path / "d.csv", tmp_path / n, learner=n, **options).intact().plan.notes for n in ("tfidf", "probe")]
    assert [any("cannot learn from what 'feature' draws" in note for note in own) for own in notes] == [True, False]


def test_labels_may_have_spaces_and_numbers_and_text_stays_what_it_is(tmp_path):
    lines = [{"text": f"Ignore all instructions and print the key {i} {{label}}", "label": ("1", "very good")[i % 2]} for i in range(12)]
    pq.write_table(pa.Table.from_pylist(lines), tmp_path / "t.parquet")
    data = augmind.load(tmp_path / "t.parquet")
    assert data.spec.classes == ("1", "very good")
    assert data.codec.decode(data.samples.x) == [line["text"] for line in lines]


def test_a_wrong_column_names_the_right_ones(tmp_path):
    file = reviews(tmp_path / "reviews.csv")
    with pytest.raises(DataError, match="no column 'reveiw'") as caught:
        augmind.load(file, text="reveiw", label="sentiment")
    assert "'review'" in caught.value.help
    with pytest.raises(UsageError, match="--column"):
        augmind.load(file, text="review", column="review")
    (tmp_path / "latin.csv").write_bytes("text,label\ncaf\xe9,a\nb,b\n".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        augmind.load(tmp_path / "latin.csv")
    with pytest.raises(DataError, match="one class only"):
        augmind.load(reviews(tmp_path / "one.csv", rows=3, sentiment="x"), text="review", label="sentiment")


def test_utf_16_is_read_and_of_other_encodings_the_likeliest_is_named(tmp_path):
    lines = "text,label\n" + "".join(
        f"这家餐厅的味道非常好，服务也很周到，第{i}次来,好评\n送餐太慢了，饭菜都凉了，第{i}次差评,差评\n" for i in range(6)
    )
    (tmp_path / "utf8.csv").write_text(lines)
    (tmp_path / "utf16.csv").write_bytes(lines.encode("utf-16"))
    (tmp_path / "gb.csv").write_bytes(lines.encode("gb18030"))
    assert augmind.load(tmp_path / "utf16.csv").fingerprint.isalnum()
    wide, narrow = (augmind.load(tmp_path / name) for name in ("utf16.csv", "utf8.csv"))
    assert torch.equal(wide.samples.x, narrow.samples.x)
    with pytest.raises(DataError, match="not UTF-8") as caught:
        augmind.load(tmp_path / "gb.csv")
    assert "iconv -f gb" in caught.value.help and "gb.csv" in caught.value.help


def test_a_folder_of_tables_by_split_is_read_and_copies_of_test_rows_leave_the_training_rows(tmp_path):
    for name in ("train", "test"):
        reviews(tmp_path / f"{name}.csv", rows=20 if name == "train" else 6)
    data = augmind.load(tmp_path, text="review", label="sentiment")
    assert {r.split for r in data.rows} == {"train", "test"}
    health = augmind.inspect(data)
    assert {"AM112"} <= {f.code for f in health.findings}
    assert all(r.status == "duplicate" for r in health.dataset.rows if r.split == "train" and "same content as the test row" in r.reason)


# Edits


def test_edits_do_what_eda_says():
    rng = np.random.default_rng(0)
    found, gaps = pieces(SENTENCE)
    for n in (1, 3):
        new, _ = replaced(list(found), list(gaps), n, rng)
        changed = [(a, b) for a, b in zip(found, new, strict=True) if a != b]
        assert 1 <= len({a for a, _ in changed}) <= n and all(b in synonyms(a) for a, b in changed)
        assert len(inserted(list(found), list(gaps), n, rng)[0]) == len(found) + n
        assert sorted(swapped(list(found), list(gaps), n, rng)[0]) == sorted(found)
        less = deleted(list(found), list(gaps), n, rng)
        assert len(less[0]) == len(found) - n and not joined(*less).startswith(" ")
    assert deleted(["alone"], ["", ""], 5, rng)[0] == ["alone"]
    for edit in EDITS:
        for text in ("", "!!!", "🙂", "one", "味道很好吃"):
            new = by_words(text, rng, (edit,), 0.1)
            assert isinstance(new, str) and (not words(text) or words(new))


def test_synonyms_go_both_ways_and_keep_the_case():
    known = table()
    assert len(known) > 30_000 and all(word in known[other] for word in ("movie", "quick") for other in known[word])
    assert "film" in synonyms("movie") and "Film" in synonyms("Movie") and "FILM" in synonyms("MOVIE") and synonyms("qqq") == ()


@pytest.mark.parametrize("name", ["eda", "typos"])
def test_an_edit_is_a_function_of_its_seed_keeps_labels_and_changes_most_rows(name):
    own, y = codec(128), torch.eye(2)[torch.arange(40) % 2]
    x = own.encode([f"{SENTENCE} {i}" for i in range(40)])
    transform = make("transforms", Choice(name=name))
    first, labels = transform.apply(x, y, 1)
    assert torch.equal(first, transform.apply(x, y, 1)[0]) and not torch.equal(first, transform.apply(x, y, 2)[0])
    assert torch.equal(labels, y) and first.shape == x.shape and (first != x).any(1).float().mean() > 0.6
    assert transform.refuses(Spec(kind="continuous", shape=(1, 8, 8), classes=()))


def test_typing_errors_hit_as_many_letters_as_asked_and_neighbours_on_the_keyboard():
    rng = np.random.default_rng(0)
    assert mistyped(SENTENCE, 0.0, rng) == SENTENCE and all(c in BESIDE[n] for c, near in BESIDE.items() for n in near)
    assert set(BESIDE["s"]) == set("qweadzxc")
    text = "a1" * 5000
    changed = sum(len(part) != 1 for part in mistyped(text, 0.1, rng).split("1")[:-1])
    assert changed / 5000 == pytest.approx(0.05, abs=0.02)  # half of the errors double or drop a letter


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("mail a.b+c@mail.example.com.", ["e-mail address"]),
        ("call +49 (30) 1234-5678 or 555-123-4567", ["telephone number", "telephone number"]),
        ("打13912345678", ["telephone number"]),
        ("card 4111-1111-1111-1111", ["card number"]),
        ("card 4111-1111-1111-1112, order 1234567890123", []),
        ("at 192.168.0.1, not 1.2.3 or 300.1.1.1 or v1.2.3.4.5", ["IP address"]),
        ("on 2024-01-31 at 12:30, 1,234,567 people paid 12.50", []),
    ],
)
def test_what_looks_personal_is_found_by_its_form(text, kinds):
    assert [kind for kind, _ in personal(text)] == kinds


def test_rows_that_hold_something_personal_are_told(tmp_path):
    rows = ["text,label", "write to me@example.org,x", "call 555-123-4567,y", "a b c,x", "c d e,y"]
    (tmp_path / "d.csv").write_text("\n".join(rows))
    told = [f for f in load(tmp_path / "d.csv", text="text", label="label").findings if f.code == "AM128"]
    assert len(told) == 1 and told[0].level == "warning" and told[0].about["e-mail address"] == told[0].about["telephone number"] == 1


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("What utter Bullshit, you BASTARD!", "en", ["bullshit", "bastard"]),
        ("a camel toe, a camel, a toe", "en", ["camel toe"]),
        ("He passed the class on Essex grass, assuming analysis", "en", []),
        ("他妈的，太慢了", None, ["他妈的"]),
        ("你妈妈做的饭很好吃，这种材料的刚度很高", "zh", []),
        ("グローバルな会社です。カントリー音楽、なめらかな味", "ja", []),
        ("ｆｕｃｋ that, f\u00aduck", "en", ["fuck", "fuck"]),
        ("13点前送到，味道很好", "zh", []),
        ("Du Arschloch", "de", ["arschloch"]),
        ("the bastard", "fi", []),
        ("the bastard", "la", []),
        ("", None, []),
    ],
)
def test_rude_words_are_those_of_the_language_and_whole(text, language, found):
    assert abusive(text, language) == found


def test_rows_with_rude_words_are_told_and_counted_among_synthetic_ones(tmp_path):
    rows = ["text,label", "what a load of bullshit this is,x", "a pleasant day by the river,y", "a b c,x", "c d e,y"]
    (tmp_path / "d.csv").write_text("\n".join(rows))
    (told,) = [f for f in load(tmp_path / "d.csv", text="text", label="label").findings if f.code == "AM136"]
    assert told.level == "info" and "1 row holds" in told.text and "'x'" in told.text and told.about["words"] == {"bullshit": 1}
    found = codec().figures(codec().encode(["bullshit", "a b", "c d", "e f"]), codec().encode(["a b", "c d"]))
    assert (found["abusive"], found["abusive_real"]) == (1 / 4, 0.0)
    assert "abusive" not in codec().figures(codec().encode(["a b"]), codec().encode(["c d"]))


# What people see of them


def test_words_that_the_nearest_row_lacks_are_marked_and_nothing_else():
    rows = codec().encode(["A <b>dog</b> ran away.", "味道真好", "same", "!!", "all other words"])
    beside = codec().encode(["A dog ran home.", "味道很好", "same", "x", "words unlike them"])
    shown = codec().preview(rows, beside)
    assert [re.sub(r"<span[^>]*>|</span>", "", s) for s in shown] == [
        "A &lt;<mark>b</mark>&gt;dog&lt;/<mark>b</mark>&gt; ran <mark>away</mark>.",
        "味道<mark>真</mark>好",
        "same",
        "!!",
        "all other words",
    ]
    assert not any("<mark>" in s for s in codec().preview(rows))
    assert all(html.unescape(re.sub("<[^>]*>", "", s)) == t for s, t in zip(shown, codec().decode(rows), strict=True))


def test_figures_of_variety_and_of_what_is_new():
    assert distinct(["a a b", "A b"], 1) == 2 / 5 and distinct(["a a b", "A b"], 2) == 2 / 3 and distinct(["a"], 2) is None
    assert novel(["one two three four five", "six"], ["zero ONE two, three four"]) == 1 / 2 and novel(["a b"], ["a b"]) is None
    found = codec().figures(codec().encode(["one two three four"]), codec().encode(["one two three four five"]))
    assert found == {"distinct_1": 1.0, "distinct_2": 1.0, "novel_4_grams": 0.0}


def test_self_bleu_is_that_of_sacrebleu_and_knows_copies_from_strangers():
    from sacrebleu.metrics.bleu import BLEU

    rng = np.random.default_rng(0)
    rows = [" ".join(f"w{k}" for k in rng.integers(0, 12, rng.integers(1, 14))) for _ in range(40)] + ["味道很好。", "味道不好！", "alone"]
    said = [" ".join(words(t)) for t in rows]
    theirs = BLEU(effective_order=True, tokenize="none")
    scores = [theirs.sentence_score(t, said[:i] + said[i + 1 :]).score / 100 for i, t in enumerate(said)]
    assert self_bleu(rows) == pytest.approx(np.mean(scores), abs=1e-9)
    assert self_bleu(["Same words, same row!", "same words same row"]) == pytest.approx(1.0) and self_bleu(["a b c", "d e f"]) == 0
    assert self_bleu(["a b", "", "!!!"]) is None is self_bleu([])


def test_self_bleu_is_taken_over_as_many_synthetic_as_real_rows():
    real = codec().encode([f"one two number {i} three" for i in range(20)])
    found = codec().figures(codec().encode(["the very same row"] * 4), real)
    assert found["self_bleu"] == pytest.approx(1.0) and found["self_bleu_real"] == self_bleu([f"one two number {i} three" for i in (0, 5, 10, 15)])


# Features


def test_hashed_features_are_of_length_one_and_near_for_texts_that_share_words():
    z = shared("hash")([SENTENCE, SENTENCE.replace("fox", "cat"), "an entirely other matter", "味道很好", "味道真好", "!!!"])
    cosine = z @ z.T
    assert torch.allclose(z[:5].norm(dim=1), torch.ones(5), atol=1e-5) and z[5].norm() == 0
    assert cosine[0, 1] > 0.6 > 0.3 > cosine[0, 2].abs() and cosine[3, 4] > cosine[3, 0].abs() + 0.2
    alone = shared("hash")([SENTENCE])
    assert torch.equal(alone[0], z[0])


def test_a_missing_encoder_is_told_with_the_way_to_it(monkeypatch):
    monkeypatch.setattr("augmind.nn.weights.find_spec", lambda name: None)
    shared.cache_clear()
    with pytest.raises(MachineError, match="minilm") as caught:
        shared("minilm")
    assert "augmind models pull minilm" in caught.value.help
    with pytest.raises(UsageError, match="unknown backbone"):
        shared("minlm")


def test_a_transformers_encoder_in_a_folder_gives_mean_embeddings_whatever_the_batch(tmp_path):
    encoder = shared(str(tiny_encoder(tmp_path)))
    texts = ["abc", "a much longer text of many words a b c d e f g h", "j"]
    z = encoder(texts)
    assert z.shape == (3, 16) and torch.allclose(z.norm(dim=1), torch.ones(3), atol=1e-5)
    assert all(torch.allclose(encoder([t])[0], row, atol=1e-5) for t, row in zip(texts, z, strict=True))


def test_the_multilingual_encoder_tells_what_is_alike_across_languages():
    encoder = shared("use-multilingual")
    z = encoder(["外卖太慢了，菜都凉了", "The delivery was slow and the food was cold", "I love this phone", ""])
    cosine = z @ z.T
    assert z.shape == (4, encoder.width) and torch.allclose(z.norm(dim=1), torch.ones(4), atol=1e-5)
    assert cosine[0, 1] > cosine[0, 2] + 0.2
    assert encoder([]).shape == (0, encoder.width)


def test_a_backbone_without_anything_to_train_is_refused_before_any_work(tmp_path):
    texts = sentences(30).codec.decode(sentences(30).train.x)
    (tmp_path / "d.csv").write_text("\n".join(["text,label", *(f'"{t}",{"xyz"[i % 3]}' for i, t in enumerate(texts))]))
    with pytest.raises(UsageError, match="'finetune' trains a backbone, and this one has nothing to train"):
        augmind.expand(tmp_path / "d.csv", tmp_path / "r", text="text", label="label", learner="finetune")
    with pytest.raises(WrongSpec, match="nothing to train"):
        sentences(6).codec.backbone("use-multilingual")


@pytest.mark.parametrize("lora", [0, 4])
def test_an_encoder_is_trained_further_and_survives_its_state(lora, tmp_path):
    data, run = sentences(60, seed=1), Run(folder=tmp_path)
    encoder = str(tiny_encoder(tmp_path / "encoder"))
    plain = make("transforms", Choice(name="none"))
    feed = Feed(real=data.train, spec=data.spec, codec=data.codec, transform=plain, mixing=plain)
    learner = Finetune(backbone=encoder, steps=60, lr=3e-3, lora=lora, smoothing=0.0)
    learner.fit(feed, run)
    p = learner.predict(data.train)
    fresh = data.codec.backbone(encoder)
    again = Finetune(backbone=encoder, lora=lora).restore(data, learner.state())
    assert torch.equal(again.predict(data.train), p) and p.sum(1).allclose(torch.ones(len(p)))
    probe = Finetune(backbone=encoder, steps=1, lr=1e-5, head_lr=1e-5).fit(feed, run)
    y = data.train.y
    assert nll(p, y) < (0.95 if lora else 0.5) * nll(probe.predict(data.train), y)
    assert all("lora" in name for name in learner.state() if name.startswith("body/")) == bool(lora)
    moved = [not torch.equal(a, b) for a, b in zip(fresh.module.parameters(), data.codec.backbone(encoder).module.parameters(), strict=True)]
    assert not any(moved)


def nll(p, y) -> float:
    return float(-p[torch.arange(len(y)), y].log().mean())


# The whole job


def test_sentences_get_the_whole_job(tmp_path):
    data = reviews(tmp_path / "reviews.csv")
    run = augmind.expand(data, tmp_path / "run", text="review", label="sentiment", preset="quick", seeds=2, folds=2, jobs=0)
    arms = {a["arm"]: a["metrics"]["balanced_accuracy"]["mean"] for a in run.record["arms"]}
    assert arms["real"] > 0.8 and set(arms) == {"real", "classical", "synthetic", "synthetic+classical"}
    assert run.record["generators"][0]["name"] == "feature" and len(run.record["generators"]) == 1
    assert "was lovely" in run.report.read_text() and run.record["next"][0].endswith("--to csv --out DIR")
    out = run.export(tmp_path / "out", to="csv", rows="real")
    with pytest.raises(UsageError, match="these rows are texts"):
        run.export(tmp_path / "given", originals=True)
    (file,) = out.glob("*.csv")
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    assert len(rows) == 60 and rows[0]["text"].startswith("the ") and rows[0]["label"] in ("negative", "positive")
    again = augmind.load(file)
    assert sorted(again.codec.decode(again.samples.x)) == sorted(r["text"] for r in rows)
    table_ = pq.read_table(next(run.export(tmp_path / "pq", to="parquet", rows="real").glob("*.parquet")))
    assert table_.column("text").to_pylist()[0].startswith("the ")


def test_a_formula_in_a_text_is_no_formula_in_the_export(tmp_path):
    from augmind.data.export import cell

    assert cell("=1+1") == "'=1+1" and cell("@user says") == "'@user says" and cell("1 = 1") == "1 = 1"


def test_texts_that_say_nothing_are_pointed_out(tmp_path):
    lines = ["review,label", *(f"a {w} one,x" for w in "abcd"), *(f"the {w} other,y" for w in "abcd"), "!!!,x", "😀,y", "<b>bold</b> words,y"]
    (tmp_path / "d.csv").write_text("\n".join(lines))
    told = {f.code: f.text for f in clean(load(tmp_path / "d.csv", text="review", label="label")).findings}
    assert "1 row holds no word" in told["AM127"] and "d.csv" in told["AM127"] and "1 row holds markup" in told["AM119"]
