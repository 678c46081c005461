"""Shape beyond the face model: a smooth displacement along the normals, where photographs that agree ask for it.

What the coefficients leave of the agreement's residuals is explained by moving each vertex along its own normal.
Solved after every step of the coefficients, by conjugate gradients.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import cg

from dfmvr.geometry.adjacency import neighbours
from dfmvr.reconstruct.fit.agreement import Asked
from dfmvr.reconstruct.fit.shapes import FitShapes

BEND = 20.0
"""ASSUME: weight of a vertex's squared distance, mm^2, to the mean of its neighbours, all along the normals."""

DISPLACED_MM = 10.0
"""ASSUME: standard deviation of a displacement. It keeps at rest what no two photographs show."""

TOLERANCE, MOST_ITERATIONS = 1e-3, 300
"""Of conjugate gradients, relative to the right side; what is left is asked for by the next step."""


def bending(near: sparse.csr_array) -> sparse.csr_array:
    """Matrix (V, V) of vertices less the mean of their neighbours (V, V), zero where a vertex has none."""
    valence = near.sum(1).astype(np.float64)
    return (sparse.diags_array(np.sign(valence)) - sparse.diags_array(1 / np.maximum(valence, 1)) @ near).tocsr()


class Displacer:
    """Finds displacements of the vertices of one model that are drawn; what is no part of the skin rests."""

    def __init__(self, shapes: FitShapes) -> None:
        near = neighbours(shapes.triangles.numpy(), shapes.drawn)
        _, part = connected_components(near, directed=False)
        self._skin = part == np.bincount(part).argmax()  # eyeballs stay behind the lids
        bend = bending(near)
        self._prior = (BEND * bend.T @ bend + sparse.diags_array(np.full(shapes.drawn, DISPLACED_MM**-2))).tocsr()

    def step(self, displacement: np.ndarray, asked: Sequence[tuple[Asked, np.ndarray]]) -> np.ndarray:
        """Move the vertices on.

        Args:
            displacement: (D,) mm along the normals, so far.
            asked: what each pair of photographs asked for, and the residuals (M, 2) that are left of it.
        Returns:
            (D,) mm.
        """
        precision, right = np.zeros_like(displacement), -(self._prior @ displacement)
        for one, left in asked:
            weight = one.weight * self._skin[one.points]
            np.add.at(precision, one.points, weight * (one.along_normal**2).sum(1))
            np.add.at(right, one.points, weight * (one.along_normal * left).sum(1))
        matrix = self._prior + sparse.diags_array(precision)
        inverse = sparse.diags_array(1 / matrix.diagonal())
        move, _ = cg(matrix, right, rtol=TOLERANCE, maxiter=MOST_ITERATIONS, M=inverse)
        return displacement + move


def on_fine_mesh(displacement: np.ndarray, triangles: np.ndarray, vertices: int, coarse: int) -> np.ndarray:
    """Displacements (V,) of a model's own mesh, from those of its coarse mesh, whose vertices are its first.

    Args:
        displacement: (D,), of the first D vertices; the others of the coarse mesh rest.
        triangles: (F, 3) of the model's own mesh.
        vertices: how many it has, V.
        coarse: how many of them are the coarse mesh's; 0: all.
    Returns:
        Each further vertex gets the mean of its neighbours in the coarse mesh, the ends of the edge that it halves.
    """
    found = np.zeros(vertices)
    found[: len(displacement)] = displacement
    if not coarse:
        return found
    near = neighbours(triangles, vertices)[coarse:, :coarse]
    found[coarse:] = near @ found[:coarse] / np.maximum(near.sum(1), 1)
    return found
