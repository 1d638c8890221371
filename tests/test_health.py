"""What `inspect` reports: planted trouble is found, the views are readable and safe."""

import dataclasses
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from sklearn.datasets import load_digits

import augmind
from augmind.core.seeds import stream
from augmind.data.clean import clean
from augmind.data.health import health
from augmind.data.sheet import BETWEEN, WIDE, Grid
from augmind.data.suspects import label_errors, outliers
from augmind.testing import ToyCodec, toy_samples
from hearing import folder
from rows import dataset, noisy, patterns

WRONG = [10, 20, 30, 41, 52, 63]


class PictureCodec(ToyCodec):
    def tiles(self, x):
        return x[:, :1].expand(-1, 3, -1, -1).permute(0, 2, 3, 1)


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


def printed(view):
    console = Console(width=100, file=io.StringIO(), color_system=None)
    console.print(view)
    return console.file.getvalue()


def troubled():
    """Ninety rows of three classes and: an exact copy in test, a near copy, six wrong labels, two outliers, an unreadable row."""
    data = toy_samples(90, (1, 16, 16), classes=3)
    strange = torch.randint(0, 256, (2, 1, 16, 16), generator=stream("strange"), dtype=torch.uint8)
    x = torch.cat([data.x, data.x[:1], noisy(data.x[1:2]), strange])
    y = torch.cat([data.y, data.y[:2], torch.tensor([0, 1])])
    y[WRONG] = (y[WRONG] + 1) % 3
    d = dataset(x, y, splits=["test" if i in (90, 91) else "train" for i in range(94)], codec=PictureCodec)
    rows = [dataclasses.replace(r, status="corrupt", reason="not a picture") if r.id == 50 else r for r in d.rows]
    return clean(d.with_rows(rows))


@pytest.fixture(scope="module")
def found():
    return health(troubled())


def test_planted_trouble_is_found(found):
    assert found.counts == {"class 0": 31, "class 1": 32, "class 2": 29}
    assert found.splits["test"] == {"class 0": 1, "class 1": 1} and sum(found.splits["train"].values()) == 90
    assert found.duplicates == ((0, 90),) and found.near == ((1, 91),) and found.leaks == ((0, 90), (1, 91))
    assert [r.id for r in found.corrupt] == [50] and found.sizes == {"width": (16, 16, 16)}
    wrong = {s.id: s.suggested for s in found.label_errors}
    assert len(set(wrong) & set(WRONG)) >= 4 and len(set(wrong) - set(WRONG) - {92, 93}) <= 1
    assert all(wrong[i] == f"class {i % 3}" for i in WRONG if i in wrong)
    assert {"AM112", "AM113", "AM132", "AM133"} <= {f.code for f in found.findings}


def test_a_sound_dataset_gets_a_clean_bill():
    data = toy_samples(90, (1, 16, 16), classes=3)
    h = health(clean(dataset(data.x, data.y)))
    assert h.findings == () and h.label_errors == () and h.leaks == () and h.imbalance == 1


@pytest.mark.parametrize(("n", "recall", "precision"), [(300, 0.75, 0.70), (800, 0.80, 0.80)])
def test_flipped_labels_of_digits_are_found(n, recall, precision):
    digits = load_digits()
    hits, flips, told = 0, 0, 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        rows = rng.choice(len(digits.target), n, replace=False)
        x, y = torch.from_numpy(digits.data[rows] / 16).float(), torch.from_numpy(digits.target[rows]).long()
        wrong = rng.choice(n, n // 10, replace=False)
        y[wrong] = (y[wrong] + torch.from_numpy(rng.integers(1, 10, len(wrong)))) % 10
        suspects = {i for i, _, _ in label_errors(x, y, torch.arange(n), seed)}
        hits, flips, told = hits + len(suspects & set(wrong.tolist())), flips + len(wrong), told + len(suspects)
    assert hits / flips >= recall and hits / told >= precision


def test_a_copy_cannot_vouch_for_its_twin():
    z = torch.randn(60, 8, generator=stream("z"))
    y = (z[:, 0] > 0).long()
    z, y, unit = torch.cat([z, z[:1].repeat(5, 1)]), torch.cat([y, y[:1].repeat(5)]), torch.cat([torch.arange(60), torch.zeros(5, dtype=torch.long)])
    z[[0, *range(60, 65)], 0] = 6 * (2 * y[0] - 1).float()
    y[[0, *range(60, 65)]] = 1 - y[0]
    assert {i for i, _, _ in label_errors(z, y, unit, 0)} >= {0, *range(60, 65)}


def test_rows_far_from_their_class_are_outliers_worst_first():
    z = torch.randn(200, 12, generator=stream("cloud"))
    y = torch.arange(200) % 2
    z[y == 1] += 6
    z[7] *= 8
    z[8] += 25
    z[11] -= 6
    found = outliers(z, y, 0)
    assert {i for i, _ in found[:3]} == {7, 8, 11} and len(found) <= 5
    assert [s for _, s in found] == sorted((s for _, s in found), reverse=True)


@pytest.mark.parametrize("n", [2, 4, 7])
def test_too_few_rows_are_said_to_be_too_few(n):
    h = health(clean(dataset(patterns(n), [i % 2 for i in range(n)])))
    assert [f.code for f in h.findings if f.code == "AM134"] and not h.label_errors and not h.outliers


def test_an_empty_class_and_an_imbalance_are_survived_and_said():
    h = health(clean(dataset(patterns(40), [0] * 36 + [1] * 4, classes=3)))
    assert h.counts["class 2"] == 0 and h.imbalance == 36 and "AM130" in [f.code for f in h.findings]
    assert "36.0 : 1" in printed(h.table())


def test_the_table_fits_a_hundred_columns_and_shows_markup_as_text(found):
    rows = [dataclasses.replace(r, source="[red]x[/red]/" + "long" * 30 + ".png") for r in found.dataset.rows]
    text = printed(health(found.dataset.with_rows(rows)).table())
    assert max(map(len, text.splitlines())) <= 100 and "[red]x[/red]" in text
    assert "likely label error" in text and "AM133" in text and printed(found) == printed(found.table())


def test_many_classes_are_abridged():
    h = health(clean(dataset(patterns(150), [i % 50 for i in range(150)])))
    assert "30 classes between" in printed(h.table())


def test_the_record_is_plain_json(found):
    record = json.loads(json.dumps(found.to_json()))
    assert record["rows"] == 92 and record["leaks"] == [[0, 90], [1, 91]] and "dataset" not in record
    assert record["corrupt"] == [{"id": 50, "source": found.dataset.row(50).source, "reason": "not a picture"}]


def test_the_contact_sheet_shows_pictures_where_there_are_some(found, tmp_path):
    found.draw(tmp_path / "sheet.png")
    bare = dataclasses.replace(found, dataset=dataclasses.replace(found.dataset, codec=ToyCodec(found.dataset.spec)))
    bare.draw(tmp_path / "bare.png")
    full, chart = pixels(tmp_path / "sheet.png"), pixels(tmp_path / "bare.png")
    assert full.shape[1] == chart.shape[1] and len(full) > 2 * len(chart)
    assert (chart < 200).mean() > 0.02


def test_the_contact_sheet_shows_sounds_in_colour_by_class(tmp_path):
    found = augmind.inspect(folder(tmp_path / "clips", per_class=6))
    found.draw(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as picture:
        sheet = np.asarray(picture.convert("RGB")).astype(int)
    shown = (sheet[..., 1] <= sheet[..., 0]) & (sheet.sum(2) < 600)  # from black over red to yellow; bars and letters are bluish
    lines = np.diff((shown.mean(1) > 0.4).astype(int))
    assert (lines == 1).sum() == 3, "a line of tiles for each class"
    assert shown.mean() > 0.1 and len(np.unique(sheet[shown], axis=0)) > 100
    bare = dataclasses.replace(found, dataset=dataclasses.replace(found.dataset, codec=ToyCodec(found.dataset.spec)))
    bare.draw(tmp_path / "bare.png")
    assert len(sheet) > len(pixels(tmp_path / "bare.png")) + 200


@pytest.mark.parametrize(("shape", "across"), [((32, 32, 3), 10), ((64, 32, 3), 10), ((40, 64, 3), 7), ((16, 256, 3), 4)])
def test_of_wide_rows_fewer_stand_in_a_line_and_all_fit(shape, across):
    grid = Grid.of(shape)
    assert grid.across == across and across * (grid.width + BETWEEN) <= WIDE
    assert grid.width / grid.height == pytest.approx(min(3, max(1, shape[1] / shape[0])))


def test_the_contact_sheet_survives_hostile_and_foreign_names(found, tmp_path):
    names = {"class 0": "$x_{1$ <b>", "class 1": "衣服" * 9, "class 2": "very long " * 9}
    rows = [dataclasses.replace(r, label=names[r.label]) for r in found.dataset.rows]
    spec = dataclasses.replace(found.dataset.spec, classes=tuple(names.values()))
    d = dataclasses.replace(found.dataset.with_rows(rows), spec=spec, name="$\\frac{")
    health(d).draw(tmp_path / "sheet.png")
    assert len(pixels(tmp_path / "sheet.png")) > 500
