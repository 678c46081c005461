"""Whole heads for the stand-in data sets: face, ears, neck, scalp, eyeballs, teeth, tongue, and the mouth's cavity.

    heads = HeadGenerator.load("results/face_model/heads.npz")
    rng = np.random.default_rng([seed, subject])
    person = heads.sample_identity(rng, hidden=True)          # (C,) coefficients of the targets
    smile = heads.sample_expression(rng, "smile")             # (E,) the morphable model's expression coefficients
    points = heads.vertices(person, smile)                    # (Vh, 3) mm, fine mesh, the model's frame
    colours = heads.albedo(rng)                               # (Vh, 3) sRGB-encoded, [0, 1]

The frame is that of `dfmvr.conventions` (x to the viewer's right, y up, z toward the camera, mm), the origin the
centroid of the morphable model's mean, and heads are rigidly aligned to that mean: pose and camera are the caller's.
`hidden` adds asymmetries and head shapes that the morphable model never saw; their mean is zero.

Attributes: triangles (Fh, 3), counter-clockwise seen from outside; labels (Vh,) ids into parts.HEAD_CLASSES (0 to 9 as
in conventions.CLASSES, then 10 hair, 11 ear, 12 neck); landmarks_68 (68,), landmarks_106 (106,) vertices; face_index
(V,) the vertex of the head that each vertex of the morphable model is; part (Vh,) ids into parts.PARTS.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

from dfmvr.errors import DataError
from dfmvr.face_model.anny.albedo import AlbedoMaps, AlbedoSampler
from dfmvr.face_model.anny.population import HeadPopulation
from dfmvr.face_model.expressions import sample_actions
from dfmvr.files import read_npz, write_npz
from dfmvr.geometry.similarity import nearest_rotation

_MAPS = AlbedoMaps._fields
_ARRAYS = (
    *("target_names", "targets", "template", "reference", "anchors"),
    *("expression", "action_names", "encode", "subdivision_data", "subdivision_indices", "subdivision_indptr"),
    *("triangles", "labels", "part", "base_part", "landmarks_68", "landmarks_106", "face_index"),
    *(f"albedo_{name}" for name in _MAPS if name != "labels"),
)


def rigid_to(points: np.ndarray, reference: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Move points (V, 3) rigidly so that those at `anchors` lie best on the same ones of `reference` (V, 3)."""
    source_mean, target_mean = points[anchors].mean(0), reference[anchors].mean(0)
    rotation = nearest_rotation((reference[anchors] - target_mean).T @ (points[anchors] - source_mean))
    return (points - source_mean) @ rotation.T + target_mean


class HeadGenerator:
    """Draws heads (see the module's docstring)."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self._arrays = arrays
        self.template, self.targets = arrays["template"], arrays["targets"]
        self.reference, self.anchors = arrays["reference"], arrays["anchors"]
        self.expression, self.encode = arrays["expression"], arrays["encode"]
        self.actions = [str(name) for name in arrays["action_names"]]
        self.population = HeadPopulation([str(name) for name in arrays["target_names"]])
        self.triangles, self.labels, self.part = arrays["triangles"], arrays["labels"], arrays["part"]
        self.base_part = arrays["base_part"]
        self.landmarks_68, self.landmarks_106 = arrays["landmarks_68"], arrays["landmarks_106"]
        self.face_index = arrays["face_index"]
        parts = tuple(arrays[f"subdivision_{name}"] for name in ("data", "indices", "indptr"))
        self.subdivision = sparse.csr_matrix(parts, (len(self.labels), len(self.template)))
        maps = {name: arrays[f"albedo_{name}"] for name in _MAPS if name != "labels"}
        self.albedo_sampler = AlbedoSampler(AlbedoMaps(labels=self.labels, **maps))

    @classmethod
    def load(cls, path: Path | str) -> HeadGenerator:
        """Read the file that `dfmvr face_model --heads` wrote.

        Raises:
            DataError: it is missing, unreadable or incomplete.
        """
        arrays = read_npz(path, *_ARRAYS)
        if len(arrays["target_names"]) != len(arrays["targets"]):
            raise DataError(
                f"{path}: expected as many names as targets, found {len(arrays['target_names'])} and "
                f"{len(arrays['targets'])}; run face_model again"
            )
        return cls(arrays)

    def save(self, path: Path | str) -> None:
        """Write the arrays, atomically."""
        write_npz(path, **self._arrays)

    def sample_identity(self, rng: np.random.Generator, hidden: bool) -> np.ndarray:
        """Draw a person's coefficients (C,), with or without targets that the morphable model never saw."""
        return self.population.sample(rng, hidden)

    def sample_expression(self, rng: np.random.Generator, kind: str) -> np.ndarray:
        """Draw expression coefficients (E,), of the morphable model too, for a name of `expressions.KINDS` or "random".

        Raises:
            DataError: no such expression.
        """
        return self.encode @ sample_actions(rng, self.actions, kind)

    def base_vertices(self, coefficients: np.ndarray) -> np.ndarray:
        """Vertices (Vb, 3) mm of the unsubdivided head without expression, aligned to the mean."""
        points = self.template + np.tensordot(coefficients, self.targets, 1)
        return rigid_to(points, self.reference, self.anchors)

    def vertices(self, coefficients: np.ndarray, expression: np.ndarray | None = None) -> np.ndarray:
        """Shape (Vh, 3) float32 mm of a person (C,), the fine mesh, with an expression (E,) or None: neutral."""
        points = self.base_vertices(coefficients)
        if expression is not None:
            points = points + np.tensordot(expression, self.expression, 1)
        return (self.subdivision @ points).astype(np.float32)

    def albedo(self, rng: np.random.Generator, details: bool = True) -> np.ndarray:
        """Draw colours (Vh, 3), sRGB-encoded in [0, 1]; with `details`, richer than the model's basis can show."""
        return self.albedo_sampler.sample(rng, details)
