"""Files of named points in 3D: a table `name,x,y,z` as spreadsheets write it, or MeshLab's PickedPoints (.pp).

Table   columns in any order, separated by commas, semicolons, tabs or blanks; where not by commas, these may be decimal
        ones. Names in any case, with blanks or hyphens for `_`. Empty lines and such that start with # are passed over.
.pp     XML; points that are not `active` were not placed and are passed over.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from dfmvr.errors import DataError
from dfmvr.files import decode_text

MAX_BYTES = 1 << 20
COLUMNS = ("name", "x", "y", "z")
_SEPARATORS = ",;\t"


def read_named_points(path: Path | str) -> dict[str, tuple[float, float, float]]:
    """Read points by name, in the unit of the file.

    Raises:
        DataError: the file is missing, far too large or neither kind, a name is there twice, or not with three finite
            numbers.
    """
    path = Path(path)
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise DataError(f"{path}: expected a table of some points, found {size >> 20} MiB; is it another file?")
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise DataError(f"{path}: not readable ({error.strerror or error}); check the path") from None
    text = decode_text(content)
    points: dict[str, tuple[float, float, float]] = {}
    for label, numbers in _picked(text, path) if text.lstrip().startswith("<") else _tabled(text, path):
        name = re.sub(r"[\s_-]+", "_", label.strip()).lower()
        if name in points:
            raise DataError(f"{path}: the landmark {name} is there twice; keep one line of it")
        try:
            x, y, z = map(float, numbers)
        except ValueError:
            x = y = z = math.nan
        if not all(map(math.isfinite, (x, y, z))):
            raise DataError(f"{path}: expected three finite numbers after {name}, found {','.join(numbers)[:80]!r}")
        points[name] = x, y, z
    return points


def _tabled(text: str, path: Path) -> Iterator[tuple[str, list[str]]]:
    """Names and numbers of a table.

    Raises:
        DataError: it has another heading.
    """
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip() and not line.lstrip().startswith("#")]
    told = re.fullmatch(r'"?sep=(.)"?', lines[0].strip()) if lines else None  # so Excel is told of the separator
    lines = lines[1:] if told else lines
    heading = lines[0] if lines else "an empty file"
    separator = max(_SEPARATORS, key=heading.count)
    if not heading.count(separator):
        separator, lines = " ", [" ".join(line.split()) for line in lines]
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator, skipinitialspace=True)]
    except csv.Error as error:
        raise DataError(f"{path}: not readable as a table ({error}); save it as name,x,y,z") from None
    columns = [cell.lower() for cell in _filled(rows[0])] if rows else []
    if sorted(columns) != sorted(COLUMNS):
        raise DataError(f"{path}: expected the header name,x,y,z, found {heading[:80]!r}; save it as such a table")
    for row in map(_filled, rows[1:]):
        cells = dict(zip(columns, row, strict=False))
        numbers = [cells.get(axis, "") for axis in "xyz"] + row[len(columns) :]
        if separator != ",":
            numbers = [number if "." in number else number.replace(",", ".") for number in numbers]
        if any(row):
            yield cells["name"] if "name" in cells else row[0], numbers


def _filled(row: list[str]) -> list[str]:
    """A row without the empty cells at its end, which spreadsheets add."""
    while row and not row[-1]:
        row = row[:-1]
    return row


def _picked(text: str, path: Path) -> Iterator[tuple[str, list[str]]]:
    """Names and numbers of MeshLab's points.

    Raises:
        DataError: it is another XML.
    """
    try:
        # without its declaration, as the text is decoded already
        points = list(ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text)).iter("point"))
    except ElementTree.ParseError as error:
        raise DataError(f"{path}: not readable as MeshLab's points ({error}); save them again") from None
    if not points:
        raise DataError(f"{path}: expected MeshLab's PickedPoints, found none; save them as .pp, or as name,x,y,z")
    for point in points:
        if point.get("active") != "0":
            yield point.get("name", ""), [point.get(axis, "") for axis in "xyz"]
