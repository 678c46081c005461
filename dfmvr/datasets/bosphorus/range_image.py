"""Range images (.bnt) as the sensor behind Bosphorus stores them: a grid of 3D points with image coordinates.

Little endian, without padding:

    uint16 rows | uint16 columns | float64 zmin | uint16 length | the photograph's file name |
    uint32 n = 5 * rows * columns | float64[n]: the planes x, y, z, a, b one after the other

x, y, z are millimetres, x to the viewer's right, y up, z toward the sensor. a and b are the point's place in the
photograph as shares of its width and height. `zmin` marks the background. A point is invalid if any of x, y, z is
marked or not finite, since some files have points of which only a part is marked.

ASSUME: where rows * columns is not n / 5, which happens, n is right and one of rows and columns is, if it fits.
Source: Savran et al. 2008, "Bosphorus Database for 3D Face Analysis", and public readers of the format.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from dfmvr.errors import DataError, OutputError
from dfmvr.files import writing

Rows = Literal["bottom_first", "top_first"]
ZMIN = -1e9
PLANES = 5
_SIZE, _COUNT = struct.Struct("<HHdH"), struct.Struct("<I")
_LARGEST_SIDE = _LONGEST_NAME = 0xFFFF
_RISING = 0.5  # correlation of y with the row below the top one from which on the rows are surely upside down


@dataclass(frozen=True, eq=False)
class RangeImage:
    """A grid of points, top row first."""

    points: np.ndarray  # (H, W, 3) float64 mm, NaN where invalid
    texture: np.ndarray  # (H, W, 2) float64 a and b as stored, in [0, 1] where the photograph shows the point
    image_name: str = ""

    @property
    def valid(self) -> np.ndarray:
        """Where there is a point, (H, W) bool."""
        return np.isfinite(self.points).all(-1)


def read_bnt(path: Path | str, rows: Rows = "bottom_first") -> RangeImage:
    """Read a range image; it needs at most about twice the file's size in memory.

    Args:
        path: the file.
        rows: order of the rows in the file.
    Raises:
        DataError: the file is missing, cut short, holds no points, or its header contradicts its size.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; supply the range image or leave the scan out")
    try:
        with path.open("rb") as file:
            shape, zmin, name = _read_header(file, path)
            points, texture = np.empty((*shape, 3)), np.empty((*shape, 2))
            for k in range(PLANES):
                plane = np.frombuffer(_read(file, 8 * shape[0] * shape[1], path), "<f8").reshape(shape)
                (points if k < 3 else texture)[..., k % 3] = plane
    except OSError as error:
        raise DataError(f"{path}: not readable ({error.strerror or error}); copy the file again") from error
    if rows == "bottom_first":
        points, texture = points[::-1], texture[::-1]
    invalid = (points == zmin).any(-1) | ~np.isfinite(points).all(-1)
    points[invalid], texture[invalid] = np.nan, np.nan
    return RangeImage(points, texture, name)


def _read_header(file: BinaryIO, path: Path) -> tuple[tuple[int, int], float, str]:
    """Read the shape, the mark of the background and the photograph's name; check them against the file's size."""
    size = os.fstat(file.fileno()).st_size
    rows, columns, zmin, length = _SIZE.unpack(_read(file, _SIZE.size, path))
    name = _read(file, length, path).decode("latin-1")  # any byte is a character of it, so names come back exactly
    (numbers,) = _COUNT.unpack(_read(file, _COUNT.size, path))
    announced, end = f"{rows} x {columns} points and {numbers} numbers", file.tell() + 8 * numbers
    if numbers == 0 or numbers % PLANES:
        raise DataError(f"{path}: expected numbers in {PLANES} planes, found {announced}; copy the file again")
    if end > size:
        raise DataError(f"{path}: cut short: {announced} need {end} bytes, found {size}; copy the file again")
    count = numbers // PLANES
    if count != rows * columns and end != size:
        raise DataError(f"{path}: expected {announced} to agree with each other or with {size} bytes; copy it again")
    if not np.isfinite(zmin):
        raise DataError(f"{path}: expected a finite mark of the background, found {zmin}; copy the file again")
    return _shape(rows, columns, count), zmin, name


def _read(file: BinaryIO, size: int, path: Path) -> bytes:
    """Read exactly `size` bytes."""
    content = file.read(size)
    if len(content) != size:
        raise DataError(f"{path}: cut short: expected {size} bytes more, found {len(content)}; copy the file again")
    return content


def _shape(rows: int, columns: int, count: int) -> tuple[int, int]:
    """Rows and columns of `count` points; one row, hence no grid, if neither announced number divides them."""
    if rows * columns == count:
        return rows, columns
    if columns > 1 and count % columns == 0:
        return count // columns, columns
    if rows > 1 and count % rows == 0:
        return rows, count // rows
    return 1, count


def write_bnt(path: Path, image: RangeImage, rows: Rows = "bottom_first") -> None:
    """Write a range image, atomically; its valid points come back to the bit, the others as invalid ones.

    Args:
        path: place of the file.
        image: the points.
        rows: order of the rows in the file.
    Raises:
        OutputError: more points than the header can tell, too long or foreign a name, or no file can be written.
    """
    height, width = image.points.shape[:2]
    if max(height, width) > _LARGEST_SIDE or PLANES * height * width >= 1 << 32:
        raise OutputError(f"{path}: {height} x {width} points are more than the format can hold; write fewer")
    try:
        name = image.image_name.encode("latin-1")
    except UnicodeEncodeError:
        raise OutputError(f"{path}: image name {image.image_name!r} is not Latin-1; rename the photograph") from None
    if len(name) > _LONGEST_NAME:
        raise OutputError(f"{path}: an image name of {len(name)} bytes, the format holds {_LONGEST_NAME}; shorten it")
    pixels = np.concatenate([image.points, image.texture], -1).astype("<f8")
    pixels[~image.valid] = ZMIN
    planes = np.moveaxis(pixels[::-1] if rows == "bottom_first" else pixels, -1, 0)
    with writing(path) as partial, partial.open("wb") as file:
        file.write(_SIZE.pack(height, width, ZMIN, len(name)) + name + _COUNT.pack(pixels.size))
        for plane in planes:
            file.write(plane.tobytes())


def check_rows(image: RangeImage, rows: Rows, where: str) -> None:
    """Check that y falls from the top row to the bottom row of an image that was read with the setting `rows`.

    Raises:
        DataError: y clearly rises, so the file has its rows in the other order.
    """
    row, _ = np.nonzero(image.valid)
    y = image.points[image.valid][:, 1]
    if len(y) < 2 or np.ptp(row) == 0:
        return
    with np.errstate(all="ignore"):  # constant or huge numbers give NaN, which is no verdict
        rising = np.corrcoef(row, y)[0, 1]
    if rising > _RISING:
        other = "top_first" if rows == "bottom_first" else "bottom_first"
        raise DataError(
            f"{where}: expected y to fall from the top row to the bottom row, but it rises; "
            f"set datasets.bosphorus.rows: {other}"
        )
