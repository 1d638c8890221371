"""The language of a row: said where it is sure, told where rows are mixed, and asked of rows that were drawn."""

import pickle

import pytest
import torch

from augmind.core.run import Run
from augmind.core.types import Samples
from augmind.data.load import load
from augmind.modalities.text.screens.form import Form
from augmind.modalities.text.tongue import identifier, language_of
from rows import sentences

SAID = {
    "en": "The food was cold when it arrived and nobody apologised.",
    "de": "Das Essen war kalt, als es ankam, und niemand hat sich entschuldigt.",
    "fr": "Le repas était froid à son arrivée et personne ne s'est excusé.",
    "es": "La comida estaba fría cuando llegó y nadie pidió disculpas.",
    "ru": "Еда была холодной, когда её привезли, и никто не извинился.",
    "zh": "送来的时候饭菜已经凉了，而且没有人道歉，以后不会再点了。",
}


@pytest.mark.parametrize(("code", "text"), SAID.items())
def test_a_sentence_says_its_language_in_any_case(code, text):
    assert language_of(text) == language_of(text.upper()) == code


@pytest.mark.parametrize("text", ["", "ok", "pizza", "12345 67890 12345 67890", "!!! ??? ... !!! ??? ...", "qzx wvk jjq xkz qqv zzx"])
def test_of_what_is_short_or_says_nothing_none_is_said(text):
    assert language_of(text) is None


def test_the_model_is_read_without_pickle(monkeypatch):
    def refused(*args, **kwargs):
        raise AssertionError("something was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refused)
    identifier.cache_clear()
    assert language_of(SAID["de"]) == "de"


def table(path, german):
    rows = [f"The old boat number {i} drifts slowly down the quiet river." for i in range(100 - german)]
    rows += [f"Das alte Boot Nummer {i} treibt langsam den ruhigen Fluss hinab." for i in range(german)]
    path.write_text("\n".join(["text,label", *(f"{t},{'xy'[i % 2]}" for i, t in enumerate([*rows, "ok 1", "ok 2"]))]))
    return load(path, text="text", label="label")


def test_rows_of_another_language_are_told_from_three_in_a_hundred(tmp_path):
    few, some = (table(tmp_path / f"{n}.csv", n) for n in (2, 4))
    assert not [f for f in few.findings if f.code == "AM129"]
    (found,) = [f for f in some.findings if f.code == "AM129"]
    assert "en 96, de 4 (of 2 rows it cannot be told)" in found.text and "4.csv:98" in found.text
    assert found.about["rows"] == [96, 97, 98, 99] and "language" not in some.rows[100].about


def test_a_synthetic_row_in_a_language_of_no_real_row_is_rejected(tmp_path):
    data = sentences(24)
    asked = [
        "The warm boat swims cold by the old water.",
        "Das warme Boot schwimmt kalt durch das alte Wasser.",
        "xqz boat jjv fish wkq bread zzx oven",
    ]

    def passes(real):
        fitted = Form().fit(type(data)(train=real, val=data.val, spec=data.spec, codec=data.codec), Run(folder=tmp_path))
        return (fitted.score(Samples.synthetic("g", data.codec.encode(asked), torch.zeros(3).long(), torch.arange(3))) >= fitted.cut).tolist()

    assert passes(data.train) == [True, False, True]
    unsure = Samples.real(data.codec.encode(["boat 1 2 3 4 5 6 7", "fish 8 9 10 11 12 13"]), torch.tensor([0, 1]))
    assert passes(unsure) == [True, True, True]
