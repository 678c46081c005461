"""The camera of a photograph: where it stood, and where it shows what.

The crop that the network sees is level; the photograph's camera is the crop's, turned about the viewing direction.
Its own frame is OpenCV's: x to the image's right, y down, z along the viewing direction, mm. Pixels are continuous
(conventions): the image spans [0, W] x [0, H].
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dfmvr.align.crop import map_points
from dfmvr.align.frame import inverse_affine
from dfmvr.conventions import CAMERA_DISTANCE_MM
from dfmvr.geometry.camera import focal_px, pose, project
from dfmvr.geometry.rotation import euler_to_rotmat


class PhotoCamera(NamedTuple):
    """The network's camera, which sees the crop, carried over to the photograph out of which that was cut."""

    angles: Tensor  # (3,) float64, radians: posed = R canonical + translation, R = Rz Ry Rx
    translation: Tensor  # (3,) float64, mm
    crop_px: int  # width and height of the crop
    affine: np.ndarray  # (2, 3), photograph's pixels -> crop's pixels: a scale, a rotation and a translation
    zoom: float = 1.0  # focal length, in that of the camera that the network knows

    @property
    def rotation(self) -> np.ndarray:
        """R (3, 3)."""
        return euler_to_rotmat(self.angles).numpy()

    @property
    def position(self) -> np.ndarray:
        """Where the camera stands in the canonical frame, (3,) mm."""
        return self.rotation.T @ (np.array([0, 0, CAMERA_DISTANCE_MM]) - self.translation.numpy())

    @property
    def focal_px(self) -> float:
        """Focal length in pixels of the photograph."""
        return self.zoom * focal_px(self.crop_px) / math.hypot(*self.affine[:, 0])

    @property
    def px_per_mm(self) -> float:
        """Scale of the face in the photograph."""
        depth = CAMERA_DISTANCE_MM - float(self.translation[2])
        return self.focal_px / max(depth, 1.0)

    @property
    def intrinsics(self) -> np.ndarray:
        """Matrix (3, 3) from the camera's frame to homogeneous pixels of the crop."""
        focal, centre = self.zoom * focal_px(self.crop_px), self.crop_px / 2
        return np.array([[focal, 0, centre], [0, focal, centre], [0, 0, 1]], np.float64)

    @property
    def extrinsics(self) -> np.ndarray:
        """Matrix (3, 4) from the canonical frame, homogeneous mm, to the camera's."""
        moved = np.column_stack([self.rotation, self.translation.numpy() - (0, 0, CAMERA_DISTANCE_MM)])
        return np.array([1.0, -1.0, -1.0])[:, None] * moved

    @property
    def matrix(self) -> np.ndarray:
        """`project` as one matrix (3, 4): homogeneous mm to homogeneous pixels of the photograph, the depth in mm."""
        to_crop = np.vstack([np.asarray(self.affine, np.float64), (0, 0, 1)])
        return np.linalg.solve(to_crop, self.intrinsics @ self.extrinsics)

    def posed(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) mm of the canonical frame as they stand before the crop's camera, at (0, 0, 1000) mm."""
        return pose(torch.as_tensor(points, dtype=torch.float64), self.angles, self.translation).numpy()

    def project(self, points: np.ndarray) -> np.ndarray:
        """Where points (N, 3) mm of the canonical frame are seen.

        Returns:
            (N, 3) float64: x and y in pixels of the photograph (uncropped), and depth in mm from the camera.
        """
        seen = project(torch.from_numpy(self.posed(points)), self.crop_px).numpy()
        centre = self.crop_px / 2
        of_crop = centre + self.zoom * (seen[:, :2] - centre)
        return np.column_stack([map_points(inverse_affine(self.affine), of_crop), seen[:, 2]])
