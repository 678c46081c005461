"""Text files of 2D landmarks: one point `x y` a line, in pixels of the upright photograph."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dfmvr.datasets.listing import read_lines
from dfmvr.errors import DataError
from dfmvr.files import writing

COUNTS = (5, 68)
DECIMALS = 3
MAX_BYTES = 1 << 16


def read_landmark_file(path: Path | str, counts: tuple[int, ...] = COUNTS) -> np.ndarray:
    """Read 2D landmarks, (N, 2) float64: pixels, x right, y down, the first pixel's centre at 0.5.

    Five points come in the order of the image: eye, eye, nose, mouth corner, mouth corner, the image's left first
    (the files of Deep3DFace); 68 points in iBUG order. Numbers are separated by spaces, tabs, commas or semicolons;
    empty lines, lines starting with # and one heading line of words are passed over.

    Args:
        path: the file.
        counts: numbers of points that are accepted.
    Raises:
        DataError: the file is missing, not text, holds something else than two finite numbers a line, or has a
            number of points that is not in `counts`.
    """
    lines = read_lines(path, "supply it or choose another source of landmarks", most=MAX_BYTES)
    points: list[tuple[float, float]] = []
    for number, line in enumerate(lines, start=1):
        words = line.replace(",", " ").replace(";", " ").split()
        if not words or words[0].startswith("#"):
            continue
        try:
            x, y = map(float, words)
        except ValueError:
            if not points and not any(character.isdigit() for character in line):
                continue  # a heading such as `x,y`
            raise DataError(f"{path}, line {number}: expected two numbers `x y`, found {line.strip()[:60]!r}") from None
        points.append((x, y))
    expected = " or ".join(map(str, counts))
    if len(points) not in counts:
        raise DataError(f"{path}: expected {expected} points, one a line, found {len(points)}")
    result = np.array(points, dtype=np.float64)
    if not np.isfinite(result).all():
        raise DataError(f"{path}: point {int(np.flatnonzero(~np.isfinite(result).all(1))[0])} is not finite; mend it")
    return result


def write_landmark_file(path: Path | str, points: np.ndarray) -> None:
    """Write points (N, 2) in pixels, one `x y` a line, rounded to a thousandth of a pixel.

    Raises:
        OutputError: the file cannot be written.
    """
    with writing(path) as partial:
        np.savetxt(partial, points, fmt=f"%.{DECIMALS}f")
