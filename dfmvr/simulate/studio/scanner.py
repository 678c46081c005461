"""A 3D scanner: what a line of laser light moved round a head measures of its surface.

ASSUME: the scanner turns about a vertical axis through the head and looks toward it horizontally, as the scanners
behind the early morphable models did. Each measurement lies on the ray of its sample, so the mesh is no copy of the
model's: other vertices, other triangles, noise along the ray, holes where the light grazes, in the mouth, under hair
and where a measurement failed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from dfmvr.geometry.meshes import Mesh
from dfmvr.geometry.normals import mesh_normals
from dfmvr.geometry.vectors import dot, length, unit
from dfmvr.simulate.studio.camera import footprint
from dfmvr.simulate.studio.noise import fractal

AXIS_Z_MM = -62.0
RADIUS_MM = 85.0  # at which samples are as far apart along the circle as along the axis
HALF_TURN = np.radians(105.0)
GRAZING = 0.18  # cosine between ray and normal below which nothing comes back
LONGEST_EDGE = 5.0  # in spacings; longer edges bridge two surfaces
_FAR = 5e4


class HeadSurface(NamedTuple):
    """The true surface of a head, which scanners measure; V vertices, not those of the photographs."""

    vertices: np.ndarray  # (V, 3) mm, person's frame
    triangles: np.ndarray  # (F, 3)
    hidden: np.ndarray  # (V,) bool, where nothing can be measured (hair, mouth)
    keypoints: np.ndarray  # (106, 3) mm; a scan with a hole there would be taken again


def scan_head(head: HeadSurface, spacing_mm: float, noise_mm: float, rng: np.random.Generator) -> Mesh:
    """Scan a head.

    Args:
        head: the true surface.
        spacing_mm: mean distance of the samples where the surface faces the scanner.
        noise_mm: standard deviation along the ray where the surface faces the scanner; more at a slant.
        rng: source of noise and failures.
    """
    low, high = head.keypoints[:, 1].min() - 35, head.vertices[:, 1].max()
    shape = (int((high - low) / spacing_mm) + 1, int(2 * HALF_TURN * RADIUS_MM / spacing_mm) + 1)
    pixel, points, normals, hidden = _measure(head, high, spacing_mm, shape)
    ray = unit((points - [0, 0, AXIS_Z_MM]) * [1, 0, 1])
    facing = dot(normals, ray)
    keep = (facing > GRAZING * np.exp(rng.normal(0, 0.2, size=len(facing)))) & (hidden < 0.5)
    failed = fractal(rng, shape, 1, 10, 0.7)[..., 0].reshape(-1)[pixel] > 2.6
    near = np.isfinite(cKDTree(head.keypoints).query(points, distance_upper_bound=8.0)[0])
    keep &= near | ~(failed | (rng.uniform(size=len(pixel)) < 0.0005))
    slant = np.sqrt(np.maximum(facing, GRAZING))
    points = points + ray * (noise_mm * rng.normal(size=len(points)) / slant)[:, None]
    return _join(pixel[keep], points[keep], shape, LONGEST_EDGE * spacing_mm)


def _measure(
    head: HeadSurface, top: float, spacing: float, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Outermost point of the surface along every ray: sample number, point, unit normal, hidden share."""
    x, z = head.vertices[:, 0], head.vertices[:, 2] - AXIS_Z_MM
    turn = np.arctan2(x, z)
    columns = (turn + HALF_TURN) * RADIUS_MM / spacing
    rows = (top - head.vertices[:, 1]) / spacing
    unrolled = np.stack((columns, rows, _FAR - np.hypot(x, z)), -1)
    whole = np.ptp(turn[head.triangles], axis=1) < 1.0  # not across the seam at the back, nor round the axis
    covered = footprint(unrolled, head.triangles[whole], shape)
    normals = mesh_normals(head.vertices, head.triangles)
    points, normals, hidden = covered.interpolate(head.vertices, normals, head.hidden, dtype=np.float64)
    return covered.pixel, points, unit(normals), hidden


def _join(pixel: np.ndarray, points: np.ndarray, shape: tuple[int, int], longest: float) -> Mesh:
    """Join neighbouring samples to triangles, outward counter-clockwise, and drop samples in none."""
    number = np.full(shape[0] * shape[1], -1)
    number[pixel] = np.arange(len(pixel))
    grid = number.reshape(shape)
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]
    triangles = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, c, b), (b, c, d))])
    triangles = triangles[(triangles >= 0).all(1)]
    corners = points[triangles]
    triangles = triangles[(length(corners - np.roll(corners, 1, 1)) < longest).all(1)]
    used, triangles = np.unique(triangles, return_inverse=True)
    return Mesh(points[used], triangles.reshape(-1, 3))
