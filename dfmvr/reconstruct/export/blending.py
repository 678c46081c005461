"""How much each photograph counts at each place of a face.

In     a surface, such as a `Reconstruction`'s face, and the photographs that show it.
Gives  for each view a weight at every vertex: 0 where the view does not show it, falling off toward silhouettes and the
       photograph's edges, and larger the more squarely the surface faces the camera.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch

from dfmvr.geometry.normals import mesh_normals
from dfmvr.geometry.resampling import sample
from dfmvr.reconstruct.export.atlas import Atlas, atlas_of
from dfmvr.reconstruct.photographs.reconstruction import Reconstruction, SeenView
from dfmvr.rendering.rasterizer import rasterize

FACING_POWER = 4.0
"""ASSUME: a view counts by this power of the cosine between the surface's normal and the ray to the camera: blended
over less of the face, views that the mesh does not fit to the pixel blur it less."""

GRAZING = 0.25
"""ASSUME: a surface seen at a cosine below this shows background as likely as skin."""

FEATHER_MM = 4.0
"""ASSUME: over about this length a view's weight falls to nothing at a silhouette: the mesh may be off by as much."""

RIM_MM, RIM_PX = 4.0, 2.0
"""ASSUME: beside the face's outline a pixel shows background too; the longer of these is left to other views."""

MASK_BLUR = 0.01
"""A mask's border is blurred by this part of its width."""

EDGE_SHARE = 0.02
"""A view's weight falls to nothing over this part of the photograph's width and height at its edges."""

_BUFFER_PX = 192  # width and height of the depth images; a pixel is about 1 mm
_DEEPER_MM = 2.5  # what lies this far behind the surface that a view shows is hidden


class SeenSurface(NamedTuple):
    """What is to be painted, as the photographs of a face show it. V are the atlas's vertices."""

    face: Reconstruction
    atlas: Atlas
    normals: np.ndarray  # (V, 3), canonical frame
    shapes: tuple[np.ndarray, ...]  # of each photograph (W, 3) mm; vertices after the first V only hide those
    triangles: np.ndarray  # (F, 3) of all W vertices
    parsed: np.ndarray  # (V,) bool, what the parser knows: it shall take a photograph's pixel for the face


def surface_of(face: Reconstruction) -> SeenSurface:
    """The face itself."""
    shapes = tuple(face.vertices_in(view) for view in face.views)
    normals = mesh_normals(face.vertices, face.triangles)
    parsed = np.ones(len(normals), bool)
    return SeenSurface(face, atlas_of(face.model), normals, shapes, face.triangles, parsed)


def view_weights(surface: SeenSurface) -> list[np.ndarray]:
    """Weight (V,) in [0, 1] of each view at the vertices; 0 where it does not show them."""
    face, count = surface.face, surface.atlas.vertex_count
    places = [face.project(view, shape) for view, shape in zip(face.views, surface.shapes, strict=True)]
    shown, rims = _shown(surface, places)
    # half of what is around a silhouette is hidden: there the smoothed values pass 0.5
    shown = np.clip(2 * surface.atlas.smooth(shown, FEATHER_MM) - 1, 0, 1)
    result = []
    for view, shape, whole, inside, rim in zip(face.views, surface.shapes, places, shown.T, rims, strict=True):
        place = whole[:count]
        ray = face.camera(view).position - shape[:count]
        cosine = np.einsum("vi,vi->v", surface.normals, ray) / np.sqrt(np.einsum("vi,vi->v", ray, ray))
        facing = np.clip((cosine - GRAZING) / (1 - GRAZING), 0, 1) ** FACING_POWER
        x, y = (place[:, i] / view.photo.shape[1 - i] for i in (0, 1))
        edge = np.clip(np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) / EDGE_SHARE, 0, 1)
        result.append(facing * edge * inside * rim * np.where(surface.parsed, _on_face(view, place), 1))
    return result


def _shown(surface: SeenSurface, places: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Which vertices each view shows, by a z-buffer (V, views), and whether they are clear of the outline (V,).

    Args:
        surface: the surface.
        places: (W, 3) photograph's pixels and depth of all vertices, a view each.
    """
    scaled, sizes = [], []
    for place in places:
        low, high = place.min(0), place.max(0)
        sizes.append(max(high[:2] - low[:2]) / (_BUFFER_PX - 1))
        scaled.append((place - (*low[:2], 0)) / (sizes[-1], sizes[-1], 1))
    triangles, count = torch.from_numpy(surface.triangles), surface.atlas.vertex_count
    buffers = rasterize(torch.from_numpy(np.stack(scaled)).float(), triangles, _BUFFER_PX).depth.numpy()
    shown, clear = np.empty((count, len(places)), np.float32), []
    for i, (view, whole, depth) in enumerate(zip(surface.face.views, scaled, buffers, strict=True)):
        place = whole[:count]
        # the deepest of the pixels around, as a surface seen aslant is deeper there
        around = cv2.dilate(depth, np.ones((3, 3), np.uint8))
        column, row = (np.clip(place[:, k].astype(np.int64), 0, _BUFFER_PX - 1) for k in (0, 1))
        shown[:, i] = place[:, 2] <= around[row, column] + _DEEPER_MM
        framed = np.pad((depth > 0).astype(np.uint8), 1)  # the face reaches to the edges of the buffer
        inward = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[row + 1, column + 1] - 1
        reach = max(RIM_PX, RIM_MM * surface.face.camera(view).px_per_mm) / sizes[i]
        clear.append(np.clip(inward / reach, 0, 1))
    return shown, clear


def _on_face(view: SeenView, place: np.ndarray) -> np.ndarray:
    """Share (V,) of what is around each vertex in the photograph that the parser takes for the face."""
    if view.mask is None:
        return np.ones(len(place), np.float32)
    mask = (view.mask > 0).astype(np.float32)
    blurred = cv2.GaussianBlur(mask, (0, 0), len(mask) * MASK_BLUR, borderType=cv2.BORDER_REPLICATE)
    found = sample(blurred, place[:, :2] @ view.affine[:, :2].T + view.affine[:, 2])
    return np.clip(2 * found - 1, 0, 1)
