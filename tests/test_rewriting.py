"""Transforms that have a model rewrite texts: what changes, what stays, and how they come into a run."""

from pathlib import Path

import pytest
import torch

import augmind
from augmind.core.errors import MachineError, UsageError
from augmind.core.registry import make
from augmind.core.store import read_json
from augmind.core.types import Choice
from augmind.modalities.text.rows import rows_of, texts_of
from augmind.modalities.text.transforms import _rewriting
from augmind.modalities.text.transforms.masked import places
from augmind.modalities.text.words import pieces, words
from augmind.nn.weights import content
from language import tiny_language, tiny_rewriters
from rows import sentences

TEXT = "The Quick brown fox, they say: jumps over (very) lazy dogs!"


def rewriter(name: str, **settings):
    return make("transforms", Choice(name=name, settings=tiny_rewriters()[name] | settings))


def test_masked_words_become_others_and_nothing_else_changes():
    plugin, seen = rewriter("masked", part=0.3), set()
    for seed in range(6):
        new = plugin.rewrite(TEXT, seed)
        old_words, new_words = words(TEXT), words(new)
        changed = [i for i, (a, b) in enumerate(zip(old_words, new_words, strict=True)) if a != b]
        assert len(changed) == 3 and pieces(new)[1] == pieces(TEXT)[1] and new == plugin.rewrite(TEXT, seed)
        assert all(new_words[i].lower() != old_words[i].lower() and new_words[i][:1].isupper() == old_words[i][:1].isupper() for i in changed)
        seen.add(tuple(changed))
    assert len(seen) > 1


def test_words_next_to_each_other_can_be_masked_together():
    new = rewriter("masked", part=0.5).rewrite("one two", 1), rewriter("masked", part=0.5).rewrite("one two three four", 3)
    assert len(words(new[0])) == 2 and len(words(new[1])) == 4
    spans = places("Ab, cd", [None, 0, 0, 1, 2, None], [(0, 0), (0, 1), (1, 2), (2, 3), (3, 6), (0, 0)])
    assert [(s, e) for s, e, _ in spans] == [(0, 2), (4, 6)]


def test_texts_without_words_stay_and_rows_keep_their_size():
    for name in ("masked", "backtranslation"):
        x = rows_of(["", "!!! 123", "a" * 32], 32)
        out, _ = rewriter(name).apply(x, torch.zeros(3, 2), 4)
        assert out.shape == x.shape and texts_of(out)[0] == "" and (name == "backtranslation" or texts_of(out)[1] == "!!! 123")


def test_a_text_has_a_few_rewritings_and_each_is_made_once(monkeypatch):
    plugin, made = rewriter("backtranslation", variants=3), []
    monkeypatch.setattr(_rewriting, "_made", {})
    monkeypatch.setattr(type(plugin), "rewrite", lambda self, text, seed: made.append(seed) or f"{text} {seed % 1000}")
    x = rows_of(["a b", "c d"], 16)
    found = {tuple(texts_of(plugin.apply(x, torch.zeros(2, 2), seed)[0])) for seed in range(40)}
    assert len(made) == 6 and len(set(made)) == 6 and len({a for a, _ in found}) == len({b for _, b in found}) == 3


def table(folder, rows=72):
    data = sentences(rows)
    told = [f'"{t}",{data.spec.classes[k]}' for t, k in zip(data.codec.decode(data.train.x), data.train.y.tolist(), strict=True)]
    (folder / "d.csv").write_text("\n".join(["text,label", *told]))
    return folder / "d.csv"


@pytest.mark.slow
def test_a_named_model_adds_an_arm_to_a_run(tmp_path):
    made = {name: tiny_rewriters()[name] for name in ("masked", "backtranslation")}
    asked = {f"{name}.{key}": value for name, given in made.items() for key, value in given.items()}
    options = {
        "text": "text",
        "label": "label",
        "preset": "quick",
        "seeds": 1,
        "jobs": 1,
        "test": 0.3,
        "learner": "tfidf,probe",
        "generators": "feature",
    }
    run = augmind.expand(table(tmp_path, 48), tmp_path / "r", set=asked | {"masked.variants": 1, "backtranslation.variants": 1}, **options)
    assert len(run.record["choices"]) == 2
    for choice in run.record["choices"]:
        assert {"masked", "backtranslation"} <= set(choice["scores"])
    assert set(read_json(tmp_path / "r" / "plan.json", "")["sources"]) == {"masked", "backtranslation"}
    note = Path(made["masked"]["model"]) / "note.txt"
    note.write_text("another model")
    content.cache_clear()  # a process reads a model once; that of the next command is another one
    (tmp_path / "r" / "report.json").unlink()
    with pytest.raises(UsageError, match="what 'masked' reads is not what it was when this run was planned"):
        augmind.resume(tmp_path / "r")
    note.unlink()
    content.cache_clear()
    assert augmind.resume(tmp_path / "r").verdict == run.verdict


def test_models_that_are_missing_or_of_another_kind_are_refused_before_any_work(tmp_path):
    options = {"text": "text", "label": "label", "preset": "quick"}
    data = table(tmp_path, 24)
    for given, kind, told in (
        ({"masked.model": "someone/absent-model"}, MachineError, "not on this machine"),
        ({"masked.part": 0.2}, UsageError, "'masked' needs a model"),
        ({"backtranslation.model": tiny_rewriters()["backtranslation"]["model"]}, UsageError, "'backtranslation' needs a model"),
        ({"eda.part": 0.2}, UsageError, "used as they are"),
        ({"masked.content": "x"}, UsageError, "unknown setting of masked"),
    ):
        with pytest.raises(kind, match=told):
            augmind.expand(data, tmp_path / "r", set=given, **options)
    assert not (tmp_path / "r").exists()
    with pytest.raises(UsageError, match="cannot be opened as a masked language model"):
        make("transforms", Choice(name="masked", settings={"model": str(tiny_language(tmp_path / "causal"))})).rewrite(TEXT, 0)


def test_a_run_and_what_is_drawn_from_it_go_on_only_with_the_backbone_that_it_was_planned_with(tmp_path):
    from language import tiny_encoder

    encoder = tiny_encoder(tmp_path / "encoder")
    options = {"text": "text", "label": "label", "preset": "quick", "seeds": 1, "jobs": 1, "test": 0.3, "learner": "probe", "generators": "feature"}
    run = augmind.expand(table(tmp_path, 36), tmp_path / "r", backbone=str(encoder), **options)
    assert set(read_json(tmp_path / "r" / "plan.json", "")["sources"]) == {"backbone"}
    (encoder / "note.txt").write_text("another model")
    content.cache_clear()
    (tmp_path / "r" / "report.json").unlink()
    with pytest.raises(UsageError, match="what 'backbone' reads is not what it was"):
        augmind.resume(tmp_path / "r")
    (encoder / "note.txt").unlink()
    content.cache_clear()
    assert augmind.resume(tmp_path / "r").verdict == run.verdict
    with pytest.raises(UsageError, match="unknown backbone of text 'distilbert'"):
        augmind.expand(table(tmp_path, 48), tmp_path / "s", backbone="distilbert", dry_run=True, **options)
