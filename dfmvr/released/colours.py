"""The variation of colours in the authors' released code, which has it from Pillow, on batches of tensors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dfmvr.colour import LUMA

FACTORS = (0.5, 1.5)
"""Range of the factor of each change; 1 changes nothing."""
BLUR_SHARE = 0.3
BLUR_PX = 2.0
"""Standard deviation of the blur, Pillow's default, whatever the size of the image."""

_SMOOTH = ((1, 1, 1), (1, 5, 1), (1, 1, 1))
"""Pillow's filter SMOOTH, from which its sharpening departs."""


def vary_as_released(images: Tensor, generator: torch.Generator) -> Tensor:
    """Vary brightness, contrast, saturation and sharpness of each sample, blur some; the same for its three views.

    ASSUME: in that order, the blur last. The mask that goes with an image is that of the unvaried one, as everywhere.

    Args:
        images: (B, V, 3, S, S) RGB in [0, 1].
    """
    low, high = FACTORS
    factors = low + (high - low) * torch.rand((4, len(images), 1, 1, 1, 1), generator=generator).to(images)
    blurred = torch.rand(len(images), generator=generator) < BLUR_SHARE
    for change, factor in zip((brightness, contrast, saturation, sharpness), factors, strict=True):
        images = change(images, factor)
    if blurred.any():
        images = images.clone()
        images[blurred] = blur(images[blurred])
    return images


def _from(base: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    """Go from the base (factor 0) through the images (1) and beyond, within [0, 1]."""
    return (base + (images - base) * factor).clamp(0, 1)


def _grey(images: Tensor) -> Tensor:
    """Grey values (..., 1, S, S)."""
    return (images * images.new_tensor(LUMA)[:, None, None]).sum(-3, keepdim=True)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Depart from black."""
    return _from(torch.zeros_like(images), images, factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Depart from the mean grey of each image (..., 3, S, S)."""
    return _from(_grey(images).mean((-2, -1), keepdim=True), images, factor)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Depart from the grey image."""
    return _from(_grey(images), images, factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Depart from the image smoothed, except for the pixels at its border."""
    kernel = images.new_tensor(_SMOOTH)[None, None] / 13
    smooth = images.clone()
    inner = F.conv2d(images.flatten(0, -3)[:, None], kernel)
    smooth[..., 1:-1, 1:-1] = inner.view(*images.shape[:-2], *inner.shape[-2:])
    return _from(smooth, images, factor)


def blur(images: Tensor) -> Tensor:
    """Blur (..., S, S) by a Gaussian of `BLUR_PX`; beyond the border the image goes on as it ends."""
    reach = round(4 * BLUR_PX)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).to(images) / BLUR_PX) ** 2)
    kernel = kernel / kernel.sum()
    planes = F.pad(images.flatten(0, -3)[:, None], (reach,) * 4, mode="replicate")
    planes = F.conv2d(F.conv2d(planes, kernel[None, None, None]), kernel[None, None, :, None])
    return planes.view(images.shape)
