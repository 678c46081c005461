"""The picture of an eyeball: white, iris and pupil, round about the middle of the image.

In     the colours that photographs show, and how large the eyeball is.
Gives  an image for an unwrapping whose distance from the middle is the arc from the front.
"""

from __future__ import annotations

import numpy as np

from dfmvr.colour import encode_srgb
from dfmvr.face_model.anny.parts import IRIS_MM, PUPIL_MM
from dfmvr.reconstruct.avatar.openings import EyeColours

SIZE_PX = 512

BROWN = (0.075, 0.038, 0.018)
WHITE = (0.72, 0.68, 0.65)
"""ASSUME: in linear light, of eyes that no photograph shows."""

IRIS_RANGE, WHITE_RANGE = (0.012, 0.25), (0.45, 0.8)
"""ASSUME: the mean of a colour's channels is between these, whatever the shadow or the highlight."""

_SPOKES = 48


def eye_image(colours: EyeColours, width_mm: float, seed: int = 0) -> np.ndarray:
    """Paint an eyeball.

    Args:
        colours: of the person.
        width_mm: the length that the image's width stands for.
        seed: of the iris's pattern.
    Returns:
        (SIZE_PX, SIZE_PX, 3) uint8, sRGB-encoded.
    """
    iris, white = iris_and_white(colours)
    x, y = np.meshgrid(*2 * [(np.arange(SIZE_PX) + 0.5 - SIZE_PX / 2) * width_mm / SIZE_PX])
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    blur = 1.5 * width_mm / SIZE_PX
    phase, strength = np.random.default_rng(seed).uniform(-np.pi, np.pi, (2, _SPOKES))
    numbers = np.arange(5, 5 + _SPOKES)
    spokes = sum(np.cos(k * angle + p) * np.cos(s) / k**0.5 for k, p, s in zip(numbers, phase, strength, strict=True))
    share = np.clip((radius - PUPIL_MM) / (IRIS_MM - PUPIL_MM), 0, 1)
    # lighter about the pupil, dark at the edge
    bright = (1.15 + 0.12 * spokes) * (1.15 - 0.3 * share) * (1 - 0.55 * smooth_step(share, 0.86, 0.1))
    # redder and darker toward the lids
    near_lids = smooth_step(radius, 0.2 * width_mm, 0.2 * width_mm)
    result = white * (1 - 0.35 * near_lids)[..., None] ** np.array((0.4, 1, 1))
    result += (iris * bright[..., None] - result) * (1 - smooth_step(radius, IRIS_MM, 3 * blur))[..., None]
    result += (0.006 - result) * (1 - smooth_step(radius, PUPIL_MM, 2 * blur))[..., None]
    return np.round(255 * encode_srgb(np.clip(result, 0, 1))).astype(np.uint8)


def iris_and_white(colours: EyeColours) -> tuple[np.ndarray, np.ndarray]:
    """Plausible colours (3,) of iris and white, in linear light."""
    iris = _within(np.array(BROWN) if colours.iris is None else colours.iris, IRIS_RANGE)
    white = np.array(WHITE) if colours.white is None else colours.white
    # lids, lashes and veins colour what little of the white is seen
    return iris, _within(0.5 * white + 0.5 * white.mean() * np.array(WHITE) / np.mean(WHITE), WHITE_RANGE)


def _within(colour: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """A colour made so much brighter or darker that its mean is within limits."""
    colour = colour + 1e-4  # black becomes grey
    return np.clip(colour * (np.clip(colour.mean(), *limits) / colour.mean()), 0, 1)


def smooth_step(values: np.ndarray, middle: float, width: float) -> np.ndarray:
    """0 below, 1 above, smooth between."""
    t = np.clip((values - middle) / width + 0.5, 0, 1)
    return t * t * (3 - 2 * t)
