"""Vertex normals and spherical-harmonics lighting."""

from __future__ import annotations

import math

import torch
from torch import Tensor

AMBIENT = 0.8
"""Added to the constant term of the lighting, so that zero coefficients light a face evenly."""

# Lambertian convolution a_k times normalisation c_k of the real spherical harmonics of degree 0, 1, 2
_DEGREE_0 = math.pi / math.sqrt(4 * math.pi)
_DEGREE_1 = 2 * math.pi / math.sqrt(3) * math.sqrt(3) / math.sqrt(4 * math.pi)
_DEGREE_2 = 2 * math.pi / math.sqrt(8) * 3 * math.sqrt(5) / math.sqrt(12 * math.pi)


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


def sh_basis(normals: Tensor) -> Tensor:
    """Nine spherical harmonics, each with the factor by which a Lambertian surface attenuates it.

    Args:
        normals: (..., V, 3) unit vectors.
    Returns:
        (..., V, 9): a_k c_k times 1, -y, z, -x, xy, -yz, (3z^2 - 1) / (2 sqrt 3), -xz, (x^2 - y^2) / 2.
    Source: Ramamoorthi and Hanrahan 2001; order and signs as in Deep3DFaceRecon (Deng et al. 2019).
    """
    return _basis_planes(normals).transpose(-1, -2)


def _basis_planes(normals: Tensor) -> Tensor:
    """`sh_basis` with a plane a harmonic, (..., 9, V): six times faster to multiply with the lighting."""
    x, y, z = (component.contiguous() for component in normals.unbind(-1))
    return torch.stack(
        (
            torch.full_like(x, _DEGREE_0),
            -_DEGREE_1 * y,
            _DEGREE_1 * z,
            -_DEGREE_1 * x,
            _DEGREE_2 * x * y,
            -_DEGREE_2 * y * z,
            _DEGREE_2 / (2 * math.sqrt(3)) * (3 * z * z - 1),
            -_DEGREE_2 * x * z,
            _DEGREE_2 / 2 * (x * x - y * y),
        ),
        -2,
    )


def shade(albedo: Tensor, normals: Tensor, lighting: Tensor) -> Tensor:
    """Colour of lit vertices: albedo times irradiance, a channel at a time.

    Args:
        albedo: (B, V, 3).
        normals: (B, V, 3) unit, in the frame that the lighting lives in (the camera's).
        lighting: (B, 9, 3) coefficients by harmonic and channel; `AMBIENT` is added to the constant one.
    Returns:
        (B, V, 3), unclamped.
    """
    ambient = torch.zeros_like(lighting[:1])
    ambient[:, 0] = AMBIENT
    irradiance = (lighting + ambient).transpose(1, 2) @ _basis_planes(normals)
    return albedo * irradiance.transpose(1, 2)
