"""What the authors' released code sees otherwise: normals of vertices, alpha of pixels, the scale of landmarks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dfmvr.rendering.visibility import edge_areas

SIGMA = 1e-4
"""Softness of PyTorch3D's alpha, in squared units of its image plane, which spans 2 across the image."""


def unit_vertex_normals(vertices: Tensor, triangles: Tensor) -> Tensor:
    """`vertex_normals` in which every adjacent triangle counts alike, whatever its area: (B, V, 3)."""
    first, second, third = (vertices.index_select(1, corner) for corner in triangles.long().T)
    faces = F.normalize(torch.cross(second - first, third - first, dim=-1), dim=-1)
    total = torch.zeros_like(vertices)
    for corner in triangles.long().T:
        total = total.index_add(1, corner, faces)
    return F.normalize(total, dim=-1)


@torch.no_grad()
def edge_alpha(projected: Tensor, triangles: Tensor, pix_to_face: Tensor) -> Tensor:
    """PyTorch3D's alpha of one face a pixel: 1/2 where its centre lies on an edge, 1 far from all edges.

    alpha = sigmoid(d^2 / SIGMA), d the distance from the nearest edge of the triangle that the pixel shows.

    Args:
        projected: (B, N, 3) pixels and depth, see `camera.project`.
        triangles: (F, 3).
        pix_to_face: (B, S, S) the triangle that each pixel shows, -1 for background.
    Returns:
        (B, S, S), 0 at background; without gradient.
    """
    image, row, column = seen = (pix_to_face >= 0).nonzero(as_tuple=True)
    corners = projected[image[:, None], triangles.long()[pix_to_face[seen]], :2]
    dx, dy = (corners - torch.stack((column, row), 1)[:, None] - 0.5).permute(2, 1, 0)
    lengths = torch.stack([torch.hypot(dx[i] - dx[j], dy[i] - dy[j]) for i, j in ((1, 2), (2, 0), (0, 1))])
    distance = (torch.stack(edge_areas(dx, dy)).abs() / lengths).amin(0) * (2 / pix_to_face.shape[-1])
    alpha = projected.new_zeros(pix_to_face.shape)
    alpha[seen] = torch.sigmoid(distance.square() / SIGMA)
    return alpha


def on_their_screen(landmarks: Tensor, image_size: int) -> Tensor:
    """Landmarks (..., 2) in pixels, one in `image_size` nearer to the image's centre.

    PyTorch3D 0.5, with which the authors project them, maps to 111.5 + 1010.5 X / (1 - Z); the half pixel is undone by
    the one that their landmark finder adds.
    """
    centre = image_size / 2
    return centre + (landmarks - centre) * ((image_size - 1) / image_size)
