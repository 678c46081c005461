"""The face model as the fit reads it: its coarse mesh, and how each vertex moves with each coefficient."""

from __future__ import annotations

import numpy as np

from dfmvr.face_model.model import MorphableModel
from dfmvr.geometry.normals import mesh_normals


class FitShapes:
    """Eq. 1 on the coarse mesh, whose landmark vertices are all there; V vertices, P = K + E coefficients.

    ASSUME: edges of 2 mm are fine enough for what photographs tell; the answer's coefficients are those of the fine
    mesh too.
    """

    def __init__(self, model: MorphableModel) -> None:
        mesh = model.coarse() if len(model.coarse_triangles) else model
        basis = np.concatenate((mesh.identity_basis.numpy(), mesh.expression_basis.numpy()))
        self.identity_size, self.expression_size = len(mesh.identity_basis), len(mesh.expression_basis)
        self.mean = mesh.mean.numpy().astype(np.float64)
        self.basis = np.ascontiguousarray(basis.transpose(1, 2, 0))  # (V, 3, P) float32
        self.triangles = mesh.triangles
        self.drawn = 1 + int(mesh.triangles.max())  # vertices beyond belong to no triangle
        self.landmarks_68 = mesh.landmarks_68.numpy()

    def vertices(self, coefficients: np.ndarray, displacement: np.ndarray | None = None) -> np.ndarray:
        """Vertices (V, 3) mm of coefficients (P,); those that are drawn displaced (D,) mm along their normals."""
        vertices = self.mean + self.offset(coefficients)
        if displacement is not None and len(displacement):
            vertices[: self.drawn] += displacement[:, None] * self.normals(vertices)
        return vertices

    def offset(self, coefficients: np.ndarray) -> np.ndarray:
        """By how much (V, 3) mm coefficients (P,) move the vertices."""
        return self.basis @ coefficients.astype(np.float32)

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        """Unit normals of the vertices that are drawn."""
        return mesh_normals(vertices[: self.drawn], self.triangles.numpy())
