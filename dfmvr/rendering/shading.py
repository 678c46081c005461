"""Spherical-harmonics lighting."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SH_BANDS = 9
"""Spherical harmonics of a lighting."""

AMBIENT = 0.8
"""Added to the constant term of the lighting, so that zero coefficients light a face evenly."""

# Lambertian convolution a_k times normalisation c_k of the real spherical harmonics of degree 0, 1, 2
_DEGREE_0 = math.pi / math.sqrt(4 * math.pi)
_DEGREE_1 = 2 * math.pi / math.sqrt(3) * math.sqrt(3) / math.sqrt(4 * math.pi)
_DEGREE_2 = 2 * math.pi / math.sqrt(8) * 3 * math.sqrt(5) / math.sqrt(12 * math.pi)


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
    # parted as planes: the gradient is then put together by copying whole planes
    x, y, z = (component.contiguous() for component in normals.transpose(-1, -2).unbind(-2))
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
