"""Delaunay triangulation of a range image and its cleaning.

The triangulation is two-dimensional. In the sensor's own rows and columns it joins what the sensor saw side by side,
whatever the shape; in x and y, as the paper does it, a face turned to the side overlaps itself. Either way it covers
the convex hull of the points, so triangles that bridge holes and steps in depth are dropped by the length of their
edges and by their angles, and the largest connected part is kept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Delaunay, QhullError

from dfmvr.config.data import MeshSection
from dfmvr.datasets.bosphorus.range_image import RangeImage
from dfmvr.errors import DataError
from dfmvr.geometry.normals import triangle_normals

LARGEST_MM = 5000.0
"""ASSUME: no range image of a face is larger; one that is has another unit or another mark of the background."""

_SHEAR = 0.25
"""The four corners of a cell of a grid lie on one circle, so that its Delaunay triangulation is not unique. Sheared,
they do not: both triangles of every cell are determined, and all diagonals run the same way."""


class Triangulation(NamedTuple):
    """A surface made of a range image's points."""

    vertices: np.ndarray  # (V, 3) mm, in the order of the rows of the image
    triangles: np.ndarray  # (F, 3), counter-clockwise seen from the sensor
    pixels: np.ndarray  # (V,) row * W + column of each vertex
    dropped: int  # valid points that are in no triangle
    components: int  # connected parts, of which the largest is kept
    holes: int
    area_mm2: float

    def numbers(self) -> dict[str, float]:
        """What a table of meshes tells about one."""
        counts = {"dropped": self.dropped, "components": self.components, "holes": self.holes}
        return {"vertices": len(self.vertices), "triangles": len(self.triangles), **counts, "area_mm2": self.area_mm2}


def triangulate(image: RangeImage, settings: MeshSection, where: str = "range image") -> Triangulation:
    """Make a triangle mesh of a range image.

    Args:
        image: the points. Without a grid, in a single row, they are triangulated in x and y whatever the settings.
        settings: plane of the triangulation, longest edge, smallest angle.
        where: what errors call the image.
    Raises:
        DataError: fewer than three points, all on a line, implausibly large, or no triangle is left.
    """
    pixels = np.flatnonzero(image.valid)
    points = image.points.reshape(-1, 3)[pixels]
    _check_points(points, where)
    grid = settings.parameters == "grid" and min(image.points.shape[:2]) > 1
    triangles = _delaunay(_grid_plane(pixels, image.points.shape[1]) if grid else points[:, :2], where)
    triangles = triangles[_well_shaped(points[triangles], settings)]
    if not len(triangles):
        raise DataError(
            f"{where}: no triangle of {len(points)} points has edges up to {settings.longest_edge_mm:g} mm and angles "
            f"from {settings.smallest_angle_deg:g} degrees on; check the unit or change the section mesh"
        )
    labels = _parts(triangles)
    sizes = np.bincount(labels)
    kept, corners = np.unique(triangles[labels == sizes.argmax()], return_inverse=True)
    triangles = _toward_sensor(points[kept], corners.reshape(-1, 3))
    return Triangulation(
        points[kept],
        triangles,
        pixels[kept],
        dropped=len(points) - len(kept),
        components=len(sizes),
        holes=_holes(triangles, len(kept)),
        area_mm2=float(np.linalg.norm(triangle_normals(points[kept][triangles]), axis=1).sum() / 2),
    )


def _check_points(points: np.ndarray, where: str) -> None:
    """Check that there is something to triangulate, of the size of a face."""
    if len(points) < 3:
        raise DataError(f"{where}: expected a surface, found {len(points)} valid points; leave the scan out")
    with np.errstate(over="ignore"):  # damaged numbers may be as large as float64 allows
        size = float(np.ptp(points, axis=0).max())
    if not size <= LARGEST_MM:
        raise DataError(
            f"{where}: expected millimetres, but the points would fill {size:.4g} mm; check the unit and the mark of "
            "the background"
        )


def _grid_plane(pixels: np.ndarray, width: int) -> np.ndarray:
    """Columns and rows of points as plane coordinates (N, 2), x to the right and y up."""
    row, column = np.divmod(pixels, width)
    return np.stack([column + _SHEAR * row, -row], -1).astype(np.float64)


def _delaunay(plane: np.ndarray, where: str) -> np.ndarray:
    """Delaunay triangles (F, 3) of points (N, 2), counter-clockwise in the plane."""
    try:
        triangles = Delaunay(plane).simplices.astype(np.int64)
    except QhullError:
        raise DataError(
            f"{where}: expected a surface, but the {len(plane)} points lie on a line; leave it out"
        ) from None
    a, b, c = np.moveaxis(plane[triangles], 1, 0)
    ab, ac = b - a, c - a
    clockwise = ab[:, 0] * ac[:, 1] < ab[:, 1] * ac[:, 0]
    triangles[clockwise] = triangles[clockwise][:, ::-1]
    return triangles


def _well_shaped(corners: np.ndarray, settings: MeshSection) -> np.ndarray:
    """Which triangles (F, 3, 3) have neither too long an edge nor too small an angle."""
    edges = np.sort(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2), axis=1)
    doubled_area = np.linalg.norm(triangle_normals(corners), axis=1)
    # The smallest angle lies between the two longest edges and is at most 60 degrees, where the sine grows.
    sine = np.sin(np.radians(settings.smallest_angle_deg))
    sharp = doubled_area < sine * edges[:, 1] * edges[:, 2]
    return (edges[:, 2] <= settings.longest_edge_mm) & ~sharp & (doubled_area > 0)


def _edges(triangles: np.ndarray) -> np.ndarray:
    """The three edges of every triangle, (3F, 2), the smaller vertex first; edge i belongs to triangle i % F."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return np.sort(edges, axis=1)


def _parts(triangles: np.ndarray) -> np.ndarray:
    """Number of the part (F,) that each triangle belongs to; triangles are connected where they share an edge."""
    edges = _edges(triangles)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    same = (edges[order[1:]] == edges[order[:-1]]).all(1)
    count = len(triangles)
    one, two = order[1:][same] % count, order[:-1][same] % count
    links = coo_array((np.ones(len(one), bool), (one, two)), shape=(count, count))
    return connected_components(links, directed=False)[1]


def _toward_sensor(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Turn all triangles over if most of the surface shows its back to the sensor, which looks along -z."""
    towards = triangle_normals(vertices[triangles])[:, 2].sum()
    return triangles if towards >= 0 else triangles[:, ::-1]


def _holes(triangles: np.ndarray, vertex_count: int) -> int:
    """Count the holes of a connected surface that lies in a plane without overlap, by Euler's formula."""
    edge_count = len(np.unique(_edges(triangles), axis=0))
    return 1 - (vertex_count - edge_count + len(triangles))
