"""Texture images on meshes, and meshes as bytes of files: PLY, OBJ with its material (glTF: `gltf.py`).

In     vertices in the unit of the file, triangles, and an image with the place of every triangle's corners in it.
Gives  the bytes of a PLY file, the text of an OBJ file (image coordinates with v upward) and of its MTL file.

Not by trimesh, which compresses the image once more and takes two to four times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

_PNG = {"PNG_COMPRESSION": 1}  # zlib's fastest: a tenth larger than its best, five times quicker
_JPEG = {"JPEG_QUALITY": 95, "JPEG_SAMPLING_FACTOR": 0x111111}  # colours not subsampled


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
        points["colour"] = opaque(colours)
        names += ["uchar red", "uchar green", "uchar blue", "uchar alpha"]
    faces = np.empty(len(triangles), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, triangles
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}"]
    head += [f"property {name}" for name in names]
    head += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    return ("\n".join(head) + "\n").encode("ascii") + points.tobytes() + faces.tobytes()


def opaque(colours: np.ndarray) -> np.ndarray:
    """Colours (V, 3) uint8 with alpha: (V, 4)."""
    return np.column_stack([colours, np.full(len(colours), 255, np.uint8)])
