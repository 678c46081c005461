"""Least-squares similarity between corresponding points (Eq. 5): of arrays, or of tensors, then differentiable."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    Numbers = np.ndarray | Tensor


class Similarity(NamedTuple):
    """The map x -> scale R x + translation, for column vectors."""

    scale: Numbers  # (...,)
    rotation: Numbers  # (..., 3, 3), determinant +1
    translation: Numbers  # (..., 3), unit of the target

    def apply(self, points: Numbers) -> Numbers:
        """Map points (..., N, 3) of the source frame into the target frame."""
        return self.scale[..., None, None] * (points @ self.rotation.mT) + self.translation[..., None, :]


def nearest_rotation(matrix: Numbers) -> Numbers:
    """Find the rotation R that maximises trace(R^T M): the one nearest to M, never a reflection.

    Args:
        matrix: (..., 3, 3) of rank 2 at least; of a lower one, some of the rotations that are as near.
    Returns:
        (..., 3, 3) with determinant +1. Of tensors, differentiable unless M is as near to other rotations (a reflection
        whose two least singular values are equal); there the gradient is zero along the undetermined turn.
    Source: Kabsch 1976, "A solution for the best rotation to relate two sets of vectors".
    """
    if not isinstance(matrix, np.ndarray):
        from dfmvr.geometry.rotation import NearestRotation  # here, as arrays need no torch

        return NearestRotation.apply(matrix)
    u, _, vh = np.linalg.svd(matrix)
    sign = np.ones(u.shape[:-1])
    sign[..., -1] = np.sign(np.linalg.det(u @ vh))
    return (u * sign[..., None, :]) @ vh


def least_squares_scale(source: Numbers, target: Numbers, covariance: Numbers, rotation: Numbers) -> Numbers:
    """The best scale (...,) for a rotation of centred points, whose covariance is target^T source."""
    return (rotation * covariance).sum((-1, -2)) / (source**2).sum((-1, -2))


def fit_similarity(
    source: Numbers,
    target: Numbers,
    with_scale: bool = True,
    scale_of: Callable[[Numbers, Numbers, Numbers, Numbers], Numbers] = least_squares_scale,
    rotation_of: Callable[[Numbers], Numbers] = nearest_rotation,
) -> Similarity:
    """Find the similarity minimising sum_i |s R source_i + t - target_i|^2; never a reflection.

    Eq. 5 writes s (R a + t); its t is ours divided by s, the map is the same.

    Args:
        source, target: (..., N, 3) points in correspondence, N >= 3, not all on one line.
        with_scale: False fixes the scale at 1.
        scale_of, rotation_of: another rule for the scale, another one for the rotation, of centred points.
    Returns:
        The map from source to target.
    Source: Umeyama 1991, "Least-squares estimation of transformation parameters between two point patterns".
    """
    source_mean, target_mean = source.mean(-2), target.mean(-2)
    source_centred, target_centred = source - source_mean[..., None, :], target - target_mean[..., None, :]
    covariance = target_centred.mT @ source_centred
    rotation = rotation_of(covariance)
    if with_scale:
        scale = scale_of(source_centred, target_centred, covariance, rotation)
    else:
        scale = 0 * rotation[..., 0, 0] + 1
    translation = target_mean - scale[..., None] * (rotation @ source_mean[..., None])[..., 0]
    return Similarity(scale, rotation, translation)
