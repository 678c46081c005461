"""Ways in which pictures of faces are varied, so that few photographs teach about many.

All randomness comes from the generator passed in. Pictures are grey, float32, 0 to 255; coordinates are continuous.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

Backdrop = Callable[[np.random.Generator, int], np.ndarray]
"""Gives a picture (size, size) of some place."""


def clipped(rng: np.random.Generator, spread: float, limit: float) -> float:
    """A normal number of this spread, cut off at a limit to both sides."""
    return float(np.clip(rng.normal(0, spread), -limit, limit))


def blurred(picture: np.ndarray, rng: np.random.Generator, least: float, most: float) -> np.ndarray:
    """Blur by a number of pixels between these."""
    return cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(least, most)))


def bend(picture: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Bend a picture smoothly by about a pixel, and its points (N, 2) with it."""
    size = picture.shape[0]
    way = cv2.resize(rng.normal(0, 1.3, (5, 5, 2)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).astype(np.float32)
    bent = cv2.remap(picture, grid + way, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    moved = points
    for _ in range(4):  # the picture at x shows what was at x + way(x), so x is sought for each point
        cell = np.clip(moved.astype(int), 0, size - 1)
        moved = points - way[cell[:, 1], cell[:, 0]]
    return bent, moved


def head_mask(points: np.ndarray, rng: np.random.Generator, size: int) -> np.ndarray:
    """A soft mask (size, size) of the face with some of the forehead."""
    up = points[17:27].mean(0) - points[8]
    outline = np.concatenate([points[:17], points[17:27] + rng.uniform(0.15, 0.5) * up])
    mask = np.zeros((size, size), np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(outline.astype(np.float32)).astype(np.int32), 1.0)
    grow = int(rng.integers(0, 4))
    if grow:
        mask = cv2.dilate(mask, np.ones((2 * grow + 1,) * 2, np.uint8))
    return blurred(mask, rng, 0.4, 2.0)


def teeth(crop: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fill the mouth, light as teeth or dark."""
    level = float(rng.uniform(120, 255) if rng.random() < 0.7 else rng.uniform(0, 60))
    shift = 4  # of OpenCV's fixed-point coordinates, in bits
    cv2.fillPoly(crop, [np.rint((points[60:68] - 0.5) * 2**shift).astype(np.int32)], level, cv2.LINE_AA, shift)
    return crop


def glasses(crop: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw glasses, light or dark."""
    level, width = float(rng.uniform(0, 255)), float(np.linalg.norm(points[36] - points[45]))
    lens = rng.random()
    tilt = np.degrees(np.arctan2(*(points[45] - points[36])[::-1]))
    for corners in (points[36:42], points[42:48]):
        centre = corners.mean(0) + rng.normal(0, 0.02, 2) * width
        axes = np.array([rng.uniform(0.2, 0.26), rng.uniform(0.14, 0.24)]) * width
        box = (centre, 2 * axes, tilt)
        if lens < 0.3:
            shade = np.zeros_like(crop)
            cv2.ellipse(shade, box, 1.0, -1)
            crop = crop * (1 - shade * rng.uniform(0.3, 0.95)) + shade * rng.uniform(0, 40)
        cv2.ellipse(crop, box, level, 1, cv2.LINE_AA)
    cv2.line(crop, *np.rint(points[[39, 42]]).astype(int), level, 1, cv2.LINE_AA)
    return crop


def beard(crop: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Darken or lighten chin and cheeks as a beard does; the lips stay free."""
    mask = np.zeros_like(crop)
    first = int(rng.integers(1, 5))
    top = points[33] + rng.uniform(0, 0.8) * (points[51] - points[33])
    outline = np.concatenate([points[first : 17 - first], points[54:55], top[None], points[48:49]])
    cv2.fillPoly(mask, [outline.astype(np.int32)], 1.0)
    cv2.fillConvexPoly(mask, points[48:60].astype(np.int32), 0.0)
    mask = cv2.GaussianBlur(mask, (0, 0), 1.5) * rng.uniform(0.2, 0.9)
    hair = rng.uniform(0, 1.2) * crop.mean() + rng.normal(0, 18, crop.shape)
    return (crop * (1 - mask) + hair * mask).astype(np.float32)


def cover(picture: np.ndarray, backdrop: Backdrop, rng: np.random.Generator) -> np.ndarray:
    """Cover a part with a patch of something else, mostly at the rim, where hands, hair and hats are."""
    size = picture.shape[0]
    extent = rng.uniform(0.1, 0.45, 2) * size
    angle = rng.uniform(0, 2 * np.pi)
    centre = size / 2 + rng.uniform(0.3, 1.0) * size * 0.45 * np.array([np.cos(angle), np.sin(angle)])
    box, mask = (centre, extent, rng.uniform(0, 180)), np.zeros_like(picture)
    if rng.random() < 0.5:
        cv2.ellipse(mask, box, 1.0, -1)
    else:
        cv2.fillConvexPoly(mask, cv2.boxPoints(box).astype(np.int32), 1.0)
    patch = backdrop(rng, size) if rng.random() < 0.5 else np.full_like(picture, rng.uniform(0, 255))
    mask = blurred(mask, rng, 0.3, 1.5)
    return picture * (1 - mask) + patch * mask


def spots(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put blobs and strokes on a blob, as in coins, leaves, flowers and writing, which some take for faces."""
    size = picture.shape[0]
    picture = np.ascontiguousarray(picture).copy()
    middle, radius = rng.uniform(0.2, 0.8, 2) * size, rng.uniform(0.15, 0.5) * size

    def blob(extent: float) -> tuple[np.ndarray, float]:
        return extent * rng.uniform(0.3, 1.0, 2) * 2, rng.uniform(0, 180)

    if rng.random() < 0.7:
        cv2.ellipse(picture, (middle, *blob(radius)), float(rng.uniform(0, 255)), -1, cv2.LINE_AA)
    for _ in range(rng.integers(2, 12)):
        place, level = middle + rng.normal(0, 0.6 * radius, 2), float(rng.uniform(0, 255))
        if rng.random() < 0.7:
            thick = -1 if rng.random() < 0.7 else 1
            box = (place, *blob(rng.uniform(0.05, 0.4) * radius + 1))
            cv2.ellipse(picture, box, level, thick, cv2.LINE_AA)
        else:
            ends = [(place + rng.normal(0, 0.4 * radius, 2)).astype(int) for _ in range(2)]
            cv2.line(picture, *ends, level, int(rng.integers(1, 3)), cv2.LINE_AA)
    return blurred(picture, rng, 0.3, 2.0)


def mixed(backdrop: Backdrop, rng: np.random.Generator, size: int) -> np.ndarray:
    """Mix places, blobs and strokes, some of them again and again as in a pattern: (size, size)."""
    times = int(rng.integers(2, 6)) if rng.random() < 0.25 else 1
    picture = backdrop(rng, -(-size // times))
    for _ in range(rng.integers(0, 3)):
        picture = cover(picture, backdrop, rng)
    for _ in range(rng.integers(0, 4)):
        picture = spots(picture, rng)
    if times > 1:
        picture = np.tile(picture, (times, times))[:size, :size]
    return bend(picture, np.zeros((0, 2)), rng)[0] if rng.random() < 0.4 else picture


def photograph(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vary light, exposure, sharpness, noise and compression."""
    size = picture.shape[0]
    if rng.random() < 0.5:
        ramp = np.linspace(-1, 1, size, dtype=np.float32)
        slope_x, slope_y = rng.uniform(-0.6, 0.6, 2)
        picture = picture * np.float32(1 + slope_x * ramp[None] + slope_y * ramp[:, None])
    exposed = np.clip(picture / 255 * np.float32(rng.uniform(0.4, 1.5)), 0, 1)
    picture = exposed ** np.float32(np.exp(rng.normal(0, 0.35)))
    low = np.float32(rng.uniform(0, 0.4) if rng.random() < 0.3 else 0)
    picture = 255 * (low + (1 - low) * np.float32(rng.uniform(0.3, 1)) * picture)
    if rng.random() < 0.35:
        picture = blurred(picture, rng, 0.4, 1.6)
    if rng.random() < 0.15:
        small = max(8, round(size * rng.uniform(0.35, 0.8)))
        picture = cv2.resize(cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA), (size, size))
    if rng.random() < 0.4:
        noise = rng.uniform(0.02, 0.5) * float(picture.std()) + rng.uniform(0, 4)
        picture = picture + rng.normal(0, noise, picture.shape).astype(np.float32)
    picture = np.clip(picture, 0, 255)
    if rng.random() < 0.2:
        quality = int(rng.integers(25, 90))
        coded = cv2.imencode(".jpg", picture.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        picture = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE).astype(np.float32)
    return picture
