"""What further columns of a table say of its rows: kept with them, and a way to say what shall be drawn."""

import json

import numpy as np
import pytest
from PIL import Image

import augmind
from augmind.cli.take import wishes
from augmind.core.errors import UsageError
from augmind.data.load import load
from augmind.job import Job
from runs import TINY, digit_rows


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Twenty-four rows of each of two digits; every other one is drawn dark on light, which the column `ink` says."""
    root = tmp_path_factory.mktemp("inks")
    (x, y), lines = digit_rows(24, 2), ["file,label,split,ink,weight,note,lot"]
    for i, row in enumerate(x):
        dark = i % 2 == 0
        Image.fromarray(255 - row if dark else row).save(root / f"{i:02d}.png")
        ink = "" if i == 7 else "dark" if dark else "light"
        lines.append(f"{i:02d}.png,digit {y[i]},{'test' if i % 4 > 1 else 'train'},{ink},{i * 1.5},a note of {i},one")
    (root / "rows.csv").write_text("\n".join(lines) + "\n")
    return root / "rows.csv"


@pytest.fixture(scope="module")
def run(table, tmp_path_factory):
    asked = TINY | {"learner": ("probe",), "generators": ("vae",), "seeds": 1, "folds": None, "ratio": 1.0}
    return augmind.expand(table, tmp_path_factory.mktemp("run") / "r", **asked)


def test_columns_of_a_few_values_are_kept_with_the_rows(table, run):
    rows = load(table).rows
    assert [r.traits for r in rows[:2]] == [{"ink": "dark"}, {"ink": "light"}] and rows[7].traits == {}
    assert [r.traits for r in Job(run.folder).rows] == [r.traits for r in rows]


def test_of_many_columns_those_that_say_something_are_kept(tmp_path):
    names = [f"n{i}" for i in range(40)]
    lines = [",".join(["text", "label", *names, "ink", "gap"])]
    lines += [
        ",".join([f"row {i} of it", "ab"[i % 2], *[str(i * j + 0.5) for j in range(1, 41)], "dark" if i % 3 == 0 else "light", "x"])
        for i in range(120)
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    assert load(tmp_path / "t.csv", text="text", label="label").rows[3].traits == {"ink": "dark"}
    cells = [{"text": f"row {i} of it", "label": "ab"[i % 2], "age": 30 + i % 2, "at": [i % 2, 1]} for i in range(12)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(cell) + "\n" for cell in cells))
    assert load(tmp_path / "t.jsonl", text="text", label="label").rows[3].traits == {"age": "31"}


def test_columns_of_any_type_are_kept_with_the_rows(tmp_path):
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    n = range(12)
    columns = {
        "text": [f"row {i} of it" for i in n],
        "label": ["ab"[i % 2] for i in n],
        "age": [30 + i % 2 for i in n],
        "well": [i % 3 == 0 for i in n],
    }
    table = pa.table({**columns, "ink": pa.array(["dark", "light"] * 6).dictionary_encode(), "at": [[1.0, 2.0]] * 12, "raw": [b"x"] * 12})
    pq.write_table(table, tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet", text="text", label="label").rows[3].traits == {"age": "31", "well": "True", "ink": "light"}
    kinds = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.Value("string"), "ink": datasets.ClassLabel(names=["dark", "light"])}
    )
    made = datasets.Dataset.from_dict({"text": columns["text"], "label": columns["label"], "ink": [i % 2 for i in n]}, features=kinds)
    made.save_to_disk(str(tmp_path / "saved"))
    made.to_parquet(str(tmp_path / "named.parquet"))
    for source in ("saved", "named.parquet"):
        assert load(tmp_path / source, text="text", label="label").rows[3].traits == {"ink": "light"}


def test_rows_are_drawn_as_a_column_wishes(run, tmp_path):
    def brightness(folder):
        files = list(folder.rglob("*.png"))
        assert files
        return np.mean([np.asarray(Image.open(f)).mean() for f in files])

    dark = run.sample("digit 1", 4, tmp_path / "dark", where={"ink": "dark"})
    light = run.sample("digit 1", 4, tmp_path / "light", where={"ink": "light"})
    assert dark and light and brightness(tmp_path / "dark") > brightness(tmp_path / "light") + 20


@pytest.mark.parametrize(
    ("where", "said", "way"),
    [({"glaze": "dark"}, "no column 'glaze'", "ink"), ({"ink": "red"}, "value of 'ink'", "dark")],
)
def test_a_wish_that_no_row_fits_is_told(run, tmp_path, where, said, way):
    with pytest.raises(UsageError, match=said) as told:
        run.sample("digit 1", 4, tmp_path / "none", where=where)
    assert way in told.value.help and not (tmp_path / "none").exists()


def test_a_wish_is_written_as_a_pair():
    assert wishes(["ink=dark", "lot=a=b"]) == {"ink": "dark", "lot": "a=b"} and wishes(None) == {}
    with pytest.raises(UsageError, match="twice"):
        wishes(["ink=dark", " ink = light"])
    for wish in ("ink", "=dark", "ink="):
        with pytest.raises(UsageError, match=f"--where {wish} is not a wish"):
            wishes([wish])
