"""Colours of a range image's points, from the photograph that was taken with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from scipy.spatial import cKDTree

from dfmvr.datasets.bosphorus.range_image import RangeImage
from dfmvr.errors import DataError
from dfmvr.geometry.resampling import sample

TextureY = Literal["up", "down"]
OTHER: dict[str, TextureY] = {"up": "down", "down": "up"}
UNKNOWN = 0.5
"""Grey of a point that the photograph does not show."""

_WRONG, _RIGHT = 0.1, 0.05
"""Misfits, in heights of the photograph, of a direction that is surely wrong while the other one is right."""

_NEAR_MM = 10.0
_FEW = 3


def pixels_of(texture: np.ndarray, size: tuple[int, int], texture_y: TextureY) -> np.ndarray:
    """Places in a photograph, (..., 2) continuous pixels.

    Args:
        texture: (..., 2) image coordinates a, b of a range image.
        size: height and width of the photograph in pixels.
        texture_y: whether b grows downward, as pixels do, or upward.
    """
    a, b = texture[..., 0], texture[..., 1]
    height, width = size
    return np.stack([a * width, (b if texture_y == "down" else 1 - b) * height], -1)


def colours_at(photo: np.ndarray, texture: np.ndarray, texture_y: TextureY) -> np.ndarray | None:
    """Look up colours (N, 3) in [0, 1], sRGB-encoded; None if the photograph shows none of the points.

    Args:
        photo: uint8 RGB (H, W, 3).
        texture: (N, 2) image coordinates; points outside [0, 1] become grey.
        texture_y: direction of the second coordinate.
    """
    shown = ((texture >= 0) & (texture <= 1)).all(-1)
    if not shown.any():
        return None
    colours = np.full((len(texture), 3), UNKNOWN)
    pixels = pixels_of(texture[shown], photo.shape[:2], texture_y)
    colours[shown] = sample(photo.astype(np.float32), pixels) / 255
    return colours


def check_texture_direction(
    image: RangeImage,
    landmarks_3d: Mapping[str, np.ndarray],
    landmarks_2d: Mapping[str, np.ndarray],
    size: tuple[int, int],
    texture_y: TextureY,
    where: str,
) -> None:
    """Check the setting `texture_y` by landmarks known in both the range image and the photograph.

    Args:
        image: the range image.
        landmarks_3d: (3,) mm by name, in its frame.
        landmarks_2d: (2,) pixels of the photograph by name.
        size: height and width of the photograph in pixels.
        texture_y: the setting.
        where: what errors call the range image.
    Raises:
        DataError: the points at the landmarks are in the photograph where the other direction puts them.
    """
    names = [name for name in landmarks_3d if name in landmarks_2d]
    valid = image.valid
    if not names or not valid.any():
        return
    distance, nearest = cKDTree(image.points[valid]).query([landmarks_3d[name] for name in names])
    texture = image.texture[valid][nearest]
    usable = (distance < _NEAR_MM) & ((texture >= 0) & (texture <= 1)).all(-1)
    if usable.sum() < _FEW:
        return
    marked = np.array([landmarks_2d[name] for name in names])[usable]

    def misfit(direction: TextureY) -> float:
        found = pixels_of(texture[usable], size, direction)
        return float(np.median(np.abs(found - marked)[:, 1])) / size[0]

    if misfit(texture_y) > _WRONG and misfit(OTHER[texture_y]) < _RIGHT:
        raise DataError(
            f"{where}: expected its landmarks in the photograph where the .lm2 has them, found them "
            f"{misfit(texture_y):.0%} of its height beside, but {misfit(OTHER[texture_y]):.0%} if turned over; "
            f"set datasets.bosphorus.texture_y: {OTHER[texture_y]}"
        )
