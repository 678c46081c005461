"""Normals of triangles and of vertices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from torch import Tensor

_LEAST = 1e-24  # of squared lengths: vertices without a triangle of more area get no direction


def triangle_normals(corners: np.ndarray) -> np.ndarray:
    """Normals (F, 3) of triangles (F, 3, 3), twice as long as their areas."""
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def mesh_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """`vertex_normals` of one mesh in arrays, to the last bit: (V, 3) of vertices (V, 3) and triangles (F, 3)."""
    faces = np.tile(triangle_normals(vertices.take(triangles, 0)), (3, 1))  # corner by corner, to add in that order
    starts, shape = np.arange(len(faces) + 1), (len(faces), len(vertices))
    around = csr_array((np.ones(len(faces), faces.dtype), triangles.T.ravel(), starts), shape)
    total = around.T @ faces
    x, y, z = total.T
    scale = 1 / np.sqrt(np.maximum(x * x + y * y + z * z, _LEAST))
    return total * scale[:, None]


def displaced(vertices: np.ndarray, triangles: np.ndarray, along: np.ndarray | None) -> np.ndarray:
    """Vertices (V, 3) of a mesh moved so far, (V,), along their normals; None: where they are."""
    return vertices if along is None else vertices + along[:, None] * mesh_normals(vertices, triangles)


def vertex_normals(vertices: Tensor, triangles: Tensor) -> Tensor:
    """Area-weighted mean of the adjacent triangles' normals, of unit length.

    Rotations carry normals along: normals of a posed face are those of the unposed one times R, which is cheaper when
    several views show the same face.

    Args:
        vertices: (B, V, 3).
        triangles: (F, 3), counter-clockwise seen from outside.
    Returns:
        (B, V, 3) pointing outside; 0 at vertices without a triangle of non-zero area. Differentiable.
    """
    import torch  # here, as arrays need no torch

    # a plane a coordinate, images innermost: picking and adding vertices then work on rows of B numbers
    planes = [plane.T.contiguous() for plane in vertices.unbind(-1)]
    corners = list(triangles.long().T)
    first, second, third = ([plane.index_select(0, corner) for plane in planes] for corner in corners)
    (ax, ay, az), (bx, by, bz) = ([b - a for a, b in zip(first, end, strict=True)] for end in (second, third))
    total = []
    for faces in (ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx):
        around = torch.zeros_like(planes[0])
        for corner in corners:
            around = around.index_add(0, corner, faces)
        if around.requires_grad:
            around.register_hook(_laid_out)
        total.append(around)
    # clamped, the gradient stays finite at vertices without a triangle
    scale = (total[0].square() + total[1].square() + total[2].square()).clamp_min(_LEAST).rsqrt()
    return torch.stack([(plane * scale).T for plane in total], -2).mT


def _laid_out(gradient: Tensor | None) -> Tensor | None:
    """The gradient laid out in order, without which picking rows of it is five times slower."""
    return None if gradient is None else gradient.contiguous()
