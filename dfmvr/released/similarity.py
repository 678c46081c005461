"""Eq. 5 as the paper states it and, with its two deviations, as the authors' released code solves it."""

from __future__ import annotations

import torch
from torch import Tensor

from dfmvr.geometry.similarity import Similarity, fit_similarity, nearest_rotation


def fit_as(
    source: Tensor, target: Tensor, scale: str = "least_squares", reflection: str = "least_direction"
) -> Similarity:
    """Fit a similarity; with the defaults, `fit_similarity`.

    Args:
        source, target: (..., N, 3) points in correspondence, N >= 3, not all on one line.
        scale: `least_squares`, the best one for the rotation; or `rms_ratio`, that of the sets' root mean square
            distances from their centroids, which is too large by the part that does not fit.
        reflection: where a reflection would fit best, turn over its `least_direction`, which gives the best rotation;
            or its `third_column`, which gives some rotation.
    Returns:
        The map from source to target. Differentiable as `nearest_rotation` is.
    """
    if (scale, reflection) == ("least_squares", "least_direction"):
        return fit_similarity(source, target)
    source_mean, target_mean = source.mean(-2), target.mean(-2)
    source_centred, target_centred = source - source_mean[..., None, :], target - target_mean[..., None, :]
    covariance = target_centred.transpose(-1, -2) @ source_centred
    rotation = nearest_rotation(covariance) if reflection == "least_direction" else _third_column(covariance)
    size = source_centred.square().sum((-1, -2))
    if scale == "rms_ratio":
        factor = (target_centred.square().sum((-1, -2)) / size).sqrt()
    else:
        factor = (rotation * covariance).sum((-1, -2)) / size
    translation = target_mean - factor[..., None] * (rotation @ source_mean[..., None])[..., 0]
    return Similarity(factor, rotation, translation)


def _third_column(covariance: Tensor) -> Tensor:
    """U V^T of the singular value decomposition, its third column turned over where it is a reflection."""
    # U V^T of -M is -U V^T: where one is a reflection, the other is the rotation nearest to -M.
    sign = torch.where(torch.linalg.det(covariance.detach()) < 0, -1.0, 1.0)[..., None, None].to(covariance)
    orthogonal = sign * nearest_rotation(sign * covariance)
    return torch.cat((orthogonal[..., :2], sign * orthogonal[..., 2:]), -1)
