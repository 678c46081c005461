"""A strict reader of structures of numbers in MATLAB files of level 5 (versions 5 to 7.2).

scipy.io.loadmat reads far more, but crashes the whole process on some damaged files, and one bad sample must not
stop a run. Here every length is checked against the bytes that are there.

Source: "MAT-File Format", The MathWorks, chapter 1 (level 5 MAT-file format).
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

HEADER_BYTES = 128
MAX_BYTES = 1 << 30
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


def _inflate(data: memoryview) -> memoryview:
    """Decompress an element and verify its checksum."""
    stream = zlib.decompressobj()
    try:
        result = stream.decompress(data, MAX_BYTES)
    except zlib.error as error:
        raise MatlabError(str(error)) from None
    if not stream.eof:
        raise MatlabError("compressed data cut short or larger than 1 GiB")
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
    parts: list[Element]


def _matrix(data: memoryview, order: str) -> _Matrix:
    """Read class, shape and name of an array."""
    parts = list(_elements(data, order))
    if len(parts) < 3:
        raise MatlabError("an array without class, shape or name")
    flags, shape = _array(parts[0], order), _array(parts[1], order)
    if flags.size < 1 or shape.size < 2 or shape.dtype.kind not in "iu" or (shape < 0).any():
        raise MatlabError("an array of unknown class or shape")
    name = bytes(parts[2].data).decode("ascii", "replace")
    return _Matrix(int(flags[0]) & 0xFF, tuple(map(int, shape)), name, parts[3:])


def _numeric(matrix: _Matrix, order: str) -> np.ndarray:
    """Read a numeric array; MATLAB stores whole numbers in the smallest type, whatever their class."""
    stored = _array(matrix.parts[0], order) if matrix.parts else np.zeros(0)
    if stored.size != math.prod(matrix.shape):
        raise MatlabError(f"expected {matrix.shape} numbers, found {stored.size}")
    return stored.astype(NUMERIC[matrix.kind]).reshape(matrix.shape, order="F")


def _structure(matrix: _Matrix, order: str) -> Structure:
    """Read the numeric fields of a 1 x 1 structure; fields of other classes are passed over."""
    if matrix.kind != STRUCTURE or math.prod(matrix.shape) != 1 or len(matrix.parts) < 2:
        raise MatlabError(f"{matrix.name}: expected one structure, found class {matrix.kind} of {matrix.shape}")
    width, text = _array(matrix.parts[0], order), bytes(matrix.parts[1].data)
    if width.size != 1 or width[0] < 1 or len(text) % int(width[0]):
        raise MatlabError(f"{matrix.name}: unreadable field names")
    width = int(width[0])
    names = [text[i : i + width].split(b"\0")[0].decode("ascii", "replace") for i in range(0, len(text), width)]
    values = matrix.parts[2:]
    if len(values) != len(names):
        raise MatlabError(f"{matrix.name}: {len(names)} fields announced, {len(values)} there")
    fields = {}
    for name, value in zip(names, values, strict=True):
        if value.kind != MATRIX or not len(value.data):
            continue
        inner = _matrix(value.data, order)
        if inner.kind in NUMERIC:
            fields[name] = _numeric(inner, order)
    return fields


def read_structures(path: Path | str, *names: str) -> dict[str, Structure]:
    """Read 1 x 1 structures and their numeric fields.

    Args:
        path: the file.
        names: the variables wanted; those that are not in the file are left out.
    Returns:
        Of each variable, its fields by name, as arrays in MATLAB's shape (two axes or more).
    Raises:
        OSError: the file cannot be opened.
        MatlabError: it is not of level 5, is damaged, or a variable is no structure.
    """
    content = Path(path).read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(content[126:HEADER_BYTES])
    version = struct.unpack_from(f"{order}H", content, 124)[0] if order else 0
    if version == 0x0200:
        raise MatlabError("version 7.3, expected 5 to 7.2: save it with MATLAB's -v7")
    if version != 0x0100:
        raise MatlabError("no header of a MATLAB file of version 5 to 7.2")
    found = {}
    for element in _elements(memoryview(content)[HEADER_BYTES:], order):
        if element.kind == COMPRESSED:
            element = next(_elements(_inflate(element.data), order), element)
        if element.kind != MATRIX:
            continue
        matrix = _matrix(element.data, order)
        if matrix.name in names:
            found[matrix.name] = _structure(matrix, order)
    return found
