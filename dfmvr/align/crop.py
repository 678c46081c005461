"""Five-point alignment: scale and place a photograph so that the face stands as in the camera model.

Where that is asked for, it is turned too, so that the head is level.

All pixel coordinates are continuous: x right, y down, the first pixel's centre at 0.5.
Source: Deng et al. 2019 (Deep3DFace), util/preprocess.py.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from dfmvr.align.frame import warp
from dfmvr.conventions import REFERENCE_SIZE_PX
from dfmvr.errors import DataError
from dfmvr.files import read_npz

PX_PER_MM_AT_REFERENCE = 1.02
"""Scale of an aligned face in a crop 224 px wide (Deep3DFace's 102 px a decimetre); the camera's own is 1.015."""

MIN_PX_PER_MM = 0.15
"""ASSUME: a face below this scale, some 20 px wide, has too few pixels to learn from."""

MAX_STRETCH = 2.0
"""ASSUME: the scales of a face's two image axes differ by less than this factor. Of faces whose points are each off
by 4 mm, yaw up to 63 degrees, 99 in 100 have a factor below 1.4, a cosine below 0.3 and a residual below 6 mm."""

MAX_COSINE = 0.5
"""ASSUME: the two image axes of a face, at right angles if it were the standard one, are never this oblique."""

MAX_RESIDUAL_MM = 12.0
"""ASSUME: five points that miss the standard face by more than this (root mean square) are not those of a face."""

MIN_LANDMARKS = 8
"""ASSUME: fewer known landmarks do not fix scale and place of a face that lacks one of the five points."""

BICUBIC_SUPPORT = 2


class Pos(NamedTuple):
    """A scaled orthographic camera: image point = axes @ point + translation, y up."""

    axes: np.ndarray  # (2, 3), px/mm; the image's x and y axes in the face's frame, times their scales
    translation: np.ndarray  # (2,), px; image of the face's origin
    scale: float  # px/mm, mean of the two axes
    residual_px: float  # root mean square distance of the points

    @property
    def yaw_deg(self) -> float:
        """Rotation about y in degrees: negative where the nose points to the image's left."""
        right, up = self.axes / np.linalg.norm(self.axes, axis=1, keepdims=True)
        return math.degrees(math.asin(float(np.clip(-np.cross(right, up)[0], -1, 1))))

    @property
    def roll_deg(self) -> float:
        """Tilt of the face's vertical axis in the image, in degrees, clockwise."""
        return math.degrees(math.atan2(self.axes[0, 1], self.axes[1, 1]))


class Alignment(NamedTuple):
    """Where the face stands in a photograph."""

    affine: np.ndarray  # (2, 3), crop = affine @ (x, y, 1), px
    yaw_deg: float  # of the scaled orthographic camera; see `Pos`


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """Reduce 68 landmarks to five: image-left eye, image-right eye, nose tip, mouth corners.

    An eye is the middle of its two corners.

    Args:
        landmarks: (68, D) in iBUG order, or the five points already.
    Returns:
        (5, D), in the unit of the input.
    Raises:
        DataError: another number of points.
    Source: extract_5p of Deep3DFace.
    """
    landmarks = np.asarray(landmarks, np.float64)
    if len(landmarks) == 5:
        return landmarks
    if len(landmarks) != 68:
        raise DataError(f"landmarks: expected 5 or 68 points, found {len(landmarks)}; use another source of landmarks")
    eyes = (landmarks[[36, 42]] + landmarks[[39, 45]]) / 2
    return np.concatenate([eyes, landmarks[[30, 48, 54]]])


def read_standard_points(face_model: Path | str) -> np.ndarray:
    """Read `standard_points` from a face model's file, which is faster than to read it all.

    Raises:
        DataError: no readable face model.
    """
    model = read_npz(face_model, "mean", "landmarks_68", others=False)
    mean, ids = model["mean"], model["landmarks_68"]
    if mean.ndim != 2 or mean.shape[1] != 3 or ids.shape != (68,) or ids.min() < 0 or ids.max() >= len(mean):
        raise DataError(f"{face_model}: expected mean (V, 3) and landmarks_68 (68,) within it; build the model again")
    return standard_points(mean, ids)


def standard_points(mean: np.ndarray, landmarks_68: np.ndarray) -> np.ndarray:
    """The 68 landmarks of the mean face (V, 3), (68, 3) mm, origin at its centroid.

    ASSUME: the mean of our face model stands for Deep3DFace's standard face, so that with no rotation and no
    translation the mean face projects onto the aligned landmarks.
    """
    mean = mean.astype(np.float64)
    return (mean - mean.mean(0))[landmarks_68]


def matching_points(landmarks: np.ndarray, standard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Choose the points of an image and of the standard face by which a face is aligned.

    They are the five of Deep3DFace or, where one of them is not known (NaN), all the landmarks that are.

    ASSUME: a turned face, of which a data set annotates only the points that can be seen, is aligned by those.

    Args:
        landmarks: (68, 2) or (5, 2) px, y down; NaN where unknown.
        standard: (68, 3) or (5, 3) mm.
    Returns:
        (N, 2) and (N, 3), N >= 5.
    Raises:
        DataError: another number of points, an infinite one, or too few that are known.
    """
    points = five_points(landmarks)
    if len(landmarks) == 5 and np.isnan(points).any():
        raise DataError("a landmark is not a finite number; mend it")
    if np.isfinite(points).all():
        return points, five_points(standard)
    known = np.isfinite(landmarks).all(1)
    if known.sum() < MIN_LANDMARKS or len(standard) != len(landmarks):
        raise DataError(
            f"only {known.sum()} of {len(landmarks)} landmarks are known, expected {MIN_LANDMARKS} or more; annotate "
            "them or set align.landmarks: face_alignment"
        )
    return np.asarray(landmarks, np.float64)[known], standard[known]


def fit_pos(points: np.ndarray, standard: np.ndarray) -> Pos:
    """Fit a scaled orthographic camera to corresponding points by linear least squares.

    Args:
        points: (N, 2) px, y UP, N >= 4.
        standard: (N, 3) mm, not all in one plane.
    Source: POS of Deep3DFace's util/preprocess.py; the first step of DeMenthon and Davis 1995.
    """
    system = np.column_stack([standard, np.ones(len(standard))])
    solution = np.linalg.lstsq(system, points, rcond=None)[0]  # (4, 2)
    axes, translation = solution[:3].T, solution[3]
    residual = float(np.sqrt(np.square(system @ solution - points).sum(1).mean()))
    return Pos(axes, translation, float(np.linalg.norm(axes, axis=1).mean()), residual)


def fit_face(landmarks: np.ndarray, standard: np.ndarray) -> Pos:
    """Fit the camera to the landmarks of a face, (68, 2) or (5, 2) px, y down; see `matching_points`."""
    points, matching = matching_points(landmarks, standard)
    return fit_pos(points * (1, -1), matching)


def _check(pos: Pos) -> None:
    """Raise DataError if the points cannot be those of an upright face of useful size."""
    if not np.isfinite(pos.axes).all() or pos.scale < MIN_PX_PER_MM:
        raise DataError(
            f"face too small or points wrong: {pos.scale:.2f} px/mm, expected {MIN_PX_PER_MM} or more; "
            "use a closer or larger photograph"
        )
    lengths = np.linalg.norm(pos.axes, axis=1)
    if pos.axes[1, 1] < 0.3 * lengths[1]:
        raise DataError("the face lies on its side or upside down; turn the photograph upright")
    if pos.axes[0, 0] < -0.3 * lengths[0]:
        raise DataError("the landmarks are mirrored: the first eye must be the one on the image's left; exchange them")
    stretch, cosine = lengths.max() / lengths.min(), abs(pos.axes[0] @ pos.axes[1]) / lengths.prod()
    residual_mm = pos.residual_px / pos.scale
    if stretch > MAX_STRETCH or cosine > MAX_COSINE or residual_mm > MAX_RESIDUAL_MM:
        raise DataError(
            f"implausible alignment: image axes {stretch:.1f}-fold in scale (limit {MAX_STRETCH}), oblique by a cosine "
            f"of {cosine:.2f} (limit {MAX_COSINE}), points off by {residual_mm:.1f} mm (limit {MAX_RESIDUAL_MM}); "
            "check the landmarks"
        )


def find_roll(landmarks: np.ndarray, standard: np.ndarray) -> float:
    """How far a face is tilted in the photograph, degrees, clockwise; arguments as of `find_alignment`.

    ASSUME: all known landmarks tell it, as lips and nose are more crooked than the whole.
    """
    known = np.isfinite(landmarks).all(1)
    if len(landmarks) != len(standard) or known.sum() < MIN_LANDMARKS:
        return fit_face(landmarks, standard).roll_deg
    return fit_pos(np.asarray(landmarks, np.float64)[known] * (1, -1), standard[known]).roll_deg


def turned(degrees: float) -> np.ndarray:
    """Matrix (2, 2) that turns a picture's coordinates (x right, y down) clockwise."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s], [s, c]])


def find_alignment(landmarks: np.ndarray, standard: np.ndarray, size: int, level: bool = False) -> Alignment:
    """Find the map from photo pixels to the pixels of an aligned crop: scale and translation.

    Args:
        landmarks: (68, 2) or (5, 2) px of the photograph, y down; NaN where one of the 68 is unknown.
        standard: (68, 3) mm, the mean face's landmarks (`read_standard_points`), or its five points.
        size: width and height of the crop in px.
        level: turn the face upright too, however it is tilted; otherwise the map has no rotation.
    Raises:
        DataError: a wrong number of points, points that are not finite, or an implausible face (and why).
    """
    level_by = turned(-find_roll(landmarks, standard)) if level else np.eye(2)
    pos = fit_face(landmarks @ level_by.T if level else landmarks, standard)
    _check(pos)
    scale = PX_PER_MM_AT_REFERENCE * size / REFERENCE_SIZE_PX / pos.scale
    centre = pos.translation * (1, -1)
    return Alignment(np.column_stack([scale * level_by, size / 2 - scale * centre]), pos.yaw_deg)


def map_points(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points (N, 2) by an affine map (2, 3)."""
    return np.asarray(points) @ affine[:, :2].T + affine[:, 2]


def crop_photo(photo: np.ndarray, affine: np.ndarray, size: int) -> np.ndarray:
    """Resample a photograph, bicubic, smoothed where it shrinks; black outside the photograph.

    Args:
        photo: uint8 RGB (H, W, 3).
        affine: (2, 3) from photo pixels to crop pixels: a positive scale, a rotation and a translation.
        size: width and height of the crop in px.
    Returns:
        uint8 (size, size, 3).
    Raises:
        ValueError: the map shears, stretches or mirrors.
    """
    a, b = (float(x) for x in affine[:, 0])
    scale = math.hypot(a, b)
    if scale <= 0 or not np.allclose(affine[:, :2], [[a, -b], [b, a]], rtol=0, atol=1e-6 * scale):
        raise ValueError(f"expected a positive scale, a rotation and a translation, found {affine[:, :2].tolist()}")
    # Pillow smooths beyond the box, so the region it sees is wider than the box by the reach of the filter.
    margin = math.ceil(BICUBIC_SUPPORT * max(1.0, 1 / scale)) + 1
    if abs(b) > 1e-6 * scale or a < 0:
        photo, affine = _levelled(photo, affine, scale, size / scale, margin)
        scale = float(affine[0, 0])
    corner = -affine[:, 2] / scale
    first = np.floor(corner).astype(int) - margin
    last = np.ceil(corner + size / scale).astype(int) + margin
    region = Image.fromarray(_part(photo, first, last))
    box = np.concatenate([corner - first, corner + size / scale - first])
    return np.array(region.resize((size, size), Image.Resampling.BICUBIC, box=tuple(box.tolist())))


def _part(photo: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The pixels of a photograph from corner (x, y) to corner, black where it has none."""
    inside = [np.clip(corner, 0, photo.shape[1::-1]) for corner in (first, last)]
    result = np.zeros((*(last - first)[::-1], 3), np.uint8)
    (x0, y0), (x1, y1) = inside[0] - first, inside[1] - first
    result[y0:y1, x0:x1] = photo[inside[0][1] : inside[1][1], inside[0][0] : inside[1][0]]
    return result


def _levelled(
    photo: np.ndarray, affine: np.ndarray, scale: float, extent: float, margin: int
) -> tuple[np.ndarray, np.ndarray]:
    """The part of a photograph that a crop shows, turned but, unless it shrinks much, not resized; its map to the crop.

    Args:
        photo: uint8 RGB (H, W, 3).
        affine: (2, 3) from photo pixels to crop pixels.
        scale: of the map.
        extent: width and height of what the crop shows, px of the photograph.
        margin: px that the part has on each side beyond it.
    """
    shrink = max(1, int(0.25 / scale))  # what the crop shows is coarser by far: no need to turn so many pixels
    size = math.ceil(extent / shrink) + 2 * margin
    turn, shift = affine[:, :2] / scale, affine[:, 2] / scale + margin * shrink
    corners = (
        shrink * np.array([(0, 0), (0, size), (size, 0), (size, size)]) - shift
    ) @ turn  # its inverse is transposed
    first, last = np.floor(corners.min(0)).astype(int) - shrink, np.ceil(corners.max(0)).astype(int) + shrink
    first, last = (np.clip(corner, 0, photo.shape[1::-1]) for corner in (first, last))
    part = photo[first[1] : last[1], first[0] : last[0]]
    if not part.size:
        part = np.zeros((1, 1, 3), np.uint8)  # the crop lies outside
    small = np.array(Image.fromarray(np.ascontiguousarray(part)).reduce(shrink)) if shrink > 1 else part
    moved = np.column_stack([turn, (turn @ first + shift) / shrink])
    level = warp(small, moved, size, cv2.BORDER_CONSTANT, cv2.INTER_CUBIC)
    return level, np.column_stack([np.eye(2), np.full(2, -margin)]) * scale * shrink


def align_photo(
    photo: np.ndarray, landmarks: np.ndarray, standard: np.ndarray, size: int, level: bool = False
) -> tuple[np.ndarray, Alignment]:
    """Cut the aligned face out of a photograph.

    Args:
        photo: uint8 RGB (H, W, 3), upright.
        landmarks: (68, 2) or (5, 2) px of the photograph; NaN where one of the 68 is unknown.
        standard: (68, 3) or (5, 3) mm (`read_standard_points`).
        size: width and height of the crop in px.
        level: turn the face upright.
    Returns:
        The crop, uint8 (size, size, 3), and the map from photo to crop pixels.
    Raises:
        DataError: landmarks outside the photograph (how far), wrong in number, or implausible as a face.
    """
    landmarks = np.asarray(landmarks, np.float64)
    if np.isinf(landmarks).any():
        raise DataError("a landmark is not a finite number; mend it")
    height, width = photo.shape[:2]
    beyond = np.maximum(-landmarks, landmarks - (width, height)).max(1)
    if (beyond > 0).any():
        raise DataError(
            f"{int((beyond > 0).sum())} of {len(landmarks)} landmarks outside the photograph of {width} x {height} px, "
            f"by up to {np.nanmax(beyond):.1f} px; use a photograph that shows the whole face"
        )
    found = find_alignment(landmarks, standard, size, level)
    return crop_photo(photo, found.affine, size), found
