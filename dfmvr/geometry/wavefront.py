"""OBJ files of any program: the surface as it is written, and the colours of its vertices.

Not by trimesh (5.2), which is wrong here: it takes relative indices to count from the end of the file, where the
standard counts from the vertices read so far; it stops silently at a number that it cannot read; and it gives each
material vertices of its own, so that a surface of two materials comes apart. Its readers of materials and images serve.

Source: Wavefront, Advanced Visualizer manual, appendix B1 ("Object files").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dfmvr.errors import DataError
from dfmvr.files import decode_text

_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_CONTINUED = re.compile(r"\\(\r\n|\r|\n)")
_REMARK = re.compile(r"(?:^|\s)#")  # not that of 1.#QNAN
_INTEGER = re.compile(r"[+-]?\d+")


class ObjSurface(NamedTuple):
    """What an OBJ file holds."""

    vertices: np.ndarray  # (V, 3) float64, in the unit and order of the file
    triangles: np.ndarray  # (F, 3) int64; polygons are cut as fans from their first corner
    colours: np.ndarray | None  # (V, 3) float64 in [0, 1], sRGB-encoded: of the vertices, else of the texture


class _Lines:
    """The lines of an OBJ file that matter here.

    They stay strings until they are needed: millions of lists would keep the garbage collector busy.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, list[str]] = {"v": [], "vt": [], "f": []}
        self.numbers: dict[str, list[int]] = {"v": [], "vt": [], "f": []}
        self.before: dict[str, list[int]] = {"v": [], "vt": []}  # how many, before each polygon
        self.materials: list[tuple[str, int]] = []  # each with the number of polygons before it
        self.libraries: list[str] = []
        text = _CONTINUED.sub(" ", decode_text(path.read_bytes()))
        for number, line in enumerate(_LINE_ENDS.split(text), start=1):
            kind, *rest = line.split(None, 1) or [""]
            if kind in self.rows:
                row = rest[0] if rest else ""
                if kind == "f":
                    for name, before in self.before.items():
                        before.append(len(self.rows[name]))
                self.rows[kind].append(_REMARK.split(row)[0] if "#" in row else row)
                self.numbers[kind].append(number)
            elif kind == "usemtl" and rest:
                self.materials.append((rest[0].strip(), len(self.rows["f"])))
            elif kind == "mtllib" and rest:
                self.libraries.append(rest[0].strip())

    def floats(self, kind: str, size: int) -> np.ndarray:
        """The first numbers (N, size) of the lines of a kind.

        Raises:
            DataError: a line has fewer, or something else.
        """

        def numbers(row: str) -> list[float]:
            words = row.split()[:size]
            if len(words) < size:
                raise ValueError(f"expected {size} numbers, found {len(words)}")
            return [float(word) for word in words]

        return np.fromiter(self._each(kind, numbers), np.float64).reshape(-1, size)

    def corners(self) -> np.ndarray:
        """The vertex of each corner of the polygons (N,), counted from 0.

        Raises:
            DataError: a corner has no index, 0, or one that counts back beyond the first vertex.
        """
        found = np.fromiter(self._each("f", lambda row: [int(w.partition("/")[0]) for w in row.split()]), np.int64)
        corners = _from_zero(found, np.repeat(self.before["v"], self.sizes()))
        if (wrong := np.flatnonzero(corners < 0)).size:
            number = np.repeat(self.numbers["f"], self.sizes())[wrong[0]]
            raise DataError(f"{self.path}, line {number}: there is no vertex {found[wrong[0]]} so far; export it again")
        return corners

    def places(self) -> np.ndarray:
        """The line `vt` of each corner of the polygons (N,), counted from 0; below 0 where it has none that counts."""

        def indices(row: str) -> list[int]:
            words = [(*word.split("/", 2), "")[1] for word in row.split()]
            return [int(word) if _INTEGER.fullmatch(word) else 0 for word in words]

        return _from_zero(np.fromiter(self._each("f", indices), np.int64), np.repeat(self.before["vt"], self.sizes()))

    def sizes(self) -> np.ndarray:
        """The number of corners of each polygon."""
        return np.array([len(row.split()) for row in self.rows["f"]], np.int64)

    def _each(self, kind: str, convert: Callable[[str], list[Any]]) -> Iterator[Any]:
        """The numbers that all lines of a kind are converted to.

        Raises:
            DataError: a line cannot be converted.
        """
        for row, number in zip(self.rows[kind], self.numbers[kind], strict=True):
            try:
                yield from convert(row)
            except ValueError as error:
                raise DataError(f"{self.path}, line {number}: not readable as OBJ ({error}); export it again") from None


def _from_zero(indices: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Count from 0 what OBJ counts from 1, or back from the last of those `before`; below 0 what is none."""
    return np.where(indices > 0, indices - 1, np.where(indices < 0, np.maximum(before + indices, -1), -1))


def read_obj(path: Path) -> ObjSurface:
    """Read an OBJ file.

    Raises:
        DataError: a line of a vertex or a face cannot be read; its number is told.
        OSError: the file cannot be read.
    """
    lines = _Lines(path)
    vertices, corners, sizes = lines.floats("v", 3), lines.corners(), lines.sizes()
    fans = np.maximum(sizes - 2, 0)  # triangles of each polygon
    first = np.repeat(np.cumsum(sizes) - sizes, fans)
    step = np.arange(fans.sum()) - np.repeat(np.cumsum(fans) - fans, fans)
    triangles = corners[np.stack([first, first + step + 1, first + step + 2], -1)]
    colours = _vertex_colours(lines)
    if colours is None and lines.libraries and lines.rows["vt"]:
        colours = _texture_colours(lines, corners, len(vertices))
    return ObjSurface(vertices, triangles.reshape(-1, 3), colours)


def _vertex_colours(lines: _Lines) -> np.ndarray | None:
    """Colours that stand after the coordinates: `x y z r g b`, in [0, 1] or, by some programs, to 255."""
    if min((len(row.split()) for row in lines.rows["v"]), default=0) < 6:
        return None
    colours = lines.floats("v", 6)[:, 3:]
    return colours / 255 if colours.max() > 1 else colours


def _texture_colours(lines: _Lines, corners: np.ndarray, count: int) -> np.ndarray | None:
    """Colours (count, 3) of the vertices in the images of their materials; None if no image is to be had.

    Where a seam gives a vertex several places in the texture, the first one counts.
    """
    from trimesh.exchange.obj import parse_mtl  # here, as writing a mesh needs none of it
    from trimesh.resolvers import FilePathResolver
    from trimesh.visual.color import uv_to_color

    resolver = FilePathResolver(str(lines.path))
    images: dict[str, Any] = {}
    for library in lines.libraries:
        try:
            materials = parse_mtl(resolver.get(library), resolver)
            images |= {name: material.get("image") for name, material in materials.items()}
        except Exception:
            continue  # whatever is wrong with a material, the geometry stands without its colours
    if not any(images.values()):
        return None
    colours, uv, place = np.full((count, 3), 0.5), lines.floats("vt", 2), lines.places()
    known = (place >= 0) & (place < len(uv)) & (corners < count)
    ends = np.append(0, np.cumsum(lines.sizes()))  # corners before each polygon
    spans = zip(lines.materials, [*(start for _, start in lines.materials[1:]), len(ends) - 1], strict=True)
    for (name, start), end in reversed(list(spans)):
        chosen = np.arange(ends[start], ends[end])[::-1]  # reversed: the first place of a vertex is the last to be set
        chosen = chosen[known[chosen]]
        if images.get(name) is not None and len(chosen):
            colours[corners[chosen]] = uv_to_color(uv[place[chosen]], images[name])[:, :3] / 255
    return colours
