"""The numbers that a network answers: those of Eq. 1, the light, and where each view's camera stands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from dfmvr.conventions import VIEWS

if TYPE_CHECKING:
    from dfmvr.face_model.model import MorphableModel

# ASSUME: side views are taken some 35 degrees off the frontal one (Pixel-Face's and Multi-PIE's lie between 30 and 45).
# A positive angle about y turns the nose, which points to +z, toward +x, the image's right; the left view's nose points
# to the image's left.
MEAN_YAW_DEG = {"left": -35.0, "front": 0.0, "right": 35.0}


class Coefficients(NamedTuple):
    """A face and how the three views see it. Sizes K, E and T are the face model's."""

    identity: Tensor  # (B, K), standard deviations
    expression: Tensor  # (B, E), standard deviations
    texture: Tensor  # (B, T), standard deviations
    lighting: Tensor  # (B, 3, 9, 3): view, spherical harmonic, rgb
    angles: Tensor  # (B, 3, 3) radians: view, axis; R = Rz Ry Rx
    translation: Tensor  # (B, 3, 3) mm: view, axis

    def of_views(self, places: list[int]) -> Coefficients:
        """The same faces with light and pose of some of the views alone."""
        return Coefficients(*self[:3], *(tensor[:, places] for tensor in self[3:]))


def mean_angles() -> Tensor:
    """Angles (3, 3) in radians, view by axis, that a fresh network answers."""
    return torch.tensor([[0.0, math.radians(MEAN_YAW_DEG[view]), 0.0] for view in VIEWS])


def mean_faces(model: MorphableModel, count: int) -> Coefficients:
    """Coefficients of `count` mean faces in neutral pose: what a method that has learnt nothing would answer."""
    views = len(VIEWS)
    shapes = ((model.identity_size,), (model.expression_size,), (model.texture_size,), (views, 9, 3), (views, 3))
    return Coefficients(*(torch.zeros(count, *shape) for shape in (*shapes, (views, 3))))
