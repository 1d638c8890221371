"""Chinese words: cut where the dictionary says, nothing of a text lost, and nothing read or left in folders of others."""

import marshal
import tempfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import augmind
from augmind.core.errors import MachineError, UsageError
from augmind.core.registry import make
from augmind.core.types import Choice, Spec
from augmind.modalities.text.codec import TextCodec
from augmind.modalities.text.nearby import nearby
from augmind.modalities.text.segments import cutter, segments
from augmind.modalities.text.words import joined, pieces

REVIEW = "这家店的味道很好，下次还会再来。"


def test_words_are_those_of_the_dictionary_and_other_scripts_are_left_alone():
    assert segments(REVIEW)[0] == ["这家", "店", "的", "味道", "很", "好", "下次", "还会", "再", "来"]
    assert segments("外卖 app 真的 very good 哦！")[0] == ["外卖", "app", "真的", "very", "good", "哦"]
    for text in ("It's a well-known café.", "とても良い店です。", "", "!!!"):
        assert segments(text) == pieces(text)


@given(st.text("味道很好外卖送餐太慢了，。 \n\r\tab1-'.🙂é", max_size=40))
@settings(deadline=None)
def test_nothing_of_a_text_is_lost(text):
    found, gaps = segments(text)
    assert joined(found, gaps) == text and "".join(found) == "".join(pieces(text)[0])


def test_nothing_is_loaded_from_the_folder_for_passing_files_or_left_there_or_printed(tmp_path, monkeypatch, capfd):
    (tmp_path / "jieba.cache").write_bytes(marshal.dumps(({"味道很好": 10**9}, 10**9)))
    before = (tmp_path / "jieba.cache").read_bytes()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cutter.cache_clear()
    assert "味道" in segments(REVIEW)[0]
    assert [f.name for f in tmp_path.iterdir()] == ["jieba.cache"] and (tmp_path / "jieba.cache").read_bytes() == before
    assert capfd.readouterr() == ("", "")


def test_whole_words_are_swapped_and_left_out():
    own = TextCodec(Spec(kind="tokens", shape=(64,), classes=(), bounded=False))
    x, y = own.encode([REVIEW] * 60), torch.eye(2)[torch.arange(60) % 2]
    transform = make("transforms", Choice(name="segmented", settings={"by": "jieba", "part": 0.1}))
    first, labels = transform.apply(x, y, 1)
    assert torch.equal(first, transform.apply(x, y, 1)[0]) and torch.equal(labels, y)
    for text in own.decode(first):
        assert all((word in text) == any(c in text for c in word) for word in ("这家", "味道", "下次", "还会"))
    moved = sum(sorted(t) == sorted(REVIEW) for t in own.decode(first))
    assert 10 < moved < 50 and (first != x).any(1).all()


def test_words_become_near_ones_of_a_file_of_vectors(tmp_path):
    file = tmp_path / "words.vec"
    file.write_text("5 2\n味道 1 0.1\n口味 1 0.2\n口感 1 0\n很好 0 1\n遥远 -1 0\n", encoding="utf-8")
    near = nearby(str(file))
    assert set(near("味道")) == {"口味", "口感"} and near("很好") == near("没有") == ()
    own = TextCodec(Spec(kind="tokens", shape=(64,), classes=(), bounded=False))
    x, y = own.encode([REVIEW] * 90), torch.eye(2)[torch.arange(90) % 2]
    plain, more = ({"by": "jieba", "part": 0.1} | told for told in ({}, {"vectors": str(file)}))
    texts = own.decode(make("transforms", Choice(name="segmented", settings=more)).apply(x, y, 1)[0])
    new = [t for t in texts if "口味" in t or "口感" in t]
    assert 15 < len(new) < 50 and set(new) == {REVIEW.replace("味道", w) for w in ("口味", "口感")}
    assert not any("口" in t for t in own.decode(make("transforms", Choice(name="segmented", settings=plain)).apply(x, y, 1)[0]))
    sources = {make("transforms", Choice(name="segmented", settings=s)).source() for s in (plain, more)}
    file.write_text("味道 1 0.1\n口感 1 0\n", encoding="utf-8")
    assert len(sources | {make("transforms", Choice(name="segmented", settings=more)).source()}) == 3
    with pytest.raises(UsageError, match="no file"):
        make("transforms", Choice(name="segmented", settings=more | {"vectors": str(tmp_path / "none.vec")})).ready()
    for text in ("味道 nan 0.1\n口感 1 0\n", "味道 1 0.1\n口感 1\n", ""):
        (tmp_path / "bad.vec").write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match="is no file of word vectors"):
            make("transforms", Choice(name="segmented", settings=more | {"vectors": str(tmp_path / "bad.vec")})).ready()
    (tmp_path / "named.vec").write_text("Paris 1 0\nLyon 0.9 0.1\n", encoding="utf-8")
    assert nearby(str(tmp_path / "named.vec"))("paris") == ("Lyon",)


def test_a_run_that_asks_for_it_where_it_cannot_be_had_ends_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "d.csv").write_text("\n".join(["text,label", *(f"{REVIEW}{i},{'xy'[i % 2]}" for i in range(12))]))
    options = {"text": "text", "label": "label", "preset": "quick", "dry_run": True}
    with pytest.raises(UsageError, match="'pkuseg' tells no words"):
        augmind.expand(tmp_path / "d.csv", tmp_path / "a", **options, set={"segmented.by": "pkuseg"})
    monkeypatch.setattr("augmind.modalities.text.segments.find_spec", lambda name: None)
    with pytest.raises(MachineError, match="need the package jieba") as caught:
        augmind.expand(tmp_path / "d.csv", tmp_path / "b", **options, set={"segmented.by": "jieba"})
    assert 'pip install "augmind[text]"' in caught.value.help
