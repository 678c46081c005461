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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from dfmvr.conventions import ALIGNMENT_IN_68, ALIGNMENT_POINTS, MIRRORED_68
from dfmvr.errors import DataError
from dfmvr.files import writing

Sides = Literal["image", "person"]
LANDMARKS = (
    "Outer left eyebrow",
    "Middle left eyebrow",
    "Inner left eyebrow",
    "Inner right eyebrow",
    "Middle right eyebrow",
    "Outer right eyebrow",
    "Outer left eye corner",
    "Inner left eye corner",
    "Inner right eye corner",
    "Outer right eye corner",
    "Nose saddle left",
    "Nose saddle right",
    "Left nose peak",
    "Nose tip",
    "Right nose peak",
    "Left mouth corner",
    "Upper lip outer middle",
    "Right mouth corner",
    "Upper lip inner middle",
    "Lower lip inner middle",
    "Lower lip outer middle",
    "Chin middle",
    "Ear lobe left",
    "Ear lobe right",
)
"""Names of the landmarks. Files may order the words otherwise and add `of the`."""

INDEX_IN_68 = {
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
}
"""iBUG index of the landmarks that have a counterpart, `left` being the left of the frontal image."""

MAX_BYTES = 1 << 20
_HIDDEN = 60.0  # degrees from which on one half of the face is out of sight


def _words(name: str) -> frozenset[str]:
    return frozenset(name.lower().split()) - {"of", "the"}


_NAME_OF = {_words(name): name for name in LANDMARKS}


def landmark_name(label: str) -> str:
    """Spell a file's label as in LANDMARKS; a label that is not there stays as it is."""
    return _NAME_OF.get(_words(label), " ".join(label.split()))


def _lines(path: Path) -> list[str]:
    """Stripped lines of a text file; those after the first must be UTF-8."""
    if not path.is_file():
        raise DataError(f"{path}: no such landmark file; supply it or leave the scan out")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: expected a few kilobytes of text, found {path.stat().st_size} bytes; check it")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: not readable ({error.strerror or error}); copy the file again") from error
    if b"\0" in content:
        raise DataError(f"{path}: expected UTF-8 text, found zero bytes as in UTF-16 or binary files; save it as UTF-8")
    lines = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            # The first line is often a path on someone's disk, in whatever encoding, and tells nothing.
            lines.append(line.decode("utf-8", "strict" if number > 1 else "replace").strip())
        except UnicodeDecodeError as error:
            raise DataError(f"{path}, line {number}: not UTF-8 text ({error.reason}); save the file as UTF-8") from None
    return lines


def _whole(line: str) -> int | None:
    """Read the whole number that a line starts with."""
    try:
        return int(line.split()[0])
    except (ValueError, IndexError):
        return None


def _points(path: Path, labels: Sequence[str], rows: Sequence[str], size: int) -> dict[str, np.ndarray]:
    """Pair names and coordinates."""
    points: dict[str, np.ndarray] = {}
    for label, row in zip(labels, rows, strict=True):
        name = landmark_name(label)
        try:
            numbers = [float(word) for word in row.split()]
        except ValueError:
            numbers = []
        if len(numbers) != size or not all(math.isfinite(number) for number in numbers):
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
    path = Path(path)
    lines = [line for line in _lines(path)[1:] if not line.startswith("#")]
    if lines[:1] == ["*"]:
        lines = lines[lines.index("") :] if "" in lines else []
    lines = [line for line in lines if line]
    count = _whole(lines[0]) if lines else None
    if count is None:
        raise DataError(f"{path}: expected the number of landmarks, found {(lines or ['nothing'])[0][:60]!r}; mend it")
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
    path = Path(path)
    lines = [line for line in _lines(path)[2:] if line and not line.startswith("#")]
    count = _whole(lines[0]) if lines else None
    if count is None or count < 0:
        raise DataError(f"{path}: expected the number of landmarks, found {(lines or ['nothing'])[0][:60]!r}; mend it")
    rows = lines[len(lines) - count :]
    labels = lines[1 : len(lines) - count]
    labels = [label for label in labels if not label.endswith(":")]
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


def write_lm3(path: Path | str, points: Mapping[str, np.ndarray], heading: str = "") -> None:
    """Write 3D landmarks by name, each (3,) mm, so that they come back exactly.

    Raises:
        OutputError: the file cannot be written.
    """
    lines = [f"# {heading or Path(path).name}", "", str(len(points))]
    for name, point in points.items():
        lines += [landmark_name(name), _numbers(point)]
    with writing(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_lm2(path: Path | str, points: Mapping[str, np.ndarray], heading: str = "") -> None:
    """Write 2D landmarks by name, each (2,) in pixels, so that they come back exactly.

    Raises:
        OutputError: the file cannot be written.
    """
    lines = [f"# {heading or Path(path).name}", "#", f"{len(points)} landmarks:", "", "Labels:"]
    lines += [landmark_name(name) for name in points]
    lines += ["", "2D Image coordinates:", *(_numbers(point) for point in points.values())]
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


def _slug(name: str, sides: Sides) -> str:
    """Name a landmark in snake case, left and right being the person's own."""
    swapped = {"left": "right", "right": "left"} if sides == "image" else {}
    return "_".join(swapped.get(word, word) for word in name.lower().split())


def named_points(points: Mapping[str, np.ndarray], sides: Sides) -> dict[str, np.ndarray]:
    """Rename landmarks, left and right being the person's own: the `conventions.ALIGNMENT_POINTS` first, as there."""
    in_order = as_68(points, sides)[list(ALIGNMENT_IN_68)]
    result = {name: point for name, point in zip(ALIGNMENT_POINTS, in_order, strict=True) if np.isfinite(point).all()}
    for name, point in points.items():
        if INDEX_IN_68.get(name) not in ALIGNMENT_IN_68:
            result.setdefault(_slug(name, sides), point)
    return result


def _pairs(points: Mapping[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Points that are there on both sides: those called left and those called right."""
    names = [
        (name, landmark_name(name.lower().replace("left", "right"))) for name in LANDMARKS if "left" in _words(name)
    ]
    return [(points[left], points[right]) for left, right in names if left in points and right in points]


def check_sides(points: Mapping[str, np.ndarray], sides: Sides, where: str, yaw: float = 0.0) -> None:
    """Check the setting `landmark_sides` on the landmarks (2D or 3D) of a face turned by `yaw` degrees.

    Raises:
        DataError: the points called left lie on the other side than the setting says.
    """
    pairs = _pairs(points)
    if not pairs or abs(yaw) > _HIDDEN:
        return
    to_right = sum(float(np.sign(right[0] - left[0])) for left, right in pairs)
    found = "image" if to_right > 0 else "person"
    if to_right and found != sides:
        raise DataError(
            f"{where}: the landmarks called left lie on the {found}'s left, not on the {sides}'s; "
            f"set datasets.bosphorus.landmark_sides: {found}"
        )
