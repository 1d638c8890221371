"""Loading pictures: every format gives the same rows, every bad file is set aside with a reason, every bad source is refused in words."""

import hashlib
import io
import json
import os
import socket
import struct
import tarfile
import time
import zipfile
import zlib
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import augmind
from augmind.core.decoding import CannotRead
from augmind.core.errors import AugmindError, DataError, MachineError, UsageError
from augmind.core.seeds import stable_seed
from augmind.data.arrays import array_entries
from augmind.data.dataset import sort_labels
from augmind.data.hub import saved_entries
from augmind.data.listing import table_entries
from augmind.data.load import load
from augmind.data.sources import Columns
from augmind.data.stamp import stamp
from augmind.modalities.image.decode import Picture, choose_grid, from_array, read
from augmind.modalities.image.workers import Pool


def noise(name, shape=(12, 10, 3)):
    return np.random.default_rng(stable_seed(name)).integers(0, 256, shape, dtype=np.uint8)


def png(array):
    out = io.BytesIO()
    (array if isinstance(array, Image.Image) else Image.fromarray(array)).save(out, "PNG")
    return out.getvalue()


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def classes(root, per_class=3, names=("cat", "dog"), shape=(12, 10, 3)):
    """A folder of `per_class` pictures a class."""
    for name in names:
        for i in range(per_class):
            write(root / name / f"{i}.png", png(noise((name, i), shape)))
    return root


def listing(root):
    """Relative paths and labels of a folder of classes, in the order of `load`."""
    return [(p.relative_to(root).as_posix(), p.parent.name) for p in sorted(root.rglob("*.png"))]


def tree(root):
    """Everything below a folder: names, kinds, times and contents."""
    return {
        str(p.relative_to(root)): (p.lstat().st_mode, p.lstat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "")
        for p in sorted(root.rglob("*"))
    }


# ---------------------------------------------------------------- formats


def as_folder(root, rows, out):
    return root


def as_csv(root, rows, out):
    text = "file_name,label\n" + "".join(f'"{p}",{y}\n' for p, y in rows)
    return write(root / "list.csv", text.encode())


def as_bom_semicolons(root, rows, out):
    return write(root / "list.csv", "\ufeffpath;class\r\n".encode() + b"".join(f"{p};{y}\r\n".encode() for p, y in rows))


def as_tsv(root, rows, out):
    return write(root / "list.tsv", b"image\ttarget\n" + b"".join(f"{p}\t{y}\n".encode() for p, y in rows))


def as_jsonl(root, rows, out):
    return write(root / "list.jsonl", b"".join(json.dumps({"path": p, "label": y}).encode() + b"\n" for p, y in rows))


def as_json(root, rows, out):
    return write(root / "list.json", json.dumps([{"path": p, "category": y} for p, y in rows]).encode())


def as_json_columns(root, rows, out):
    return write(root / "list.json", json.dumps({"path": [p for p, _ in rows], "label": [y for _, y in rows]}).encode())


def as_parquet_bytes(root, rows, out):
    table = pa.table({"image": [(root / p).read_bytes() for p, _ in rows], "label": [y for _, y in rows]})
    pq.write_table(table, out / "list.parquet", row_group_size=2)
    return out / "list.parquet"


def as_parquet_struct(root, rows, out):
    pictures = [{"bytes": (root / p).read_bytes(), "path": p} for p, _ in rows]
    pq.write_table(pa.table({"picture": pictures, "label": [y for _, y in rows]}), out / "list.parquet")
    return out / "list.parquet"


def as_sharded_parquet(root, rows, out):
    for k in range(2):
        part = rows[k * 3 : k * 3 + 3]
        table = pa.table({"image": [(root / p).read_bytes() for p, _ in part], "label": [y for _, y in part]})
        (out / "repo" / "data").mkdir(parents=True, exist_ok=True)
        pq.write_table(table, out / "repo" / "data" / f"train-0000{k}-of-00002.parquet")
    write(out / "repo" / "README.md", b"# data")
    return out / "repo"


def as_arrow(root, rows, out, stream=False):
    table = pa.table({"image": [(root / p).read_bytes() for p, _ in rows], "label": [y for _, y in rows]})
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with make(str(out / "list.arrow"), table.schema) as sink:
        sink.write_table(table)
    return out / "list.arrow"


def as_arrow_stream(root, rows, out):
    return as_arrow(root, rows, out, stream=True)


def as_zip(root, rows, out):
    with zipfile.ZipFile(out / "a.zip", "w") as z:
        for p, _ in rows:
            z.write(root / p, f"wrapper/{p}")
        z.writestr("__MACOSX/._x.png", b"junk")
    return out / "a.zip"


def as_tar(root, rows, out, mode="w", name="a.tar"):
    with tarfile.open(out / name, mode) as t:
        t.add(root, ".")
    return out / name


def as_tgz(root, rows, out):
    return as_tar(root, rows, out, "w:gz", "a.tar.gz")


def as_zipped_table(root, rows, out):
    as_csv(root, rows, out)
    with zipfile.ZipFile(out / "a.zip", "w") as z:
        for p in sorted(root.rglob("*.*")):
            z.write(p, p.relative_to(root))
    return out / "a.zip"


def hugging_face(root, rows):
    import datasets

    names = sorted({y for _, y in rows})
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    columns = {"image": [{"bytes": (root / p).read_bytes(), "path": None} for p, _ in rows], "label": [names.index(y) for _, y in rows]}
    return datasets.Dataset.from_dict(columns, features=features)


def as_saved_dataset(root, rows, out):
    hugging_face(root, rows).save_to_disk(out / "hf")
    return out / "hf"


def as_saved_dataset_dict(root, rows, out):
    import datasets

    datasets.DatasetDict({"train": hugging_face(root, rows)}).save_to_disk(out / "hf")
    return out / "hf"


def as_hugging_face_parquet(root, rows, out):
    hugging_face(root, rows).to_parquet(out / "list.parquet")
    return out / "list.parquet"


def as_npz(root, rows, out):
    x = np.stack([np.asarray(Image.open(root / p)) for p, _ in rows])
    np.savez_compressed(out / "a.npz", x=x, y=np.array([y for _, y in rows]))
    return out / "a.npz"


FORMATS = [
    as_folder, as_csv, as_bom_semicolons, as_tsv, as_jsonl, as_json, as_json_columns, as_parquet_bytes, as_parquet_struct,
    as_sharded_parquet, as_arrow, as_arrow_stream, as_zip, as_tar, as_tgz, as_zipped_table, as_saved_dataset, as_saved_dataset_dict,
    as_hugging_face_parquet, as_npz,
]  # fmt: skip


@pytest.mark.parametrize("pack", FORMATS, ids=lambda f: f.__name__[3:])
def test_the_same_pictures_in_any_format_give_the_same_rows_and_the_source_is_untouched(tmp_path, pack):
    root = classes(tmp_path / "data")
    (tmp_path / "out").mkdir()
    rows = listing(root)
    source = pack(root, rows, tmp_path / "out")
    before = tree(tmp_path)
    data = load(source)
    assert tree(tmp_path) == before
    x = np.stack([np.asarray(Image.open(root / p)) for p, _ in rows]).transpose(0, 3, 1, 2)
    assert torch.equal(data.samples.x, torch.from_numpy(x))
    assert data.spec.classes == ("cat", "dog") and data.spec.shape == (3, 12, 10)
    assert [data.spec.classes[k] for k in data.samples.y] == [y for _, y in rows]
    assert [data.row(int(k)).label for k in data.samples.key] == [y for _, y in rows]
    assert [r.digest for r in data.rows if r.status == "ok"] == [hashlib.blake2b(a.tobytes(), digest_size=16).hexdigest() for a in x]
    assert data.codec.name == "image"


def test_fingerprint_is_that_of_the_content(tmp_path):
    a = load(classes(tmp_path / "a")).fingerprint
    assert load(classes(tmp_path / "b")).fingerprint == a
    write(tmp_path / "b" / "cat" / "0.png", png(noise("another")))
    assert load(tmp_path / "b").fingerprint != a


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "valid", "TEST"), ("train", "validation", "testing")])
def test_split_folders_are_honoured_under_their_usual_names(tmp_path, names):
    for name in names:
        classes(tmp_path / "data" / name, 2)
    data = load(tmp_path / "data")
    assert {r.source.split("/")[0]: r.split for r in data.rows} == dict(zip(names, ("train", "val", "test"), strict=True))
    assert data.spec.classes == ("cat", "dog")


def test_classes_that_are_called_like_splits_are_classes(tmp_path):
    assert load(classes(tmp_path / "vehicles", names=("car", "train"))).spec.classes == ("car", "train")


def test_split_and_group_columns(tmp_path):
    root = classes(tmp_path / "data")
    lines = [f"{p},{y},{('train', 'test')[i % 2]},person {i // 2}" for i, (p, y) in enumerate(listing(root))]
    table = write(root / "t.csv", "\n".join(["path,label,split,who", *lines]).encode())
    data = load(table, group="who")
    assert [r.split for r in data.rows] == ["train", "test"] * 3
    assert data.samples.group.tolist() == [0, 0, 1, 1, 2, 2] and data.rows[5].group == "person 2"
    with pytest.raises(DataError, match="'person 0', which is no split"):
        load(table, split="who")


def test_tables_by_split_names(tmp_path):
    root = classes(tmp_path / "data")
    rows = [f"{p},{y}" for p, y in listing(root)]
    write(root / "train.csv", "\n".join(["path,label", *rows[:4]]).encode())
    write(root / "labels_test.csv", "\n".join(["path,label", *rows[4:]]).encode())
    data = load(root)
    assert [(r.source, r.split) for r in data.rows][::4] == [("labels_test.csv:2", "test"), ("train.csv:4", "train")]


def test_named_columns_win_over_usual_names(tmp_path):
    root = classes(tmp_path / "data")
    lines = [f"nowhere.png,x,{p},{y}" for p, y in listing(root)]
    table = write(root / "t.csv", "\n".join(["path,label,where,what", *lines]).encode())
    assert load(table, column="where", label="what").spec.classes == ("cat", "dog")


def test_whole_number_labels_sort_by_value_and_lose_their_point(tmp_path):
    root = classes(tmp_path / "data", 1, [str(i) for i in range(12)])
    table = write(root / "t.csv", ("path,label\n" + "".join(f"{p},{y}.0\n" for p, y in listing(root))).encode())
    assert load(table).spec.classes == load(root).spec.classes == tuple(str(i) for i in range(12))
    assert sort_labels(["b", "10", "9"]) == ("10", "9", "b")


def test_class_label_minus_one_is_unlabelled(tmp_path):
    import datasets

    root = classes(tmp_path / "data")
    data = hugging_face(root, listing(root)).map(lambda r, i: {"label": -1 if i == 2 else r["label"]}, with_indices=True)
    assert isinstance(data.features["label"], datasets.ClassLabel)
    data.select([5, 4, 3, 2, 1, 0]).save_to_disk(tmp_path / "hf")
    found = load(tmp_path / "hf")
    assert [r.label for r in found.rows] == ["dog"] * 3 + ["", "cat", "cat"] and found.rows[3].status == "unlabelled"


@pytest.mark.parametrize("shape", [(6, 12, 10, 3), (6, 3, 12, 10), (6, 12, 10), (6, 12, 10, 1)])
@pytest.mark.parametrize("kind", ["uint8", "unit float", "byte float", "int64", "uint16"])
def test_arrays_of_any_layout_and_type(tmp_path, shape, kind):
    x = noise("x", shape)
    x.flat[0] = 255
    same = {"uint8": x, "unit float": x / 255, "byte float": x.astype(np.float32), "int64": x.astype(np.int64), "uint16": x.astype(np.uint16) * 257}
    np.savez(tmp_path / "a.npz", train_images=same[kind][:4], train_labels=[[0], [1], [0], [1]], test_images=same[kind][4:], test_labels=[[0], [1]])
    data = load(tmp_path / "a.npz")
    want = x if shape[1] == 3 else x[..., None].transpose(0, 3, 1, 2) if len(shape) == 3 else x.transpose(0, 3, 1, 2)
    assert torch.equal(data.samples.x, torch.from_numpy(want.copy()))
    assert [r.split for r in data.rows] == ["train"] * 4 + ["test"] * 2


# ---------------------------------------------------------------- single pictures


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pixels(picture):
    return np.frombuffer(picture.pixels, np.uint8).reshape(*picture.grid, picture.channels)


RGB = Image.fromarray(noise("rgb", (8, 6, 3)))
GREY = Image.fromarray(noise("grey", (8, 6)))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("image", [RGB, GREY], ids=["rgb", "grey"])
def test_lossless_formats_keep_every_pixel(kind, image):
    got = pixels(read(saved(image, kind)))
    assert np.array_equal(got.squeeze(), np.asarray(image))


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 100}), ("WEBP", {"lossless": True}), ("GIF", {})])
def test_other_formats_keep_the_picture(kind, options):
    smooth = Image.fromarray(noise("s", (4, 4, 3))).resize((32, 32), Image.Resampling.BICUBIC)
    got = pixels(read(saved(smooth, kind, **options))).astype(int)
    assert abs(got - np.asarray(smooth)).mean() < 12


def test_sixteen_bits_are_scaled_not_clipped():
    deep = np.array([[0, 257, 32896, 65535]], np.uint16)
    for kind in ("PNG", "TIFF"):
        picture = read(saved(Image.fromarray(deep), kind))
        assert pixels(picture).squeeze().tolist() == [0, 1, 128, 255] and picture.facts["deep"] == 65535
    assert pixels(read(b"P5 4 1 65535\n" + deep.astype(">u2").tobytes())).squeeze().tolist() == [0, 1, 128, 255]


def test_floats_are_read_from_the_unit_range_or_from_bytes():
    for top in (1.0, 255.0):
        x = np.array([[0, 0.2, 1]], np.float32) * top
        assert pixels(read(saved(Image.fromarray(x), "TIFF"))).squeeze().tolist() == [0, 51, 255]
    with pytest.raises(CannotRead, match="finite"):
        read(saved(Image.fromarray(np.array([[np.nan, 1]], np.float32)), "TIFF"))


def test_cmyk_becomes_rgb():
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    picture = read(saved(cmyk, "JPEG", quality=95))
    assert picture.channels == 3 and abs(pixels(picture).astype(int) - [255, 0, 0]).max() < 6 and picture.facts["mode"] == "CMYK"


def test_channels_are_the_least_that_show_the_picture():
    grey3 = Image.merge("RGB", [GREY] * 3)
    opaque, clear = RGB.convert("RGBA"), RGB.copy()
    clear.putalpha(GREY)
    la = Image.merge("LA", [GREY, Image.new("L", GREY.size, 255)])
    bilevel = GREY.convert("1")
    palette = GREY.convert("P")
    want = [(grey3, 1), (opaque, 3), (clear, 4), (la, 1), (bilevel, 1), (palette, 1), (RGB.convert("P", palette=Image.Palette.ADAPTIVE), 3)]
    assert [read(png(i)).channels for i, _ in want] == [c for _, c in want]
    assert set(np.unique(pixels(read(png(bilevel))))) == {0, 255}
    transparent = saved(GREY, "PNG", transparency=int(np.asarray(GREY)[0, 0]))
    assert read(transparent).channels == 4 and pixels(read(transparent))[0, 0, 3] == 0


def test_channels_of_a_set_are_those_of_the_richest_picture(tmp_path):
    classes(tmp_path / "d", 1)
    write(tmp_path / "d" / "cat" / "grey.png", png(noise("g", (12, 10))))
    data = load(tmp_path / "d")
    assert data.spec.shape[0] == 3 and torch.equal(data.samples.x[1, 0], data.samples.x[1, 2])
    half = np.dstack([noise("a"), np.full((12, 10), 90, np.uint8)])
    write(tmp_path / "d" / "dog" / "half.png", png(half))
    data = load(tmp_path / "d")
    assert data.spec.shape[0] == 4
    assert [int(a.float().mean()) for a in data.samples.x[:, 3]] == [255, 255, 255, 90]


def test_animations_give_their_first_frame():
    frames = [Image.fromarray(np.full((8, 8), v, np.uint8)) for v in (40, 200)]
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        picture = read(saved(frames[0], kind, save_all=True, append_images=frames[1:], **options))
        assert set(np.unique(pixels(picture))) == {40}, kind
        assert picture.facts["animated"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(RGB, "PNG", exif=exif)
    picture = read(data)
    assert np.array_equal(pixels(picture), np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))))
    assert (picture.facts["width"], picture.facts["height"]) == (picture.grid[1], picture.grid[0])


def test_damaged_exif_does_not_matter():
    damaged = saved(RGB, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 40)
    assert [a.channels for a in Pool().read([damaged])] == [3]


def test_shrinking_is_antialiased():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 64))
    assert abs(pixels(read(png(stripes), (16, 16))).astype(int)[:, 2:-2] - 127.5).max() < 3


def test_transparent_pixels_do_not_bleed_into_others():
    x = np.zeros((32, 32, 4), np.uint8)
    x[:, :16] = [255, 0, 0, 255]
    x[:, 16:] = [0, 255, 0, 0]
    small = pixels(read(png(x), (8, 8)))
    assert small[..., 1].max() == 0


@pytest.mark.parametrize(
    ("sizes", "grid"),
    [
        ([(28, 28)] * 3, (28, 28)),
        ([(27, 31)] * 3, (27, 31)),
        ([(112, 92)] * 3, (64, 52)),
        ([(480, 640)] * 9 + [(640, 480)], (48, 64)),
        ([(480, 640), (640, 480)], (64, 64)),
        ([(20, 20), (30, 30), (31, 31)], (32, 32)),
        ([(1, 5000)], (8, 64)),
        ([(1, 2), (2, 1)], (8, 8)),
    ],
)
def test_grids_nobody_asked_for(sizes, grid):
    assert choose_grid(sizes) == grid


def test_arrays_and_files_are_resized_alike():
    x = noise("big", (90, 120, 3))
    assert from_array(x, (32, 40)) == Picture(
        facts={"width": 120, "height": 90, "mode": "RGB", "format": "array"}, grid=(32, 40), channels=3, pixels=read(png(x), (32, 40)).pixels
    )
    assert from_array(x).grid is None and read(png(x)).grid is None


# ---------------------------------------------------------------- bad files


def broken_png(*chunks):
    out = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return out


def header(width, height):
    return (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


BAD_FILES = {
    "empty.png": (b"", "the file is empty"),
    "text.png": (b"just some words", "text, not a picture"),
    "page.jpg": (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
    "drawing.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "vector drawing"),
    "noise.png": (bytes(range(256)) * 9, "not a picture of a known format"),
    "cut.png": (png(noise("cut", (40, 40, 3)))[:900], "runcated"),
    "cut.jpg": (saved(Image.fromarray(noise("cut", (80, 80, 3))), "JPEG")[:1500], "truncated"),
    "cut.gif": (saved(Image.fromarray(noise("cut", (40, 40))), "GIF")[:400], "damaged"),
    "cut.bmp": (saved(Image.fromarray(noise("cut", (40, 40, 3))), "BMP")[:1000], "truncated"),
    "cut.webp": (saved(Image.fromarray(noise("cut", (40, 40, 3))), "WEBP")[:300], "not"),
    "cut.tif": (saved(Image.fromarray(noise("cut", (40, 40, 3))), "TIFF")[:1000], "damaged"),
    "cut.ppm": (saved(Image.fromarray(noise("cut", (40, 40, 3))), "PPM")[:1000], "truncated"),
    "header only.png": (b"\x89PNG\r\n\x1a\n", "damaged"),
    "magic only.jpg": (b"\xff\xd8\xff", "damaged"),
    "no data.png": (broken_png(header(8, 8), (b"IEND", b"")), "damaged"),
    "bad checksum.png": (png(noise("sum", (40, 40, 3))).replace(png(noise("sum", (40, 40, 3)))[2000:2100], b"\0" * 100), "damaged"),
    "bomb.png": (broken_png(header(20_000, 20_000), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")), "20000 x 20000 is 400 megapixels"),
    "huge side.png": (broken_png(header(2**31 - 1, 2**31 - 1), (b"IEND", b"")), "megapixels"),
    "bomb.ppm": (b"P6 30000 30000 255\n", "megapixels"),
    "bomb.gif": (
        b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0" + b"," + struct.pack("<HHHH", 0, 0, 65535, 65535) + b"\0\2\0;",
        "megapixels",
    ),
    "bomb.bmp": (saved(RGB, "BMP")[:18] + struct.pack("<ii", 60_000, 60_000) + saved(RGB, "BMP")[26:], "megapixels"),
    "no pixels.png": (broken_png(header(0, 0), (b"IEND", b"")), ""),
    "icon.png": (saved(Image.new("RGBA", (16, 16)), "ICO"), "not a picture"),
    "zip.png": (b"PK\3\4" + b"\0" * 100, "not a picture"),
    "document.jpg": (b"%PDF-1.7\n\0\1", "not a picture"),
    "phone.jpg": (b"\0\0\0\x18ftypheic" + b"\0" * 50, "HEIC"),
    "nan.tif": (saved(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF"), "finite"),
    "phone.heic": (b"\0\0\0\x18ftypheic", "convert it"),
    "scan.dcm": (b"\0" * 128 + b"DICM", "convert it"),
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """One dataset with every bad file and odd thing in it, loaded once."""
    root = classes(tmp_path_factory.mktemp("corpus") / "data", 20)
    for name, (data, _) in BAD_FILES.items():
        write(root / "cat" / name, data)
    write(root / "cat" / "notes.txt", b"hello")
    write(root / "dog" / "scores.xlsx", b"PK\3\4")
    write(root / "README.md", b"# hello")
    write(root / "loose.png", png(noise("loose")))
    for junk in (".DS_Store", "Thumbs.db", "__MACOSX/cat/._0.png", ".git/config", "cat/.hidden.png", "desktop.ini"):
        write(root / junk, b"junk")
    write(root / "dog" / "inner" / "deep er" / "1.png", png(noise("deep")))
    write(root / "dog" / "picture without ending", png(noise("plain")))
    write(root / "dog" / "really a jpeg.png", saved(Image.fromarray(noise("j", (12, 10, 3))), "JPEG"))
    write(root / "חתול שחור" / "תמונה 1.png", png(noise("rtl")))
    write(root / "猫" / "ネコ.png", png(noise("cjk")))
    write(root / "cafe\u0301" / "a.png", png(noise("nfd")))
    write(root / "caf\u00e9" / "b.png", png(noise("nfc")))
    write(Path(os.fsdecode(os.fsencode(root / "dog") + b"/latin\xe9.png")), png(noise("latin")))
    write(root / "dog" / "new\nline;\x1b[31m.png", png(noise("escape")))
    (root / "empty class").mkdir()
    outside = write(root.parent / "outside.png", png(noise("outside")))
    (root / "cat" / "inside link.png").symlink_to("0.png")
    (root / "cat" / "outside link.png").symlink_to(outside)
    (root / "cat" / "dangling.png").symlink_to("nowhere.png")
    (root / "cat" / "loop").symlink_to("../cat")
    (root / "cat" / "self").symlink_to("self")
    os.mkfifo(root / "cat" / "pipe.png")
    before = tree(root)
    started = time.monotonic()
    data = load(root, max_bad=0.9)
    assert time.monotonic() - started < 60
    assert tree(root) == before
    return data


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_a_corrupt_row_with_its_reason(corpus, name):
    row = next(r for r in corpus.rows if r.source == f"cat/{name}")
    assert row.status == "corrupt" and row.label == "cat" and row.digest == ""
    assert row.reason and BAD_FILES[name][1] in row.reason
    assert "\n" not in row.reason and row.id not in corpus.samples.key.tolist()


ODD = {
    "cat/notes.txt": ("stray", ".txt"),
    "dog/scores.xlsx": ("stray", ".xlsx"),
    "README.md": ("stray", ".md"),
    "loose.png": ("unlabelled", "class folder"),
    "dog/inner/deep er/1.png": ("ok", ""),
    "dog/picture without ending": ("ok", ""),
    "dog/really a jpeg.png": ("ok", ""),
    "חתול שחור/תמונה 1.png": ("ok", ""),
    "猫/ネコ.png": ("ok", ""),
    "cafe\u0301/a.png": ("ok", ""),
    "dog/latin\\xe9.png": ("ok", ""),
    "dog/new\\nline;\\x1b[31m.png": ("ok", ""),
    "cat/inside link.png": ("ok", ""),
    "cat/outside link.png": ("stray", "out of the folder"),
    "cat/dangling.png": ("stray", "nowhere"),
    "cat/loop": ("stray", "link to a folder"),
    "cat/self": ("stray", "nowhere"),
    "cat/pipe.png": ("stray", "pipe"),
}


@pytest.mark.parametrize("source", ODD)
def test_odd_things_in_a_folder(corpus, source):
    row = next(r for r in corpus.rows if r.source == source)
    assert (row.status, ODD[source][1] in row.reason) == (ODD[source][0], True)


def test_the_corpus_as_a_whole(corpus):
    assert len(BAD_FILES) + len(ODD) >= 40
    assert corpus.spec.classes == ("caf\u00e9", "cat", "dog", "חתול שחור", "猫")
    assert [r.source for r in corpus.rows] == sorted(r.source for r in corpus.rows)
    assert [r.id for r in corpus.rows] == list(range(len(corpus.rows)))
    assert not any("junk" in r.source or "DS_Store" in r.source or "Thumbs" in r.source or "MACOSX" in r.source for r in corpus.rows)
    assert len(corpus.samples) == sum(r.status == "ok" for r in corpus.rows) == 50
    codes = {f.code: f for f in corpus.findings}
    assert codes["AM102"].about["rows"] == len(BAD_FILES) and "empty class" in codes["AM109"].text


def test_too_many_bad_files_refuse_the_dataset_and_name_the_first(tmp_path):
    root = classes(tmp_path / "data", 10)
    for i in range(6):
        write(root / "cat" / f"bad {i}.png", b"")
    with pytest.raises(DataError, match=r"6 of 26 rows of 'data' cannot be read: cat/bad 0.png \(the file is empty\).*and 1 more") as error:
        load(root)
    assert error.value.exit_code == 3 and "--max-bad" in error.value.help
    assert len(load(root, max_bad=0.3).bad()) == 6


def test_decoders_never_raise_anything_but_cannot_read():
    """Random damage to good files of every format: a picture or a reason, never another error."""
    rng = np.random.default_rng(0)
    good = [saved(Image.fromarray(noise(k, (20, 20, 3))), k) for k in ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")]
    files = []
    for _ in range(60):
        for data in good:
            bad = np.frombuffer(data, np.uint8).copy()
            bad[rng.integers(0, len(bad), rng.integers(1, 9))] = rng.integers(0, 256)
            files.append(bad.tobytes()[: rng.integers(1, len(bad) + 1)] if rng.random() < 0.3 else bad.tobytes())
    answers = list(Pool().read(files, (8, 8)))
    assert len(answers) == len(files)
    assert {type(a) for a in answers} == {Picture, CannotRead}
    assert "crashed the decoder" not in {str(a) for a in answers if isinstance(a, CannotRead)}


MISBEHAVING = """
import json, os, sys, time
sys.path[:] = json.loads(sys.argv[1])
from augmind.modalities.image import workers
real = workers.read
def read(file, grid):
    if file == b"crash": os.abort()
    if file == b"vanish": os._exit(0)
    if file == b"garbage": os.write(3, b"xxxxxxxx"); os._exit(1)
    if file == b"hang": time.sleep(60)
    while file == b"spin": pass
    if file == b"slow": time.sleep(3)
    if file == b"memory": bytearray(4 << 30)
    if file == b"print": print("noise on stdout", flush=True)
    return real(file if len(file) > 10 else png, grid)
import io
from PIL import Image
out = io.BytesIO(); Image.new("L", (4, 4), 7).save(out, "PNG"); png = out.getvalue()
workers.read = read
workers.serve()
"""


def test_a_file_that_crashes_or_hangs_its_decoder_is_a_bad_file_and_its_neighbours_are_read(monkeypatch):
    monkeypatch.setattr("augmind.core.decoding.SECONDS", 2.0)
    good = png(noise("neighbour"))
    files = [good, b"crash", good, b"vanish", b"print", b"hang", good, b"garbage", b"spin"] + [good] * 70 + [b"crash"]
    answers = list(Pool(workers=2, program=MISBEHAVING).read(files))
    said = [str(a) if isinstance(a, CannotRead) else "ok" for a in answers]
    want = ["ok", "crashed", "ok", "crashed", "ok", "took", "ok", "crashed", "took"] + ["ok"] * 70 + ["crashed"]
    assert [s.split()[0] for s in said] == want


def test_a_decoder_that_gets_little_of_a_busy_machine_is_waited_for(monkeypatch):
    """Of three seconds of the clock it has worked for one, which is less than it may."""
    monkeypatch.setattr("augmind.core.decoding.SECONDS", 1.2)
    monkeypatch.setattr("augmind.core.decoding.spent", lambda pid: time.monotonic() / 3)
    (answer,) = Pool(workers=1, program=MISBEHAVING).read([b"slow"])
    assert isinstance(answer, Picture)


def test_a_reason_given_instead_of_a_file_comes_out_as_it_went_in():
    reason = CannotRead("no such file")
    answers = list(Pool().read([reason, png(GREY), reason]))
    assert answers[0] is reason and answers[2] is reason and isinstance(answers[1], Picture)
    assert list(Pool().read([])) == []


def test_large_and_small_sets_are_decoded_alike(tmp_path):
    files = [png(noise(i, (9, 9))) for i in range(150)]
    one = list(Pool(workers=1).read(files, (8, 8)))
    assert one == list(Pool(workers=3).read(files, (8, 8))) == [read(f, (8, 8)) for f in files]


# ---------------------------------------------------------------- bad rows of tables


def table(tmp_path, text, name="t.csv", per_class=8):
    root = classes(tmp_path / "data", per_class)
    lines = "".join(f"{p},{y}\n" for p, y in listing(root))
    return write(root / name, (text if isinstance(text, bytes) else ("path,label\n" + lines + text).encode()))


BAD_ROWS = {
    "missing file": ("cat/nowhere.png,cat\n", "corrupt", "no such file"),
    "escape": ("../outside.png,cat\n", "corrupt", "outside the dataset's folder"),
    "absolute": ("/etc/passwd,cat\n", "corrupt", "outside the dataset's folder"),
    "link out": ("link.png,cat\n", "corrupt", "outside the dataset's folder"),
    "web address": ("https://example.org/a.png,cat\n", "corrupt", "web address"),
    "no path": (",cat\n", "corrupt", "no file is given"),
    "folder": ("cat,cat\n", "corrupt", "no such file"),
    "no label": ("cat/0.png,\n", "unlabelled", "no label"),
    "blank label": ("cat/0.png,   \n", "unlabelled", "no label"),
    "too many fields": ("cat/0.png,cat,extra\n", "corrupt", "3 fields, not 2"),
    "too few fields": ("cat/0.png\n", "corrupt", "1 fields, not 2"),
    "long path": ("x" * 5000 + ",cat\n", "corrupt", ""),
    "huge field": ("x" * 2_000_000 + ",cat\n", "corrupt", ""),
    "text file": ("t.csv,cat\n", "corrupt", "text, not a picture"),
    "quoted newline": ('"cat/\n0.png",cat\n', "corrupt", "no such file"),
    "windows path": ("cat\\0.png,cat\n", "ok", ""),
    "quoted comma": ('"cat/0.png","cat"\n', "ok", ""),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_row_of_a_table_is_set_aside_by_its_number(tmp_path, kind):
    text, status, reason = BAD_ROWS[kind]
    path = table(tmp_path, text)
    outside = write(tmp_path / "outside.png", png(GREY))
    (path.parent / "link.png").symlink_to(outside)
    data = load(path)
    assert len(data.rows) == 17 and [r.source for r in data.rows] == [f"t.csv:{i}" for i in range(2, 19)]
    assert (data.rows[16].status, reason in data.rows[16].reason) == (status, True)
    assert all(r.status == "ok" for r in data.rows[:16])


def test_bad_lines_of_jsonl_are_set_aside_by_their_number(tmp_path):
    root = classes(tmp_path / "data")
    lines = [json.dumps({"path": p, "label": y}) for p, y in listing(root)]
    lines[1:1] = ["{broken", "[1, 2]", ""]
    data = load(write(root / "t.jsonl", "\n".join(lines).encode()), max_bad=0.5)
    assert [(r.source, r.status) for r in data.rows[:4]] == [
        ("t.jsonl:1", "ok"), ("t.jsonl:2", "corrupt"), ("t.jsonl:3", "corrupt"), ("t.jsonl:5", "ok")
    ]  # fmt: skip


REFUSED = {
    "half of utf-16": ("path,label\n".encode("utf-16")[:-1], "begins like UTF-16", "UTF-8"),
    "latin-1": ("path,label\ncat/0.png,caf\xe9\n".encode("latin-1"), "byte 0xe9 in line 2", "UTF-8"),
    "zero bytes": (b"path,label\ncat/0.png,c\0at\n", "zero bytes", "UTF-8"),
    "empty": (b"", "empty", ""),
    "blank": (b"\n\n  \n", "empty", ""),
    "header only": (b"path,label\n", "no rows", ""),
    "no label column": (b"path,lable\ncat/0.png,cat\n", "no label column", "'lable'"),
    "no picture column": (b"a,label\ncat/0.png,cat\n", "no picture or sound column", "--column"),
    "two label columns": (b"path,label,label\ncat/0.png,cat,dog\n", "2 columns named 'label'", ""),
    "one class": (b"path,label\ncat/0.png,cat\ncat/1.png,cat\n", "one class only", ""),
    "no labels": (b"path,label\ncat/0.png,\ncat/1.png,\n", "has a label", "--label"),
    "nothing readable": (b"path,label\na.png,cat\nb.png,dog\n", "2 of 2 rows", "repair"),
    "labels of their own": (b"path,label\n" + b"".join(b"cat/0.png,id%d\n" % i for i in range(30)), "label of its own", "--label"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_tables_that_cannot_be_used_are_refused_in_words(tmp_path, kind):
    text, message, hint = REFUSED[kind]
    refused(table(tmp_path, text, per_class=2), message, hint)


def refused(source, message, help="", error_type=DataError, **options):
    with pytest.raises(AugmindError) as error:
        load(source, **options)
    assert type(error.value) is error_type
    assert message in str(error.value) and help in error.value.help
    assert error.value.help and "\n" not in str(error.value)


def test_misspelt_columns_are_corrected(tmp_path):
    refused(table(tmp_path, ""), "no column 'lable'", "did you mean 'label'? its columns are 'path', 'label'", label="lable")


def test_labels_that_are_no_classes_are_refused(tmp_path):
    root = classes(tmp_path / "data")
    for name, labels in {"numbers": [0.1, 2.5, 3, 1, 2, 3.5], "lists": [["a"]] * 6}.items():
        pq.write_table(pa.table({"path": [p for p, _ in listing(root)], "label": labels}), root / f"{name}.parquet")
    refused(root / "numbers.parquet", "a number to predict", "--label")
    refused(root / "lists.parquet", "holds a list", "--label")


@pytest.mark.parametrize("ending", ["csv", "tsv", "json", "jsonl", "parquet", "arrow", "npz", "zip", "tar", "tar.gz", "feather"])
@pytest.mark.parametrize("data", [b"", b"\0\1\2\3" * 50, b"PAR1" + b"\xff" * 30 + b"PAR1", b"PK\5\6" + b"\0" * 18, b"[" * 50_000])
def test_any_file_of_nonsense_is_refused(tmp_path, ending, data):
    with pytest.raises(DataError) as error:
        load(write(tmp_path / f"x.{ending}", data))
    assert "x." in str(error.value) or "'x'" in str(error.value)


@pytest.mark.parametrize(
    "pack", [as_parquet_struct, as_arrow, as_arrow_stream, as_npz, as_json, as_csv, as_saved_dataset], ids=lambda f: f.__name__[3:]
)
def test_random_damage_to_tables_is_refused_or_read_but_never_anything_else(tmp_path, pack):
    """Some of it aborts the whole program if Arrow is not asked to validate what it maps."""
    root = classes(tmp_path / "data", shape=(4, 4))
    (tmp_path / "out").mkdir()
    source = pack(root, listing(root), tmp_path / "out")
    file = max(source.iterdir(), key=lambda p: p.stat().st_size) if source.is_dir() else source
    good, rng, refusals = file.read_bytes(), np.random.default_rng(0), 0
    for _ in range(60):
        bad = np.frombuffer(good, np.uint8).copy()
        bad[rng.integers(0, len(bad), rng.integers(1, 6))] = rng.choice([0, 255, 10, 34, rng.integers(0, 256)])
        file.write_bytes(bad.tobytes() if rng.random() < 0.8 else bad.tobytes()[: rng.integers(0, len(bad))])
        try:
            found = (
                saved_entries(source, Columns()) if source.is_dir()
                else array_entries(source, Columns()) if source.suffix == ".npz"
                else table_entries(source, Columns(), root=root)
            )  # fmt: skip
            for entry in found.entries:
                _ = entry.content() if callable(entry.content) else None
        except DataError:
            refusals += 1
    assert refusals > 3


# ---------------------------------------------------------------- bad sources


def test_missing_paths_are_refused_with_the_nearest_name(tmp_path):
    classes(tmp_path / "pictures")
    refused(tmp_path / "picturse", "there is no file or folder", f"did you mean '{tmp_path / 'pictures'}'")
    refused(tmp_path / "zzz" / "b" / "c", "zzz/b/c", "'zzz' in it does not")
    refused(str(tmp_path) + "\0", "not a usable path")
    refused(tmp_path / ("x" * 300), "", "")


def test_hub_ids_fail_at_once_without_permission(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def blocked(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", blocked)
    monkeypatch.setattr(socket, "getaddrinfo", blocked)
    started = time.monotonic()
    refused("some-people/some-pictures", "no file or folder", "--download")
    assert time.monotonic() - started < 2


def test_a_hub_out_of_reach_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def unreachable(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr("augmind.data.hub.urlopen", unreachable)
    with pytest.raises(MachineError, match=r"cannot get 'some-people/some-pictures' from the Hugging Face Hub.*no route") as error:
        load("some-people/some-pictures", download=True)
    assert "network" in error.value.help


def test_folders_that_cannot_be_understood_are_refused_with_the_expected_layout(tmp_path):
    (tmp_path / "empty" / "a" / "b").mkdir(parents=True)
    refused(tmp_path / "empty", "'empty' is empty", "one folder a class")
    write(tmp_path / "junk" / ".DS_Store", b"")
    refused(tmp_path / "junk", "'junk' is empty", "one folder a class")
    for i in range(3):
        write(tmp_path / "flat" / f"{i}.png", png(GREY))
    refused(tmp_path / "flat", "3 pictures but no class folders", "one folder a class")
    write(tmp_path / "words" / "a" / "a.txt", b"hello")
    refused(tmp_path / "words", "neither pictures nor sounds: 1 other files, such as 'a/a.txt'", "one folder a class")
    refused(classes(tmp_path / "one", names=("cat",)), "one class only: 'cat'", "two classes")
    refused(write(tmp_path / "model.pt", b"x"), "no known kind of dataset", ".csv")
    refused(write(tmp_path / "none.zip", b""), "'none.zip' is empty", "one folder a class")
    bad = classes(tmp_path / "bad", 2)
    for file in bad.rglob("*.png"):
        file.write_bytes(b"")
    refused(bad, "4 of 4 rows", "repair")
    lost = classes(tmp_path / "lost", 8)
    for file in (lost / "dog").rglob("*.png"):
        file.write_bytes(b"")
    refused(lost, "one class only with readable rows: 'cat'", "two classes", max_bad=0.5)
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "pipe, socket or device")


def test_folders_nested_without_end_are_cut(tmp_path):
    classes(tmp_path / "data")
    write(tmp_path / "data" / "cat" / Path(*["n"] * 60) / "deep.png", png(GREY))
    data = load(tmp_path / "data")
    assert len(data.samples) == 6 and [r.status for r in data.bad()] == ["stray"] and "deeper" in data.bad()[0].reason


def test_unsafe_archives_and_arrays_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as z:
        z.writestr("cat/1.png", png(GREY))
        z.writestr("../dog/1.png", png(GREY))
    refused(tmp_path / "a.zip", "leads out of the archive")
    np.savez(tmp_path / "p.npz", x=np.array([{"a": 1}, None], dtype=object), y=np.array([0, 1]))
    refused(tmp_path / "p.npz", "could run code")
    np.savez(tmp_path / "s.npz", x=noise("x", (4, 5, 5)), y=np.array([0, 1, 0]))
    refused(tmp_path / "s.npz", "has 4 rows but", "equally long")
    np.savez(tmp_path / "f.npz", x=noise("x", (4, 25)), y=np.array([0, 1, 0, 1]))
    refused(tmp_path / "f.npz", "shape (4, 25)")
    np.savez(tmp_path / "n.npz", x=np.full((2, 5, 5), -3.0), y=np.array([0, 1]))
    refused(tmp_path / "n.npz", "from -3 to -3")
    np.savez(tmp_path / "k.npz", a=1)
    refused(tmp_path / "k.npz", "has arrays a", "train_images")


def test_arrays_with_rows_that_are_not_finite_and_other_labels(tmp_path):
    x = noise("x", (10, 5, 5)) / 255
    x[3, 0, 0] = np.nan
    np.savez(tmp_path / "a.npz", images=x, labels=np.eye(2)[np.arange(10) % 2], who=np.arange(10) // 5)
    data = load(tmp_path / "a.npz", group="who")
    assert [r.source for r in data.bad()] == ["a.npz:3"] and "finite" in data.bad()[0].reason
    assert data.samples.group.tolist() == [0] * 4 + [1] * 5


def test_settings_out_of_range_are_refused(tmp_path):
    root = classes(tmp_path / "data")
    refused(root, "size 7", "8 to 256", UsageError, size=7)
    refused(root, "size (8, 1000)", "8 to 256", UsageError, size=(8, 1000))
    refused(root, "max_bad=2", "", UsageError, max_bad=2.0)
    refused(root, "--label x names a column", "give a table", UsageError, label="x")


def test_unknown_options_are_refused_in_python(tmp_path):
    root = classes(tmp_path / "data")
    with pytest.raises(UsageError, match="unknown option of load 'colum'") as caught:
        augmind.load(root, colum="x")
    assert "did you mean 'column'" in caught.value.help
    with pytest.raises(UsageError, match="takes no options, and size"):
        augmind.inspect(augmind.load(root), size=20)


def test_a_missing_path_is_to_be_checked_before_the_hub_is_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(classes(tmp_path / "data").parent)
    with pytest.raises(DataError, match="there is no file or folder 'nope'") as caught:
        load("nope")
    way = caught.value.help
    assert way.startswith("check the path: '.' exists, 'nope' in it does not.") and "Hugging Face Hub" in way
    command = way.partition("network: ")[2].partition(" (")[0].split()
    assert command == ["augmind", "expand", "nope", "--download"]
    with pytest.raises(DataError) as caught:
        load("dat")
    assert caught.value.help.startswith("check the path: did you mean 'data'?")


# ---------------------------------------------------------------- sizes and findings


def test_a_dataset_is_shown_in_one_line(tmp_path):
    write(classes(tmp_path / "data") / "cat" / "bad.png", b"no")
    assert repr(load(tmp_path / "data")) == "<Dataset 'data': 6 rows of 3 x 12 x 10 in 2 classes, 1 set aside>"


def test_labels_that_may_mean_none_are_said(tmp_path):
    root = classes(tmp_path / "data", 4)
    lines = [f"{p.relative_to(root)},{('NA', 'None', p.parent.name, p.parent.name)[i % 4]}" for i, p in enumerate(sorted(root.rglob("*.png")))]
    (root / "list.csv").write_text("\n".join(["path,label", *lines]))
    data = load(root / "list.csv")
    assert data.spec.classes == ("NA", "None", "cat", "dog")
    found = [f for f in data.findings if f.code == "AM118"]
    assert [(f.level, f.about["classes"]) for f in found] == [("warning", ["NA"]), ("warning", ["None"])]
    assert found[0].text.startswith("2 rows have the label 'NA', which was taken as a class")
    assert not [f for f in load(classes(tmp_path / "other")).findings if f.code == "AM118"]


@pytest.mark.parametrize("many", [False, True])
def test_rows_set_aside_are_counted_in_good_english_and_no_picture_is_called_none(many, tmp_path):
    root = classes(tmp_path / "data", 6)
    for i in range(1 + many):
        write(root / "cat" / f"bad{i}.png", b"no")
        write(root / f"loose{i}.png", png(noise(i)))
        write(root / "cat" / f"notes{i}.txt", b"text")
    text = {f.code: f.text for f in load(root).findings}
    assert text["AM102"].startswith("2 rows could not be read" if many else "1 row could not be read")
    assert text["AM103"].startswith("2 rows have no label and were set aside" if many else "1 row has no label and was set aside")
    assert text["AM104"].startswith("2 files are no rows and were set aside" if many else "1 file is no row and was set aside")
    assert "loose0.png" in text["AM103"] and "are no pictures" not in text["AM104"]


def test_pictures_of_many_sizes_come_to_one_grid_and_it_is_said(tmp_path):
    root = tmp_path / "data"
    for i in range(8):
        write(root / "ab"[i % 2] / f"{i}.jpg", saved(Image.fromarray(noise(i, (150 + i, 200, 3))), "JPEG"))
    data = load(root)
    assert data.spec.shape == (3, 48, 64)
    text = next(f.text for f in data.findings if f.code == "AM105")
    assert "shrunk from 8 sizes (median 200 x 153) to 64 x 48" in text
    assert data.rows[0].about == {"width": 200, "height": 150, "mode": "RGB", "format": "JPEG"}
    assert load(root, size=20).spec.shape == (3, 20, 20)
    assert load(root, size=(12, 16)).spec.shape == (3, 12, 16)


def test_conversions_and_small_classes_are_said(tmp_path):
    root = classes(tmp_path / "data", 4, ("Cat", "dog", "cat "[:3]))
    exif = Image.Exif()
    exif[0x0112] = 3
    write(root / "dog" / "turned.png", saved(RGB, "PNG", exif=exif))
    write(root / "dog" / "cmyk.jpg", saved(RGB.convert("CMYK"), "JPEG"))
    write(root / "dog" / "deep.png", png(np.full((9, 9), 4000, np.uint16)))
    write(root / "rare" / "1.png", png(RGB))
    write(root / "lost" / "1.png", b"")
    findings = load(root).findings
    texts = {f.code: [g.text for g in findings if g.code == f.code] for f in findings}
    assert texts["AM106"] == ["pictures were converted: 1 CMYK to RGB, 1 more than 8 bits to 8 bits, 1 turned upright as EXIF says"]
    assert "4000 of 65535" in texts["AM107"][0]
    assert [t[:30] for t in texts["AM108"]] == ["1 class has one row only: rare", "class 'lost' has no readable r", "classes ['Cat', 'cat'] differ "]
    assert "6 sizes" not in texts["AM105"][0] and "resized" in texts["AM105"][0]


# ---------------------------------------------------------------- the stamp


@pytest.mark.parametrize("pack", [as_csv, as_jsonl, as_json_columns])
def test_the_stamp_of_a_table_is_also_that_of_the_files_it_names(pack, tmp_path):
    root = classes(tmp_path / "data")
    rows = [(f"data/{f}", label) for f, label in listing(root)]
    table = pack(tmp_path, rows[:-1], tmp_path)
    known = stamp(str(table))
    assert known == stamp(str(table))
    write(tmp_path / rows[-1][0], png(noise("a row that the table does not name")))
    assert stamp(str(table)) == known
    write(tmp_path / rows[0][0], png(noise("changed")))
    changed = stamp(str(table))
    assert changed != known
    (tmp_path / rows[1][0]).unlink()
    assert stamp(str(table)) not in (known, changed)


def test_the_stamp_looks_into_the_column_that_is_named(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.png", png(noise(name)))
    (tmp_path / "t.csv").write_text("path,other,label\na.png,b.png,x\n")
    plain, other = stamp(str(tmp_path / "t.csv")), stamp(str(tmp_path / "t.csv"), "other")
    write(tmp_path / "b.png", png(noise("changed")))
    assert stamp(str(tmp_path / "t.csv")) == plain and stamp(str(tmp_path / "t.csv"), "other") != other


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "path,label\n\\\\x\\y,1\nhttp://x/y.png,2\n" + "z" * 5000 + ".png,3\n"])
def test_the_stamp_of_a_useless_table_is_no_error(text, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    assert stamp(str(tmp_path / "t.csv")) == stamp(str(tmp_path / "t.csv"))


def test_a_stray_file_of_arrays_does_not_stand_in_for_a_table(tmp_path):
    np.savez(tmp_path / "embeddings.npz", emb=np.zeros(3))
    (tmp_path / "t.csv").write_text("text,label\n" + "".join(f"words of row {i},{'ab'[i % 2]}\n" for i in range(8)))
    assert load(tmp_path).spec.kind == "tokens"


def test_groups_of_arrays_are_those_of_their_split(tmp_path):
    x, y = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "a.npz", train_x=x, train_y=y, train_group=[1, 1, 2, 2], test_x=255 - x, test_y=y, test_group=[3, 4, 5, 6])
    assert [row.group for row in load(tmp_path / "a.npz", group="group").rows] == ["1", "1", "2", "2", "3", "4", "5", "6"]
    np.savez(tmp_path / "b.npz", x=x, y=y, who=[1, 2])
    with pytest.raises(DataError, match=r"'x' has 4 rows but 'who' has 2"):
        load(tmp_path / "b.npz", group="who")
