"""Euler angles to rotation matrices and back."""

from __future__ import annotations

import torch
from torch import Tensor


def euler_to_rotmat(angles: Tensor) -> Tensor:
    """Rotation matrices R = Rz Ry Rx of Euler angles, acting on column vectors.

    Args:
        angles: (..., 3) radians about x, y, z.
    Returns:
        (..., 3, 3) rotation matrices.
    """
    cos, sin = torch.cos(angles), torch.sin(angles)
    (cx, cy, cz), (sx, sy, sz) = cos.unbind(-1), sin.unbind(-1)
    rows = (
        (cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx),
        (sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx),
        (-sy, cy * sx, cy * cx),
    )
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def rotmat_to_euler(rotation: Tensor) -> Tensor:
    """Euler angles of R = Rz Ry Rx with the y angle in [-pi/2, pi/2]; inverse of `euler_to_rotmat` there.

    Args:
        rotation: (..., 3, 3) rotation matrices.
    Returns:
        (..., 3) radians about x, y, z. At |y| = pi/2 the split between x and z is arbitrary.
    """
    x = torch.atan2(rotation[..., 2, 1], rotation[..., 2, 2])
    y = torch.asin(rotation[..., 2, 0].neg().clamp(-1, 1))
    z = torch.atan2(rotation[..., 1, 0], rotation[..., 0, 0])
    return torch.stack((x, y, z), -1)
