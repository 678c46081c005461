"""Where a face stands in an image, as one similarity, and the crop that shows it upright.

A face's frame is the similarity (scale, rotation, translation) that brings the standard face, seen from the front and
one unit wide, nearest to its landmarks in the image. It is one complex 2x1 array (turn, centre): z = turn c + centre.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

CROP_PX = 64
FACE_PX = 40
"""Width of the standard face in a crop of CROP_PX."""


class Frame(NamedTuple):
    """Where a face stands in an image: z = turn c + centre, complex; c in widths of the standard face."""

    turn: complex  # its magnitude is the face's width in px, its angle the roll, clockwise in the image
    centre: complex  # px


def flat_face(standard: np.ndarray) -> np.ndarray:
    """The standard face (68, 3) mm from the front: (68,) complex, y down, one unit wide, centred at its centroid."""
    flat = standard[:, 0] - 1j * standard[:, 1]
    return (flat - flat.mean()) / np.ptp(flat.real)


def frame_of(points: np.ndarray, flat: np.ndarray) -> Frame:
    """Fit the frame of a face by least squares.

    Args:
        points: (68, 2) px; NaN where unknown.
        flat: (68,) from `flat_face`.
    """
    known = np.isfinite(points).all(1)
    z, c = points[known, 0] + 1j * points[known, 1], flat[known]
    middle = c.mean()
    turn = np.vdot(c - middle, z - z.mean()) / np.vdot(c - middle, c - middle).real
    return Frame(complex(turn), complex(z.mean() - turn * middle))


def affine_to(frame: Frame, width: float, centre: complex) -> np.ndarray:
    """Map (2, 3) of continuous image pixels that turns a face upright, `width` wide, and brings it to `centre`."""
    linear = width / frame.turn
    shift = centre - linear * frame.centre
    return np.array([[linear.real, -linear.imag, shift.real], [linear.imag, linear.real, shift.imag]])


def crop_affine(frame: Frame) -> np.ndarray:
    """Map (2, 3) of image pixels to the pixels of the crop that shows this frame upright."""
    return affine_to(frame, FACE_PX, CROP_PX / 2 * (1 + 1j))


def inverse_affine(affine: np.ndarray) -> np.ndarray:
    """The inverse of an affine map (2, 3)."""
    linear = np.linalg.inv(affine[:, :2])
    return np.column_stack([linear, -linear @ affine[:, 2]])


def warp(
    picture: np.ndarray,
    affine: np.ndarray,
    size: int,
    border: int = cv2.BORDER_REPLICATE,
    flags: int = cv2.INTER_LINEAR,
) -> np.ndarray:
    """Move a picture by a map (2, 3) of continuous pixels into another, `size` wide and high."""
    shifted = affine.copy()
    shifted[:, 2] += affine[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV has pixel centres at whole numbers
    return cv2.warpAffine(picture, shifted, (size, size), flags=flags, borderMode=border)


def turned_back(points: np.ndarray, quarters: int, shape: tuple[int, ...]) -> np.ndarray:
    """Where points (N, 2) of a picture turned by `quarters` right angles (NumPy's `rot90`) are in the picture.

    Args:
        points: continuous px of the turned picture.
        quarters: 0 to 3.
        shape: height and width of the picture that was turned.
    """
    (height, width), (x, y) = shape[:2], np.asarray(points, np.float64).T
    return np.stack([(x, y), (width - y, x), (width - x, height - y), (y, height - x)][quarters], 1)
