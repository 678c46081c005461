"""Differentiable rendering of posed, coloured meshes with the camera of `dfmvr.conventions`."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from dfmvr.errors import ConfigError, DataError
from dfmvr.geometry.camera import project
from dfmvr.rendering.rasterizer import (
    Fragments,
    fragments_of,
    interpolate,
    interpolate_hits,
    rasterize_hits,
    scatter_pixels,
)

BACKENDS = ("torch", "pytorch3d")


class Rendering(NamedTuple):
    """Images of a batch of meshes."""

    image: Tensor  # (B, C, H, W), 0 at background
    alpha: Tensor  # (B, 1, H, W), 1 where the mesh is seen, else 0; without gradient
    fragments: Fragments


def render(
    vertices: Tensor,
    triangles: Tensor,
    colours: Tensor,
    image_size: int,
    backend: str = "torch",
    cull_backfaces: bool = False,
) -> Rendering:
    """Render meshes with interpolated vertex colours on a black background.

    Args:
        vertices: (B, V, 3) mm, posed (see `dfmvr.geometry.camera.pose`).
        triangles: (F, 3) integers, shared by the batch.
        colours: (B, V, C), lit already (see `dfmvr.rendering.shading.shade`).
        image_size: width and height in pixels.
        backend: `torch`, ours, or `pytorch3d`, which must be installed and agrees with ours.
        cull_backfaces: leave out triangles seen from behind.
    Returns:
        Images, differentiable in vertices (and pose) and colours within the silhouette. The mask `alpha` is a constant:
        ASSUME: no silhouette gradient, as the photo loss lives on the intersection of face and rendering (Eq. 2).
    Raises:
        DataError: wrong shapes. ConfigError: no such backend. UnavailableError: PyTorch3D is not installed.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"backend: expected one of {', '.join(BACKENDS)}, found '{backend}'")
    if colours.ndim != 3 or colours.shape[:2] != vertices.shape[:2]:
        raise DataError(f"colours: expected {(*vertices.shape[:2], 'C')}, found {tuple(colours.shape)}")
    if backend == "torch":
        faces, hits = rasterize_hits(project(vertices, image_size), triangles, image_size, cull_backfaces)
        planes = scatter_pixels(hits, interpolate_hits(hits, colours), tuple(faces.shape))
        fragments, image = fragments_of(faces, hits), planes.transpose(0, 1)
    else:
        from dfmvr.rendering.pytorch3d import rasterize_pytorch3d

        fragments = rasterize_pytorch3d(vertices, triangles, image_size, cull_backfaces)
        image = interpolate(fragments, triangles, colours).permute(0, 3, 1, 2)
    alpha = (fragments.pix_to_face >= 0)[:, None].to(image.dtype)
    return Rendering(image.contiguous(), alpha, fragments)
