"""Word vectors that were learnt elsewhere: what is read of files and models, what is refused, and what a network over words has of them."""

import gzip
from dataclasses import replace

import pytest
import torch
from sklearn.decomposition import PCA

import augmind
from augmind.core.errors import MachineError, UsageError
from augmind.core.run import Run
from augmind.core.seeds import stream
from augmind.core.tensors import load_tensors, save_tensors
from augmind.core.types import Knowledge
from augmind.modalities.text import vectors
from augmind.modalities.text.learners.textcnn import Textcnn
from augmind.modalities.text.vectors import SPREAD, Vectors, narrowed, of_file, of_model, place
from language import tiny_encoder
from rows import sentences
from test_named import fed

GLOVE = "Cat 9 9 9\ncat 1 2 3\nDog 4 5.5 -6e-1\nwell 0 1 0\nknown 0 0 1\n. . . 7 8 9\n"


def read(path, *words: str) -> list[list[float]]:
    return Vectors(*of_file(path))(list(words)).tolist()


@pytest.mark.parametrize("name", ["v.txt", "v.vec", "v.txt.gz"])
@pytest.mark.parametrize("head", ["", "6 3\n"])
def test_a_word_has_the_numbers_of_its_line(tmp_path, name, head):
    text = (head + GLOVE.replace("\n", " \n")).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    cat, dog, dots, none, both = read(tmp_path / name, "cat", "dog", ". . .", "bird", "well-known")
    assert cat == [1, 2, 3] and dog == pytest.approx([4, 5.5, -0.6]) and dots == [7, 8, 9] and none == [0, 0, 0] and both == [0, 0.5, 0.5]


def test_only_the_frequent_words_of_a_long_file_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "MOST_WORDS", 2)
    (tmp_path / "v.vec").write_text(GLOVE)
    assert read(tmp_path / "v.vec", "cat", "dog") == [[1, 2, 3], [0, 0, 0]]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"), (b"5 300\n", "it is empty"), (b"cat 1 2\ndog 1\n", "line 2 holds 1 numbers, not 2"),
        (b"cat 1 2\ndog 1 x\n", "line 2: could not"), (b"cat 1\n", "line 1 holds 1 numbers, not 2 to 2000"), (b"cat 1 nan\n", "not finite"),
        (b"cat 1 1e99\n", "not finite"), (b"\xff 1 2\n", "utf-8"), (b"cat " + b"1 " * 40_000, "longer than 65,536 bytes"),
        (b"a b\ncat 1 2\n", "line 1 holds 1 numbers"),
    ],
)  # fmt: skip
def test_a_file_that_holds_no_word_vectors_is_refused_in_one_sentence(tmp_path, content, says):
    (tmp_path / "v.txt").write_bytes(content)
    with pytest.raises(UsageError, match=says) as caught:
        of_file(tmp_path / "v.txt")
    assert "\n" not in str(caught.value)
    (tmp_path / "v.txt.gz").write_bytes(gzip.compress(GLOVE.encode())[:-9])
    with pytest.raises(UsageError, match="is no file of word vectors"):
        of_file(tmp_path / "v.txt.gz")


def test_names_that_lead_to_no_vectors_name_the_way_out(tmp_path):
    (tmp_path / "v.bin").write_bytes(b"x")
    for name, says in (
        ("no.vec", "there is no file"),
        (str(tmp_path / "v.bin"), "is no file of word vectors"),
        ("glove", "unknown source of word vec"),
    ):
        with pytest.raises(UsageError, match=says):
            place(name)
    with pytest.raises(MachineError, match="source of word vectors 'o/m' are not on this machine"):
        Textcnn(vectors="o/m").ready()


def test_vectors_are_brought_to_a_width_by_their_principal_components():
    table = torch.randn((50, 6), generator=stream("table")) @ torch.diag(torch.tensor([5.0, 3, 2, 1, 0.5, 0.1])) + 4
    ours, theirs = narrowed(table, 3), torch.from_numpy(PCA(3).fit_transform(table.numpy()))
    assert torch.allclose(ours / ours.norm(), theirs / theirs.norm() * (ours * theirs).sum(0).sign(), atol=1e-5)
    wide = narrowed(table, 8)
    assert wide.shape == (50, 8) and not wide[:, 6:].any() and wide.square().mean().sqrt().item() == pytest.approx(SPREAD)
    centred = table - table.mean(0)
    assert torch.allclose(torch.pdist(wide) * centred.norm() / wide.norm(), torch.pdist(centred), rtol=1e-3)


def test_a_word_is_the_mean_of_the_input_embeddings_of_its_subwords(tmp_path):
    folder = tiny_encoder(tmp_path / "tiny")
    table, pieces = of_model(str(folder))
    stored = load_tensors(folder / "model.safetensors")
    assert torch.equal(table, next(v for k, v in stored.items() if k.endswith("word_embeddings.weight")))
    rows = [5 + ord("c") - ord("a"), *(5 + 26 + ord(c) - ord("a") for c in "ab")]
    assert torch.allclose(Vectors(table, pieces)(["cab", "味"]), torch.stack([table[rows].mean(0), torch.zeros(16)]))


TWINS = {
    "river": "stream",
    "boat": "vessel",
    "water": "sea",
    "fish": "trout",
    "swims": "floats",
    "engine": "motor",
    "wheel": "tyre",
    "road": "street",
}
TWINS |= {"brake": "pedal", "drives": "steers", "flour": "dough", "oven": "stove", "sugar": "honey", "bread": "loaf", "bakes": "cooks"}


def told(folder, seed: int = 0):
    """A file in which words that mean the same have about the same vector."""
    lines = []
    for i, pair in enumerate(TWINS.items()):
        meaning = torch.randn(8, generator=stream("meaning", i, seed))
        lines += [f"{w} " + " ".join(f"{v:.4f}" for v in meaning + 0.1 * torch.randn(8, generator=stream(w))) for w in pair]
    (folder / "twins.vec").write_text("\n".join(lines))
    return str(folder / "twins.vec")


def test_with_vectors_a_network_knows_words_that_no_row_had(tmp_path):
    data = sentences(60)
    texts = [" ".join(TWINS.get(w, w) for w in t.replace(",", " ,").split()) for t in data.codec.decode(data.val.x)]
    others = replace(data.val, x=data.codec.encode(texts))
    right = []
    for name in ("", told(tmp_path)):
        made = Textcnn(steps=120, width=32, batch=16, vectors=name).fit(fed(data), Run(folder=tmp_path))
        right.append(float((made.predict(others).argmax(1) == others.y).float().mean()))
    assert right[1] > 0.9 > 0.7 > right[0], right
    save_tensors(tmp_path / "state.safetensors", made.state())
    again = Textcnn(**made.settings()).restore(data, load_tensors(tmp_path / "state.safetensors"))
    assert torch.allclose(again.predict(others), made.predict(others), atol=1e-6)
    planned = Textcnn(**{**made.settings(), "content": made.source()})
    told(tmp_path, seed=1)
    vectors.word_vectors.cache_clear()
    with pytest.raises(UsageError, match="is not what it was when this run was planned"):
        planned.restore(data, load_tensors(tmp_path / "state.safetensors")).predict(others)
    assert made.knows == {Knowledge.pretrained} and Textcnn().knows == {Knowledge.rows} and Textcnn().source() == ""


def test_a_run_says_where_word_vectors_come_from_and_learns_anew_when_they_change(tmp_path):
    data = sentences(60)
    rows = [f'"{t}",{data.spec.classes[k]}' for t, k in zip(data.codec.decode(data.train.x), data.train.y.tolist(), strict=True)]
    (tmp_path / "d.csv").write_text("\n".join(["text,label", *rows]))
    options = {"text": "text", "label": "label", "preset": "quick", "seeds": 1, "jobs": 0, "test": 0.3, "generators": "feature"}
    options |= {"learner": "tfidf,textcnn", "steps": {"textcnn": 10}, "set": {"textcnn.vectors": told(tmp_path)}}
    run = augmind.expand(tmp_path / "d.csv", tmp_path / "r", **options)
    knows = {a["learner"]: a["knowledge"] for a in run.record["arms"] if a["arm"] == "real"}
    assert knows["tfidf"] == ["rows"] and knows["textcnn"] == ["pretrained", "rows"]
    first = run.intact().plan.sources["textcnn"]
    told(tmp_path, seed=1)
    other = augmind.expand(tmp_path / "d.csv", tmp_path / "s", **options, dry_run=True)
    assert other.intact().plan.sources["textcnn"] != first
    with pytest.raises(UsageError, match="there is no file"):
        augmind.expand(tmp_path / "d.csv", tmp_path / "t", **options | {"set": {"textcnn.vectors": "no.vec"}})
    (tmp_path / "no.vec").write_text("no vectors\n")
    with pytest.raises(UsageError, match="holds 1 numbers"):
        augmind.expand(tmp_path / "d.csv", tmp_path / "t", **options | {"set": {"textcnn.vectors": str(tmp_path / "no.vec")}}, dry_run=True)
    assert not (tmp_path / "t" / "stages").exists() or not any((tmp_path / "t" / "stages").glob("features*"))
