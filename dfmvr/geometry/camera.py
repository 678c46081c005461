"""The pinhole camera of `dfmvr.conventions`."""

from __future__ import annotations

import torch
from torch import Tensor

from dfmvr.conventions import CAMERA_DISTANCE_MM, FOCAL_PX_AT_224, REFERENCE_SIZE_PX
from dfmvr.geometry.rotation import euler_to_rotmat


def focal_px(image_size: int) -> float:
    """Focal length in pixels of a square image `image_size` pixels wide."""
    return FOCAL_PX_AT_224 * image_size / REFERENCE_SIZE_PX


def pose(points: Tensor, angles: Tensor, translation: Tensor) -> Tensor:
    """Move points from the model's frame into the camera's world frame: R x + t.

    Args:
        points: (..., N, 3) mm.
        angles: (..., 3) Euler angles, radians, R = Rz Ry Rx.
        translation: (..., 3) mm.
    Returns:
        (..., N, 3) mm, the camera at (0, 0, 1000) looking along -z.
    """
    return points @ euler_to_rotmat(angles).transpose(-1, -2) + translation[..., None, :]


def project(points: Tensor, image_size: int) -> Tensor:
    """Perspective projection of posed points.

    Args:
        points: (..., N, 3) mm, posed (see `pose`).
        image_size: width and height of the image in pixels.
    Returns:
        (..., N, 3): pixel x (right), pixel y (down), both continuous with the first pixel's centre at 0.5, and depth,
        the distance in mm from the camera along its axis, positive in front of it.
    """
    x, y, z = points.unbind(-1)
    depth = CAMERA_DISTANCE_MM - z
    scale = focal_px(image_size) / depth
    centre = image_size / 2
    return torch.stack((centre + scale * x, centre - scale * y, depth), -1)
