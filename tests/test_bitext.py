"""What `inspect` says of translations: planted trouble is found, and nothing else."""

import json

import pytest
from PIL import Image

import augmind
import parallel as planted
from augmind.cli import main
from augmind.core.errors import UsageError


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """300 pairs, of which two are swapped, one is far too long and one text stands in the test split too."""
    pairs = planted.sentences(300, longest=4)
    (a, b), (c, d) = pairs[10], pairs[20]
    pairs[10], pairs[20] = (a, d), (c, b)
    pairs[30] = (pairs[30][0], " ".join([pairs[30][1]] * 12))
    splits = ["train"] * 270 + ["test"] * 30
    pairs[299] = (pairs[40][0], "ANDERS GESAGT JETZT")
    return planted.table(tmp_path_factory.mktemp("bitext") / "d.csv", pairs, splits)


def test_pairs_that_do_not_go_together_are_found(table):
    health = augmind.inspect(table, text="en", target="de", split="split")
    by = {why: {o.id for o in health.odd if o.why == why} for why in ("lengths", "words")}
    assert by["lengths"] == {30} and {10, 20, 299} <= by["words"] and len(by["words"] - {10, 20, 30, 299}) <= 3
    told = {f.code: f for f in health.findings}
    assert set(told["AM154"].about["rows"]) == {o.id for o in health.odd} and told["AM152"].about["rows"] == [40]
    assert health.splits == {"train": 270, "test": 30} and health.shared == 2 and health.lengths["en"] == (3, 3, 4)
    few = augmind.inspect(planted.table(table.with_name("few.csv"), planted.sentences(40)), text="en", target="de")
    assert few.odd == () and [f.code for f in few.findings] == ["AM150"]


def test_rows_that_are_set_aside_are_counted_and_the_others_looked_at(tmp_path):
    pairs = planted.sentences(30)
    bad = [("", "LEER")] * 3
    health = augmind.inspect(planted.table(tmp_path / "d.csv", [*bad, *pairs, pairs[0], (pairs[1][0], "ANDERS")]), text="en", target="de")
    assert health.set_aside == {"corrupt": 3, "copy": 0, "duplicate": 1} and health.shared == 2 and health.to_json()["rows"] == 31


def test_a_side_in_another_language_is_told(tmp_path):
    said = "the old man walks slowly through the empty streets of the town with number"
    sagt = "der alte Mann geht langsam durch die leeren Straßen der Stadt mit der Nummer"
    pairs = [(f"{said} {n}", f"{sagt} {n}") for n in range(40)]
    pairs[7] = (sagt + " 7", pairs[7][1] + " noch einmal gesagt")
    health = augmind.inspect(planted.table(tmp_path / "d.csv", pairs), text="en", target="de")
    assert [(o.id, o.why) for o in health.odd] == [(7, "language (de)")]
    assert health.languages["de"] == {"de": 40} and health.languages["en"] == {"en": 39, "de": 1}


def test_the_command_shows_it_as_a_table_a_picture_and_json(table, tmp_path, capsys):
    words = ["inspect", str(table), "--text", "en", "--target", "de", "--out", str(tmp_path)]
    main(words)
    out = capsys.readouterr().out
    assert "Pairs to look at" in out and "300 of 300" in out and "AM154" in out
    with Image.open(tmp_path / "d-health.png") as picture:
        assert picture.size[0] > 800
    main([*words, "--json"])
    record = json.loads(capsys.readouterr().out)
    assert record["rows"] == 300 and {o["id"] for o in record["odd"]} >= {10, 20, 30}


def test_options_about_classes_are_refused(table):
    with pytest.raises(UsageError, match="--label is about classes"):
        augmind.inspect(table, text="en", target="de", label="split")
    with pytest.raises(UsageError, match="none is named for the texts"):
        augmind.inspect(table, target="de")
    with pytest.raises(UsageError, match="unknown option of inspect 'seeds'"):
        augmind.inspect(table, text="en", target="de", seeds=3)
    with pytest.raises(UsageError, match="--text names one column beside --target"):
        augmind.inspect(table, text="en,de", target="de")
