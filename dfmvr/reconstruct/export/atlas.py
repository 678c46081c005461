"""What baking a texture needs to know about a face model, worked out once for each model.

In     a face model: the mean face alone.
Gives  an `Atlas`: the unwrapping of its mesh, which texel shows what, and averages over the mesh.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from scipy import sparse
from scipy.ndimage import distance_transform_edt
from scipy.sparse.linalg import splu

from dfmvr.face_model.model import MorphableModel
from dfmvr.geometry.adjacency import neighbours
from dfmvr.geometry.textured import Unwrapping
from dfmvr.reconstruct.export.unwrap import unwrap
from dfmvr.rendering.rasterizer import rasterize_hits

CELL_MM = 20.0
"""Size of the cells of space in which smooth values are summed before they are carried over the face."""


_HELD = 30.0
"""How much more a value that is known counts than that neighbours are alike."""


class Texels(NamedTuple):
    """What the texels of an image of a given size show."""

    pixel: np.ndarray  # (M,) flat index of each covered texel
    weights: sparse.csr_array  # (M, V) float32, times values of vertices gives those of texels
    bare: np.ndarray  # (N,) flat index of the other texels
    nearest: np.ndarray  # (N,) row of `pixel` nearest to each


class Atlas:
    """A model's unwrapping and what baking a texture needs to know about the mesh."""

    def __init__(
        self, mean: np.ndarray, triangles: np.ndarray, unwrapped: tuple[Unwrapping, float] | None = None
    ) -> None:
        """Unwrap a mesh.

        Args:
            mean: (V, 3) mm, y up, face toward +z.
            triangles: (F, 3), counter-clockwise seen from outside.
            unwrapped: what `unwrap` gives, if it is known.
        """
        self.triangles, self._mean = triangles, mean
        self.vertex_count = len(mean)
        corners = mean[triangles]
        self.unwrapping, self.width_mm = unwrapped or unwrap(mean, triangles)
        edges = np.linalg.norm(corners - np.roll(corners, 1, 1), axis=-1)
        self.edge_mm = float(np.median(edges))
        self._texels: dict[int, Texels] = {}

    @cached_property
    def neighbours(self) -> sparse.csr_array:
        """(V, V) float32: the mean of each vertex and its neighbours on the mesh."""
        near = neighbours(self.triangles, self.vertex_count) + sparse.eye_array(self.vertex_count, dtype=np.float32)
        near = sparse.diags_array((1 / near.sum(1)).astype(np.float32)) @ near
        return near.tocsr()

    def smooth(self, values: np.ndarray, reach_mm: float) -> np.ndarray:
        """Average values (V,) or (V, C) over the mesh as far as about `reach_mm`."""
        steps = min(40, max(1, round((reach_mm / max(self.edge_mm, 1e-6)) ** 2)))
        for _ in range(steps):
            values = self.neighbours @ values
        return values

    def spread(self, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Carry smooth values (V, C), known as far as their weights (V,) say, to all vertices, by Shepard's method."""
        cells, nearness = self._cells
        held = np.column_stack([values * weights[:, None], weights])
        total = nearness @ (cells @ held.astype(np.float32))
        return total[:, :-1] / np.maximum(total[:, -1:], 1e-12)

    def continued(self, values: np.ndarray, weights: np.ndarray, far: np.ndarray, reach_mm: float) -> np.ndarray:
        """Carry values (V, C) on over the mesh, with no steps, to `far` (V, C) as far away as `reach_mm`.

        The sum of squares that is least: of differences along edges, of those from the values, by their weights (V,)
        in [0, 1], and of those from `far`, by so little that it shows at that distance.
        """
        near = neighbours(self.triangles, self.vertex_count).astype(np.float64)
        laplacian = sparse.diags_array(near.sum(1)) - near
        known = _HELD * np.asarray(weights, np.float64)
        pull = (self.edge_mm / reach_mm) ** 2
        system = laplacian + sparse.diags_array(known + pull)
        return splu(system.tocsc()).solve(known[:, None] * values + pull * far)

    @cached_property
    def _cells(self) -> tuple[sparse.csr_array, np.ndarray]:
        """Sums over the vertices of each cell of space (cells, V), and how near cells count to vertices (V, cells)."""
        corner = np.floor((self._mean - self._mean.min(0)) / CELL_MM).astype(np.int64)
        cell = np.unique(corner, axis=0, return_inverse=True)[1].ravel()
        entries = (np.ones(len(cell), np.float32), (cell, np.arange(len(cell))))
        cells = sparse.csr_array(sparse.coo_array(entries))
        mean = self._mean.astype(np.float32)
        middle = (cells @ mean) / cells.sum(1)[:, None]
        # squared distances, in cells; no smaller than half a cell
        distance = (-2 / CELL_MM**2) * (mean @ middle.T)
        distance += np.square(mean / CELL_MM).sum(1)[:, None] + np.square(middle / CELL_MM).sum(1) + 0.25
        return cells, 1 / np.square(np.maximum(distance, 0.25))

    def texels(self, size: int) -> Texels:
        """What the texels of an image `size` wide and high show; made once for each size."""
        if size not in self._texels:
            self._texels[size] = self._find_texels(size)
        return self._texels[size]

    def _find_texels(self, size: int) -> Texels:
        unwrapping = self.unwrapping
        flat = np.column_stack([unwrapping.uv * (size, -size) + (0, size), np.full(len(unwrapping.uv), 10.0)])
        triangles = torch.from_numpy(unwrapping.triangles)
        faces, hits = rasterize_hits(torch.from_numpy(flat).float()[None], triangles, size)
        pixel, corner = hits.pixel.numpy(), unwrapping.vertex[hits.corner.numpy().T]
        starts = np.arange(0, 3 * len(pixel) + 1, 3, dtype=np.int32)
        entries = (hits.bary.T.contiguous().numpy().astype(np.float32).ravel(), corner.astype(np.int32).ravel(), starts)
        weights = sparse.csr_array(entries, shape=(len(pixel), self.vertex_count))
        empty = (faces[0] < 0).numpy()
        bare = np.flatnonzero(empty)
        # not OpenCV's labels: its distances are sums of steps, by which texels up to 4 % farther away are taken
        place = distance_transform_edt(empty, return_distances=False, return_indices=True)
        order = np.zeros(empty.size, np.int64)
        order[pixel] = np.arange(len(pixel))
        return Texels(pixel, weights, bare, order[np.ravel_multi_index(place, empty.shape).ravel()[bare]])


_ATLASES: WeakKeyDictionary[MorphableModel, Atlas] = WeakKeyDictionary()


def atlas_of(model: MorphableModel) -> Atlas:
    """The model's atlas; made at the first call."""
    if model not in _ATLASES:
        _ATLASES[model] = Atlas(model.mean.double().numpy(), model.triangles.numpy())
    return _ATLASES[model]
