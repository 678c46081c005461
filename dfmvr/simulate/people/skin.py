"""Skin as it is seen up close: what the face model's colours lack, and what shines.

Works on the vertices of one head; positions are those of the mean head, so that patterns sit where they belong.
"""

from __future__ import annotations

import numpy as np

from dfmvr.colour import decode_srgb
from dfmvr.simulate.people.population import Anatomy
from dfmvr.simulate.studio.light import GLOSS, PAINT_SIZE, SHARPNESS, SOFTNESS
from dfmvr.simulate.studio.noise import draw_lattice, octaves

SKIN_SOFTNESS = (0.35, 0.16, 0.1)  # red light travels furthest in skin


def paint_skin(
    anatomy: Anatomy, albedo: np.ndarray, scalp_colour: np.ndarray | None, rng: np.random.Generator
) -> np.ndarray:
    """Paint a head.

    Args:
        anatomy: of the head's population.
        albedo: (V, 3) sRGB-encoded colour of the face model.
        scalp_colour: (3,) linear RGB of the roots; None for the face model's own.
        rng: source of the person's own marks.
    Returns:
        (V, 8) float32: linear albedo, gloss, sharpness, softness for each colour.
    """
    points, marks = anatomy.reference, anatomy.reference[anatomy.landmarks_68]
    field = draw_lattice(rng)
    paint = np.empty((len(points), PAINT_SIZE), np.float32)
    colour = decode_srgb(albedo.astype(np.float32))
    if scalp_colour is not None:
        bare = np.clip(anatomy.scalp / 0.1, 0, 1)[:, None]
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
    lips = (anatomy.labels == 8) | (anatomy.labels == 9)
    paint[lips, GLOSS] *= rng.uniform(1.0, 2.5)
    paint[lips, SHARPNESS] = 30
    paint[~anatomy.outer & (anatomy.eye == 0), GLOSS] = 0.8
    return paint


def _near(points: np.ndarray, centres: np.ndarray, size_mm: float) -> np.ndarray:
    """(V,) Gaussian falloff from the nearest of some centres (K, 3)."""
    squared = np.min([((points - c) ** 2).sum(1) for c in centres], 0)
    return np.exp(-squared / (2 * size_mm**2))
