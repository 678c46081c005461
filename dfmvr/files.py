"""Reading and writing that is never half done.

Every output is written under a temporary name beside its place and renamed, so a killed process leaves either the
old file, the new one, or none.
"""

from __future__ import annotations

import codecs
import errno
import hashlib
import json
import os
import shutil
import stat
import uuid
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dfmvr.errors import DataError, OutputError

_DAMAGE = (
    *(OSError, ValueError, EOFError, AttributeError, KeyError, RuntimeError, SyntaxError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What reading a damaged archive of arrays raises."""

_NO_PLACE = {
    errno.ENOSPC: "there is no room left; free some space or choose another folder",
    errno.EDQUOT: "the quota is used up; free some space or choose another folder",
    errno.EACCES: "permission denied; choose a folder you may write to",
    errno.EPERM: "permission denied; choose a folder you may write to",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another path",
    errno.EEXIST: "a file of that name stands where a folder is needed; choose another path",
    errno.EISDIR: "a folder of that name stands where a file is needed; choose another path",
}


def output_error(path: Path | str, error: OSError) -> OutputError:
    """Turn an operating system error on writing `path` into one that says what to do."""
    reason = _NO_PLACE.get(error.errno or 0, f"{error.strerror or error}; check the path")
    return OutputError(f"{path}: cannot be written: {reason}")


def sha256_of(path: Path | str) -> str:
    """SHA-256 of a file's contents, 64 hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def decode_text(content: bytes) -> str:
    """Decode a text of any program: UTF-8 or UTF-16 by their marks, else UTF-8, else the Windows code page (cp1252)."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def is_somebodys(name: str) -> bool:
    """Whether a person has put a file of this name where it is; systems add some where a folder is looked at."""
    return not name.startswith(".") and name.lower() not in ("thumbs.db", "desktop.ini")


@cache
def listing_of(*folders: Path | None) -> str:
    """Digest of the names, sizes and times of all files below folders, to tell whether anything has been changed there.

    It is looked up once a process. Hidden files and those that systems add do not count; links are followed, but no
    folder is visited twice. What is not there or cannot be read has no files.
    """
    digest, visited = hashlib.sha256(), set()
    waiting = [(str(folder), str(number)) for number, folder in enumerate(folders) if folder]
    while waiting:
        place, name = waiting.pop()
        with suppress(OSError):
            status = os.stat(place)
            if not stat.S_ISDIR(status.st_mode):
                told = f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0"
                digest.update(told.encode(errors="surrogateescape"))
            elif (status.st_dev, status.st_ino) not in visited:
                visited.add((status.st_dev, status.st_ino))
                found = sorted(filter(is_somebodys, os.listdir(place)))
                waiting += [(os.path.join(place, one), f"{name}/{one}") for one in found]
    return digest.hexdigest()


def find_below(folder: Path, name: str) -> Path | None:
    """Find a file by its name in a folder or up to two below it; None if it is not there."""
    candidates = (found for pattern in ("", "*/", "*/*/") for found in sorted(folder.glob(pattern + name)))
    return next(candidates, None) if folder.is_dir() else None


@contextmanager
def writing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary name beside `path`; what the block makes there, a file or a folder, then takes its place whole.

    A file is replaced, or the file that a link leads to; a folder with something in it is not. If the block fails, what
    it made is removed. The suffix of `path` is kept, since many writers choose their format by it.

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    place = Path(os.path.realpath(path))
    partial = place.with_name(f".{place.stem}.{uuid.uuid4().hex[:8]}{Path(path).suffix}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, place)
    except OSError as error:
        if isinstance(error, DataError | OutputError):
            raise
        raise output_error(path, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):
            partial.unlink()


def write_npz(path: Path | str, compress: bool = False, **arrays: np.ndarray) -> None:
    """Write named arrays as `.npz`, atomically."""
    with writing(path) as partial:
        (np.savez_compressed if compress else np.savez)(partial, **arrays)


@contextmanager
def _reading(path: Path | str, what: str, damage: tuple[type[Exception], ...], maker: str = "") -> Iterator[None]:
    """Say of a file that cannot be read what it should be, and how it is made."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run {maker or 'the stage that makes it'}") from None
    except damage as error:
        again = f"run {maker} again" if maker else "make it again"
        raise DataError(f"{path}: not {what} ({error}); {again}") from error


def read_npz(path: Path | str, *required: str, others: bool = True) -> dict[str, np.ndarray]:
    """Read the arrays of an `.npz` and check that the `required` names are there. Never unpickles.

    Args:
        path: the file.
        required: names of arrays.
        others: read those not required too.
    Raises:
        DataError: the file is missing, is no `.npz`, or lacks an array.
    """
    with _reading(path, "a readable .npz archive", _DAMAGE), np.load(path, allow_pickle=False) as archive:
        found = archive.files
        arrays = {name: archive[name] for name in found if others or name in required}
    _require(found, required, path)
    return arrays


def _require(found: Iterable[str], required: Iterable[str], where: Path | str) -> None:
    """Name the arrays that are missing."""
    missing = [name for name in required if name not in found]
    if missing:
        raise DataError(f"{where}: expected the arrays {', '.join(missing)}, found {', '.join(sorted(found))}")


def check_arrays(
    arrays: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int | str | None, ...]],
    limits: Mapping[str, int | str],
    where: Path | str,
) -> None:
    """Check that the arrays of a file fit together.

    Args:
        arrays: by name; texts among them are checked for their shape alone.
        shapes: what each must have: a number, a letter for a size that recurs, None for any size.
        limits: of those that hold indices, what these must be below: a number, or a letter of `shapes`.
        where: the file, for the message.
    Raises:
        DataError: an array is missing or has a wrong shape, a number is not finite, an index none or out of range.
    """
    _require(arrays, shapes, where)
    sizes: dict[int | str | None, int] = {}
    for name, shape in shapes.items():
        found = arrays[name].shape
        for size, there in zip(shape, found, strict=False):
            if isinstance(size, str):
                sizes.setdefault(size, there)
        expected = [sizes.get(size, size) for size in shape]
        if len(found) != len(shape) or any(e not in (None, f) for e, f in zip(expected, found, strict=True)):
            text = ", ".join("any" if size is None else str(size) for size in expected)
            raise DataError(f"{where}: {name}: expected shape ({text}), found {found}; make the file again")
        if arrays[name].dtype.kind == "f" and not np.isfinite(arrays[name]).all():
            raise DataError(f"{where}: {name}: expected finite numbers, found NaN or infinity; make the file again")
    for name, limit in limits.items():
        values, limit = arrays[name], sizes.get(limit, limit)
        if values.dtype.kind not in "iu" or (values.size and not 0 <= values.min() <= values.max() < limit):
            found = f"{values.min()} to {values.max()}" if values.size and values.dtype.kind in "iu" else values.dtype
            raise DataError(
                f"{where}: {name}: expected indices from 0 to {limit - 1}, found {found}; make the file again"
            )


def open_npy(path: Path | str, maker: str) -> np.ndarray:
    """Map an `.npy` file into memory, read only; nothing is read before it is asked for.

    Args:
        path: the file.
        maker: the command that makes it, for the messages.
    Raises:
        DataError: the file is missing or unreadable.
    """
    with _reading(path, "a readable array", (OSError, ValueError, EOFError), f"`{maker}`"):
        return np.load(path, mmap_mode="r", allow_pickle=False)


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN and infinity are refused, as JSON has neither."""
    with writing(path) as partial:
        partial.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is missing or not JSON.
    """
    with _reading(path, "readable as JSON", (OSError, ValueError)):
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
