"""A strict reader of numbers, and of structures of them, in MATLAB files of level 5 (versions 5 to 7.2).

scipy.io.loadmat reads far more, but crashes the whole process on some damaged files, and one bad sample must not
stop a run. Here every length is checked against the bytes that are there, and compressed data may not grow beyond
what honest ones do.

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

HEADER_BYTES = 128
MAX_FILE_BYTES = 1 << 30
MAX_GROWTH, SMALL_BYTES = 16, 1 << 20
"""A file may decompress to this many times its size, or to SMALL_BYTES where that is more. Constant colours
may shrink a hundredfold, but coordinates hardly do, and whole scans stay far below."""
MAX_PARTS, MAX_AXES = 1000, 16
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
NUMERIC = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
MATRIX, COMPRESSED, STRUCTURE = 14, 15, 2

Structure = dict[str, np.ndarray]


class MatlabError(ValueError):
    """The file is not what it should be."""


class Element(NamedTuple):
    """A tagged run of bytes."""

    kind: int
    data: memoryview


def _elements(data: memoryview, order: str) -> Iterator[Element]:
    """Split bytes into their elements; a short element keeps up to four bytes within its tag."""
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise MatlabError(f"{len(data) - at} bytes where a tag of 8 should be")
        kind, size = struct.unpack_from(f"{order}II", data, at)
        start = at + 8
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
            if size > 4:
                raise MatlabError(f"a short element of {size} bytes")
        if start + size > len(data):
            raise MatlabError(f"cut short: {size} bytes announced, {len(data) - start} there")
        yield Element(kind, data[start : start + size])
        at = start + size
        if kind != COMPRESSED:
            at = -(-at // 8) * 8


def _inflate(data: memoryview, limit: int) -> memoryview:
    """Decompress an element to `limit` bytes at the most and verify its checksum."""
    stream = zlib.decompressobj()
    try:
        result = stream.decompress(data, max(1, limit))  # 0 would mean no limit
    except zlib.error as error:
        raise MatlabError(str(error)) from None
    if not stream.eof:
        raise MatlabError(f"compressed data cut short, or more than {MAX_GROWTH} times larger than the file")
    return memoryview(result)


def _array(element: Element, order: str) -> np.ndarray:
    """Read an element that holds plain numbers."""
    if element.kind not in STORED:
        raise MatlabError(f"expected numbers, found data type {element.kind}")
    dtype = np.dtype(STORED[element.kind]).newbyteorder(order)
    if len(element.data) % dtype.itemsize:
        raise MatlabError(f"{len(element.data)} bytes are no whole number of {dtype}")
    return np.frombuffer(element.data, dtype)


class _Matrix(NamedTuple):
    """A MATLAB array before its contents are read."""

    kind: int
    shape: tuple[int, ...]
    name: str
    parts: Iterator[Element]  # that follow


def _matrix(data: memoryview, order: str) -> _Matrix:
    """Read class, shape and name of an array."""
    parts = _elements(data, order)
    first = list(itertools.islice(parts, 3))
    if len(first) < 3:
        raise MatlabError("an array without class, shape or name")
    flags, shape = _array(first[0], order), _array(first[1], order)
    known = flags.size and flags.dtype.kind in "iu" and shape.dtype.kind in "iu" and 2 <= shape.size <= MAX_AXES
    if not known or (shape < 0).any():
        raise MatlabError("an array of unknown class or shape")
    name = bytes(first[2].data).decode("ascii", "replace")
    return _Matrix(int(flags[0]) & 0xFF, tuple(map(int, shape)), name, parts)


def _numeric(matrix: _Matrix, order: str) -> np.ndarray:
    """Read a numeric array; MATLAB stores whole numbers in the smallest type, whatever their class."""
    values = next(matrix.parts, None)
    stored = np.zeros(0) if values is None else _array(values, order)
    if stored.size != math.prod(matrix.shape):
        raise MatlabError(f"expected {matrix.shape} numbers, found {stored.size}")
    try:
        with np.errstate(invalid="ignore", over="ignore"):  # damaged numbers need not fit the class
            return stored.astype(NUMERIC[matrix.kind]).reshape(matrix.shape, order="F")
    except (ValueError, OverflowError) as error:  # no numbers, but other axes beyond all bounds
        raise MatlabError(f"an array of {matrix.shape}: {error}") from None


def _structure(matrix: _Matrix, order: str) -> Structure:
    """Read the numeric fields of a 1 x 1 structure; fields of other classes are passed over."""
    parts = list(itertools.islice(matrix.parts, MAX_PARTS))
    if matrix.kind != STRUCTURE or math.prod(matrix.shape) != 1 or len(parts) < 2:
        raise MatlabError(f"{matrix.name}: expected one structure, found class {matrix.kind} of {matrix.shape}")
    width, text = _array(parts[0], order), bytes(parts[1].data)
    if width.size != 1 or width.dtype.kind not in "iu" or width[0] < 1 or len(text) % int(width[0]):
        raise MatlabError(f"{matrix.name}: unreadable field names")
    width, values = int(width[0]), parts[2:]
    if len(text) // width != len(values):
        raise MatlabError(f"{matrix.name}: {len(text) // width} fields announced, {len(values)} there")
    names = [text[i : i + width].split(b"\0")[0].decode("ascii", "replace") for i in range(0, len(text), width)]
    fields = {}
    for name, value in zip(names, values, strict=True):
        if value.kind != MATRIX or not len(value.data):
            continue
        inner = _matrix(value.data, order)
        if inner.kind in NUMERIC:
            fields[name] = _numeric(inner, order)
    return fields


def _content(path: Path | str) -> tuple[memoryview, str]:
    """Read a whole file and check its header: its bytes, and the order of the bytes of its numbers."""
    size = Path(path).stat().st_size
    if size > MAX_FILE_BYTES:
        raise MatlabError(f"{size} bytes, expected {MAX_FILE_BYTES} at the most")
    content = Path(path).read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(content[126:HEADER_BYTES])
    version = struct.unpack_from(f"{order}H", content, 124)[0] if order else 0
    if version == 0x0200:
        raise MatlabError("version 7.3, expected 5 to 7.2: save it with MATLAB's -v7")
    if version != 0x0100:
        raise MatlabError("no header of a MATLAB file of version 5 to 7.2")
    return memoryview(content), order


def read_structures(path: Path | str, *names: str) -> dict[str, Structure]:
    """Read 1 x 1 structures and their numeric fields.

    Args:
        path: the file.
        names: the variables wanted; those that are not in the file are left out.
    Returns:
        Of each variable, its fields by name, as arrays in MATLAB's shape (two axes or more).
    Raises:
        OSError: the file cannot be opened.
        MatlabError: it is not of level 5, is damaged or larger than 1 GiB, or a variable is no structure.
    """
    content, order = _content(path)
    found, room = {}, min(MAX_FILE_BYTES, max(SMALL_BYTES, MAX_GROWTH * len(content)))
    for element in _elements(content[HEADER_BYTES:], order):
        if element.kind == COMPRESSED:
            inflated = _inflate(element.data, room)
            room -= len(inflated)
            element = next(_elements(inflated, order), element)
        if element.kind != MATRIX:
            continue
        matrix = _matrix(element.data, order)
        if matrix.name in names:
            found[matrix.name] = _structure(matrix, order)
    return found


def _named(element: Element, order: str) -> str:
    """Name of the array in a compressed element, of which only the beginning is decompressed."""
    try:
        start = memoryview(zlib.decompressobj().decompress(element.data, 1024))
    except zlib.error as error:
        raise MatlabError(str(error)) from None
    return _matrix(start[8:], order).name


def read_arrays(path: Path | str, *names: str) -> dict[str, np.ndarray]:
    """Read arrays of plain numbers; the file's other variables are passed over unread.

    Args:
        path: the file.
        names: the variables wanted; those that are not in the file are left out.
    Returns:
        The arrays by name, in MATLAB's shape (two axes or more).
    Raises:
        OSError: the file cannot be opened.
        MatlabError: it is not of level 5, is damaged or larger than 1 GiB, or a variable is no array of numbers.
    """
    content, order = _content(path)
    found, room = {}, min(MAX_FILE_BYTES, max(SMALL_BYTES, MAX_GROWTH * len(content)))
    for element in _elements(content[HEADER_BYTES:], order):
        if element.kind == COMPRESSED:
            if _named(element, order) not in names:
                continue
            inflated = _inflate(element.data, room)
            room -= len(inflated)
            element = next(_elements(inflated, order), element)
        if element.kind != MATRIX:
            continue
        matrix = _matrix(element.data, order)
        if matrix.name not in names:
            continue
        if matrix.kind not in NUMERIC:
            raise MatlabError(f"{matrix.name}: expected an array of numbers, found class {matrix.kind}")
        found[matrix.name] = _numeric(matrix, order)
    return found
