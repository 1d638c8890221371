"""Crafted archives: every attack is refused by name and leaves nothing behind; honest archives unpack byte for byte."""

import io
import os
import struct
import tarfile
import zipfile
import zlib

import pytest

from augmind.core.errors import DataError
from augmind.data.archive import Limits, extract

GOOD = {"cats/1.png": b"one", "cats/2.png": b"two" * 1000, "dögs/größe 3.png": b"three", "כלב/כלב.png": b"four"}
SMALL = Limits(entries=20, total=40_000, file=20_000, ratio=20, free=4_000)


def make_zip(path, members, kind=zipfile.ZIP_DEFLATED):
    """`members`: (name or ZipInfo, bytes). Names are written as they are."""
    with zipfile.ZipFile(path, "w", kind) as z:
        for name, data in members:
            info = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name)
            info.compress_type = kind
            z.writestr(info, data)
    return path


def make_tar(path, members, mode="w"):
    """`members`: (name or TarInfo, bytes)."""
    with tarfile.open(path, mode) as t:
        for name, data in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data) if info.isreg() else 0
            t.addfile(info, io.BytesIO(data))
    return path


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tgz"])
def test_honest_archives_unpack_byte_for_byte(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    members = list(GOOD.items())
    if ending == "zip":
        make_zip(path, [("cats/", b""), *members])
    else:
        folder = tarfile.TarInfo("./cats")
        folder.type = tarfile.DIRTYPE
        make_tar(path, [(folder, b""), *(("./" + n, d) for n, d in members)], "w" if ending == "tar" else "w:gz")
    assert contents(extract(path, tmp_path / "out")) == GOOD


def zip_member(name, *, mode=None, flags=None):
    info = zipfile.ZipInfo("x")
    info.filename = info.orig_filename = name
    if mode is not None:
        info.create_system, info.external_attr = 3, mode << 16
    return info


def tar_member(name, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


OK = ("cats/1.png", b"one")
UNSAFE = {
    "parent": "../evil.png",
    "parent inside": "cats/../../evil.png",
    "absolute": "/tmp/evil.png",
    "drive": "C:/evil.png",
    "drive relative": "C:evil.png",
    "backslash": "..\\evil.png",
    "backslash inside": "cats\\evil.png",
    "newline": "cats/e\nvil.png",
    "case": "CATS/evil.png",
    "case of a file": "cats/1.PNG",
    "twice": "cats/1.png",
    "file and folder": "cats/1.png/evil.png",
    "folder and file": "cats",
    "long": "cats/" + "e" * 256,
    "long path": "cats/" * 300 + "evil.png",
}


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("attack", UNSAFE)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_unsafe_names_refuse_the_whole_archive(tmp_path, attack, ending):
    path, name = tmp_path / f"a.{ending}", UNSAFE[attack]
    if ending == "zip":
        make_zip(path, [OK, (zip_member(name), b"evil")])
    else:
        make_tar(path, [OK, (tar_member(name), b"evil")], "w" if ending == "tar" else "w:gz")
    refused(path, tmp_path, repr(name[:20])[1:-1])


def refused(path, tmp_path, *words, limits=SMALL):
    """Extraction raises a `DataError` that holds the words, and no byte stays in the target or appears beside it."""
    before = sorted(p.name for p in tmp_path.iterdir() if p.name != "out")
    with pytest.raises(DataError) as error:
        extract(path, tmp_path / "out", limits)
    for word in words:
        assert word in str(error.value)
    assert error.value.help
    assert list((tmp_path / "out").iterdir()) == []
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "out") == before
    return str(error.value)


def test_unicode_forms_of_one_name_collide(tmp_path):
    refused(make_zip(tmp_path / "a.zip", [("caf\u00e9.png", b"1"), ("cafe\u0301.png", b"2")]), tmp_path, "Unicode")


def test_sharp_s_collides_as_case_folding_says(tmp_path):
    refused(make_tar(tmp_path / "a.tar", [("straße.png", b"1"), ("STRASSE.png", b"2")]), tmp_path, "case")


def test_names_with_a_zero_byte_are_refused(tmp_path):
    path = make_zip(tmp_path / "a.zip", [("evil.png_.txt", b"x")])
    path.write_bytes(path.read_bytes().replace(b"png_", b"png\0"))
    refused(path, tmp_path)


@pytest.mark.parametrize(
    ("kind", "mode"), [("symlink", 0o120777), ("device", 0o060644), ("character device", 0o020644), ("pipe", 0o010644), ("socket", 0o140644)]
)
def test_zip_members_that_are_no_files_are_refused(tmp_path, kind, mode):
    refused(make_zip(tmp_path / "a.zip", [OK, (zip_member("evil", mode=mode), b"/etc/passwd")]), tmp_path, "'evil'", "link or device")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE])
def test_tar_members_that_are_no_files_are_refused(tmp_path, kind):
    link = tar_member("evil", kind, "cats/1.png")
    path = make_tar(tmp_path / "a.tar", [OK, (link, b"")])
    if kind == tarfile.CONTTYPE:
        assert contents(extract(path, tmp_path / "out"))["evil"] == b""  # an old name for a plain file
    else:
        refused(path, tmp_path, "'evil'", "link")


def test_writing_through_a_link_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "victim").mkdir()
    path = make_tar(tmp_path / "a.tar", [(tar_member("d", tarfile.SYMTYPE, str(tmp_path / "victim")), b""), ("d/evil", b"x")])
    refused(path, tmp_path, "'d'")
    assert not list((tmp_path / "victim").iterdir())


def test_sparse_members_are_refused(tmp_path):
    info = tarfile.TarInfo("evil")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "evil", "GNU.sparse.realsize": "1000000000"}
    data = b"1\n1000000000\n0\n".ljust(512, b"\0")
    info.size = len(data)
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as t:
        t.addfile(info, io.BytesIO(data))
    refused(tmp_path / "a.tar", tmp_path, "sparse")


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_bombs_stop_at_the_ratio(tmp_path, ending):
    zeros = b"\0" * 15_000
    path = tmp_path / f"a.{ending}"
    make_zip(path, [("0.png", zeros)]) if ending == "zip" else make_tar(path, [("0.png", zeros)], "w:gz")
    refused(path, tmp_path, "expands", "20 times")


def test_default_limits_refuse_a_thousandfold_bomb(tmp_path):
    refused(make_zip(tmp_path / "a.zip", [("0.png", b"\0" * (12 << 20))]), tmp_path, "zip bomb", limits=Limits())


@pytest.mark.parametrize("ending", ["zip", "tar"])
def test_limits_of_one_file_of_all_files_and_of_entries(tmp_path, ending):
    make = make_zip if ending == "zip" else make_tar
    noise = os.urandom(15_000)
    refused(make(tmp_path / f"big.{ending}", [("big.png", os.urandom(25_000))]), tmp_path, "'big.png'", "20,000")
    refused(make(tmp_path / f"all.{ending}", [(f"{i}.png", noise) for i in range(3)]), tmp_path, "'2.png'", "40,000")
    refused(make(tmp_path / f"many.{ending}", [(f"{i}.png", b"") for i in range(21)]), tmp_path, "20 entries")


def test_a_table_of_contents_that_lies_about_its_length_is_noticed(tmp_path):
    path = make_zip(tmp_path / "a.zip", [(f"{'n' * 200}{i}.png", b"") for i in range(21)])
    data = bytearray(path.read_bytes())
    end = data.rindex(b"PK\5\6")
    data[end + 8 : end + 12] = struct.pack("<HH", 1, 1)
    path.write_bytes(data)
    refused(path, tmp_path, "20 entries")


def test_encrypted_members_are_refused(tmp_path):
    path = make_zip(tmp_path / "a.zip", [OK])
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    data[data.index(b"PK\3\4") + 6] |= 1
    path.write_bytes(data)
    refused(path, tmp_path, "encrypted")


def test_entries_that_share_bytes_are_refused(tmp_path):
    path = make_zip(tmp_path / "a.zip", [("a.png", os.urandom(500)), ("b.png", b"b")], zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    second = data.rindex(b"PK\1\2")
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    path.write_bytes(data)
    refused(path, tmp_path, "overlap")


def test_sizes_that_lie_do_not_write_more_than_they_say(tmp_path):
    path = make_zip(tmp_path / "a.zip", [("a.png", bytes(range(256)) * 40)])
    data = bytearray(path.read_bytes())
    for at in (data.index(b"PK\3\4") + 22, data.index(b"PK\1\2") + 24):
        data[at : at + 4] = struct.pack("<I", 10)
    path.write_bytes(data)
    refused(path, tmp_path, "damaged")


def test_headers_that_are_bombs_are_stopped(tmp_path):
    info = tarfile.TarInfo("a.png")
    info.pax_headers = {"comment": "x" * (6 << 20)}
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as t:
        t.addfile(info)
    refused(tmp_path / "a.tar.gz", tmp_path, "headers")


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("data", [b"", b"<!doctype html>", b"PK\3\4 but then nonsense", b"\x1f\x8b\x08\0nonsense", b"\0" * 100, os.urandom(2000)])
def test_files_that_are_no_archives_are_called_damaged(tmp_path, ending, data):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(data)
    refused(path, tmp_path, "damaged")


def test_archives_cut_or_changed_anywhere_fail_cleanly(tmp_path):
    """Never another error than `DataError`; what passes is unchanged content."""
    make_zip(tmp_path / "z.zip", GOOD.items())
    make_tar(tmp_path / "t.tar", GOOD.items())
    make_tar(tmp_path / "g.tgz", GOOD.items(), "w:gz")
    wrong = 0
    for name in ("z.zip", "t.tar", "g.tgz"):
        data = (tmp_path / name).read_bytes()
        step = max(1, len(data) // 60)
        for i in range(0, len(data), step):
            for bad in (data[:i], data[:i] + bytes([data[i] ^ 0x81]) + data[i + 1 :]):
                path = tmp_path / ("bad" + name)
                path.write_bytes(bad)
                target = tmp_path / "out" / f"{name}{i}{len(bad)}"
                try:
                    extract(path, target)
                except DataError:
                    wrong += 1
                    assert list(target.iterdir()) == []
    assert wrong > 100


def test_garbage_between_tar_members_is_not_taken_for_the_end(tmp_path):
    path = make_tar(tmp_path / "a.tar", [("1.png", b"1"), ("2.png", b"2")])
    data = bytearray(path.read_bytes())
    data[1024 + 148 : 1024 + 156] = b"9999999\0"
    path.write_bytes(data)
    refused(path, tmp_path, "damaged", "1,024")


def test_archives_inside_archives_stay_packed(tmp_path):
    inner = make_zip(tmp_path / "in.zip", [("0", b"\0" * 3000)]).read_bytes()
    assert contents(extract(make_zip(tmp_path / "a.zip", [("in.zip", inner)]), tmp_path / "out")) == {"in.zip": inner}


def test_zlib_errors_name_the_archive(tmp_path):
    path = make_zip(tmp_path / "broken.zip", [("a.png", zlib.compress(os.urandom(900)) * 2)])
    data = bytearray(path.read_bytes())
    data[60:200] = b"\xff" * 140
    path.write_bytes(data)
    refused(path, tmp_path, "broken.zip")
