"""Unpacking: honest archives come out whole, hostile and damaged ones leave nothing behind."""

import gzip
import io
import lzma
import os
import random
import shutil
import stat
import struct
import tarfile
import zipfile

import numpy as np
import pytest

from dfmvr.errors import DataError, OutputError
from dfmvr.fetch import archive as archives
from dfmvr.fetch.archive import MARKER, is_unpacked, unpack

FILES = {
    "top/a.txt": b"a" * 700,
    "top/empty.bin": b"",
    "top/one block.bin": bytes(range(256)) * 2,
    "top/below/über.bin": np.random.default_rng(0).bytes(70_000),
    f"top/{'x' * 120}/{'y' * 120}.txt": b"long name",
}
LIFTED = {name.removeprefix("top/"): content for name, content in FILES.items()}


def add(tar, name, content=b"", **fields):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    tar.addfile(member, io.BytesIO(content))


def write_tar(path, files=FILES, mode="w", format=tarfile.PAX_FORMAT):
    with tarfile.open(path, mode, format=format) as tar:
        add(tar, "top/", type=tarfile.DIRTYPE)
        for name, content in files.items():
            add(tar, name, content)
    return path


def write_zip(path, files=FILES, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.mkdir("top")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def content_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MARKER
    }


def refused(archive, message, error=DataError):
    """The archive is refused, and nothing but it is in its folder."""
    with pytest.raises(error, match=message) as raised:
        unpack(archive, archive.parent / "out")
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_zip_comes_out_whole(tmp_path, method):
    assert content_of(unpack(write_zip(tmp_path / "a.zip", method=method), tmp_path / "out")) == LIFTED


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_comes_out_whole(tmp_path, mode, format):
    files = FILES if format != tarfile.USTAR_FORMAT else {name: FILES[name] for name in list(FILES)[:3]}
    write_tar(tmp_path / "a", files, mode, format)
    expected = {name.removeprefix("top/"): content for name, content in files.items()}
    assert content_of(unpack(tmp_path / "a", tmp_path / "out")) == expected


def test_many_xz_streams_are_one_file(tmp_path):
    plain = write_tar(tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar.xz").write_bytes(lzma.compress(plain[:5000]) + lzma.compress(plain[5000:]))
    assert content_of(unpack(tmp_path / "a.tar.xz", tmp_path / "out")) == LIFTED


def test_only_a_single_top_folder_is_lifted(tmp_path):
    write_zip(tmp_path / "a.zip", {"top/x": b"1", "y": b"2"})
    write_zip(tmp_path / "b.zip", {"top/top/x": b"1", "__MACOSX/top/._x": b"rubbish"})
    assert content_of(unpack(tmp_path / "a.zip", tmp_path / "a")) == {"top/x": b"1", "y": b"2"}
    assert content_of(unpack(tmp_path / "b.zip", tmp_path / "b")) == {"top/x": b"1"}


def test_other_files_are_never_replaced(tmp_path):
    archive = write_zip(tmp_path / "a.zip")
    (tmp_path / "out").mkdir()
    unpack(archive, tmp_path / "out")  # an empty folder is no obstacle
    assert is_unpacked(tmp_path / "out")
    with pytest.raises(OutputError, match="found other files"):
        unpack(archive, tmp_path / "out")
    assert content_of(tmp_path / "out") == LIFTED
    with pytest.raises(OutputError, match="found other files"):
        unpack(archive, archive)


NAMES = {
    "../evil": "leaves the folder",
    "top/../../evil": "leaves the folder",
    "/evil": "leaves the folder",
    "C:/evil": "leaves the folder",
    "c:evil": "leaves the folder",
    "top\\..\\evil": "leaves the folder",
    "a\x00b": "not printable",
    "a\nb": "not printable",
    "x" * 256: "too long",
    "/".join("abcdefgh" * 200): "too long",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = name
        archive.writestr(info, b"evil")
    refused(tmp_path / "a.zip", NAMES[name])
    (tmp_path / "a.zip").unlink()
    if "\0" not in name:
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            add(tar, "fine", b"1")
            add(tar, name, b"evil")
        refused(tmp_path / "a.tar", NAMES[name])


@pytest.mark.parametrize(
    "names",
    [("a", "a"), ("a", "A"), ("d/a", "D/b"), ("a", "a/b"), ("a/b", "a"), ("stra\u00dfe", "STRASSE"), ("é", "e\u0301")],
)
def test_names_that_fall_upon_each_other_are_refused(tmp_path, names):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in names:
            add(tar, name, b"1")
    refused(tmp_path / "a.tar", "is there already")


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        *((tarfile.SYMTYPE, target) for target in ("/etc/passwd", "../..", "fine")),
        *((tarfile.LNKTYPE, target) for target in ("../../etc/passwd", "fine")),
        *((device, "") for device in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)),
    ],
)
def test_links_and_devices_are_refused(tmp_path, kind, target):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "fine", b"1")
        add(tar, "special", type=kind, linkname=target)
        add(tar, "special/evil", b"evil")
    refused(tmp_path / "a.tar", "'special' is a link, a device or a sparse file")


def test_a_link_in_a_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    refused(tmp_path / "a.zip", "'link' is a link")


def test_files_are_not_executable_whatever_the_archive_says(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "tool", b"#!/bin/sh", mode=0o6777)
    out = unpack(tmp_path / "a.tar", tmp_path / "out")
    assert not (out / "tool").stat().st_mode & (stat.S_IXUSR | stat.S_ISUID | stat.S_ISGID)


@pytest.mark.parametrize("mode", ["zip", "w:gz", "w:bz2", "w:xz"])
def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path, monkeypatch, mode):
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED", 1 << 20)
    files = {f"{i}": bytes(1 << 20) for i in range(8)}
    write_zip(tmp_path / "a", files) if mode == "zip" else write_tar(tmp_path / "a", files, mode)
    refused(tmp_path / "a", "made to fill a disk")


def test_a_bomb_behind_the_end_of_a_tar_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED", 1 << 20)
    plain = write_tar(tmp_path / "a", {"a": b"1"}).read_bytes()
    (tmp_path / "a").write_bytes(gzip.compress(plain + bytes(2 << 20)))
    refused(tmp_path / "a", "made to fill a disk")
    (tmp_path / "a").write_bytes(gzip.compress(plain + plain))
    refused(tmp_path / "a", "goes on after its end")


def test_a_zip_that_announces_less_than_it_gives_is_refused(tmp_path):
    truth, told = struct.pack("<I", 1_234_567), struct.pack("<I", 1000)
    content = write_zip(tmp_path / "a.zip", {"zeros": bytes(1_234_567)}).read_bytes()
    assert content.count(truth) == 2
    (tmp_path / "a.zip").write_bytes(content.replace(truth, told))
    refused(tmp_path / "a.zip", "Bad CRC-32 for file 'zeros'")


def test_text_that_shrinks_as_text_does_is_no_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED", 0)
    text = "".join(f"v {i % 97} {i % 89} 0\n" for i in range(50_000)).encode()
    archive = write_zip(tmp_path / "a.zip", {"mesh.obj": text})
    assert len(text) > 4 * archive.stat().st_size
    assert content_of(unpack(archive, tmp_path / "out")) == {"mesh.obj": text}


def test_too_little_room_is_said_before_writing(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    refused(write_zip(tmp_path / "a.zip"), "free some space", OutputError)


@pytest.mark.parametrize("size", [1 << 30, 60_000])  # the second one takes some releases of Python long to parse
def test_a_huge_header_is_not_read(tmp_path, size):
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, size
    content = header.tobuf(tarfile.USTAR_FORMAT) + b"1" * 60_416 + tarfile.TarInfo("file").tobuf() + bytes(1024)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(content))
    refused(tmp_path / "a.tar.gz", f"a header of {size} bytes")


def test_sparse_files_are_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("holes")
        member.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,0",
                              "GNU.sparse.size": str(1 << 40)}  # fmt: skip
        tar.addfile(member)
    refused(tmp_path / "a.tar", "sparse")


def test_an_encrypted_zip_is_refused(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"x": b"1"}, zipfile.ZIP_STORED)
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.rindex(signature)
        content[at + offset] |= 1
    archive.write_bytes(content)
    refused(archive, "encrypted")


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>", b"PK\x03\x04 and nothing else", bytes(2000)])
def test_other_files_are_no_archives(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    refused(tmp_path / "a.zip", r"a\.zip: not an archive that can be unpacked safely")


def test_a_missing_archive_is_said(tmp_path):
    with pytest.raises(DataError, match=r"a\.zip: no such archive"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_cut_off_anywhere_is_never_taken_for_whole(tmp_path, mode):
    files = {"a": b"1" * 600, "b": b"2" * 100}
    content = write_tar(tmp_path / "a", files, mode).read_bytes()
    # two blocks of zeros end a tar file; what follows is padding
    end = len(content) if mode == "w:gz" else 512 * 6 + 1
    for length in range(0, end, 1 if mode == "w:gz" else 64):
        (tmp_path / "a").write_bytes(content[:length])
        refused(tmp_path / "a", "can be unpacked safely")


def test_a_tar_with_a_damaged_header_in_the_middle_is_not_taken_for_shorter(tmp_path):
    content = bytearray(write_tar(tmp_path / "a", {"a": b"1", "b": b"2"}).read_bytes())
    content[512 * 3] ^= 1  # the name of b
    (tmp_path / "a").write_bytes(content)
    refused(tmp_path / "a", "ends early or has a damaged header")


def mutated(rng, content):
    """Cut the content or change up to four of its bytes."""
    if rng.random() < 0.2:
        return content[: rng.randrange(len(content))]
    result = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        result[rng.randrange(len(result))] = rng.randrange(256)
    return bytes(result)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz"])
def test_damaged_archives_are_one_kind_of_error_and_stay_inside(tmp_path, kind):
    files = {"top/a.txt": b"some text " * 9, "top/below/b.bin": bytes(range(64)), f"{'l' * 150}/c": b"long"}
    path = tmp_path / f"a.{kind}"
    if kind == "zip":
        write_zip(path, files)
    else:
        write_tar(path, files, {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz"}[kind])
    content, rng = path.read_bytes().rstrip(b"\0") + bytes(1024) * (kind == "tar"), random.Random(0)
    refusals = 0
    for _ in range(800):
        path.write_bytes(mutated(rng, content))
        try:
            found = content_of(unpack(path, tmp_path / "out"))
            # a plain tar has no checksum of its contents
            assert kind == "tar" or set(found.values()) <= set(files.values())
        except DataError:
            refusals += 1
        assert set(os.listdir(tmp_path)) <= {path.name, "out"}
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert 200 < refusals
