"""A second population: faces of ICT-FaceKit, of which nothing is in the default face model.

In     ICT-FaceKit's folder of OBJ files, or its arrays in model.npz (see dfmvr.face_model.ict.files).
Gives  heads in mm in the frame of `dfmvr.conventions`.

It has no colours, classes or 106 keypoints. They come from the default heads, by the nearest vertex after the mean face
has been warped onto theirs by its 68 landmarks. Keypoints that are among the 68 landmarks, all seven alignment points
with them, are ICT-FaceKit's own; the others are good to a few millimetres.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from dfmvr.conventions import CLASSES
from dfmvr.errors import ConfigError
from dfmvr.face_model.expressions import sample_actions
from dfmvr.face_model.ict.files import EYEBALL, FACE, HEAD, MM_PER_UNIT, MOUTH, drivers, read_ict
from dfmvr.face_model.transfer import EYE, SKIN, keypoints_106, nearest_of_kind, warp
from dfmvr.face_model.transfer import MOUTH as INSIDE
from dfmvr.simulate.people.population import Anatomy, HeadSource, fine_mesh

WEIGHT_LIMIT = 2.5  # weights beyond are drawn in: they give faces that nobody has


class IctHeads:
    """A `HeadSource` of ICT-FaceKit's faces.

    Args of the constructor: `path` of the folder or model.npz; `painted`, the population whose colours and classes it
    borrows.

    Raises:
        ConfigError: no path.
        DataError: the file is missing or is not that model.
    """

    def __init__(self, path: Path | str | None, painted: HeadSource) -> None:
        if path is None:
            raise ConfigError(
                "simulate.ict_facekit: expected the path of ICT-FaceKit's model.npz, found none; set it, or leave out "
                "the data set pixel_face_ict"
            )
        files, other = read_ict(path), painted.anatomy
        target = other.reference[other.landmarks_68]
        mean = files.mean.astype(np.float64) * MM_PER_UNIT
        # only moved: the frames agree, and turning or scaling would touch the ground truth
        self._mean = (mean - mean[files.landmarks_68].mean(0) + target.mean(0)).astype(np.float32)
        self._identity = files.identity * np.float32(MM_PER_UNIT)
        self._expression = files.expression * np.float32(MM_PER_UNIT)
        self._actions, self._drivers = drivers(files.expression_names)
        self._painted = painted
        mouth, eyeball = files.region == MOUTH, files.region == EYEBALL
        warped = warp(self._mean, files.landmarks_68, target)
        kinds = np.select([mouth, eyeball], [INSIDE, EYE], SKIN)
        other_kinds = np.select([other.eye > 0, other.outer], [EYE, SKIN], INSIDE)
        self._nearest = nearest_of_kind(warped, kinds, other.reference, other_kinds)
        face = np.flatnonzero(files.region == FACE)
        # pupils too are looked for on the face, the only part that is registered
        found = face[cKDTree(warped[face]).query(other.reference[other.landmarks_106])[1]]
        marks = keypoints_106((other.landmarks_68, other.landmarks_106), files.landmarks_68, found)
        labels, left = other.labels[self._nearest].copy(), self._mean[:, 0] > 0
        labels[(files.region == HEAD) & (labels != CLASSES.index("skin"))] = 0
        labels[mouth] = CLASSES.index("mouth")
        labels[eyeball & left], labels[eyeball & ~left] = CLASSES.index("left_eye"), CLASSES.index("right_eye")
        outer = (files.region == FACE) | (files.region == HEAD)
        self.anatomy = Anatomy(
            reference=self._mean,
            triangles=files.triangles,
            labels=labels,
            outer=outer,
            scalp=outer * other.scalp[self._nearest],
            eye=np.select([eyeball & left, eyeball], [1, 2], 0).astype(np.uint8),
            landmarks_68=files.landmarks_68,
            landmarks_106=marks,
        )
        self.fine = fine_mesh(files.triangles, self.anatomy.scalp > 0.5, mouth, marks, face)

    def draw_shape(self, rng: np.random.Generator) -> np.ndarray:
        """Draw the weights of one face."""
        return np.clip(rng.normal(size=len(self._identity)), -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.float32)

    def draw_albedo(self, rng: np.random.Generator) -> np.ndarray:
        """Draw sRGB-encoded colours (V, 3)."""
        return self._painted.draw_albedo(rng)[self._nearest]

    def draw_expression(self, rng: np.random.Generator, shares: Mapping[str, float]) -> np.ndarray | None:
        """Draw the weighted sum of expressions named in `face_model.expressions.KINDS`; of none, None: neutral."""
        drawn = [share * sample_actions(rng, self._actions, kind) for kind, share in shares.items()]
        return np.clip(np.sum(drawn, 0) @ self._drivers, 0, 1).astype(np.float32) if drawn else None

    def vertices(self, shape: np.ndarray, expression: np.ndarray | None) -> np.ndarray:
        """Vertices (V, 3) mm of a head; None is neutral."""
        result = self._mean + np.tensordot(shape, self._identity, 1)
        return result if expression is None else result + np.tensordot(expression, self._expression, 1)

    fine_vertices = vertices  # ICT-FaceKit has one resolution
