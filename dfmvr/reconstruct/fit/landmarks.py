"""Landmarks that were found in a photograph: where points of the surface should be seen.

The 478 points of mediapipe, whose places on the surface and whose errors were learnt (`dfmvr.align.dense`), where a
photograph has them; else the 68.
"""

from __future__ import annotations

import numpy as np

from dfmvr.align.dense import IRISES, DenseLandmarks
from dfmvr.conventions import CAMERA_DISTANCE_MM
from dfmvr.geometry.camera import focal_px
from dfmvr.reconstruct.fit.equations import NormalEquations, robust_weight
from dfmvr.reconstruct.fit.pictures import Picture
from dfmvr.reconstruct.fit.seeing import Seen

SPREAD_MM = 3.5
"""ASSUME: standard deviation of one of the 68 as our own finder finds them, with what it has in common with its
neighbours."""

JAW, JAW_SPREAD = 17, 3.0
"""ASSUME: a finder follows the visible contour; the model's jaw points are fixed ones, hence off by more."""

TURNED = 0.2
"""ASSUME: the sine of a yaw from which the jaw's far half is hidden."""

DENSE_ALIKE = 23.0
"""So many of the 478 points err alike and count as one measurement: on photographs whose surface is known, the errors
of the 432 off the outline have some 19 independent components."""

BLUR_PX = 0.75
"""ASSUME: standard deviation, px of the photograph, by which points of small photographs are off beside what was learnt
on large ones."""

PX_PER_MM = focal_px(1) / CAMERA_DISTANCE_MM
"""Scale of a face in a crop, by its width in px."""


def add_landmarks(equations: NormalEquations, seen: Seen, picture: Picture, place: int, turn: float) -> None:
    """Add the 68 landmarks of a photograph to the normal equations.

    Args:
        equations: get a pair of residuals for each landmark that is known and not hidden.
        seen: how its camera sees the shape.
        picture: with the landmarks.
        place: the photograph's number.
        turn: sine of the face's yaw, negative where the nose points to the image's left.
    """
    known = np.isfinite(picture.landmarks).all(1)
    if abs(turn) > TURNED:
        known[: JAW // 2] &= turn > 0
        known[JAW // 2 + 1 : JAW] &= turn < 0
    which = np.flatnonzero(known)
    spread = _spread(picture, SPREAD_MM * np.where(which < JAW, JAW_SPREAD, 1.0))
    _add(equations, seen, place, picture.landmarks[which], spread, seen.shapes.landmarks_68[which, None])


def add_dense(equations: NormalEquations, seen: Seen, picture: Picture, place: int, dense: DenseLandmarks) -> None:
    """Add the 478 points of a photograph: those that its camera can see, but the irises.

    Args:
        equations: get a pair of residuals for each.
        seen: how the photograph's camera sees the shape.
        picture: with the points.
        place: the photograph's number.
        dense: what the points mean.
    """
    places = dense.at(seen.yaw_deg)
    known = np.isfinite(picture.dense).all(1)
    known[list(IRISES)] = False
    known &= (places.weights * seen.cosine[places.vertices]).sum(1) > 0
    which = np.flatnonzero(known)
    spread = _spread(picture, places.spread[which]) * np.sqrt(DENSE_ALIKE)
    _add(equations, seen, place, picture.dense[which], spread, places.vertices[which], places.weights[which])


def _spread(picture: Picture, learnt: np.ndarray) -> np.ndarray:
    """Standard deviations of points in px of the crop, from those in mm."""
    return np.hypot(learnt * PX_PER_MM * picture.size, BLUR_PX * picture.enlarged)


def _add(
    equations: NormalEquations,
    seen: Seen,
    place: int,
    target: np.ndarray,
    spread: np.ndarray,
    corners: np.ndarray,
    shares: np.ndarray | None = None,
) -> None:
    """Add points, with corners and shares (M, C), that should be seen at targets (M, 2) px, within a spread (M,)."""
    shares = np.ones(corners.shape) if shares is None else shares
    residual = target - (shares[..., None] * seen.pixels[corners]).sum(1)
    of_shape, of_pose = seen.derivative(corners, shares)
    terms = [*equations.shape(of_shape, place), (equations.pose(place), of_pose)]
    equations.add(terms, residual, robust_weight(residual, spread))
