"""Skin as it is seen up close: what the face model's colours lack, and what shines.

Works on the vertices of one head; positions are those of the mean head, so that patterns sit where they belong.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfmvr.colour import decode_srgb
from dfmvr.simulate.studio.noise import Field3D, octaves

GLOSS, SHARPNESS, SOFTNESS = 3, 4, slice(5, 8)
PAINT_SIZE = 8
SKIN_SOFTNESS = (0.35, 0.16, 0.1)  # red light travels furthest in skin


class Canvas(NamedTuple):
    """Where things are on the mean head of a population."""

    points: np.ndarray  # (V, 3) mm
    labels: np.ndarray  # (V,) class of the face parser
    inside: np.ndarray  # (V,) bool, in the mouth or behind the eyes
    landmarks: np.ndarray  # (68, 3) mm
    scalp: np.ndarray  # (V,) share of hair, 0 to 1


def paint_skin(
    canvas: Canvas, albedo: np.ndarray, scalp_colour: np.ndarray | None, rng: np.random.Generator
) -> np.ndarray:
    """Paint a head.

    Args:
        canvas: of the head's population.
        albedo: (V, 3) sRGB-encoded colour of the face model.
        scalp_colour: (3,) linear RGB of the roots; None for the face model's own.
        rng: source of the person's own marks.
    Returns:
        (V, 8) float32: linear albedo, gloss, sharpness, softness for each colour.
    """
    points, marks = canvas.points, canvas.landmarks
    field = Field3D(rng)
    paint = np.empty((len(points), PAINT_SIZE), np.float32)
    colour = decode_srgb(albedo.astype(np.float32))
    if scalp_colour is not None:
        bare = np.clip(canvas.scalp / 0.1, 0, 1)[:, None]
        colour += bare * (0.9 * scalp_colour + 0.1 * colour - colour)
    blotches = octaves(field, points, rng.uniform(12, 30), 2)
    pores = octaves(field, points + 91, 4.0, 2, 0.9)
    colour *= np.exp(rng.uniform(0.01, 0.05) * blotches + rng.uniform(0.01, 0.05) * pores)[:, None]
    paint[:, :3] = np.clip(colour, 0.003, 0.95)
    oil = _near(points, marks[27:31], 18) + _near(points, 0.5 * (marks[19] + marks[24])[None] + [0, 25, 0], 35)
    oil += 0.5 * _near(points, marks[[8]], 15) + 0.4 * _near(points, 0.5 * (marks[[1, 15]] + marks[[30]]), 20)
    paint[:, GLOSS] = rng.uniform(0.15, 0.9) * (0.45 + np.clip(oil, 0, 1)) * np.clip(1 + 0.3 * blotches, 0.2, 2)
    paint[:, SHARPNESS] = rng.uniform(9, 28)
    paint[:, SOFTNESS] = SKIN_SOFTNESS
    lips = (canvas.labels == 8) | (canvas.labels == 9)
    paint[lips, GLOSS] *= rng.uniform(1.0, 2.5)
    paint[lips, SHARPNESS] = 30
    paint[canvas.inside, GLOSS] = 0.8
    return paint


def _near(points: np.ndarray, centres: np.ndarray, size_mm: float) -> np.ndarray:
    """(V,) Gaussian falloff from the nearest of some centres (K, 3)."""
    squared = np.min([((points - c) ** 2).sum(1) for c in centres], 0)
    return np.exp(-squared / (2 * size_mm**2))
