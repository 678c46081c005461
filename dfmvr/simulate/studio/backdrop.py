"""What stands behind a person: studios, walls, rooms, gardens and clutter, all made of random shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from dfmvr.simulate.studio.noise import fractal


class Backdrop(NamedTuple):
    """A place: kind and colours, shared by all photographs taken there."""

    kind: str
    palette: np.ndarray  # (8, 3) linear RGB
    blur: float  # standard deviation of the defocus, fraction of the image height


def draw_backdrop(rng: np.random.Generator) -> Backdrop:
    """Draw a place."""
    hue = rng.uniform(size=3)
    tint = rng.uniform(0.1, 0.7)
    grey = rng.uniform(0.02, 0.9, size=(8, 1)) ** 1.6
    spread = rng.uniform(0.0, 1.0, size=(8, 3)) ** 1.5
    palette = grey * (1 - tint) + tint * (0.6 * spread + 0.4 * hue * grey)
    kind = str(rng.choice(list(_PAINTERS), p=[0.22, 0.18, 0.24, 0.18, 0.18]))
    return Backdrop(kind, palette.astype(np.float32), float(rng.choice([0.002, 0.006, 0.012, 0.03])))


def paint_backdrop(place: Backdrop, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Paint one view of a place.

    Args:
        place: kind and colours.
        rng: source of what differs between two views of it.
        shape: height and width in pixels.
    Returns:
        (height, width, 3) float32, linear RGB, about [0, 1].
    """
    image = np.ascontiguousarray(_PAINTERS[place.kind](place, rng, shape), np.float32)
    sigma = place.blur * shape[0]
    if place.kind != "studio" and sigma > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    image *= 1 + 0.04 * fractal(rng, shape, 1, 32, 0.9)
    return np.clip(image, 0.0, 4.0)


def _colour(place: Backdrop, rng: np.random.Generator) -> np.ndarray:
    """One colour of the palette, a little brighter or darker."""
    return place.palette[rng.integers(len(place.palette))] * np.float32(np.exp(rng.normal(0, 0.3)))


def _gradient(place: Backdrop, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A linear gradient between two colours."""
    height, width = shape
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    ramp = (np.cos(angle) * (x / width - 0.5) + np.sin(angle) * (y / height - 0.5))[..., None] + 0.5
    return _colour(place, rng) * (1 - ramp) + _colour(place, rng) * ramp


def _studio(place: Backdrop, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A paper roll with a spot of light."""
    height, width = shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    cx, cy, size = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.4, 1.5) * height
    spot = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * size**2))[..., None]
    return place.palette[0] * (0.35 + 0.8 * spot) + 0.02 * fractal(rng, shape, 1, 3)


def _wall(place: Backdrop, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Plaster, bricks or wallpaper."""
    image = _gradient(place, rng, shape) * (1 + 0.18 * fractal(rng, shape, 1, 3, 0.7))
    height, width = shape
    style = rng.integers(3)
    if style == 1:
        pitch = rng.uniform(0.05, 0.14) * height
        for row, y in enumerate(np.arange(-pitch, height + pitch, pitch)):
            cv2.line(image, (0, int(y)), (width, int(y)), (image.mean() * 0.7,) * 3, 1)
            for x in np.arange((row % 2) * pitch, width, 2 * pitch):
                cv2.line(image, (int(x), int(y)), (int(x), int(y + pitch)), (image.mean() * 0.7,) * 3, 1)
    elif style == 2:
        x = np.arange(width, dtype=np.float32) + rng.uniform(0, 50)
        stripes = np.sin(2 * np.pi * x / (rng.uniform(0.05, 0.25) * width)) > 0
        image = np.where(stripes[None, :, None], image, image * 0.5 + 0.5 * _colour(place, rng))
    return image


def _room(place: Backdrop, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Two walls, a window or a door, shelves and things on them."""
    height, width = shape
    image = _gradient(place, rng, shape)
    corner = int(rng.uniform(-0.2, 1.2) * width)
    side = np.array([[corner, 0], [width, 0], [width, height], [corner, height]], np.int32)
    cv2.fillPoly(image, [side], _colour(place, rng).tolist())
    for _ in range(rng.integers(1, 4)):
        x, y = int(rng.uniform(-0.1, 0.9) * width), int(rng.uniform(-0.1, 0.6) * height)
        w, h = int(rng.uniform(0.15, 0.5) * width), int(rng.uniform(0.2, 0.8) * height)
        bright = rng.uniform() < 0.4
        cv2.rectangle(image, (x, y), (x + w, y + h), (_colour(place, rng) * (2.0 if bright else 0.8)).tolist(), -1)
        cv2.rectangle(image, (x, y), (x + w, y + h), _colour(place, rng).tolist(), max(1, height // 60))
    for _ in range(rng.integers(0, 4)):
        y = int(rng.uniform(0, 1) * height)
        end = (width, y + int(rng.normal(0, 10)))
        cv2.line(image, (0, y), end, (_colour(place, rng) * 0.6).tolist(), height // 50 + 1)
        x = 0
        while x < width:
            w, h = int(rng.uniform(3, 25) * height / 256) + 1, int(rng.uniform(15, 60) * height / 256)
            cv2.rectangle(image, (x, y - h), (x + w, y), _colour(place, rng).tolist(), -1)
            x += w + int(rng.exponential(4))
    return image


def _garden(place: Backdrop, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Leaves and sky in patches, with round lights as a lens draws them out of focus."""
    height, width = shape
    levels = fractal(rng, shape, 2, 4, 0.85)
    green = np.array([0.12, 0.22, 0.05], np.float32) * np.float32(rng.uniform(0.3, 1.6))
    green = green * (0.6 + 0.4 * place.palette[1] / (place.palette[1].mean() + 1e-3))
    sky = np.array([0.55, 0.7, 0.95], np.float32) * np.float32(rng.uniform(0.5, 1.5))
    mix = 1 / (1 + np.exp(-4 * (levels[..., :1] - rng.uniform(-0.5, 1.5))))
    image = green * np.exp(0.5 * levels[..., 1:]) * (1 - mix) + sky * mix
    image = np.ascontiguousarray(image, np.float32)
    for _ in range(rng.integers(0, 25)):
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        cv2.circle(image, centre, int(rng.uniform(2, 12) * height / 256), (_colour(place, rng) * 1.5).tolist(), -1)
    return image


def _clutter(place: Backdrop, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Shapes of any kind over noise: nothing in it is like a face, much in it is like an edge."""
    height, width = shape
    tint = rng.uniform(0.02, 0.25) * rng.dirichlet([2.0] * 3, size=3).T
    image = _gradient(place, rng, shape) * np.exp(4 * fractal(rng, shape, 3, 3, 0.7) @ tint)
    image = np.ascontiguousarray(image, np.float32)
    for _ in range(rng.integers(5, 40)):
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        size = float(np.exp(rng.uniform(np.log(3), np.log(90)))) * height / 256
        thick = -1 if rng.uniform() < 0.6 else int(rng.integers(1, 4))
        kind = rng.integers(3)
        if kind == 0:
            axes = (int(size) + 1, int(size * rng.uniform(0.3, 1)) + 1)
            cv2.ellipse(image, centre, axes, rng.uniform(0, 180), 0, 360, _colour(place, rng).tolist(), thick)
        elif kind == 1:
            corners = np.array(centre) + rng.normal(0, size, size=(rng.integers(3, 6), 2))
            cv2.fillPoly(image, [corners.astype(np.int32)], _colour(place, rng).tolist())
        else:
            end = np.array(centre) + rng.normal(0, 3 * size, size=2)
            cv2.line(image, centre, (int(end[0]), int(end[1])), _colour(place, rng).tolist(), abs(thick))
    return image


_PAINTERS: dict[str, Callable[[Backdrop, np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "studio": _studio,
    "wall": _wall,
    "room": _room,
    "garden": _garden,
    "clutter": _clutter,
}
