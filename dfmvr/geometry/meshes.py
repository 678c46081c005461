"""Triangle meshes and landmark files: reading, checking, writing. In memory all lengths are millimetres.

PLY  binary, vertex colours as 8-bit sRGB.
OBJ  geometry alone: strict readers (NoW's among them) refuse the common `v x y z r g b` extension. With a texture, a
     material (.mtl) and the image (.png) of the same name are written beside it.
GLB  glTF 2.0 binary. Its unit is the metre and its vertex colours are linear, so both are converted. It holds its
     texture; vertices where that is cut are there twice.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from dfmvr.colour import decode_srgb
from dfmvr.conventions import ALIGNMENT_POINTS
from dfmvr.errors import DataError, OutputError
from dfmvr.files import writing
from dfmvr.geometry.by_trimesh import GLTF, read_by_trimesh
from dfmvr.geometry.gltf import glb_bytes
from dfmvr.geometry.named_points import read_named_points
from dfmvr.geometry.normals import mesh_normals
from dfmvr.geometry.textured import Texture, mtl_text, obj_text, ply_bytes
from dfmvr.geometry.wavefront import read_obj

Unit = Literal["mm", "cm", "dm", "m"]
MM_PER_UNIT: dict[str, float] = {"mm": 1.0, "cm": 10.0, "dm": 100.0, "m": 1000.0}
SUFFIXES = (".ply", ".obj", ".glb", ".gltf", ".stl", ".off")
_WRITTEN = (".ply", ".obj", ".glb")


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh."""

    vertices: np.ndarray  # (V, 3) float64, mm
    triangles: np.ndarray  # (F, 3) int64, counter-clockwise seen from outside
    colours: np.ndarray | None = None  # (V, 3) float64 in [0, 1], sRGB-encoded as displayed
    texture: Texture | None = None  # for OBJ and GLB, in place of the colours; PLY keeps to these


def read_mesh(path: Path | str, unit: Unit | None = None) -> Mesh:
    """Read a PLY, OBJ, GLB/glTF, STL or OFF file; scenes become one mesh.

    The order of its vertices is kept. Triangles name the first of those at one place: the others belong to none.
    Triangles that are there twice (surfaces with two sides) count once.

    Args:
        path: the file.
        unit: unit of the file's lengths; None is mm, and m for GLB/glTF, whose standard fixes it.
    Returns:
        The mesh in mm, with colours if the file has vertex colours or a texture image.
    Raises:
        DataError: missing, unreadable, no vertices or triangles, vertices not finite, or an index out of range.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path}: expected a mesh file ({', '.join(SUFFIXES)}), found '{path.suffix or path.name}'")
    if not path.is_file():
        raise DataError(f"{path}: no such file; check the path")
    try:
        vertices, triangles, colours = read_obj(path) if suffix == ".obj" else read_by_trimesh(path)
    except DataError:
        raise
    except Exception as error:  # trimesh raises whatever its parsers do: any of it means an unreadable file
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(
            f"{path}: not readable as {path.suffix[1:].upper()} ({reason}); export it again, as triangles"
        ) from error
    mesh = Mesh(vertices * MM_PER_UNIT[unit_of(path, unit)], triangles, colours)
    check_mesh(mesh, str(path))
    return replace(mesh, triangles=joined(mesh.vertices, mesh.triangles))


def unit_of(path: Path, unit: Unit | None = None) -> Unit:
    """The unit of a mesh file: what is said of it, else what its standard says (glTF is in metres), else mm."""
    return unit or ("m" if path.suffix.lower() in GLTF else "mm")


def joined(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Triangles (F', 3) that name, of vertices at one place, the first; without those that are there twice or a line.

    STL has vertices for each triangle, GLB and OBJ where a texture is cut: unjoined, the surface is open there. The
    vertices stay as they are, so that their order is the file's.
    """
    place = _first_equal(vertices)[triangles]
    corners = np.sort(place, 1)
    once = _first_equal(corners) == np.arange(len(corners))
    return place[once & (np.diff(corners) != 0).all(1)]


def _first_equal(rows: np.ndarray) -> np.ndarray:
    """Index (N,) of the first row that equals each of the rows (N, K)."""
    order = np.lexsort(rows.T)
    new = np.append(True, (np.diff(rows[order], axis=0) != 0).any(1))
    result = np.empty(len(rows), np.int64)
    result[order] = np.minimum.reduceat(order, np.flatnonzero(new))[np.cumsum(new) - 1]
    return result


def check_mesh(mesh: Mesh, where: str) -> None:
    """Check that a mesh can be computed with.

    Raises:
        DataError: no vertices or triangles, vertices not finite, or a triangle of a vertex that is not there.
    """
    count = len(mesh.vertices)
    if count == 0:
        raise DataError(f"{where}: expected vertices, found none; export the mesh again")
    broken = int((~np.isfinite(mesh.vertices).all(1)).sum())
    if broken:
        raise DataError(f"{where}: {broken} of {count} vertices are not finite (NaN or infinite); remove them")
    if len(mesh.triangles) == 0:
        raise DataError(f"{where}: expected triangles, found none; export the surface, not its points")
    low, high = int(mesh.triangles.min()), int(mesh.triangles.max())
    if low < 0 or high >= count:
        bad = low if low < 0 else high
        raise DataError(
            f"{where}: a triangle names vertex {bad}, but there are {count} (0 to {count - 1}); export again"
        )
    if mesh.texture is not None:
        unwrapping = mesh.texture.unwrapping
        if not np.array_equal(unwrapping.vertex[unwrapping.triangles], mesh.triangles):
            raise DataError(f"{where}: the texture is of another mesh than the triangles; unwrap this one")


def write_mesh(path: Path | str, mesh: Mesh) -> None:
    """Write a mesh as PLY, OBJ or GLB by the suffix of `path`, atomically; see the module for each format.

    Raises:
        DataError: the mesh is broken (see `check_mesh`).
        OutputError: another suffix, or the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _WRITTEN:
        raise OutputError(f"{path}: expected a name ending in {', '.join(_WRITTEN)}; rename the output")
    check_mesh(mesh, str(path))
    colours = None if mesh.colours is None else np.clip(mesh.colours, 0, 1)
    files = {}
    if suffix == ".obj":
        if mesh.texture is not None:
            files = {".png": mesh.texture.png, ".mtl": mtl_text(path.stem).encode()}
        content = obj_text(mesh.vertices, mesh.triangles, mesh.texture, path.stem).encode()
    elif suffix == ".glb":
        normals = mesh_normals(mesh.vertices, mesh.triangles)
        linear = None if colours is None else _bytes(decode_srgb(colours))
        content = glb_bytes(mesh.vertices * 1e-3, mesh.triangles, normals, linear, mesh.texture)
    else:
        content = ply_bytes(mesh.vertices, mesh.triangles, None if colours is None else _bytes(colours))
    for ending, data in (files | {path.suffix: content}).items():
        with writing(path.with_suffix(ending)) as partial:
            partial.write_bytes(data)


def _bytes(colours: np.ndarray) -> np.ndarray:
    """Colours in [0, 1] as 0 to 255."""
    return np.round(colours * 255).astype(np.uint8)


def read_landmarks(path: Path | str, unit: Unit = "mm", names: Sequence[str] = ALIGNMENT_POINTS) -> np.ndarray:
    """Read the seven alignment points by their names, see `dfmvr.geometry.named_points`; further ones are passed over.

    Returns:
        (7, 3) mm in the order of `names`, by which the file calls them.
    Raises:
        DataError: the file is missing or damaged, or a name is missing.
    """
    points = read_named_points(path)
    missing = [name for name in names if name not in points]
    if missing:
        unknown = [name for name in points if name not in names]
        problem = f"missing {', '.join(missing)}" + (f"; unknown {', '.join(unknown)[:200]}" if unknown else "")
        raise DataError(f"{path}: {problem}; expected the landmarks {', '.join(names)}")
    return np.array([points[name] for name in names]) * MM_PER_UNIT[unit]


def write_landmarks(path: Path | str, points: np.ndarray) -> None:
    """Write the seven alignment points (7, 3) mm, in the order of `conventions.ALIGNMENT_POINTS`, atomically."""
    write_named_landmarks(path, dict(zip(ALIGNMENT_POINTS, np.asarray(points, np.float64), strict=True)))


def write_named_landmarks(path: Path | str, points: Mapping[str, np.ndarray]) -> None:
    """Write points by name, each (3,) mm, atomically; `read_landmarks` needs the seven alignment points among them."""
    with writing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "x", "y", "z"))
        for name, point in points.items():
            writer.writerow((name, *(f"{value:.6f}" for value in point)))
