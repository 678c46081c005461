"""PLY, STL, OFF and glTF by trimesh, with checks of what trimesh (5.2) would read wrongly without a word."""

from __future__ import annotations

import json
import struct
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from dfmvr.colour import encode_srgb
from dfmvr.errors import DataError
from dfmvr.files import decode_text

GLTF = (".glb", ".gltf")
_HARMLESS = ("KHR_materials_", "KHR_texture_", "EXT_texture_", "KHR_lights_", "KHR_xmp", "KHR_mesh_quantization")
_CORNERS = ("vertex_index", "vertex_indices")
_JSON, _TRIANGLES, _STRIP, _FAN, _FLOAT = 0x4E4F534A, 4, 5, 6, 5126


def read_by_trimesh(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Read a file; the meshes of a scene become one.

    Returns:
        Vertices (V, 3) in the file's unit and order, triangles (F, 3), sRGB-encoded colours (V, 3) in [0, 1] or None.
    Raises:
        DataError: no triangles, or something that trimesh does not read.
        Exception: whatever trimesh raises at a damaged file.
    """
    suffix = path.suffix.lower()
    if suffix in GLTF:
        _check_gltf(path)
    if suffix == ".off":
        _check_off(path)
    # trimesh forgets the vertex colours of a mesh that has a material too: look for them first.
    loaded = _load(path, skip_materials=True)
    if loaded.visual.kind != "vertex" and suffix in GLTF:
        loaded = _load(path)
    if not len(getattr(loaded, "faces", ())):
        raise DataError(f"{path}: expected triangles, found none; export the surface, not its points")
    if loaded.vertices.shape[-1] != 3:
        raise DataError(f"{path}: expected vertices x y z, found {loaded.vertices.shape[-1]} numbers; export it again")
    if suffix == ".ply":
        _check_ply(path, loaded)
    colours = _colours(loaded.visual, linear=suffix in GLTF)
    return np.array(loaded.vertices, np.float64), np.array(loaded.faces, np.int64), colours


def _load(path: Path, **options: Any) -> Any:
    """Let trimesh read a file."""
    import trimesh  # here, as writing a mesh needs none of it
    from trimesh.resolvers import FilePathResolver

    class Resolver(FilePathResolver):
        """Finds the files that a glTF file names by their URI, in which blanks are %20."""

        def get(self, name: str) -> bytes:
            return super().get(name if (path.parent / name).exists() else unquote(name))

    with warnings.catch_warnings():
        # at a number that it cannot read numpy only warns, and trimesh goes on with those before it
        warnings.simplefilter("error", DeprecationWarning)
        # not trimesh.load_mesh, which makes a scene of every file and takes seven times as long; fix_texture cuts a PLY
        options |= {"process": False, "maintain_order": True, "fix_texture": False}
        loaded = trimesh.load(str(path), resolver=Resolver(str(path)), **options)
    return loaded.to_mesh() if isinstance(loaded, trimesh.Scene) else loaded


def _check_ply(path: Path, loaded: Any) -> None:
    """Refuse a file that is cut, and a binary one of triangles and larger polygons, which trimesh takes to be alike.

    Raises:
        DataError: fewer vertices or faces than the header tells, polygons of several sizes, or of two corners.
    """
    for kind, element in loaded.metadata["_ply_raw"].items():
        data = element.get("data", {})  # of a text by column, of a binary file a structured array
        columns = data if isinstance(data, dict) else {name: data[name] for name in data.dtype.names}
        found = min(map(len, columns.values()), default=0)
        if found != element["length"]:
            raise DataError(f"{path}: expected {element['length']} of {kind}, found {found}: it is cut; copy it again")
        for name, values in columns.items():
            binary = values.dtype.names is not None
            if not binary and name not in _CORNERS:
                continue
            sizes = np.unique(values["f0"] if binary else [len(polygon) for polygon in values])
            if (name in _CORNERS and sizes[0] < 3) or (binary and len(sizes) > 1):
                raise DataError(
                    f"{path}: a PLY with faces of {sizes[0]} to {sizes[-1]} corners; export it as triangles"
                )


def _check_off(path: Path) -> None:
    """Refuse a file that is cut, or in four dimensions.

    Raises:
        DataError: fewer lines than its first tells, or no text of that kind.
    """
    lines = [line.partition("#")[0].split() for line in decode_text(path.read_bytes()).splitlines()]
    head, *rest = [line for line in lines if line] or [[""]]
    counts = head[1:] or (rest.pop(0) if rest else [])
    if "OFF" not in head[0].upper() or "4" in head[0] or len(counts) < 2 or not all(map(str.isdecimal, counts)):
        raise DataError(f"{path}: expected OFF and the numbers of vertices and faces first; export it again as text")
    expected = int(counts[0]) + int(counts[1])
    if len(rest) < expected:
        raise DataError(f"{path}: expected {expected} vertices and faces, found {len(rest)}: it is cut; copy it again")
    for row in rest[int(counts[0]) : expected]:
        if not row[0].isdecimal() or not 3 <= int(row[0]) < len(row):
            raise DataError(f"{path}: expected a face of three corners or more, found {' '.join(row)[:60]!r}; mend it")


def _check_gltf(path: Path) -> None:
    """Refuse what trimesh passes over in glTF though it is part of the shape.

    Raises:
        DataError: such a thing, or no glTF.
    """
    tree = _gltf_tree(path)
    required = tree.get("extensionsRequired", ())
    problems = {f"the extension {name}" for name in required if not name.startswith(_HARMLESS)}
    if any("sparse" in accessor for accessor in tree.get("accessors", [])):
        problems.add("sparse accessors")
    if any("skin" in node and "mesh" in node for node in tree.get("nodes", [])):
        problems.add("a skeleton")
    if any(any(part.get("weights", ())) for part in (*tree.get("nodes", []), *tree.get("meshes", []))):
        problems.add("morph targets that are on")
    for primitive in (primitive for mesh in tree.get("meshes", []) for primitive in mesh["primitives"]):
        problems |= _problems_of(primitive, tree["accessors"])
    if problems:
        raise DataError(f"{path}: a glTF file with {', '.join(sorted(problems))}, which is not read; export it without")


def _problems_of(primitive: dict[str, Any], accessors: list[dict[str, Any]]) -> set[str]:
    """What trimesh would pass over in a part of a glTF mesh; nothing where that is lines or points, no surface."""
    place, mode = primitive["attributes"]["POSITION"], primitive.get("mode", _TRIANGLES)
    if mode not in (_TRIANGLES, _STRIP, _FAN):
        return set()
    found = {
        "triangle fans": mode == _FAN,
        "quantised vertices": accessors[place]["componentType"] != _FLOAT,
        "compressed vertices": any("bufferView" not in accessors[i] for i in (place, primitive.get("indices", place))),
    }
    return {name for name, there in found.items() if there}


def _gltf_tree(path: Path) -> dict[str, Any]:
    """The description of a glTF file.

    Raises:
        DataError: a GLB without it.
        ValueError: no JSON.
    """
    content = path.read_bytes()
    if path.suffix.lower() == ".glb":
        length, kind = struct.unpack_from("<II", content.ljust(20), 12)
        if kind != _JSON:
            raise DataError(f"{path}: not readable as GLB (expected JSON as its first part); export it again")
        content = content[20 : 20 + length]
    return json.loads(content.decode("utf-8-sig"))


def _colours(visual: Any, linear: bool) -> np.ndarray | None:
    """Vertex colours (V, 3) in [0, 1], sRGB-encoded, of what trimesh has read, or None."""
    if visual.kind == "texture":
        image = getattr(visual.material, "image", None) or getattr(visual.material, "baseColorTexture", None)
        if image is None or visual.uv is None:
            return None
        visual, linear = visual.to_color(), False  # an image is sRGB-encoded in glTF too; only COLOR_0 is linear
    elif visual.kind != "vertex":
        return None
    colours = np.asarray(visual.vertex_colors, np.float64)[:, :3] / 255
    return encode_srgb(colours) if linear else colours
