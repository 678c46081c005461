"""Which vertices of a mesh an edge joins."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def neighbours(triangles: np.ndarray, vertices: int) -> sparse.csr_array:
    """Matrix (V, V) float32 with 1 where an edge joins two vertices, symmetric.

    Args:
        triangles: (F, 3).
        vertices: number of vertices V; those of no triangle have no neighbours.
    """
    sides = np.concatenate([triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    both = np.concatenate((sides, sides[:, ::-1]))
    near = sparse.csr_array((np.ones(len(both), np.float32), both.T), shape=(vertices, vertices))
    near.data[:] = 1  # an inner edge has two triangles
    return near
