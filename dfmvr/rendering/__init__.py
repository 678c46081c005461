"""Differentiable rendering: rasterisation, interpolation, shading."""

from dfmvr.rendering.rasterizer import Fragments, interpolate, local_faces, packed_faces, rasterize
from dfmvr.rendering.renderer import Rendering, render
from dfmvr.rendering.shading import sh_basis, shade, vertex_normals

__all__ = [
    "Fragments",
    "Rendering",
    "interpolate",
    "local_faces",
    "packed_faces",
    "rasterize",
    "render",
    "sh_basis",
    "shade",
    "vertex_normals",
]
