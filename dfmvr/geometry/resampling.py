"""Values of images at many places, which need not form a picture."""

from __future__ import annotations

import cv2
import numpy as np

_ROW = 1024


def remap(
    image: np.ndarray, places: np.ndarray, method: int = cv2.INTER_LINEAR, border: int = cv2.BORDER_REPLICATE
) -> np.ndarray:
    """Values (N,) or (N, C) of an image at places (N, 2) as OpenCV counts: x and y, the first pixel's centre at 0."""
    count = len(places)
    if not count:
        return np.zeros((0, *image.shape[2:]), image.dtype)
    # OpenCV wants a picture of places, none of its sides beyond 32767.
    rows = np.zeros((-(-count // _ROW) * _ROW, 2), np.float32)
    rows[:count] = places
    found = cv2.remap(image, rows.reshape(-1, _ROW, 2), None, method, borderMode=border)
    return found.reshape(-1, *image.shape[2:])[:count]


def sample(image: np.ndarray, pixels: np.ndarray, method: int = cv2.INTER_LINEAR) -> np.ndarray:
    """Values (N,) or (N, C) of an image at continuous pixels (N, 2); beyond the edges those of the edges."""
    return remap(image, np.clip(pixels, -8, max(image.shape) + 8) - 0.5, method)
