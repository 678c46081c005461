"""Least-squares similarity between corresponding points (Eq. 5), differentiable and batched."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Similarity(NamedTuple):
    """The map x -> scale R x + translation, for column vectors."""

    scale: Tensor  # (...,)
    rotation: Tensor  # (..., 3, 3), determinant +1
    translation: Tensor  # (..., 3), unit of the target

    def apply(self, points: Tensor) -> Tensor:
        """Map points (..., N, 3) of the source frame into the target frame."""
        turned = points @ self.rotation.transpose(-1, -2)
        return self.scale[..., None, None] * turned + self.translation[..., None, :]


def fit_similarity(source: Tensor, target: Tensor, with_scale: bool = True) -> Similarity:
    """Find the similarity minimising sum_i |s R source_i + t - target_i|^2; never a reflection.

    Eq. 5 writes s (R a + t); its t is ours divided by s, the map is the same.

    Args:
        source, target: (..., N, 3) points in correspondence, N >= 3, not all on one line.
        with_scale: False fixes the scale at 1.
    Returns:
        The map from source to target.
    Source: Umeyama 1991, "Least-squares estimation of transformation parameters between two point patterns".
    """
    source_mean, target_mean = source.mean(-2), target.mean(-2)
    source_centred, target_centred = source - source_mean[..., None, :], target - target_mean[..., None, :]
    covariance = target_centred.transpose(-1, -2) @ source_centred
    rotation = nearest_rotation(covariance)
    if with_scale:
        scale = (rotation * covariance).sum((-1, -2)) / source_centred.square().sum((-1, -2))
    else:
        scale = torch.ones_like(rotation[..., 0, 0])
    translation = target_mean - scale[..., None] * (rotation @ source_mean[..., None])[..., 0]
    return Similarity(scale, rotation, translation)


def nearest_rotation(matrix: Tensor) -> Tensor:
    """Find the rotation R that maximises trace(R^T M): the one nearest to M.

    Args:
        matrix: (..., 3, 3) of rank 2 at least.
    Returns:
        (..., 3, 3) with determinant +1. Differentiable unless M is as near to other rotations (a reflection whose two
        least singular values are equal); there the gradient is zero along the undetermined turn.
    """
    return _NearestRotation.apply(matrix)


class _NearestRotation(torch.autograd.Function):
    """`nearest_rotation`, with the gradient of R itself.

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
        inner = u.transpose(-1, -2) @ gradient @ vh.transpose(-1, -2)
        total = singular[..., :, None] + singular[..., None, :]
        determined = total > torch.finfo(total.dtype).eps * singular[..., :1, None]
        turn = (inner - inner.transpose(-1, -2)) / total.where(determined, torch.inf)
        return u @ turn @ vh
