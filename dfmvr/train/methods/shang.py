"""Training of Shang et al. 2020 (MGCNet): three views, each regressed for itself, that must agree on one face.

The front view is the target, the left and the right one are its sources; 3D landmarks are not used (paper V-B).

Source: Shang et al. 2020; weights as in the authors' example command.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dfmvr.conventions import REFERENCE_SIZE_PX, VIEWS
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.face_model.views import Views, render_views
from dfmvr.geometry.camera import project
from dfmvr.losses import photo_loss
from dfmvr.networks.mgcnet import MGCNet
from dfmvr.networks.single_image import FRONT
from dfmvr.train.methods.multiview import (
    Motion,
    Pose,
    carry_depth,
    covisible,
    epipolar_distance,
    follow,
    motion_between,
    sample,
    visible_vertices,
)
from dfmvr.train.methods.single_image import SingleImageTraining, as_samples, weighted_sum, with_total
from dfmvr.train.samples import Batch

SOURCES = tuple(view for view in range(len(VIEWS)) if view != FRONT)

VISIBILITY_PX = 128
"""ASSUME: what a source sees is looked up at this size or more. A face of 14,000 triangles then misses 2 % of what is
covisible, mostly where the source sees it at a grazing angle; at 64 px it misses 10 %."""


class ShangLossTerms(NamedTuple):
    """Each term without its weight, NaN where it is left out, and the weighted sum."""

    photo: Tensor
    landmark_2d: Tensor
    shape: Tensor
    texture: Tensor
    perceptual: Tensor
    pixel: Tensor
    depth: Tensor
    epipolar: Tensor
    total: Tensor


class ViewPairs(NamedTuple):
    """The M = 2 B pairs of a front view and one of its sources, all left views before all right ones."""

    target: Tensor  # (M, ...)
    source: Tensor  # (M, ...)


def pairs_of(values: Tensor) -> ViewPairs:
    """Pair what each view has, values (B, 3, ...)."""
    sources = torch.cat([values[:, view] for view in SOURCES])
    return ViewPairs(torch.cat([values[:, FRONT]] * len(SOURCES)), sources)


def depth_difference(target: Tensor, carried: Tensor, mask: Tensor) -> Tensor:
    """Mean difference of two depth maps up to their scale.

    L = mean over pairs of [ sum_p c_p |s d'_p - d_p| / sum_p c_p ], s the ratio of the mean depths d and d'.

    Args:
        target, carried: (M, S, S) mm d and d', d' not 0 where the mask is.
        mask: (M, S, S) bool c; a pair without a pixel counts as 0.
    """
    weights = mask.flatten(1).to(target.dtype)
    target, carried = target.flatten(1), carried.flatten(1)
    total = weights.sum(1).clamp_min(1)
    # Where nothing is seen both sums are 0; one millimetre more then keeps the ratio finite.
    empty = (weights.sum(1) == 0).to(target.dtype)
    scale = ((weights * target).sum(1) + empty) / ((weights * carried).sum(1) + empty)
    return ((weights * (scale[:, None] * carried - target).abs()).sum(1) / total).mean()


class ShangTraining(SingleImageTraining):
    """What turns a batch into losses."""

    kind = "shang"
    names = ShangLossTerms._fields
    network_class = MGCNet
    emphasised_68 = (*range(27, 36), *range(60, 68))  # the nose and the inner mouth
    emphasis = 5.0

    def losses_of(self, per_view: Coefficients, batch: Batch, rendered: bool = True) -> ShangLossTerms:
        """All losses of coefficients (B, 3, ...) of three views."""
        coefficients = as_samples(per_view)
        views = render_views(self.model_of(rendered), coefficients, self.image_size, rendered)
        photo, landmark_2d, perceptual = self.of_photographs(views, batch)
        poses = zip(pairs_of(per_view.angles), pairs_of(per_view.translation), strict=True)
        motion = motion_between(*(Pose(*pose) for pose in poses))
        pixel, depth = self._consistency(views, motion, batch.images) if rendered else (None, None)
        terms = {
            "photo": photo,
            "landmark_2d": landmark_2d,
            "shape": self._shape_prior(coefficients),
            "texture": coefficients.texture.square().sum(-1).mean(),
            "perceptual": perceptual,
        }
        # ASSUME: a weight of 1e-3 for the epipolar loss; the paper has one, the authors' example command weighs it 0.
        agreement = {"pixel": pixel, "depth": depth, "epipolar": self._epipolar(motion, batch.landmarks)}
        total = weighted_sum(terms, self.weights) + self.weights.multi_view * weighted_sum(agreement, self.weights)
        return ShangLossTerms(**with_total(terms | agreement, total))

    def _shape_prior(self, coefficients: Coefficients) -> Tensor:
        """Square of identity and, weighted, expression."""
        identity, expression = (values.square().sum(-1).mean() for values in coefficients[:2])
        return identity + self.weights.expression * expression

    def _consistency(self, views: Views, motion: Motion, photos: Tensor) -> tuple[Tensor, Tensor]:
        """Colour and depth of the target against those of the sources, where both see the face.

        Colours are those of the photographs; the depth of the predicted face and the predicted poses tell which pixels
        show the same point.
        """
        depth = pairs_of(views.fragments.depth.unflatten(0, (-1, len(VIEWS))))
        pixels = follow(depth.target, motion)
        carried, known = carry_depth(depth.source, pixels, motion)
        mask = self._covisible(views) & known
        photo = pairs_of(photos)
        warped = sample(photo.source, pixels)
        pixel = photo_loss(warped[:, None], photo.target[:, None], mask[:, None], mask[:, None])
        return pixel, depth_difference(depth.target, carried, mask)

    def _covisible(self, views: Views) -> Tensor:
        """Pixels (M, S, S) of the targets that show what the sources see too, by each view's own face."""
        triangles, size = self.model.triangles, max(self.image_size, VISIBILITY_PX)
        posed = pairs_of(views.posed[:, 0].detach().unflatten(0, (-1, len(VIEWS)))).source
        faces = pairs_of(views.fragments.pix_to_face.unflatten(0, (-1, len(VIEWS)))).target
        return covisible(faces, triangles, visible_vertices(project(posed, size), triangles, size))

    def _epipolar(self, motion: Motion, landmarks: Tensor) -> Tensor:
        """Distance of the annotated landmarks to the predicted epipolar lines, in pixels of the reference image."""
        target, source = pairs_of(landmarks)
        distance = epipolar_distance(target, source, motion, self.image_size)
        return distance.mean() * (REFERENCE_SIZE_PX / self.image_size)


TRAINING = ShangTraining
