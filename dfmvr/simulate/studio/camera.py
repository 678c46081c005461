"""Cameras: where they stand, which pixels show what, and where a person would mark it.

Frames: the person's frame is the canonical one of `dfmvr.conventions` (the face looks along +z); a camera has its own
right-handed frame with x to the right of the picture, y up and z from the scene toward the camera, which sits at 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from dfmvr.conventions import CAMERA_DISTANCE_MM, FOCAL_PX_AT_224
from dfmvr.geometry.rotation import euler_to_rotmat
from dfmvr.geometry.vectors import unit
from dfmvr.rendering.rasterizer import rasterize_hits


class Camera(NamedTuple):
    """A pinhole camera: X_camera = rotation X + translation; u = W/2 - f x / z, v = H/2 + f y / z, z < 0 in front."""

    rotation: np.ndarray  # (3, 3)
    translation: np.ndarray  # (3,) mm
    focal_px: float
    shape: tuple[int, int]  # height, width in pixels

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixel x, pixel y (first pixel's centre at 0.5) and depth in mm of points (..., 3) of the person's frame."""
        seen = points @ self.rotation.T + self.translation
        depth = -seen[..., 2]
        scale = self.focal_px / depth
        u, v = self.shape[1] / 2 + scale * seen[..., 0], self.shape[0] / 2 - scale * seen[..., 1]
        return np.stack((u, v, depth), -1)

    @property
    def position(self) -> np.ndarray:
        """Where the camera stands in the person's frame (3,), mm."""
        return -self.rotation.T @ self.translation

    def directions_from(self, points: np.ndarray) -> np.ndarray:
        """Unit vectors (N, 3) from points (N, 3) of the person's frame toward the camera, in the points' precision."""
        return unit(self.position.astype(points.dtype) - points)


class Footprint(NamedTuple):
    """The P pixels that a mesh covers, and which place of it each shows."""

    pixel: np.ndarray  # (P,) flat pixel numbers
    corners: np.ndarray  # (P, 3) vertices
    bary: np.ndarray  # (P, 3)
    depth: np.ndarray  # (P,) mm

    def interpolate(self, *fields: np.ndarray, dtype: type = np.float32) -> list[np.ndarray]:
        """Interpolate fields of the vertices, each (N, ...), computing in `dtype`: one (P, ...) for each."""
        packed = np.concatenate([field.reshape(len(field), -1) for field in fields], 1, dtype=dtype)
        bary = self.bary.astype(dtype)
        values = packed.take(self.corners[:, 0], 0) * bary[:, :1]
        values += packed.take(self.corners[:, 1], 0) * bary[:, 1:2]
        values += packed.take(self.corners[:, 2], 0) * bary[:, 2:]
        ends = np.cumsum([field[0].size for field in fields])[:-1]
        parts = zip(np.split(values, ends, 1), fields, strict=True)
        return [part if field.ndim > 1 else part[:, 0] for part, field in parts]


def footprint(projected: np.ndarray, triangles: np.ndarray, shape: tuple[int, int], cull: bool = False) -> Footprint:
    """Rasterise a mesh.

    Args:
        projected: (N, 3) pixel x, pixel y, depth mm.
        triangles: (M, 3).
        shape: height and width.
        cull: leave out triangles seen from behind.
    """
    points = torch.from_numpy(np.ascontiguousarray(projected, np.float32))[None]
    _, hits = rasterize_hits(points, torch.from_numpy(triangles), shape, cull_backfaces=cull)
    return Footprint(hits.pixel.numpy(), hits.corner.T.numpy(), hits.bary.T.numpy(), hits.depth.numpy())


def rotation(angles_deg: tuple[float, float, float]) -> np.ndarray:
    """Rotation (3, 3) of Euler angles about x, y, z in degrees, R = Rz Ry Rx."""
    return euler_to_rotmat(torch.tensor(np.radians(angles_deg), dtype=torch.float64)).numpy()


def photo_shape(height_px: int, aspect: float) -> tuple[int, int]:
    """Height and (even) width of a photograph whose width is `aspect` times its height."""
    return height_px, 2 * round(height_px * aspect / 2)


def annotate(landmarks: np.ndarray, camera: Camera, noise_px: float, rng: np.random.Generator) -> np.ndarray:
    """Mark the landmarks as a person would.

    Args:
        landmarks: (68, 3) mm.
        camera: that took the photograph.
        noise_px: standard deviation in pixels of a 224 px crop.
        rng: source of the noise.
    Returns:
        (68, 2) pixels of the photograph.
    ASSUME: jaw points are fixed points of the surface, not the visible contour that a detector follows.
    """
    projected = camera.project(landmarks)
    scale = camera.focal_px / projected[:, 2].mean() / (FOCAL_PX_AT_224 / CAMERA_DISTANCE_MM)
    return projected[:, :2] + rng.normal(0, noise_px * scale, size=(len(landmarks), 2))
