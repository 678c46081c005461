"""A population of heads: what is the same for all of them, and what is drawn for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np


class Anatomy(NamedTuple):
    """What all heads of a population share as they are photographed; V vertices."""

    reference: np.ndarray  # (V, 3) mm, the mean head in the frame of `dfmvr.conventions`
    triangles: np.ndarray  # (F, 3)
    labels: np.ndarray  # (V,) class of the face parser
    outer: np.ndarray  # (V,) bool, skin that can be seen from outside
    scalp: np.ndarray  # (V,) share of hair, 0 to 1
    eye: np.ndarray  # (V,) 0 none, 1 the person's left, 2 the right eyeball
    landmarks_68: np.ndarray  # (68,) vertex ids
    landmarks_106: np.ndarray  # (106,)


class FineMesh(NamedTuple):
    """What all heads of a population share as they are scanned; W vertices, not those of the photographs."""

    triangles: np.ndarray  # (F, 3)
    hair: np.ndarray  # (W,) bool, where hair grows
    mouth: np.ndarray  # (W,) bool, between the lips
    keypoints: np.ndarray  # (106,) vertex ids
    face: np.ndarray  # (K,) vertex ids of the part that is registered
    face_triangles: np.ndarray  # (M, 3) numbered within that part
    face_keypoints: np.ndarray  # (106,)


def fine_mesh(
    triangles: np.ndarray, hair: np.ndarray, mouth: np.ndarray, keypoints: np.ndarray, face: np.ndarray
) -> FineMesh:
    """Number triangles and keypoints within the face too; for the arguments see `FineMesh`."""
    place = np.full(len(hair), -1)
    place[face] = np.arange(len(face))
    inside = place[triangles]
    return FineMesh(triangles, hair, mouth, keypoints, face, inside[(inside >= 0).all(1)], place[keypoints])


class HeadSource(Protocol):
    """A source of heads."""

    anatomy: Anatomy
    fine: FineMesh

    def draw_shape(self, rng: np.random.Generator) -> np.ndarray:
        """Draw the coefficients of one head."""

    def draw_albedo(self, rng: np.random.Generator) -> np.ndarray:
        """Draw sRGB-encoded colours (V, 3)."""

    def draw_expression(self, rng: np.random.Generator, shares: Mapping[str, float]) -> np.ndarray | None:
        """Draw the weighted sum of expressions named in `face_model.expressions.KINDS`; of none, None: neutral."""

    def vertices(self, shape: np.ndarray, expression: np.ndarray | None) -> np.ndarray:
        """Vertices (V, 3) mm of a head."""

    def fine_vertices(self, shape: np.ndarray, expression: np.ndarray | None) -> np.ndarray:
        """Vertices (W, 3) mm of the same head for scanning."""
