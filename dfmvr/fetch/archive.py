"""Unpacking of archives that nobody vouches for.

In     a zip file (stored or deflated), or a tar file, plain or compressed by gzip, bzip2 or xz.
Gives  a folder of plain files and folders, renamed into its place once everything is there.

Nothing in the archive is trusted: names that leave the folder, links, devices, two entries that would become one file,
and archives that swell beyond measure are refused as a whole. Links are refused even if they stay inside: a data set
needs none, and following them safely is hard.
Source: APPNOTE.TXT 6.3.10 (PKWARE); POSIX.1-2001 pax interchange format; the names of tarfile's data filter (PEP 706).
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import logging
import re
import shutil
import stat
import tarfile
import unicodedata
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tqdm import tqdm

from dfmvr.errors import DataError, OutputError
from dfmvr.fetch.streams import CHUNK, OneWay, XzFile
from dfmvr.files import output_error, writing_folder

log = logging.getLogger(__name__)

MARKER = ".unpacked.json"
"""File in the folder that tells which archive it was made from."""

MAX_RATIO, ALWAYS_ALLOWED = 100, 64 << 20
"""An archive may give a hundred times its size; small ones may give 64 MiB. Images hardly shrink, text by ten."""

MAX_ENTRIES = 2_000_000
MAX_NAME, MAX_PART = 1024, 255
_MAC_RUBBISH = "__MACOSX"


class _Entry(NamedTuple):
    """One file or folder of an archive."""

    name: str
    folder: bool
    size: int
    open: Callable[[], BinaryIO]


class _Budget:
    """How much an archive may give: in proportion to its size, and no more than there is room for."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self.archive, self.packed = archive, archive.stat().st_size
        self.limit = max(ALWAYS_ALLOWED, MAX_RATIO * self.packed)
        self.free = shutil.disk_usage(folder).free

    def check(self, total: int) -> None:
        """Refuse `total` bytes if they are too many."""
        if total > self.limit:
            raise DataError(
                f"{self.archive}: its {self.packed} bytes would become more than {self.limit}, as those of archives "
                "made to fill a disk; download it from another place, or unpack it by hand"
            )
        if total > self.free:
            raise OutputError(
                f"{self.archive}: needs {total / 1e9:.1f} GB, {self.free / 1e9:.1f} GB are free; free some space or "
                "choose another folder"
            )


class _Names:
    """The names met so far, so that no entry falls upon another, also where case or accents do not count."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def add(self, name: str, folder: bool) -> tuple[str, ...]:
        """Check a name and split it into its parts; none for the top folder. ValueError says what is wrong."""
        parts = tuple(part for part in name.split("/") if part not in ("", "."))
        if name.startswith("/") or "\\" in name or re.match("[A-Za-z]:", name) or ".." in parts:
            raise ValueError("its path leaves the folder")
        if not name.isprintable() or len(name) > MAX_NAME or any(len(p.encode()) > MAX_PART for p in parts):
            raise ValueError("its name is too long or not printable")
        if not parts and not folder:
            raise ValueError("it has no name")
        for length in range(1, len(parts) + 1):
            self._add_one("/".join(parts[:length]), folder or length < len(parts))
        return parts

    def _add_one(self, name: str, folder: bool) -> None:
        # Composed and without case, as the file systems of macOS and Windows compare names.
        key = unicodedata.normalize("NFC", name).casefold()
        spelt = f"{name}/" if folder else name
        known = self._seen.get(key)
        if known is not None and not (folder and known == spelt):
            raise ValueError(f"{known!r} is there already")
        self._seen[key] = spelt
        if len(self._seen) > MAX_ENTRIES:
            raise ValueError(f"there are more than {MAX_ENTRIES} entries")


def _zip_entries(file: BinaryIO, budget: _Budget) -> Iterator[_Entry]:
    """List the entries of a zip file."""
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        budget.check(sum(info.file_size for info in infos))
        for info in infos:
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ValueError(f"{info.orig_filename!r} is a link or a device")
            if info.flag_bits & 1:
                raise ValueError(f"{info.orig_filename!r} is encrypted")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{info.orig_filename!r} is compressed by method {info.compress_type}")
            # orig_filename: zipfile cuts the other one at a zero byte
            yield _Entry(info.orig_filename, info.is_dir(), info.file_size, lambda info=info: archive.open(info))


def _tar_entries(file: BinaryIO, budget: _Budget) -> Iterator[_Entry]:
    """List the entries of a tar file, each to be read before the next."""
    stream = OneWay(file, budget.check)
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in archive:
            if not (member.isdir() or (member.isreg() and not member.issparse())) or member.size < 0:
                raise ValueError(f"{member.name!r} is a link, a device or a sparse file")
            size = 0 if member.isdir() else member.size
            budget.check(stream.position + size)
            stream.in_header = False
            yield _Entry(member.name, member.isdir(), size, lambda member=member: archive.extractfile(member))
            stream.in_header = True
            archive.members.clear()  # else it keeps every header
    # tarfile takes a damaged header for the end
    if stream.last != bytes(tarfile.BLOCKSIZE):
        raise ValueError("it ends early or has a damaged header")
    while rest := stream.read(CHUNK):
        if rest.count(0) != len(rest):
            raise ValueError("it goes on after its end")


_FORMATS: tuple[tuple[int, bytes, Callable[[BinaryIO], BinaryIO] | None], ...] = (
    (0, b"PK\x03\x04", None),
    (0, b"PK\x05\x06", None),
    (0, b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (0, b"BZh", lambda file: bz2.BZ2File(file)),
    (0, b"\xfd7zXZ\0", lambda file: io.BufferedReader(XzFile(file), CHUNK)),
    (257, b"ustar", lambda file: file),
)


def _entries(file: BinaryIO, budget: _Budget) -> Iterator[_Entry]:
    """List the entries of an archive whose format its first bytes tell."""
    head = file.read(512)
    file.seek(0)
    for start, magic, decompress in _FORMATS:
        if head[start:].startswith(magic):
            return _zip_entries(file, budget) if decompress is None else _tar_entries(decompress(file), budget)
    raise ValueError(f"expected a zip or tar file, found {head[:16]!r}")


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Tell an error of the disk from one of the archive."""
    try:
        yield
    except OSError as error:
        raise output_error(path, error) from error


def _write_entry(entry: _Entry, path: Path, bar: tqdm) -> None:
    """Write one file or make one folder."""
    with _written(path):
        (path if entry.folder else path.parent).mkdir(parents=True, exist_ok=True)
    if entry.folder:
        return
    left = entry.size
    with _written(path):
        target = path.open("xb", buffering=0)
    with target, entry.open() as content:
        while data := content.read(CHUNK):
            with _written(path):
                target.write(data)
            bar.update(len(data))
            left -= len(data)
    if left:
        raise ValueError(f"{entry.name!r}: {left} of {entry.size} bytes are missing")


def _write(archive: Path, folder: Path) -> None:
    """Write the content of an archive into an empty folder."""
    names, budget = _Names(), _Budget(archive, folder)
    try:
        with archive.open("rb") as file, tqdm(desc=f"unpack {archive.name}", unit="B", unit_scale=True) as bar:
            for entry in _entries(file, budget):
                try:
                    parts = names.add(entry.name, entry.folder)
                except ValueError as error:
                    raise ValueError(f"{entry.name!r}: {error}") from None
                if parts and parts[0] != _MAC_RUBBISH and parts[-1] != MARKER:
                    _write_entry(entry, folder.joinpath(*parts), bar)
    except (DataError, OutputError):
        raise
    except Exception as error:  # zipfile, tarfile and the decompressors raise errors of many kinds on damaged files
        raise DataError(
            f"{archive}: not an archive that can be unpacked safely ({error}); download it again, or unpack it by hand "
            "if you trust it"
        ) from error


def _lift(folder: Path) -> None:
    """If all lies in one folder, as in most archives, put what is in it in its place."""
    inside = list(folder.iterdir())
    if len(inside) != 1 or not inside[0].is_dir():
        return
    top = inside[0].rename(folder / uuid.uuid4().hex)
    for path in list(top.iterdir()):
        path.rename(folder / path.name)
    top.rmdir()


def _identity(archive: Path) -> dict[str, str | int]:
    """What tells an archive from another without reading all of it: name, size and both its ends."""
    try:
        with archive.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            ends = []
            for start in (0, max(0, size - CHUNK)):
                file.seek(start)
                ends.append(file.read(CHUNK))
    except OSError as error:
        raise DataError(f"{archive}: no readable archive ({error.strerror}); download it again") from None
    return {"archive": archive.name, "bytes": size, "sha256_of_ends": hashlib.sha256(b"".join(ends)).hexdigest()}


def _made_from(folder: Path) -> object:
    """Tell what the folder was unpacked from; None if by nobody known."""
    try:
        return json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def is_unpacked(folder: Path | str) -> bool:
    """Whether `folder` was made by `unpack`, hence holds all of its archive."""
    return isinstance(_made_from(Path(folder)), dict)


def unpack(archive: Path | str, folder: Path | str) -> Path:
    """Unpack an archive into a new folder; if all of it lies in one top folder, that folder's content.

    A folder that this archive was unpacked into before is left as it is.

    Args:
        archive: a zip or tar file.
        folder: place of its content; must not exist or be empty.
    Returns:
        The folder.
    Raises:
        DataError: the archive is missing, damaged, or holds what it should not; nothing is left behind.
        OutputError: the folder holds other files or cannot be written, or there is no room.
    """
    archive, folder = Path(archive), Path(folder).resolve()
    identity = _identity(archive)
    if _made_from(folder) == identity:
        log.info("%s: was unpacked from %s before", folder, archive.name)
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: expected a new or empty folder, found other files; move them or choose another")
    with writing_folder(folder) as partial:
        _write(archive, partial)
        _lift(partial)
        (partial / MARKER).write_text(json.dumps(identity) + "\n", encoding="utf-8")
    return folder
