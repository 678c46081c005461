"""Variations of training samples: mirror images, other colours, photographs placed less well."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dfmvr.colour import LUMA
from dfmvr.conventions import MIRRORED_68, MIRRORED_CLASS
from dfmvr.train.samples import Batch

SHIFT, LOG_SCALE, ROLL_RAD = 4 / 112, 0.04, math.radians(4)
"""ASSUME: standard deviations of `move` at strength 1: half image sizes (4 px of 224), log scale, turn in the image.
Five landmarks that are each off by 3 px at 224 shift a crop by 1.5 px and scale it by 2 %; some finders do worse."""


def mirror(batch: Batch, which: Tensor, mirrored_101: Tensor) -> Batch:
    """Exchange the samples of `which` (B,) bool by their mirror images.

    The left view becomes the right one, left features become right ones, and 3D x changes its sign.
    ASSUME: a mirrored face is as likely a face as the original.

    Args:
        mirrored_101: (101,) index of each 3D landmark's mirror image.
    """
    if not which.any():
        return batch
    size = batch.images.shape[-1]
    classes = torch.tensor(MIRRORED_CLASS)
    landmarks = batch.landmarks[which].flip(1)[:, :, torch.tensor(MIRRORED_68)]
    landmarks = torch.stack((size - landmarks[..., 0], landmarks[..., 1]), -1)
    points = batch.landmarks_3d[which][:, mirrored_101] * torch.tensor([-1.0, 1.0, 1.0])
    changed = (
        batch.images[which].flip(1, -1),
        classes[batch.masks[which].flip(1, -1)],
        batch.weights[which].flip(1, -1),
        landmarks,
        points,
        batch.seen[which].flip(1),
    )
    result = Batch(*(tensor.clone() for tensor in batch))
    for tensor, values in zip(result, changed, strict=True):
        tensor[which] = values
    return result


def vary_colours(images: Tensor, generator: torch.Generator) -> Tensor:
    """Vary brightness, contrast, saturation, tint and sharpness of each sample, the same for its three views.

    Code: the released code varies otherwise and more (`vary_as_released`); ours varies less, since the photographs are
    varied already.

    Args:
        images: (B, V, 3, S, S) RGB in [0, 1].
    """
    count = len(images)

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        values = torch.rand((count, 1, channels, 1, 1), generator=generator)
        return (low + (high - low) * values).to(images)

    grey_weights = images.new_tensor(LUMA)[:, None, None]
    result = images * uniform(0.7, 1.3) * uniform(0.9, 1.1, 3)
    mean = (result * grey_weights).sum(2, keepdim=True).mean((1, 3, 4), keepdim=True)
    result = mean + (result - mean) * uniform(0.7, 1.3)
    grey = (result * grey_weights).sum(2, keepdim=True)
    result = grey + (result - grey) * uniform(0.6, 1.4)
    smooth = torch.nn.functional.avg_pool2d(result.flatten(0, 2), 3, 1, 1, count_include_pad=False).view_as(result)
    result = smooth + (result - smooth) * uniform(0.2, 1.5)
    noise = torch.randn(result.shape, generator=generator).to(images)
    return (result + noise * uniform(0.0, 0.02)).clamp(0, 1)


def move(batch: Batch, strength: float, generator: torch.Generator) -> Batch:
    """Shift, scale and turn every photograph by chance, with its mask, weights and landmarks; outside it is black.

    The face turns with its photograph: what is 3D stays as it is, since pose is each view's own.

    Args:
        strength: times the standard deviations of the module.
    """
    count, views, size = *batch.images.shape[:2], batch.images.shape[-1]
    drawn = torch.randn((4, count, views), generator=generator).to(batch.images) * strength
    scale, angle = torch.exp(LOG_SCALE * drawn[0]), ROLL_RAD * drawn[1]
    shift = SHIFT * drawn[2:].permute(1, 2, 0)  # (B, V, 2), in coordinates in which the image spans [-1, 1]
    cosine, sine = angle.cos(), angle.sin()
    turn = torch.stack((cosine, -sine, sine, cosine), -1).unflatten(-1, (2, 2))
    back = turn.transpose(-1, -2) / scale[..., None, None]
    affine = torch.cat((back, -back @ shift[..., None]), -1).flatten(0, 1)
    grid = F.affine_grid(affine, [count * views, 1, size, size], align_corners=False)

    def sampled(values: Tensor, mode: str) -> Tensor:
        flat = values.reshape(count * views, -1, size, size).float()
        return F.grid_sample(flat, grid, mode, "zeros", align_corners=False).view(values.shape)

    points = batch.landmarks * 2 / size - 1
    points = (points @ turn.transpose(-1, -2)) * scale[..., None, None] + shift[:, :, None]
    return batch._replace(
        images=sampled(batch.images, "bilinear"),
        masks=sampled(batch.masks, "nearest").to(batch.masks),
        weights=sampled(batch.weights, "nearest"),
        landmarks=(points + 1) * size / 2,
    )
