"""The subdivided head: its labels, landmarks and the crop that the morphable model covers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from dfmvr.face_model.anny import labels as classes
from dfmvr.face_model.anny.head import BaseHead
from dfmvr.face_model.anny.landmarks import MeshPaths, landmarks_68, landmarks_106, mirror_of
from dfmvr.face_model.anny.parts import PARTS
from dfmvr.face_model.anny.targets import BASE_VERTICES
from dfmvr.geometry.subdivision import subdivide


class FineHead(NamedTuple):
    """The subdivided head and what is painted on it."""

    matrix: sparse.csr_matrix  # (Vh, Vb)
    levels: list[np.ndarray]  # triangles, from the base mesh to the finest
    points: np.ndarray  # (Vh, 3) mm, the symmetric template
    labels: np.ndarray  # (Vh,)
    part: np.ndarray  # (Vh,)
    lips: np.ndarray  # (Vh,) share of red
    landmarks_68: np.ndarray
    landmarks_106: np.ndarray


def subdivided_head(head: BaseHead, upper: np.ndarray, lower: np.ndarray, steps: int) -> FineHead:
    """Subdivide the head, label it and place its landmarks; `upper` and `lower` as in `labels.base_labels`."""
    matrix, levels = subdivide(head.triangles, len(head.vertices), steps)
    points = matrix @ head.vertices
    carried = classes.carry(classes.base_labels(head, upper, lower), matrix)
    part = classes.carry(head.part, matrix)
    skin = (part == PARTS.index("skin")) & ~np.isin(carried, (4, 5, 7))
    red = classes.sample_mask("lips", matrix @ head.uv)
    lips = np.where(part == PARTS.index("skin"), (red + red[mirror_of(points)]) / 2, 0.0)
    place = np.full(BASE_VERTICES, -1)
    place[head.base] = np.arange(len(head.base))
    paths = MeshPaths(points, levels[-1], skin)
    l68 = landmarks_68(paths, place, lips, levels[-1])
    eye = np.flatnonzero(part == PARTS.index("right_eye"))
    l106 = landmarks_106(paths, l68, int(eye[points[eye, 2].argmax()]))
    labels = classes.fine_labels(points, carried, l68)
    return FineHead(matrix, levels, points, labels, part, lips, l68, l106)


class Crop(NamedTuple):
    """The morphable model's part of the fine head."""

    index: np.ndarray  # (V,) vertices of the head, ascending, so the coarse ones come first
    triangles: np.ndarray  # (F, 3)
    coarse_triangles: np.ndarray  # (Fc, 3)
    coarse_vertices: int
    place: np.ndarray  # (Vh,) vertex of the crop, -1 outside


def crop_of(fine: FineHead, face: np.ndarray) -> Crop:
    """Cut the face out of the fine head; `face` (Vb,) marks its vertices in the base mesh."""
    kept = face[fine.levels[0]].all(1)
    triangles = fine.levels[-1][np.repeat(kept, len(fine.levels[-1]) // len(kept))]
    coarse = fine.levels[-2][np.repeat(kept, len(fine.levels[-2]) // len(kept))]
    index = np.unique(triangles)
    place = np.full(fine.matrix.shape[0], -1)
    place[index] = np.arange(len(index))
    return Crop(index, place[triangles], place[coarse], int((index <= coarse.max()).sum()), place)
