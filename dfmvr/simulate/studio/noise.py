"""Smooth random fields, the raw material of backdrops, skin and hair."""

from __future__ import annotations

import itertools

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


def draw_lattice(rng: np.random.Generator, cells: int = 24) -> np.ndarray:
    """Draw a field that is smooth in space and periodic, `cells` a side, to paint surfaces without seams."""
    return rng.normal(size=(cells, cells, cells)).astype(np.float32)


def octaves(
    lattice: np.ndarray, points: np.ndarray, wavelength: float, count: int, persistence: float = 0.6
) -> np.ndarray:
    """Sum of `count` octaves of a field of `draw_lattice`.

    Args:
        lattice: the field.
        points: (N, 3), any unit.
        wavelength: size of one cell of the coarsest octave in the unit of the points.
        count: of octaves.
        persistence: strength ratio of two neighbouring octaves.
    Returns:
        (N,) float32, about zero mean and unit variance.
    """
    total, power = np.zeros(len(points), np.float32), 0.0
    for octave in range(count):
        strength = persistence**octave
        # an irrational shift, so that the octaves' lattices do not meet
        total += strength * _interpolate(lattice, points + 17.3 * octave, wavelength / 2.03**octave)
        power += strength**2
    return total / np.float32(np.sqrt(power))


def _interpolate(lattice: np.ndarray, points: np.ndarray, wavelength: float) -> np.ndarray:
    """Value (N,) of the field at points (N, 3), its cells `wavelength` wide."""
    scaled = np.asarray(points, np.float32) / np.float32(wavelength)
    low = np.floor(scaled)
    fraction = scaled - low
    fraction = fraction * fraction * (3 - 2 * fraction)
    low = low.astype(np.int64) % len(lattice)
    sides = ((1 - fraction, low), (fraction, (low + 1) % len(lattice)))
    value = np.zeros(len(points), np.float32)
    for (wx, x), (wy, y), (wz, z) in itertools.product(sides, repeat=3):
        value += wx[:, 0] * wy[:, 1] * wz[:, 2] * lattice[x[:, 0], y[:, 1], z[:, 2]]
    return value * np.float32(1.7)  # smoothstep weights keep about a third of the variance
