"""What a face model lacks, carried from another face by the nearest vertex after a warp.

In     a mean face with its 68 landmarks, and another face that has classes, regions, colours and 106 landmarks.
Gives  for each vertex the nearest one of the other face, and from that whatever the other one has.

The warp brings the 68 landmarks together, so that brows come on brows and lips on lips. Carried landmarks that are
among the 68 are exact, the others and the borders of classes are good to a few millimetres.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from dfmvr.config.data import FaceModelSection
from dfmvr.conventions import CLASSES, REGIONS
from dfmvr.face_model.model import MorphableModel
from dfmvr.geometry.similarity import fit_similarity
from dfmvr.geometry.surface import open_boundary

SKIN, MOUTH, EYE = 0, 1, 2
"""Kinds of vertices: the outer surface, what lies between the lips, the eyeballs with what lies inside the lids."""

# ASSUME: a vertex this far beyond the rim of the other face shows ears, neck or scalp, which are background.
BEYOND_MM = 5.0


class Borrowed(NamedTuple):
    """What a face of V vertices has from an open model."""

    index: np.ndarray  # (V,) vertex of the open model
    beyond: np.ndarray  # (V,) bool, on the outer surface and nearest to the rim of the open model
    labels: np.ndarray  # (V,) index into conventions.CLASSES
    regions: np.ndarray  # (V,) index into conventions.REGIONS
    landmarks_106: np.ndarray  # (106,)


def warp(points: np.ndarray, landmarks: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Bring a face onto another's landmarks: a similarity, then a thin-plate spline.

    Args:
        points: (V, 3) any unit.
        landmarks: (L,) its landmark vertices.
        target: (L, 3) where they belong, mm.
    Returns:
        (V, 3) mm, in the frame of `target`.
    """
    points, target = np.asarray(points, np.float64), np.asarray(target, np.float64)
    aligned = fit_similarity(points[landmarks], target).apply(points)
    _, unique = np.unique(aligned[landmarks].round(3), axis=0, return_index=True)
    offset = (target - aligned[landmarks])[unique]
    # smoothed: a plate that meets every landmark exactly would crease between neighbours that disagree
    return aligned + RBFInterpolator(aligned[landmarks][unique], offset, smoothing=5.0)(aligned)


def nearest_of_kind(points: np.ndarray, kinds: np.ndarray, others: np.ndarray, other_kinds: np.ndarray) -> np.ndarray:
    """Find for each point the nearest one of the same kind.

    Args:
        points: (N, 3) and `others` (M, 3), in one frame.
        kinds: (N,) and `other_kinds` (M,), SKIN, MOUTH or EYE. SKIN stands in for a kind that the others lack.
    Returns:
        (N,) index into `others`.
    """
    result = np.zeros(len(points), np.int64)
    for kind in np.unique(kinds):
        mine, theirs = kinds == kind, np.flatnonzero(other_kinds == kind)
        candidates = theirs if len(theirs) else np.flatnonzero(other_kinds == SKIN)
        result[mine] = candidates[cKDTree(others[candidates]).query(points[mine])[1]]
    return result


def keypoints_106(others: tuple[np.ndarray, np.ndarray], landmarks_68: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """Choose the 106 landmarks: where the other face takes one of its 68 landmarks, that of this face.

    Args:
        others: vertices (68,) and (106,) of the other face's landmarks.
        landmarks_68: (68,) vertices of this face.
        nearest: (106,) its vertices nearest to the other's 106 landmarks, for those that are not among the 68.
    Returns:
        (106,) vertices of this face.
    """
    other_68, other_106 = others
    own = {int(theirs): int(mine) for theirs, mine in zip(other_68, landmarks_68, strict=True)}
    return np.array([own.get(int(v), int(n)) for v, n in zip(other_106, nearest, strict=True)])


def borrow(mean: np.ndarray, landmarks_68: np.ndarray, kinds: np.ndarray | None, model: MorphableModel) -> Borrowed:
    """Borrow from an open model.

    Args:
        mean: (V, 3) the mean face, any unit.
        landmarks_68: (68,) its landmark vertices.
        kinds: (V,) kind of each vertex; None for a single sheet with eyes and without a cavity of the mouth.
        model: the open model.
    """
    points, labels = model.mean.numpy().astype(np.float64), model.labels.numpy()
    other_68, other_106 = model.landmarks_68.numpy(), model.landmarks_106.numpy()
    warped = warp(mean, landmarks_68, points[other_68])
    other_kinds = np.where(labels == CLASSES.index("mouth"), MOUTH, SKIN)
    if kinds is None:
        kinds = np.zeros(len(mean), np.int64)
    else:
        eyes = (labels == CLASSES.index("left_eye")) | (labels == CLASSES.index("right_eye"))
        other_kinds[eyes] = EYE
    index = nearest_of_kind(warped, kinds, points, other_kinds)
    beyond = rim(model)[index] & (kinds == SKIN)
    far = beyond & (np.linalg.norm(warped - points[index], axis=1) > BEYOND_MM)
    landmarks = nearest_of_kind(points[other_106], other_kinds[other_106], warped, kinds)
    return Borrowed(
        index,
        beyond,
        np.where(far, CLASSES.index("background"), labels[index]),
        np.where(far, REGIONS.index("other"), model.regions.numpy()[index]),
        keypoints_106((other_68, other_106), landmarks_68, landmarks),
    )


def rim(model: MorphableModel) -> np.ndarray:
    """(V,) bool: vertices on an open edge of the model's skin; not those inside the eyes or the mouth."""
    skin = model.labels.numpy() == CLASSES.index("skin")
    return open_boundary(model.triangles.numpy(), len(skin)).vertices & skin


def imported(
    arrays: dict[str, np.ndarray], borrowed: Borrowed, settings: FaceModelSection, origins: dict[str, str]
) -> tuple[MorphableModel, dict]:
    """Make the model of another source, centred and without a coarse mesh, and its summary.

    Args:
        arrays: name, mean, bases, triangles and landmarks, of a model file; what they lack is the borrowed.
        borrowed: classes, regions and keypoints.
        settings: the folder, for messages.
        origins: what was taken from where.
    """
    model = MorphableModel(
        {
            "coarse_triangles": np.zeros((0, 3), np.int64),
            "coarse_vertices": np.array(0),
            "labels": borrowed.labels,
            "regions": borrowed.regions,
            "landmarks_106": borrowed.landmarks_106,
            "expression_names": np.array([f"expression_{i:02d}" for i in range(len(arrays["expression"]))]),
        }
        | arrays
        | {"mean": arrays["mean"] - arrays["mean"].mean(0, dtype=np.float64)},
        str(settings.folder),
    )
    return model, {"sizes": model.sizes(), "origin": {"name": model.name} | origins}
