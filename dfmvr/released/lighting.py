"""One lighting for all views, told to each view in its own frame."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dfmvr.conventions import VIEWS
from dfmvr.geometry.rotation import euler_to_rotmat
from dfmvr.rendering.shading import sh_basis

REFERENCE_VIEW = VIEWS.index("right")
"""Code: the view in whose frame the released code's one lighting lives: its normals are rotated once, with the variable
that the loop over the views left behind."""


def _icosahedron(like: Tensor) -> Tensor:
    """Twelve directions (12, 3), between which functions of degree 2 are orthogonal if they are so on the sphere."""
    golden = (1 + math.sqrt(5)) / 2
    corners = [(0, a, b * golden) for a in (-1, 1) for b in (-1, 1)]
    directions = [corner[shift:] + corner[:shift] for corner in corners for shift in range(3)]
    return torch.nn.functional.normalize(like.new_tensor(directions), dim=1)


def rotate_lighting(lighting: Tensor, rotation: Tensor) -> Tensor:
    """Lighting of the same light in a turned frame: its value for the normal n is that of `lighting` for R n.

    Harmonics of one degree turn into each other, so this is exact.

    Args:
        lighting: (..., 9, 3), see `dfmvr.rendering.shading.shade`.
        rotation: (..., 3, 3) R, from the new frame to that of `lighting`.
    Returns:
        (..., 9, 3).
    """
    directions = _icosahedron(rotation)
    basis = sh_basis(directions)
    inverse = basis.T / basis.square().sum(0)[:, None]  # the columns are orthogonal
    return inverse @ (sh_basis(directions @ rotation.transpose(-1, -2)) @ lighting)


def share_lighting(lighting: Tensor, angles: Tensor) -> Tensor:
    """Tell one lighting to every view, so that all of them see the face under the same light.

    ASSUME: the light stays with the head while the cameras stand around it, as when three cameras fire at once.

    Args:
        lighting: (B, 9, 3) in the frame of the right view.
        angles: (B, 3, 3) radians: view, axis.
    Returns:
        (B, 3, 9, 3).
    """
    rotations = euler_to_rotmat(angles)
    return rotate_lighting(lighting[:, None], rotations[:, REFERENCE_VIEW, None] @ rotations.transpose(-1, -2))
