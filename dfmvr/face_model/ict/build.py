"""ICT-FaceKit as a face model.

In     its files (see files.py), and an open model, which lends what ICT-FaceKit lacks.
Gives  a model (see model.py) of the face as far as the open model covers it, with the front of the eyeballs and
       the socket of the mouth, in mm.

Shape and expressions are ICT-FaceKit's own, the 68 landmarks too. Colours, their mean and their components alike,
classes, regions and the keypoints that are not among the 68 landmarks are the open model's, carried over by the nearest
vertex. The mesh stays as it is: Loop subdivision would move its vertices by up to 2 mm.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from dfmvr.config.data import FaceModelSection
from dfmvr.face_model.components import expression_basis
from dfmvr.face_model.ict.files import EYEBALL, FACE, MM_PER_UNIT, MOUTH, IctFiles, drivers, read_ict
from dfmvr.face_model.model import MorphableModel
from dfmvr.face_model.transfer import EYE, SKIN, borrow, imported
from dfmvr.face_model.transfer import MOUTH as INSIDE

# ASSUME: cameras see the front half of an eyeball, and through an open mouth all of the socket.
_EYEBALL_FRONT_MM, _SMOOTHING_STEPS = 2.0, 4


def build(settings: FaceModelSection, open_model: MorphableModel) -> tuple[MorphableModel, dict]:
    """Import the model.

    Args:
        settings: the folder of the OBJ files, or model.npz; numbers of components, at the most.
        open_model: lends colours, classes, regions and keypoints.
    Returns:
        The model, and a summary: its sizes, and what was taken from where.
    Raises:
        DataError: a file is missing, damaged, or does not fit the others.
    """
    files = read_ict(settings.folder)
    kinds = np.select([files.region == MOUTH, files.region == EYEBALL], [INSIDE, EYE], SKIN)
    kept = crop(files, borrow(files.mean, files.landmarks_68, kinds, open_model).beyond)
    place = np.full(len(kept), -1)
    place[kept] = np.arange(len(kept.nonzero()[0]))
    mean, landmarks = files.mean[kept] * MM_PER_UNIT, place[files.landmarks_68]
    triangles = place[files.triangles]
    borrowed = borrow(mean, landmarks, kinds[kept], open_model)
    albedo = open_model.albedo_basis.numpy()[: settings.albedo_components]
    expression, of_actions = _expression(files, kept, settings)
    arrays = {
        "name": np.array("ICT-FaceKit"),
        "mean": mean,
        "identity": files.identity[: settings.identity_components, kept] * MM_PER_UNIT,
        "expression": expression,
        "expression_names": np.array([f"actions_{i:02d}" for i in range(len(expression))]),
        **of_actions,
        "albedo_mean": open_model.albedo_mean.numpy()[borrowed.index],
        "albedo": albedo[:, borrowed.index],
        "triangles": triangles[(triangles >= 0).all(1)],
        "landmarks_68": landmarks,
    }
    carried = f"carried from the open model ({open_model.name})"
    origins = dict.fromkeys(("colours", "classes_and_regions", "keypoints_106"), carried)
    return imported(arrays, borrowed, settings, origins)


def crop(files: IctFiles, beyond: np.ndarray) -> np.ndarray:
    """(V,) bool: the vertices of the model.

    Args:
        files: ICT-FaceKit.
        beyond: (V,) bool: vertices of the skin beyond the rim of the open model's crop.
    """
    z, region = files.mean[:, 2], files.region
    edges = files.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    ones = np.ones(len(edges), np.float32)
    joined = sparse.csr_matrix((ones, edges.T), (len(z), len(z)))
    joined = joined + joined.T
    neighbours = np.asarray(joined.sum(1)).ravel()
    face = (region == FACE) & ~beyond
    for _ in range(_SMOOTHING_STEPS):  # the rim runs as the neighbours' majority, without teeth
        face = (region == FACE) & (joined @ face.astype(np.float32) + 0.5 * face > 0.5 * neighbours)
    face[files.landmarks_68] = True
    eyes = region == EYEBALL
    front = eyes & (z > z[eyes].mean() + _EYEBALL_FRONT_MM / MM_PER_UNIT) if eyes.any() else eyes
    kept = face | front | (region == MOUTH)
    used = files.triangles[kept[files.triangles].all(1)]
    result = np.zeros(len(z), bool)
    result[used] = True
    result[files.landmarks_68] = True
    return result


def _expression(
    files: IctFiles, kept: np.ndarray, settings: FaceModelSection
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Components (E, V, 3) mm with coefficients about 1, made of the shapes as the open model's are of its actions.

    Returns:
        The components, and what a model file tells of the actions.
    """
    shapes = files.expression[:, kept] * np.float32(MM_PER_UNIT)
    actions, matrix = drivers(files.expression_names)
    basis = expression_basis(
        np.tensordot(matrix, shapes, 1), actions, min(settings.expression_components, len(shapes)), settings.seed
    )
    told = {"action_names": np.array(actions), "actions": basis.encode.T.astype(np.float32)}
    return np.tensordot(basis.decode @ matrix, shapes, 1), told
