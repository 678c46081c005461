"""Smooth random fields, the raw material of backdrops, skin and hair."""

from __future__ import annotations

import cv2
import numpy as np


def fractal(
    rng: np.random.Generator, shape: tuple[int, int], channels: int = 1, coarsest: int = 3, persistence: float = 0.5
) -> np.ndarray:
    """Sum of random grids, each twice as fine and `persistence` times as strong as the one before.

    Args:
        rng: source of randomness.
        shape: height and width of the field in pixels.
        channels: independent fields.
        coarsest: cells of the coarsest grid along the shorter side.
        persistence: strength ratio of two neighbouring scales; above 1 the finest dominates.
    Returns:
        (height, width, channels) float32, about zero mean and unit variance.
    """
    height, width = shape
    total, power, strength = np.zeros((height, width, channels), np.float32), 0.0, 1.0
    cells = float(coarsest)
    while cells <= min(shape):
        grid_shape = (int(np.ceil(cells * height / min(shape))) + 3, int(np.ceil(cells * width / min(shape))) + 3)
        grid = rng.normal(size=(*grid_shape, channels)).astype(np.float32)
        layer = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)
        total += strength * layer
        power += strength**2
        strength *= persistence
        cells *= 2
    return total / np.float32(np.sqrt(0.6 * power))  # 0.6: a cubic interpolation keeps that much of the variance


class Field3D:
    """A periodic smooth random field in space, to paint surfaces without seams.

    Args of the constructor: `rng`, and `cells` along each side of the period.
    """

    def __init__(self, rng: np.random.Generator, cells: int = 24) -> None:
        self.cells = cells
        self.grid = rng.normal(size=(cells, cells, cells)).astype(np.float32)

    def at(self, points: np.ndarray, wavelength: float) -> np.ndarray:
        """Value of the field, about zero mean and unit variance.

        Args:
            points: (N, 3), any unit.
            wavelength: size of one cell in the unit of the points.
        Returns:
            (N,) float32.
        """
        scaled = np.asarray(points, np.float32) / np.float32(wavelength)
        low = np.floor(scaled)
        fraction = scaled - low
        fraction = fraction * fraction * (3 - 2 * fraction)
        low = low.astype(np.int64) % self.cells
        high = (low + 1) % self.cells
        sides = ((1 - fraction, low), (fraction, high))
        value = np.zeros(len(points), np.float32)
        for wx, x in sides:
            for wy, y in sides:
                for wz, z in sides:
                    value += wx[:, 0] * wy[:, 1] * wz[:, 2] * self.grid[x[:, 0], y[:, 1], z[:, 2]]
        return value * np.float32(1.7)  # smoothstep weights keep about a third of the variance


def octaves(field: Field3D, points: np.ndarray, wavelength: float, count: int, persistence: float = 0.6) -> np.ndarray:
    """Sum of `count` octaves of a `Field3D` at (N, 3) points, from `wavelength` down; (N,) about unit variance."""
    total, power = np.zeros(len(points), np.float32), 0.0
    for octave in range(count):
        strength = persistence**octave
        # an irrational shift, so that the octaves' lattices do not meet
        total += strength * field.at(points + 17.3 * octave, wavelength / 2.03**octave)
        power += strength**2
    return total / np.float32(np.sqrt(power))
