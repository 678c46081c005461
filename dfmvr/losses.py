"""The losses of the weakly supervised training (paper IV, Eqs. 2 to 8).

All of them are means over samples and views, so that their weights hold at any batch size; lengths are millimetres or
pixels of the 224 px reference image, so that they hold at any image size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dfmvr.conventions import ALIGNMENT_IN_101, REFERENCE_SIZE_PX
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.geometry.similarity import Similarity, fit_similarity

if TYPE_CHECKING:
    from dfmvr.config.training import LossSection

NOSE_AND_INNER_MOUTH = (*range(27, 36), *range(60, 68))
"""ASSUME: "the nose and inner mouth landmarks" (IV-C) are iBUG's nine of the nose and eight of the inner mouth."""
EMPHASIS = 20.0


class Prediction(NamedTuple):
    """What the coefficients look like from the three views; V = 3 views, left, front, right."""

    images: Tensor | None  # (B, V, 3, H, W) rendered, RGB in [0, 1] (shading may exceed 1); None: not rendered
    coverage: Tensor | None  # (B, V, H, W) in [0, 1] (or bool): where the face was drawn
    landmarks: Tensor  # (B, V, 68, 2) px of the image
    landmarks_3d: Tensor  # (B, 101, 3) mm, any frame
    coefficients: Coefficients
    outlined: Tensor | None = None  # the images with the gradient of their silhouettes, for the parser; None: without


class LossTarget(NamedTuple):
    """What the photographs and their annotation say."""

    images: Tensor  # (B, V, 3, H, W) RGB in [0, 1]
    masks: Tensor  # (B, V, H, W) class ids
    weights: Tensor  # (B, V, H, W) weight map d of Eq. 2, any scale
    landmarks: Tensor  # (B, V, 68, 2) px of the image
    landmarks_3d: Tensor  # (B, 101, 3) mm, any frame; NaN where a sample has none


class LossTerms(NamedTuple):
    """Each term without its weight, NaN where it is left out, and the weighted sum."""

    photo: Tensor
    mask: Tensor
    landmark_2d: Tensor
    landmark_3d: Tensor
    regularisation: Tensor
    total: Tensor


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean over the pixels of each image, then over images; an image without weight counts as 0."""
    weights = weights.flatten(2)
    total = weights.sum(-1)
    # The unused branch of `where` must be finite too, or its gradient poisons the used one.
    return torch.where(total > 0, (values.flatten(2) * weights).sum(-1) / total.clamp_min(1e-12), 0).mean()


def photo_loss(rendered: Tensor, photo: Tensor, coverage: Tensor, weights: Tensor) -> Tensor:
    """Weighted colour distance where the rendered face covers the photograph (Eq. 2).

    L_p = 1/V sum_v [ sum_{i in P_v} d_i |I_i - I'_i|_2 / sum_{i in P_v} d_i ], the norm over the three channels.

    ASSUME: P_v M_v is where the face is drawn. Were it also where the mask says face, the weight map's level for the
    background would never be used.

    Args:
        rendered, photo: (B, V, 3, H, W) RGB in [0, 1].
        coverage: (B, V, H, W) P_v, 1 where the face is drawn; no gradient passes through it.
        weights: (B, V, H, W) d, of any scale.
    Returns:
        Scalar in [0, sqrt 3] for colours in range, mean over samples and views.
    """
    red, green, blue = (rendered - photo).unbind(2)
    squares = red.square() + green.square() + blue.square()  # many times faster than a norm over planes
    differs = squares > 0  # the gradient of equal colours is 0, not NaN
    distance = squares.where(differs, 1).sqrt() * differs
    return _weighted_mean(distance, weights.to(distance.dtype) * coverage.detach())


def mask_loss(logits: Tensor, masks: Tensor, coverage: Tensor | None = None) -> Tensor:
    """Disagreement of the parsed rendering with the parsed photograph (Eq. 3).

    L_m = -1/(V N_p) sum_v sum_p log softmax(logits_p)[y_p], p the pixels of the face in the photograph's mask.

    Paper: Eq. 3 prints the cross entropy of two classes; with the parser's ten it is the one that the released code
    takes. That code detaches the rendering, so that its mask loss trains nothing.
    ASSUME: N_p, the "pixels in face mask", are those of the photograph's face that the rendering covers too: elsewhere
    nothing was drawn that could be told apart. `train.loss.mask_uncovered` counts them all: then black where a face
    should be costs something, though only what the parser makes of the drawn pixels around it moves anything.

    Args:
        logits: (B, V, classes, H, W) of the frozen parser on the rendered images.
        masks: (B, V, H, W) class ids of the photographs, 0 the background.
        coverage: (B, V, H, W), 1 where the face is drawn; None counts the whole face of the mask. No gradient passes.
    Returns:
        Scalar in nats, mean over samples and views.
    """
    entropy = F.cross_entropy(logits.float().flatten(0, 1), masks.long().flatten(0, 1), reduction="none")
    face = (masks > 0).to(entropy.dtype)
    return _weighted_mean(entropy.unflatten(0, masks.shape[:2]), face if coverage is None else face * coverage.detach())


def landmark_2d_loss(
    landmarks: Tensor, target: Tensor, image_size: int, emphasised: tuple[int, ...] = NOSE_AND_INNER_MOUTH
) -> Tensor:
    """Weighted distance of the projected landmarks to the annotated ones (Eq. 4).

    L_l2d = 1/(N V) sum_v sum_n w_n |l_n - l'_n|_2, w = 20 for the `emphasised`, 1 otherwise.

    Args:
        landmarks, target: (B, V, 68, 2) px of an image `image_size` pixels wide.
    Returns:
        Scalar in pixels of the 224 px reference image, mean over samples and views.
    """
    weights = landmarks.new_ones(landmarks.shape[-2])
    weights[list(emphasised)] = EMPHASIS
    distance = torch.linalg.vector_norm(landmarks - target, dim=-1)
    return (weights * distance).mean() * (REFERENCE_SIZE_PX / image_size)


def landmark_3d_loss(
    landmarks: Tensor, target: Tensor, align: Callable[[Tensor, Tensor], Similarity] = fit_similarity
) -> Tensor:
    """Distance of the model's 3D landmarks to the annotated ones, after alignment by seven of them (Eqs. 5 and 6).

    s, R, t = argmin sum_{7} |a'_i - s (R a_i + t)|^2;  L_l3d = 1/N sum_n |s (R q_n + t) - q'_n|_2.

    Paper: Eq. 5 prints the norm, not its square, whose minimum has a closed form and is what its sources take.

    Args:
        landmarks: (B, 101, 3) mm, any frame.
        target: (B, 101, 3) mm, any frame. A sample with a NaN is left out.
        align: solves Eq. 5.
    Returns:
        Scalar in mm, mean over the samples that have landmarks; 0 when none has.
    """
    known = ~target.isnan().flatten(1).any(1)
    # A stand-in that fits exactly: the branch that `where` leaves must have a finite gradient.
    target = torch.where(known[:, None, None], target, landmarks.detach())
    seven = list(ALIGNMENT_IN_101)
    aligned = align(landmarks[:, seven], target[:, seven]).apply(landmarks)
    distance = torch.linalg.vector_norm(aligned - target, dim=-1).mean(-1)
    return torch.where(known, distance, 0).sum() / known.sum().clamp_min(1)


def regularisation_loss(coefficients: Coefficients, weights: LossSection) -> Tensor:
    """Distance of the coefficients from the mean face (Eq. 8).

    L_reg = w_alpha |alpha|^2 + w_beta |beta|^2 + w_gamma |gamma|^2.

    Paper: Eq. 8 prints plain norms; we square them, as Deep3DFace, from which the weights are taken, and the released
    code do: this is then minus the log of the model's Gaussian prior.

    Args:
        coefficients: in standard deviations.
    Returns:
        Scalar, mean over samples.
    """
    parts = (
        (weights.identity, coefficients.identity),
        (weights.expression, coefficients.expression),
        (weights.texture, coefficients.texture),
    )
    return sum(weight * values.square().sum(-1).mean() for weight, values in parts)


def rendered_losses(
    prediction: Prediction,
    target: LossTarget,
    parser: Callable[[Tensor], Tensor] | None,
    compare: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] = photo_loss,
    uncovered: bool = False,
) -> tuple[Tensor | None, Tensor | None]:
    """The photo loss, by `compare`, and the mask loss; None without a rendering, a mask loss of 0 without a parser.

    Args:
        uncovered: whether the mask loss counts pixels that the rendering does not cover.
    """
    if prediction.images is None:
        return None, None
    photo = compare(prediction.images, target.images, prediction.coverage, target.weights)
    if parser is None:
        return photo, torch.zeros_like(photo)
    # Shading may exceed the range of the photographs on which the parser was trained.
    shown = prediction.images if prediction.outlined is None else prediction.outlined
    logits = parser(shown.clamp(0, 1).flatten(0, 1)).unflatten(0, target.masks.shape[:2])
    return photo, mask_loss(logits, target.masks, None if uncovered else prediction.coverage > 0)


def overall_loss(
    photo: Tensor | None,
    mask: Tensor | None,
    landmark_2d: Tensor,
    landmark_3d: Tensor,
    regularisation: Tensor,
    weights: LossSection,
) -> LossTerms:
    """The weighted sum of the terms (IV-E), with the landmark loss of Eq. 7; None counts nothing.

    L = w_p L_p + w_m L_m + w_l (w_2d L_l2d + w_3d L_l3d) + w_reg L_reg.
    """
    rendered = landmark_2d.new_zeros(()) if photo is None else weights.photo * photo + weights.mask * mask
    landmark = weights.landmark_2d * landmark_2d + weights.landmark_3d * landmark_3d
    total = rendered + weights.landmark * landmark + weights.regularisation * regularisation
    if photo is None:
        photo = mask = torch.full_like(total, torch.nan)
    return LossTerms(photo, mask, landmark_2d, landmark_3d, regularisation, total)


def total_loss(
    prediction: Prediction, target: LossTarget, parser: Callable[[Tensor], Tensor] | None, weights: LossSection
) -> LossTerms:
    """All terms of a prediction, and their weighted sum.

    Args:
        prediction: without images, L_p and L_m are left out of the sum and given as NaN.
        parser: maps images (N, 3, H, W) to logits (N, classes, H, W); frozen and in evaluation mode. Not called, and
            the mask loss 0, where it is None or the mask loss has no weight.
        weights: the section `train.loss` of the configuration.
    """
    return overall_loss(
        *rendered_losses(prediction, target, parser if weights.mask > 0 else None, uncovered=weights.mask_uncovered),
        landmark_2d_loss(prediction.landmarks, target.landmarks, target.images.shape[-1]),
        landmark_3d_loss(prediction.landmarks_3d, target.landmarks_3d),
        regularisation_loss(prediction.coefficients, weights),
        weights,
    )


# Not of the paper: two terms of Deng et al. 2019, which the authors' released code has too.


def lighting_loss(lighting: Tensor) -> Tensor:
    """Colour of the light: mean square of the lighting's (..., 9, 3) distance from its mean over red, green, blue."""
    return (lighting - lighting.mean(-1, keepdim=True)).square().mean()


def albedo_loss(colours: Tensor, skin: Tensor) -> Tensor:
    """Unevenness of the skin: variance over its vertices, the sum over red, green, blue; mean over all else.

    Args:
        colours: (..., N, 3) of the vertices.
        skin: (N,) bool, which of them are skin, `MorphableModel.skin`.
    """
    colours = colours[..., skin, :]
    return (colours - colours.mean(-2, keepdim=True)).square().sum(-1).mean()
