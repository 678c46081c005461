"""Meshes as bytes of files: PLY, OBJ with its material, and binary glTF; and texture images on them.

In     vertices in the unit of the file, triangles, and an image with the place of every triangle's corners in it.
Gives  the text of an OBJ file (image coordinates with v upward), of its MTL file, and the bytes of a GLB file
       (glTF 2.0: image coordinates with v downward, colours of vertices in linear light, a matt material).

Not by trimesh, which compresses the image once more, lets it repeat beyond its edges, and takes two to four times as
long.

Source: Khronos, glTF 2.0 specification, section 3 and appendix on GLB.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

_PNG = {"PNG_COMPRESSION": 1}  # zlib's fastest: a tenth larger than its best, five times quicker
_JPEG = {"JPEG_QUALITY": 95, "JPEG_SAMPLING_FACTOR": 0x111111}  # colours not subsampled
_COMPONENT_TYPES = {"f": 5126, "B": 5121, "I": 5125}  # by the character of the dtype
_VERTICES, _INDICES = 34962, 34963  # targets of buffer views
_LINEAR, _LINEAR_MIPMAP_LINEAR, _CLAMP = 9729, 9987, 33071


@dataclass(frozen=True, eq=False)
class Unwrapping:
    """Where the corners of triangles lie in an image: a mesh of its own, whose rows each belong to one vertex.

    Vertices where the surface is cut have several rows.
    """

    uv: np.ndarray  # (T, 2) float in [0, 1]: from the image's left edge to the right, from its lower edge UP
    vertex: np.ndarray  # (T,) the vertex of each row
    triangles: np.ndarray  # (F, 3) rows; vertex[triangles] are the triangles of the mesh, in their order

    @cached_property
    def obj_lines(self) -> str:
        """The lines `vt` and `f` of an OBJ file; made once, as they are the same for all faces of a model."""
        places = _lines("vt %.6f %.6f\n", self.uv)
        corners = np.stack([self.vertex[self.triangles], self.triangles], -1) + 1
        return places + "usemtl face\n" + _lines("f %d/%d %d/%d %d/%d\n", corners.reshape(-1, 6))


@dataclass(frozen=True, eq=False)
class Texture:
    """An image on a mesh."""

    image: np.ndarray  # (H, W, 3) uint8 RGB, sRGB-encoded
    unwrapping: Unwrapping

    @cached_property
    def png(self) -> bytes:
        """The image as PNG."""
        return _encode(self.image, ".png", _PNG)

    @cached_property
    def jpeg(self) -> bytes:
        """The image as JPEG."""
        return _encode(self.image, ".jpg", _JPEG)


def _encode(image: np.ndarray, suffix: str, options: dict[str, int]) -> bytes:
    """Encode an image with OpenCV, whose options these are."""
    import cv2  # here, as all that reads or writes a mesh imports this module

    pairs = [number for name, value in options.items() for number in (getattr(cv2, f"IMWRITE_{name}"), value)]
    done, data = cv2.imencode(suffix, image[..., ::-1], pairs)
    if not done:
        raise ValueError(f"expected a uint8 image (H, W, 3), found {image.dtype} {image.shape}")
    return data.tobytes()


def _lines(form: str, rows: np.ndarray) -> str:
    """One line a row, all at once, which is several times faster than one by one."""
    return (form * len(rows)) % tuple(rows.ravel().tolist())


def obj_text(vertices: np.ndarray, triangles: np.ndarray, texture: Texture | None, stem: str) -> str:
    """An OBJ file; with a texture it names the material file `<stem>.mtl`."""
    if texture is None:
        return _lines("v %.8f %.8f %.8f\n", vertices) + _lines("f %d %d %d\n", np.asarray(triangles) + 1)
    return f"mtllib {stem}.mtl\n" + _lines("v %.6f %.6f %.6f\n", vertices) + texture.unwrapping.obj_lines


def mtl_text(stem: str) -> str:
    """The matt material of an OBJ file, with the image `<stem>.png`."""
    return f"newmtl face\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nd 1\nillum 1\nmap_Kd {stem}.png\n"


def ply_bytes(vertices: np.ndarray, triangles: np.ndarray, colours: np.ndarray | None) -> bytes:
    """A binary PLY file of vertices (V, 3), triangles (F, 3), and colours (V, 3) uint8 or None."""
    fields = [("place", "<f4", 3)] + ([] if colours is None else [("colour", "u1", 4)])
    points = np.empty(len(vertices), fields)
    points["place"] = vertices
    names = ["float x", "float y", "float z"]
    if colours is not None:
        points["colour"] = _opaque(colours)
        names += ["uchar red", "uchar green", "uchar blue", "uchar alpha"]
    faces = np.empty(len(triangles), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, triangles
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}"]
    head += [f"property {name}" for name in names]
    head += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    return ("\n".join(head) + "\n").encode("ascii") + points.tobytes() + faces.tobytes()


def _opaque(colours: np.ndarray) -> np.ndarray:
    """Colours (V, 3) uint8 with alpha: (V, 4)."""
    return np.column_stack([colours, np.full(len(colours), 255, np.uint8)])


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
    file = _Glb()
    without = np.abs(np.linalg.norm(normals, axis=1) - 1) > 1e-3
    normals = np.where(without[:, None], (0.0, 0.0, 1.0), normals)
    attributes = {"POSITION": file.add(vertices.astype("<f4"), _VERTICES, bounds=True)}
    attributes["NORMAL"] = file.add(normals.astype("<f4"), _VERTICES)
    material: dict[str, Any] = {"name": "face", "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}}
    tree: dict[str, Any] = {"asset": {"version": "2.0", "generator": "dfmvr"}, "materials": [material]}
    if texture is not None:
        places = unwrapping.uv * (1, -1) + (0, 1)  # the image's first row is v = 0 here
        attributes["TEXCOORD_0"] = file.add(places.astype("<f4"), _VERTICES)
        material["pbrMetallicRoughness"]["baseColorTexture"] = {"index": 0}
        tree["textures"] = [{"sampler": 0, "source": 0}]
        tree["images"] = [{"mimeType": "image/jpeg", "bufferView": file.view(texture.jpeg)}]
        filters = {"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP_LINEAR}
        tree["samplers"] = [{**filters, "wrapS": _CLAMP, "wrapT": _CLAMP}]
    elif colours is not None:
        attributes["COLOR_0"] = file.add(_opaque(colours), _VERTICES, normalized=True)
    indices = file.add(triangles.astype("<u4").reshape(-1, 1), _INDICES)
    primitive = {"attributes": attributes, "indices": indices, "material": 0, "mode": 4}
    tree |= {"meshes": [{"name": "face", "primitives": [primitive]}], "nodes": [{"name": "face", "mesh": 0}]}
    return file.encode(tree | {"scenes": [{"nodes": [0]}], "scene": 0})


class _Glb:
    """The buffer of a GLB file and what tells how to read it."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.views: list[dict[str, int]] = []
        self.accessors: list[dict[str, Any]] = []
        self.length = 0

    def view(self, data: bytes, target: int | None = None) -> int:
        """Append bytes, from a multiple of four on; gives the number of their buffer view."""
        place = {"buffer": 0, "byteOffset": self.length, "byteLength": len(data)}
        self.views.append(place if target is None else {**place, "target": target})
        self.parts.append(data + b"\0" * (-len(data) % 4))
        self.length += len(self.parts[-1])
        return len(self.views) - 1

    def add(self, rows: np.ndarray, target: int, *, bounds: bool = False, normalized: bool = False) -> int:
        """Append an array (N, width); gives the number of its accessor."""
        accessor: dict[str, Any] = {
            "bufferView": self.view(np.ascontiguousarray(rows).tobytes(), target),
            "componentType": _COMPONENT_TYPES[rows.dtype.char],
            "count": len(rows),
            "type": "SCALAR" if rows.shape[1] == 1 else f"VEC{rows.shape[1]}",
        }
        if bounds:
            accessor |= {"min": rows.min(0).tolist(), "max": rows.max(0).tolist()}
        if normalized:
            accessor["normalized"] = True
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def encode(self, tree: dict[str, Any]) -> bytes:
        """The file."""
        tree = tree | {"accessors": self.accessors, "bufferViews": self.views, "buffers": [{"byteLength": self.length}]}
        text = json.dumps(tree, separators=(",", ":")).encode()
        chunks = ((b"JSON", text + b" " * (-len(text) % 4)), (b"BIN\0", b"".join(self.parts)))
        body = b"".join(struct.pack("<I4s", len(data), kind) + data for kind, data in chunks)
        return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body
