"""Normals of a mesh's vertices."""

from __future__ import annotations

import torch
from torch import Tensor


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
        total.append(_ContiguousGradient.apply(around))
    # clamped, the gradient stays finite at vertices without a triangle
    scale = (total[0].square() + total[1].square() + total[2].square()).clamp_min(1e-24).rsqrt()
    return torch.stack([(plane * scale).T for plane in total], -1)


class _ContiguousGradient(torch.autograd.Function):
    """The identity; lays its gradient out in order, without which picking rows of it is five times slower."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, values: Tensor) -> Tensor:
        """Return the values."""
        return values.view_as(values)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        """Return the gradient."""
        return gradient.contiguous()
