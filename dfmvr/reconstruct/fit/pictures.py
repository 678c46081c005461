"""Photographs as the fit compares them: crops of one size, light and exposure divided out."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from dfmvr.align.crop import crop_photo, map_points
from dfmvr.align.frame import inverse_affine
from dfmvr.reconstruct.photographs.reconstruction import SeenView

DETAIL = 1 / 80
"""ASSUME: what is wider than this part of the crop (some 3 mm) is light as much as skin."""

EDGE = 1.5
"""So much of that width beside the photograph's edges is not compared."""

NOISE = 2.0
"""ASSUME: differences below this, of 255, are the sensor's."""

MIDDLE, GAIN = 128, 40.0


class Picture(NamedTuple):
    """The crop of a photograph at the size of one level of the fit."""

    size: int  # S, width and height, px
    enlarged: float  # px of the crop to one of the photograph
    crop: np.ndarray  # (S, S, 3) uint8 RGB
    evened: np.ndarray  # (S, S) uint8, see `evened`
    face: np.ndarray  # (S, S) float32, 1 where the mask says face, 0 where it says background or no photograph is
    landmarks: np.ndarray  # (68, 2) px, NaN where unknown
    dense: np.ndarray | None  # (478, 2) px, see `dfmvr.align.dense`; None where not found


def picture_of(view: SeenView, size: int) -> Picture:
    """Cut the face out of a photograph at another size than the network's."""
    seen = view.crop.shape[0]
    affine = view.affine * (size / seen)
    mask = np.ones((seen, seen), np.uint8) if view.mask is None else view.mask
    face = cv2.resize((mask > 0).astype(np.float32), (size, size), interpolation=cv2.INTER_NEAREST)
    face[~_in_photograph(affine, view.photo.shape, size)] = 0
    landmarks = np.full((68, 2), np.nan)
    if len(view.landmarks) == len(landmarks):
        landmarks = map_points(affine, view.landmarks)
    dense = None if view.dense is None else map_points(affine, view.dense)
    crop = crop_photo(view.photo, affine, size)
    return Picture(size, math.hypot(*affine[:, 0]), crop, evened(crop), face, landmarks, dense)


def _in_photograph(affine: np.ndarray, shape: tuple[int, ...], size: int) -> np.ndarray:
    """Which pixels (S, S) of a crop the photograph has, but those beside its edges, whose surroundings are unknown."""
    rows, columns = np.mgrid[:size, :size] + 0.5
    places = map_points(inverse_affine(affine), np.stack((columns.ravel(), rows.ravel()), 1))
    rim = EDGE * DETAIL * size / math.hypot(*affine[:, 0])
    return ((places > rim) & (places < np.array(shape[1::-1]) - rim)).all(1).reshape(size, size)


def evened(crop: np.ndarray) -> np.ndarray:
    """Differences of an RGB picture (S, S, 3) to its surroundings, in units of how much it differs there.

    Light, exposure and gain vary slowly over a face and drop out.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    width = crop.shape[0] * DETAIL
    detail = grey - cv2.GaussianBlur(grey, (0, 0), width)
    spread = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), width) + NOISE**2)
    return np.clip(MIDDLE + GAIN * detail / spread, 0, 255).astype(np.uint8)


def sample(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Interpolate a picture (S, S) or (S, S, C) bilinearly at points (M, 2) px; 0 outside: (M,) or (M, C)."""
    at = (points - 0.5).astype(np.float32)[:, None]
    return cv2.remap(picture, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)[:, 0]
