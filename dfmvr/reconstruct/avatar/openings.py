"""Where photographs show eyeballs and what lies behind the lips, by their dense landmarks.

In     a photograph with the 478 points of `dfmvr.align.dense`; without them nothing is known.
Gives  the distance of points from the openings of eyes and mouth, and the colours of irises and of the whites.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from dfmvr.colour import decode_srgb
from dfmvr.reconstruct.photographs.reconstruction import SeenView

# Points of mediapipe's mesh around each opening, in order: of its FACEMESH_RIGHT_EYE, FACEMESH_LEFT_EYE and of the
# inner edge of the lips.
EYES = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
MOUTH = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
IRISES = ((468, 469, 470, 471, 472), (473, 474, 475, 476, 477))
"""The middle of each eye's iris and four points on its edge."""

LEAST_OPEN = 0.16
"""ASSUME: an eye whose opening is less high than this part of its width shows lids and lashes."""

LEAST_PX = 6
"""Colours of fewer pixels are not believed."""


class EyeColours(NamedTuple):
    """In linear light; None where no photograph tells."""

    iris: np.ndarray | None  # (3,)
    white: np.ndarray | None  # (3,)


def inside(view: SeenView, points: np.ndarray) -> np.ndarray:
    """How far points (N, 2), px, lie inside an opening (N,), px; negative outside, -inf where none is known."""
    result = np.full(len(points), -np.inf)
    if view.dense is None:
        return result
    for outline in (*EYES, MOUTH):
        polygon = view.dense[list(outline)].astype(np.float32)
        if not np.isfinite(polygon).all():
            continue
        margin = np.ptp(polygon, axis=0).max()
        near = ((points > polygon.min(0) - margin) & (points < polygon.max(0) + margin)).all(1)
        for index in np.flatnonzero(near):
            x, y = points[index]
            distance = cv2.pointPolygonTest(polygon, (float(x), float(y)), True)
            result[index] = max(result[index], distance)
    return result


def eye_colours(views: tuple[SeenView, ...]) -> EyeColours:
    """The colours that photographs show of a person's eyes, both alike."""
    irises, whites = [np.zeros((0, 3))], [np.zeros((0, 3))]
    for view in views:
        for outline, iris in zip(EYES, IRISES, strict=True):
            if view.dense is not None and np.isfinite(view.dense[[*outline, *iris]]).all():
                of_iris, of_white = _pixels_of(view.photo, view.dense[list(outline)], view.dense[list(iris)])
                irises.append(of_iris)
                whites.append(of_white)
    iris, white = np.concatenate(irises), np.concatenate(whites)
    # not the highlight, not the shadow of the lid
    return EyeColours(
        np.median(iris, 0) if len(iris) >= LEAST_PX else None,
        np.percentile(white, 65, axis=0) if len(white) >= LEAST_PX else None,
    )


def _pixels_of(photo: np.ndarray, outline: np.ndarray, iris: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours (N, 3) of the iris and (M, 3) of the white that an eye shows, in linear light."""
    none = np.zeros((0, 3))
    height = (np.linalg.norm(outline[[3, 4, 5]] - outline[[13, 12, 11]], axis=1)).max()
    if height < LEAST_OPEN * np.linalg.norm(outline[0] - outline[8]):
        return none, none
    low = np.maximum(np.floor(outline.min(0)).astype(int), 0)
    high = np.minimum(np.ceil(outline.max(0)).astype(int) + 1, photo.shape[1::-1])
    if (high <= low).any():
        return none, none
    part = photo[low[1] : high[1], low[0] : high[0]]
    polygon = np.rint((outline - low - 0.5) * 16).astype(np.int32)
    open_part = cv2.fillPoly(np.zeros(part.shape[:2], np.uint8), [polygon], 1, shift=4)
    row, column = np.indices(part.shape[:2]) + 0.5
    radius = np.linalg.norm(iris[1:] - iris[0], axis=1).mean()
    away = np.hypot(column + low[0] - iris[0, 0], row + low[1] - iris[0, 1]) / max(radius, 1e-6)
    colours = decode_srgb(part / 255)
    return colours[(open_part > 0) & (away > 0.45) & (away < 0.85)], colours[(open_part > 0) & (away > 1.25)]
