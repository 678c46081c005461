"""Where the surface of a face lies in a texture image.

In     a mesh: vertices in mm, y up, the face toward +z, and triangles.
Gives  an `Unwrapping`: image coordinates of the corners of all triangles.

The face is unrolled from an upright cylinder. What the cylinder does not show from outside, or edge on, such as the
inside of the mouth, the underside of the nose, the teeth, is cut into pieces by the direction that it faces and laid
flat in a strip below. No two pieces overlap, so every place of the surface has texels of its own, but for folds within
a piece.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import sparse
from scipy.ndimage import maximum_filter
from scipy.sparse.csgraph import connected_components

from dfmvr.geometry.normals import triangle_normals
from dfmvr.geometry.textured import Unwrapping
from dfmvr.rendering.rasterizer import rasterize

BURIED_MM = 1.0
"""A triangle is hidden if a part of it lies deeper than this below what the cylinder shows."""

SMALLEST_SHARE = 0.15
"""A triangle whose area in the cylinder is less than this part of its own is laid into the strip."""

STRIP = 0.22
"""Height of the strip, at the least, as a part of the image's."""

PADDING = 3 / 512
"""Distance of the pieces from each other, as a part of the image's width."""

_GRID_PX = 448  # longest side of the image in which hidden triangles are looked for


def unwrap(mean: np.ndarray, triangles: np.ndarray) -> tuple[Unwrapping, float]:
    """Unwrap a mesh.

    Args:
        mean: (V, 3) mm, y up, face toward +z.
        triangles: (F, 3), counter-clockwise seen from outside.
    Returns:
        The unwrapping and the length that the image's width stands for, mm.
    """
    plane, piece = _pieces(mean[triangles], triangles)
    placed, width_mm = _pack(plane, piece)
    return _rows(placed / width_mm, piece, triangles, len(mean)), width_mm


def _pieces(corners: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lay every triangle flat.

    Args:
        corners: (F, 3, 3) mm.
        triangles: (F, 3).
    Returns:
        Corners (F, 3, 2) mm in the plane of each triangle's piece, and the piece (F,): 0 is the cylinder.
    """
    cylinder, depth = _unroll(corners)
    normal = triangle_normals(corners)
    shown = _area(cylinder) > SMALLEST_SHARE * np.linalg.norm(normal, axis=-1) / 2
    shown &= ~_buried(cylinder, depth, shown)
    # eyeballs and whatever shows through a hole lie better in pieces of their own
    shown[shown] = _largest(triangles[shown])
    direction = _directions(normal, triangles)
    piece = np.zeros(len(triangles), np.int64)
    if not shown.all():
        piece[~shown] = 1 + _islands(triangles[~shown], direction[~shown])
    plane = np.where(shown[:, None, None], cylinder, _flatten(corners, direction))
    return plane, piece


def _unroll(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Arc length and height (F, 3, 2) mm on a cylinder about the face, and the distance from its axis (F, 3) mm.

    A triangle across the cut at the back goes on beyond it, to the right.
    """
    x, z = corners[..., 0], corners[..., 2]
    # the circle x^2 + z^2 = 2 a x + 2 b z + c that fits best (Kasa 1976)
    system = np.column_stack([2 * x.ravel(), 2 * z.ravel(), np.ones(x.size)])
    a, b, c = np.linalg.lstsq(system, (x * x + z * z).ravel(), rcond=None)[0]
    angle, radius = np.arctan2(x - a, z - b), np.hypot(x - a, z - b)
    across = np.ptp(angle, axis=1, keepdims=True) > math.pi
    angle = np.where(across & (angle < 0), angle + 2 * math.pi, angle)
    return np.stack([angle * math.sqrt(max(c + a * a + b * b, 1.0)), corners[..., 1]], -1), radius


def _area(plane: np.ndarray) -> np.ndarray:
    """Area (F,) of triangles (F, 3, 2), negative where the corners run clockwise."""
    first, second = plane[:, 1] - plane[:, 0], plane[:, 2] - plane[:, 0]
    return (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / 2


def _buried(plane: np.ndarray, radius: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Which triangles (F,) have a corner or their middle below the outermost surface of those `shown`."""
    low = plane.min((0, 1))
    scale = _GRID_PX / max(np.ptp(plane, axis=(0, 1)).max(), 1e-6)
    height = math.ceil(np.ptp(plane[..., 1]) * scale) + 1
    place = (plane - low) * scale
    outward = radius.max() + 10 - radius  # depth as seen from outside
    soup = np.concatenate([place, outward[..., None]], -1)[shown].reshape(1, -1, 3)
    triangles = torch.arange(soup.shape[1]).view(-1, 3)
    top = rasterize(torch.from_numpy(soup), triangles, (height, _GRID_PX)).depth[0].numpy()
    deepest = maximum_filter(top, 3, mode="nearest")  # 0 where there is nothing
    places = np.concatenate([place, place.mean(1, keepdims=True)], 1)
    depths = np.concatenate([outward, outward.mean(1, keepdims=True)], 1)
    column, row = (np.clip(places[..., i].astype(int), 0, side - 1) for i, side in ((0, _GRID_PX), (1, height)))
    return ((depths > deepest[row, column] + BURIED_MM) & (deepest[row, column] > 0)).any(1)


def _directions(normal: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Direction (F,) that each triangle and those around it face: axis x, y, z, plus 3 if to the negative side."""
    around = np.zeros((triangles.max() + 1, 3))
    for corner in triangles.T:
        np.add.at(around, corner, normal)
    mean = around[triangles].sum(1)
    axis = np.abs(mean).argmax(1)
    return axis + 3 * (np.take_along_axis(mean, axis[:, None], 1)[:, 0] < 0)


def _flatten(corners: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Triangles (F, 3, 3) as seen along the direction that they face (F,): (F, 3, 2) mm, y up."""
    x, y, z = np.moveaxis(corners, -1, 0)
    right = (-z, x, x, z, x, -x)
    up = (y, -z, y, y, z, y)
    return np.stack(
        [sum((direction == k)[:, None] * plane for k, plane in enumerate(planes)) for planes in (right, up)], -1
    )


def _islands(triangles: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Number (F,) the connected parts of triangles that face one direction."""
    # a node for every vertex in every direction
    nodes = triangles * 6 + direction[:, None]
    ends = np.concatenate([nodes[:, :2], nodes[:, 1:]])
    count = int(nodes.max()) + 1
    label = connected_components(sparse.coo_array((np.ones(len(ends)), ends.T), (count, count)))[1]
    return np.unique(label[nodes[:, 0]], return_inverse=True)[1]


def _largest(triangles: np.ndarray) -> np.ndarray:
    """Which triangles (F,) are of the connected part that has the most."""
    part = _islands(triangles, np.zeros(len(triangles), np.int64))
    return part == np.bincount(part).argmax()


def _pack(plane: np.ndarray, piece: np.ndarray) -> tuple[np.ndarray, float]:
    """Put the pieces side by side into a square: the cylinder above, the others in rows below, as large as they fit.

    Returns:
        Corners (F, 3, 2) mm from the square's lower left corner, and the side of the square in mm.
    """
    count = piece.max() + 1
    low, high = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    np.minimum.at(low, piece, plane.min(1))
    np.maximum.at(high, piece, plane.max(1))
    size = np.where(np.isfinite(low), high - low, 0.0)
    side = max(size[0, 0], size[0, 1] / (1 - STRIP), 1.0) / (1 - 4 * PADDING)
    gap = PADDING * side
    room = side - size[0, 1] - 2 * gap
    scale, corner = 1.0, _shelves(size[1:], side, gap)
    while corner[1] > room and scale > 1e-3:
        scale *= 0.9
        corner = _shelves(size[1:] * scale, side, gap)
    origin = np.concatenate([[(gap, side - size[0, 1] - gap)], corner[0]])
    factor = np.where(np.arange(count) == 0, 1.0, scale)
    low = np.where(np.isfinite(low), low, 0.0)
    return (plane - low[piece][:, None]) * factor[piece][:, None, None] + origin[piece][:, None], float(side)


def _shelves(size: np.ndarray, width: float, gap: float) -> tuple[np.ndarray, float]:
    """Lower left corners (N, 2) of rectangles (N, 2) in rows `width` long, the highest first, and the rows' height."""
    corner = np.zeros_like(size)
    x, y, row = gap, gap, 0.0
    for index in np.argsort(-size[:, 1], kind="stable"):
        w, h = size[index]
        if x + w + gap > width:
            x, y, row = gap, y + row + gap, 0.0
        corner[index] = x, y
        x, row = x + w + gap, max(row, h)
    return corner, y + row + gap


def _rows(uv: np.ndarray, piece: np.ndarray, triangles: np.ndarray, vertices: int) -> Unwrapping:
    """Join corners of one vertex at one place. Row i < V is of vertex i; further rows are those of cuts.

    Args:
        uv: (F, 3, 2) of the corners, in [0, 1].
        piece: (F,).
        triangles: (F, 3).
        vertices: number of vertices V.
    """
    # what goes on beyond the cut at the back is at another place than the same vertex to the left of it
    shifted = (piece == 0)[:, None] & (uv[..., 0] > 0.5)
    key = (triangles * (piece.max() + 2) + np.where(shifted, piece.max() + 1, piece[:, None])).ravel()
    found, first, row = np.unique(key, return_index=True, return_inverse=True)
    owner = triangles.ravel()[first]
    is_first = np.append(True, owner[1:] != owner[:-1])
    place = np.empty(len(found), np.int64)
    place[is_first] = owner[is_first]
    place[~is_first] = vertices + np.arange((~is_first).sum())
    rows_uv = np.zeros((vertices + int((~is_first).sum()), 2))
    rows_uv[place] = np.clip(uv.reshape(-1, 2)[first], 0, 1)
    vertex = np.append(np.arange(vertices), owner[~is_first])
    return Unwrapping(rows_uv, vertex, place[row].reshape(-1, 3))
