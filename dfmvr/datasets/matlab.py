"""A strict reader of numbers, and of structures of them, in MATLAB files of level 5 (versions 5 to 7.2).

Not scipy.io.loadmat: of 13,000 damaged files ten killed its process, fifty kept it for seconds and thirty asked for all
memory, and one bad sample must not stop a run. Here every length is checked against the bytes that are there, and
compressed data may not grow beyond what honest ones do.

Source: "MAT-File Format", The MathWorks, chapter 1 (level 5 MAT-file format).
"""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfmvr.errors import DataError

HEADER_BYTES = 128
MAX_FILE_BYTES = 1 << 30
MAX_GROWTH, SMALL_BYTES = 16, 1 << 20
"""A file may decompress to this many times its size, or to SMALL_BYTES where that is more. Constant colours
may shrink a hundredfold, but coordinates hardly do, and whole scans stay far below."""
MAX_PARTS, MAX_AXES, NAME_BYTES = 1000, 16, 1024
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
NUMERIC = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
MATRIX, COMPRESSED, STRUCTURE = 14, 15, 2

Structure = dict[str, np.ndarray]


def read_matlab(path: Path | str, *names: str) -> dict[str, np.ndarray | Structure]:
    """Read arrays of numbers and 1 x 1 structures with such fields; what else is in the file is passed over unread.

    Args:
        path: the file.
        names: the variables wanted; those that are not in the file are left out.
    Returns:
        By name arrays in MATLAB's shape (two axes or more), or the numeric fields of structures by name.
    Raises:
        DataError: the file is missing, damaged, not of level 5 or larger than 1 GiB, or a variable is something else.
    """
    try:
        size = Path(path).stat().st_size
        if size > MAX_FILE_BYTES:
            raise ValueError(f"{size} bytes, expected {MAX_FILE_BYTES} at the most")
        return _read(memoryview(Path(path).read_bytes()), names)
    except (FileNotFoundError, IsADirectoryError):
        raise DataError(f"{path}: no such file; copy it again") from None
    except (OSError, ValueError, OverflowError, struct.error, zlib.error) as error:
        raise DataError(f"{path}: not a readable .mat file ({error}); copy it again") from None


def _read(content: memoryview, names: tuple[str, ...]) -> dict[str, np.ndarray | Structure]:
    order = {b"IM": "<", b"MI": ">"}.get(bytes(content[126:HEADER_BYTES]))
    version = struct.unpack_from(f"{order}H", content, 124)[0] if order else 0
    if version == 0x0200:
        raise ValueError("version 7.3, expected 5 to 7.2: save it with MATLAB's -v7")
    if version != 0x0100:
        raise ValueError("no header of a MATLAB file of version 5 to 7.2")
    found, room = {}, max(SMALL_BYTES, MAX_GROWTH * len(content))
    for kind, data in _elements(content[HEADER_BYTES:], order):
        if kind == COMPRESSED:
            start = zlib.decompressobj().decompress(data, NAME_BYTES)
            if _open(memoryview(start)[8:], order).name not in names:
                continue
            stream = zlib.decompressobj()
            inflated = stream.decompress(data, max(1, room))  # 0 would mean no limit
            if not stream.eof:
                raise ValueError(f"compressed data cut short, or more than {MAX_GROWTH} times larger than the file")
            room -= len(inflated)
            kind, data = next(_elements(memoryview(inflated), order), (0, data))
        if kind == MATRIX:
            array = _open(data, order)
            if array.name in names:
                found[array.name] = _value(array, order)
    return found


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Split bytes into tagged runs: data type and bytes. A short one keeps up to four bytes within its tag."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        short = kind >> 16 > 0
        start = at + (4 if short else 8)
        if short:
            kind, size = kind & 0xFFFF, kind >> 16
        if start + size > (at + 8 if short else len(data)):
            raise ValueError(f"cut short: {size} bytes announced, {len(data) - start} there")
        yield kind, data[start : start + size]
        at = start + size if kind == COMPRESSED else -(-(start + size) // 8) * 8


def _numbers(kind: int, data: memoryview, order: str) -> np.ndarray:
    """Read a run of plain numbers."""
    if kind not in STORED:
        raise ValueError(f"expected numbers, found data type {kind}")
    return np.frombuffer(data, np.dtype(STORED[kind]).newbyteorder(order))


class _Array(NamedTuple):
    """A MATLAB array before its contents are read."""

    kind: int
    shape: tuple[int, ...]
    name: str
    parts: Iterator[tuple[int, memoryview]]  # that follow


def _open(data: memoryview, order: str) -> _Array:
    """Read class, shape and name of an array."""
    parts = _elements(data, order)
    first = list(itertools.islice(parts, 3))
    if len(first) < 3:
        raise ValueError("an array without class, shape or name")
    flags, shape = _numbers(*first[0], order), _numbers(*first[1], order)
    known = flags.size and flags.dtype.kind in "iu" and shape.dtype.kind in "iu" and 2 <= shape.size <= MAX_AXES
    if not known or (shape < 0).any():
        raise ValueError("an array of unknown class or shape")
    return _Array(int(flags[0]) & 0xFF, tuple(map(int, shape)), bytes(first[2][1]).decode("ascii", "replace"), parts)


def _value(array: _Array, order: str) -> np.ndarray | Structure:
    """Read an array of numbers, or the numeric fields of a structure; its other fields are passed over."""
    if array.kind in NUMERIC:
        # MATLAB stores whole numbers in the smallest type, whatever their class
        stored = _numbers(*next(array.parts, (9, memoryview(b""))), order)
        if stored.size != math.prod(array.shape):
            raise ValueError(f"an array of {array.shape}, but {stored.size} numbers")
        with np.errstate(invalid="ignore", over="ignore"):  # damaged numbers need not fit the class
            return stored.astype(NUMERIC[array.kind]).reshape(array.shape, order="F")
    if array.kind != STRUCTURE or math.prod(array.shape) != 1:
        raise ValueError(f"{array.name}: expected numbers or one structure, found class {array.kind} of {array.shape}")
    width, names, *values = itertools.islice(array.parts, MAX_PARTS)
    width, text = int(_numbers(*width, order).item()), bytes(names[1])
    if width < 1 or len(text) != width * len(values):
        raise ValueError(f"{array.name}: unreadable names of {len(values)} fields")
    fields = {}
    for i, (kind, data) in enumerate(values):
        inner = _open(data, order) if kind == MATRIX and len(data) else None
        if inner is not None and inner.kind in NUMERIC:
            name = text[i * width : (i + 1) * width].split(b"\0")[0].decode("ascii", "replace")
            fields[name] = _value(inner, order)
    return fields
