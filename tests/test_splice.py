"""Splicing: texts are cut where they say something whole, and put together within a class alone."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import one_hot

from augmind.core.feed import Feed
from augmind.core.registry import make, names
from augmind.core.run import Run
from augmind.core.types import Choice
from augmind.modalities.text.learners.textcnn import Textcnn
from augmind.modalities.text.learners.tfidf import Tfidf, with_copies
from augmind.modalities.text.mixing.splice import middle
from rows import sentences

NONE = make("transforms", Choice(name="none"))


def splice(**settings):
    return make("mixing", Choice(name="splice", settings=settings))


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ("It rained. We stayed at home all day, alas. Then we left.", "It rained. We stayed at home all day, alas. "),
        ("one , two , three four five six", "one , two , "),
        ("a fine story and a poor ending", "a fine story "),
        ("味道很好，送餐太慢。下次再来！", "味道很好，送餐太慢。"),
        ("味道很好，送餐太慢", "味道很好，"),
        ("no mark in here", "no mark "),
        ("alone.", "alone."),
        ("", ""),
    ],
)
def test_a_text_is_cut_at_a_sentence_else_a_clause_else_a_word(text, head):
    assert text[: middle(text)] == head


def test_every_row_is_a_beginning_and_an_end_of_its_own_class():
    data = sentences(30)
    x, y = data.train.x, one_hot(data.train.y, 3).float()
    texts, mixed = data.codec.decode(x), splice(probability=1.0).apply(x, y, 3)
    heads, tails = ([(t[: middle(t)], t[middle(t) :])[side] for t in texts] for side in (0, 1))
    assert torch.equal(mixed[1], y)
    used = []
    for i, text in enumerate(data.codec.decode(mixed[0])):
        ends = [j for j in range(30) if j != i and data.train.y[j] == data.train.y[i] and (heads[i] + tails[j]).encode()[:64] == text.encode()]
        assert text.startswith(heads[i]) and ends
        used += ends[:1]
    assert len(set(used)) > 20
    half = (splice(probability=0.5).apply(x.repeat(8, 1), y.repeat(8, 1), 1)[0] != x.repeat(8, 1)).any(1).float().mean()
    assert half == pytest.approx(0.5, abs=0.12)


def test_rows_alone_in_their_class_stay():
    data = sentences(3)
    assert torch.equal(splice(probability=1.0).apply(data.train.x, torch.eye(3), 0)[0], data.train.x)


def test_it_is_a_classical_arm_of_texts_that_learners_of_words_take(tmp_path):
    data = sentences(30)
    assert "splice" in names("mixing") and splice().refuses(data.features().spec)
    assert "splice" in {c.mixing.name for c in data.codec.classical}
    plain = Feed(real=data.train, spec=data.spec, codec=data.codec, transform=NONE, mixing=make("mixing", Choice(name="none")))
    feed = replace(plain, mixing=splice(probability=1.0))
    assert with_copies(plain, 2, 0) is plain
    copies = with_copies(feed, 2, 0).views
    assert (
        copies is not None and torch.equal(copies.y, data.train.y.repeat(2)) and (copies.x != data.train.x.repeat(2, 1)).any(1).float().mean() > 0.9
    )
    for learner in (Tfidf(penalty=0.01), Textcnn(steps=60, width=32, batch=16)):
        p = learner.fit(feed, Run(folder=tmp_path)).predict(data.val)
        assert (p.argmax(1) == data.val.y).float().mean() > 0.8
