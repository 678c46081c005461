"""Where on the mean head each colour goes: the maps that `albedo` paints by."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from dfmvr.face_model.anny.albedo import WAVES, AlbedoMaps, blob
from dfmvr.face_model.anny.fine_head import FineHead
from dfmvr.face_model.anny.head import BaseHead
from dfmvr.face_model.anny.labels import brow_share, hairline
from dfmvr.face_model.anny.parts import EAR, HAIR, NECK


def albedo_maps(head: BaseHead, fine: FineHead, seed: int) -> AlbedoMaps:
    """Compute the maps on the symmetric mean head; `seed` is that of the smooth functions."""
    points, labels, p = fine.points, fine.labels, fine.points[fine.landmarks_68]
    teeth = _teeth(head, fine.matrix)
    skin = (labels == 1) | (labels == 6) | (labels == NECK) | (labels == 2) | (labels == 3)
    spots = (
        ((p[41] * [1.1, 1, 1] + p[48] * [1.25, 1, 1]) / 2, 15.0, 0.9),
        (p[30], 11.0, 1.0),
        (p[8] + [0, 6, 0], 12.0, 0.5),
    )
    redness = np.zeros(len(points))
    for centre, sigma, weight in spots:
        redness += weight * _both_sides(points, centre, sigma)
    redness = np.maximum(redness, 0.7 * (labels == EAR))
    front = points[:, 2] > p[36, 2] - 25
    forehead = hairline(np.abs(points[:, 0]), points[(labels == 1), 1].max())
    hair = np.where(labels == HAIR, 1.0, np.where(labels == 1, 1 / (1 + np.exp(-(points[:, 1] - forehead) / 3)), 0.0))
    return AlbedoMaps(
        labels=labels,
        brow=np.where(skin & front, brow_share(points, fine.landmarks_68), 0),
        lips=fine.lips,
        redness=redness.clip(0, 1),
        beard=_beard(points, p, skin),
        shadow=_both_sides(points, (p[40] + p[41]) / 2 + [1.5, -5, 0], 6.0),
        lid=_both_sides(points, (p[37] + p[38]) / 2 + [0, 3, 0], 6.0),
        iris=_iris(points, labels, teeth),
        teeth=teeth.clip(min=0),
        hair=hair,
        waves=_smooth_waves(points, np.random.default_rng([seed, 3])),
        points=points,
    )


def _both_sides(points: np.ndarray, centre: np.ndarray, sigma: float) -> np.ndarray:
    """A bell (V,) about a centre and about its mirror image."""
    return np.maximum(blob(points, centre, sigma), blob(points, centre * [-1, 1, 1], sigma))


def _teeth(head: BaseHead, matrix: sparse.csr_matrix) -> np.ndarray:
    """(V,) as in AlbedoMaps, but -1 on eyeballs."""
    values = np.zeros(len(head.vertices))
    for part, sign in (("upper_teeth", 1), ("lower_teeth", -1)):
        row = head.of(part)
        height = sign * head.vertices[row, 1]
        values[row] = np.where(height < np.quantile(height, 0.6), 1.0, 0.5)
    values[head.of("tongue")] = 0.3
    values[head.of("left_eye", "right_eye")] = -1
    return matrix @ values


def _iris(points: np.ndarray, labels: np.ndarray, teeth: np.ndarray) -> np.ndarray:
    """Distance (V,) in mm from the axis of the eye, infinite off the eyeballs, which `teeth` marks by -1."""
    result = np.full(len(points), np.inf)
    for label in (4, 5):
        ball = np.flatnonzero((labels == label) & (teeth < 0))
        axis = points[ball[points[ball, 2].argmax()], :2]
        result[ball] = np.linalg.norm(points[ball, :2] - axis, axis=1)
    return result


def _beard(points: np.ndarray, p: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Share of beard (V,): moustache, chin and jaw, fading over the cheeks and the throat; `p` are the landmarks."""
    x, y = np.abs(points[:, 0]), points[:, 1]
    mouth_y, nose_y, ear_y = p[62, 1], p[33, 1], p[1, 1]
    # The upper border climbs from the nose's base, past the corner of the mouth, to the ears.
    heights = [nose_y - 2, nose_y - 4, mouth_y - 6, nose_y - 10, ear_y - 10, ear_y]
    border = np.interp(x, [0, 18, 32, 55, 70, 80], heights)
    upper = 1 / (1 + np.exp((y - border) / 2.5))
    throat = 1 / (1 + np.exp(-(y - (p[8, 1] - 25)) / 6)) * (points[:, 2] > 25)
    return np.where(skin, upper * throat, 0.0)


def _smooth_waves(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(V, WAVES) plane waves cos(k x + phase) of wavelengths 25 to 120 mm at points (V, 3)."""
    direction = rng.normal(size=(3, WAVES))
    direction /= np.linalg.norm(direction, axis=0)
    k = 2 * np.pi * direction / np.geomspace(25, 120, WAVES)
    return (np.sqrt(2) * np.cos(points @ k + rng.uniform(0, 2 * np.pi, WAVES))).astype(np.float32)
