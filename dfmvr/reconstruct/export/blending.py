"""How much each photograph counts at each place of a face.

In     a `Reconstruction` and its model's atlas.
Gives  for each view a weight at every vertex: 0 where the view does not show it, falling off toward silhouettes and the
       photograph's edges, and larger the more squarely the surface faces the camera.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch

from dfmvr.geometry.resampling import sample
from dfmvr.reconstruct.export.atlas import Atlas
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


def view_weights(face: Reconstruction, atlas: Atlas, normals: np.ndarray) -> list[np.ndarray]:
    """Weight (V,) in [0, 1] of each view at the vertices; 0 where it does not show them.

    Args:
        face: the face.
        atlas: its model's.
        normals: (V, 3) of its vertices, canonical frame.
    """
    places = [face.project(view) for view in face.views]
    shown, rims = _shown(face, places)
    # half of what is around a silhouette is hidden: there the smoothed values pass 0.5
    shown = np.clip(2 * atlas.smooth(shown, FEATHER_MM) - 1, 0, 1)
    result = []
    for view, place, inside, rim in zip(face.views, places, shown.T, rims, strict=True):
        ray = face.camera(view).position - face.vertices_in(view)
        cosine = np.einsum("vi,vi->v", normals, ray) / np.sqrt(np.einsum("vi,vi->v", ray, ray))
        facing = np.clip((cosine - GRAZING) / (1 - GRAZING), 0, 1) ** FACING_POWER
        x, y = (place[:, i] / view.photo.shape[1 - i] for i in (0, 1))
        edge = np.clip(np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) / EDGE_SHARE, 0, 1)
        result.append(facing * edge * inside * rim * _on_face(view, place))
    return result


def _shown(face: Reconstruction, places: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Which vertices each view shows, by a z-buffer (V, views), and whether they are clear of the outline (V,).

    Args:
        face: the face.
        places: (V, 3) photograph's pixels and depth of the vertices, a view each.
    """
    scaled, sizes = [], []
    for place in places:
        low, high = place.min(0), place.max(0)
        sizes.append(max(high[:2] - low[:2]) / (_BUFFER_PX - 1))
        scaled.append((place - (*low[:2], 0)) / (sizes[-1], sizes[-1], 1))
    buffers = rasterize(torch.from_numpy(np.stack(scaled)).float(), face.model.triangles, _BUFFER_PX).depth.numpy()
    shown, clear = np.empty((len(face.vertices), len(places)), np.float32), []
    for i, (view, place, depth) in enumerate(zip(face.views, scaled, buffers, strict=True)):
        # the deepest of the pixels around, as a surface seen aslant is deeper there
        around = cv2.dilate(depth, np.ones((3, 3), np.uint8))
        column, row = (np.clip(place[:, k].astype(np.int64), 0, _BUFFER_PX - 1) for k in (0, 1))
        shown[:, i] = place[:, 2] <= around[row, column] + _DEEPER_MM
        framed = np.pad((depth > 0).astype(np.uint8), 1)  # the face reaches to the edges of the buffer
        inward = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[row + 1, column + 1] - 1
        reach = max(RIM_PX, RIM_MM * face.camera(view).px_per_mm) / sizes[i]
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
