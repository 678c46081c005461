"""The whole head about a face of the open model: ears, back of the head, neck, eyeballs, teeth and tongue.

In     a head file (`.npz`, written by `dfmvr face_model head`) and the face model that it continues.
Gives  vertices in mm, in the frame of `dfmvr.conventions`, of the mesh that is one subdivision coarser than the
       model's; where the head is the face, its vertices are vertices of the model.

The mean of the head's other vertices depends linearly on the face's identity: each component of the face model goes on
over the head as the population has it. So do the facial actions.

Arrays of a head file: Vb vertices of the base mesh, V of the mesh that is used, S of the base mesh that make the
vertices beyond the face:
    triangles (Fb, 3) of the base mesh; part (Vb,), index into anny.parts.PARTS; face (Vb,), 1 where the face model is;
    labels (V,), index into anny.parts.HEAD_CLASSES; stored (S,), vertices of the base mesh; mean (S, 3) mm;
    identity (K, S, 3) and actions (A, S, 3) mm, in half precision; turns (A, 3), the rotation vector by which an
    action turns the eyeball of its side, rad; action_names (A,); name, the model's.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from dfmvr.errors import ConfigError, DataError
from dfmvr.face_model.anny.parts import HEAD_CLASSES, PARTS
from dfmvr.face_model.model import MorphableModel
from dfmvr.files import check_arrays, read_npz
from dfmvr.geometry.adjacency import neighbours
from dfmvr.geometry.subdivision import loop_subdivision

FADE_MM = 35.0
"""ASSUME: how far what the model lacks of a face is carried beyond its border."""

FITS_MM = 0.05
"""How far the continuation and the model may differ where they overlap: half precision makes less than this of it."""

_SHAPES = {
    "triangles": (None, 3),
    "part": ("B",),
    "face": ("B",),
    "labels": ("V",),
    "stored": ("S",),
    "mean": ("S", 3),
    "identity": ("K", "S", 3),
    "actions": ("A", "S", 3),
    "turns": ("A", 3),
    "action_names": ("A",),
    "name": (),
}
_LIMITS = {"triangles": "B", "stored": "B", "part": len(PARTS), "face": 2, "labels": len(HEAD_CLASSES)}


def once_finer(triangles: np.ndarray, vertices: int) -> tuple[sparse.csr_matrix, np.ndarray]:
    """The matrix (V, Vb) and triangles (4 Fb, 3) of a mesh once subdivided, its vertices where the next step puts them.

    Those vertices are the first ones of the mesh that is twice subdivided.
    """
    first, finer = loop_subdivision(triangles, vertices)
    second, _ = loop_subdivision(finer, first.shape[0])
    return (second[: first.shape[0]] @ first).tocsr(), finer


class WholeHead:
    """The head of one face model.

    Attributes: triangles (F, 3), counter-clockwise seen from outside; part (V,), index into anny.parts.PARTS; labels
    (V,), index into anny.parts.HEAD_CLASSES; face (V,), the vertex of the model that each vertex is, -1 beyond the
    face; of_face (Vc, 3) and identity_of_face (K, Vc, 3), the model's mean and components on its coarse mesh;
    action_names; turns (A, 3), see the module's docstring.
    """

    def __init__(self, arrays: dict[str, np.ndarray], model: MorphableModel, source: str = "head") -> None:
        """Fit a head file's arrays to the face model.

        Raises:
            DataError: the arrays do not fit together.
            ConfigError: they continue another model.
        """
        check_arrays(arrays, _SHAPES, _LIMITS, source)
        matrix, self.triangles = once_finer(arrays["triangles"].astype(np.int64), len(arrays["part"]))
        if len(arrays["labels"]) != matrix.shape[0]:
            raise DataError(
                f"{source}: expected {matrix.shape[0]} labels, found {len(arrays['labels'])}; make it again"
            )
        count = model.coarse_vertices
        self.of_face, self.identity_of_face = model.mean[:count].numpy(), model.identity_basis[:, :count].numpy()
        self.labels = arrays["labels"]
        self.part = (matrix @ (arrays["part"][:, None] == np.arange(len(PARTS)))).argmax(1)
        self.action_names, self.turns = tuple(str(n) for n in arrays["action_names"]), arrays["turns"]
        kept = np.repeat(arrays["face"].astype(bool)[arrays["triangles"]].all(1), 4)
        inside = np.unique(self.triangles[kept])
        self.face = np.full(matrix.shape[0], -1)
        self.face[inside] = np.arange(len(inside))
        self._rest = np.flatnonzero(self.face < 0)
        self._make = matrix[:, arrays["stored"]]
        self._whole = np.flatnonzero((matrix.getnnz(1) == self._make.getnnz(1)) & (self.face >= 0))
        self._mean = arrays["mean"].astype(np.float64)
        self._identity, self._actions = arrays["identity"], arrays["actions"]
        mesh = self.face[self.triangles[kept]]
        same = str(arrays["name"]) == model.name and np.array_equal(mesh, model.coarse_triangles.numpy())
        if not same or not self._continues():
            raise ConfigError(
                f"face model {model.name}: the whole head is known for the open model that ships alone; "
                "leave the avatar out, or take that model"
            )

    @classmethod
    def load(cls, path: Path | str, model: MorphableModel) -> WholeHead:
        """Read a head file.

        Raises:
            DataError: the file is missing, unreadable, or its arrays do not fit together.
            ConfigError: it continues another model.
        """
        return cls(read_npz(path, *_SHAPES), model, str(path))

    def _continues(self) -> bool:
        """Whether the mean and all components are the model's at its border."""
        if len(self._identity) != len(self.identity_of_face):
            return False
        place, make = self.face[self._whole], self._make[self._whole]
        pairs = [(self._mean, self.of_face), *zip(self._identity, self.identity_of_face, strict=True)]
        return all(np.abs(make @ mine - of_model[place]).max() < FITS_MM for mine, of_model in pairs)

    def of(self, name: str) -> np.ndarray:
        """(V,) bool: the vertices of a part."""
        return self.part == PARTS.index(name)

    def face_of(self, identity: np.ndarray) -> np.ndarray:
        """The face (Vc, 3) mm, on the model's coarse mesh, that coefficients (K,) give, without expression."""
        return self.of_face + np.tensordot(identity, self.identity_of_face, 1)

    def around(self, face: np.ndarray, identity: np.ndarray) -> np.ndarray:
        """The head about a face without expression.

        Args:
            face: (Vc, 3) mm, the vertices of the model's coarse mesh, of whatever shape; further ones are not read.
            identity: (K,) the face's coefficients.
        Returns:
            (V, 3) mm. What the face has beyond its coefficients fades out over the skin within some `FADE_MM`; what
            else is beyond the face is where the coefficients have it.
        """
        head = self._spread(face, self._mean + np.tensordot(identity, self._identity.astype(np.float32), 1))
        unknown, solve, from_known = self._fading
        head[unknown] += solve(from_known @ self.beyond(face, identity)[self._skin & (self.face >= 0)])
        return head

    def beyond(self, face: np.ndarray, identity: np.ndarray) -> np.ndarray:
        """How far (V, 3) mm a face is from what its coefficients give, see `around`; 0 where the head is no face."""
        result, inside, of_model = np.zeros((len(self.face), 3)), self.face >= 0, self.face_of(identity)
        result[inside] = (face[: len(of_model)] - of_model)[self.face[inside]]
        return result

    def actions(self, model: MorphableModel) -> dict[str, np.ndarray]:
        """Displacements (V, 3) mm of the head by each of its actions at full strength, by name."""
        of_face = np.tensordot(model.actions.numpy(), model.expression_basis[:, : len(self.of_face)].numpy(), 1)
        places = [model.action_names.index(name) for name in self.action_names]
        pairs = zip(of_face[places], self._actions, strict=True)
        return {name: self._spread(*pair) for name, pair in zip(self.action_names, pairs, strict=True)}

    def _spread(self, of_face: np.ndarray, stored: np.ndarray) -> np.ndarray:
        """Values (V, 3) of the head: those (Vc, 3) of the model, beyond it what stored ones (S, 3) give."""
        head = np.empty((len(self.face), 3))
        head[self._rest] = self._make[self._rest] @ stored.astype(np.float64)
        inside = self.face >= 0
        head[inside] = of_face[self.face[inside]]
        return head

    @cached_property
    def mean(self) -> np.ndarray:
        """The mean head (V, 3), mm."""
        return self._spread(self.of_face, self._mean)

    @cached_property
    def _skin(self) -> np.ndarray:
        """(V,) bool."""
        return self.of("skin")

    @cached_property
    def _fading(self) -> tuple:
        """Where the skin is beyond the face, and how a displacement of the face goes on there.

        It is the field of least squared Laplacian and least square, so value and slope are continuous at the border.
        Lengths are those of the mean head.
        """
        known, unknown = self._skin & (self.face >= 0), np.flatnonzero(self._skin & (self.face < 0))
        pairs = neighbours(self.triangles, len(self.face))
        near = pairs.tocoo()
        length = np.linalg.norm(self.mean[near.coords[0]] - self.mean[near.coords[1]], axis=1)
        weight = sparse.csr_array((1 / length, near.coords), near.shape)
        total = weight.sum(1)
        step = pairs.sum(1) / total  # harmonic mean of the lengths
        laplacian = sparse.eye_array(len(self.face)) - sparse.diags_array(1 / total) @ weight
        # the sum over vertices of step^2, their areas, times the squared Laplacian, of rows divided by step^2 / 4
        rows = (sparse.diags_array(4 / step) @ laplacian)[self._skin]
        mass = sparse.diags_array((step / FADE_MM**2) ** 2)
        system = (rows.T @ rows + mass).tocsc()
        return unknown, splu(system[np.ix_(unknown, unknown)]).solve, -system[np.ix_(unknown, np.flatnonzero(known))]
