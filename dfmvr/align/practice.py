"""What the landmark networks practise on: crops and pictures with faces from annotated photographs, much varied.

The photographs are of few kinds, the world's are not. So faces are turned, stretched, bent, put before other
backgrounds, half hidden, and lit and photographed badly; and there are things that are no faces, or badly placed ones.
All randomness comes from the generator passed in. Pictures are grey, float32, 0 to 255; coordinates are continuous.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np

from dfmvr.align.crop import map_points
from dfmvr.align.regressor import (
    CROP_PX,
    SEARCHED_PX,
    STRIDE,
    Frame,
    Search,
    crop_affine,
    flat_face,
    for_cv2,
    frame_of,
    normalise_crops,
    normalise_picture,
)
from dfmvr.conventions import MIRRORED_68
from dfmvr.simulate.studio.backdrop import draw_backdrop, paint_backdrop

FACE_PX = 60
"""Width of the faces in the bank, px: half again that of a crop, so that zooming in stays sharp."""

BACKDROPS, BACKDROP_PX = 400, 160
CANVAS_PX = 80

NO_FACE_SHARE = 0.4
"""Share of the crops that show no face, or one that is badly placed."""

FAR_PX = (11.0, 46.0)
"""Faces narrower or wider than this count as none in a canvas; between these and SEARCHED_PX nothing is asked."""


class Crops(NamedTuple):
    """A batch for `Points`."""

    images: np.ndarray  # (B, 64, 64) float32, normalised
    points: np.ndarray  # (B, 68, 2) float32 px; NaN where there is none, or outside
    face: np.ndarray  # (B,) float32, 1 for a well-placed face


class Canvases(NamedTuple):
    """A batch for `Search`."""

    images: np.ndarray  # (B, 80, 80) float32, normalised
    targets: np.ndarray  # (B, 4, 20, 20) float32: a face is here (1), way to its centre, log width
    asked: np.ndarray  # (B, 20, 20) float32, 0 where any answer is right


class Bank:
    """Annotated photographs, shrunk to what the networks see, and painted backdrops."""

    def __init__(self, faces: Iterable[tuple[np.ndarray, np.ndarray]], standard: np.ndarray, seed: int) -> None:
        """Take photographs, (H, W, 3) uint8 with landmarks (68, 2) px, and the standard face (68, 3) mm."""
        self.flat = flat_face(standard)
        self.faces = [_shrink(photo, points, self.flat) for photo, points in faces]
        rng = np.random.default_rng([seed, 1])
        self.backdrops = [_paint(rng) for _ in range(BACKDROPS)]

    def pick(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw a photograph in grey and its landmarks, mirrored in half of the cases."""
        photo, points = self.faces[rng.integers(len(self.faces))]
        grey = photo.astype(np.float32) @ rng.dirichlet((3, 5, 2)).astype(np.float32)
        if rng.random() < 0.5:
            grey = np.ascontiguousarray(grey[:, ::-1])
            points = (points * (-1, 1) + (grey.shape[1], 0))[list(MIRRORED_68)]
        return grey, points

    def backdrop(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw a window of a painted place, (size, size)."""
        grey = self.backdrops[rng.integers(len(self.backdrops))]
        side = float(np.exp(rng.uniform(np.log(24), np.log(BACKDROP_PX))))
        corner = rng.uniform(0, BACKDROP_PX - side, 2)
        scale = size / side
        affine = np.column_stack([scale * np.eye(2), -scale * corner])
        if scale < 0.6:
            grey = cv2.blur(grey, (2, 2))
        window = cv2.warpAffine(grey, for_cv2(affine), (size, size), borderMode=cv2.BORDER_REFLECT)
        return np.ascontiguousarray(np.rot90(window, rng.integers(4))) if rng.random() < 0.3 else window


def _shrink(photo: np.ndarray, points: np.ndarray, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut out the head with its surroundings and bring its face to FACE_PX."""
    frame = frame_of(points, flat)
    width = abs(frame.turn)
    height_px, width_px = photo.shape[:2]
    x0, y0 = (max(0, int(c - 1.4 * width)) for c in (frame.centre.real, frame.centre.imag))
    x1, y1 = min(width_px, int(frame.centre.real + 1.4 * width)), min(height_px, int(frame.centre.imag + 1.4 * width))
    part = photo[y0:y1, x0:x1]
    shape = tuple(max(1, round(n * FACE_PX / width)) for n in part.shape[1::-1])
    small = cv2.resize(part, shape, interpolation=cv2.INTER_AREA if FACE_PX < width else cv2.INTER_LINEAR)
    return small, (points - (x0, y0)) * (shape[0] / part.shape[1], shape[1] / part.shape[0])


def _paint(rng: np.random.Generator) -> np.ndarray:
    """Paint a place and take a grey photograph of it."""
    picture = paint_backdrop(draw_backdrop(rng), rng, (BACKDROP_PX, BACKDROP_PX)).mean(2)
    exposed = picture * rng.uniform(0.3, 0.7) / max(float(picture.mean()), 1e-3)
    return (255 * np.clip(exposed, 0, 1) ** (1 / 2.2)).astype(np.float32)


def _clipped(rng: np.random.Generator, spread: float, limit: float) -> float:
    return float(np.clip(rng.normal(0, spread), -limit, limit))


def misplace(frame: Frame, rng: np.random.Generator) -> Frame:
    """Put a frame as badly as a search does it, or, in half of the cases, as a first look at the points does."""
    rough = rng.random() < 0.5
    roll = np.radians(_clipped(rng, 20, 50) if rough else rng.normal(0, 4))
    scale = np.exp(_clipped(rng, 0.15, 0.4) if rough else rng.normal(0, 0.05))
    shift = complex(*(_clipped(rng, 0.1, 0.25) if rough else rng.normal(0, 0.03) for _ in range(2)))
    return Frame(frame.turn * scale * np.exp(1j * roll), frame.centre + shift * frame.turn)


def lose(frame: Frame, rng: np.random.Generator) -> Frame:
    """Put a frame so badly that what it shows must not pass for a face: beside it, too large, too small, or turned."""
    kind = rng.integers(4)
    scale, roll, shift = np.exp(rng.normal(0, 0.2)), np.radians(rng.normal(0, 15)), 0.0
    if kind == 0:
        shift = rng.uniform(0.5, 1.2) * np.exp(1j * rng.uniform(0, 2 * np.pi))
    elif kind == 1:
        scale, shift = rng.uniform(1.8, 2.6), complex(*rng.uniform(-0.6, 0.6, 2))
    elif kind == 2:
        scale, shift = rng.uniform(0.25, 0.55), complex(*rng.uniform(-0.4, 0.4, 2))
    else:
        roll = np.radians(rng.uniform(80, 280))
    return Frame(frame.turn * scale * np.exp(1j * roll), frame.centre + shift * frame.turn)


def _stretched(affine: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Stretch and shear what a crop shows: people differ more than those of the bank."""
    stretch = np.exp(rng.normal(0, 0.05))
    linear = np.array([[stretch, rng.normal(0, 0.04)], [0.0, 1 / stretch]])
    middle = np.full(2, CROP_PX / 2)
    return np.column_stack([linear @ affine[:, :2], linear @ affine[:, 2] + middle - linear @ middle])


def bend(crop: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Bend a crop smoothly by about a pixel, and its points (N, 2) with it."""
    size = crop.shape[0]
    way = cv2.resize(rng.normal(0, 1.3, (5, 5, 2)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).astype(np.float32)
    bent = cv2.remap(crop, grid + way, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    moved = points
    for _ in range(4):  # the crop at x shows what was at x + way(x), so x is sought for each point
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
    return cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.4, 2.0)))


def glasses(crop: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw glasses, light or dark."""
    level, width = float(rng.uniform(0, 255)), float(np.linalg.norm(points[36] - points[45]))
    lens = rng.random()
    for corners in (points[36:42], points[42:48]):
        centre = corners.mean(0) + rng.normal(0, 0.02, 2) * width
        axes = np.array([rng.uniform(0.2, 0.26), rng.uniform(0.14, 0.24)]) * width
        tilt = np.degrees(np.arctan2(*(points[45] - points[36])[::-1]))
        box = (tuple(centre.tolist()), tuple((2 * axes).tolist()), float(tilt))
        if lens < 0.3:
            shade = np.zeros_like(crop)
            cv2.ellipse(shade, box, 1.0, -1)
            crop = crop * (1 - shade * rng.uniform(0.3, 0.95)) + shade * rng.uniform(0, 40)
        cv2.ellipse(crop, box, level, 1, cv2.LINE_AA)
    ends = [tuple(np.rint(p).astype(int).tolist()) for p in (points[39], points[42])]
    cv2.line(crop, *ends, level, 1, cv2.LINE_AA)
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


def teeth(crop: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fill the mouth, light as teeth or dark."""
    level = float(rng.uniform(120, 255) if rng.random() < 0.7 else rng.uniform(0, 60))
    shift = 4  # of OpenCV's fixed-point coordinates, in bits
    cv2.fillPoly(crop, [np.rint((points[60:68] - 0.5) * 2**shift).astype(np.int32)], level, cv2.LINE_AA, shift)
    return crop


def hide(crop: np.ndarray, bank: Bank, rng: np.random.Generator) -> np.ndarray:
    """Cover a part with a patch of something else, mostly at the rim, where hands, hair and hats are."""
    size = crop.shape[0]
    extent = rng.uniform(0.1, 0.45, 2) * size
    angle = rng.uniform(0, 2 * np.pi)
    centre = size / 2 + rng.uniform(0.3, 1.0) * size * 0.45 * np.array([np.cos(angle), np.sin(angle)])
    mask = np.zeros_like(crop)
    box = (tuple(centre.tolist()), tuple(extent.tolist()), float(rng.uniform(0, 180)))
    if rng.random() < 0.5:
        cv2.ellipse(mask, box, 1.0, -1)
    else:
        cv2.fillConvexPoly(mask, cv2.boxPoints(box).astype(np.int32), 1.0)
    patch = bank.backdrop(rng, size) if rng.random() < 0.5 else np.full_like(crop, rng.uniform(0, 255))
    mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.3, 1.5)))
    return crop * (1 - mask) + patch * mask


def spots(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put blobs and strokes on a blob, as in coins, leaves, flowers and writing, which some take for faces."""
    size = picture.shape[0]
    picture = np.ascontiguousarray(picture).copy()
    middle, radius = rng.uniform(0.2, 0.8, 2) * size, rng.uniform(0.15, 0.5) * size

    def box(centre: np.ndarray, extent: float) -> tuple[tuple[float, ...], tuple[float, ...], float]:
        sides = extent * rng.uniform(0.3, 1.0, 2) * 2
        return tuple(centre.tolist()), tuple(sides.tolist()), float(rng.uniform(0, 180))

    if rng.random() < 0.7:
        cv2.ellipse(picture, box(middle, radius), float(rng.uniform(0, 255)), -1, cv2.LINE_AA)
    for _ in range(rng.integers(2, 12)):
        place, level = middle + rng.normal(0, 0.6 * radius, 2), float(rng.uniform(0, 255))
        if rng.random() < 0.7:
            thick = -1 if rng.random() < 0.7 else 1
            cv2.ellipse(picture, box(place, rng.uniform(0.05, 0.4) * radius + 1), level, thick, cv2.LINE_AA)
        else:
            ends = [tuple((place + rng.normal(0, 0.4 * radius, 2)).astype(int).tolist()) for _ in range(2)]
            cv2.line(picture, *ends, level, int(rng.integers(1, 3)), cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 2.0)))


def mixed_backdrop(bank: Bank, rng: np.random.Generator, size: int) -> np.ndarray:
    """Mix painted places, blobs and strokes, some of them again and again as in a pattern: (size, size)."""
    times = int(rng.integers(2, 6)) if rng.random() < 0.25 else 1
    part = -(-size // times)
    picture = bank.backdrop(rng, part)
    for _ in range(rng.integers(0, 3)):
        picture = hide(picture, bank, rng)
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
    picture = np.clip(picture / 255 * np.float32(rng.uniform(0.4, 1.5)), 0, 1) ** np.float32(
        np.exp(rng.normal(0, 0.35))
    )
    low = np.float32(rng.uniform(0, 0.4) if rng.random() < 0.3 else 0)
    picture = 255 * (low + (1 - low) * np.float32(rng.uniform(0.3, 1)) * picture)
    if rng.random() < 0.35:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 1.6)))
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


def face_crop(bank: Bank, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Make a crop with a well-placed face: (64, 64) and its landmarks (68, 2) px."""
    photo, points = bank.pick(rng)
    affine = _stretched(crop_affine(misplace(frame_of(points, bank.flat), rng)), rng)
    crop = cv2.warpAffine(photo, for_cv2(affine), (CROP_PX, CROP_PX), borderMode=cv2.BORDER_REPLICATE)
    points = map_points(affine, points)
    if rng.random() < 0.5:
        crop, points = bend(crop, points, rng)
    if rng.random() < 0.25:
        crop = teeth(crop, points, rng)
    if rng.random() < 0.18:
        crop = glasses(crop, points, rng)
    if rng.random() < 0.15:
        crop = beard(crop, points, rng)
    if rng.random() < 0.35:
        mask = head_mask(points, rng, CROP_PX)
        crop = crop * mask + bank.backdrop(rng, CROP_PX) * (1 - mask)
    if rng.random() < 0.3:
        crop = hide(crop, bank, rng)
    return crop, points


def faceless_crop(bank: Bank, rng: np.random.Generator) -> np.ndarray:
    """Make a crop (64, 64) that shows no face, a face in pieces, or one that is badly placed."""
    kind = rng.random()
    if kind < 0.5:
        return mixed_backdrop(bank, rng, CROP_PX)
    if kind < 0.57:
        noise = rng.uniform(0, 255, (int(2 ** rng.uniform(1, 6)),) * 2).astype(np.float32)
        return cv2.resize(noise, (CROP_PX, CROP_PX), interpolation=cv2.INTER_LINEAR)
    if kind < 0.67:
        crop, _ = face_crop(bank, rng)
        half = CROP_PX // 2 if rng.random() < 0.5 else CROP_PX // 4
        parts = crop.reshape(CROP_PX // half, half, CROP_PX // half, half).swapaxes(1, 2).reshape(-1, half, half)
        parts = np.roll(parts, int(rng.integers(1, len(parts))), 0) if half > 16 else rng.permutation(parts)
        count = CROP_PX // half
        return parts.reshape(count, count, half, half).swapaxes(1, 2).reshape(CROP_PX, CROP_PX)
    photo, points = bank.pick(rng)
    affine = crop_affine(lose(frame_of(points, bank.flat), rng))
    border = cv2.BORDER_REPLICATE if rng.random() < 0.5 else cv2.BORDER_CONSTANT
    crop = cv2.warpAffine(photo, for_cv2(affine), (CROP_PX, CROP_PX), borderMode=border)
    return hide(crop, bank, rng) if rng.random() < 0.2 else crop


def crops(bank: Bank, rng: np.random.Generator, count: int) -> Crops:
    """Make a batch of crops, some of them without a face."""
    images = np.empty((count, CROP_PX, CROP_PX), np.float32)
    points = np.full((count, 68, 2), np.nan, np.float32)
    face = (np.arange(count) >= round(NO_FACE_SHARE * count)).astype(np.float32)
    for i in range(count):
        if face[i]:
            image, points[i] = face_crop(bank, rng)
        else:
            image = faceless_crop(bank, rng)
        images[i] = photograph(np.ascontiguousarray(image), rng)
    points[((points < 0) | (points > CROP_PX)).any(2)] = np.nan
    return Crops(normalise_crops(images), points, face)


def _paste(canvas: np.ndarray, bank: Bank, width: float, rng: np.random.Generator) -> tuple[np.ndarray, complex]:
    """Put a face of a width in px anywhere into a canvas; give its centre."""
    photo, points = bank.pick(rng)
    frame = frame_of(points, bank.flat)
    turn = frame.turn * np.exp(1j * np.radians(_clipped(rng, 14, 40)))
    centre = complex(*rng.uniform(0.1 * CANVAS_PX, 0.9 * CANVAS_PX, 2))
    linear = width / turn
    shift = centre - linear * frame.centre
    affine = np.array([[linear.real, -linear.imag, shift.real], [linear.imag, linear.real, shift.imag]])
    if width < 0.6 * FACE_PX:  # or it would alias
        photo = cv2.GaussianBlur(photo, (0, 0), 0.35 * FACE_PX / width)
    size = (CANVAS_PX, CANVAS_PX)
    pasted = cv2.warpAffine(photo, for_cv2(affine), size, borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < 0.35:
        mask = head_mask(map_points(affine, points), rng, CANVAS_PX)
    else:
        inside = np.zeros(photo.shape[:2], np.float32)
        inside[2:-2, 2:-2] = 1
        mask = cv2.GaussianBlur(cv2.warpAffine(inside, for_cv2(affine), size), (0, 0), float(rng.uniform(0.3, 3)))
    return canvas * (1 - mask) + pasted * mask, centre


def canvas(bank: Bank, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make a picture with one face, several or none: (80, 80), targets (4, 20, 20), asked (20, 20)."""
    picture = mixed_backdrop(bank, rng, CANVAS_PX)
    cells = CANVAS_PX // STRIDE
    targets, asked = np.zeros((4, cells, cells), np.float32), np.ones((cells, cells), np.float32)
    grid = (np.arange(cells) + 0.5) * STRIDE
    places = grid[None, :] + 1j * grid[:, None]
    for _ in range(rng.choice(4, p=(0.15, 0.55, 0.2, 0.1))):
        width = float(np.exp(rng.uniform(np.log(9), np.log(60))))
        picture, centre = _paste(picture, bank, width, rng)
        way = centre - places
        near = np.abs(way)
        covered = near < 0.6 * width  # a new face hides what was there
        targets[:, covered], asked[covered] = 0, 1
        right = SEARCHED_PX[0] <= width <= SEARCHED_PX[1]
        here = near < max(0.2 * width, 0.75 * STRIDE)
        if right:
            targets[0, here] = 1
            targets[1:, here] = np.stack([way.real, way.imag, np.full(way.shape, np.log(width / Search.UNIT_PX))])[
                :, here
            ]
            targets[1:3, here] /= Search.UNIT_PX
        vague = near < 0.35 * width
        if not right and FAR_PX[0] < width < FAR_PX[1]:
            asked[vague] = 0
        asked[vague & (targets[0] == 0) & right] = 0
    if rng.random() < 0.3:
        picture = hide(picture, bank, rng)
    return photograph(np.ascontiguousarray(picture), rng), targets, asked


def canvases(bank: Bank, rng: np.random.Generator, count: int) -> Canvases:
    """Make a batch of canvases."""
    pictures, targets, asked = zip(*(canvas(bank, rng) for _ in range(count)), strict=True)
    return Canvases(np.stack([normalise_picture(p) for p in pictures]), np.stack(targets), np.stack(asked))
