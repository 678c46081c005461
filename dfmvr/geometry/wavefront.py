"""OBJ files of any program: the surface as it is written, and the colours of its vertices.

Not by trimesh (5.2), which is wrong here: it takes relative indices to count from the end of the file, where the
standard counts from the vertices read so far; it stops silently at a number that it cannot read; and it gives each
material vertices of its own, so that a surface of two materials comes apart. Its readers of materials and images serve.

Source: Wavefront, Advanced Visualizer manual, appendix B1 ("Object files").
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dfmvr.errors import DataError
from dfmvr.files import decode_text

_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_REMARK = re.compile(r"(?:^|\s)#")  # not that of 1.#QNAN
_CONTINUED = re.compile(r"\\(\r\n|\r|\n)")


class ObjSurface(NamedTuple):
    """What an OBJ file holds."""

    vertices: np.ndarray  # (V, 3) float64, in the unit and order of the file
    triangles: np.ndarray  # (F, 3) int64; polygons are cut as fans from their first corner
    colours: np.ndarray | None  # (V, 3) float64 in [0, 1], sRGB-encoded: of the vertices, else of the texture


class _Corners:
    """The corners of triangles, and how many there are before each material."""

    def __init__(self) -> None:
        self.vertex: list[int] = []
        self.texture: list[int] = []  # -1 where a corner has no place in the texture
        self.materials: list[tuple[str, int]] = []

    def add(self, words: list[str], vertices: int, places: int) -> None:
        """Add the corners `v`, `v/t`, `v//n` or `v/t/n` of one polygon, after so many vertices and places."""
        corners = []
        for word in words:
            first, _, rest = word.partition("/")
            second = rest.partition("/")[0]
            corners.append((_index(first, vertices), _index(second, places) if second else -1))
        for pair in itertools.pairwise(corners[1:]):
            for vertex, texture in (corners[0], *pair):
                self.vertex.append(vertex)
                self.texture.append(texture)


def _index(word: str, count: int) -> int:
    """Count from 0 what OBJ counts from 1, or backwards from the last of the `count` read so far."""
    index = int(word)
    if index == 0 or index < -count:
        raise ValueError(f"index {index} after {count} points")
    return index - 1 if index > 0 else count + index


def read_obj(path: Path) -> ObjSurface:
    """Read an OBJ file.

    Raises:
        DataError: a line of a vertex or a face cannot be read; the line is told.
        OSError: the file cannot be read.
    """
    points: list[list[float]] = []
    places: list[list[float]] = []
    corners, libraries = _Corners(), []
    text = _CONTINUED.sub(" ", decode_text(path.read_bytes()))
    for number, line in enumerate(_LINE_ENDS.split(text), start=1):
        kind, *words = line.split(None, 1) or [""]
        values = _REMARK.split(words[0])[0].split() if words else []
        try:
            if kind == "v":
                points.append(_numbers(values, 3))
            elif kind == "vt":
                places.append(_numbers(values, 1))
            elif kind == "f":
                corners.add(values, len(points), len(places))
            elif kind == "usemtl" and words:
                corners.materials.append((words[0].strip(), len(corners.vertex)))
            elif kind == "mtllib" and words:
                libraries.append(words[0].strip())
        except ValueError as error:
            raise DataError(f"{path}, line {number}: not readable as OBJ ({error}): {line.strip()[:60]!r}") from None
    vertices = np.array([point[:3] for point in points], np.float64).reshape(-1, 3)
    triangles = np.array(corners.vertex, np.int64).reshape(-1, 3)
    colours = _vertex_colours(points)
    if colours is None and libraries and places:
        colours = _texture_colours(path, libraries, np.array([(*p[:2], 0.0)[:2] for p in places]), corners, len(points))
    return ObjSurface(vertices, triangles, colours)


def _numbers(words: list[str], least: int) -> list[float]:
    """The numbers of a line."""
    if len(words) < least:
        raise ValueError(f"expected {least} numbers, found {len(words)}")
    return [float(word) for word in words]


def _vertex_colours(points: list[list[float]]) -> np.ndarray | None:
    """Colours that stand after the coordinates: `x y z r g b`, in [0, 1] or, by some programs, to 255."""
    if not points or min(map(len, points)) < 6:
        return None
    colours = np.array([point[3:6] for point in points])
    return colours / 255 if colours.max() > 1 else colours


def _texture_colours(
    path: Path, libraries: list[str], places: np.ndarray, corners: _Corners, count: int
) -> np.ndarray | None:
    """Colours (count, 3) of the vertices in the images of their materials; None if no image is to be had.

    Where a seam gives a vertex several places in the texture, the first one counts.
    """
    from trimesh.exchange.obj import parse_mtl  # here, as writing a mesh needs none of it
    from trimesh.resolvers import FilePathResolver
    from trimesh.visual.color import uv_to_color

    resolver = FilePathResolver(str(path))
    images: dict[str, Any] = {}
    for library in libraries:
        try:
            images |= {
                name: material.get("image") for name, material in parse_mtl(resolver.get(library), resolver).items()
            }
        except Exception:
            continue  # whatever is wrong with a material, the geometry stands without its colours
    if not any(images.values()):
        return None
    colours = np.full((count, 3), 0.5)
    vertex, texture = np.array(corners.vertex), np.array(corners.texture)
    starts = [start for _, start in corners.materials]
    for (name, start), end in reversed(list(zip(corners.materials, [*starts[1:], len(vertex)], strict=True))):
        image = images.get(name)
        chosen = np.arange(start, end)[::-1]  # reversed: where a seam gives several places, the first one stays
        chosen = chosen[(texture[chosen] >= 0) & (texture[chosen] < len(places))]
        chosen = chosen[vertex[chosen] < count]
        if image is not None and len(chosen):
            colours[vertex[chosen]] = uv_to_color(places[texture[chosen]], image)[:, :3] / 255
    return colours
