"""Binary glTF: the file of a mesh, and what others are put together from.

In     vertices in m, triangles, image coordinates or colours.
Gives  the bytes of a GLB file (glTF 2.0: image coordinates with v downward, colours of vertices in linear light, a matt
       material).

Not by trimesh (5.2), which compresses the image once more, lets it repeat beyond its edges, takes two to four times as
long, and knows neither morph targets nor sparse accessors.

Source: Khronos, glTF 2.0 specification, section 3 and appendix on GLB.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

from dfmvr.geometry.textured import Texture, opaque

_COMPONENT_TYPES = {"f": 5126, "B": 5121, "H": 5123, "I": 5125}  # by the character of the dtype
VERTICES, _INDICES = 34962, 34963  # targets of buffer views
_LINEAR, _LINEAR_MIPMAP_LINEAR, _CLAMP = 9729, 9987, 33071
_MOST_OF_16_BITS = 65535
"""Corners below this are told by 16 bits; the number itself would end a strip."""


def glb_bytes(
    vertices: np.ndarray,
    triangles: np.ndarray,
    normals: np.ndarray,
    colours: np.ndarray | None,
    texture: Texture | None,
) -> bytes:
    """A GLB file of one mesh.

    Args:
        vertices: (V, 3) m.
        triangles: (F, 3).
        normals: (V, 3), unit or, where there is none, 0.
        colours: (V, 3) uint8 in linear light, or None; not used with a texture.
        texture: or None. The file's vertices are then the rows of its unwrapping.
    """
    if texture is not None:
        unwrapping = texture.unwrapping
        vertices, normals = vertices[unwrapping.vertex], normals[unwrapping.vertex]
        triangles = unwrapping.triangles
    file = GlbFile()
    attributes = {"POSITION": file.add(vertices.astype("<f4"), bounds=True)}
    attributes["NORMAL"] = file.add(upright(normals))
    material: dict[str, Any] = {"name": "face", "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}}
    if texture is not None:
        attributes["TEXCOORD_0"] = file.add_places(unwrapping.uv)
        material["pbrMetallicRoughness"]["baseColorTexture"] = {"index": file.add_texture(texture.jpeg)}
    elif colours is not None:
        attributes["COLOR_0"] = file.add(opaque(colours), normalized=True)
    primitive = {"attributes": attributes, "indices": file.add_corners(triangles), "material": 0, "mode": 4}
    meshes, nodes = [{"name": "face", "primitives": [primitive]}], [{"name": "face", "mesh": 0}]
    return file.encode({"materials": [material], "meshes": meshes, "nodes": nodes})


def upright(normals: np.ndarray) -> np.ndarray:
    """Normals (N, 3) as a file has them, float32: of unit length, or upward where there is none."""
    without = np.abs(np.linalg.norm(normals, axis=1) - 1) > 1e-3
    return np.where(without[:, None], (0.0, 0.0, 1.0), normals).astype("<f4")


class GlbFile:
    """The buffer of a GLB file and what tells how to read it."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.views: list[dict[str, int]] = []
        self.accessors: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []
        self.length = 0

    def view(self, data: bytes, target: int | None = None) -> int:
        """Append bytes, from a multiple of four on; gives the number of their buffer view."""
        place = {"buffer": 0, "byteOffset": self.length, "byteLength": len(data)}
        self.views.append(place if target is None else {**place, "target": target})
        self.parts.append(data + b"\0" * (-len(data) % 4))
        self.length += len(self.parts[-1])
        return len(self.views) - 1

    def add(self, rows: np.ndarray, target: int = VERTICES, *, bounds: bool = False, normalized: bool = False) -> int:
        """Append an array (N, width); gives the number of its accessor."""
        accessor = {"bufferView": self.view(np.ascontiguousarray(rows).tobytes(), target)} | _kind_of(rows)
        if bounds:
            accessor |= _bounds(rows)
        if normalized:
            accessor["normalized"] = True
        return self._accessor(accessor)

    def add_places(self, uv: np.ndarray) -> int:
        """Append image coordinates (N, 2), v UPWARD in [0, 1]; gives the number of their accessor.

        Not in 16 bits, which trimesh takes for whole numbers.
        """
        places = uv * (1, -1) + (0, 1)  # the image's first row is v = 0 in the file
        return self.add(places.astype("<f4"))

    def add_sparse(self, rows: np.ndarray, where: np.ndarray) -> int:
        """Append an array (N, width) float32 that is 0 but for some of its rows; gives the number of its accessor.

        Args:
            rows: the array.
            where: (K,) ascending, the rows that are kept.
        """
        kept = np.ascontiguousarray(rows[where])
        accessor = _kind_of(rows)
        if len(where):
            indices = where.astype("<u2" if len(rows) <= _MOST_OF_16_BITS else "<u4")
            told = {"bufferView": self.view(indices.tobytes()), "componentType": _COMPONENT_TYPES[indices.dtype.char]}
            values = {"bufferView": self.view(kept.tobytes())}
            accessor["sparse"] = {"count": len(where), "indices": told, "values": values}
        others = np.zeros((int(len(where) < len(rows)), rows.shape[1]), rows.dtype)
        return self._accessor(accessor | _bounds(np.concatenate((kept, others))))

    def add_corners(self, triangles: np.ndarray) -> int:
        """Append triangles (F, 3); gives the number of the accessor of their corners."""
        kind = "<u2" if triangles.max() < _MOST_OF_16_BITS else "<u4"
        return self.add(triangles.astype(kind).reshape(-1, 1), _INDICES)

    def add_texture(self, jpeg: bytes) -> int:
        """Append a picture that does not repeat; gives the number of the texture."""
        self.images.append({"mimeType": "image/jpeg", "bufferView": self.view(jpeg)})
        return len(self.images) - 1

    def _accessor(self, accessor: dict[str, Any]) -> int:
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def encode(self, tree: dict[str, Any]) -> bytes:
        """The file.

        Args:
            tree: its materials, meshes and nodes, of which the first is the scene's, with its children.
        """
        tree = {"asset": {"version": "2.0", "generator": "dfmvr"}, "scene": 0, "scenes": [{"nodes": [0]}]} | tree
        if self.images:
            filters = {"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP_LINEAR}
            tree["samplers"] = [{**filters, "wrapS": _CLAMP, "wrapT": _CLAMP}]
            tree["textures"] = [{"sampler": 0, "source": number} for number in range(len(self.images))]
            tree["images"] = self.images
        tree |= {"accessors": self.accessors, "bufferViews": self.views, "buffers": [{"byteLength": self.length}]}
        text = json.dumps(tree, separators=(",", ":")).encode()
        chunks = ((b"JSON", text + b" " * (-len(text) % 4)), (b"BIN\0", b"".join(self.parts)))
        body = b"".join(struct.pack("<I4s", len(data), kind) + data for kind, data in chunks)
        return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def _kind_of(rows: np.ndarray) -> dict[str, Any]:
    """What an accessor tells about the rows (N, width) of an array."""
    width = "SCALAR" if rows.shape[1] == 1 else f"VEC{rows.shape[1]}"
    return {"componentType": _COMPONENT_TYPES[rows.dtype.char], "count": len(rows), "type": width}


def _bounds(rows: np.ndarray) -> dict[str, list[float]]:
    return {"min": rows.min(0).tolist(), "max": rows.max(0).tolist()}
