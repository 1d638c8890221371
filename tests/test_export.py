"""What leaves can be opened by the usual readers, and holds every row with its provenance."""

import csv
import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import augmind
from augmind.core.errors import DataError, UsageError
from augmind.core.types import Spec
from augmind.data.export import Bundle, Table, export, folder_names
from augmind.modalities.image.codec import ImageCodec

CLASSES = ("cat", "../../dog", "=HYPERLINK(1)", "Katze äöü")
RECORD = {
    "verdict": {"sentence": "Do not use <script>alert(1)</script> synthetic data here.", "use_synthetic": False, "policy": {"classical": "none"}},
    "reproduce": "augmind expand cats",
    "versions": {"augmind": "0.1.0"},
    "generators": [{"name": "vae", "steps": 10, "knowledge": "rows", "kept": 3, "drawn": 9, "settings": {"lr": 0.1}}],
}


def rows(n: int, generator: str | None, seed: int) -> Table:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (n, 3, 8, 10), generator=rng, dtype=torch.uint8)
    columns = {
        "label": [CLASSES[i % 4] for i in range(n)],
        "synthetic": [generator is not None] * n,
        "generator": [generator] * n,
        "seed": [2**53 - 1 - i if generator else None for i in range(n)],
        "source": [None if generator else f"=cmd/{i}.png" for i in range(n)],
        "score_agreement": [0.5 if generator else None] * n,
    }
    return Table(x=x, names=[f"{generator or 'real'}-{i:03d}" for i in range(n)], columns=columns)


@pytest.fixture
def bundle() -> Bundle:
    spec = Spec(kind="continuous", shape=(3, 8, 10), classes=CLASSES)
    splits = {"train": [rows(9, None, 0), rows(3, "vae", 1)], "test": [rows(4, None, 2)]}
    return Bundle(name="cats", spec=spec, codec=ImageCodec(spec), splits=splits, record=RECORD)


def test_an_image_folder_opens_with_datasets_and_with_a_plain_reader(bundle, tmp_path):
    import datasets

    out = export(bundle, tmp_path / "out", "imagefolder")
    found = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert {k: len(v) for k, v in found.items()} == {"train": 12, "test": 4}
    assert sum(found["train"]["synthetic"]) == 3
    assert {n for n in found["train"]["label"] if n} == set(CLASSES)
    files = sorted((out / "train").rglob("*.png"))
    assert len(files) == 12 and {f.parent.parent for f in files} == {out / "train"}
    with (out / "rows.csv").open(encoding="utf-8", newline="") as f:
        table = list(csv.DictReader(f))
    assert len(table) == 16 and {r["label"] for r in table} == {"cat", "../../dog", "'=HYPERLINK(1)", "Katze äöü"}
    for i, record in enumerate(table[:12]):
        x = np.asarray(Image.open(out / "train" / record["file_name"]))
        part, at = bundle.splits["train"][i >= 9], i if i < 9 else i - 9
        assert np.array_equal(x, part.x[at].permute(1, 2, 0).numpy())
        assert record["seed"] == ("" if i < 9 else str(2**53 - 1 - at))


def test_synthetic_files_carry_the_mark_and_real_ones_do_not(bundle, tmp_path):
    out = export(bundle, tmp_path / "out", "imagefolder")
    for path in (out / "train").rglob("*.png"):
        with Image.open(path) as picture:
            assert ("trainedAlgorithmicMedia" in str(picture.info.get("XML:com.adobe.xmp", ""))) == path.name.startswith("vae")


def test_parquet_opens_with_datasets_with_named_classes(bundle, tmp_path):
    import datasets

    out = export(bundle, tmp_path / "out", "parquet")
    found = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert found["train"].features["label"].names == list(CLASSES)
    row = found["train"][9]
    assert np.array_equal(np.asarray(row["image"]), bundle.splits["train"][1].x[0].permute(1, 2, 0).numpy())
    assert row["synthetic"] and row["generator"] == "vae" and row["seed"] == 2**53 - 1 and row["score_agreement"] == 0.5


def test_webdataset_shards_hold_file_class_and_columns(bundle, tmp_path):
    out = export(bundle, tmp_path / "out", "webdataset")
    with tarfile.open(out / "train-000000.tar") as shard:
        members = {m.name: shard.extractfile(m) for m in shard.getmembers()}
        assert len(members) == 36
        record, label = members["vae-001.json"], members["vae-001.cls"]
        assert record and json.loads(record.read())["label"] == "../../dog"
        assert label and int(label.read()) == 1


def scores(out: Path, to: str, cache: Path) -> list[float | None]:
    """The scores of the training rows in the order of the export, None where there is none."""
    import datasets

    if to == "npz":
        with np.load(out / "dataset.npz") as found:
            return [None if np.isnan(s) else float(s) for s in found["train_score_agreement"]]
    found = datasets.load_dataset(str(out), cache_dir=str(cache))["train"]
    if to == "webdataset":
        return [None if r["score_agreement"] == -1 else r["score_agreement"] for r in found["json"]]
    return found["score_agreement"][:]


@pytest.mark.parametrize("to", ["imagefolder", "parquet", "webdataset", "npz"])
def test_scores_are_read_back_as_they_were_given(to, bundle, tmp_path):
    given = [0.25, 0.0, 0.8125]
    bundle.splits["train"][1].columns["score_agreement"] = given
    found = scores(export(bundle, tmp_path / "out", to), to, tmp_path / "cache")
    assert sorted(s for s in found if s is not None) == sorted(given) and found.count(None) == 9


def test_every_file_is_on_the_disk_before_the_folder_has_its_name(bundle, tmp_path, monkeypatch):
    synced, found = set[int](), list[tuple[set[int], set[int]]]()
    real, rename = os.fsync, os.replace

    def told(handle: int) -> None:
        synced.add(os.fstat(handle).st_ino)
        real(handle)

    def renamed(source: Path, target: Path) -> None:
        found.append(({p.stat().st_ino for p in Path(source).rglob("*")}, set(synced)))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", told)
    monkeypatch.setattr(os, "replace", renamed)
    export(bundle, tmp_path / "out", "imagefolder")
    assert found and all(files and files <= known for files, known in found)


def test_webdataset_opens_with_datasets(bundle, tmp_path):
    import datasets

    out = export(bundle, tmp_path / "out", "webdataset")
    found = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert len(found["train"]) == 12 and [r["json"]["generator"] for r in found["train"]][8:10] == ["", "vae"]


def test_webdataset_shards_come_back_as_rows(bundle, tmp_path):
    out = export(bundle, tmp_path / "out", "webdataset")
    data = augmind.load(out, size=(8, 10), group="generator")
    x = torch.cat([t.x for split in ("test", "train") for t in bundle.splits[split]])
    assert {row.numpy().tobytes() for row in data.samples.x} == {row.numpy().tobytes() for row in x}
    told = [(t.names[i], t.columns["label"][i], split) for split, own in bundle.splits.items() for t in own for i in range(len(t.names))]
    assert {(Path(r.source).stem, r.label, r.split) for r in data.rows if r.status == "ok"} == set(told)
    assert {r.group for r in data.rows if r.status == "ok"} == {"", "vae"} and "in 2 shards" in data.findings[0].text
    one = augmind.load(out / "train-000000.tar", size=(8, 10))
    assert len(one.samples) == 12 and {r.split for r in one.rows} == {"train"}
    classes = tmp_path / "classes.tar"
    with tarfile.open(classes, "w") as shard:
        for i in range(8):
            for name, data in ((f"{i}.png", png(i)), (f"{i}.cls", str(i % 2).encode())):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                shard.addfile(info, io.BytesIO(data))
    assert augmind.load(classes).spec.classes == ("0", "1")
    with pytest.raises(DataError, match="which is no split"):
        augmind.load(out, split="generator")
    with pytest.raises(DataError, match="has no column 'kind'"):
        augmind.load(out, label="kind")
    (out / "loose.tar").write_bytes(b"")
    with pytest.raises(DataError, match=r"loose\.tar"):
        augmind.load(out)


def png(i: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(i).integers(0, 255, (8, 8), dtype=np.uint8)).save(out, format="PNG")
    return out.getvalue()


def test_npz_needs_no_pickle(bundle, tmp_path):
    out = export(bundle, tmp_path / "out", "npz")
    with np.load(out / "dataset.npz", allow_pickle=False) as found:
        assert found["train_x"].shape == (12, 8, 10, 3) and found["train_x"].dtype == np.uint8
        assert found["classes"].tolist() == list(CLASSES) and found["train_synthetic"].sum() == 3
        assert found["train_seed"][9] == 2**53 - 1 and found["test_y"].tolist() == [0, 1, 2, 3]


def test_nothing_is_overwritten_and_an_unknown_format_is_named(bundle, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="not an empty folder"):
        export(bundle, tmp_path / "full", "npz")
    assert (tmp_path / "full" / "mine.txt").read_text() == "keep"
    with pytest.raises(UsageError, match="unknown format 'parket'") as caught:
        export(bundle, tmp_path / "new", "parket")
    assert "did you mean 'parquet'" in caught.value.help and not (tmp_path / "new").exists()


def test_folder_names_are_safe_and_unique():
    names = ("a/b", "a\\b", "A_b", "..", "", "ok", "OK", "x" * 300, "a!", "a_ (2)", "a~", "a_ (9)", "con", "NUL.txt")
    found = folder_names(names)
    assert len({v.casefold() for v in found.values()}) == len(names)
    assert not {"con", "nul.txt"} & {v.casefold() for v in found.values()}
    assert all(v and Path(v).name == v and v not in (".", "..") and len(v) < 100 for v in found.values())


def test_the_card_tells_the_recipe_and_holds_no_markup_of_users(bundle, tmp_path):
    text = (export(bundle, tmp_path / "out", "npz") / "README.md").read_text("utf-8")
    assert "<script>" not in text and "augmind expand cats" in text and "| train | vae | 3 |" in text
