"""Landmark files of Bosphorus: .lm3 in the scan's mm, .lm2 in pixels of the photograph; up to 24 points by name.

.lm3   one line of any kind; perhaps a line `*` and lines of any kind up to an empty one; the number of points; then
       two lines a point, its name and `x y z`
.lm2   two lines of any kind; the number of points; two lines, as a rule empty and a heading; the names, one a line;
       two lines of the same kind; `x y`, one point a line

Points that cannot be seen are left out. Empty lines and lines that start with # are passed over.

ASSUME: pixel coordinates are continuous, (0, 0) being the corner of the image, as everywhere in this program; were they
counted from pixel centres, it would be half a pixel of some 1,200.
Source: the data set's own reader of .lm3 by A. Savran, and public readers of both formats.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from dfmvr.conventions import ALIGNMENT_IN_68, ALIGNMENT_POINTS, MIRRORED_68
from dfmvr.datasets.listing import read_lines
from dfmvr.errors import DataError
from dfmvr.files import writing

Sides = Literal["image", "person"]
LANDMARKS = {
    "Outer left eyebrow": 17,
    "Middle left eyebrow": 19,
    "Inner left eyebrow": 21,
    "Inner right eyebrow": 22,
    "Middle right eyebrow": 24,
    "Outer right eyebrow": 26,
    "Outer left eye corner": 36,
    "Inner left eye corner": 39,
    "Inner right eye corner": 42,
    "Outer right eye corner": 45,
    "Nose saddle left": None,
    "Nose saddle right": None,
    "Left nose peak": 31,
    "Nose tip": 30,
    "Right nose peak": 35,
    "Left mouth corner": 48,
    "Upper lip outer middle": 51,
    "Right mouth corner": 54,
    "Upper lip inner middle": 62,
    "Lower lip inner middle": 66,
    "Lower lip outer middle": 57,
    "Chin middle": 8,
    "Ear lobe left": None,
    "Ear lobe right": None,
}
"""Names of the landmarks, and the iBUG index of those that have a counterpart, `left` being the left of the frontal
image. Files may order the words otherwise and add `of the`."""

INDEX_IN_68 = {name: index for name, index in LANDMARKS.items() if index is not None}

MAX_BYTES = 1 << 20
_HIDDEN = 60.0  # degrees from which on one half of the face is out of sight


def _words(name: str) -> frozenset[str]:
    return frozenset(name.lower().split()) - {"of", "the"}


_NAME_OF = {_words(name): name for name in LANDMARKS}


def landmark_name(label: str) -> str:
    """Spell a file's label as in LANDMARKS; a label that is not there stays as it is."""
    return _NAME_OF.get(_words(label), " ".join(label.split()))


def _lines(path: Path | str, headings: int) -> list[str]:
    """Stripped lines after the first ones; the very first is often a path on someone's disk, in whatever encoding."""
    lines = read_lines(path, "supply the landmark file or leave the scan out", MAX_BYTES, free_lines=1)
    stripped = (line.strip() for line in lines[headings:])
    return [line for line in stripped if not line.startswith("#")]


def _count(lines: Sequence[str], path: Path | str) -> int:
    """The number of points, which the first line starts with."""
    try:
        return int(lines[0].split()[0])
    except (ValueError, IndexError):
        found = (lines or ["nothing"])[0][:60]
        raise DataError(f"{path}: expected the number of landmarks, found {found!r}; mend it") from None


def _points(path: Path | str, labels: Iterable[str], rows: Iterable[str], size: int) -> dict[str, np.ndarray]:
    """Pair names and coordinates."""
    points: dict[str, np.ndarray] = {}
    for label, row in zip(labels, rows, strict=True):
        name = landmark_name(label)
        try:
            numbers = [float(word) for word in row.split()]
        except ValueError:
            numbers = []
        if len(numbers) != size or not all(map(math.isfinite, numbers)):
            raise DataError(f"{path}: expected {size} finite numbers for {name[:60]!r}, found {row[:60]!r}; mend it")
        if name in points:
            raise DataError(f"{path}: the landmark {name[:60]!r} is there twice; keep one of them")
        points[name] = np.array(numbers)
    return points


def read_lm3(path: Path | str) -> dict[str, np.ndarray]:
    """Read 3D landmarks by name, each (3,) in mm of the scan. Points out of sight are not there.

    Raises:
        DataError: the file is missing, not text, cut short, or names a point twice or without three finite numbers.
    """
    lines = _lines(path, headings=1)
    if lines[:1] == ["*"]:
        lines = lines[lines.index("") :] if "" in lines else []
    lines = list(filter(None, lines))
    count = _count(lines, path)
    if len(lines) - 1 != 2 * count:
        raise DataError(
            f"{path}: expected {count} landmarks in two lines each, found {len(lines) - 1} lines; copy the file again"
        )
    return _points(path, lines[1::2], lines[2::2], 3)


def read_lm2(path: Path | str) -> dict[str, np.ndarray]:
    """Read 2D landmarks by name, each (2,) in pixels of the photograph. Points out of sight are not there.

    Raises:
        DataError: the file is missing, not text, cut short, or names a point twice or without two finite numbers.
    """
    lines = list(filter(None, _lines(path, headings=2)))
    count = _count(lines, path)
    if count < 0:
        raise DataError(f"{path}: expected the number of landmarks, found '{count}'; mend it")
    rows = lines[len(lines) - count :]
    labels = [label for label in lines[1 : len(lines) - count] if not label.endswith(":")]
    if len(labels) > count:  # headings of another form are among them
        labels = [label for label in labels if landmark_name(label) in LANDMARKS]
    if len(labels) != count or len(rows) != count:
        raise DataError(
            f"{path}: expected {count} landmarks, found {len(labels)} names and {min(len(rows), len(lines) - 1)} "
            "other lines; copy the file again"
        )
    return _points(path, labels, rows, 2)


def _numbers(point: np.ndarray) -> str:
    return " ".join(repr(float(number)) for number in point)


def write_lm3(path: Path, points: Mapping[str, np.ndarray]) -> None:
    """Write 3D landmarks by name, each (3,) mm, so that they come back exactly.

    Raises:
        OutputError: the file cannot be written.
    """
    pairs = (line for name, point in points.items() for line in (landmark_name(name), _numbers(point)))
    _write(path, [f"# {path.name}", "", str(len(points)), *pairs])


def write_lm2(path: Path, points: Mapping[str, np.ndarray]) -> None:
    """Write 2D landmarks by name, each (2,) in pixels, so that they come back exactly.

    Raises:
        OutputError: the file cannot be written.
    """
    lines = [f"# {path.name}", "#", f"{len(points)} landmarks:", "", "Labels:", *map(landmark_name, points)]
    _write(path, [*lines, "", "2D Image coordinates:", *map(_numbers, points.values())])


def _write(path: Path, lines: list[str]) -> None:
    with writing(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def as_68(points: Mapping[str, np.ndarray], sides: Sides) -> np.ndarray:
    """Arrange landmarks of D numbers in iBUG order, (68, D) float64; NaN where there is no counterpart."""
    size = len(next(iter(points.values()), (0, 0)))
    result = np.full((68, size), np.nan)
    for name, index in INDEX_IN_68.items():
        if name in points:
            result[index if sides == "image" else MIRRORED_68[index]] = points[name]
    return result


def named_points(points: Mapping[str, np.ndarray], sides: Sides) -> dict[str, np.ndarray]:
    """Rename landmarks, left and right being the person's own: the `conventions.ALIGNMENT_POINTS` first, as there.

    The others are named in snake case.
    """
    in_order = as_68(points, sides)[list(ALIGNMENT_IN_68)]
    result = {name: point for name, point in zip(ALIGNMENT_POINTS, in_order, strict=True) if np.isfinite(point).all()}
    swapped = {"left": "right", "right": "left"} if sides == "image" else {}
    for name, point in points.items():
        if INDEX_IN_68.get(name) not in ALIGNMENT_IN_68:
            result.setdefault("_".join(swapped.get(word, word) for word in name.lower().split()), point)
    return result


def check_sides(points: Mapping[str, np.ndarray], sides: Sides, where: str, yaw: float = 0.0) -> None:
    """Check the setting `landmark_sides` on the landmarks (2D or 3D) of a face turned by `yaw` degrees.

    Raises:
        DataError: the points called left lie on the other side than the setting says.
    """
    if abs(yaw) > _HIDDEN:
        return
    lefts = [name for name in LANDMARKS if "left" in _words(name)]
    rights = {name: landmark_name(name.lower().replace("left", "right")) for name in lefts}
    pairs = [(points[left], points[right]) for left, right in rights.items() if left in points and right in points]
    to_right = sum(float(np.sign(right[0] - left[0])) for left, right in pairs)
    found = "image" if to_right > 0 else "person"
    if to_right and found != sides:
        raise DataError(
            f"{where}: the landmarks called left lie on the {found}'s left, not on the {sides}'s; "
            f"set datasets.bosphorus.landmark_sides: {found}"
        )
