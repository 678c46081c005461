"""The losses of the authors' released code: Eqs. 2 to 8 with its departures, and two terms of Deng et al."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from dfmvr.losses import (
    NOSE_AND_INNER_MOUTH,
    LossTarget,
    Prediction,
    albedo_loss,
    landmark_2d_loss,
    landmark_3d_loss,
    lighting_loss,
    overall_loss,
    photo_loss,
    regularisation_loss,
    rendered_losses,
)
from dfmvr.released.similarity import fit_as_released

if TYPE_CHECKING:
    from dfmvr.config.training import LossSection, ReleasedSection

EYES = (*range(28, 31), *range(36, 48), *range(60, 68))
"""What the released code emphasises: the lower bridge of the nose, the eyes and the inner mouth."""


class ReleasedLossTerms(NamedTuple):
    """`LossTerms` with the two further ones, NaN where one is left out."""

    photo: Tensor
    mask: Tensor
    landmark_2d: Tensor
    landmark_3d: Tensor
    regularisation: Tensor
    lighting: Tensor
    albedo: Tensor
    total: Tensor


def released_loss(
    prediction: Prediction,
    target: LossTarget,
    parser: Callable[[Tensor], Tensor] | None,
    colours: Tensor | None,
    skin: Tensor,
    weights: LossSection,
    released: ReleasedSection,
) -> ReleasedLossTerms:
    """All terms and their weighted sum: that of `total_loss` and + w_light L_light + w_albedo L_albedo.

    Args:
        prediction, target, parser, weights: as of `total_loss`.
        colours: (B, n, N, 3), any n, of the vertices, whose skin should be even; None without a rendering.
        skin: (N,) bool, those vertices.
        released: what departs.
    """
    if weights.mask == 0:
        parser = None
    elif parser is not None and released.detached_mask_loss:
        parser = _detached(parser)
    emphasised = EYES if released.emphasised_eyes else NOSE_AND_INNER_MOUTH
    solver = partial(fit_as_released, rms_scale=released.rms_scale, third_column=released.third_column)
    terms = overall_loss(
        *rendered_losses(
            prediction,
            target,
            parser,
            pooled_photo_loss if released.pooled_photo else photo_loss,
            uncovered=weights.mask_uncovered,
        ),
        landmark_2d_loss(prediction.landmarks, target.landmarks, target.images.shape[-1], emphasised),
        landmark_3d_loss(prediction.landmarks_3d, target.landmarks_3d, solver),
        regularisation_loss(prediction.coefficients, weights),
        weights,
    )
    total = terms.total
    lighting = albedo = torch.full_like(total, torch.nan)
    if colours is not None and released.lighting > 0:
        # Lightings of each view that are the same light in other frames have the same loss as the one light, since
        # turning keeps the length within a degree.
        lighting = lighting_loss(prediction.coefficients.lighting)
        total = total + released.lighting * lighting
    if colours is not None and released.albedo > 0:
        albedo = albedo_loss(colours, skin)
        total = total + released.albedo * albedo
    return ReleasedLossTerms(*terms[:-1], lighting, albedo, total)


def pooled_photo_loss(rendered: Tensor, photo: Tensor, coverage: Tensor, weights: Tensor) -> Tensor:
    """`photo_loss` with the pixels of all samples in one mean for each view, so that large faces count more."""
    colours = (images.permute(1, 2, 0, 3, 4).flatten(2, 3)[None] for images in (rendered, photo))
    planes = (values.transpose(0, 1).flatten(1, 2)[None] for values in (coverage, weights))
    return photo_loss(*colours, *planes)


def _detached(parser: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A parser through which no gradient passes to the images."""
    return lambda images: parser(images.detach())
