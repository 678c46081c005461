"""Eq. 5 with the two deviations of the authors' released code."""

from __future__ import annotations

import torch
from torch import Tensor

from dfmvr.geometry.similarity import Similarity, fit_similarity, least_squares_scale, nearest_rotation


def fit_as_released(source: Tensor, target: Tensor, rms_scale: bool = True, third_column: bool = True) -> Similarity:
    """Fit a similarity with either or both of the deviations.

    Args:
        source, target: (..., N, 3) points in correspondence, N >= 3, not all on one line.
        rms_scale: the scale is the ratio of the sets' root mean square distances from their centroids, which is too
            large by the part that does not fit.
        third_column: where a reflection would fit best, its third column is turned over, which gives some rotation;
            else its least singular direction, which gives the best one.
    Returns:
        The map from source to target. Differentiable as `nearest_rotation` is.
    """
    return fit_similarity(
        source,
        target,
        scale_of=_rms_ratio if rms_scale else least_squares_scale,
        rotation_of=_third_column if third_column else nearest_rotation,
    )


def _rms_ratio(source: Tensor, target: Tensor, covariance: Tensor, rotation: Tensor) -> Tensor:
    """Ratio of the sizes of centred points."""
    return (target.square().sum((-1, -2)) / source.square().sum((-1, -2))).sqrt()


def _third_column(covariance: Tensor) -> Tensor:
    """U V^T of the singular value decomposition, its third column turned over where it is a reflection."""
    # U V^T of -M is -U V^T: where one is a reflection, the other is the rotation nearest to -M.
    sign = torch.where(torch.linalg.det(covariance.detach()) < 0, -1.0, 1.0)[..., None, None].to(covariance)
    orthogonal = sign * nearest_rotation(sign * covariance)
    return torch.cat((orthogonal[..., :2], sign * orthogonal[..., 2:]), -1)
