"""Text files of 2D landmarks: one point `x y` a line, in pixels of the upright photograph; and iBUG's .pts."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from dfmvr.datasets.listing import read_lines
from dfmvr.errors import DataError
from dfmvr.files import writing

COUNTS = (5, 68)
DECIMALS = 3
MAX_BYTES = 1 << 16
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


def read_landmark_file(path: Path | str, counts: tuple[int, ...] = COUNTS, sides: bool = False) -> np.ndarray:
    """Read 2D landmarks, (N, 2) float64: pixels, x right, y down, the first pixel's centre at 0.5.

    Five points come in the order of the image: eye, eye, nose, mouth corner, mouth corner, the image's left first
    (the files of Deep3DFace); 68 points in iBUG order. Numbers are separated by spaces, tabs, commas or semicolons, and
    commas may be decimal where something else separates; empty lines, lines starting with # and one heading line of
    words are passed over. In iBUG's .pts the first pixel's centre is at 1; it tells the number of points.

    Args:
        path: the file.
        counts: numbers of points that are accepted.
        sides: refuse points whose left and right are exchanged.
    Raises:
        DataError: the file is missing, not text, holds something else than two finite numbers a line, or has a number
            of points that is not in `counts`, or a face's sides exchanged.
    """
    lines = list(
        enumerate(read_lines(path, "supply it or choose another source of landmarks", most=MAX_BYTES), start=1)
    )
    ibug = Path(path).suffix.lower() == ".pts" or any(line.lower().startswith("version") for _, line in lines[:1])
    told = None
    if ibug:
        told, lines = _ibug(lines, path)
    points: list[tuple[float, float]] = []
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            x, y = map(float, _words(line))
        except ValueError:
            if not points and not any(character.isdigit() for character in line):
                continue  # a heading such as `x,y`
            raise DataError(f"{path}, line {number}: expected two numbers `x y`, found {line.strip()[:60]!r}") from None
        points.append((x, y))
    expected = " or ".join(map(str, counts))
    if len(points) not in counts or told not in (None, len(points)):
        tells = f", though it tells of {told}" if told not in (None, len(points)) else ""
        raise DataError(f"{path}: expected {expected} points, one a line, found {len(points)}{tells}")
    result = np.array(points, dtype=np.float64) - (0.5 if ibug else 0)
    if not np.isfinite(result).all():
        raise DataError(f"{path}: point {int(np.flatnonzero(~np.isfinite(result).all(1))[0])} is not finite; mend it")
    if sides:
        _check_sides(result, path)
    return result


def _words(line: str) -> list[str]:
    """The numbers of a line."""
    words = re.split(r"[;\s]+", line.strip(" \t;"))
    if len(words) == 2 and any(map(_DECIMAL_COMMA.fullmatch, words)):
        return [word.replace(",", ".") for word in words]
    return line.replace(",", " ").replace(";", " ").split()


def _ibug(lines: list[tuple[int, str]], path: Path | str) -> tuple[int, list[tuple[int, str]]]:
    """The number of points that a .pts file tells, and its lines between the braces.

    Raises:
        DataError: it has another form.
    """
    words = [line.strip() for _, line in lines]
    head, _, count = next((line for line in words if line.lower().startswith("n_points")), "").partition(":")
    if not head or not count.strip().isdecimal() or "{" not in words or "}" not in words:
        raise DataError(
            f"{path}: expected `version: 1`, `n_points: 68`, and the points in braces, as iBUG's .pts have it"
        )
    return int(count), lines[words.index("{") + 1 : words.index("}")]


def _check_sides(points: np.ndarray, path: Path | str) -> None:
    """Refuse points (68, 2) or (5, 2) whose left and right are exchanged; in profile that is not to be told.

    Raises:
        DataError: eyes or mouth corners run from right to left.
    """
    eyes, mouth = (points[[36, 45]], points[[48, 54]]) if len(points) == 68 else (points[:2], points[3:])
    down = mouth.mean(0) - eyes.mean(0)
    for name, (first, second) in (("eyes", eyes), ("mouth corners", mouth)):
        across = second - first
        # positive where `down` is clockwise of `across`, as y goes down
        turn = across[0] * down[1] - across[1] * down[0]
        if np.hypot(*across) > 0.4 * np.hypot(*down) and turn < -0.7 * np.hypot(*across) * np.hypot(*down):
            raise DataError(f"{path}: the {name} run from the image's right to its left; the left one comes first")


def write_landmark_file(path: Path | str, points: np.ndarray) -> None:
    """Write points (N, 2) in pixels, one `x y` a line, rounded to a thousandth of a pixel.

    Raises:
        OutputError: the file cannot be written.
    """
    with writing(path) as partial:
        np.savetxt(partial, points, fmt=f"%.{DECIMALS}f")
