"""Loop subdivision against closed forms."""

import numpy as np
import pytest
from analytic_face import grid
from numpy.testing import assert_allclose
from scipy.spatial import cKDTree

from dfmvr.errors import DataError
from dfmvr.geometry.subdivision import loop_subdivision, subdivide

TETRAHEDRON = np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]], float)
TETRAHEDRON_FACES = np.array([[0, 1, 3], [0, 2, 1], [0, 3, 2], [1, 2, 3]])


def test_tetrahedron_in_closed_form():
    matrix, faces = loop_subdivision(TETRAHEDRON_FACES, 4)
    new = matrix @ TETRAHEDRON
    # valence 3: beta = (5/8 - (3/8 + cos(120 deg)/4)^2)/3 = 3/16; the other three corners sum to minus this one
    assert_allclose(new[:4], TETRAHEDRON * (1 - 3 * 3 / 16 - 3 / 16))
    # an edge point: 3/8 of its ends, 1/8 of the other two, whose sum is minus the ends'
    middles = {tuple(np.round((a + b) / 4, 9)) for i, a in enumerate(TETRAHEDRON) for b in TETRAHEDRON[i + 1 :]}
    assert {tuple(np.round(p, 9)) for p in new[4:]} == middles
    assert faces.shape == (16, 3)


def test_valence_six_is_a_box_spline():
    points, faces = grid(7)
    matrix, _ = loop_subdivision(faces, len(points))
    row = matrix[24].toarray().ravel()  # the middle vertex has six neighbours
    assert_allclose(row[24], 10 / 16)
    assert_allclose(np.sort(row)[-7:-1], 1 / 16)
    assert_allclose((matrix @ points)[24], points[24], atol=1e-12)


def test_rows_sum_to_one_and_weights_are_positive():
    points, faces = grid(5)
    matrix, _ = subdivide(faces, len(points), 3)
    assert_allclose(matrix @ np.ones(len(points)), 1)
    assert matrix.data.min() >= 0


def test_plane_stays_flat_and_keeps_its_orientation():
    points, faces = grid(5)
    matrix, levels = subdivide(faces, len(points), 2)
    new = matrix @ points
    a, b, c = (new[levels[-1][:, k]] for k in range(3))
    areas = np.cross(b - a, c - a)[:, 2] / 2
    assert_allclose(new[:, 2], 0)
    assert (areas > 0).all()
    assert_allclose(areas.sum(), 16, rtol=0.05)  # the boundary's corners are rounded off


def test_limit_point_is_kept_by_every_step():
    # Loop's limit mask: (3/8)/beta' of the vertex and 1 of each neighbour, here for valence 3.
    def limit(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
        ring = np.unique(faces[(faces == 0).any(1)])
        ring = ring[ring != 0]
        beta = (5 / 8 - (3 / 8 + np.cos(2 * np.pi / len(ring)) / 4) ** 2) / len(ring)
        weight = 1 / (3 / (8 * beta) + len(ring))
        return (1 - len(ring) * weight) * points[0] + weight * points[ring].sum(0)

    matrix, faces = loop_subdivision(TETRAHEDRON_FACES, 4)
    assert_allclose(limit(matrix @ TETRAHEDRON, faces), limit(TETRAHEDRON, TETRAHEDRON_FACES))


def test_levels_are_nested():
    points, faces = grid(4)
    once, first = subdivide(faces, len(points), 1)
    twice, levels = subdivide(faces, len(points), 2)
    assert_allclose(levels[1], first[-1])
    distance, _ = cKDTree(once @ points).query((twice @ points)[: once.shape[0]])
    assert distance.max() < 0.3  # a coarse vertex moves a little, never to another's place
    assert len(levels[2]) == 16 * len(faces)


def test_unused_vertices_stay():
    matrix, _ = loop_subdivision(np.array([[0, 1, 2]]), 4)
    assert_allclose(matrix[3].toarray().ravel(), [0, 0, 0, 1])


def test_non_manifold_edges_are_refused():
    with pytest.raises(DataError, match="at most 2 triangles at an edge, found 3"):
        loop_subdivision(np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4]]), 5)


def test_indices_out_of_range_are_refused():
    with pytest.raises(DataError, match="below 3, found 3"):
        loop_subdivision(np.array([[0, 1, 3]]), 3)
