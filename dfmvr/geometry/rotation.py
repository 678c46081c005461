"""Rotations of tensors: from Euler angles, and the one nearest to a matrix."""

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


class NearestRotation(torch.autograd.Function):
    """`dfmvr.geometry.similarity.nearest_rotation` of tensors, with the gradient of R itself.

    The gradient through U and V of the singular value decomposition divides by differences of singular values, which
    are small for point sets about as wide as high; that of R, in which those terms cancel, divides by sums.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, matrix: Tensor) -> Tensor:
        """Return R = U diag(1, 1, det UV^T) V^T."""
        u, singular, vh = torch.linalg.svd(matrix)
        sign = torch.ones_like(singular)
        sign[..., -1] = torch.sign(torch.linalg.det(u @ vh))
        u = u * sign[..., None, :]
        ctx.save_for_backward(u, singular * sign, vh)
        return u @ vh

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        """Return U (A / (s_i + s_j)) V^T with A = (B - B^T), B = U^T G V, s signed."""
        u, singular, vh = ctx.saved_tensors
        inner = u.mT @ gradient @ vh.mT
        total = singular[..., :, None] + singular[..., None, :]
        determined = total > torch.finfo(total.dtype).eps * singular[..., :1, None]
        turn = (inner - inner.mT) / total.where(determined, torch.inf)
        return u @ turn @ vh
