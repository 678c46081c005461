"""A second population: faces of ICT-FaceKit, of which nothing is in the default face model.

In     model.npz of ICT-FaceKit Light (MIT): mean (V, 3) cm, identity (100, V, 3), weights N(0, 1), expression
       (53, V, 3), weights in [0, 1], triangles, region (V,) 0 face, 1 head and neck, 2 mouth socket, 3 eyeballs,
       landmarks_68.
Gives  heads in mm in the frame of `dfmvr.conventions`.

It has no colours, classes or 106 keypoints. They come from the default heads, by the nearest vertex after the mean face
has been warped onto theirs by its 68 landmarks. Keypoints that are among the 68 landmarks, all seven alignment points
with them, are ICT-FaceKit's own; the others are good to a few millimetres.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from dfmvr.conventions import CLASSES
from dfmvr.errors import ConfigError, DataError
from dfmvr.face_model.expressions import KINDS, sample_actions
from dfmvr.files import read_npz
from dfmvr.geometry.similarity import fit_similarity
from dfmvr.simulate.people import Anatomy, Population, Surface

MM_PER_UNIT = 10.0
FACE, HEAD, MOUTH, EYEBALL = 0, 1, 2, 3
WEIGHT_LIMIT = 2.5  # weights beyond are drawn in: they give faces that nobody has
_REQUIRED = ("mean", "identity", "expression", "expression_names", "triangles", "region", "landmarks_68")


class IctHeads:
    """A `people.Population` of ICT-FaceKit's faces.

    Args of the constructor: `path` of model.npz; `painted`, the population whose colours and classes it borrows.

    Raises:
        ConfigError: no path.
        DataError: the file is missing or is not that model.
    """

    def __init__(self, path: Path | str | None, painted: Population) -> None:
        if path is None:
            raise ConfigError(
                "simulate.ict_facekit: expected the path of ICT-FaceKit's model.npz, found none; set it, or leave out "
                "the data set pixel_face_ict"
            )
        arrays = read_npz(path, *_REQUIRED)
        _check(arrays, path)
        landmarks = arrays["landmarks_68"].astype(np.int64)
        other = painted.anatomy
        target = other.reference[other.landmarks_68]
        mean = arrays["mean"].astype(np.float64) * MM_PER_UNIT
        # only moved: the frames agree, and turning or scaling would touch the ground truth
        self._mean = (mean - mean[landmarks].mean(0) + target.mean(0)).astype(np.float32)
        self._identity = arrays["identity"].astype(np.float32) * MM_PER_UNIT
        self._expression = arrays["expression"].astype(np.float32) * MM_PER_UNIT
        self._face_index = np.flatnonzero(arrays["region"] == FACE)
        self._mouth = arrays["region"] == MOUTH
        self._names = [str(name) for name in arrays["expression_names"]]
        self._painted = painted
        warped = _warp(self._mean, landmarks, target)
        self._nearest = _nearest(warped, arrays["region"], other)
        self.anatomy = self._make_anatomy(arrays, landmarks, warped)

    def _make_anatomy(self, arrays: dict[str, np.ndarray], landmarks: np.ndarray, warped: np.ndarray) -> Anatomy:
        """Describe the mean head."""
        other, region = self._painted.anatomy, arrays["region"]
        triangles = arrays["triangles"].astype(np.int64)
        labels = other.labels[self._nearest].copy()
        labels[(region == HEAD) & (labels != CLASSES.index("skin"))] = 0
        left = self._mean[:, 0] > 0
        labels[region == MOUTH] = CLASSES.index("mouth")
        labels[region == EYEBALL] = np.where(left, CLASSES.index("left_eye"), CLASSES.index("right_eye"))[
            region == EYEBALL
        ]
        eye = np.where(region == EYEBALL, np.where(left, 1, 2), 0).astype(np.uint8)
        outer = (region == FACE) | (region == HEAD)
        return Anatomy(
            self._mean,
            triangles,
            labels,
            outer,
            outer * other.scalp[self._nearest],
            eye,
            landmarks,
            _keypoints(other, landmarks, warped, self._face_index),
        )

    def draw_shape(self, rng: np.random.Generator) -> np.ndarray:
        """Draw the weights of one face."""
        return np.clip(rng.normal(size=len(self._identity)), -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.float32)

    def vertices(self, shape: np.ndarray, expression: np.ndarray | None) -> np.ndarray:
        """Vertices (V, 3) mm of a head; None is neutral."""
        result = self._mean + np.tensordot(shape, self._identity, 1)
        return result if expression is None else result + np.tensordot(expression, self._expression, 1)

    def surface(self, shape: np.ndarray, expression: np.ndarray | None) -> Surface:
        """The same head for scanning: ICT-FaceKit has one resolution."""
        points, face, anatomy = self.vertices(shape, expression), self._face_index, self.anatomy
        place = np.full(len(points), -1)
        place[face] = np.arange(len(face))
        inside = place[anatomy.triangles]
        return Surface(
            vertices=points,
            triangles=anatomy.triangles,
            hair=anatomy.scalp > 0.5,
            mouth=self._mouth,
            landmarks=points[anatomy.landmarks_106],
            face=points[face],
            face_triangles=inside[(inside >= 0).all(1)],
            keypoints=place[anatomy.landmarks_106],
        )

    def draw_albedo(self, rng: np.random.Generator) -> np.ndarray:
        """Draw sRGB-encoded colours (V, 3)."""
        return self._painted.draw_albedo(rng)[self._nearest]

    def draw_expression(self, rng: np.random.Generator, number: int) -> np.ndarray | None:
        """Draw an expression; number 0 is neutral. Its actions are those of the default heads, by their names."""
        if number == 0:
            return None
        sides = {name: _long_name(name) for name in self._names}
        actions = sorted({action for kind in KINDS.values() for key in kind for action in _both(key)})
        actions = sorted(set(actions) | set(sides.values()))
        strength = dict(zip(actions, sample_actions(rng, actions, "random"), strict=True))
        plain = {name: strength.get(sides[name], 0.0) + strength.get(name.split("_")[0], 0.0) for name in self._names}
        return np.clip([plain[name] for name in self._names], 0, 1).astype(np.float32)


def _check(arrays: dict[str, np.ndarray], path: Path | str) -> None:
    """Refuse arrays that do not fit together."""
    count = len(arrays["mean"])
    fits = (
        arrays["mean"].shape == (count, 3)
        and arrays["identity"].shape[1:] == (count, 3)
        and arrays["expression"].shape[1:] == (count, 3)
        and arrays["region"].shape == (count,)
        and arrays["landmarks_68"].shape == (68,)
        and arrays["triangles"].max(initial=0) < count
    )
    if not fits:
        shapes = ", ".join(f"{name} {arrays[name].shape}" for name in _REQUIRED)
        raise DataError(f"{path}: expected ICT-FaceKit's arrays with one number of vertices, found {shapes}")


def _long_name(name: str) -> str:
    """The default heads' name of an action: mouthSmile_L is mouthSmileLeft."""
    return name.removesuffix("_L") + "Left" if name.endswith("_L") else name.removesuffix("_R") + "Right" \
        if name.endswith("_R") else name  # fmt: skip


def _both(key: str) -> list[str]:
    """Both sides of an action of `expressions.KINDS`."""
    return [key.replace("*", side) for side in ("Left", "Right")] if "*" in key else [key]


def _warp(mean: np.ndarray, landmarks: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Bring a mean face onto another's landmarks (68, 3): similarity, then a thin-plate spline."""
    source, goal = torch.from_numpy(mean[landmarks].astype(np.float64)), torch.from_numpy(target.astype(np.float64))
    aligned = fit_similarity(source, goal).apply(torch.from_numpy(mean.astype(np.float64))).numpy()
    _, unique = np.unique(aligned[landmarks].round(3), axis=0, return_index=True)
    offset = (target - aligned[landmarks])[unique]
    # smoothed: a plate that meets every landmark exactly would crease between neighbours that disagree
    return aligned + RBFInterpolator(aligned[landmarks][unique], offset, smoothing=5.0)(aligned)


def _nearest(warped: np.ndarray, region: np.ndarray, other: Anatomy) -> np.ndarray:
    """For each vertex, the nearest vertex of the same kind (skin, eyeball, mouth) of the other head."""
    inside = ~other.outer & (other.eye == 0)
    result = np.zeros(len(warped), np.int64)
    kinds = ((region <= HEAD, other.outer), (region == MOUTH, inside), (region == EYEBALL, other.eye > 0))
    for mine, theirs in kinds:
        candidates = np.flatnonzero(theirs if theirs.any() else other.outer)
        result[mine] = candidates[cKDTree(other.reference[candidates]).query(warped[mine])[1]]
    return result


def _keypoints(other: Anatomy, landmarks: np.ndarray, warped: np.ndarray, face_index: np.ndarray) -> np.ndarray:
    """(106,) vertex ids: a 68-landmark's own vertex where the other head uses one, else the nearest of the face."""
    own = {int(vertex): int(mine) for vertex, mine in zip(other.landmarks_68, landmarks, strict=True)}
    points = other.reference[other.landmarks_106]
    nearest = face_index[cKDTree(warped[face_index]).query(points)[1]]
    return np.array([own.get(int(v), int(n)) for v, n in zip(other.landmarks_106, nearest, strict=True)])
