"""Where hair grows: directions from the middle of the skull, and how far the skull reaches in them."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.spatial import cKDTree

from dfmvr.geometry.vectors import unit
from dfmvr.simulate.people.population import Anatomy

AZIMUTHS = 96
CROWN_TILT = np.radians(15.0)


class Scalp:
    """Where hair can be on a population's heads: prepared once on the mean head, evaluated for each person."""

    def __init__(self, anatomy: Anatomy) -> None:
        reference, outer = anatomy.reference, anatomy.outer
        points = reference[anatomy.landmarks_68]
        brow, eye, jaw = points[17:27, 1].max(), points[[36, 39, 42, 45], 1].mean(), points[[0, 16]]
        side, side_y, side_z = np.abs(jaw[:, 0]).mean(), jaw[:, 1].mean(), jaw[:, 2].mean()
        near_ear = (
            (np.abs(reference[:, 0]) > 0.85 * side)
            & (np.abs(reference[:, 1] - (side_y - 20)) < 40)
            & (reference[:, 2] < side_z - 8)
            & (reference[:, 2] > side_z - 62)
        )
        self.ear = near_ear & outer
        skull = outer & ~near_ear
        level = skull & (np.abs(reference[:, 1] - eye - 20) < 8)
        self.centre = np.array([0, eye + 20, (reference[level, 2].max() + reference[level, 2].min()) / 2])
        self._skull = np.flatnonzero(skull)
        self._level = np.flatnonzero(level)
        self._up = np.array([0, np.cos(CROWN_TILT), -np.sin(CROWN_TILT)])
        self._front = np.array([0, np.sin(CROWN_TILT), np.cos(CROWN_TILT)])
        middle = np.abs(reference[self._skull, 0]) < 8
        anchors = [
            self._surface(reference, self._skull[middle], y=brow + 52, front=True),
            np.array([0.55 * side, brow + 40, side_z + 42]),
            np.array([0.86 * side, brow + 10, side_z + 18]),
            np.array([side, side_y - 22, side_z - 4]),
            np.array([side, side_y + 12, side_z - 22]),
            np.array([side, side_y - 10, side_z - 62]),
            np.array([0.7 * side, side_y - 62, side_z - 85]),
            self._surface(reference, self._skull[middle], y=side_y - 80, front=False),
        ]
        azimuth, polar = self.angles(np.stack(anchors))
        azimuth = np.abs(azimuth)
        azimuth[0], azimuth[-1] = 0, np.pi
        order = np.argsort(azimuth)
        self.end = PchipInterpolator(azimuth[order], polar[order])
        self._reference_points = cKDTree(unit(reference[self._skull] - self.centre))

    def _surface(self, reference: np.ndarray, chosen: np.ndarray, y: float, front: bool) -> np.ndarray:
        """The vertex of the midline at height y, on the front or the back."""
        points = reference[chosen]
        half = points[(points[:, 2] > self.centre[2]) == front]
        return half[np.abs(half[:, 1] - y).argmin()]

    def angles(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Azimuth from the front and polar angle from the crown of points (N, 3) of the mean head, radians."""
        rays = unit(points - self.centre)
        azimuth = np.arctan2(rays[:, 0], rays @ self._front)
        return azimuth, np.arccos(np.clip(rays @ self._up, -1, 1))

    def grid(self, end: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Unit vectors (rows, azimuths, 3) from the crown (row 0) to the polar angles `end` (azimuths,) (row 1)."""
        azimuth = np.linspace(-np.pi, np.pi, AZIMUTHS + 1)
        polar = rows[:, None] * end[None]
        horizontal = np.cos(azimuth)[:, None] * self._front + np.sin(azimuth)[:, None] * [1.0, 0, 0]
        return np.cos(polar)[..., None] * self._up + np.sin(polar)[..., None] * horizontal[None]

    def skull_radius(self, head: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centre (3,) of a person's skull and its radius (...,) in the given directions.

        Args:
            head: (V, 3) neutral head, mm.
            directions: (..., 3) unit vectors, as for the mean head.
        """
        middle = head[self._level].max(0) + head[self._level].min(0)
        centre = np.array([0, self.centre[1] + head[self._level, 1].mean() - self.centre[1], middle[2] / 2])
        distance, index = self._reference_points.query(directions.reshape(-1, 3), k=6)
        weight = 1 / (distance + 0.02) ** 2
        radius = np.linalg.norm(head[self._skull] - centre, axis=1)[index]
        radius = (radius * weight).sum(1) / weight.sum(1)
        return centre, radius.reshape(directions.shape[:-1])


def grid_triangles(rows: int, columns: int) -> np.ndarray:
    """(2 (rows - 1)(columns - 1), 3) triangles of a grid whose rows go down and columns go to the person's left."""
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    return np.stack((a, c, b, b, c, d), -1).reshape(-1, 3)
