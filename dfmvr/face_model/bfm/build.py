"""The Basel Face Model 2009 as a face model, from the user's own files.

In     the files (see files.py), and an open model, which lends classes and regions.
       For the keypoints: pre_index_101.npy of the authors' code (101 vertices of the face, counted from 0) or gt.mat of
       any sample of Pixel-Face, beside the files or in the folder of Pixel-Face.
Gives  a model of 35,709 vertices (see model.py): its mean, colours and components are the files', in mm and [0, 1].

The 68 landmarks and the seven alignment points are the published vertices. The other keypoints are Pixel-Face's where
one of the two files is there; else they are the open model's, carried over by the nearest vertex: right for its own
stand-ins, about right for Pixel-Face, and refused where the 3D landmark loss would compare them with Pixel-Face's.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from dfmvr.config.data import FaceModelSection
from dfmvr.conventions import ALIGNMENT_IN_68, ALIGNMENT_IN_101, DROPPED_FROM_106
from dfmvr.datasets.pixel_face.ground_truth import read_registered_keypoints
from dfmvr.errors import DataError
from dfmvr.face_model.bfm.files import (
    FRONT,
    GROUND_TRUTH,
    INDEX_101,
    LANDMARKS_68,
    VERTICES,
    WITH_EXPRESSION,
    keypoint_files,
    keypoints_hint,
    read_bfm,
    vertex_indices,
)
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.transfer import borrow, imported
from dfmvr.files import find_below

log = logging.getLogger(__name__)

KEPT = np.setdiff1d(np.arange(106), DROPPED_FROM_106)
ALIGNMENT = (2215, 5828, 10455, 14065, 8192, 5522, 10795)
"""Vertices of conventions.ALIGNMENT_POINTS (the authors' pre_al_index.npy). The outer corner of the left eye is one
beside that of the 68 landmarks, 14066."""


def build(
    settings: FaceModelSection, open_model: MorphableModel, pixel_face: Path | None = None, exact: bool = False
) -> tuple[MorphableModel, dict]:
    """Import the model.

    Args:
        settings: the folder of the files, or BFM_model_front.mat; numbers of components, at the most.
        open_model: lends classes, regions and, if need be, keypoints.
        pixel_face: the folder of Pixel-Face, any sample of which tells where its keypoints are.
        exact: whether keypoints that are carried from the open model will not do.
    Returns:
        The model, and a summary: its sizes, and what was taken from where.
    Raises:
        DataError: a file is missing, damaged, or does not fit the others.
    """
    path = settings.folder
    files = read_bfm(path, settings)
    borrowed = borrow(files.mean, files.landmarks_68, None, open_model)
    landmarks_106, origin = keypoints(path, borrowed.landmarks_106, pixel_face, exact)
    log.info("106 keypoints: %s", origin)
    arrays = files._asdict() | {"name": np.array("BFM 2009"), "landmarks_106": landmarks_106}
    origins = {"classes_and_regions": open_model.name, "keypoints_106": origin}
    return imported(arrays, borrowed, settings, origins)


def keypoints(
    path: Path, carried: np.ndarray, pixel_face: Path | None = None, exact: bool = False
) -> tuple[np.ndarray, str]:
    """Choose the 106 keypoints.

    Args:
        path: the folder of the files, or the file of the model.
        carried: (106,) vertices by the open model.
        pixel_face, exact: as of `build`.
    Returns:
        (106,) vertices, and where they come from.
    Raises:
        DataError: a file of keypoints is damaged or belongs to another mesh; there is none though it is needed.
    """
    files = keypoint_files(path, pixel_face)
    if not files and exact:
        raise DataError(keypoints_hint(path))
    result = carried.copy()
    if not files:
        result[KEPT[list(ALIGNMENT_IN_101)]] = ALIGNMENT
        missing = f"{INDEX_101} or {FRONT} with Pixel-Face's {GROUND_TRUTH}"
        return result, f"carried from the open model, about right, as {missing} is missing"
    if files[0].name == INDEX_101:
        used, result[KEPT] = files[0], _read_101(files[0])
        origin = f"{used.name}; the five that it leaves out are carried from the open model"
    else:
        used, result = _of_registrations(
            files, vertex_indices(find_below(path, FRONT), "idx", VERTICES, WITH_EXPRESSION)
        )
        origin = f"the registration of Pixel-Face, {used}"
    found = result[KEPT[list(ALIGNMENT_IN_101)]]
    if not all((found == ALIGNMENT) | (found == np.take(LANDMARKS_68, ALIGNMENT_IN_68))):
        raise DataError(
            f"{used}: expected {list(ALIGNMENT)} as the seven alignment points, found {found.tolist()}; it belongs to "
            "another mesh, so take it away"
        )
    return result, origin


def _read_101(path: Path) -> np.ndarray:
    """Read the vertices (101,) of the authors' file."""
    try:
        # mapped: a damaged header may announce more numbers than there is memory
        values = np.load(path, mmap_mode="r", allow_pickle=False).ravel()
    except Exception as error:  # numpy's parser of headers raises whatever Python's does
        raise DataError(f"{path}: not a readable .npy file ({error}); copy it again") from None
    fits = len(values) == len(KEPT) and values.dtype.kind in "iuf"
    if not fits or not np.isin(values, np.arange(VERTICES)).all():
        raise DataError(f"{path}: expected 101 vertices from 0 to {VERTICES - 1}, found {values.shape}; copy it again")
    return values.astype(np.int64)


def _of_registrations(paths: list[Path], front: np.ndarray) -> tuple[Path, np.ndarray]:
    """The first of the files that is whole, and the keypoints (106,) of the registered mesh in it.

    Where the face lacks one, it is the nearest vertex of the face.

    Raises:
        DataError: none of them is of use; of the last one.
    """
    damaged = []
    for path in paths:
        try:
            vertices, ids = read_registered_keypoints(path)
            if len(vertices) != WITH_EXPRESSION:
                raise DataError(
                    f"{path}: expected a registered mesh of {WITH_EXPRESSION} vertices, found {len(vertices)}; take "
                    "one of Pixel-Face"
                )
        except DataError as error:
            damaged.append(error)
            continue
        place = np.full(WITH_EXPRESSION, -1)
        place[front] = np.arange(VERTICES)
        nearest = cKDTree(vertices[front]).query(vertices[ids])[1]
        return path, np.where(place[ids] >= 0, place[ids], nearest)
    raise damaged[-1]
