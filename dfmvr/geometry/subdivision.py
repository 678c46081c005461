"""Loop subdivision as a sparse matrix: it is linear, so one matrix subdivides every basis vector.

Source: Loop 1987, "Smooth subdivision surfaces based on triangles", with Loop's own vertex weights; boundaries follow
the cubic B-spline of the boundary curve.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from dfmvr.errors import DataError


def _edges(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find unique edges (E, 2), the edges of each triangle's sides (F, 3), and triangles per edge (E,)."""
    pairs = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]], -1).reshape(-1, 2)
    number = (
        pairs[:, 0] * (pairs.max(initial=0) + 1) + pairs[:, 1]
    )  # one number a pair sorts five times as fast as rows
    _, first, inverse, counts = np.unique(number, return_index=True, return_inverse=True, return_counts=True)
    return pairs[first], inverse.reshape(-1, 3), counts


def _even_weights(edges: np.ndarray, boundary: np.ndarray, vertices: int) -> sparse.csr_matrix:
    """(V, V) matrix that moves the old vertices."""
    both = np.concatenate((edges, edges[:, ::-1]))
    on_boundary = np.zeros(vertices, bool)
    on_boundary[edges[boundary]] = True
    valence = np.bincount(both[:, 0], minlength=vertices)
    safe = np.maximum(valence, 1)
    beta = (5 / 8 - (3 / 8 + np.cos(2 * np.pi / safe) / 4) ** 2) / safe
    weight = np.where(on_boundary, 0.0, beta)[both[:, 0]]
    weight[np.concatenate((boundary, boundary))] = 1 / 8
    matrix = sparse.csr_matrix((weight, (both[:, 0], both[:, 1])), (vertices, vertices))
    rest = 1 - np.asarray(matrix.sum(1)).ravel()
    return (matrix + sparse.diags(rest)).tocsr()


def loop_subdivision(triangles: np.ndarray, vertices: int) -> tuple[sparse.csr_matrix, np.ndarray]:
    """One step of Loop subdivision.

    Args:
        triangles: (F, 3) vertex indices of a manifold mesh, boundaries allowed.
        vertices: number of vertices V; those in no triangle stay where they are.
    Returns:
        A sparse (V + E, V) matrix from old to new vertices, whose first V rows are the old vertices moved and the rest
        one vertex an edge, and (4 F, 3) triangles with the orientation of the old ones.

    Raises:
        DataError: an edge belongs to more than two triangles, or an index is out of range.
    """
    triangles = np.asarray(triangles, np.int64)
    if triangles.size and (triangles.min() < 0 or triangles.max() >= vertices):
        raise DataError(f"subdivision: expected vertex indices below {vertices}, found {triangles.max()}")
    edges, edge_of, counts = _edges(triangles)
    if counts.size and counts.max() > 2:
        worst = edges[counts.argmax()].tolist()
        raise DataError(f"subdivision: expected at most 2 triangles at an edge, found {counts.max()} at {worst}")
    boundary = counts == 1
    number = np.arange(len(edges))
    opposite = triangles[:, [2, 0, 1]]
    inner = ~boundary[edge_of]
    rows = np.concatenate((number, number, edge_of[inner]))
    columns = np.concatenate((edges[:, 0], edges[:, 1], opposite[inner]))
    ends = np.where(boundary, 1 / 2, 3 / 8)
    values = np.concatenate((ends, ends, np.full(inner.sum(), 1 / 8)))
    odd = sparse.csr_matrix((values, (rows, columns)), (len(edges), vertices))
    matrix = sparse.vstack((_even_weights(edges, boundary, vertices), odd)).tocsr()
    (a, b, c), (ab, bc, ca) = triangles.T, edge_of.T + vertices
    split = np.stack((a, ab, ca, ab, b, bc, ca, bc, c, ab, bc, ca), -1).reshape(-1, 3)
    return matrix, split


def subdivide(triangles: np.ndarray, vertices: int, steps: int) -> tuple[sparse.csr_matrix, list[np.ndarray]]:
    """Several steps of Loop subdivision as one matrix.

    Args:
        triangles: (F, 3) vertex indices.
        vertices: number of vertices V.
        steps: number of steps, 0 or more.
    Returns:
        A sparse (V', V) matrix from the base mesh to the finest one, and the triangles of each level, from the base
        to the finest. The vertices are nested: those of each level come first in the next.
    """
    matrix, levels = sparse.identity(vertices, format="csr"), [np.asarray(triangles, np.int64)]
    for _ in range(steps):
        step, finer = loop_subdivision(levels[-1], matrix.shape[0])
        matrix = (step @ matrix).tocsr()
        levels.append(finer)
    return matrix, levels
