"""Texts without labels: which are taken, what they get, and that they are handed over with where each stands."""

import json

import numpy as np
import pandas as pd
import pytest

import augmind
from augmind.core.errors import DataError, UsageError
from augmind.data.load import load
from augmind.data.loose import loose_texts

WORDS = {"good": ("lovely", "bright", "warm", "gentle", "moving"), "bad": ("dull", "cold", "loud", "hollow", "tired")}
FILL = ["the", "film", "story", "scene", "actor", "ending", "music", "camera", "dialogue", "pace", "city", "winter", "letter", "garden", "evening"]


def sentences(n: int, seed: int) -> list[tuple[str, str]]:
    """Reviews that no other seed has: words of the class among others."""
    rng, out = np.random.default_rng(seed), []
    for i in range(n):
        label = ("good", "bad")[i % 2]
        some = [*rng.choice(WORDS[label], 2, replace=False), *rng.choice(FILL, 7, replace=False)]
        out.append((" ".join(rng.permutation(some)) + f" {seed}x{i}", label))
    return out


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    """Eight labelled reviews a class and 60 that are tested, and a file of 80 others."""
    root = tmp_path_factory.mktemp("reviews")
    rows = [(*row, "train") for row in sentences(16, 1)] + [(*row, "test") for row in sentences(60, 2)]
    pd.DataFrame(rows, columns=["text", "label", "split"]).to_csv(root / "reviews.csv", index=False)
    (root / "more.txt").write_text("\n".join(text for text, _ in sentences(80, 3)))
    return root


def test_texts_that_the_dataset_has_that_are_too_long_or_come_twice_are_left_out(reviews, tmp_path):
    data = load(reviews / "reviews.csv", text="text", label="label", split="split")
    tested = next(row for row in data.rows if row.split == "test")
    known = data.codec.decode(data.samples.x[data.samples.key == tested.id])[0]
    other = "a letter of quite other words about rivers and stones"
    lines = [other, "", known, known.upper(), other, "so " * 200 + "long", "\x07"]
    (tmp_path / "more.txt").write_text("\n".join(lines))
    found = loose_texts(tmp_path / "more.txt", data, None)
    assert found.texts == (other,) and found.sources == ("more.txt:1",)
    assert found.left_out.told == {"unreadable": 1, "copies": 1, "near": 2, "long": 1}
    assert "1 longer than any labelled row" in found.left_out.left_out
    pd.DataFrame({"id": [1, 2], "note": [other, known], "review": ["other words altogether here", other]}).to_csv(tmp_path / "t.csv", index=False)
    assert loose_texts(tmp_path / "t.csv", data, "note").texts == (other,)
    assert loose_texts(tmp_path / "t.csv", data, "text").sources == ("t.csv:2", "t.csv:3")
    pd.DataFrame({"x": [other]}).to_csv(tmp_path / "one.csv", index=False)
    assert loose_texts(tmp_path / "one.csv", data, "text").texts == (other,)


def test_what_is_no_file_of_texts_is_told(reviews, tmp_path):
    given = {"text": "text", "label": "label", "split": "split", "preset": "quick", "jobs": 0, "until": "plan"}
    with pytest.raises(DataError, match="is no file of texts"):
        augmind.expand(reviews / "reviews.csv", tmp_path / "a", unlabelled=str(reviews), **given)
    (tmp_path / "same.txt").write_text(sentences(16, 1)[0][0])
    with pytest.raises(DataError, match="every text of --unlabelled"):
        augmind.expand(reviews / "reviews.csv", tmp_path / "b", unlabelled=str(tmp_path / "same.txt"), **given)
    table = pd.DataFrame([(a, b, "yn"[i % 2]) for i, ((a, _), (b, _)) in enumerate(zip(sentences(16, 1), sentences(16, 4), strict=True))])
    table.to_csv(tmp_path / "pairs.csv", index=False, header=["one", "two", "label"])
    with pytest.raises(UsageError, match="these rows are pairs of texts"):
        augmind.expand(
            tmp_path / "pairs.csv", tmp_path / "c", unlabelled=str(reviews / "more.txt"), **given | {"text": ("one", "two"), "split": None}
        )


def test_texts_are_labelled_tested_and_handed_over_with_their_lines(reviews, tmp_path):
    given = {"text": "text", "label": "label", "split": "split", "preset": "quick", "jobs": 0, "seeds": 2, "learner": ("probe",), "explain": False}
    run = augmind.expand(reviews / "reviews.csv", tmp_path / "r", unlabelled=str(reviews / "more.txt"), **given)
    (made,) = [g for g in run.record["generators"] if g["name"] == "pseudo"]
    assert made["kept"] > 10 and made["knowledge"] == "unlabelled" and "pseudo-labelled" in run.record["verdict"]["sentence"]
    rows = [json.loads(line) for line in (run.export(tmp_path / "out", to="jsonl") / "train.jsonl").read_text().splitlines()]
    own, lines, truth = [row for row in rows if row["generator"] == "pseudo"], (reviews / "more.txt").read_text().splitlines(), dict(sentences(80, 3))
    assert len(own) == made["kept"] and all(lines[int(row["source"].rpartition(":")[2]) - 1] == row["text"] for row in own)
    assert not any(row["synthetic"] for row in own) and np.mean([truth[row["text"]] == row["label"] for row in own]) > 0.7
