"""What the landmark networks learn from: crops and pictures with faces from annotated photographs, much varied.

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
from dfmvr.align.frame import CROP_PX, Frame, affine_to, crop_affine, flat_face, frame_of, warp
from dfmvr.align.landmark_networks import SEARCHED_PX, STRIDE, Search, normalise_crops, normalise_picture
from dfmvr.align.variation import (
    beard,
    bend,
    blurred,
    clipped,
    cover,
    glasses,
    head_mask,
    mixed,
    photograph,
    teeth,
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
        if scale < 0.6:
            grey = cv2.blur(grey, (2, 2))
        window = warp(grey, np.column_stack([scale * np.eye(2), -scale * corner]), size, cv2.BORDER_REFLECT)
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


def _moved(frame: Frame, scale: float, roll: float, shift: complex) -> Frame:
    """A frame whose face is `scale` times as wide, turned by `roll` and shifted by so many widths."""
    return Frame(frame.turn * scale * np.exp(1j * roll), frame.centre + shift * frame.turn)


def misplace(frame: Frame, rng: np.random.Generator) -> Frame:
    """Put a frame as badly as a search does it, or, in half of the cases, as a first look at the points does."""
    rough = rng.random() < 0.5
    roll = np.radians(clipped(rng, 20, 50) if rough else rng.normal(0, 4))
    scale = np.exp(clipped(rng, 0.15, 0.4) if rough else rng.normal(0, 0.05))
    shift = complex(*(clipped(rng, 0.1, 0.25) if rough else rng.normal(0, 0.03) for _ in range(2)))
    return _moved(frame, scale, roll, shift)


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
    return _moved(frame, scale, roll, shift)


def _stretched(affine: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Stretch and shear what a crop shows: people differ more than those of the bank."""
    stretch = np.exp(rng.normal(0, 0.05))
    linear = np.array([[stretch, rng.normal(0, 0.04)], [0.0, 1 / stretch]])
    middle = np.full(2, CROP_PX / 2)
    return np.column_stack([linear @ affine[:, :2], linear @ affine[:, 2] + middle - linear @ middle])


def face_crop(bank: Bank, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Make a crop with a well-placed face: (64, 64) and its landmarks (68, 2) px."""
    photo, points = bank.pick(rng)
    affine = _stretched(crop_affine(misplace(frame_of(points, bank.flat), rng)), rng)
    crop, points = warp(photo, affine, CROP_PX), map_points(affine, points)
    if rng.random() < 0.5:
        crop, points = bend(crop, points, rng)
    for share, draw in ((0.25, teeth), (0.18, glasses), (0.15, beard)):
        if rng.random() < share:
            crop = draw(crop, points, rng)
    if rng.random() < 0.35:
        mask = head_mask(points, rng, CROP_PX)
        crop = crop * mask + bank.backdrop(rng, CROP_PX) * (1 - mask)
    if rng.random() < 0.3:
        crop = cover(crop, bank.backdrop, rng)
    return crop, points


def faceless_crop(bank: Bank, rng: np.random.Generator) -> np.ndarray:
    """Make a crop (64, 64) that shows no face, a face in pieces, or one that is badly placed."""
    kind = rng.random()
    if kind < 0.5:
        return mixed(bank.backdrop, rng, CROP_PX)
    if kind < 0.57:
        noise = rng.uniform(0, 255, (int(2 ** rng.uniform(1, 6)),) * 2).astype(np.float32)
        return cv2.resize(noise, (CROP_PX, CROP_PX), interpolation=cv2.INTER_LINEAR)
    if kind < 0.67:
        crop, _ = face_crop(bank, rng)
        half = CROP_PX // 2 if rng.random() < 0.5 else CROP_PX // 4
        count = CROP_PX // half
        parts = crop.reshape(count, half, count, half).swapaxes(1, 2).reshape(-1, half, half)
        parts = np.roll(parts, int(rng.integers(1, len(parts))), 0) if half > 16 else rng.permutation(parts)
        return parts.reshape(count, count, half, half).swapaxes(1, 2).reshape(CROP_PX, CROP_PX)
    photo, points = bank.pick(rng)
    affine = crop_affine(lose(frame_of(points, bank.flat), rng))
    crop = warp(photo, affine, CROP_PX, cv2.BORDER_REPLICATE if rng.random() < 0.5 else cv2.BORDER_CONSTANT)
    return cover(crop, bank.backdrop, rng) if rng.random() < 0.2 else crop


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


def _paste(picture: np.ndarray, bank: Bank, width: float, rng: np.random.Generator) -> tuple[np.ndarray, complex]:
    """Put a face of a width in px anywhere into a canvas; give its centre."""
    photo, points = bank.pick(rng)
    turned = _moved(frame_of(points, bank.flat), 1.0, np.radians(clipped(rng, 14, 40)), 0.0)
    centre = complex(*rng.uniform(0.1 * CANVAS_PX, 0.9 * CANVAS_PX, 2))
    affine = affine_to(turned, width, centre)
    if width < 0.6 * FACE_PX:  # or it would alias
        photo = cv2.GaussianBlur(photo, (0, 0), 0.35 * FACE_PX / width)
    pasted = warp(photo, affine, CANVAS_PX)
    if rng.random() < 0.35:
        mask = head_mask(map_points(affine, points), rng, CANVAS_PX)
    else:
        inside = np.zeros(photo.shape[:2], np.float32)
        inside[2:-2, 2:-2] = 1
        mask = blurred(warp(inside, affine, CANVAS_PX, cv2.BORDER_CONSTANT), rng, 0.3, 3)
    return picture * (1 - mask) + pasted * mask, centre


def canvas(bank: Bank, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make a picture with one face, several or none: (80, 80), targets (4, 20, 20), asked (20, 20)."""
    picture = mixed(bank.backdrop, rng, CANVAS_PX)
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
        vague = near < 0.35 * width
        if SEARCHED_PX[0] <= width <= SEARCHED_PX[1]:
            here = near < max(0.2 * width, 0.75 * STRIDE)
            targets[0, here], targets[3, here] = 1, np.log(width / Search.UNIT_PX)
            targets[1:3, here] = np.stack([way.real, way.imag])[:, here]
            targets[1:3, here] /= Search.UNIT_PX
            asked[vague & (targets[0] == 0)] = 0
        elif FAR_PX[0] < width < FAR_PX[1]:
            asked[vague] = 0
    if rng.random() < 0.3:
        picture = cover(picture, bank.backdrop, rng)
    return photograph(np.ascontiguousarray(picture), rng), targets, asked


def canvases(bank: Bank, rng: np.random.Generator, count: int) -> Canvases:
    """Make a batch of canvases."""
    pictures, targets, asked = zip(*(canvas(bank, rng) for _ in range(count)), strict=True)
    return Canvases(np.stack([normalise_picture(p) for p in pictures]), np.stack(targets), np.stack(asked))
