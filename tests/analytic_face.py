"""Surfaces in closed form, for tests whose answer must be known: half an ellipsoid with a nose, and a flat square."""

import numpy as np
from scipy.spatial.transform import Rotation

from dfmvr.register.icp import Registration

SEVEN = np.array([(-45, 30), (-18, 30), (18, 30), (45, 30), (0, -5), (-25, -45), (25, -45)], float)
MOTION = Registration(1.07, Rotation.from_rotvec([0.2, -0.3, 0.1]).as_matrix(), np.array([30.0, -20.0, 500.0]))


def height(x, y):
    dome = 100 * np.sqrt(np.clip(1 - (x / 130) ** 2 - (y / 160) ** 2, 0, None))
    nose = 22 * np.exp(-((x / 12) ** 2) - ((y + 5) / 18) ** 2)
    eyes = 6 * np.exp(-(((np.abs(x) - 32) / 14) ** 2) - ((y - 30) / 8) ** 2)
    return dome + nose - eyes + 4 * np.exp(-((x / 22) ** 2) - ((y + 45) / 7) ** 2)


def face(n=90, width=85.0, tall=110.0):
    """Vertices (n^2, 3) mm, triangles counter-clockwise from outside, and the seven landmarks (7, 3)."""
    x, y = np.meshgrid(np.linspace(-width, width, n), np.linspace(-tall, tall, n))
    ids = np.arange(n * n).reshape(n, n)
    a, b, c, d = ids[:-1, :-1].ravel(), ids[:-1, 1:].ravel(), ids[1:, 1:].ravel(), ids[1:, :-1].ravel()
    triangles = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)])
    vertices = np.stack([x, y, height(x, y)], -1).reshape(-1, 3)
    return vertices, triangles, np.column_stack([SEVEN, height(*SEVEN.T)])


def grid(n: int) -> tuple[np.ndarray, np.ndarray]:
    """A flat triangulated square of n x n vertices."""
    x, y = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    a = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    faces = np.concatenate((np.stack((a, a + n, a + n + 1), -1), np.stack((a, a + n + 1, a + 1), -1)))
    return np.stack((x.ravel(), y.ravel(), np.zeros(n * n)), -1).astype(float), faces
