"""Random variants of face photographs that look like the crops, and the renderings, the parser will meet.

All randomness comes from the generator passed in. Images are (H, W, 3) uint8 RGB, masks (H, W) uint8 class ids.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from dfmvr.conventions import MIRRORED_CLASS

_MIRRORED = np.array(MIRRORED_CLASS, np.uint8)

FACE_SHARE = 0.84
"""Larger side of the face's bounding box over the side of the crop, in the framing of `dfmvr align`."""

RENDERING_SHARE = 0.35
"""Share of the training crops that are made to look like renderings."""


class Framing(NamedTuple):
    """Where a square crop lies in a photograph."""

    centre: tuple[float, float]  # px of the photograph, continuous
    side: float  # px of the photograph
    rotation: float  # radians, clockwise in the image


def aligned_framing(mask: np.ndarray) -> Framing:
    """The upright square around the face (all classes but background), as large as aligned crops have it.

    Args:
        mask: (H, W) class ids; an empty one frames the whole image.
    """
    face = mask > 0
    height, width = mask.shape
    if not face.any():
        return Framing((width / 2, height / 2), float(max(height, width)), 0.0)
    rows, columns = np.flatnonzero(face.any(1)), np.flatnonzero(face.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    return Framing(((left + right) / 2, (top + bottom) / 2), max(bottom - top, right - left) / FACE_SHARE, 0.0)


def vary_framing(framing: Framing, rng: np.random.Generator) -> Framing:
    """Shift by up to a tenth of the side, zoom by 0.78 to 1.28, rotate by some 7 degrees (one standard deviation)."""
    shift = rng.uniform(-0.1, 0.1, 2) * framing.side
    centre = (framing.centre[0] + shift[0], framing.centre[1] + shift[1])
    side = framing.side * np.exp(rng.uniform(-0.25, 0.25))
    return Framing(centre, side, float(np.clip(rng.normal(0, 0.12), -0.5, 0.5)))


def cut(image: np.ndarray, mask: np.ndarray, framing: Framing, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut a square crop, resampled to `size` x `size` pixels; outside of the photograph it is black background."""
    scale = size / framing.side
    if scale < 0.6:  # average before sampling more coarsely, or thin parts alias
        factor = 1.25 * scale
        shape = tuple(max(1, round(n * factor)) for n in mask.shape[::-1])
        ratio = (shape[0] / mask.shape[1], shape[1] / mask.shape[0])
        image = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask, shape, interpolation=cv2.INTER_NEAREST_EXACT)
        centre = (framing.centre[0] * ratio[0], framing.centre[1] * ratio[1])
        framing = Framing(centre, framing.side * factor, framing.rotation)
        scale = size / framing.side
    cosine, sine = scale * np.cos(framing.rotation), scale * np.sin(framing.rotation)
    linear = np.array([[cosine, -sine], [sine, cosine]])
    # Continuous coordinates have pixel centres at one half, cv2 at whole numbers.
    shift = size / 2 - linear @ (np.array(framing.centre) - 0.5) - 0.5
    affine = np.column_stack((linear, shift))
    warped = cv2.warpAffine(image, affine, (size, size), flags=cv2.INTER_LINEAR)
    return warped, cv2.warpAffine(mask, affine, (size, size), flags=cv2.INTER_NEAREST)


def mirror(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flip left and right; the left brow and eye become the right ones."""
    return np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(_MIRRORED[mask[:, ::-1]])


def like_rendering(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Make a photograph look like a rendered face model: black around the face, and often smooth and flat.

    The visible face is grown or shrunk a little, as the model's rim is not exactly where the mask's is.
    """
    size = mask.shape[0]
    face = (mask > 0).astype(np.uint8)
    grow = int(rng.integers(-2, 7) * size / 96)
    if grow:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(grow) + 1,) * 2)
        face = cv2.dilate(face, disc) if grow > 0 else cv2.erode(face, disc)
    if rng.random() < 0.5:
        image = cv2.bilateralFilter(image, 5, float(rng.uniform(15, 60)), 2.0)
    if rng.random() < 0.5:
        level = image[face > 0].mean(0) if face.any() else np.full(3, 128.0)
        image = np.clip(level + rng.uniform(0.35, 1) * (image - level), 0, 255).astype(np.uint8)
    return image * face[..., None]


def vary_colour(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vary brightness, contrast, colour and the direction of light; 0 stays 0, so a black background stays black."""
    pixels = image.astype(np.float32) / 255
    height, width = image.shape[:2]
    if rng.random() < 0.4:  # light from a side
        slope_x, slope_y = rng.uniform(-0.5, 0.5, 2)
        ramp = 1 + slope_x * np.linspace(-1, 1, width)[None] + slope_y * np.linspace(-1, 1, height)[:, None]
        pixels *= ramp[..., None].astype(np.float32)
    pixels *= (rng.uniform(0.6, 1.4) * rng.uniform(0.88, 1.12, 3)).astype(np.float32)
    grey = pixels.mean(2, keepdims=True)
    pixels = grey + np.float32(rng.uniform(0.4, 1.5) if rng.random() > 0.05 else 0) * (pixels - grey)
    pixels = np.clip(pixels, 0, 1) ** np.float32(np.exp(rng.uniform(-0.35, 0.35)))
    return (pixels * 255 + 0.5).astype(np.uint8)


def degrade(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur, a lower resolution, noise or JPEG, each in some of the images."""
    size = image.shape[0]
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 1.3)) * size / 96)
    if rng.random() < 0.15:
        small = max(8, round(size * rng.uniform(0.4, 0.9)))
        image = cv2.resize(cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA), (size, size))
    if rng.random() < 0.3:
        noisy = image + rng.normal(0, rng.uniform(1, 8), image.shape).astype(np.float32)
        image = np.clip(noisy, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        quality = int(rng.integers(40, 95))
        image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    return image


def augment(image: np.ndarray, mask: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cut a random training crop from a photograph and vary how it looks.

    Args:
        image: (H, W, 3) uint8 RGB photograph.
        mask: (H, W) uint8 class ids.
        size: side of the crop in pixels.
        rng: source of all randomness.
    Returns:
        (size, size, 3) uint8 and (size, size) uint8.
    """
    image, mask = cut(image, mask, vary_framing(aligned_framing(mask), rng), size)
    if rng.random() < 0.5:
        image, mask = mirror(image, mask)
    image = vary_colour(image, rng)
    if rng.random() < RENDERING_SHARE:
        image = like_rendering(image, mask, rng)
    return degrade(image, rng), mask
