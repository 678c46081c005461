"""Closest points on a triangle mesh, exact in float64, and what they are worth as point-to-plane residuals.

open3d finds the closest triangle in float32; the closest point on it is then computed again in float64, so that
distances hold to far less than a micrometre.
"""

from __future__ import annotations

import ctypes
from types import ModuleType
from typing import NamedTuple

import numpy as np

from dfmvr.errors import UnavailableError
from dfmvr.geometry.normals import mesh_normals
from dfmvr.geometry.vectors import dot, unit


def import_open3d() -> ModuleType:
    """Import open3d, which needs a system library (libusb) that the package libusb-package carries.

    Raises:
        UnavailableError: open3d is not installed or does not load.
    """
    try:
        import libusb_package

        # open3d is linked to libusb-1.0.so.0: loaded beforehand, it need not be installed on the system.
        ctypes.CDLL(str(libusb_package.get_library_path()), mode=ctypes.RTLD_GLOBAL)
    except (ImportError, OSError):
        pass  # not Linux, or the system has the library: the import below tells
    try:
        import open3d
    except (ImportError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UnavailableError(
            f"open3d cannot be imported ({reason}); install it with `pip install open3d-cpu libusb-package`"
        ) from None
    return open3d


class Closest(NamedTuple):
    """The point of a surface closest to each of N query points."""

    triangles: np.ndarray  # (N,) index of the triangle
    barycentric: np.ndarray  # (N, 3) weights of its corners, exactly 0 beyond an edge
    points: np.ndarray  # (N, 3), unit of the mesh
    normals: np.ndarray  # (N, 3) unit, interpolated from the vertices
    on_boundary: np.ndarray  # (N,) bool: the point lies on an open edge, so the query is beside the surface


def barycentric_of_closest(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Barycentric weights of the point of triangle i closest to point i.

    Args:
        points: (N, 3).
        corners: (N, 3, 3), the corners of triangle i in rows.
    Returns:
        (N, 3) weights >= 0 of sum 1; a weight is exactly 0 where the closest point is on the edge opposite.
    Source: Ericson 2005, "Real-Time Collision Detection", section 5.1.5 (Voronoi regions of a triangle).
    """
    a = corners[:, 0]
    ab, ac, ap = corners[:, 1] - a, corners[:, 2] - a, points - a
    bb, cc, bc, bp, cp = dot(ab, ab), dot(ac, ac), dot(ab, ac), dot(ab, ap), dot(ac, ap)
    area = bb * cc - bc * bc
    v, w = _ratio(cc * bp - bc * cp, area), _ratio(bb * cp - bc * bp, area)
    weights = np.stack([1 - v - w, v, w], -1)
    # Most closest points are inside their triangles: only the others need to be told apart.
    rest = np.flatnonzero(~((weights[:, 0] > 0) & (v > 0) & (w > 0)))
    weights[rest] = _on_the_rim(points[rest], corners[rest])
    return weights


def _on_the_rim(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """As `barycentric_of_closest`, for points that may be beyond any edge or corner."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac = b - a, c - a
    d1, d2 = dot(ab, points - a), dot(ac, points - a)
    d3, d4 = dot(ab, points - b), dot(ac, points - b)
    d5, d6 = dot(ab, points - c), dot(ac, points - c)
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    on_ab, on_ac, on_bc = _ratio(d1, d1 - d3), _ratio(d2, d2 - d6), _ratio(d4 - d3, (d4 - d3) + (d5 - d6))
    zero, one = np.zeros_like(d1), np.ones_like(d1)
    v, w = _ratio(vb, va + vb + vc), _ratio(vc, va + vb + vc)
    cases = (
        ((d1 <= 0) & (d2 <= 0), (one, zero, zero)),
        ((d3 >= 0) & (d4 <= d3), (zero, one, zero)),
        ((d6 >= 0) & (d5 <= d6), (zero, zero, one)),
        ((vc <= 0) & (d1 >= 0) & (d3 <= 0), (1 - on_ab, on_ab, zero)),
        ((vb <= 0) & (d2 >= 0) & (d6 <= 0), (1 - on_ac, zero, on_ac)),
        ((va <= 0) & (d4 >= d3) & (d5 >= d6), (zero, 1 - on_bc, on_bc)),
    )
    conditions = [condition for condition, _ in cases]
    inside = (1 - v - w, v, w)
    weights = [np.select(conditions, [w[k] for _, w in cases], inside[k]) for k in range(3)]
    return np.stack(weights, -1)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Quotient a / b, and 0 where b is 0 (an edge without length)."""
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


class Boundary(NamedTuple):
    """Where a mesh is open."""

    edges: np.ndarray  # (F, 3) bool: the edge opposite corner k of triangle f belongs to no other triangle
    vertices: np.ndarray  # (V,) bool: on such an edge


def open_boundary(triangles: np.ndarray, vertex_count: int) -> Boundary:
    """Find the edges of a mesh that only one triangle has. Depends on the topology alone."""
    edges = np.sort(np.stack([triangles[:, [1, 2]], triangles[:, [2, 0]], triangles[:, [0, 1]]], 1), -1)
    keys = edges[..., 0].astype(np.int64) * vertex_count + edges[..., 1]
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    alone = (counts == 1)[inverse.reshape(keys.shape)]
    vertices = np.zeros(vertex_count, bool)
    vertices[edges[alone].ravel()] = True
    return Boundary(alone, vertices)


def turned_share(triangles: np.ndarray) -> float:
    """The share of the edges of two triangles that both run through in one direction: one of the two is turned over.

    Normals of vertices mean nothing where there are many.
    """
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).astype(np.int64)
    _, inverse, counts = np.unique(np.sort(edges, 1), axis=0, return_inverse=True, return_counts=True)
    balance = np.bincount(inverse.ravel(), np.sign(edges[:, 1] - edges[:, 0]))
    return float((balance[counts == 2] != 0).mean()) if (counts == 2).any() else 0.0


class Surface:
    """A triangle mesh prepared for closest-point queries.

    Args:
        vertices: (V, 3) float, finite.
        triangles: (F, 3) int, F >= 1.
        boundary: `open_boundary` of the mesh if it is known already.
    Raises:
        UnavailableError: open3d cannot be imported.
    """

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray, boundary: Boundary | None = None) -> None:
        o3d = import_open3d()
        self.vertices = np.asarray(vertices, np.float64)
        self.triangles = np.asarray(triangles, np.int64)
        self.normals = mesh_normals(self.vertices, self.triangles)
        self.boundary = boundary or open_boundary(self.triangles, len(self.vertices))
        # float32 has 7 digits: measure from the middle of the mesh, or a far-away frame costs precision.
        used = np.bincount(self.triangles.ravel(), minlength=len(self.vertices))
        self._origin = used @ self.vertices / used.sum()
        self._scene = o3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(
            np.ascontiguousarray(self.vertices - self._origin, np.float32),
            np.ascontiguousarray(self.triangles, np.uint32),
        )

    def closest(self, points: np.ndarray) -> Closest:
        """Find the closest point of the surface to each of (N, 3) points in the frame of the mesh."""
        if len(points) == 0:
            empty = np.zeros((0, 3))
            return Closest(np.zeros(0, np.int64), empty, empty, empty, np.zeros(0, bool))
        query = np.ascontiguousarray(points - self._origin, np.float32)
        # open3d would take every core, and beside other processes that costs a tenth more than it gains
        chosen = self._scene.compute_closest_points(query, nthreads=1)["primitive_ids"].numpy().astype(np.int64)
        corner_ids = self.triangles.take(chosen, 0)
        corners = self.vertices.take(corner_ids, 0)
        weights = barycentric_of_closest(np.asarray(points, np.float64), corners)
        normals = unit(np.einsum("nk,nki->ni", weights, self.normals.take(corner_ids, 0)))
        beside = np.zeros(len(points), bool)
        rim = np.flatnonzero((weights[:, 0] == 0) | (weights[:, 1] == 0) | (weights[:, 2] == 0))
        beside[rim] = ((weights[rim] == 0) & self.boundary.edges[chosen[rim]]).any(1)
        beside[rim] |= ((weights[rim] == 1) & self.boundary.vertices[corner_ids[rim]]).any(1)
        return Closest(chosen, weights, np.einsum("nk,nki->ni", weights, corners), normals, beside)
