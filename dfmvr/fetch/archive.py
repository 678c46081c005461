"""Unpacking of archives that nobody vouches for.

In     a zip file, or a tar file, plain or compressed by gzip, bzip2 or xz.
Gives  a folder of plain files and folders, renamed into its place once everything is there.

zipfile and tarfile read the archives; what they would let pass is refused here, as a whole: names that leave the
folder, links and devices, two entries that would become one file, archives that swell beyond measure, tar files cut
short. Links are refused even if they stay inside: a data set needs none, and following them safely is hard.
"""

from __future__ import annotations

import shutil
import stat
import tarfile
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from dfmvr.errors import DataError, OutputError
from dfmvr.files import output_error, writing

MARKER = ".unpacked"
"""File in the folder that names the archive that it was made from."""

MAX_RATIO, ALWAYS_ALLOWED = 100, 64 << 20
"""An archive may give a hundred times its size; small ones may give 64 MiB. Images hardly shrink, text by ten."""

MAX_ENTRIES = 2_000_000
MAX_NAME, MAX_PART = 1024, 255
MAX_HEADER = 16 << 10
"""tarfile reads what precedes an entry, such as a long name, into memory, and some releases parse it in quadratic time
(CVE-2024-6232)."""

_HEADERS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
_CHUNK = 1 << 16


class _Entry(NamedTuple):
    """One file or folder of an archive."""

    name: str
    folder: bool
    size: int
    extract: Callable[..., Any]


class _TarHeader(tarfile.TarInfo):
    """A header of a tar file, of a reasonable size; the bytes of the last one are kept."""

    last = b""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> tarfile.TarInfo:
        """Read a header."""
        _TarHeader.last = buf
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in _HEADERS and header.size > MAX_HEADER):
            raise ValueError(f"a header of {header.size} bytes")
        return header


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


def _zip_entries(archive: zipfile.ZipFile, budget: _Budget) -> Iterator[_Entry]:
    """List a zip file."""
    budget.check(sum(info.file_size for info in archive.infolist()))
    for info in archive.infolist():
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ValueError(f"{info.orig_filename!r} is a link or a device")
        # zipfile cuts the other name at a zero byte
        yield _Entry(info.orig_filename, info.is_dir(), info.file_size, partial(archive.extract, info))


def _tar_entries(archive: tarfile.TarFile, budget: _Budget) -> Iterator[_Entry]:
    """List a tar file; each entry is to be extracted before the next is asked for."""
    for member in archive:
        if not (member.isdir() or (member.isreg() and not member.issparse())):
            raise ValueError(f"{member.name!r} is a link, a device or a sparse file")
        extract = partial(archive.extract, member, set_attrs=False, filter="data")
        yield _Entry(member.name, member.isdir(), member.size, extract)
        archive.members.clear()  # else it keeps every header
    # tarfile takes a damaged header for the end, and does not look at what follows it
    if _TarHeader.last != bytes(tarfile.BLOCKSIZE):
        raise ValueError("it ends early or has a damaged header")
    while rest := archive.fileobj.read(_CHUNK):
        budget.check(archive.fileobj.tell())
        if rest.count(0) != len(rest):
            raise ValueError("it goes on after its end")


@contextmanager
def _entries_of(path: Path, budget: _Budget) -> Iterator[Iterator[_Entry]]:
    """Open an archive and list it."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield _zip_entries(archive, budget)
        return
    try:
        opened = tarfile.open(path, tarinfo=_TarHeader)
    except tarfile.ReadError:
        raise ValueError("expected a zip or tar file") from None
    with opened as archive:
        yield _tar_entries(archive, budget)


def _parts_of(entry: _Entry, seen: dict[str, str]) -> tuple[str, ...]:
    """The parts of an entry's name; `seen` are those before it, as macOS and Windows compare them."""
    name, parts = entry.name, tuple(part for part in entry.name.split("/") if part not in ("", "."))
    if name.startswith("/") or "\\" in name or name[1:2] == ":" or ".." in parts:
        raise ValueError(f"{name!r}: its path leaves the folder")
    long = len(name) > MAX_NAME or any(len(part.encode(errors="replace")) > MAX_PART for part in parts)
    if not name.isprintable() or long or not (parts or entry.folder):
        raise ValueError(f"{name!r}: its name is too long or not printable")
    for length in range(1, len(parts) + 1):
        folder = entry.folder or length < len(parts)
        spelt = "/".join(parts[:length]) + "/" * folder
        key = unicodedata.normalize("NFC", spelt.rstrip("/")).casefold()
        if key in seen and not (folder and seen[key] == spelt):
            raise ValueError(f"{name!r}: {seen[key]!r} is there already")
        seen[key] = spelt
    if len(seen) > MAX_ENTRIES:
        raise ValueError(f"there are more than {MAX_ENTRIES} entries")
    return parts


def _extract_all(archive: Path, folder: Path) -> None:
    """Write the content of an archive into an empty folder."""
    seen, total, budget = {}, 0, _Budget(archive, folder)
    try:
        with (
            _entries_of(archive, budget) as entries,
            tqdm(desc=f"unpack {archive.name}", unit="B", unit_scale=True) as bar,
        ):
            for entry in entries:
                total += entry.size
                budget.check(total)
                parts = _parts_of(entry, seen)
                if parts and parts[0] != "__MACOSX":
                    entry.extract(path=folder)
                bar.update(entry.size)
        if not seen:
            raise ValueError("expected a zip or tar file, found nothing in it")
    except (DataError, OutputError):
        raise
    except Exception as error:  # zipfile, tarfile and the decompressors raise errors of many kinds on damaged files
        if isinstance(error, OSError) and error.errno:  # the disk's, not the archive's
            raise output_error(folder, error) from error
        raise DataError(
            f"{archive}: not an archive that can be unpacked safely ({error}); download it again, or unpack it by hand "
            "if you trust it"
        ) from error


def is_unpacked(folder: Path | str) -> bool:
    """Whether `folder` was made by `unpack`, hence holds all of its archive."""
    return (Path(folder) / MARKER).is_file()


def unpack(archive: Path | str, folder: Path | str) -> Path:
    """Unpack an archive into a new folder; if all of it lies in one top folder, that folder's content.

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
    if not archive.is_file():
        raise DataError(f"{archive}: no such archive; download it again")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: expected a new or empty folder, found other files; move them or choose another")
    with writing(folder) as place, tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as scratch:
        content = Path(scratch, "content")
        content.mkdir()
        _extract_all(archive, content)
        inside = list(content.iterdir())
        top = inside[0] if len(inside) == 1 and inside[0].is_dir() else content
        (top / MARKER).write_text(f"{archive.name}\n", encoding="utf-8")
        top.rename(place)
    return folder
